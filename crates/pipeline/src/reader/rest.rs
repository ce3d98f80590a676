//! Rest: sources with nothing to do give up their places until discovery tells of their files again.
//!
//! Where more files are open than may be, those least recently active are closed; and a source that has
//! no file open, nothing unread and nothing to wait for is put to rest. It keeps its number: to the
//! tracker it is open.

use std::path::PathBuf;
use std::sync::Arc;

use flow::ContextId;

use super::command::{Ask, ReaderReport};
use super::pace::Pace;
use super::{Reader, Slot};
use crate::schedule::{LaneIndex, SourceIndex};
use crate::source::{Resting, SeenFile, Source, SourceSpec};

/// Where a context's source is.
#[derive(Debug)]
pub(super) enum Seat {
    /// In a slot.
    Awake(SourceIndex),
    /// At rest.
    Resting(Box<Rested>),
}

/// A source at rest.
#[derive(Debug)]
pub(super) struct Rested {
    resting: Resting,
    lane: LaneIndex,
    pace: Pace,
    /// It was written to at that time, and discovery was asked for its files.
    asked_ns: Option<u64>,
}

impl Rested {
    pub(super) fn lane(&self) -> LaneIndex {
        self.lane
    }
}

impl Reader {
    /// The slot of the context's source, if that is awake.
    pub(super) fn awake(&self, context: ContextId) -> Option<SourceIndex> {
        match self.by_context.get(&context)? {
            Seat::Awake(index) => Some(*index),
            Seat::Resting(_) => None,
        }
    }

    /// The slot of the context's source; if that rests, discovery is asked for its files.
    pub(super) fn awake_or_ask(
        &mut self,
        context: ContextId,
        path: PathBuf,
        now_ns: u64,
    ) -> Option<SourceIndex> {
        match self.by_context.get_mut(&context)? {
            Seat::Awake(index) => Some(*index),
            Seat::Resting(rested) => {
                if rested.asked_ns.is_none() {
                    rested.asked_ns = Some(now_ns);
                    self.parts.discovery.ask(Ask::Look(path));
                }
                None
            }
        }
    }

    /// Puts the source in this slot to rest, if it has nothing to do.
    pub(super) fn rest(&mut self, index: SourceIndex) {
        let Some(slot) = &self.slots[index] else { return };
        if slot.is_ready || slot.due_ns.is_some() || self.holds.has(index) {
            return;
        }
        let Some(resting) = slot.source.rest() else { return };
        slot.source.forget_gauges();
        let Some(slot) = self.slots[index].take() else { return };
        let Slot { source, lane, pace, .. } = *slot;
        let rested = Box::new(Rested { resting, lane, pace, asked_ns: None });
        self.by_context.insert(source.context_id(), Seat::Resting(rested));
        self.parts.meter.resting_sources.add(1);
        self.free.push(index);
    }

    /// Wakes the context's source, of which a look showed these files, if it rests.
    pub(super) fn wake(&mut self, spec: &SourceSpec, files: &[SeenFile], now_ns: u64) {
        let Some(Seat::Resting(_)) = self.by_context.get(&spec.context.id) else { return };
        let Some(Seat::Resting(rested)) = self.by_context.remove(&spec.context.id) else { return };
        self.parts.meter.resting_sources.sub(1);
        let Rested { resting, lane, pace, asked_ns } = *rested;
        let meter = self.parts.meter.source(&spec.context.tenant, &spec.rule);
        let inflaters = Arc::clone(&self.gathers[lane].inflaters);
        let mut source = Source::wake(resting, spec.clone(), files, meter, inflaters);
        source.seen_ns = asked_ns.unwrap_or(now_ns);
        if asked_ns.is_some() {
            source.note_written();
        }
        self.seat(source, lane, pace);
    }

    /// Gives the source a slot.
    pub(super) fn seat(&mut self, source: Source, lane: LaneIndex, pace: Pace) -> SourceIndex {
        let context = source.context_id();
        let slot = Slot { source, lane, is_ready: false, due_ns: None, open_files: 0, pace };
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[index] = Some(Box::new(slot));
        self.by_context.insert(context, Seat::Awake(index));
        index
    }

    /// Where the sources stand.
    pub(super) fn report(&self) -> ReaderReport {
        let now_ns = self.parts.clock.monotonic_ns();
        let resting = self.by_context.iter().filter_map(|(context, seat)| match seat {
            Seat::Awake(_) => None,
            Seat::Resting(rested) => Some((*context, rested.resting.clone())),
        });
        ReaderReport {
            awake: self.slots.iter().flatten().map(|slot| self.report_of(slot, now_ns)).collect(),
            resting: resting.collect(),
        }
    }

    /// The reader ends: its resting sources are counted no more.
    pub(super) fn forget_resting(&self) {
        for seat in self.by_context.values() {
            if let Seat::Resting(rested) = seat {
                let tenant = &self.gathers[rested.lane].key.tenant;
                self.parts.meter.tenant(tenant).sources.sub(1);
                self.parts.meter.resting_sources.sub(1);
            }
        }
    }
}
