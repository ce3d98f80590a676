//! Shipper: encodes, compresses and submits the batches of its lanes.
//!
//! One per sink and shard, on a thread of its own. Lanes take turns; a lane whose payload was
//! refused keeps it and tries again after a back-off, in order, while the others go on. Tickets
//! travel with the payload: the sink completes them.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam::channel::Receiver;
use crossbeam::sync::Unparker;
use flow::{
    Batch, Clock, Compress, Content, Encode, Payload, PayloadHeader, Section, Sink, SinkError,
};

use crate::Tick;
use crate::lane::LaneReceiver;
use crate::meter::SinkMeter;

mod backoff;
use backoff::Backoff;
pub use backoff::RetryPolicy;

/// What a shipper is made of.
#[derive(Debug)]
pub struct ShipperParts {
    /// Writes sections as bytes.
    pub encode: Box<dyn Encode>,
    /// Compresses blocks.
    pub compress: Box<dyn Compress>,
    /// Takes payloads.
    pub sink: Box<dyn Sink>,
    /// When to try again.
    pub retry: RetryPolicy,
}

/// Moves batches from lanes to a sink.
#[derive(Debug)]
pub struct Shipper {
    name: Arc<str>,
    parts: ShipperParts,
    new_lanes: Receiver<LaneReceiver>,
    lanes: VecDeque<ShipLane>,
    clock: Arc<dyn Clock>,
    meter: Arc<SinkMeter>,
    /// Readers wait for room in lanes and for memory.
    readers: Vec<Unparker>,
    raw: Vec<u8>,
    /// Buffers to compress into.
    spare: Vec<Vec<u8>>,
    broken: Option<String>,
}

#[derive(Debug)]
struct ShipLane {
    receiver: LaneReceiver,
    /// Refused before, to be tried again first.
    pending: Option<Payload>,
    backoff: Backoff,
}

impl Shipper {
    /// A shipper without lanes.
    #[must_use]
    pub fn new(
        name: Arc<str>,
        parts: ShipperParts,
        new_lanes: Receiver<LaneReceiver>,
        clock: Arc<dyn Clock>,
        meter: Arc<SinkMeter>,
        readers: Vec<Unparker>,
    ) -> Shipper {
        Shipper {
            name,
            parts,
            new_lanes,
            lanes: VecDeque::new(),
            clock,
            meter,
            readers,
            raw: Vec::new(),
            spare: Vec::new(),
            broken: None,
        }
    }

    /// Ships one batch of each lane that has one.
    pub fn tick(&mut self) -> Tick {
        while let Ok(receiver) = self.new_lanes.try_recv() {
            let backoff = Backoff::new(self.parts.retry);
            self.lanes.push_back(ShipLane { receiver, pending: None, backoff });
        }
        if self.broken.is_none()
            && let Err(error) = self.parts.sink.health()
        {
            self.fail(error.to_string());
        }
        if self.broken.is_some() {
            return Tick::Idle(None);
        }
        let now_ns = self.clock.monotonic_ns();
        let (mut worked, mut wake_ns) = (false, None::<u64>);
        for _ in 0..self.lanes.len() {
            let Some(mut lane) = self.lanes.pop_front() else { break };
            worked |= self.turn(&mut lane, now_ns);
            if lane.pending.is_some() {
                let due_ns = lane.backoff.due_ns();
                wake_ns = Some(wake_ns.map_or(due_ns, |wake_ns: u64| wake_ns.min(due_ns)));
            }
            self.lanes.push_back(lane);
        }
        if worked { Tick::Busy } else { Tick::Idle(wake_ns) }
    }

