//! Pattern: a regular expression, compiled once within bounds; equal to one that reads the same.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

use crate::limits;

/// A regular expression on bytes.
#[derive(Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles `text`; on failure says why, in one line.
    pub(crate) fn new(text: &str) -> Result<Pattern, String> {
        let regex = RegexBuilder::new(text)
            .size_limit(limits::PATTERN_COMPILED_BYTES_MAX)
            .dfa_size_limit(limits::PATTERN_COMPILED_BYTES_MAX)
            .nest_limit(limits::PATTERN_DEPTH_MAX)
            .build();
        regex.map(Pattern).map_err(|error| match error {
            regex::Error::CompiledTooBig(bytes) => {
                format!("takes more than {bytes} bytes when compiled")
            }
            // The text shows the place in several lines; the last says what is wrong with it.
            other => {
                let text = other.to_string();
                let why = text.lines().last().unwrap_or_default();
                why.strip_prefix("error: ").unwrap_or(why).to_owned()
            }
        })
    }

    /// The compiled expression.
    #[must_use]
    pub fn regex(&self) -> &Regex {
        &self.0
    }
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
        for text in [r"^\d{4}-\d{2}-\d{2}", r"^\s+\w+(\.\w+)*\(", r"(?i)^\[?(trace|debug|info)\b"] {
            Pattern::new(text).unwrap();
        }
    }
}
