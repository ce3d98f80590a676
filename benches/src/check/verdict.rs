//! Verdict: what is wrong with a delivery, by stream and in sum, for people and for programs.

use std::fmt;

use serde::Serialize;

use super::CheckOptions;
use crate::truth::StreamTruth;

/// Ranges of lost lines that are told, per stream.
const LOST_RANGES_MAX: usize = 8;

/// Faulty streams that are shown to people.
const SHOWN_STREAMS_MAX: usize = 20;

/// What arrived of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StreamVerdict {
    /// Number of the stream in its tokens.
    pub stream: u32,
    /// Path of its live file.
    pub path: String,
    /// Lines written.
    pub lines: u64,
    /// Lines that arrived, each counted once.
    pub arrived: u64,
    /// Lines that never arrived intact.
    pub lost: u64,
    /// Arrivals of a line that had arrived before.
    pub doubled: u64,
    /// Lines that arrived for the first time after a later one.
    pub out_of_order: u64,
    /// Lines that the agent says are of another pod, iostream or file.
    pub misattributed: u64,
    /// The first ranges of lost numbers, first and last.
    pub lost_ranges: Vec<(u64, u64)>,
}

impl StreamVerdict {
    pub(super) fn new(truth: &StreamTruth) -> StreamVerdict {
        StreamVerdict {
            stream: truth.stream,
            path: truth.path.clone(),
            lines: truth.lines,
            ..StreamVerdict::default()
        }
    }

    /// Counts the bits among the first `lines` of `seen` that are not set.
    pub(super) fn count_lost(&mut self, seen: &[u64], lines: u64) {
        self.lost = lines - self.arrived;
        if self.lost == 0 {
            return;
        }
        let is_seen = |number: u64| {
            let word = usize::try_from(number / 64).expect("fits, as the words do");
            seen[word] >> (number % 64) & 1 == 1
        };
        let mut number = 0;
        while number < lines && self.lost_ranges.len() < LOST_RANGES_MAX {
            let first = number;
            while number < lines && !is_seen(number) {
                number += 1;
            }
            if number > first {
                self.lost_ranges.push((first, number - 1));
            }
            number += 1;
        }
    }

    fn is_clean(&self, options: CheckOptions) -> bool {
        self.lost == 0
            && self.out_of_order == 0
            && self.misattributed == 0
            && (self.doubled == 0 || options.allow_doubled)
    }
}

/// What arrived of a load.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether everything is as it must be.
    pub ok: bool,
    /// Records taken.
    pub records: u64,
    /// Lines written, of all streams.
    pub lines: u64,
    /// Lines that arrived, each counted once.
    pub arrived: u64,
    /// Lines that never arrived intact.
    pub lost: u64,
    /// Arrivals of a line that had arrived before.
    pub doubled: u64,
    /// Lines that arrived for the first time after a later one.
    pub out_of_order: u64,
    /// Lines that the agent says are of another pod, iostream or file.
    pub misattributed: u64,
    /// Messages whose sum is wrong; the line counts as lost too.
    pub corrupt: u64,
    /// Messages without a token: cut, or of another writer.
    pub foreign: u64,
    /// Good messages of a stream or number that the truth does not know.
    pub unexpected: u64,
    /// Lines of input that are no record.
    pub unreadable: u64,
    /// Records whose cursor is not above the last one of their context.
    pub cursors_back: u64,
    /// Records without context or cursor.
    pub cursors_missing: u64,
    /// Records left out as repeats by their cursor; never a fault.
    pub deduplicated: u64,
    /// Declared gaps. No fault in themselves: what they cover counts as lost.
    pub gaps: u64,
    /// Bytes that the gaps declare.
    pub gap_bytes: u64,
    /// Streams with a fault, by number.
    pub faulty: Vec<StreamVerdict>,
    /// Streams in the truth.
    pub streams: u64,
}

impl Verdict {
    pub(super) fn sum_up(&mut self, streams: Vec<StreamVerdict>, options: CheckOptions) {
        for stream in &streams {
            self.lines += stream.lines;
            self.arrived += stream.arrived;
            self.lost += stream.lost;
            self.doubled += stream.doubled;
            self.out_of_order += stream.out_of_order;
            self.misattributed += stream.misattributed;
        }
        self.streams = streams.len() as u64;
        self.faulty = streams.into_iter().filter(|stream| !stream.is_clean(options)).collect();
        let cursors_ok =
            self.cursors_missing == 0 && (self.cursors_back == 0 || options.allow_doubled);
        self.ok = self.faulty.is_empty()
            && cursors_ok
            && self.corrupt == 0
            && self.foreign == 0
            && self.unexpected == 0
            && self.unreadable == 0;
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.ok { "ok" } else { "FAULTY" };
        writeln!(
            f,
            "{word}: {} of {} lines of {} streams arrived, in {} records",
            self.arrived, self.lines, self.streams, self.records
        )?;
        for (what, count) in [
            ("lost", self.lost),
            ("doubled", self.doubled),
            ("out of order", self.out_of_order),
            ("corrupt", self.corrupt),
            ("foreign (no token)", self.foreign),
            ("unexpected (not in the truth)", self.unexpected),
            ("misattributed (other pod, iostream or path)", self.misattributed),
            ("cursors not increasing", self.cursors_back),
            ("records without context or cursor", self.cursors_missing),
            ("unreadable input lines", self.unreadable),
            ("deduplicated by cursor", self.deduplicated),
            ("declared gaps", self.gaps),
            ("bytes in declared gaps", self.gap_bytes),
        ] {
            if count > 0 {
                writeln!(f, "  {count:>10}  {what}")?;
            }
        }
        for stream in self.faulty.iter().take(SHOWN_STREAMS_MAX) {
            write!(
                f,
                "stream {} {}: {} of {} lines, {} lost, {} doubled, {} out of order, {} misattributed",
                stream.stream,
                stream.path,
                stream.arrived,
                stream.lines,
                stream.lost,
                stream.doubled,
                stream.out_of_order,
                stream.misattributed
            )?;
            for (first, last) in &stream.lost_ranges {
                write!(f, " [{first}, {last}]")?;
            }
            writeln!(f)?;
        }
        let hidden = self.faulty.len().saturating_sub(SHOWN_STREAMS_MAX);
        if hidden > 0 {
            writeln!(f, "and {hidden} more faulty streams")?;
        }
        Ok(())
    }
}
