//! Groups: what a LogConfig takes together, against the lines of the [`Model`].
//!
//! A line whose number ends with 0, 3 or 7 begins a group, and the others go on from it. Which lines
//! become one record depends on when the tailer looks. But put together, the records of a stream are its
//! lines, in order; none has a line within it that begins a group; and a line is not torn from the one
//! before, but by the limit of a record, if both were written to one file within the time-out, before the next had lines, read by one
//! life of the source's, and no gap was declared in between.

use flow::RecordFlags;
use pipeline::frame::multiline::{Multiline, Pattern, Rule};
use regex::bytes::Regex;

use crate::{Delivered, Whole};

/// How long a group waits for its next line, in nanoseconds.
pub const GROUP_NS: u64 = 700_000_000;

/// How all beds group that do.
///
/// # Panics
/// Never.
#[must_use]
pub fn multiline() -> Multiline {
    let begin = Regex::new("^[0-9]*[037]([^0-9]|$)").expect("a pattern");
    Multiline {
        rule: Rule::Begin(Pattern::new(begin)),
        timeout_ns: GROUP_NS,
        lines_max: 100,
        bytes_max: 100_000,
    }
}

/// A line of a stream, as the model has it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) line: Whole,
    /// File and life that it was written to, by number.
    pub(crate) place: (usize, usize),
    /// Which life of the source's delivered it.
    pub(crate) source: u32,
    /// When it was written as a whole.
    pub(crate) at_ns: u64,
    /// … when its writer's next file had lines already.
    pub(crate) is_late: bool,
}

/// Whether a line begins a group.
fn begins(line: &[u8]) -> bool {
    let last = line.iter().take_while(|byte| byte.is_ascii_digit()).last();
    matches!(last, Some(b'0' | b'3' | b'7'))
}

/// Checks the records of one stream, by cursor, against its lines.
///
/// # Errors
/// What is wrong first.
pub(crate) fn check(
    records: &[&Delivered],
    members: &[Member],
    gaps: &[u64],
) -> Result<(), String> {
    let mut rest = members.iter().enumerate();
    let mut was_part = false;
    for record in records {
        // The line end between two parts is the first one's.
        let is_part = record.flags.has(RecordFlags::PART);
        let body = record.body.strip_suffix(b"\n").filter(|_| is_part).unwrap_or(&record.body);
        let goes_on = std::mem::replace(&mut was_part, is_part);
        for (number, got) in body.split(|byte| *byte == b'\n').enumerate() {
            let (index, want) = rest.next().ok_or_else(|| format!("more than all: {record:?}"))?;
            if got != want.line.content {
                return Err(format!("line {index} is {want:?}, not line {number} of {record:?}"));
            }
            let before = index.checked_sub(1).map(|it| &members[it]);
            if number > 0 && begins(got) {
                return Err(format!("line {number} begins a group of its own: {record:?}"));
            }
            let is_torn = number == 0 && !goes_on && !begins(got);
            if let Some(before) = before.filter(|it| is_torn && belong(it, want, gaps)) {
                return Err(format!("{record:?} is torn from {before:?}"));
            }
        }
    }
    rest.next().map_or(Ok(()), |(_, lost)| Err(format!("not delivered: {lost:?}")))
}

/// Whether nothing tears one line from the one before.
fn belong(before: &Member, line: &Member, gaps: &[u64]) -> bool {
    let is_gap = |at: &u64| (before.line.cursor + 1..=line.line.cursor).contains(at);
    before.place == line.place
        && before.source == line.source
        && !line.is_late
        && line.at_ns < before.at_ns + GROUP_NS
        && !gaps.iter().any(is_gap)
}
