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
use crate::limits::Limits;
use crate::meter::{Meter, SinkMeter};

mod backoff;
mod dues;
mod spooling;
mod turns;
use backoff::Backoff;
pub use backoff::RetryPolicy;
use dues::Dues;
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
    spooling: Option<Spooling>,
}

#[derive(Debug)]
struct ShipLane {
    receiver: LaneReceiver,
    /// Refused before, to be tried again first.
    pending: Option<Payload>,
    backoff: Backoff,
    /// Bytes of payloads, by weight.
    sent: u128,
    /// It had its turn in this tick, and there was nothing to be done.
    has_waited: bool,
    /// Since when nothing was taken.
    stuck_since_ns: Option<u64>,
    /// The spool is not asked before.
    spool_due_ns: u64,
    /// It waits for the spool, and not to be tried again.
    is_aside: bool,
    /// Time until the next look at that, in nanoseconds.
    look_ns: u64,
    /// Payloads that may have been read before nothing was at risk any more.
    read_at_risk: usize,
}

impl ShipLane {
    fn new(receiver: LaneReceiver, retry: RetryPolicy) -> ShipLane {
        ShipLane {
            receiver,
            pending: None,
            backoff: Backoff::new(retry),
            sent: 0,
            has_waited: false,
            stuck_since_ns: None,
            spool_due_ns: 0,
            is_aside: false,
            look_ns: 0,
            read_at_risk: 0,
        }
    }

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
        let mut parts = parts;
        let spooling = parts.spool.take().map(|it| Spooling::new(it, parts.retry));
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

    /// Charges by those limits what is drained of tenants that were read beyond theirs.
    #[must_use]
    pub fn charging(mut self, limits: Arc<Limits>) -> Shipper {
        if let Some(spooling) = &mut self.spooling {
            spooling.charge(Dues::new(limits));
        }
        self
    }

    /// Ships as many payloads as there are lanes, or all that there are.
    pub fn tick(&mut self) -> Tick {
        while let Ok(receiver) = self.new_lanes.try_recv() {
            self.lanes.push(ShipLane::new(receiver, self.parts.retry));
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
        self.lanes.iter_mut().for_each(|it| it.has_waited = false);
        let mut left = self.lanes.len();
        while left > 0 {
            let Some(index) = self.next_lane(now_ns) else { break };
            let mut lane = self.lanes.swap_remove(index);
            lane.has_waited = !self.turn(&mut lane, now_ns);
            left -= usize::from(!lane.has_waited);
            worked |= !lane.has_waited;
            self.lanes.push(lane);
        }
        let look_ns = self.spooling.as_ref().map_or(u64::MAX, |_| now_ns + RISK_LOOK_NS);
        let waits = |it: &&ShipLane| {
            it.pending.is_some() || it.is_aside && !it.receiver.payloads.is_empty()
        };
        let due_ns = self.lanes.iter().filter(waits).map(|it| match it.is_aside {
            true => now_ns + it.look_ns,
            false => it.backoff.due_ns().min(look_ns),
        });
        let due_ns = due_ns.min();
        wake_ns = wake_ns.into_iter().chain(due_ns).min();
        if worked { Tick::Busy } else { Tick::Idle(wake_ns) }
    }

    /// The lane that sent least for its weight, of those with something to send.
    fn next_lane(&mut self, now_ns: u64) -> Option<usize> {
        for lane in &mut self.lanes {
            lane.sent = lane.sent.max(self.now.saturating_sub(lane.share(CREDIT_BYTES)));
        }
        // With a spool, there may be something to do aside from submitting.
        let has_spool = self.spooling.is_some();
        let is_next = |lane: &ShipLane| !lane.has_waited && (has_spool || lane.is_ready(now_ns));
        let ready = self.lanes.iter().enumerate().filter(|(_, lane)| is_next(lane));
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
            lane.is_aside = true;
            return worked;
        }
        lane.is_aside = false;
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
                lane.stuck_since_ns = None;
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
        lane.stuck_since_ns.get_or_insert(now_ns);
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

impl Drop for Shipper {
    /// The gauge outlives it: another shipper begins with lanes of its own.
    fn drop(&mut self) {
        let retrying = self.lanes.iter_mut().filter_map(|it| it.backoff.succeeded().then_some(()));
        self.meter.lanes_retrying.sub(retrying.count() as u64);
    }
}

#[cfg(test)]
mod tests;
