//! Shares: what tenants get of a reader beside each other, turn by turn, by their weights.
//!
//! While a tenant has something to read, and neither a limit of its own nor memory nor its lane holds it back, each
//! other one is charged, for its weight, at most what it is charged itself, and a turn of each; and as much more as
//! the other may have saved while it was held back. Nothing here knows of virtual time. Asked of tenants with one
//! stream: of another, a look at one file that brings nothing is not seen here.

use pipeline::limits::Level;
use pipeline::reader::WaitsFor;

use super::{OWNERS, TENANTS};
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

#[derive(Debug)]
pub(super) struct Shares {
    weights: Vec<i128>,
    before: Vec<Standing>,
    /// Which tenants were held back, and may have saved something.
    may_save: Vec<bool>,
    /// By tenant, what its largest turn cost.
    largest: Vec<u64>,
    /// By tenant and other tenant: how much more the other was charged for its weight, since it was most.
    over: Vec<Vec<i128>>,
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
            largest: vec![TURN_NS; count],
            over: vec![vec![0; count]; count],
            life: 0,
        }
    }

    /// I6 of one tick.
    pub(super) fn look(&mut self, node: &Node, tick: &ReaderTick) -> Result<(), String> {
        let count = TENANTS.len();
        if std::mem::replace(&mut self.life, node.lives) != node.lives {
            self.before = vec![Standing::Away; count];
            self.may_save = vec![false; count];
        }
        let now = standings(node, tick);
        for (may_save, now) in self.may_save.iter_mut().zip(&now) {
            *may_save |= *now == Standing::Blocked;
        }
        let per_second = node.plan.limits.node.bytes_per_second;
        let turns = node.watch.turns.look(|turns| turns[tick.turns.clone()].to_vec());
        for turn in &turns {
            let tenant = OWNERS[turn.stream];
            self.largest[tenant] = self.largest[tenant].max(cost_ns(turn, per_second));
        }
        for (victim, standing) in now.iter().enumerate() {
            let is_one = OWNERS.iter().filter(|it| **it == victim).count() == 1;
            let is_through = [self.before[victim], *standing] == [Standing::Ready; 2];
            if !(is_one && is_through) {
                self.over[victim].fill(0);
                continue;
            }
            for turn in &turns {
                self.charge(victim, turn, per_second)?;
            }
            // Its tokens were looked for once, perhaps, and the node had none.
            let look = i128::from(TURN_NS) * PARTS / self.weights[victim];
            self.over[victim].iter_mut().for_each(|it| *it = (*it - look).max(0));
        }
        self.before = now;
        Ok(())
    }

    /// A turn of anybody's, while the victim was ready.
    fn charge(
        &mut self,
        victim: usize,
        turn: &Turn,
        per_second: Option<u64>,
    ) -> Result<(), String> {
        let (tenant, cost_ns) = (OWNERS[turn.stream], cost_ns(turn, per_second));
        let charge = i128::from(cost_ns) * PARTS / self.weights[tenant];
        if tenant == victim {
            self.over[victim].iter_mut().for_each(|it| *it = (*it - charge).max(0));
            return Ok(());
        }
        // What is let go for the sake of the disk costs no turn.
        if !turn.is_read() {
            return Ok(());
        }
        self.over[victim][tenant] += charge;
        let (over, allowed) = (self.over[victim][tenant], self.allowed(victim, tenant));
        if over > allowed {
            return Err(format!(
                "I6: while {} had something to read, {} got {over} more for its weight, of {allowed}",
                TENANTS[victim], TENANTS[tenant]
            ));
        }
        Ok(())
    }

    /// How far another may be ahead of a tenant that is ready.
    fn allowed(&self, victim: usize, other: usize) -> i128 {
        let saved_ns = if self.may_save[other] { SAVED_NS } else { 0 };
        let own = i128::from(self.largest[victim]) * PARTS / self.weights[victim];
        own + i128::from(self.largest[other] + saved_ns) * PARTS / self.weights[other] + 2
    }

    /// Rounds in which a line of these, that nothing limits, is delivered beside the others.
    pub(super) fn rounds_max(&self, victims: &[usize]) -> usize {
        let rounds = |stream: &usize| {
            let victim = OWNERS[*stream];
            let others = (0..TENANTS.len()).filter(|it| *it != victim);
            let costs_ns = others.map(|it| self.allowed(victim, it) * self.weights[it] / PARTS);
            let turns = costs_ns.sum::<i128>() / i128::from(TURN_NS);
            usize::try_from(turns / i128::from(TURNS) + i128::from(ROUNDS_ALONE)).expect("few")
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
