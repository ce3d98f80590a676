//! Spooling: what a shipper does when its sink takes nothing and the files are about to lose their bytes.
//!
//! A lane whose payload was refused for a while, and whose tenant has bytes at risk, hands its payloads to the
//! spool instead; so does one whose tenant is read beyond its limit, if that is the policy. As long as the spool holds anything of a tenant, nothing newer goes directly: it waits in
//! the files, or follows into the spool. What is held goes to the sink at its own pace, and in order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flow::{Payload, Refused, Sink, SinkError, Spool, is_mutant};

use super::backoff::{Backoff, RetryPolicy};
use super::dues::{self, Dues};
use super::turns::Turns;
use super::{ShipLane, Shipper};
use crate::doorbell::Doorbell;
use crate::lane::{LANE_PAYLOADS_MAX, WEIGHT_USUAL};
use crate::meter::{Meter, SinkMeter};

/// How long a lane is refused before its payloads may go to the spool, in nanoseconds.
///
/// 1 s: longer than a sync or a new leader of a partition takes, and far less than a rotation.
const STUCK_NS: u64 = 1_000_000_000;
/// Time between two looks at whether the sink has acknowledged all that went to it directly, and at whether a lane has
/// tokens that goes past a full spool, in nanoseconds.
const LOOK_NS: u64 = 20_000_000;
/// Time between two looks at whether the bytes of a lane that waits are at risk, in nanoseconds.
pub(super) const RISK_LOOK_NS: u64 = 100_000_000;
/// Pause after the spool took nothing, in nanoseconds.
const FULL_NS: u64 = 1_000_000_000;

/// What a shipper's spool is made of.
#[derive(Debug)]
pub struct SpoolParts {
    /// Keeps payloads.
    pub spool: Box<dyn Spool>,
    /// The shipper's sink once more: it completes the tickets of what is drained.
    pub sink: Box<dyn Sink>,
    /// How fast all spools of the agent are drained.
    pub pace: Arc<DrainPace>,
}

/// How fast spools are drained, all together.
#[derive(Debug)]
pub struct DrainPace {
    bytes_per_second: u64,
    /// What was drained before is paid for then, by the monotonic clock.
    next_ns: AtomicU64,
}

impl DrainPace {
    /// So many bytes of payloads a second.
    #[must_use]
    pub fn new(bytes_per_second: u64) -> Arc<DrainPace> {
        Arc::new(DrainPace {
            bytes_per_second: bytes_per_second.max(1),
            next_ns: AtomicU64::new(0),
        })
    }

    fn due_ns(&self) -> u64 {
        self.next_ns.load(Ordering::Acquire)
    }

    fn pay(&self, bytes: u64, now_ns: u64) {
        // Nothing is saved up: from now on.
        self.next_ns.fetch_max(now_ns, Ordering::AcqRel);
        let cost_ns = bytes.saturating_mul(1_000_000_000) / self.bytes_per_second;
        self.next_ns.fetch_add(cost_ns, Ordering::AcqRel);
    }
}

/// What came of draining a tenant.
enum Drained {
    /// The sink took a payload.
    Payload,
    /// None may go before that time.
    Later(u64),
    /// Nothing waits, as far as it can be read.
    Nothing,
}

/// A shipper's spool, and how far it is drained.
#[derive(Debug)]
pub(super) struct Spooling {
    parts: SpoolParts,
    retry: RetryPolicy,
    meter: Option<Arc<Meter>>,
    backoffs: HashMap<Arc<str>, Backoff>,
    /// Tenants that are held and of which nothing is on its way directly.
    cleared: HashSet<Arc<str>>,
    dues: Option<Dues>,
    turns: Turns,
    is_stopping: bool,
}

impl Spooling {
    pub(super) fn new(parts: SpoolParts, retry: RetryPolicy) -> Spooling {
        Spooling {
            parts,
            retry,
            meter: None,
            backoffs: HashMap::new(),
            cleared: HashSet::new(),
            dues: None,
            turns: Turns::default(),
            is_stopping: false,
        }
    }

