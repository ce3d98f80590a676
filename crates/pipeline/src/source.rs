//! Source: one chain of generations being read, such as a container's stdout.
//!
//! `app.log`, `app.log.1`, … are generations of one chain; the cursor counts over all of them. A
//! source belongs to one reader thread. It decides *what* to read next ([`Source::look`]) and turns
//! a chunk into records ([`Source::read`]); when, and who pays for the memory, is the reader's
//! business. It holds no bytes: what a read does not consume stays in the file.

use std::path::PathBuf;
use std::sync::Arc;

use flow::{Context, ContextId, GapReason, Position, RecordFlags, SourceId, Span, is_mutant};

use crate::frame::multiline::{Multiline, State};
use crate::frame::{Format, Streams};
use crate::fs::{FileId, Fs, Inflaters, Stat};
use crate::limits::LimitReport;
use crate::meter::SourceMeter;
use crate::reader::WaitsFor;

mod carrier;
mod classify;
mod content;
mod cut;
mod failure;
mod generation;
mod hold;
mod holes;
mod identity;
mod look;
mod missing;
mod passed;
mod portion;
mod read;
mod reconcile;
mod rest;
mod resume;
mod room;
mod short;
mod waiting;

pub use carrier::Carrier;
pub use generation::Generation;
pub use identity::generation_key;
pub use look::Look;
pub use missing::{Missing, MissingOf};
pub use portion::Portion;
pub use read::ReadOutcome;
pub use rest::Resting;
pub use resume::Known;
use waiting::Waiting;

/// Where to begin with files that were there before the agent first saw them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// At their first byte.
    Beginning,
    /// At their end: only what is written from now on.
    End,
}

/// How a rule wants its sources read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceOptions {
    /// Format of the lines; `None` tells container formats apart by the first line.
    pub format: Option<Format>,
    /// Where to begin with files first seen at start-up.
    pub start_at: StartAt,
    /// Longest record, in bytes.
    pub line_bytes_max: u32,
    /// How long an unfinished line waits for its end, in nanoseconds.
    pub flush_timeout_ns: u64,
    /// Which lines become one record, if not each its own.
    pub multiline: Option<Multiline>,
    /// How long a rotated or removed generation is watched for late writes, in nanoseconds.
    pub late_writes_ns: u64,
    /// One of so many records is kept; each, if absent.
    pub sample_one_in: Option<u32>,
    /// Streams whose records are left out.
    pub skip: RecordFlags,
    /// How long to gather before reading, in nanoseconds.
    pub linger_ns: u64,
}

/// A chain that a rule selected.
#[derive(Debug, Clone)]
pub struct SourceSpec {
    /// Whose records.
    pub context: Arc<Context>,
    /// Name of the LogConfig that selected it.
    pub rule: Arc<str>,
    /// Which of the plan's sinks it goes to.
    pub sink: usize,
    /// How to read it.
    pub options: Arc<SourceOptions>,
    /// The file system, as far as the LogConfig reaches.
    pub fs: Arc<dyn Fs>,
    /// Its files take the memory of a log disk until they are delivered.
    pub is_on_log_disk: bool,
}

/// A file of the chain, as a look at its directory showed it.
#[derive(Debug, Clone)]
pub struct SeenFile {
    /// Path now.
    pub path: PathBuf,
    /// What the file system said.
    pub stat: Stat,
    /// Its compressed form, which stands beside it.
    pub packed: Option<FileId>,
}

