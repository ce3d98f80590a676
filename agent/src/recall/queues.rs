//! Queues: finds bytes of a file in embedded queues and spools, by the positions that sections carry.
//!
//! A file is mostly read from its beginning to its end. So what comes next of it is looked up at once, and what was
//! opened last is kept: a few windows, sections and one block.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use flow::{Encoding, RecallAnswer, RecallQuestion};
use sink::queue::{Found, Glimpses, Located, Place, QueueReader, ReadError};

use super::length;
use super::restore::{Counts, restore};
use crate::command::section::records;

/// So much more of a file is looked up than was asked for, in bytes.
const AHEAD_BYTES: u64 = 4 << 20;
/// Files of which is known where their next bytes are.
const WINDOWS_MAX: usize = 4;
/// Most sections of one of them: a file whose sections are smaller is looked up more often.
const WINDOW_SECTIONS_MAX: usize = 1024;
/// Sections that are kept restored.
const RESTORED_MAX: usize = 4;
/// Sections that may overlap: what was delivered twice after a crash.
const OVERLAPS_MAX: usize = 16;

/// The embedded queues of an agent.
#[derive(Debug)]
pub(super) struct Queues {
    queues: Vec<(PathBuf, Glimpses)>,
    windows: VecDeque<Window>,
    restored: VecDeque<(Spot, Arc<Vec<u8>>)>,
    /// The block that was opened last.
    block: Option<(Spot, Encoding, Bytes)>,
}

/// Where sections of a part of a file are.
#[derive(Debug)]
struct Window {
    generation: u64,
    /// By their beginnings.
    sections: Vec<(Range<u64>, Spot)>,
}

/// Where a section is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Spot {
    /// Number of the queue.
    queue: usize,
    tenant: Arc<str>,
    place: Place,
}

impl Spot {
    /// Whether both are in the same block.
    fn shares_block(&self, other: &Spot) -> bool {
        let block = |it: &Spot| (it.queue, it.place.sequence, it.place.offset);
        block(self) == block(other) && self.tenant == other.tenant
    }
}

