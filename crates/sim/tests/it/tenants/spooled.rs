//! Spooled: settings and steps of nodes with a spool before each sink, and what must hold of it in the end.

use flow::GapReason;
use pipeline::limits::AtLimit;
use proptest::prelude::*;
use sim::{DiskFault, Mode, Stored};

use super::settings::{setting, stalling, tenant_step};
use super::{OWNERS, Setting, TENANTS, TenantStep};
use crate::node::{Node, SpoolPlan};
use crate::node_schedule::{NodeStep, disk_fault};

/// Sinks there are.
const SINKS: usize = 3;

/// What happens to the spool of a sink.
#[derive(Debug, Clone)]
pub(crate) enum SpoolStep {
    /// What it was handed is made safe.
    Sync,
    /// The step to its disk after so many others has a fault.
    Disk(u64, DiskFault),
    /// Its disk has no room, or has again.
    Full(bool),
}

/// Does a step.
pub(super) fn act(node: &mut Node, sink: usize, step: &SpoolStep) {
    match step {
        SpoolStep::Sync => node.sync_spool(sink),
        SpoolStep::Disk(steps, fault) => node.spools[sink].disk.fail_after(*steps, *fault),
        SpoolStep::Full(is_full) => node.spools[sink].disk.set_full(*is_full),
    }
}

fn spool() -> impl Strategy<Value = SpoolPlan> {
    let bytes_max = prop_oneof![2 => 8_000..40_000u64, 1 => Just(u64::MAX)];
    let tenant_bytes_max = prop_oneof![2 => 4_000..20_000u64, 1 => Just(1 << 20)];
    let drain = prop_oneof![3 => 1_000_000..20_000_000u64, 1 => 50_000..1_000_000u64];
    (bytes_max, tenant_bytes_max, drain).prop_map(
        |(bytes_max, tenant_bytes_max, drain_bytes_per_second)| SpoolPlan {
            bytes_max,
            tenant_bytes_max,
            drain_bytes_per_second,
        },
    )
}

/// Nodes with spools, whose tenants may go by way of them at a limit.
pub(super) fn spooled() -> impl Strategy<Value = Setting> {
    let ways = prop::collection::vec(any::<bool>(), TENANTS.len());
    (setting(), spool(), ways).prop_map(|(mut setting, spool, ways)| {
        setting.plan.spool = Some(spool);
        for (tenant, is_spooled) in TENANTS.into_iter().zip(ways) {
            let limits = setting.plan.limits.tenants.get_mut(tenant).expect("a tenant");
            if is_spooled {
                limits.at_limit = AtLimit::Spool;
            }
        }
        setting
    })
}

fn spool_step() -> impl Strategy<Value = SpoolStep> {
    prop_oneof![
        8 => Just(SpoolStep::Sync),
        1 => (0..12u64, disk_fault()).prop_map(|(steps, fault)| SpoolStep::Disk(steps, fault)),
        1 => any::<bool>().prop_map(SpoolStep::Full),
    ]
}

/// What happens to such a node. Sinks are there, as its own is before each spool.
pub(super) fn spooled_step() -> impl Strategy<Value = TenantStep> {
    let other = tenant_step().prop_map(|step| match step {
        TenantStep::Absent(_) => TenantStep::Sink(2, Mode::Refuses),
        step => step,
    });
    // A lane that is refused for a second goes to the spool.
    let second = Just(TenantStep::Node(NodeStep::Wait(1_000_000_000)));
    let round = Just([
        crate::node::Stage::Discovery,
        crate::node::Stage::Reader,
        crate::node::Stage::Shipper,
        crate::node::Stage::Tracker,
    ]);
    let round = round.prop_map(|it| TenantStep::Node(NodeStep::Round(it)));
    prop_oneof![
        60 => other,
        10 => (0..SINKS, spool_step()).prop_map(|(sink, step)| TenantStep::Spool(sink, step)),
        4 => second,
        10 => round,
        3 => (0..SINKS, stalling()).prop_map(|(sink, mode)| TenantStep::Sink(sink, mode)),
    ]
}

/// Bytes of a tenant that a full spool has let go of, as the queues have them.
pub(super) fn let_go_bytes(node: &Node, tenant: &str) -> u64 {
    node.sum(|it: &Stored| {
        let is_own = *it.header.context.tenant == *tenant;
        let is_it = is_own && it.header.gap == Some(GapReason::SpoolFull);
        if is_it { it.header.span.bytes() } else { 0 }
    })
}

/// Nothing is owed any more, and what was let go was said.
pub(super) fn finish(node: &Node) -> Result<(), String> {
    if let Some(stream) = (0..OWNERS.len()).find(|it| node.is_owed(*it)) {
        return Err(format!("I7: stream {stream} is owed something in the end"));
    }
    for tenant in TENANTS {
        let declared = let_go_bytes(node, tenant);
        let said: u64 = node.spools.iter().map(|it| it.released_bytes(tenant)).sum();
        let meter = node.meter.tenant(&std::sync::Arc::from(tenant));
        let counted = meter.released_bytes.get();
        if node.lives == 1 && (declared != said || declared != counted) {
            return Err(format!(
                "I8: {tenant}: {declared} bytes let go, the spool said {said}, {counted} counted"
            ));
        }
    }
    Ok(())
}