/// One chain being read.
#[derive(Debug)]
pub struct Source {
    /// Number within this life of the data plane.
    pub id: SourceId,
    /// What was asked for.
    pub spec: SourceSpec,
    /// What it counts into.
    pub meter: Arc<SourceMeter>,
    /// Epoch of the context.
    pub epoch: u32,
    /// Cursor of the next byte to be read.
    pub cursor: u64,
    /// The next section is the context's first.
    pub is_first: bool,
    /// Oldest first; the live file, if there is one, last.
    generations: Vec<Generation>,
    /// How far those were read, before the start, whose file has not been seen since; and before these, which files are
    /// copies of others, as the queue was told.
    orphans: Vec<Position>,
    /// The generation that was read last before the start.
    newest_before: Option<u64>,
    /// That one is not there.
    vanished: Option<Vanished>,
    /// The chain has no file any more, since then.
    gone_since_ns: Option<u64>,
    /// Of which streams the next line goes on from a part that was delivered.
    continued: Streams<bool>,
    /// Turns to inflate compressed generations, shared with others of its lane.
    pub inflaters: Arc<Inflaters>,
    /// What the next line of each stream may belong to.
    states: Streams<State>,
    waiting: Waiting,
    /// The generation that `cursor` moves in.
    current: usize,
    retry: Retry,
    /// Errors of opening or reading that the meter was not told of.
    pub errors: u64,
    /// Monotonic time at which the bytes to be read next were first noticed.
    pub seen_ns: u64,
    /// Generations done with for good, and the cursor up to which they must stay in the checkpoint.
    pub forgotten: Vec<(u64, u64)>,
    /// Where generations stand now that are in copies which end before what was read, once that cursor is safe.
    pub moved: Vec<(u64, Position)>,
    /// Bytes known to be unread, as last reported.
    lag_bytes: u64,
    /// Unread bytes at risk, as last reported.
    risk_bytes: u64,
    /// Bytes of removed files that it holds open, as last reported.
    pinned_bytes: u64,
    files: hold::Files,
    /// Its log disk is being used up, or has kept bytes for long, as last seen.
    is_disk_pressed: bool,
    /// Something of its tenant has waited for long.
    waits_long: bool,
    /// How many new files may be opened before it is their turn.
    pub open_max: u32,
    /// What a read may bring.
    pub portion: Portion,
}

/// A generation that was being read before the start, and has not been seen since.
#[derive(Debug, Clone, Copy)]
struct Vanished {
    generation: u64,
    reason: GapReason,
    since_ns: u64,
}

/// Back-off of a source whose file cannot be opened or read.
#[derive(Debug, Default)]
struct Retry {
    failures: u32,
    at_ns: u64,
}

/// First pause after a failed open or read.
const RETRY_FIRST_NS: u64 = 100_000_000;
/// Longest pause after repeated failures: rights are granted by people, who expect an effect soon.
const RETRY_MAX_NS: u64 = 5_000_000_000;

impl Retry {
    fn fail(&mut self, now_ns: u64) -> u64 {
        let pause = RETRY_FIRST_NS << self.failures.min(16);
        self.failures += 1;
        self.at_ns = now_ns + pause.min(RETRY_MAX_NS);
        self.at_ns
    }
}

/// What a reader tells about a source on request.
#[derive(Debug, Clone)]
pub struct SourceReport {
    /// Number within this life of the data plane.
    pub id: SourceId,
    /// Whose records.
    pub context: Arc<Context>,
    /// The LogConfig that selected it.
    pub rule: Arc<str>,
    /// Epoch.
    pub epoch: u32,
    /// Cursor of the next byte to be read.
    pub cursor: u64,
    /// Monotonic time at which the bytes to be read next were first noticed.
    pub seen_ns: u64,
    /// Bytes known to be unread.
    pub lag_bytes: u64,
    /// … of which the next rotation removes so many; or all, if they press on their log disk.
    pub at_risk_bytes: u64,
    /// They use up their log disk, or have waited there for long.
    pub is_disk_pressed: bool,
    /// Failures in a row of opening or reading.
    pub failures: u32,
    /// What holds it back, if it has something to read.
    pub waits_for: Option<WaitsFor>,
    /// Where its limits stand.
    pub limits: Vec<LimitReport>,
    /// Path, offset, size as last seen, whether open: of each generation.
    pub generations: Vec<GenerationReport>,
}

/// What a reader tells about a generation on request.
#[derive(Debug, Clone)]
pub struct GenerationReport {
    /// Path as last seen.
    pub path: PathBuf,
    /// Next byte to be read.
    pub offset: u64,
    /// Size as last seen.
    pub size: u64,
    /// Whether it has no name any more.
    pub is_gone: bool,
    /// Whether the next rotation removes it.
    pub is_endangered: bool,
}

