//! Gather: the encoded sections of one lane on their way to becoming a payload.

use std::ops::Range;
use std::sync::Arc;

use flow::{
    Budget, CompressError, Content, Payload, PayloadHeader, Permit, Section, Ticket, is_mutant,
};

use super::pack::Packer;
use crate::fs::Inflaters;
use crate::lane::{LaneKey, LaneSender};

/// When a batch is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Bytes of the source.
    pub bytes_max: u64,
    /// Records.
    pub records_max: usize,
}

/// Sections in a batch.
///
/// 8,192: half of what a frame of the embedded queue may describe.
const SECTIONS_MAX: usize = 8192;

/// What pays for a read.
#[derive(Debug)]
pub(super) struct Permits {
    pub(super) memory: Permit,
    /// Until it is acknowledged.
    pub(super) window: Option<Permit>,
}

/// What one reader gathers for one lane.
#[derive(Debug)]
pub(super) struct Gather {
    pub(super) key: LaneKey,
    pub(super) budget: Arc<Budget>,
    /// Pays for bytes that are read and not acknowledged, of all the tenant's lanes.
    window: Option<Arc<Budget>>,
    /// What refused the last permit was the window, and not the budget.
    is_window_full: bool,
    /// Turns of its sources to inflate compressed files.
    pub(super) inflaters: Arc<Inflaters>,
    lane: LaneSender,
    limits: BatchLimits,
    raw: Vec<u8>,
    /// Bytes of what was encoded, before compression.
    raw_bytes: usize,
    headers: Vec<PayloadHeader>,
    tickets: Vec<Ticket>,
    permit: Option<Permit>,
    bytes: u64,
    records: usize,
    /// A payload that the lane handed back.
    stalled: Option<Box<Payload>>,
}

impl Gather {
    pub(super) fn new(
        key: LaneKey,
        lane: LaneSender,
        (budget, window): (Arc<Budget>, Option<Arc<Budget>>),
        limits: BatchLimits,
    ) -> Gather {
        Gather {
            key,
            budget,
            window,
            is_window_full: false,
            inflaters: Arc::default(),
            lane,
            limits,
            raw: Vec::new(),
            raw_bytes: 0,
            headers: Vec::new(),
            tickets: Vec::new(),
            permit: None,
            bytes: 0,
            records: 0,
            stalled: None,
        }
    }

    /// Permits to read so many bytes: for the memory that they take, and for the window if there is one.
    pub(super) fn acquire(&mut self, bytes: usize) -> Option<Permits> {
        let memory = self.budget.try_acquire(bytes)?;
        let window = self.window.as_ref().map(|it| it.try_acquire(bytes));
        self.is_window_full = matches!(window, Some(None));
        match window {
            None => Some(Permits { memory, window: None }),
            Some(window) => Some(Permits { memory, window: Some(window?) }),
        }
    }

    /// Bytes in flight, if these are what is waited for.
    pub(super) fn full_window(&self) -> Option<usize> {
        self.window.as_ref().filter(|_| self.is_window_full).map(|it| it.used())
    }

    /// Encodes a section. `permit` was taken to read it, and pays from now on for what it became.
    pub(super) fn push(
        &mut self,
        section: &Section,
        ticket: Ticket,
        permit: Option<Permit>,
        packer: &mut Packer,
    ) {
        let begin = self.raw.len();
        match packer.encode(section, &mut self.raw) {
            Ok(bytes) => self.raw_bytes += bytes,
            Err(error) => return self.read_again(&error),
        }
        if let Some(mut permit) = permit {
            permit.resize(self.raw.len() - begin);
            match &mut self.permit {
                Some(own) => own.join(permit),
                None => self.permit = Some(permit),
            }
        }
        self.bytes += section.span.bytes();
        self.records += section.records().len();
        let range = block_offset(begin)..block_offset(self.raw.len());
        self.headers.push(header(section, &ticket, range));
        self.tickets.push(ticket);
        self.flush(false, packer);
    }

    /// Hands over what is gathered if it is a full batch, or `all` of it.
    pub(super) fn flush(&mut self, all: bool, packer: &mut Packer) {
        if let Some(payload) = self.stalled.take()
            && let Err(payload) = self.lane.try_push(*payload)
        {
            self.stalled = Some(payload);
            return;
        }
        if self.headers.is_empty() || !(all || self.is_full()) {
            return;
        }
        if let Some(payload) = self.seal(packer) {
            self.stalled = self.lane.try_push(payload).err();
        }
    }

    /// Makes a payload of what is gathered. From now on the permit pays for the block.
    fn seal(&mut self, packer: &mut Packer) -> Option<Payload> {
        let raw = std::mem::take(&mut self.raw);
        let headers = std::mem::take(&mut self.headers);
        let tickets = std::mem::take(&mut self.tickets);
        let mut permit = self.permit.take();
        (self.bytes, self.records) = (0, 0);
        let raw_bytes = block_offset(std::mem::take(&mut self.raw_bytes));
        let block = match packer.compress(raw) {
            Ok(block) => block,
            // The tickets are dropped, which says that these spans must be read again.
            Err(error) => {
                self.read_again(&error);
                return None;
            }
        };
        if is_mutant("block_not_paid_for") {
            permit = None;
        }
        if let Some(permit) = &mut permit {
            permit.resize(block.len());
        }
        Some(Payload {
            tenant: Arc::clone(&self.key.tenant),
            encoding: packer.encoding(),
            codec: packer.codec(),
            raw_bytes,
            block,
            headers,
            tickets,
            permit,
        })
    }

    #[cold]
    fn read_again(&self, error: &CompressError) {
        tracing::error!(tenant = &*self.key.tenant, %error, "a batch is read again");
    }

    /// Whether so many bytes may be read for this lane now.
    ///
    /// A batch is handed over before it would grow beyond its limit, and if the lane takes nothing,
    /// nothing more is read for it.
    pub(super) fn has_room(&mut self, bytes: u64, packer: &mut Packer) -> bool {
        let is_too_much = self.bytes > 0 && self.bytes + bytes > self.limits.bytes_max;
        if is_too_much || self.is_full() || self.is_stalled() {
            self.flush(is_too_much, packer);
        }
        !self.is_stalled()
    }

    /// Since when the sink refuses what the lane has, if it does.
    pub(super) fn refused_since_ns(&self) -> Option<u64> {
        self.lane.state.refused_since_ns()
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stalled.is_none() && self.headers.is_empty()
    }

    fn is_full(&self) -> bool {
        self.bytes >= self.limits.bytes_max
            || self.records >= self.limits.records_max
            || self.headers.len() >= SECTIONS_MAX
    }
}

fn header(section: &Section, ticket: &Ticket, range: Range<u32>) -> PayloadHeader {
    let (gap, filtered) = match &section.content {
        Content::Records { filtered, .. } => (None, *filtered),
        Content::Gap(gap) => (Some(gap.reason), 0),
        Content::End => (None, 0),
    };
    PayloadHeader {
        context: Arc::clone(&section.context),
        epoch: section.epoch,
        span: section.span,
        marks: section.marks,
        records: u32::try_from(section.records().len()).expect("a chunk holds fewer records"),
        filtered,
        gap,
        observed_unix_ns: section.observed_unix_ns,
        positions: ticket.positions().to_vec(),
        is_divisible: section.is_divisible,
        part_of: None,
        is_inner: false,
        range,
    }
}

/// An offset in a block; a batch is bounded far below 4 GiB.
fn block_offset(len: usize) -> u32 {
    u32::try_from(len).expect("a batch is far below 4 GiB")
}
