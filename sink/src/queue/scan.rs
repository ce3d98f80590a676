//! Scan: all batches of a tenant in queue order, and then those that are appended.
//!
//! Any number of scans may run while the queue is written. At the end `next` returns `None`, and
//! later, once there is more, goes on.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use flow::{Context, ContextId, PayloadHeader};

use super::batch_frame::{Row, decode_batch};
use super::block::{BlockError, BlockRef};
use super::context_frame::decode_context;
use super::fetch::FrameId;
use super::frame::FrameKind;
use super::open::list_segments;
use super::problem::Problem;
use super::segment::{HeaderFault, segment_path};
use super::walk::{Blocks, RawFrame, SegmentFile, Step, Walk};

/// How often a segment may vanish between listing and opening before that is a problem.
const VANISHED_MAX: usize = 100;

/// Where a section is in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Sequence of the segment.
    pub sequence: u64,
    /// Offset of the batch frame in the segment.
    pub offset: u64,
    /// Number of the section in its batch.
    pub number: u32,
}

/// One section of the queue.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What is known of it without opening the block.
    pub header: PayloadHeader,
    /// Where it is.
    pub place: Place,
}

/// One batch of the queue.
#[derive(Debug, Clone)]
pub struct BatchFrame {
    /// Its sections, in order.
    pub entries: Vec<Entry>,
    /// Where their payloads are.
    pub block: BlockRef,
}

impl BatchFrame {
    /// Where it is.
    #[must_use]
    pub fn id(&self) -> FrameId {
        let Place { sequence, offset, .. } = self.entries[0].place;
        FrameId { sequence, offset }
    }

    /// Reads, checks and decompresses the block; `entry.header.range` is within it.
    ///
    /// # Errors
    /// As [`BlockRef::read`].
    pub fn block(&self) -> Result<Bytes, BlockError> {
        self.block.read()
    }
}

/// The segment that a scan is in.
#[derive(Debug)]
struct Open {
    walk: Walk,
    contexts: HashMap<ContextId, Arc<Context>>,
    /// A later segment was seen, so this one does not grow any more.
    is_final: bool,
}

/// Goes over a tenant's queue.
#[derive(Debug)]
pub struct Scan {
    folder: PathBuf,
    tenant: Arc<str>,
    open: Option<Open>,
    /// Descriptions in the segment before, so that the same one is not held twice.
    known: HashMap<ContextId, Arc<Context>>,
    /// The segment that was finished last.
    finished: Option<u64>,
    /// What was found and not handed out yet: at most one look's worth.
    ready: VecDeque<Result<BatchFrame, Problem>>,
    unread_bytes: u64,
}

/// What to do after a look into the open segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// There may be more.
    Again,
    /// There is nothing more in this segment, ever.
    Finished,
    /// There is nothing more for now.
    Wait,
    /// The file was removed, and another one made in its place: begin again with that.
    Replaced,
}

impl Iterator for Scan {
    type Item = Result<BatchFrame, Problem>;

    /// The next batch, or what was left out before it; `None` if there is no more for now.
    fn next(&mut self) -> Option<Result<BatchFrame, Problem>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            let Some(mut open) = self.open.take() else {
                if self.open_next() || !self.ready.is_empty() {
                    continue;
                }
                return None;
            };
            let looked = self.look(&mut open).unwrap_or_else(|error| {
                self.unreadable(open.walk.segment.path.clone(), &error);
                Look::Finished
            });
            if matches!(looked, Look::Finished | Look::Replaced) {
                if looked == Look::Finished {
                    self.finished = Some(open.walk.segment.sequence);
                }
                self.known = open.contexts;
                continue;
            }
            self.open = Some(open);
            if looked == Look::Wait && self.ready.is_empty() {
                return None;
            }
        }
    }
}

impl Scan {
    pub(super) fn new(folder: PathBuf, tenant: Arc<str>) -> Scan {
        Scan {
            folder,
            tenant,
            open: None,
            known: HashMap::new(),
            finished: None,
            ready: VecDeque::new(),
            unread_bytes: 0,
        }
    }

    /// Bytes at the end of the newest segment that were not a whole frame when `next` returned
    /// `None`: a write under way or, if there is no writer, the torn end that a crash left.
    #[must_use]
    pub fn unread_bytes(&self) -> u64 {
        self.unread_bytes
    }

    fn problem(&mut self, problem: Problem) {
        self.ready.push_back(Err(problem));
    }

    fn unreadable(&mut self, segment: PathBuf, error: &io::Error) {
        self.problem(Problem::Unreadable { segment, why: error.to_string() });
    }

