//! Shares: what tenants get of a reader beside each other, turn by turn, by their weights.
//!
//! While a tenant has something to read, and neither a limit of its own nor memory nor its lane holds it back, each
//! other one is charged, for its weight, at most what it is charged itself, and one turn of each: its own last one before
//! that time, and the other's that crosses the line. This is held against every stretch of such a time, turn by turn.
//! One that was held back by memory or its lane may have saved 1 ms, until it sees others have turns again; what it has
//! got for that until then it keeps. Nothing here knows of virtual time. Asked of tenants with one stream: of another, a look at one file that brings nothing
//! is not seen here.

use flow::ContextId;
use pipeline::limits::Level;
use pipeline::reader::WaitsFor;

use super::{OWNERS, ROUND_NS, TENANTS};
use crate::bed::CHUNK_BYTES;
use crate::node::{Node, Plan, ReaderTick, Turn};

/// What a byte costs, in nanoseconds; and a turn, whatever it brings.
const BYTE_NS: u64 = 2;
const TURN_NS: u64 = 1_000;
/// What a tenant may save while it is held back by memory or its lane, in nanoseconds: see ARCHITECTURE.md.
const SAVED_NS: u64 = 1_000_000;
/// Turns in a tick.
const TURNS: u64 = 16;
/// Rounds in which a line is found, read, shipped and acknowledged where nobody else has anything.
const ROUNDS_ALONE: u64 = 4;
/// Parts of a charge, so that nothing is lost to rounding.
const PARTS: i128 = 1 << 32;

/// Where a tenant stands between two ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Has something to read, and it is only not its turn.
    Ready,
    /// Memory or its lane holds it back.
    Blocked,
    /// Has nothing to read, or a limit of its own holds it back.
    Away,
}

/// How far another tenant is ahead of one that has something to read.
#[derive(Debug, Clone, Copy, Default)]
struct Ahead {
    /// What it was charged more for its weight, since it was least ahead.
    parts: i128,
    /// What the last turn before then had cost the one, and what was billed to it since and is not seen here.
    turn_ns: u64,
    /// It had saved something, perhaps.
    is_saving: bool,
    /// … and was so far ahead once that was used.
    used: i128,
}

/// A turn among those of its tick.
#[derive(Debug, Clone, Copy)]
struct Billed {
    tenant: usize,
    cost_ns: u64,
    /// Its tenant may have saved something before it.
    is_saving: bool,
}

#[derive(Debug)]
pub(super) struct Shares {
    weights: Vec<i128>,
    before: Vec<Standing>,
    /// Which tenants were held back, and may have saved something.
    may_save: Vec<bool>,
    /// By tenant, what its last turn cost, and its largest.
    last: Vec<u64>,
    largest: Vec<u64>,
    /// By tenant and other tenant.
    ahead: Vec<Vec<Ahead>>,
    life: u32,
}

impl Shares {
    pub(super) fn new(plan: &Plan) -> Shares {
        let weight = |tenant: &&str| i128::from(plan.limits.tenants[*tenant].weight);
        let count = TENANTS.len();
        Shares {
            weights: TENANTS.iter().map(weight).collect(),
            before: vec![Standing::Away; count],
            may_save: vec![false; count],
            last: vec![TURN_NS; count],
            largest: vec![TURN_NS; count],
            ahead: vec![vec![Ahead::default(); count]; count],
            life: 0,
        }
    }

