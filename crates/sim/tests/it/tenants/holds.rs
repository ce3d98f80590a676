//! Holds: what each tenant has open, and which removed files keep their bytes on the disk for it.

use std::sync::Arc;

use flow::GapReason;

use super::{OWNERS, TENANTS};
use crate::node::{Node, ReaderTick};

/// Descriptors of a stream beyond its tenant's limit: of the generation that is read and the next, and of one that
/// was renamed since.
const OPEN_FILES_EXTRA: u64 = 3;

/// I5 and I8 at any time: a tenant has no more files open than it may, and says how many it has.
pub(super) fn look(node: &Node) -> Result<(), String> {
    for (number, tenant) in TENANTS.into_iter().enumerate() {
        let (named, removed) = open_files(node, number);
        let limits = &node.plan.limits.tenants[tenant];
        let streams = OWNERS.iter().filter(|it| **it == number).count() as u64;
        if limits.open_files_max.is_some_and(|max| named > max + OPEN_FILES_EXTRA * streams) {
            return Err(format!("I5: {tenant} has {named} files open"));
        }
        let said = node.meter.tenant(&Arc::from(tenant)).open_files.get();
        // What discovery has opened is counted elsewhere until the reader has it.
        if said > named + removed {
            return Err(format!("I8: {tenant} has {named} and {removed} files open, says {said}"));
        }
    }
    Ok(())
}

/// I5 after a tick of the reader: what is pinned is within all budgets; and who gave for them was to give.
pub(super) fn look_at_tick(node: &Node, tick: &ReaderTick) -> Result<(), String> {
    let pinned = |tenant: &str| tick.pinned.iter().find(|it| *it.0 == *tenant).map_or(0, |it| it.1);
    let all: u64 = tick.pinned.iter().map(|it| it.1).sum();
    if all > node.plan.files.pinned_bytes_max {
        return Err(format!("I5: {all} bytes are pinned"));
    }
    for (tenant, max) in &node.plan.pinned {
        if pinned(tenant) > *max {
            return Err(format!("I5: {tenant} has {} bytes pinned", pinned(tenant)));
        }
    }
    let priority = |tenant: &str| node.plan.limits.tenants[tenant].priority;
    let turns = node.watch.turns.look(|turns| turns[tick.turns.clone()].to_vec());
    let given = turns.iter().filter(|it| it.gap == Some(GapReason::PinnedBudget));
    for tenant in given.map(|it| TENANTS[OWNERS[it.stream]]) {
        // One with a limit of its own may have been beyond that.
        let is_for_all = !node.plan.pinned.contains_key(tenant);
        let mut lower = TENANTS.into_iter().filter(|it| priority(it) < priority(tenant));
        if let Some(lower) = lower.find(|it| is_for_all && pinned(it) > 0) {
            let bytes = pinned(lower);
            return Err(format!(
                "{tenant} gave, and {lower} of lower priority holds {bytes} bytes"
            ));
        }
    }
    Ok(())
}

/// In the end the agent holds what it says, and says all that it holds.
pub(super) fn finish(node: &Node) -> Result<(), String> {
    for (number, tenant) in TENANTS.into_iter().enumerate() {
        let meter = node.meter.tenant(&Arc::from(tenant));
        let pinned: u64 = streams(number).map(|it| node.worlds[it].pinned().1).sum();
        if meter.pinned_bytes.get() != pinned {
            let said = meter.pinned_bytes.get();
            return Err(format!("I8: {tenant}: {pinned} bytes are pinned, said {said}"));
        }
        let (named, removed) = open_files(node, number);
        let said = meter.open_files.get();
        if said != named + removed {
            return Err(format!("I8: {tenant} has {named} and {removed} files open, says {said}"));
        }
    }
    Ok(())
}

fn streams(tenant: usize) -> impl Iterator<Item = usize> {
    (0..OWNERS.len()).filter(move |it| OWNERS[*it] == tenant)
}

/// Descriptors of a tenant's files that have names, and of those that have none.
fn open_files(node: &Node, tenant: usize) -> (u64, u64) {
    let of = |stream: usize| (node.worlds[stream].open_files(), node.worlds[stream].pinned().0);
    streams(tenant).map(of).fold((0, 0), |all, it| (all.0 + it.0, all.1 + it.1))
}
