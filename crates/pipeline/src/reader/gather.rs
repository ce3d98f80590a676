//! Gather: the sections of one lane on their way to becoming a batch.

use std::sync::Arc;

use flow::{Batch, Budget, Section};

use crate::lane::{LaneKey, LaneSender};

/// When a batch is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Bytes of the source.
    pub bytes_max: u64,
    /// Records.
    pub records_max: usize,
}

/// What one reader gathers for one lane.
#[derive(Debug)]
pub(super) struct Gather {
    pub(super) key: LaneKey,
    pub(super) budget: Arc<Budget>,
    lane: LaneSender,
    limits: BatchLimits,
    sections: Vec<Section>,
    bytes: u64,
    records: usize,
    /// A batch that the lane handed back.
    stalled: Option<Box<Batch>>,
}

impl Gather {
    pub(super) fn new(
        key: LaneKey,
        lane: LaneSender,
        budget: Arc<Budget>,
        limits: BatchLimits,
    ) -> Gather {
        Gather {
            key,
            budget,
            lane,
            limits,
            sections: Vec::new(),
            bytes: 0,
            records: 0,
            stalled: None,
        }
    }

    /// Adds a section; hands over if the batch is full.
    pub(super) fn push(&mut self, section: Section) {
        self.bytes += section.span.bytes();
        self.records += section.records().len();
        self.sections.push(section);
        self.flush(false);
    }

    /// Hands over what is gathered if it is a full batch, or `all` of it.
    pub(super) fn flush(&mut self, all: bool) {
        if let Some(batch) = self.stalled.take()
            && let Err(batch) = self.lane.try_push(*batch)
        {
            self.stalled = Some(batch);
            return;
        }
        if self.sections.is_empty() || !(all || self.is_full()) {
            return;
        }
        let sections = std::mem::take(&mut self.sections);
        let batch = Batch { lane: self.lane.id, sections, bytes: self.bytes };
        (self.bytes, self.records) = (0, 0);
        self.stalled = self.lane.try_push(batch).err();
    }

    /// Whether another section may be read for this lane.
    pub(super) fn has_room(&mut self) -> bool {
        if self.is_full() || self.is_stalled() {
            self.flush(false);
        }
        !self.is_full()
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stalled.is_none() && self.sections.is_empty()
    }

    fn is_full(&self) -> bool {
        self.bytes >= self.limits.bytes_max || self.records >= self.limits.records_max
    }
}