    /// I6 of one tick.
    pub(super) fn look(&mut self, node: &Node, tick: &ReaderTick) -> Result<(), String> {
        let count = TENANTS.len();
        if std::mem::replace(&mut self.life, node.lives) != node.lives {
            self.before = vec![Standing::Away; count];
            self.may_save = vec![false; count];
            self.last = vec![TURN_NS; count];
        }
        let now = standings(node, tick);
        let per_second = node.plan.limits.node.bytes_per_second;
        let turns = node.watch.turns.look(|turns| turns[tick.turns.clone()].to_vec());
        let costs: Vec<(usize, u64)> =
            turns.iter().map(|it| (OWNERS[it.stream], cost_ns(it, per_second))).collect();
        for (tenant, cost_ns) in &costs {
            self.largest[*tenant] = self.largest[*tenant].max(*cost_ns);
        }
        // Who is not held back, and sees another have a turn, has used what it saved.
        let seen = |tenant: usize| {
            let is_through = [self.before[tenant], now[tenant]] == [Standing::Ready; 2];
            costs.iter().position(|it| is_through && it.0 != tenant)
        };
        let seen: Vec<Option<usize>> = (0..count).map(seen).collect();
        let billed = |(number, (tenant, cost_ns)): (usize, &(usize, u64))| {
            let is_over = seen[*tenant].is_some_and(|seen| seen < number);
            let is_saving = self.may_save[*tenant] && !is_over;
            Billed { tenant: *tenant, cost_ns: *cost_ns, is_saving }
        };
        let billed: Vec<Billed> = costs.iter().enumerate().map(billed).collect();
        // News of it are billed to it; and its tokens were looked for once, perhaps, and the node had none.
        let streams: Vec<_> = (0..OWNERS.len()).map(|it| node.context(it)).collect();
        for (victim, standing) in now.iter().enumerate() {
            let is_about = |it: &&ContextId| match streams.iter().position(|own| *own == Some(**it))
            {
                Some(stream) => OWNERS[stream] == victim,
                None => true,
            };
            let unseen_ns = TURN_NS * (tick.news.iter().filter(is_about).count() as u64 + 1);
            self.ahead[victim].iter_mut().for_each(|it| it.turn_ns += unseen_ns);
            let is_one = OWNERS.iter().filter(|it| **it == victim).count() == 1;
            // Whoever has turns had something to read until the last of them.
            let until = match (self.before[victim], *standing) {
                (Standing::Ready, Standing::Ready) => turns.len(),
                (Standing::Ready, _) => costs.iter().rposition(|it| it.0 == victim).unwrap_or(0),
                _ => 0,
            };
            if is_one {
                for (turn, billed) in turns.iter().zip(&billed).take(until) {
                    self.charge(victim, turn, *billed, unseen_ns)?;
                }
            }
            let last = costs.iter().rfind(|it| it.0 == victim);
            self.last[victim] = last.map_or(self.last[victim], |it| it.1);
            if [self.before[victim], *standing] != [Standing::Ready; 2] {
                let turn_ns = self.last[victim];
                self.ahead[victim].fill(Ahead { turn_ns, ..Ahead::default() });
            }
        }
        for (tenant, standing) in now.iter().enumerate() {
            self.may_save[tenant] &= seen[tenant].is_none();
            self.may_save[tenant] |= *standing == Standing::Blocked;
        }
        self.before = now;
        Ok(())
    }

    /// A turn of anybody's, while the victim was ready.
    fn charge(
        &mut self,
        victim: usize,
        turn: &Turn,
        billed: Billed,
        unseen_ns: u64,
    ) -> Result<(), String> {
        let Billed { tenant, cost_ns, is_saving } = billed;
        let charge = i128::from(cost_ns) * PARTS / self.weights[tenant];
        if tenant == victim {
            for it in &mut self.ahead[victim] {
                it.parts -= charge;
                if it.parts <= 0 {
                    *it = Ahead { turn_ns: cost_ns + unseen_ns, ..Ahead::default() };
                }
            }
            return Ok(());
        }
        // What is let go for the sake of the disk costs no turn.
        if !turn.is_read() {
            return Ok(());
        }
        let ahead = &mut self.ahead[victim][tenant];
        if std::mem::replace(&mut ahead.is_saving, is_saving) && !is_saving {
            // Whoever is next came to be so by a turn of the one that is no larger than its largest.
            ahead.used = ahead.parts.max(0);
            ahead.turn_ns = ahead.turn_ns.max(self.largest[victim]);
        }
        let Ahead { parts, turn_ns, used, .. } = *ahead;
        let allowed = self.allowed(victim, tenant, turn_ns, is_saving) + used;
        if parts > allowed {
            return Err(format!(
                "I6: while {} had something to read, {} had got {parts} more for its weight, of \
                {allowed}, and has another turn",
                TENANTS[victim], TENANTS[tenant]
            ));
        }
        self.ahead[victim][tenant].parts += charge;
        Ok(())
    }