impl Source {
    /// A source that goes on from `known`.
    #[must_use]
    pub fn new(id: SourceId, spec: SourceSpec, meter: Arc<SourceMeter>, known: &Known) -> Source {
        let newest = known.newest();
        let is_forgotten = is_mutant("continued_forgotten");
        Source {
            id,
            spec,
            meter,
            epoch: known.epoch,
            cursor: known.cursor,
            is_first: known.is_new,
            generations: Vec::new(),
            orphans: known.generations.clone(),
            newest_before: newest.filter(|_| !known.is_newest_settled),
            vanished: None,
            gone_since_ns: None,
            continued: if is_forgotten { Streams::default() } else { known.continued },
            inflaters: Arc::default(),
            states: Streams::default(),
            waiting: Waiting::default(),
            current: 0,
            retry: Retry::default(),
            errors: 0,
            seen_ns: 0,
            forgotten: Vec::new(),
            moved: Vec::new(),
            lag_bytes: 0,
            risk_bytes: 0,
            pinned_bytes: 0,
            files: hold::Files::default(),
            is_disk_pressed: false,
            waits_long: false,
            open_max: u32::MAX,
            portion: Portion::ALL,
        }
    }

    /// Id of its context.
    #[must_use]
    pub fn context_id(&self) -> ContextId {
        self.spec.context.id
    }

    /// Takes the next `bytes` cursors.
    fn advance(&mut self, bytes: u64) -> Span {
        let span = Span::new(self.cursor, self.cursor + bytes);
        self.cursor = span.end;
        span
    }

    /// The chain is gone and was read to its end: where its end is.
    pub fn end(&mut self) -> Span {
        self.advance(0)
    }

    /// What to remember when the source is closed while the data plane lives on.
    #[must_use]
    pub fn known(&self) -> Known {
        // Of those that have no file, all was read or declared.
        let is_settled = |it: &Generation| it.is_gone && it.unread_bytes() == 0;
        let is_newest_settled = self.generations.iter().all(is_settled) && self.vanished.is_none();
        Known {
            epoch: self.epoch,
            cursor: self.cursor,
            is_new: self.is_first,
            generations: self.positions(),
            is_newest_settled,
            continued: self.continued,
        }
    }

    fn positions(&self) -> Vec<Position> {
        let own = self.generations.iter().map(Generation::position);
        self.orphans.iter().copied().chain(own).collect()
    }

    /// Bytes known to be unread in all generations.
    #[must_use]
    pub fn unread_bytes(&self) -> u64 {
        self.generations.iter().map(Generation::unread_bytes).sum()
    }

    /// How many descriptors it holds.
    #[must_use]
    pub fn open_files(&self) -> usize {
        self.generations.iter().filter(|it| it.file.is_some()).count()
    }

    /// Whether the generation that was read last before the start is yet to be seen.
    #[must_use]
    pub fn misses_newest(&self) -> bool {
        self.vanished.is_some()
    }

    /// Does nothing until then.
    pub fn hold_until(&mut self, at_ns: u64) {
        self.retry.at_ns = self.retry.at_ns.max(at_ns);
    }

    /// Closes the files that can be opened again by name.
    pub fn close_named(&mut self) {
        let named = self.generations.iter_mut().filter(|it| !it.is_gone);
        named.for_each(Generation::close_if_named);
    }

    /// Where it stands, for `explain`.
    #[must_use]
    pub fn report(&self) -> SourceReport {
        let endangered = self.endangered();
        let generations = self.generations.iter().map(|it| GenerationReport {
            path: it.path.clone(),
            offset: it.offset,
            size: it.size,
            is_gone: it.is_gone,
            is_endangered: Some(it.key) == endangered,
        });
        SourceReport {
            id: self.id,
            context: Arc::clone(&self.spec.context),
            rule: Arc::clone(&self.spec.rule),
            epoch: self.epoch,
            cursor: self.cursor,
            seen_ns: self.seen_ns,
            lag_bytes: self.unread_bytes(),
            at_risk_bytes: self.at_risk_bytes(),
            is_disk_pressed: self.is_disk_pressed,
            failures: self.retry.failures,
            waits_for: None,
            limits: Vec::new(),
            generations: generations.collect(),
        }
    }
}

#[cfg(test)]
mod tests;