    pub(super) fn watch(&mut self, meter: Arc<Meter>) {
        self.meter = Some(meter);
    }

    pub(super) fn charge(&mut self, dues: Dues) {
        self.dues = Some(dues);
    }

    /// Whether the tenant's payloads go by way of the spool, as it is read beyond its limit.
    fn is_over_limit(&self, tenant: &Arc<str>, is_held: bool) -> bool {
        let over = || self.meter.as_ref().map_or(0, |it| it.tenant(tenant).over_limit_bytes.get());
        self.dues.as_ref().is_some_and(|it| it.is_payer(tenant)) && (is_held || over() > 0)
    }

    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
    }

    /// Whether the tenant's files lose bytes soon: by the next rotation, because they have no name any
    /// more and are gone with this process, or because they press on their log disk.
    fn is_at_risk(&self, tenant: &Arc<str>) -> bool {
        let meter = self.meter.as_ref().map(|it| it.tenant(tenant));
        meter.is_some_and(|it| {
            it.risk_bytes.get() > 0
                || it.pinned_bytes.get() > 0
                || it.pressed_disk_sources.get() > 0
        })
    }

    /// Keeps a payload; if its files cannot wait and there is no room, the oldest of who is to give go for it.
    fn keep_for(
        &mut self,
        payload: Payload,
        direct: &dyn Sink,
        can_wait: bool,
    ) -> Result<Option<Vec<u8>>, Box<Refused>> {
        let refused = match self.keep(payload, direct) {
            Err(refused) if matches!(refused.why, SinkError::Retry(_)) && !can_wait => refused,
            kept => return kept,
        };
        let Refused { payload, .. } = *refused;
        let (tenant, bytes) = (Arc::clone(&payload.tenant), payload.block.len() as u64);
        let mut released = Vec::new();
        let made = self.parts.spool.make_room(&tenant, bytes, &mut released);
        if let Some(meter) = &self.meter {
            for (tenant, bytes) in released {
                meter.tenant(&tenant).released_bytes.add(bytes);
            }
        }
        match made {
            Ok(()) => self.keep(payload, direct),
            Err(why) => Err(Box::new(Refused { payload, why })),
        }
    }

    /// Keeps a payload; before the first of a tenant, copies of those that are on their way: there is no hole
    /// before what is kept.
    fn keep(
        &mut self,
        payload: Payload,
        direct: &dyn Sink,
    ) -> Result<Option<Vec<u8>>, Box<Refused>> {
        let spool = &mut self.parts.spool;
        if !spool.holds(&payload.tenant) {
            self.cleared.remove(&payload.tenant);
            let mut keep = |copy| spool.keep_copy(copy);
            let is_whole = direct.is_clear(&payload.tenant)
                || direct.copy_unacknowledged(&payload.tenant, &mut keep);
            if !is_whole && !is_mutant("spooled_behind_a_hole") {
                return Err(Box::new(Refused { payload, why: SinkError::Busy }));
            }
        }
        spool.keep(payload)
    }

    /// Gives the sink what is held, as far as it may go now. Returns whether something went, and when to look
    /// again.
    pub(super) fn drain(
        &mut self,
        direct: &dyn Sink,
        now_ns: u64,
        meter: &SinkMeter,
    ) -> Result<(bool, Option<u64>), SinkError> {
        self.parts.spool.tend(now_ns)?;
        self.parts.sink.health()?;
        let wake_ns = self.parts.sink.tend(now_ns);
        let mut tenants = self.parts.spool.tenants();
        if tenants.is_empty() {
            self.cleared.clear();
            return Ok((false, wake_ns.into_iter().chain(self.parts.spool.due_ns(now_ns)).min()));
        }
        if !is_mutant("spool_drained_by_name") {
            self.turns.sort(&mut tenants);
        }
        let (mut worked, mut due_ns) = (false, Vec::with_capacity(tenants.len()));
        for tenant in tenants {
            match self.drain_one(&tenant, direct, now_ns)? {
                Drained::Payload => {
                    meter.drained_payloads.add(1);
                    worked = true;
                }
                // Others take pace and tokens meanwhile, and a sink that is busy is so for a moment: not for each of them.
                Drained::Later(it) => due_ns.push(it.max(now_ns + LOOK_NS)),
                Drained::Nothing => {}
            }
        }
        due_ns.extend(wake_ns.into_iter().chain(self.parts.spool.due_ns(now_ns)));
        Ok((worked, due_ns.into_iter().min()))
    }

    /// Drains a payload of the tenant, if there is one, and it may go and can be paid for.
    fn drain_one(
        &mut self,
        tenant: &Arc<str>,
        direct: &dyn Sink,
        now_ns: u64,
    ) -> Result<Drained, SinkError> {
        let due_ns = self.due_ns(tenant, direct, now_ns);
        if due_ns > now_ns {
            return Ok(Drained::Later(due_ns));
        }
        let leave = match &mut self.dues {
            None => None,
            Some(dues) => match dues.ask(tenant, now_ns) {
                Err(due_ns) => return Ok(Drained::Later(due_ns)),
                Ok(leave) => Some(leave),
            },
        };
        let payload = self.parts.spool.next(tenant);
        let cost = payload.as_ref().map_or((0, 0), dues::cost);
        let accounted = payload.as_ref().map_or(0, dues::accounted);
        let drained = match payload {
            Some(payload) => self.submit(tenant, payload, now_ns)?,
            None => Drained::Nothing,
        };
        let went = matches!(drained, Drained::Payload);
        if let (Some(dues), Some(leave)) = (&mut self.dues, leave) {
            dues.settle(tenant, leave, if went { cost } else { (0, 0) });
        }
        if let Some(meter) = self.meter.as_ref().filter(|_| went) {
            meter.tenant(tenant).drained(accounted);
        }
        Ok(drained)
    }

    /// When a payload of the tenant may go.
    fn due_ns(&mut self, tenant: &Arc<str>, direct: &dyn Sink, now_ns: u64) -> u64 {
        if !self.cleared.contains(tenant) {
            if !direct.is_clear(tenant) {
                return now_ns + LOOK_NS;
            }
            self.parts.spool.forget_copies(tenant);
            self.cleared.insert(Arc::clone(tenant));
        }
        let again_ns = self.backoffs.get(tenant).map_or(0, Backoff::due_ns);
        again_ns.max(self.parts.pace.due_ns())
    }

    fn submit(
        &mut self,
        tenant: &Arc<str>,
        payload: Payload,
        now_ns: u64,
    ) -> Result<Drained, SinkError> {
        let bytes = payload.block.len() as u64;
        let refused = match self.parts.sink.submit(payload) {
            Ok(_) => {
                self.backoffs.remove(tenant);
                self.parts.pace.pay(bytes, now_ns);
                let weight = self.dues.as_ref().map_or(WEIGHT_USUAL, |it| it.weight(tenant));
                self.turns.went(tenant, bytes, weight);
                return Ok(Drained::Payload);
            }
            Err(refused) => *refused,
        };
        self.parts.spool.give_back(refused.payload);
        let backoff = self.backoffs.entry(Arc::clone(tenant));
        let backoff = backoff.or_insert_with(|| Backoff::new(self.retry));
        match refused.why {
            SinkError::Busy => backoff.busy(now_ns),
            SinkError::Retry(_) => drop(backoff.failed(now_ns)),
            broken @ SinkError::Broken(_) => return Err(broken),
        }
        Ok(Drained::Later(backoff.due_ns()))
    }

    pub(super) fn flush(&mut self, deadline_ns: u64) -> Result<(), SinkError> {
        self.parts.spool.flush(deadline_ns)?;
        self.parts.sink.flush(deadline_ns)?;
        self.parts.spool.tend(deadline_ns)
    }
}

