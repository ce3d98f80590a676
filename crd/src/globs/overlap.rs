//! Overlaps: whether two globs of names match the same name, and which.
//!
//! Both are made into automata, which are walked together over the characters of a namespace's name until
//! both accept. Most globs differ in how they begin, and cost no automaton.

use std::collections::{HashSet, VecDeque};

use globset::GlobBuilder;
use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::util::{primitives::StateID, start, syntax};
use regex_automata::{Anchored, nfa::thompson};

use crate::limits;

/// Most memory of an automaton while it is made, in bytes: some thousand times that of `team-*`.
const AUTOMATON_BYTES_MAX: usize = 1 << 20;

/// What a namespace's name is made of (RFC 1123).
const CHARACTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789-";

type Dfa = dense::DFA<Vec<u32>>;

/// Globs of several owners, of which no two are to match the same name.
#[derive(Debug, Default)]
pub(crate) struct Overlaps {
    globs: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    owner: usize,
    pattern: String,
    /// Made when it is needed for the first time; `None` for one that takes too much memory.
    dfa: Option<Option<Box<Dfa>>>,
}

/// A glob of another owner that matches the same name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overlap {
    pub(crate) owner: usize,
    pub(crate) pattern: String,
    pub(crate) shared: Shared,
}

/// What two globs both match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shared {
    /// All that either matches.
    All,
    /// The shortest name that both match.
    Name(String),
    /// Perhaps something: they are too large to tell.
    Unknown,
}

impl Overlaps {
    /// Adds a glob that is one; returns the first glob of another owner that matches the same name.
    pub(crate) fn add(&mut self, owner: usize, pattern: &str) -> Option<Overlap> {
        let mut new = Known { owner, pattern: pattern.to_owned(), dfa: None };
        let begin = literal_begin(pattern);
        let overlap = self.globs.iter_mut().filter(|it| it.owner != owner).find_map(|old| {
            let other = literal_begin(&old.pattern);
            let may_meet = begin.starts_with(other) || other.starts_with(begin);
            let shared = if may_meet { shared(&mut new, old) } else { None };
            shared.map(|shared| Overlap { owner: old.owner, pattern: old.pattern.clone(), shared })
        });
        self.globs.push(new);
        overlap
    }
}

/// The name that a glob matches, if it is but one.
pub(crate) fn literal(pattern: &str) -> Option<&str> {
    (literal_begin(pattern).len() == pattern.len()).then_some(pattern)
}

/// With what every name begins that the glob matches.
fn literal_begin(pattern: &str) -> &str {
    &pattern[..pattern.find(['*', '?', '[', ']', '{', '}', '\\']).unwrap_or(pattern.len())]
}

/// What both match, if they do.
fn shared(one: &mut Known, other: &mut Known) -> Option<Shared> {
    if one.pattern == other.pattern {
        return Some(Shared::All);
    }
    for glob in [&mut *one, &mut *other] {
        glob.dfa.get_or_insert_with(|| automaton(&glob.pattern).map(Box::new));
    }
    match (&one.dfa, &other.dfa) {
        (Some(Some(one)), Some(Some(other))) => walk(one, other).map(Shared::Name),
        // Whoever writes such globs is not known to keep them apart.
        _ => Some(Shared::Unknown),
    }
}

fn automaton(pattern: &str) -> Option<Dfa> {
    let glob = GlobBuilder::new(pattern).literal_separator(false).build().ok()?;
    let config = dense::Config::new()
        .start_kind(StartKind::Anchored)
        .dfa_size_limit(Some(AUTOMATON_BYTES_MAX))
        .determinize_size_limit(Some(AUTOMATON_BYTES_MAX));
    dense::Builder::new()
        .configure(config)
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(AUTOMATON_BYTES_MAX)))
        .build(glob.regex())
        .ok()
}

