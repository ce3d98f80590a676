//! Pattern: a regular expression, compiled once within bounds; equal to one that reads the same.
//!
//! A line is matched by a table of states, made as they are met, at one step for each byte. An expression whose whole
//! table is too large would be matched by following all its ways at once, which can take as many steps for each byte as it
//! has parts, and hold up the reader of all tenants: it is refused.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};
use regex_automata::MatchKind;
use regex_automata::dfa::{StartKind, dense};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::syntax;

use crate::limits;

/// A regular expression on bytes.
#[derive(Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles `text`; on failure says why, in one line.
    pub(crate) fn new(text: &str) -> Result<Pattern, String> {
        let regex = RegexBuilder::new(text)
            .size_limit(limits::PATTERN_COMPILED_BYTES_MAX)
            // The table, and which ways each of its states stands for.
            .dfa_size_limit(2 * limits::PATTERN_TABLE_BYTES_MAX)
            .nest_limit(limits::PATTERN_DEPTH_MAX)
            .build();
        let regex = regex.map_err(|error| match error {
            regex::Error::CompiledTooBig(bytes) => {
                format!("takes more than {bytes} bytes when compiled")
            }
            // The text shows the place in several lines; the last says what is wrong with it.
            other => {
                let text = other.to_string();
                let why = text.lines().last().unwrap_or_default();
                why.strip_prefix("error: ").unwrap_or(why).to_owned()
            }
        })?;
        refuse_slow(text)?;
        Ok(Pattern(regex))
    }

    /// The compiled expression.
    #[must_use]
    pub fn regex(&self) -> &Regex {
        &self.0
    }
}

/// Refuses an expression that cannot be matched by a table within bounds.
fn refuse_slow(text: &str) -> Result<(), String> {
    let syntax = syntax::Config::new().utf8(false).nest_limit(limits::PATTERN_DEPTH_MAX);
    let config = thompson::Config::new()
        .utf8(false)
        .nfa_size_limit(Some(limits::PATTERN_COMPILED_BYTES_MAX))
        .which_captures(WhichCaptures::None);
    let nfa = thompson::Compiler::new().syntax(syntax).configure(config).build(text);
    // What is no expression was refused before.
    let nfa = nfa.map_err(|error| error.to_string())?;
    let table_max = limits::PATTERN_TABLE_BYTES_MAX;
    if has_unicode_words(&nfa) && nfa.states().len() > limits::PATTERN_UNICODE_WORD_STATES_MAX {
        return Err(r"its \b needs all of Unicode, which is slow in so large an expression; \
                     write (?-u:\b)"
            .to_owned());
    }
    let config = dense::Config::new()
        .match_kind(MatchKind::LeftmostFirst)
        .start_kind(StartKind::Unanchored)
        .unicode_word_boundary(true)
        .dfa_size_limit(Some(table_max))
        .determinize_size_limit(Some(2 * table_max));
    match dense::Builder::new().configure(config).build_from_nfa(&nfa) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("takes more than {table_max} bytes as a table of states")),
    }
}

/// Whether it asks where words of Unicode begin or end: no table tells that beside a character that is not ASCII.
fn has_unicode_words(nfa: &NFA) -> bool {
    nfa.look_set_any().contains_word_unicode()
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_str().fmt(f)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_patterns_are_refused_at_once_and_in_one_line() {
        let nested = format!("{}a{}", "(".repeat(1000), ")".repeat(1000));
        for text in ["((a{1,100}){1,100}){1,100}", r"\w{5000}", nested.as_str(), "(", "a\n("] {
            let why = Pattern::new(text).unwrap_err();
            assert!(!why.is_empty() && !why.contains('\n'), "{text:.20}: {why}");
        }
    }

    #[test]
    fn usual_patterns_are_within_the_bounds() {
        for text in [
            r"^\d{4}-\d{2}-\d{2}",
            r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}",
            r"^\s+\w+(\.\w+)*\(",
            r"\w+ \w+",
            r"(?i)^\[?(trace|debug|info)\b",
            r"(?i)\b(trace|debug|info|warn|error|fatal|critical)\b",
            r"^\s|^Caused by:|^\.\.\. \d+ more",
            r"(?-u)^\xff",
        ] {
            Pattern::new(text).unwrap();
        }
    }

    #[test]
    fn an_expression_that_could_take_many_steps_for_each_byte_of_a_line_is_refused() {
        // It has to remember where each of the last thousand bytes would lead to: 22 s for a line of 256 KiB with
        // ten thousand of them.
        for text in [r"(?-u)[a-m][ -~]{1000}[^ -~]", r"(?-u)[a-m][ -~]{20}[^ -~]"] {
            let why = Pattern::new(text).unwrap_err();
            assert!(why.contains("bytes as a table of states"), "{text}: {why}");
        }
        // Of the same length, and never in doubt.
        Pattern::new(r"(?-u)[ -~]{1000}[^ -~]").unwrap();
        let words = format!(r"\b({})\b", "x{1,9}y|".repeat(20));
        let why = Pattern::new(&words).unwrap_err();
        assert!(why.contains(r"(?-u:\b)"), "{why}");
        Pattern::new(&words.replace(r"\b", r"(?-u:\b)")).unwrap();
    }
}
