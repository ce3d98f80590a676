//! Traces as their runtimes write them, and rules by regular expressions.

use proptest::prelude::*;

use super::*;

fn pattern(text: &str) -> Pattern {
    Pattern::new(Regex::new(text).unwrap())
}

/// The groups of `text`.
fn groups(rule: &Rule, text: &str) -> Vec<String> {
    let mut state = State::Nothing;
    let mut groups: Vec<String> = Vec::new();
    for line in text.lines() {
        if rule.belongs(&mut state, line.as_bytes()) {
            let last = groups.last_mut().expect("a line belongs to one before");
            last.push('\n');
            last.push_str(line);
        } else {
            groups.push(line.to_owned());
        }
    }
    groups
}

/// Checks the groups of `text`: how many lines each has.
#[track_caller]
fn check(rule: &Rule, text: &str, lines: &[usize]) {
    let groups = groups(rule, text);
    let found: Vec<usize> = groups.iter().map(|it| it.matches('\n').count() + 1).collect();
    assert_eq!(found, lines, "{groups:#?}");
}

#[test]
fn patterns_begin_continue_or_end_a_group() {
    let text = "  orphan\n  other\n1 a\n  b\n  c\n2 d\n3 e\n  f;\n";
    assert_eq!(
        groups(&Rule::Begin(pattern(r"^\d")), text),
        ["  orphan\n  other", "1 a\n  b\n  c", "2 d", "3 e\n  f;"]
    );
    assert_eq!(
        groups(&Rule::Continue(pattern("^ ")), text),
        ["  orphan\n  other", "1 a\n  b\n  c", "2 d", "3 e\n  f;"]
    );
    assert_eq!(
        groups(&Rule::End(pattern("[cd;]$")), text),
        ["  orphan\n  other\n1 a\n  b\n  c", "2 d", "3 e\n  f;"]
    );
}

#[test]
fn patterns_match_any_bytes() {
    let mut state = State::Nothing;
    let rule = Rule::Begin(pattern(r"(?-u)^\xff"));
    assert!(!rule.belongs(&mut state, b"\xffa"));
    assert!(rule.belongs(&mut state, b"\xfea"));
    assert!(!rule.belongs(&mut state, b"\xff\x00"));
}

#[test]
fn java_traces_are_whole() {
    check(&Rule::Java, include_str!("samples/java.txt"), &[1, 16, 1, 6, 8, 2, 1, 4]);
}

#[test]
fn python_tracebacks_are_whole() {
    check(&Rule::Python, include_str!("samples/python.txt"), &[1, 13, 1, 1, 5, 4, 1, 13, 1]);
}

#[test]
fn go_panics_are_whole() {
    check(&Rule::Go, include_str!("samples/go.txt"), &[1, 15, 1, 1, 5, 1, 11]);
}

#[test]
fn ordinary_lines_of_python_and_go_wait_for_nothing() {
    for rule in [Rule::Python, Rule::Go] {
        for line in ["started", "", "  indented", "a.b(c) done", "During lunch", "panicky"] {
            let mut state = State::Nothing;
            assert!(!rule.belongs(&mut state, line.as_bytes()), "{line}");
            assert_eq!(state, State::Nothing, "{rule:?} {line}");
        }
    }
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    let samples = [
        include_str!("samples/java.txt"),
        include_str!("samples/python.txt"),
        include_str!("samples/go.txt"),
    ];
    let all: Vec<String> = samples.iter().flat_map(|it| it.lines()).map(str::to_owned).collect();
    proptest::collection::vec(proptest::sample::select(all), 0..30)
}

proptest! {
    /// What recovery rests on: where a group begins, nothing need be known of what came before.
    #[test]
    fn what_begins_a_group_begins_it_too_when_nothing_is_known(lines in lines()) {
        let rules = [
            Rule::Java,
            Rule::Python,
            Rule::Go,
            Rule::Begin(pattern("^[a-zA-Z]")),
            Rule::Continue(pattern(r"^\s")),
            Rule::End(pattern(r"\)$")),
        ];
        for rule in rules {
            let mut state = State::Nothing;
            for line in &lines {
                let (mut after, mut unknown) = (state, State::Nothing);
                let belongs = rule.belongs(&mut after, line.as_bytes());
                prop_assert!(!(belongs && state == State::Nothing));
                prop_assert!(!rule.belongs(&mut unknown, line.as_bytes()));
                if !belongs {
                    prop_assert_eq!(after, unknown, "{:?} {:?} {:?}", rule, state, line);
                }
                state = after;
            }
        }
    }
}
