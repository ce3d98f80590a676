//! Go: panics, fatal errors and the goroutines below them, until the program's next ordinary line.
//!
//! As the runtime's `traceback` writes them, and `net/http` for a handler that panics. All other lines
//! stand alone, and are not held up.

use super::{State, Step};

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Blank,
    /// `panic: why`, `fatal error: why`, `SIGQUIT: quit`.
    Panic,
    /// `… http: panic serving 127.0.0.1:80: why`.
    Serving,
    /// `goroutine 1 [running]:`, `runtime stack:`.
    Goroutine,
    /// `main.(*T).f(0x1, 0x2)`.
    Frame,
    Indented,
    /// What else the runtime says in between: signals, registers, who created the goroutine.
    Note,
    Ordinary,
}

/// Begins of lines that begin a trace.
const PANICS: [&[u8]; 4] =
    [b"panic: ", b"fatal error: ", b"unexpected fault address ", b"runtime: "];
/// Begins of lines inside a trace.
const NOTES: [&[u8]; 6] =
    [b"[signal ", b"[originating from ", b"created by ", b"...", b"exit status ", b"PC="];
const SERVING: &[u8] = b"http: panic serving ";

/// Where `http: panic serving` stands in its line, in bytes: behind the time, and what else a
/// program's logger may put before its message.
const SERVING_WITHIN: usize = 128;
/// Longest name of a register.
const REGISTER_LEN_MAX: usize = 7;

#[inline]
pub(super) fn next(state: State, line: &[u8]) -> Step {
    let kind = Kind::of(line);
    match (state, kind) {
        (State::Panic | State::Trace, Kind::Blank | Kind::Indented | Kind::Note)
        | (State::Trace, Kind::Frame) => (true, state),
        (State::Panic, Kind::Panic) => (true, State::Panic),
        (State::Panic | State::Trace, Kind::Goroutine) => (true, State::Trace),
        (_, Kind::Panic | Kind::Serving) => (false, State::Panic),
        (_, Kind::Goroutine) => (false, State::Trace),
        _ => (false, State::Nothing),
    }
}

impl Kind {
    #[inline]
    fn of(line: &[u8]) -> Kind {
        let Some(first) = line.first() else { return Kind::Blank };
        if matches!(first, b' ' | b'\t') {
            return Kind::Indented;
        }
        if is_panic(line) {
            return Kind::Panic;
        }
        if is_goroutine(line) {
            return Kind::Goroutine;
        }
        if NOTES.iter().any(|begin| line.starts_with(begin)) || is_register(line) {
            return Kind::Note;
        }
        if is_serving(line) {
            return Kind::Serving;
        }
        if is_frame(line) { Kind::Frame } else { Kind::Ordinary }
    }
}

fn is_panic(line: &[u8]) -> bool {
    if let Some(rest) = line.strip_prefix(b"SIG") {
        let end = rest.iter().position(|byte| !byte.is_ascii_uppercase()).unwrap_or(rest.len());
        return end > 0 && rest[end..].starts_with(b": ");
    }
    PANICS.iter().any(|begin| line.starts_with(begin))
}

fn is_goroutine(line: &[u8]) -> bool {
    let number = line.strip_prefix(b"goroutine ").and_then(<[u8]>::first);
    number.is_some_and(u8::is_ascii_digit) || line == b"runtime stack:"
}

/// A name, blanks, and a number in hexadecimal.
fn is_register(line: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let head = &line[..line.len().min(REGISTER_LEN_MAX + 1)];
    let Some(end) = head.iter().position(|byte| !is_part(byte)) else { return false };
    let rest = line[end..].trim_ascii_start();
    end > 0 && line[end] == b' ' && rest.starts_with(b"0x")
}

fn is_serving(line: &[u8]) -> bool {
    let head = &line[..line.len().min(SERVING_WITHIN)];
    memchr::memchr_iter(b'h', head).any(|at| line[at..].starts_with(SERVING))
}

/// A call: no blank before its first parenthesis, and nothing behind its last.
fn is_frame(line: &[u8]) -> bool {
    line.last() == Some(&b')')
        && memchr::memchr3(b'(', b' ', b'\t', line).is_some_and(|at| at > 0 && line[at] == b'(')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::bytes::Regex;

    use super::*;

    /// The same in regular expressions, the first that matches.
    fn by_regex(line: &[u8]) -> Kind {
        const EXPRESSIONS: [(&str, Kind); 7] = [
            ("^$", Kind::Blank),
            (r"^[ \t]", Kind::Indented),
            (
                "^(panic: |fatal error: |unexpected fault address |runtime: |SIG[A-Z]+: )",
                Kind::Panic,
            ),
            (r"^(goroutine [0-9]|runtime stack:$)", Kind::Goroutine),
            (
                r"^(\[signal |\[originating from |created by |\.\.\.|exit status |PC=|[a-z0-9]{1,7} \s*0x)",
                Kind::Note,
            ),
            (r"(?-u)^.{0,127}http: panic serving ", Kind::Serving),
            (r"(?-u)^[^ \t(]+\(.*\)$", Kind::Frame),
        ];
        let matches = |text: &str| Regex::new(text).unwrap().is_match(line);
        EXPRESSIONS.iter().find(|(text, _)| matches(text)).map_or(Kind::Ordinary, |it| it.1)
    }

    proptest! {
        #[test]
        fn kinds_are_those_of_the_expressions(line in "[ \t]?(\
            (panic|fatal error|unexpected fault address|runtime|runtime stack|SIG|SIGX|PC=|h)?[: =]{0,2}|\
            goroutine [0-9a]|\\.{2,4}|(created by|exit status) |\\[(signal|originating from) |\
            [a-z0-9]{1,9} {0,2}0x|[0-9: ]{0,9}http: panic serving |\
            [a-z.*]{0,5}\\(?[a-z.*]{0,3}\\([a-z ]{0,2}\\))[a-z]{0,1}",
        ) {
            prop_assert_eq!(Kind::of(line.as_bytes()), by_regex(line.as_bytes()), "{:?}", line);
        }

        #[test]
        fn a_handlers_panic_is_found_only_near_the_begin_of_its_line(before in 0usize..200) {
            let line = format!("{}http: panic serving 127.0.0.1:1: no", "x".repeat(before));
            prop_assert_eq!(Kind::of(line.as_bytes()) == Kind::Serving, before < SERVING_WITHIN);
        }
    }
}
