//! Shipper: submits the payloads of its lanes.
//!
//! One per sink and shard, on a thread of its own. Lanes take turns; a lane whose payload was
//! refused keeps it and tries again after a back-off, in order, while the others go on. Tickets
//! travel with the payload: the sink completes them.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam::channel::Receiver;
use flow::{Clock, Payload, Sink, SinkError, is_mutant};

use crate::Tick;
use crate::buffers::Buffers;
use crate::doorbell::Doorbell;
use crate::lane::LaneReceiver;
use crate::meter::{Meter, SinkMeter};

mod backoff;
mod spooling;
use backoff::Backoff;
pub use backoff::RetryPolicy;
pub use spooling::{DrainPace, SpoolParts};
use spooling::{RISK_LOOK_NS, Spooling};

/// What a shipper is made of.
#[derive(Debug)]
pub struct ShipperParts {
    /// Takes payloads.
    pub sink: Box<dyn Sink>,
    /// When to try again.
    pub retry: RetryPolicy,
    /// Where what would be lost is kept while the sink does not take it.
    pub spool: Option<SpoolParts>,
}

/// Moves payloads from lanes to a sink.
#[derive(Debug)]
pub struct Shipper {
    name: Arc<str>,
    parts: ShipperParts,
    new_lanes: Receiver<LaneReceiver>,
    lanes: VecDeque<ShipLane>,
    clock: Arc<dyn Clock>,
    meter: Arc<SinkMeter>,
    /// Readers wait for room in lanes and for memory.
    readers: Vec<Doorbell>,
    /// Back to the readers.
    buffers: Arc<Buffers>,
    broken: Option<String>,
    spooling: Option<Spooling>,
}

#[derive(Debug)]
struct ShipLane {
    receiver: LaneReceiver,
    /// Refused before, to be tried again first.
    pending: Option<Payload>,
    backoff: Backoff,
    /// Since when nothing was taken.
    refused_since_ns: Option<u64>,
    /// The spool is not asked before.
    spool_due_ns: u64,
    /// Payloads that may have been read before nothing was at risk any more.
    read_at_risk: usize,
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
        readers: Vec<Doorbell>,
        buffers: Arc<Buffers>,
    ) -> Shipper {
        let mut parts = parts;
        let spooling = parts.spool.take().map(|it| Spooling::new(it, parts.retry));
        Shipper {
            name,
            parts,
            new_lanes,
            lanes: VecDeque::new(),
            clock,
            meter,
            readers,
            buffers,
            broken: None,
            spooling,
        }
    }

    /// Knows by that meter which tenants have bytes at risk.
    #[must_use]
    pub fn watching(mut self, meter: Arc<Meter>) -> Shipper {
        if let Some(spooling) = &mut self.spooling {
            spooling.watch(meter);
        }
        self
    }

    /// Ships one payload of each lane that has one.
    pub fn tick(&mut self) -> Tick {
        while let Ok(receiver) = self.new_lanes.try_recv() {
            let backoff = Backoff::new(self.parts.retry);
            let (refused_since_ns, spool_due_ns) = (None, 0);
            let (pending, read_at_risk) = (None, 0);
            let lane = ShipLane {
                receiver,
                pending,
                backoff,
                refused_since_ns,
                spool_due_ns,
                read_at_risk,
            };
            self.lanes.push_back(lane);
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
        if let Some(spooling) = &mut self.spooling {
            match spooling.drain(&*self.parts.sink, now_ns, &self.meter) {
                Ok((drained, due_ns)) => {
                    worked |= drained;
                    wake_ns = wake_ns.into_iter().chain(due_ns).min();
                }
                Err(why) => {
                    self.fail(why.to_string());
                    return Tick::Idle(None);
                }
            }
        }
        for _ in 0..self.lanes.len() {
            let Some(mut lane) = self.lanes.pop_front() else { break };
            worked |= self.turn(&mut lane, now_ns);
            if lane.pending.is_some() {
                let due_ns = match &self.spooling {
                    Some(_) => lane.backoff.due_ns().min(now_ns + RISK_LOOK_NS),
                    None => lane.backoff.due_ns(),
                };
                wake_ns = Some(wake_ns.map_or(due_ns, |wake_ns: u64| wake_ns.min(due_ns)));
            }
            self.lanes.push_back(lane);
        }
        if worked { Tick::Busy } else { Tick::Idle(wake_ns) }
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

    /// From now on what the sink does not take goes to the spool, whether or not it is at risk.
    pub fn stop(&mut self) {
        if let Some(spooling) = &mut self.spooling {
            spooling.stop();
        }
    }

    /// Makes everything submitted safe, as far as possible before the deadline.
    pub fn flush(&mut self, deadline_ns: u64) {
        if self.broken.is_some() {
            return;
        }
        let spool = self.spooling.as_mut().map_or(Ok(()), |it| it.flush(deadline_ns));
        let direct = self.parts.sink.flush(deadline_ns);
        if let Err(error) = direct.and(spool) {
            let sink = &*self.name;
            tracing::warn!(sink, %error, "not everything is safe; it will be read again");
        }
    }

    fn turn(&mut self, lane: &mut ShipLane, now_ns: u64) -> bool {
        if self.spooling.is_some()
            && let Some(worked) = self.turn_aside(lane, now_ns)
        {
            return worked;
        }
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
                lane.refused_since_ns = None;
                self.meter.batches.add(1);
                self.meter.raw_bytes.add(u64::from(raw_bytes));
                self.meter.payload_bytes.add(payload_bytes as u64);
                if let Some(buffer) = spent {
                    self.buffers.give(buffer);
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
        lane.refused_since_ns.get_or_insert(now_ns);
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
