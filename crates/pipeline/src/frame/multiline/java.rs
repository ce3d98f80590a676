//! Java: stack traces, together with the line of the logger above them.
//!
//! As `Throwable.printStackTrace` writes them, which Logback, Log4j and `java.util.logging` follow:
//! the exception, its frames, its causes and what was suppressed. Loggers write their own line
//! before the exception, which is why a line that names an exception belongs to the ordinary one
//! before. Indented lines always belong to the one before, whatever they are: a message, SQL, a dump
//! of locks.

use super::{State, Step};

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Blank,
    /// `<tab>at a.b.C.d(C.java:1)`, `<tab>... 7 more`.
    Frame,
    Indented,
    /// `Caused by: a.b.C`.
    Cause,
    /// `a.b.CException: why`.
    Exception,
    /// `Exception in thread "main" a.b.CException: why`.
    Thread,
    Ordinary,
}

/// Begins of lines that go on with a trace.
const CAUSES: [&[u8]; 4] =
    [b"Caused by: ", b"Suppressed: ", b"Wrapped by: ", b"nested exception is:"];
/// What classes that can be thrown are called.
const THROWABLES: [&[u8]; 3] = [b"Exception", b"Error", b"Throwable"];

#[inline]
pub(super) fn next(state: State, line: &[u8]) -> Step {
    let kind = Kind::of(line);
    let belongs = match kind {
        // Messages have empty lines, and some write one before the cause.
        Kind::Blank => state == State::Trace,
        Kind::Frame | Kind::Indented | Kind::Cause => state != State::Nothing,
        // After frames it is another exception, not the same.
        Kind::Exception => state == State::Line,
        Kind::Thread | Kind::Ordinary => false,
    };
    let next = match kind {
        Kind::Blank | Kind::Indented if belongs => state,
        Kind::Blank => State::Nothing,
        Kind::Indented | Kind::Ordinary => State::Line,
        Kind::Frame | Kind::Cause | Kind::Exception | Kind::Thread => State::Trace,
    };
    (belongs, next)
}

impl Kind {
    #[inline]
    fn of(line: &[u8]) -> Kind {
        match line.first() {
            None => Kind::Blank,
            Some(b' ' | b'\t') => Kind::of_indented(line),
            Some(first) if first.is_ascii_alphabetic() => Kind::of_word(line),
            Some(_) => Kind::Ordinary,
        }
    }

    fn of_indented(line: &[u8]) -> Kind {
        let start = line.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
        let text = &line[start.unwrap_or(line.len())..];
        let is_frame = text.starts_with(b"at ") || text.starts_with(b"... ");
        if is_frame { Kind::Frame } else { Kind::Indented }
    }

    fn of_word(line: &[u8]) -> Kind {
        if CAUSES.iter().any(|begin| line.starts_with(begin)) {
            return Kind::Cause;
        }
        if line.starts_with(b"Exception in thread ") {
            return Kind::Thread;
        }
        let is_part =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$');
        let end = line.iter().position(|byte| !is_part(byte)).unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        let is_name = rest.is_empty() || rest[0] == b':';
        if is_name
            && THROWABLES.iter().any(|suffix| name.ends_with(suffix))
            && memchr::memchr(b'.', name).is_some()
        {
            return Kind::Exception;
        }
        Kind::Ordinary
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
            (r"^[ \t]+(at |\.\.\. )", Kind::Frame),
            (r"^[ \t]", Kind::Indented),
            ("^(Caused by: |Suppressed: |Wrapped by: |nested exception is:)", Kind::Cause),
            ("^Exception in thread ", Kind::Thread),
            (
                r"^[A-Za-z][A-Za-z0-9_$.]*\.[A-Za-z0-9_$.]*(Exception|Error|Throwable)(:|$)",
                Kind::Exception,
            ),
        ];
        let matches = |text: &str| Regex::new(text).unwrap().is_match(line);
        EXPRESSIONS.iter().find(|(text, _)| matches(text)).map_or(Kind::Ordinary, |it| it.1)
    }

    proptest! {
        #[test]
        fn kinds_are_those_of_the_expressions(line in "(\
            [ \t]{0,2}(at|\\.\\.\\.|Caused by:|Suppressed:|nested exception is:| )?[ ]?\
            (Exception in thread )?([a-z]{0,2}\\.?[A-Z]?(\\$|_)?(Exception|Error|Err|Throwable)?)?\
            (: ?|\\.)?[a-z ]{0,3}|.{0,20})",
        ) {
            prop_assert_eq!(Kind::of(line.as_bytes()), by_regex(line.as_bytes()), "{:?}", line);
        }
    }
}