impl Queues {
    /// Those in these folders.
    pub(super) fn new(folders: Vec<PathBuf>) -> Queues {
        let queues = folders.into_iter().map(|it| (it, Glimpses::default())).collect();
        Queues { queues, windows: VecDeque::new(), restored: VecDeque::new(), block: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Answers, unless it `is_over` before.
    pub(super) fn recall(
        &mut self,
        question: &RecallQuestion,
        is_over: &dyn Fn() -> bool,
    ) -> RecallAnswer {
        let RecallQuestion { generation, range } = question;
        if let Some(at) = self.windows.iter().position(|it| it.covers(*generation, range))
            && let Some(window) = self.windows.remove(at)
            && let Ok(bytes) = self.read(&window, range, is_over)
        {
            self.windows.push_front(window);
            return RecallAnswer::Bytes(bytes);
        }
        let mut why = String::new();
        // What is on its way from a spool to a queue may be missed by one look.
        for _ in 0..2 {
            let window = match self.look(*generation, range, is_over) {
                Ok(window) => window,
                Err(error) => return RecallAnswer::Later(error),
            };
            if is_over() {
                return RecallAnswer::Later("the queue takes too long".to_owned());
            }
            match self.read(&window, range, is_over) {
                Ok(bytes) => {
                    self.windows.truncate(WINDOWS_MAX - 1);
                    self.windows.push_front(window);
                    return RecallAnswer::Bytes(bytes);
                }
                Err(said) => why = said,
            }
        }
        if is_over() { RecallAnswer::Later(why) } else { RecallAnswer::Gone(why) }
    }

    /// Finds where a part of a file is, and what follows it.
    fn look(
        &mut self,
        generation: u64,
        range: &Range<u64>,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Window, String> {
        let wanted = range.start..range.end.saturating_add(AHEAD_BYTES);
        let mut sections = Vec::new();
        for (queue, (folder, glimpses)) in self.queues.iter_mut().enumerate() {
            let reader = match QueueReader::open(folder) {
                Ok(reader) => reader,
                // A spool that was never needed.
                Err(ReadError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                    continue;
                }
                Err(error) => return Err(error.to_string()),
            };
            for tenant in reader.tenants().map_err(|it| it.to_string())? {
                let tenant: Arc<str> = Arc::from(tenant);
                let mut problems = Vec::new();
                let of = (generation, &wanted);
                let found = reader
                    .of_generation(&tenant, of, glimpses, &mut problems, is_over)
                    .map_err(|it| it.to_string())?;
                problems.iter().for_each(|problem| tracing::debug!(%problem, "recall"));
                sections.extend(found.into_iter().map(|Located { range, place }| {
                    (range, Spot { queue, tenant: Arc::clone(&tenant), place })
                }));
            }
        }
        sections.sort_by_key(|(range, spot)| (range.start, range.end, spot.place));
        sections.truncate(WINDOW_SECTIONS_MAX);
        sections.shrink_to_fit();
        Ok(Window { generation, sections })
    }

    /// All bytes of `range`, or why one of them is not known.
    fn read(
        &mut self,
        window: &Window,
        range: &Range<u64>,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::with_capacity(length(range));
        let mut at = range.start;
        while at < range.end {
            if is_over() {
                return Err("the queue takes too long".to_owned());
            }
            let mut why = "the queue does not hold it, or no longer".to_owned();
            let mut next = None;
            for (of, spot) in window.at(at) {
                match self.section(of, spot) {
                    Ok(section) => {
                        next = Some((of, section));
                        break;
                    }
                    Err(said) => why = said,
                }
            }
            let Some((of, section)) = next else { return Err(format!("byte {at}: {why}")) };
            let end = of.end.min(range.end);
            bytes.extend_from_slice(&section[length(&(of.start..at))..length(&(of.start..end))]);
            at = end;
        }
        Ok(bytes)
    }

    /// The bytes of a section.
    fn section(&mut self, range: &Range<u64>, spot: &Spot) -> Result<Arc<Vec<u8>>, String> {
        if let Some((_, bytes)) = self.restored.iter().find(|(it, _)| it == spot) {
            return Ok(Arc::clone(bytes));
        }
        let reader = QueueReader::open(&self.queues[spot.queue].0).map_err(|it| it.to_string())?;
        let mut problems = Vec::new();
        let found = reader
            .section_at(&spot.tenant, spot.place, &mut problems)
            .map_err(|it| it.to_string())?;
        let Some(found) = found else {
            return Err("the queue no longer holds it".to_owned());
        };
        let header = &found.entry.header;
        if sink::queue::bytes_of(header.span, &header.positions).map(|it| it.1).as_ref()
            != Some(range)
        {
            return Err("another section has its place by now".to_owned());
        }
        let body = self.block(spot, &found)?.get(header.in_block()).map(<[u8]>::to_vec);
        let body = body.ok_or("its block is shorter than that")?;
        let section = Opened { found, body };
        let records = records(&section.found, &section.body).map_err(|it| format!("{it:#}"))?;
        let bytes = restore(&section.found.entry.header, range, &records, Counts::LeftOut)?;
        let bytes = Arc::new(bytes);
        self.restored.truncate(RESTORED_MAX - 1);
        self.restored.push_front((spot.clone(), Arc::clone(&bytes)));
        Ok(bytes)
    }

    /// The block of a section, before compression.
    fn block(&mut self, spot: &Spot, found: &Found) -> Result<Bytes, String> {
        if let Some((of, encoding, block)) = &self.block
            && of.shares_block(spot)
            && *encoding == found.block.encoding()
        {
            return Ok(block.clone());
        }
        self.block = None;
        let block = found.block.read().map_err(|it| it.to_string())?;
        self.block = Some((spot.clone(), found.block.encoding(), block.clone()));
        Ok(block)
    }
}

/// A section with its body.
struct Opened {
    found: Found,
    body: Vec<u8>,
}

impl Window {
    /// Whether all of a part of a file is in it.
    fn covers(&self, generation: u64, range: &Range<u64>) -> bool {
        let mut at = range.start;
        while self.generation == generation && at < range.end {
            match self.at(at).map(|(range, _)| range.end).max() {
                Some(end) => at = end,
                None => return false,
            }
        }
        self.generation == generation
    }

    /// Sections with this byte.
    fn at(&self, offset: u64) -> impl Iterator<Item = &(Range<u64>, Spot)> {
        let behind = self.sections.partition_point(|(range, _)| range.start <= offset);
        let near = &self.sections[behind.saturating_sub(OVERLAPS_MAX)..behind];
        near.iter().rev().filter(move |(range, _)| offset < range.end)
    }
}
