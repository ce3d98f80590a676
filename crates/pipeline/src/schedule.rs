//! Schedule: whose turn it is: tenants by weight, then a tenant's lanes, then a lane's sources.
//!
//! Pure state of one reader thread. Each turn is charged what it cost, in nanoseconds of the reader: the
//! larger of the time it took and of what its bytes usually take ([`cost_ns`]), so that neither large reads
//! nor slow ones get more than their share. The tenant that was charged least for its weight is next
//! (fair queueing by virtual time): between tenants that always have something to read, the charges divided by weight
//! never differ by more than a turn of each, whatever number of lanes and sources they have. Who comes back after
//! a pause is let in beside the others, without what it did not use. Lanes share within their tenant the same
//! way; a lane's sources take turns chunk by chunk.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use flow::is_mutant;

use crate::limits::Level;

/// Index of a tenant within its reader.
pub type TenantIndex = usize;
/// Index of a lane within its reader.
pub type LaneIndex = usize;
/// Index of a source within its reader.
pub type SourceIndex = usize;

/// What a byte usually costs a reader, in nanoseconds: about 500 MB per second of a core are read, framed,
/// encoded and compressed.
const BYTE_NS: u64 = 2;

/// What a turn costs at least, in nanoseconds: a look at a file.
const TURN_NS: u64 = 1_000;

/// Credit that a tenant keeps which could not be read because its lane was full or memory short, in nanoseconds
/// of a reader: one large chunk, so that who waits for room is next when there is some.
const CREDIT_NS: u64 = 1_000_000;

/// What a turn is charged that read so many bytes and took so long. Where the node has a limit of bytes, that is
/// what is short, and a byte costs the time in which one comes in.
#[must_use]
pub fn cost_ns(bytes: u64, took_ns: u64, node_bytes_per_second: Option<u64>) -> u64 {
    let limited_ns = node_bytes_per_second
        .map_or(0, |per_second| u128::from(bytes) * 1_000_000_000 / u128::from(per_second));
    let limited_ns = u64::try_from(limited_ns).unwrap_or(u64::MAX);
    bytes.saturating_mul(BYTE_NS).max(took_ns).max(limited_ns)
}

/// Who is ready to be read.
#[derive(Debug, Default)]
pub struct Schedule {
    tenants: Vec<Tenant>,
    lanes: Vec<LaneTurns>,
    /// Tenants with ready sources, those asleep too.
    waiting: Vec<TenantIndex>,
    /// When tenants wake that sleep.
    alarms: BinaryHeap<Reverse<(u64, TenantIndex)>>,
    /// Nobody has a turn before then.
    all_asleep_until_ns: Option<u64>,
    ready: usize,
    /// Virtual time: that of the tenant that had the last turn.
    now: u128,
    /// When [`Schedule::begin_window`] was called.
    window_ns: u64,
    /// Of all tenants.
    weights: u64,
}

#[derive(Debug)]
struct Tenant {
    weight: u32,
    /// What it was charged, by weight.
    charged: u128,
    /// What its turns cost since [`Schedule::begin_window`] was called, in nanoseconds.
    window_cost_ns: u64,
    /// Lanes with ready sources.
    waiting: Vec<LaneIndex>,
    /// Virtual time among its lanes.
    now: u128,
    asleep_until_ns: Option<u64>,
    /// A lane of it was blocked when others had their turns.
    was_blocked: bool,
}

#[derive(Debug)]
struct LaneTurns {
    tenant: TenantIndex,
    sources: VecDeque<SourceIndex>,
    /// What it was charged.
    charged: u128,
    /// Cannot take more now: no memory, or the lane is full.
    is_blocked: bool,
}

impl Schedule {
    /// Adds a tenant; its share grows with its weight, which is at least 1.
    pub fn add_tenant(&mut self, weight: u32) -> TenantIndex {
        self.weights += u64::from(weight.max(1));
        self.tenants.push(Tenant {
            weight: weight.max(1),
            charged: 0,
            window_cost_ns: 0,
            waiting: Vec::new(),
            now: 0,
            asleep_until_ns: None,
            was_blocked: false,
        });
        self.tenants.len() - 1
    }

    /// Adds a lane of the tenant.
    pub fn add_lane(&mut self, tenant: TenantIndex) -> LaneIndex {
        let sources = VecDeque::new();
        self.lanes.push(LaneTurns { tenant, sources, charged: 0, is_blocked: false });
        self.lanes.len() - 1
    }