/// The shortest name that both accept, by breadth.
fn walk(one: &Dfa, other: &Dfa) -> Option<String> {
    let begin = |dfa: &Dfa| dfa.start_state(&start::Config::new().anchored(Anchored::Yes)).ok();
    let begin = (begin(one)?, begin(other)?);
    // Each pair of states, with the pair before and the character between.
    let mut seen: HashSet<(StateID, StateID)> = HashSet::from([begin]);
    let mut next = VecDeque::from([(begin, Vec::new())]);
    while let Some(((left, right), name)) = next.pop_front() {
        let accepts = |dfa: &Dfa, state| dfa.is_match_state(dfa.next_eoi_state(state));
        if !name.is_empty() && accepts(one, left) && accepts(other, right) {
            return String::from_utf8(name).ok();
        }
        if name.len() == limits::TENANT_CHARS_MAX {
            continue;
        }
        for &byte in CHARACTERS {
            let pair = (one.next_state(left, byte), other.next_state(right, byte));
            let is_dead = one.is_dead_state(pair.0) || other.is_dead_state(pair.1);
            if !is_dead && seen.insert(pair) {
                let mut longer = name.clone();
                longer.push(byte);
                next.push_back((pair, longer));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use globset::Glob;
    use proptest::prelude::*;

    use super::*;

    fn name_of_both(one: &str, other: &str) -> Option<String> {
        let mut globs = Overlaps::default();
        assert_eq!(globs.add(0, one), None);
        globs.add(1, other).map(|it| match it.shared {
            Shared::Name(name) => name,
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn globs_that_match_the_same_name_are_told_with_one() {
        let cases = [
            ("shop", "shop", Some("All")),
            ("shop", "shop-*", None),
            ("shop*", "shop-*", Some("shop-")),
            ("team-*", "*-eu", Some("team-eu")),
            ("{a,b}x", "[bc]?", Some("bx")),
            ("a*b", "a?c", None),
            ("*", "a", Some("a")),
            ("[!a-z0-9]", "[!-]", None),
        ];
        for (one, other, name) in cases {
            let found = name_of_both(one, other);
            let is_as_told = match (&found, name) {
                // Several are the shortest.
                (Some(found), Some(name)) => found.len() <= name.len().max(8),
                (found, name) => found.is_none() && name.is_none(),
            };
            assert!(is_as_told, "{one} {other}: {found:?}");
            assert_eq!(name_of_both(other, one).is_some(), name.is_some(), "{other} {one}");
        }
        assert_eq!(name_of_both("team-*", "*-eu").as_deref(), Some("team-eu"));
    }

    #[test]
    fn globs_of_one_owner_may_overlap() {
        let mut globs = Overlaps::default();
        assert_eq!(globs.add(0, "shop"), None);
        assert_eq!(globs.add(0, "shop*"), None);
        let overlap = globs.add(1, "s*").unwrap();
        assert_eq!((overlap.owner, &*overlap.pattern), (0, "shop"));
    }

    #[test]
    fn what_is_too_long_for_a_name_overlaps_with_nothing() {
        assert_eq!(name_of_both(&"a".repeat(64), &format!("{}*", "a".repeat(64))), None);
        let most = "a".repeat(63);
        assert_eq!(name_of_both(&most, "a*"), Some(most));
    }

    #[test]
    fn globs_too_large_to_tell_are_taken_to_overlap() {
        let large = format!("*a{}", "?".repeat(40));
        assert!(automaton(&large).is_none());
        assert_eq!(name_of_both(&large, "*b").as_deref(), Some("Unknown"));
    }

    proptest! {
        /// What globset says of single names is the truth.
        #[test]
        fn a_name_that_two_globs_match_is_an_overlap(
            one in "([ab*?-]|\\[[ab]\\]|\\{a,b[*]\\}){1,6}",
            other in "([ab*?-]|\\[!a\\]|\\{ab,[?]\\}){1,6}",
            names in proptest::collection::vec("[ab-]{1,7}", 64),
        ) {
            let matcher = |it: &str| Glob::new(it).map(|it| it.compile_matcher());
            let (Ok(left), Ok(right)) = (matcher(&one), matcher(&other)) else { return Ok(()) };
            let is_shared = |name: &str| left.is_match(name) && right.is_match(name);
            let both = name_of_both(&one, &other);
            match both.filter(|_| one != other) {
                Some(name) => prop_assert!(is_shared(&name), "{one} {other} {name}"),
                None if one == other => {}
                None => for name in names {
                    prop_assert!(!is_shared(&name), "{one} {other} {name}");
                },
            }
        }
    }
}
