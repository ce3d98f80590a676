//! Multi-line: which lines of a stream belong to the line before them.
//!
//! A rule is asked line by line, in order, and keeps one small state per stream. It sees the content
//! alone: neither the runtime's prefix nor the line end. What it takes together is a *group*; making
//! one record of a group is the business of [`group`](super::group).
//!
//! A line that begins a group also begins one if nothing is known of the lines before, and the same
//! may follow it. So a restart, which knows nothing but where a group begins, finds the same groups.

use regex::bytes::Regex;

mod go;
mod java;
mod python;

/// How lines become groups, and what ends a group all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multiline {
    /// What belongs together.
    pub rule: Rule,
    /// How long a group waits for its next line, in nanoseconds.
    pub timeout_ns: u64,
    /// Most lines of one record; fewer than [`RECORDS_MAX`](super::RECORDS_MAX).
    pub lines_max: u32,
    /// Longest record of several lines, in bytes.
    pub bytes_max: u32,
}

/// What belongs together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// A line that matches begins a group.
    Begin(Pattern),
    /// A line that matches belongs to the line before.
    Continue(Pattern),
    /// A line that matches is the last of its group.
    End(Pattern),
    /// Stack traces of Java and what else runs on its machine.
    Java,
    /// Tracebacks of Python.
    Python,
    /// Panics and goroutines of Go.
    Go,
}

/// A regular expression; equal to another if it reads the same.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// What a rule remembers of the lines before, of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Nothing that the next line could belong to.
    #[default]
    Nothing,
    /// An ordinary line, which others may belong to.
    Line,
    /// Inside a stack trace.
    Trace,
    /// Python: the line of the exception, which ends the traceback.
    Exception,
    /// Python: an empty line behind that one.
    Gap,
    /// Python: the announcement of another traceback.
    Chain,
    /// Python: inside a tree of exceptions.
    ExceptionGroup,
    /// Go: the message, before the first goroutine.
    Panic,
}

impl Rule {
    /// Whether `line` belongs to the group of the line before, whose state becomes its own.
    ///
    /// After the last line of a group the state is [`State::Nothing`].
    #[inline]
    pub fn belongs(&self, state: &mut State, line: &[u8]) -> bool {
        match self {
            Rule::Begin(pattern) => {
                let belongs = *state != State::Nothing && !pattern.matches(line);
                *state = State::Line;
                belongs
            }
            Rule::Continue(pattern) => {
                let belongs = *state != State::Nothing && pattern.matches(line);
                *state = State::Line;
                belongs
            }
            Rule::End(pattern) => {
                let belongs = *state != State::Nothing;
                *state = if pattern.matches(line) { State::Nothing } else { State::Line };
                belongs
            }
            Rule::Java => step(java::next(*state, line), state),
            Rule::Python => step(python::next(*state, line), state),
            Rule::Go => step(go::next(*state, line), state),
        }
    }
}

/// What a preset says about a line: whether it belongs to the one before, and the state after it.
type Step = (bool, State);

#[inline]
fn step((belongs, next): Step, state: &mut State) -> bool {
    *state = next;
    belongs
}

impl Pattern {
    /// Matches lines by `regex`.
    #[must_use]
    pub fn new(regex: Regex) -> Pattern {
        Pattern(regex)
    }

    fn matches(&self, line: &[u8]) -> bool {
        self.0.is_match(line)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests;
