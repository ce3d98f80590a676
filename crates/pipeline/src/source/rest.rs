//! Rest: what is kept of a source whose files were read to their ends and are closed.
//!
//! A node may have a hundred thousand files of which few are written to. Names, attributes and all that
//! belongs to reading are told anew when something happens; what must not be forgotten is where the
//! source stands. A source that wakes is the one that went to rest: between the two lies nothing that
//! a source with closed files would have noticed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::{Head, Place, Position, SourceId, attribute};

use super::hold::Files;
use super::holes::Holes;
use super::{Carrier, Generation, Known, SeenFile, Source, SourceSpec};
use crate::frame::multiline::State;
use crate::frame::{Format, Streams};
use crate::fs::{FileId, FileKind, Inflaters, Stat};
use crate::meter::SourceMeter;

/// A source at rest.
#[derive(Debug, Clone)]
pub struct Resting {
    id: SourceId,
    epoch: u32,
    cursor: u64,
    is_first: bool,
    continued: Streams<bool>,
    states: Streams<State>,
    files: Files,
    /// When one of its files was last asked for its size.
    stat_ns: u64,
    generations: Box<[RestingGeneration]>,
    orphans: Box<[Position]>,
}

/// A generation that was read to its end, which is its size too.
#[derive(Debug, Clone)]
struct RestingGeneration {
    id: FileId,
    key: u64,
    offset: u64,
    modified_ns: i64,
    head: Head,
    place: Place,
    leading_nuls: u16,
    incarnation: u32,
    is_copy: bool,
    is_linked: bool,
    is_done: bool,
    format: Option<Format>,
    mid_line: Option<bool>,
    mid_part: bool,
}

impl Source {
    /// Its resting form, if it has a reason to rest: nothing is unread or open, and nothing is waited for.
    /// To be asked when the last look said that nothing will be due.
    #[must_use]
    pub fn rest(&self) -> Option<Resting> {
        let is_waiting = self.vanished.is_some()
            || self.gone_since_ns.is_some()
            || self.retry.failures > 0
            || !self.forgotten.is_empty()
            || !self.moved.is_empty()
            || !self.waiting.is_empty();
        if is_waiting {
            return None;
        }
        let generations: Option<Box<[_]>> = self.generations.iter().map(Generation::rest).collect();
        Some(Resting {
            id: self.id,
            epoch: self.epoch,
            cursor: self.cursor,
            is_first: self.is_first,
            continued: self.continued,
            states: self.states,
            files: self.files,
            stat_ns: self.generations.iter().map(|it| it.stat_ns).max()?,
            generations: generations?,
            orphans: self.orphans.as_slice().into(),
        })
    }

    /// The source that went to rest, of a chain that has these files now. They must be taken in before
    /// anything else: they tell the names.
    #[must_use]
    pub fn wake(
        resting: Resting,
        spec: SourceSpec,
        files: &[SeenFile],
        meter: Arc<SourceMeter>,
        inflaters: Arc<Inflaters>,
    ) -> Source {
        let known = Known {
            epoch: resting.epoch,
            cursor: resting.cursor,
            is_new: resting.is_first,
            generations: resting.orphans.into_vec(),
            // What was missed was declared before it went to rest.
            is_newest_settled: true,
            continued: resting.continued,
        };
        let named = spec.context.text(attribute::LOG_FILE_PATH).unwrap_or_default();
        let live_path = files.last().map_or_else(|| PathBuf::from(named), |it| it.path.clone());
        let generations = resting.generations.into_iter();
        Source {
            generations: generations
                .map(|it| it.wake(&live_path, resting.stat_ns, &inflaters))
                .collect(),
            newest_before: None,
            states: resting.states,
            files: resting.files,
            inflaters,
            ..Source::new(resting.id, spec, meter, &known)
        }
    }
}

impl Generation {
    fn rest(&self) -> Option<RestingGeneration> {
        let is_over = self.is_gone || self.is_unreadable || self.file.is_some();
        let has_more = self.size != self.offset || self.has_news || self.missed_before > 0;
        let is_waiting = self.tail.is_some()
            || self.holes.is_pending()
            || !self.copies.is_empty()
            || self.owed.is_some()
            || self.defect_since_ns.is_some();
        let is_quiet = !is_over && !has_more && !is_waiting && self.is_checked;
        let is_copy = match self.carrier {
            Carrier::Original => false,
            Carrier::Copy => true,
            Carrier::Lost(_) => return None,
        };
        is_quiet.then_some(RestingGeneration {
            id: self.id,
            key: self.key,
            offset: self.offset,
            modified_ns: self.modified_ns,
            head: self.head,
            place: self.place,
            leading_nuls: self.holes.leading(),
            incarnation: self.incarnation,
            is_copy,
            is_linked: self.is_linked,
            is_done: self.done_since_ns.is_some(),
            format: self.format,
            mid_line: self.mid_line,
            mid_part: self.mid_part,
        })
    }
}

impl RestingGeneration {
    fn wake(&self, live_path: &Path, stat_ns: u64, inflaters: &Arc<Inflaters>) -> Generation {
        let (id, size, is_linked) = (self.id, self.offset, self.is_linked);
        let (kind, modified_ns) = (FileKind::Regular, self.modified_ns);
        let stat = Stat { id, kind, size, modified_ns, links: 1, is_linked };
        let seen = SeenFile { path: live_path.to_path_buf(), stat, packed: None };
        Generation {
            key: self.key,
            carrier: if self.is_copy { Carrier::Copy } else { Carrier::Original },
            offset: self.offset,
            size: self.offset,
            stat_ns,
            head: self.head,
            place: self.place,
            holes: Holes::behind(self.leading_nuls),
            has_news: false,
            // It was watched for late writes before it went to rest.
            done_since_ns: self.is_done.then_some(0),
            format: self.format,
            mid_line: self.mid_line,
            mid_part: self.mid_part,
            inflaters: Arc::clone(inflaters),
            ..Generation::new(&seen, self.incarnation)
        }
    }
}