    /// Opens the segment after the finished one; whether to look again.
    fn open_next(&mut self) -> bool {
        self.unread_bytes = 0;
        for _ in 0..VANISHED_MAX {
            let Some((sequence, is_final)) = self.next_sequence() else { return false };
            match SegmentFile::open(&self.folder, sequence) {
                Ok(segment) => return self.open_segment(&segment, is_final),
                // Removed by retention since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.unreadable(segment_path(&self.folder, sequence), &error);
                    self.finished = Some(sequence);
                    return true;
                }
            }
        }
        false
    }

    /// The sequence after the finished one, and whether there are later ones.
    fn next_sequence(&mut self) -> Option<(u64, bool)> {
        let sequences = match list_segments(&self.folder) {
            Ok((sequences, _)) => sequences,
            Err(error) => {
                self.unreadable(self.folder.clone(), &error);
                return None;
            }
        };
        let mut later = sequences.into_iter().filter(|it| self.finished.is_none_or(|at| *it > at));
        Some((later.next()?, later.next().is_some()))
    }

    fn open_segment(&mut self, segment: &Arc<SegmentFile>, is_final: bool) -> bool {
        let (walk, header) = match segment.walk(Blocks::Skipped) {
            Ok(walked) => walked,
            Err(error) => {
                self.unreadable(segment.path.clone(), &error);
                self.finished = Some(segment.sequence);
                return true;
            }
        };
        let path = || segment.path.clone();
        // Being created just now.
        if header == Err(HeaderFault::Short) && !is_final {
            return false;
        }
        self.missing_before(segment.sequence);
        match header {
            Ok(_) => {}
            Err(HeaderFault::Version(version)) => {
                self.problem(Problem::Version { segment: path(), version });
                self.finished = Some(segment.sequence);
                return true;
            }
            Err(fault) => {
                self.problem(Problem::Header { segment: path(), why: fault.to_string() });
                if fault == HeaderFault::Short {
                    self.finished = Some(segment.sequence);
                    return true;
                }
            }
        }
        self.open = Some(Open { walk, contexts: HashMap::new(), is_final });
        true
    }

    /// Says so if segments between the finished one and `sequence` are gone.
    fn missing_before(&mut self, sequence: u64) {
        let Some(finished) = self.finished else { return };
        if sequence > finished + 1 {
            let tenant = Arc::clone(&self.tenant);
            self.problem(Problem::Removed { tenant, first: finished + 1, last: sequence - 1 });
        }
    }

    fn look(&mut self, open: &mut Open) -> io::Result<Look> {
        let segment = Arc::clone(&open.walk.segment);
        let offset = open.walk.offset();
        let step = open.walk.step()?;
        self.unread_bytes = 0;
        match step {
            Step::Frame(frame) => self.frame(open, &frame),
            Step::End => self.end(open, 0),
            Step::Shrunk { bytes } => {
                self.problem(Problem::CutBack {
                    segment: segment.path.clone(),
                    from: offset,
                    to: bytes,
                });
                open.walk.stand_at(bytes);
                Ok(Look::Again)
            }
            Step::Bad { why, next: Some(next), .. } => {
                self.skipped(&segment, offset, next - offset, why.to_string());
                open.walk.stand_at(next);
                Ok(Look::Again)
            }
            Step::Bad { why, next: None, file_bytes } => {
                if segment.len()? != file_bytes {
                    // It was being written: nothing that is there now explains what was seen.
                    return Ok(Look::Again);
                }
                let left = file_bytes - offset;
                if let Some(trailer) = segment.trailer()? {
                    if trailer.index_offset == offset {
                        self.index(&segment, &why.to_string());
                    } else {
                        self.skipped(&segment, offset, left, why.to_string());
                    }
                    return Ok(Look::Finished);
                }
                let look = self.end(open, left)?;
                if look == Look::Finished {
                    self.skipped(&segment, offset, left, why.to_string());
                }
                Ok(look)
            }
        }
    }

    fn skipped(&mut self, segment: &SegmentFile, offset: u64, bytes: u64, why: String) {
        self.problem(Problem::Skipped { segment: segment.path.clone(), offset, bytes, why });
    }

    fn index(&mut self, segment: &SegmentFile, why: &str) {
        let why = format!("the index or its trailer is damaged: {why}");
        self.problem(Problem::Index { segment: segment.path.clone(), why });
    }

    /// Nothing readable is left in the open segment: is this its end for good?
    fn end(&mut self, open: &mut Open, left: u64) -> io::Result<Look> {
        if open.is_final {
            return Ok(Look::Finished);
        }
        if open.walk.segment.was_replaced()? {
            return Ok(Look::Replaced);
        }
        let sequence = open.walk.segment.sequence;
        let (sequences, _) = list_segments(&self.folder)?;
        if sequences.last().is_some_and(|last| *last > sequence) {
            // The writer may have appended before it went on to the next: one more look.
            open.is_final = true;
            return Ok(Look::Again);
        }
        self.unread_bytes = left;
        Ok(Look::Wait)
    }

    fn frame(&mut self, open: &mut Open, frame: &RawFrame) -> io::Result<Look> {
        let segment = Arc::clone(&open.walk.segment);
        let taken = match frame.kind {
            FrameKind::Index => return self.index_frame(open, frame),
            FrameKind::Context => decode_context(&frame.header_part).map(|context| {
                let shared = self.known.remove(&context.id).filter(|known| **known == context);
                open.contexts.insert(context.id, shared.unwrap_or_else(|| Arc::new(context)));
            }),
            FrameKind::Batch => decode_batch(&frame.header_part).map(|(head, rows)| {
                let block = BlockRef::new(&segment, frame, head);
                let entries = self.resolve(open, frame.offset, rows);
                self.ready.push_back(Ok(BatchFrame { entries, block }));
            }),
        };
        if let Err(why) = taken {
            let why = format!("the header {why}");
            self.skipped(&segment, frame.offset, frame.end - frame.offset, why);
        }
        Ok(Look::Again)
    }

    /// The index is the last frame of a sealed segment.
    fn index_frame(&mut self, open: &mut Open, frame: &RawFrame) -> io::Result<Look> {
        let segment = Arc::clone(&open.walk.segment);
        if segment.trailer()?.is_some_and(|trailer| trailer.index_offset == frame.offset) {
            return Ok(Look::Finished);
        }
        // Being sealed just now, or damaged.
        open.walk.stand_at(frame.offset);
        let left = segment.len()?.saturating_sub(frame.offset);
        let look = self.end(open, left)?;
        if look == Look::Finished {
            self.index(&segment, "it does not end the file");
        }
        Ok(look)
    }

    /// Puts contexts to rows; one that is not described is all but empty, and a problem.
    fn resolve(&mut self, open: &mut Open, offset: u64, rows: Vec<Row>) -> Vec<Entry> {
        let sequence = open.walk.segment.sequence;
        let mut entries = Vec::with_capacity(rows.len());
        for (number, row) in (0..).zip(rows) {
            let id = row.context;
            let context = open.contexts.entry(id).or_insert_with(|| {
                let segment = open.walk.segment.path.clone();
                self.ready.push_back(Err(Problem::UnknownContext { segment, offset, context: id }));
                bare_context(id, &self.tenant)
            });
            let place = Place { sequence, offset, number };
            entries.push(entry(row, Arc::clone(context), place));
        }
        entries
    }
}