    /// The lane's tenant.
    #[must_use]
    pub fn tenant_of(&self, lane: LaneIndex) -> TenantIndex {
        self.lanes[lane].tenant
    }

    /// A source of the lane has something to do. Must not be called twice before its turn.
    pub fn ready(&mut self, lane: LaneIndex, source: SourceIndex) {
        self.enter(lane, false);
        self.lanes[lane].sources.push_back(source);
    }

    /// The source goes on before others of its lane.
    fn put_back(&mut self, lane: LaneIndex, source: SourceIndex) {
        self.enter(lane, true);
        self.lanes[lane].sources.push_front(source);
    }

    /// The lane is about to have a ready source more; `is_first`: among equals it goes first.
    fn enter(&mut self, lane: LaneIndex, is_first: bool) {
        self.ready += 1;
        let turns = &mut self.lanes[lane];
        if !turns.sources.is_empty() {
            return;
        }
        let tenant = &mut self.tenants[turns.tenant];
        if tenant.waiting.is_empty() {
            tenant.charged = match tenant.charged {
                charged if is_mutant("idle_tenant_keeps_its_turns") => charged,
                _ if is_mutant("debt_forgotten") => self.now,
                charged => charged.max(self.now),
            };
            let place = if is_first { 0 } else { self.waiting.len() };
            self.waiting.insert(place, turns.tenant);
        }
        turns.charged = turns.charged.max(tenant.now);
        let place = if is_first { 0 } else { tenant.waiting.len() };
        tenant.waiting.insert(place, lane);
    }

    /// The source whose turn it is. After the turn, [`Schedule::spent`] must be called.
    pub fn next_turn(&mut self) -> Option<(LaneIndex, SourceIndex)> {
        if self.all_asleep_until_ns.is_some() {
            return None;
        }
        let mut next: Option<(u128, TenantIndex, LaneIndex)> = None;
        for &index in &self.waiting {
            let tenant = &mut self.tenants[index];
            if tenant.asleep_until_ns.is_some() {
                continue;
            }
            let Some(lane) = next_lane(&self.lanes, &tenant.waiting) else {
                if is_mutant("stuck_lane_keeps_its_turn") {
                    return None;
                }
                tenant.was_blocked = true;
                continue;
            };
            if std::mem::take(&mut tenant.was_blocked) {
                let credit = scaled(CREDIT_NS, tenant.weight);
                tenant.charged = tenant.charged.max(self.now.saturating_sub(credit));
            }
            if next.is_none_or(|(charged, _, _)| tenant.charged < charged) {
                next = Some((tenant.charged, index, lane));
            }
        }
        let (charged, index, lane) = next?;
        self.now = self.now.max(charged);
        let tenant = &mut self.tenants[index];
        let turns = &mut self.lanes[lane];
        tenant.now = tenant.now.max(turns.charged);
        let source = turns.sources.pop_front()?;
        self.ready -= 1;
        if turns.sources.is_empty() {
            tenant.waiting.retain(|it| *it != lane);
            if tenant.waiting.is_empty() {
                self.waiting.retain(|it| *it != index);
            }
        }
        Some((lane, source))
    }

    /// The source's turn is over: it cost so much (see [`cost_ns`]).
    pub fn spent(&mut self, lane: LaneIndex, cost_ns: u64) {
        let cost_ns = match cost_ns.max(TURN_NS) {
            _ if is_mutant("turns_counted_not_bytes") => TURN_NS,
            // What a turn took beyond its quantum is forgotten.
            cost_ns if is_mutant("quantum_reset_at_each_turn") => cost_ns.min(4 * TURN_NS),
            cost_ns => cost_ns,
        };
        let turns = &mut self.lanes[lane];
        turns.charged += u128::from(cost_ns);
        let tenant = &mut self.tenants[turns.tenant];
        tenant.charged += scaled(cost_ns, tenant.weight);
        tenant.window_cost_ns += cost_ns;
    }

    /// The lane cannot take more: its sources keep their places.
    pub fn block(&mut self, lane: LaneIndex, source: SourceIndex) {
        self.put_back(lane, source);
        self.lanes[lane].is_blocked = true;
    }

    /// Blocked lanes are tried again.
    pub fn unblock_all(&mut self) {
        self.lanes.iter_mut().for_each(|turns| turns.is_blocked = false);
    }

