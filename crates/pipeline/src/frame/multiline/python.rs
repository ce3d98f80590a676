//! Python: tracebacks, from their first line to that of the exception, and those chained to them.
//!
//! As the interpreter's `traceback` module writes them: frames are indented, the exception is not.
//! Trees of exceptions (`ExceptionGroup`) are indented to their end. All other lines stand alone, and
//! are not held up.

use super::{State, Step};

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Blank,
    Traceback,
    /// The first line of a tree of exceptions.
    Tree,
    /// `  File "x.py", line 1`: a frame; of an error of syntax also the first line of all.
    File,
    Indented,
    /// Another traceback follows.
    Chain,
    Ordinary,
}

const TRACEBACK: &[u8] = b"Traceback (most recent call last):";
const TREE: &[u8] = b"  + Exception Group Traceback (most recent call last):";
const FILE: &[u8] = b"  File \"";
const CHAINS: [&[u8]; 2] = [
    b"During handling of the above exception, another exception occurred:",
    b"The above exception was the direct cause of the following exception:",
];

#[inline]
pub(super) fn next(state: State, line: &[u8]) -> Step {
    let kind = Kind::of(line);
    match follows(state, kind) {
        Some(next) => (true, next),
        None => (false, begins(kind)),
    }
}

/// The state after a line that belongs to the one before.
#[inline]
fn follows(state: State, kind: Kind) -> Option<State> {
    let is_indented = matches!(kind, Kind::Tree | Kind::File | Kind::Indented);
    match (state, kind) {
        (State::Trace, Kind::Traceback) => None,
        (State::Trace | State::Exception | State::Gap, Kind::Chain) => Some(State::Chain),
        (State::Trace, Kind::Ordinary) => Some(State::Exception),
        (State::Trace, _) => Some(State::Trace),
        // Messages of several lines are often indented.
        (State::Exception, Kind::Indented) => Some(State::Exception),
        (State::ExceptionGroup, _) if is_indented => Some(State::ExceptionGroup),
        (State::Exception | State::ExceptionGroup, Kind::Blank) => Some(State::Gap),
        (State::Chain, Kind::Blank) => Some(State::Chain),
        (State::Chain, Kind::Traceback) => Some(State::Trace),
        (State::Chain, Kind::Tree) => Some(State::ExceptionGroup),
        _ => None,
    }
}

fn begins(kind: Kind) -> State {
    match kind {
        Kind::Traceback | Kind::File => State::Trace,
        Kind::Tree => State::ExceptionGroup,
        Kind::Blank | Kind::Indented | Kind::Chain | Kind::Ordinary => State::Nothing,
    }
}

impl Kind {
    #[inline]
    fn of(line: &[u8]) -> Kind {
        match line.first() {
            None => Kind::Blank,
            Some(b' ') if line.starts_with(FILE) => Kind::File,
            Some(b' ') if line.starts_with(TREE) => Kind::Tree,
            Some(b' ' | b'\t') => Kind::Indented,
            Some(b'T') if line.starts_with(TRACEBACK) => Kind::Traceback,
            Some(b'D' | b'T') if CHAINS.iter().any(|begin| line.starts_with(begin)) => Kind::Chain,
            Some(_) => Kind::Ordinary,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::bytes::Regex;

    use super::*;

    /// The same in regular expressions, the first that matches.
    fn by_regex(line: &[u8]) -> Kind {
        const EXPRESSIONS: [(&str, Kind); 6] = [
            ("^$", Kind::Blank),
            (r#"^  File ""#, Kind::File),
            (r"^  \+ Exception Group Traceback \(most recent call last\):", Kind::Tree),
            (r"^[ \t]", Kind::Indented),
            (r"^Traceback \(most recent call last\):", Kind::Traceback),
            (
                "^(During handling of the above exception, another exception occurred:\
                 |The above exception was the direct cause of the following exception:)",
                Kind::Chain,
            ),
        ];
        let matches = |text: &str| Regex::new(text).unwrap().is_match(line);
        EXPRESSIONS.iter().find(|(text, _)| matches(text)).map_or(Kind::Ordinary, |it| it.1)
    }

    proptest! {
        #[test]
        fn kinds_are_those_of_the_expressions(line in "(\
            [ \t]{0,3}(File \"|\\+ Exception Group )?(Traceback \\(most recent call last\\):?)?|\
            [ ]?During handling of the above exception, another exception occurred:?|\
            (The|the) above exception was the direct cause of the following exception:)?.{0,3}",
        ) {
            prop_assert_eq!(Kind::of(line.as_bytes()), by_regex(line.as_bytes()), "{:?}", line);
        }
    }
}