/// All that is known of a context that is not described.
pub(super) fn bare_context(id: ContextId, tenant: &Arc<str>) -> Arc<Context> {
    Arc::new(Context { id, tenant: Arc::clone(tenant), attributes: Vec::new() })
}

/// A row with its context and place.
pub(super) fn entry(row: Row, context: Arc<Context>, place: Place) -> Entry {
    let header = PayloadHeader {
        context,
        epoch: row.epoch,
        span: row.span,
        marks: row.marks,
        records: row.records,
        filtered: row.filtered,
        gap: row.gap,
        observed_unix_ns: row.observed_unix_ns,
        positions: row.positions,
        is_divisible: false,
        part_of: None,
        is_inner: false,
        range: row.range,
    };
    Entry { header, place }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_looked_at_once_more_after_a_later_one_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().to_owned();
        std::fs::write(segment_path(&folder, 0), b"").unwrap();
        let segment = SegmentFile::open(&folder, 0).unwrap();
        let (walk, _) = segment.walk(Blocks::Skipped).unwrap();
        let mut open = Open { walk, contexts: HashMap::new(), is_final: false };
        let mut scan = Scan::new(folder.clone(), Arc::from("shop"));
        assert_eq!(scan.end(&mut open, 0).unwrap(), Look::Wait);
        // Between the look that found the end and this one the writer may have appended, and gone on.
        std::fs::write(segment_path(&folder, 1), b"").unwrap();
        assert_eq!(scan.end(&mut open, 0).unwrap(), Look::Again);
        assert_eq!(scan.end(&mut open, 0).unwrap(), Look::Finished);
    }
}