    /// How far another may be ahead of a tenant that is ready, before it has another turn.
    fn allowed(&self, victim: usize, other: usize, turn_ns: u64, is_saving: bool) -> i128 {
        let saved_ns = if is_saving { SAVED_NS } else { 0 };
        let own = i128::from(turn_ns) * PARTS / self.weights[victim];
        own + i128::from(saved_ns) * PARTS / self.weights[other] + 2
    }

    /// Rounds in which a line of these, that nothing limits, is delivered beside the others.
    pub(super) fn rounds_max(&self, victims: &[usize]) -> usize {
        let rounds = |stream: &usize| {
            let victim = OWNERS[*stream];
            let others = (0..TENANTS.len()).filter(|it| *it != victim);
            let costs_ns = others.map(|it| {
                let ahead = self.allowed(victim, it, self.largest[victim], self.may_save[it]);
                ahead * self.weights[it] / PARTS + i128::from(self.largest[it])
            });
            let turns = costs_ns.sum::<i128>() / i128::from(TURN_NS);
            usize::try_from(turns / i128::from(TURNS) + i128::from(ROUNDS_ALONE)).expect("few")
        };
        victims.iter().map(rounds).max().unwrap_or(0)
    }

    /// Rounds for which a reader that is short of CPU goes on to gather what it read of these: until their share of
    /// its time has paid for that.
    pub(super) fn rounds_gathered(&self, victims: &[usize]) -> usize {
        let all: i128 = self.weights.iter().sum();
        let rounds = |stream: &usize| {
            let victim = OWNERS[*stream];
            let cost_ns = i128::from(self.largest[victim] + 2 * TURN_NS);
            let share_ns = cost_ns * all / self.weights[victim];
            usize::try_from(share_ns / i128::from(ROUND_NS) + 1).expect("few")
        };
        victims.iter().map(rounds).max().unwrap_or(0)
    }
}

/// What a turn costs at least.
fn cost_ns(turn: &Turn, per_second: Option<u64>) -> u64 {
    let limited_ns = per_second.map_or(0, |it| turn.bytes * 1_000_000_000 / it);
    (turn.bytes * BYTE_NS).max(limited_ns).max(TURN_NS)
}

fn standings(node: &Node, tick: &ReaderTick) -> Vec<Standing> {
    let Some(report) = &tick.report else { return vec![Standing::Away; TENANTS.len()] };
    let mut standings = vec![Standing::Away; TENANTS.len()];
    for source in &report.awake {
        let tenant = TENANTS.iter().position(|it| **it == *source.context.tenant);
        let standing = match source.waits_for {
            // The node's limit is said first, whatever it waits for besides.
            Some(WaitsFor::Limit { level: Level::Node, .. })
                if lacks_memory(node, tick, &source.context.tenant) =>
            {
                Standing::Blocked
            }
            Some(WaitsFor::Turn | WaitsFor::Limit { level: Level::Node, .. }) => Standing::Ready,
            Some(
                WaitsFor::Memory { .. }
                | WaitsFor::Window { .. }
                | WaitsFor::Lane
                | WaitsFor::Sink { .. },
            ) => Standing::Blocked,
            Some(WaitsFor::Limit { .. }) | None => Standing::Away,
        };
        let slot = &mut standings[tenant.expect("a tenant")];
        if *slot != Standing::Blocked && standing != Standing::Away {
            *slot = standing;
        }
    }
    for (stream, tenant) in OWNERS.into_iter().enumerate() {
        // What fails takes turns, and brings nothing.
        if node.worlds[stream].is_failing() && standings[tenant] == Standing::Ready {
            standings[tenant] = Standing::Away;
        }
    }
    standings
}

/// Whether the tenant is granted no memory for another chunk.
fn lacks_memory(node: &Node, tick: &ReaderTick, tenant: &str) -> bool {
    let used = |tenant: &str| tick.used.iter().find(|it| *it.0 == *tenant).map_or(0, |it| it.1);
    let reserved = |tenant: &str| node.plan.memory_of(tenant).reserved_bytes;
    let wanted = used(tenant) + CHUNK_BYTES;
    let lent: usize = TENANTS.iter().map(|it| used(it).saturating_sub(reserved(it))).sum();
    let of_pool = wanted.saturating_sub(reserved(tenant).max(used(tenant)));
    wanted > node.plan.memory_of(tenant).max_bytes || lent + of_pool > node.plan.pool_bytes
}
