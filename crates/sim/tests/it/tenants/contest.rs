//! Contest: stretches of time in which nothing but its share holds a tenant back: backlogs of some, and more lines of
//! others before each round. Limits, budgets and faults would leave shares little to decide.

use pipeline::budgets::BudgetSpec;
use pipeline::limits::{LimitPlan, Rates, TenantLimits};
use pipeline::reader::BatchLimits;
use sim::Mode;

use super::{Oracle, round};
use crate::actor::{Actor, Text};
use crate::bed::CHUNK_BYTES;
use crate::node::{Limits, Node, Plan, Stage};
use crate::node_schedule::lift_faults;
use crate::schedule::Step;

/// Chunks that a batch, and that a tenant's memory takes: more than a reader reads in a tick.
const CHUNKS: usize = 32;
/// Length of a line.
const LINE: u16 = 80;

/// One of these stretches.
#[derive(Debug, Clone)]
pub(super) struct Stretch {
    /// By stream, lines that are there at its begin, and so many more before each round.
    pub(super) lines: Vec<(usize, usize)>,
    pub(super) rounds: usize,
}

/// Has all of them, one after the other, on a plane of their own.
pub(super) fn run(
    node: &mut Node,
    actors: &mut [Actor],
    oracle: &mut Oracle,
    stretches: &[Stretch],
) -> Result<(), String> {
    if stretches.is_empty() {
        return Ok(());
    }
    let before = node.plan.clone();
    node.disk.revive();
    node.queues[0].refuse(None);
    node.stop();
    oracle.look(node)?;
    node.worlds.iter().for_each(lift_faults);
    node.plan = open(&before);
    for Stretch { lines, rounds } in stretches {
        for number in 0..*rounds {
            for (actor, (backlog, more)) in actors.iter_mut().zip(lines) {
                let lines = if number == 0 { backlog + more } else { *more };
                let text = Text { len: LINE, is_stderr: false, is_partial: false };
                actor.step(&Step::Reopen);
                actor.step(&Step::Append(vec![text; lines], 0));
            }
            node.tick(Stage::Discovery);
            node.queues.iter().for_each(|it| it.set_mode(Mode::Safe));
            (0..node.queues.len()).for_each(|it| node.settle_all(it));
            round(node, oracle)?;
        }
    }
    node.stop();
    oracle.look(node)?;
    node.plan = before;
    Ok(())
}

/// The same plan with weights alone.
fn open(plan: &Plan) -> Plan {
    let weigh = |it: &TenantLimits| TenantLimits { weight: it.weight, ..TenantLimits::default() };
    let tenants = &plan.limits.tenants;
    let tenants = tenants.iter().map(|(name, it)| (name.clone(), weigh(it))).collect();
    let much = BudgetSpec { reserved_bytes: CHUNKS * CHUNK_BYTES, max_bytes: CHUNKS * CHUNK_BYTES };
    Plan {
        absent: None,
        batch: BatchLimits { bytes_max: (CHUNKS * CHUNK_BYTES) as u64, records_max: usize::MAX },
        files: Limits { open_files_max: 100, pinned_bytes_max: u64::MAX },
        limits: LimitPlan { node: Rates::default(), tenants, log_configs: Default::default() },
        memory: plan.memory.keys().map(|it| (it.clone(), much)).collect(),
        pinned: Default::default(),
        ..plan.clone()
    }
}