    /// The lane's tenant has no turn before that time: its sources keep their places.
    pub fn sleep(&mut self, lane: LaneIndex, source: SourceIndex, until_ns: u64) {
        self.put_back(lane, source);
        let tenant = self.lanes[lane].tenant;
        self.tenants[tenant].asleep_until_ns = Some(until_ns);
        self.alarms.push(Reverse((until_ns, tenant)));
    }

    /// Nobody has a turn before that time.
    pub fn sleep_all(&mut self, lane: LaneIndex, source: SourceIndex, until_ns: u64) {
        self.put_back(lane, source);
        self.all_asleep_until_ns = Some(until_ns);
    }

    /// Wakes those who slept long enough.
    pub fn wake(&mut self, now_ns: u64) {
        self.all_asleep_until_ns = self.all_asleep_until_ns.filter(|until_ns| *until_ns > now_ns);
        while let Some(&Reverse((until_ns, index))) = self.alarms.peek() {
            if until_ns > now_ns {
                return;
            }
            self.alarms.pop();
            let tenant = &mut self.tenants[index];
            tenant.asleep_until_ns = None;
            tenant.charged = tenant.charged.max(self.now);
        }
    }

    /// When the next of them wakes.
    #[must_use]
    pub fn due_ns(&self) -> Option<u64> {
        self.all_asleep_until_ns.or_else(|| self.alarms.peek().map(|Reverse((due_ns, _))| *due_ns))
    }

    /// Whether the lane's tenant sleeps, or all do; for which limit, and until when.
    #[must_use]
    pub fn asleep(&self, lane: LaneIndex) -> Option<(Level, u64)> {
        let of_tenant = self.tenants[self.lanes[lane].tenant].asleep_until_ns;
        let of_tenant = of_tenant.map(|until_ns| (Level::Tenant, until_ns));
        of_tenant.or_else(|| self.all_asleep_until_ns.map(|until_ns| (Level::Node, until_ns)))
    }

    /// How many sources are ready, those of blocked lanes too.
    #[must_use]
    pub fn ready_count(&self) -> usize {
        self.ready
    }

    /// Whether a source of the lane is ready, also if the lane is blocked.
    #[must_use]
    pub fn has_ready(&self, lane: LaneIndex) -> bool {
        !self.lanes[lane].sources.is_empty()
    }

    /// Whether nothing of the lane can be read now: nobody is ready, or it is blocked, or its tenant sleeps.
    #[must_use]
    pub fn is_quiet(&self, lane: LaneIndex) -> bool {
        let turns = &self.lanes[lane];
        turns.sources.is_empty() || turns.is_blocked || self.asleep(lane).is_some()
    }

    /// From now on it is counted who takes how much: see [`Schedule::is_within_share`].
    pub fn begin_window(&mut self, now_ns: u64) {
        self.window_ns = now_ns;
        self.tenants.iter_mut().for_each(|it| it.window_cost_ns = 0);
    }

    /// Whether the lane's tenant took no more of the time since the window began than its share beside all
    /// others, if they all had something to read.
    #[must_use]
    pub fn is_within_share(&self, lane: LaneIndex, now_ns: u64) -> bool {
        let tenant = &self.tenants[self.lanes[lane].tenant];
        let passed_ns = u128::from(now_ns.saturating_sub(self.window_ns));
        let cost_ns = u128::from(tenant.window_cost_ns);
        cost_ns * u128::from(self.weights) <= passed_ns * u128::from(tenant.weight)
    }

    /// Whether the lane waits for memory or for its shipper.
    #[must_use]
    pub fn is_blocked(&self, lane: LaneIndex) -> bool {
        self.lanes[lane].is_blocked
    }

    /// Whether any lane waits for memory or for its shipper.
    #[must_use]
    pub fn has_blocked(&self) -> bool {
        self.lanes.iter().any(|turns| turns.is_blocked)
    }
}

/// The lane that was charged least of those that can take more.
fn next_lane(lanes: &[LaneTurns], waiting: &[LaneIndex]) -> Option<LaneIndex> {
    let open = waiting.iter().copied().filter(|lane| !lanes[*lane].is_blocked);
    open.min_by_key(|lane| lanes[*lane].charged)
}

/// A charge by weight. Exact enough: the scale is above each weight.
fn scaled(cost_ns: u64, weight: u32) -> u128 {
    let weight = if is_mutant("weights_ignored") { 1 } else { weight };
    u128::from(cost_ns) * SCALE / u128::from(weight)
}

/// What weights divide: large, so that nothing is lost to rounding.
const SCALE: u128 = 1 << 32;

#[cfg(test)]
mod tests;