    /// Whether nothing waits in any lane.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let is_empty = |lane: &ShipLane| lane.pending.is_none() && lane.receiver.batches.is_empty();
        self.new_lanes.is_empty() && self.lanes.iter().all(is_empty)
    }

    /// Why the sink cannot go on: everything un-acked must be read again.
    #[must_use]
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Makes everything submitted safe, as far as possible before the deadline.
    pub fn flush(&mut self, deadline_ns: u64) {
        if self.broken.is_some() {
            return;
        }
        if let Err(error) = self.parts.sink.flush(deadline_ns) {
            let sink = &*self.name;
            tracing::warn!(sink, %error, "not everything is safe; it will be read again");
        }
    }

    fn turn(&mut self, lane: &mut ShipLane, now_ns: u64) -> bool {
        let payload = match lane.pending.take() {
            Some(payload) if now_ns < lane.backoff.due_ns() => {
                lane.pending = Some(payload);
                return false;
            }
            Some(payload) => payload,
            None => {
                let Ok(batch) = lane.receiver.batches.try_recv() else { return false };
                match self.pack(batch) {
                    Some(payload) => payload,
                    None => return true,
                }
            }
        };
        self.submit(lane, payload, now_ns);
        true
    }

    /// Encodes and compresses a batch; its chunks, and their permits, go back at once.
    fn pack(&mut self, batch: Batch) -> Option<Payload> {
        self.raw.clear();
        let tenant = Arc::clone(&batch.sections.first()?.context.tenant);
        let mut headers = Vec::with_capacity(batch.sections.len());
        let mut tickets = Vec::with_capacity(batch.sections.len());
        for section in batch.sections {
            let begin = block_offset(self.raw.len());
            self.parts.encode.encode(&section, &mut self.raw);
            headers.push(header(&section, begin..block_offset(self.raw.len())));
            tickets.push(section.ticket);
        }
        self.readers.iter().for_each(Unparker::unpark);
        let mut block = self.spare.pop().unwrap_or_default();
        if let Err(error) = self.parts.compress.compress(&self.raw, &mut block) {
            // The tickets are dropped, which says that these spans must be read again.
            self.fail(error.to_string());
            return None;
        }
        Some(Payload {
            tenant,
            encoding: self.parts.encode.encoding(),
            codec: self.parts.compress.codec(),
            raw_bytes: block_offset(self.raw.len()),
            block,
            headers,
            tickets,
        })
    }

    fn submit(&mut self, lane: &mut ShipLane, payload: Payload, now_ns: u64) {
        let (raw_bytes, payload_bytes) = (payload.raw_bytes, payload.block.len());
        match self.parts.sink.submit(payload) {
            Ok(spent) => {
                self.meter.batches.add(1);
                self.meter.raw_bytes.add(u64::from(raw_bytes));
                self.meter.payload_bytes.add(payload_bytes as u64);
                if let Some(buffer) = spent.filter(|_| self.spare.len() < SPARE_BUFFERS_MAX) {
                    self.spare.push(buffer);
                }
                if lane.backoff.succeeded() {
                    self.meter.lanes_retrying.sub(1);
                    tracing::info!(
                        sink = &*self.name,
                        tenant = &*lane.receiver.tenant,
                        "ships again"
                    );
                }
            }
            Err(refused) => self.refused(lane, refused.payload, &refused.why, now_ns),
        }
    }

    #[cold]
    fn refused(&mut self, lane: &mut ShipLane, payload: Payload, why: &SinkError, now_ns: u64) {
        if let SinkError::Broken(reason) = why {
            return self.fail(reason.clone());
        }
        let is_first = lane.backoff.failed(now_ns);
        self.meter.retries.add(1);
        lane.pending = Some(payload);
        if is_first {
            self.meter.lanes_retrying.add(1);
            let (sink, tenant) = (&*self.name, &*lane.receiver.tenant);
            tracing::warn!(sink, tenant, %why, "refused; trying again, nothing is lost");
        }
    }

    #[cold]
    fn fail(&mut self, reason: String) {
        tracing::error!(
            sink = &*self.name,
            reason,
            "broken; what is not acknowledged is read again"
        );
        self.broken = Some(reason);
    }
}

/// Block buffers kept for reuse, in number.
const SPARE_BUFFERS_MAX: usize = 2;

fn header(section: &Section, range: std::ops::Range<u32>) -> PayloadHeader {
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
        positions: section.ticket.positions().to_vec(),
        range,
    }
}

/// An offset in a block; a batch is bounded far below 4 GiB.
fn block_offset(len: usize) -> u32 {
    u32::try_from(len).expect("a block is far below 4 GiB")
}