impl Shipper {
    /// The turn of a lane that does not go directly, if it is one; whether anything was done.
    pub(super) fn turn_aside(&mut self, lane: &mut ShipLane, now_ns: u64) -> Option<bool> {
        let spooling = self.spooling.as_mut()?;
        let tenant = &lane.receiver.tenant;
        let is_held = spooling.parts.spool.holds(tenant) && !is_mutant("spool_is_overtaken");
        if lane.pending.is_none() {
            lane.stuck_since_ns = None;
            // The sink has taken all that it had refused, out of the spool.
            if !is_held && lane.backoff.succeeded() {
                self.meter.lanes_retrying.sub(1);
                lane.receiver.state.taken();
            }
        }
        let stuck_since_ns = lane.stuck_since_ns.unwrap_or(now_ns);
        let is_stuck = now_ns.saturating_sub(stuck_since_ns) >= STUCK_NS;
        let is_over = spooling.is_over_limit(tenant, is_held);
        if !is_held && !is_stuck && !is_over {
            return None;
        }
        lane.look_ns = if is_over { LOOK_NS } else { RISK_LOOK_NS };
        let waits = (is_held || is_over).then_some(false);
        let is_at_risk = spooling.is_at_risk(tenant);
        if is_at_risk || is_over || spooling.is_stopping {
            // Once the last byte at risk is read it waits in memory: in the lane, and two by each reader.
            lane.read_at_risk = LANE_PAYLOADS_MAX + 2 * self.readers.len();
        } else if lane.read_at_risk == 0 {
            return waits;
        }
        if now_ns < lane.spool_due_ns {
            let is_past = is_over && !is_held && !is_mutant("spool_without_room_holds_the_lane");
            return if is_past { Some(self.turn_past(lane, now_ns)) } else { waits };
        }
        let payload = lane.pending.take().or_else(|| lane.receiver.payloads.try_recv().ok());
        let Some(payload) = payload else { return waits };
        let bytes = payload.block.len() as u64;
        // What was read for a stop is in its files still.
        let can_wait = !is_at_risk && spooling.is_stopping;
        let refused = match spooling.keep_for(payload, &*self.parts.sink, can_wait) {
            Ok(spent) => {
                lane.read_at_risk -= 1;
                self.meter.kept_payloads.add(1);
                self.meter.kept_bytes.add(bytes);
                spent.into_iter().for_each(|it| self.buffers.give(it));
                self.readers.iter().for_each(Doorbell::ring);
                return Some(true);
            }
            Err(refused) => *refused,
        };
        lane.pending = Some(refused.payload);
        match refused.why {
            SinkError::Busy => {}
            SinkError::Retry(why) => {
                lane.spool_due_ns = now_ns + FULL_NS;
                self.meter.spool_refusals.add(1);
                let tenant = &*lane.receiver.tenant;
                tracing::warn!(tenant, why, "not kept in the spool; waiting in the files");
            }
            SinkError::Broken(why) => self.fail(why),
        }
        waits
    }

    /// The turn of a lane that is read beyond its limit while the spool has no room: its sink may have. It pays as
    /// what is drained does; returns whether anything was done.
    fn turn_past(&mut self, lane: &mut ShipLane, now_ns: u64) -> bool {
        if now_ns < lane.backoff.due_ns() {
            return false;
        }
        let tenant = Arc::clone(&lane.receiver.tenant);
        let Some(spooling) = &mut self.spooling else { return false };
        let Some(dues) = &mut spooling.dues else { return false };
        let Some(payload) = lane.pending.take() else { return false };
        let Ok(leave) = dues.ask(&tenant, now_ns) else {
            lane.pending = Some(payload);
            return false;
        };
        let (cost, accounted) = (dues::cost(&payload), dues::accounted(&payload));
        self.submit(lane, payload, now_ns);
        let went = lane.pending.is_none() && self.broken.is_none();
        let Some(Spooling { dues: Some(dues), meter, .. }) = &mut self.spooling else {
            return went;
        };
        dues.settle(&tenant, leave, if went { cost } else { (0, 0) });
        if let Some(meter) = meter.as_ref().filter(|_| went) {
            meter.tenant(&tenant).drained(accounted);
        }
        self.readers.iter().for_each(Doorbell::ring);
        went
    }
}
