//! Lookup: finds sections by context, epoch and cursor, through the indices.
//!
//! A sealed segment is looked through with two reads, its trailer and its index; of any other the
//! frame headers are walked. Blocks are left alone until somebody reads one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use flow::{Context, ContextId, Span};

use super::block::{BlockError, BlockRef};
use super::index::{IndexEntry, SegmentIndex};
use super::load::{
    Indexed, Target, load_index, open_or_problem, read_context, read_section, unreadable,
};
use super::problem::Problem;
use super::reader::{QueueReader, ReadError};
use super::scan::{Entry, Place, bare_context};

/// A section, and where its payload is.
#[derive(Debug, Clone)]
pub struct Found {
    /// The section.
    pub entry: Entry,
    /// The block that holds it, among others.
    pub block: BlockRef,
}

impl Found {
    /// Reads the block, and cuts out the section's payload.
    ///
    /// # Errors
    /// As [`BlockRef::read`].
    pub fn body(&self) -> Result<Bytes, BlockError> {
        Ok(self.block.read()?.slice(self.entry.header.in_block()))
    }
}

/// What the queue holds of one context and epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextSummary {
    /// The context, as described last.
    pub context: Arc<Context>,
    /// The epoch.
    pub epoch: u32,
    /// Lowest and highest cursor; there may be holes.
    pub span: Span,
    /// Sections.
    pub sections: u64,
    /// Records.
    pub records: u64,
}

impl QueueReader {
    /// The section of `context` and `epoch` that covers `cursor`; the oldest, if it is there twice.
    ///
    /// What could not be read is added to `problems`.
    ///
    /// # Errors
    /// If the queue holds nothing of the tenant, or its folder cannot be listed.
    pub fn find(
        &self,
        tenant: &str,
        context: ContextId,
        epoch: u32,
        cursor: u64,
        problems: &mut Vec<Problem>,
    ) -> Result<Option<Found>, ReadError> {
        let mut found = None;
        self.each_index(tenant, Order::OldestFirst, problems, |indexed, problems| {
            let covers = |it: &&IndexEntry| it.span.begin <= cursor && cursor < it.span.end;
            let of_epoch = of_epoch(&indexed.index, context, epoch).iter();
            let first = of_epoch.filter(covers).min_by_key(|it| (it.frame_offset, it.number));
            if let Some(it) = first {
                found = read_section(&indexed.segment, tenant, &indexed.target(it), problems);
            }
            found.is_none()
        })?;
        Ok(found)
    }

    /// Sections of `context` and `epoch` in the order of their cursors: up to `before` that begin at
    /// or before `cursor`, and up to `after` that begin behind it.
    ///
    /// What could not be read is added to `problems`.
    ///
    /// # Errors
    /// If the queue holds nothing of the tenant, or its folder cannot be listed.
    pub fn around(
        &self,
        tenant: &str,
        context: ContextId,
        epoch: u32,
        cursor: u64,
        (before, after): (usize, usize),
        problems: &mut Vec<Problem>,
    ) -> Result<Vec<Found>, ReadError> {
        let mut near_before: BTreeMap<(u64, Place), Target> = BTreeMap::new();
        let mut near_after: BTreeMap<(u64, Place), Target> = BTreeMap::new();
        self.each_index(tenant, Order::OldestFirst, problems, |indexed, _| {
            for it in of_epoch(&indexed.index, context, epoch) {
                let target = indexed.target(it);
                let is_before = it.span.begin <= cursor;
                let near = if is_before { &mut near_before } else { &mut near_after };
                near.insert((it.span.begin, target.place), target);
                if is_before && near.len() > before {
                    near.pop_first();
                } else if !is_before && near.len() > after {
                    near.pop_last();
                }
            }
            true
        })?;
        let folder = self.folder(tenant)?;
        let targets = near_before.into_values().chain(near_after.into_values());
        let found = targets.filter_map(|target| {
            let segment = open_or_problem(&folder, target.place.sequence, problems)?;
            read_section(&segment, tenant, &target, problems)
        });
        Ok(found.collect())
    }

    /// All contexts and epochs of a tenant, sorted by id and epoch.
    ///
    /// What could not be read is added to `problems`.
    ///
    /// # Errors
    /// If the queue holds nothing of the tenant, or its folder cannot be listed.
    pub fn contexts(
        &self,
        tenant: &str,
        problems: &mut Vec<Problem>,
    ) -> Result<Vec<ContextSummary>, ReadError> {
        let mut summaries: BTreeMap<(ContextId, u32), ContextSummary> = BTreeMap::new();
        let mut described: HashMap<ContextId, Arc<Context>> = HashMap::new();
        // The newest first: the last description counts.
        self.each_index(tenant, Order::NewestFirst, problems, |indexed, problems| {
            for (id, offset) in &indexed.index.contexts {
                described.entry(*id).or_insert_with(|| {
                    let context = read_context(&indexed.segment, *id, *offset, problems);
                    context.unwrap_or_else(|| bare_context(*id, &Arc::from(tenant)))
                });
            }
            for it in &indexed.index.entries {
                let id = indexed.index.context_of(it);
                let summary = summaries.entry((id, it.epoch)).or_insert_with(|| ContextSummary {
                    context: Arc::clone(&described[&id]),
                    epoch: it.epoch,
                    span: it.span,
                    sections: 0,
                    records: 0,
                });
                summary.span.begin = summary.span.begin.min(it.span.begin);
                summary.span.end = summary.span.end.max(it.span.end);
                summary.sections += 1;
                summary.records += u64::from(it.records);
            }
            true
        })?;
        Ok(summaries.into_values().collect())
    }

    /// Calls `visit` with the index of each segment until it says that it has seen enough.
    pub(super) fn each_index(
        &self,
        tenant: &str,
        order: Order,
        problems: &mut Vec<Problem>,
        mut visit: impl FnMut(&Indexed, &mut Vec<Problem>) -> bool,
    ) -> Result<(), ReadError> {
        let folder = self.folder(tenant)?;
        let mut sequences = self.sequences(tenant)?;
        let last = sequences.last().copied();
        if order == Order::NewestFirst {
            sequences.reverse();
        }
        for sequence in sequences {
            let Some(segment) = open_or_problem(&folder, sequence, problems) else { continue };
            let is_last = Some(sequence) == last;
            let goes_on = match load_index(&segment, is_last, problems) {
                Ok(Some(index)) => visit(&Indexed { segment, index }, problems),
                Ok(None) => true,
                Err(error) => {
                    unreadable(&segment.path, &error, problems);
                    true
                }
            };
            if !goes_on {
                break;
            }
        }
        Ok(())
    }
}

/// In which order segments are visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    OldestFirst,
    NewestFirst,
}

/// The entries of one context and epoch.
fn of_epoch(index: &SegmentIndex, context: ContextId, epoch: u32) -> &[IndexEntry] {
    let entries = index.of_context(context);
    let begin = entries.partition_point(|it| it.epoch < epoch);
    let end = entries.partition_point(|it| it.epoch <= epoch);
    &entries[begin..end]
}
