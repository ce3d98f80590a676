//! Shipper: submits the payloads of its lanes.
//!
//! One per sink and shard, on a thread of its own. Where the sink is slower than the readers, lanes share it by
//! weight: the one that sent least for its weight is next. A lane whose payload was refused keeps it and tries
//! again after a back-off, with this one alone, in order, while the others go on. Tickets travel with the payload: the sink
//! completes them.

use std::sync::Arc;

use crossbeam::channel::Receiver;
use flow::{Clock, Payload, Sink, SinkError, is_mutant};

use crate::Tick;
use crate::buffers::Buffers;
use crate::doorbell::Doorbell;
use crate::lane::LaneReceiver;
use crate::meter::SinkMeter;

mod backoff;
use backoff::Backoff;
pub use backoff::RetryPolicy;

/// What a shipper is made of.
#[derive(Debug)]
pub struct ShipperParts {
    /// Takes payloads.
    pub sink: Box<dyn Sink>,
    /// When to try again.
    pub retry: RetryPolicy,
}

/// Moves payloads from lanes to a sink.
#[derive(Debug)]
pub struct Shipper {
    name: Arc<str>,
    parts: ShipperParts,
    new_lanes: Receiver<LaneReceiver>,
    lanes: Vec<ShipLane>,
    /// What the lane that was last sent from had sent, by weight.
    now: u128,
    clock: Arc<dyn Clock>,
    meter: Arc<SinkMeter>,
    /// Readers wait for room in lanes and for memory.
    readers: Vec<Doorbell>,
    /// Back to the readers.
    buffers: Arc<Buffers>,
    broken: Option<String>,
}

#[derive(Debug)]
struct ShipLane {
    receiver: LaneReceiver,
    /// Refused before, to be tried again first.
    pending: Option<Payload>,
    backoff: Backoff,
    /// Bytes of payloads, by weight.
    sent: u128,
}

impl ShipLane {
    /// Whether there is something to submit now.
    fn is_ready(&self, now_ns: u64) -> bool {
        match self.pending {
            Some(_) => now_ns >= self.backoff.due_ns() || is_mutant("retry_out_of_order"),
            None => !self.receiver.payloads.is_empty(),
        }
    }

    /// So many bytes, by weight.
    fn share(&self, bytes: u64) -> u128 {
        u128::from(bytes) * SCALE / u128::from(self.receiver.weight.max(1))
    }
}

/// What weights divide: large, so that nothing is lost to rounding.
const SCALE: u128 = 1 << 32;

/// What a lane may catch up that had nothing to send for a while, in bytes: some payloads, as its reader
/// takes a moment to make the next.
const CREDIT_BYTES: u64 = 4 << 20;

impl Shipper {
    /// A shipper without lanes.
    #[must_use]
    pub fn new(
        name: Arc<str>,
        parts: ShipperParts,
        new_lanes: Receiver<LaneReceiver>,
        clock: Arc<dyn Clock>,
        meter: Arc<SinkMeter>,
        readers: Vec<Doorbell>,
        buffers: Arc<Buffers>,
    ) -> Shipper {
        Shipper {
            name,
            parts,
            new_lanes,
            lanes: Vec::new(),
            now: 0,
            clock,
            meter,
            readers,
            buffers,
            broken: None,
        }
    }

    /// Ships as many payloads as there are lanes, or all that there are.
    pub fn tick(&mut self) -> Tick {
        while let Ok(receiver) = self.new_lanes.try_recv() {
            let backoff = Backoff::new(self.parts.retry);
            self.lanes.push(ShipLane { receiver, pending: None, backoff, sent: 0 });
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
        let (mut worked, mut wake_ns) = (false, self.parts.sink.tend(now_ns));
        for _ in 0..self.lanes.len() {
            let Some(mut lane) = self.next_lane(now_ns).map(|it| self.lanes.swap_remove(it)) else {
                break;
            };
            worked |= self.turn(&mut lane, now_ns);
            self.lanes.push(lane);
        }
        let pending = self.lanes.iter().filter(|it| it.pending.is_some());
        let due_ns = pending.map(|it| it.backoff.due_ns()).min();
        wake_ns = wake_ns.into_iter().chain(due_ns).min();
        if worked { Tick::Busy } else { Tick::Idle(wake_ns) }
    }

    /// The lane that sent least for its weight, of those with something to send.
    fn next_lane(&mut self, now_ns: u64) -> Option<usize> {
        for lane in &mut self.lanes {
            lane.sent = lane.sent.max(self.now.saturating_sub(lane.share(CREDIT_BYTES)));
        }
        let ready = self.lanes.iter().enumerate().filter(|(_, lane)| lane.is_ready(now_ns));
        let (index, lane) = ready.min_by_key(|(_, lane)| lane.sent)?;
        self.now = self.now.max(lane.sent);
        Some(index)
    }

    /// Whether nothing waits in any lane.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let is_empty =
            |lane: &ShipLane| lane.pending.is_none() && lane.receiver.payloads.is_empty();
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
                if is_mutant("retry_out_of_order")
                    && let Ok(next) = lane.receiver.payloads.try_recv()
                {
                    self.submit(lane, next, now_ns);
                }
                lane.pending = Some(payload);
                return false;
            }
            Some(payload) => payload,
            None => {
                if is_mutant("stuck_lane_holds_all") && self.meter.lanes_retrying.get() > 0 {
                    return false;
                }
                let Ok(payload) = lane.receiver.payloads.try_recv() else { return false };
                payload
            }
        };
        self.submit(lane, payload, now_ns);
        // The lane has a place more, and the tenant perhaps some memory.
        self.readers.iter().for_each(Doorbell::ring);
        true
    }

    fn submit(&mut self, lane: &mut ShipLane, payload: Payload, now_ns: u64) {
        let (raw_bytes, payload_bytes) = (payload.raw_bytes, payload.block.len());
        match self.parts.sink.submit(payload) {
            Ok(spent) => {
                lane.sent += lane.share(payload_bytes as u64);
                self.meter.batches.add(1);
                self.meter.raw_bytes.add(u64::from(raw_bytes));
                self.meter.payload_bytes.add(payload_bytes as u64);
                if let Some(buffer) = spent {
                    self.buffers.give(buffer);
                }
                if lane.backoff.succeeded() {
                    self.meter.lanes_retrying.sub(1);
                    lane.receiver.state.taken();
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
        if matches!(why, SinkError::Busy) {
            // That is no failure: a completion is on its way.
            lane.backoff.busy(now_ns);
            lane.pending = Some(payload);
            return;
        }
        let is_first = lane.backoff.failed(now_ns);
        self.meter.retries.add(1);
        if is_mutant("refused_is_dropped") {
            return payload.tickets.into_iter().for_each(std::mem::forget);
        }
        lane.pending = Some(payload);
        if is_first {
            self.meter.lanes_retrying.add(1);
            lane.receiver.state.refused(now_ns);
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

#[cfg(test)]
mod tests;
