//! Check: proves from delivered records alone that every generated line arrived once, whole and in
//! order.
//!
//! Feed it each delivered record and ask for the verdict at the end. One bit per line of the truth;
//! nothing else grows with the load. It trusts the token in a message and not what the agent says
//! about it; what the agent says (context, cursor, pod, path) is checked against the truth.

mod delivered;
mod verdict;

use std::collections::HashMap;

use crate::token::{Token, TokenError, verify};
use crate::truth::StreamTruth;

pub use delivered::Delivered;
pub use verdict::{StreamVerdict, Verdict};

/// What a checker lets pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckOptions {
    /// Applies the rule for consumers first: a record whose cursor is not above the last one of its
    /// context is a repeat and is left out. What remains has to be exact.
    pub dedup: bool,
    /// Takes lines that arrive again as at-least-once delivery and not as a fault.
    pub allow_doubled: bool,
    /// Does not compare paths: the agent saw the files under another root.
    pub ignore_path: bool,
}

/// What is known of one stream.
#[derive(Debug)]
struct StreamCheck {
    truth: StreamTruth,
    /// One bit per line.
    seen: Vec<u64>,
    /// One more than the highest number seen.
    next: u64,
    verdict: StreamVerdict,
}

/// Compares delivered records with the truth.
#[derive(Debug)]
pub struct Checker {
    options: CheckOptions,
    streams: HashMap<u32, StreamCheck>,
    /// Last cursor of each context (and epoch) and iostream.
    cursors: HashMap<CursorKey, u64>,
    verdict: Verdict,
}

/// What cursors are counted within. An agent may deliver a line of stderr before one of stdout that
/// began earlier and ended later, hence the iostream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct CursorKey {
    context: String,
    epoch: u64,
    iostream: Option<String>,
}

/// Where a cursor stands against the last one of its context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CursorStep {
    Forward,
    Back,
    Untold,
}

impl Checker {
    /// A checker that has seen nothing yet.
    #[must_use]
    pub fn new(truth: Vec<StreamTruth>, options: CheckOptions) -> Checker {
        let streams = truth
            .into_iter()
            .map(|truth| {
                let words = usize::try_from(truth.lines.div_ceil(64)).expect("a bit per line");
                let verdict = StreamVerdict::new(&truth);
                (truth.stream, StreamCheck { truth, seen: vec![0; words], next: 0, verdict })
            })
            .collect();
        Checker { options, streams, cursors: HashMap::new(), verdict: Verdict::default() }
    }

    /// Takes the next line of the agent's output, one JSON object.
    pub fn take_line(&mut self, line: &[u8]) {
        match serde_json::from_slice::<Delivered>(line) {
            Ok(record) => self.take(&record),
            Err(_) => {
                self.verdict.records += 1;
                self.verdict.unreadable += 1;
            }
        }
    }

    /// Takes the next delivered record.
    pub fn take(&mut self, record: &Delivered) {
        self.verdict.records += 1;
        if record.is_gap() {
            self.verdict.gaps += 1;
            self.verdict.gap_bytes += record.gap_bytes.unwrap_or(0);
            return;
        }
        match self.step_cursor(record) {
            CursorStep::Forward => {}
            CursorStep::Back if self.options.dedup => {
                self.verdict.deduplicated += 1;
                return;
            }
            CursorStep::Back => self.verdict.cursors_back += 1,
            CursorStep::Untold => self.verdict.cursors_missing += 1,
        }
        match verify(record.body.as_bytes()) {
            Ok(token) => self.take_token(token, record),
            Err(TokenError::WrongSum) => self.verdict.corrupt += 1,
            Err(TokenError::Missing) => self.verdict.foreign += 1,
        }
    }

    /// The verdict on all that was taken.
    #[must_use]
    pub fn finish(self) -> Verdict {
        let mut verdict = self.verdict;
        let mut streams: Vec<StreamVerdict> = self
            .streams
            .into_values()
            .map(|stream| {
                let mut verdict = stream.verdict;
                verdict.count_lost(&stream.seen, stream.truth.lines);
                verdict
            })
            .collect();
        streams.sort_unstable_by_key(|stream| stream.stream);
        verdict.sum_up(streams, self.options);
        verdict
    }

    fn step_cursor(&mut self, record: &Delivered) -> CursorStep {
        let (Some(context), Some(cursor)) = (&record.context, record.cursor) else {
            return CursorStep::Untold;
        };
        let key = CursorKey {
            context: context.clone().into_owned(),
            epoch: record.epoch.unwrap_or(0),
            iostream: record.iostream.as_ref().map(|io| io.clone().into_owned()),
        };
        match self.cursors.get_mut(&key) {
            Some(last) if *last >= cursor => CursorStep::Back,
            Some(last) => {
                *last = cursor;
                CursorStep::Forward
            }
            None => {
                self.cursors.insert(key, cursor);
                CursorStep::Forward
            }
        }
    }

    fn take_token(&mut self, token: Token, record: &Delivered) {
        let stream = self.streams.get_mut(&token.stream);
        let Some(stream) = stream.filter(|stream| token.number < stream.truth.lines) else {
            self.verdict.unexpected += 1;
            return;
        };
        if !record.is_of(&stream.truth, self.options.ignore_path) {
            stream.verdict.misattributed += 1;
        }
        let word = usize::try_from(token.number / 64).expect("fits, as the truth's lines do");
        let bit = 1 << (token.number % 64);
        if stream.seen[word] & bit != 0 {
            stream.verdict.doubled += 1;
            return;
        }
        stream.seen[word] |= bit;
        stream.verdict.arrived += 1;
        if token.number < stream.next {
            stream.verdict.out_of_order += 1;
        } else {
            stream.next = token.number + 1;
        }
    }
}

#[cfg(test)]
mod tests;
