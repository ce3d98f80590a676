//! Settings: which nodes of tenants there are, and what happens to them.

use std::collections::HashMap;
use std::sync::Arc;

use pipeline::budgets::BudgetSpec;
use pipeline::frame::Format;
use pipeline::limits::{AtLimit, LimitPlan, LogConfigLimits, Rates, TenantLimits};
use proptest::prelude::*;
use sim::Mode;

use super::contest::Stretch;
use super::{MISCONFIGURED, OWNERS, SINKS, Setting, TENANTS, TenantStep, log_config};
use crate::actor::Text;
use crate::bed::{CHUNK_BYTES, FLUSH_NS, LATE_NS};
use crate::node::{BATCH, Limits, Plan, Stage, Stream};
use crate::node_schedule::{NodeStep, disk_fault, stage};
use crate::schedule::Step;

fn rates() -> impl Strategy<Value = Rates> {
    // Also less than a line at a time.
    let bytes =
        prop::option::weighted(0.8, prop_oneof![3 => 20_000..200_000u64, 1 => 3_000..20_000u64]);
    let records = prop::option::weighted(0.3, 50..5_000u64);
    let burst_ns = prop_oneof![3 => 50_000_000..1_000_000_000u64, 1 => 1_000_000..50_000_000u64];
    (bytes, records, burst_ns).prop_map(|(bytes, records, burst_ns)| Rates {
        bytes_per_second: bytes,
        records_per_second: records,
        burst_ns,
    })
}

/// Limits in one of so many cases.
fn maybe(one_in: f64) -> impl Strategy<Value = Rates> {
    prop::option::weighted(1.0 / one_in, rates()).prop_map(Option::unwrap_or_default)
}

fn tenant_limits() -> impl Strategy<Value = TenantLimits> {
    let weight = prop::sample::select(vec![10, 50, 100, 200, 1_000]);
    let priority = prop_oneof![2 => Just(0), 1 => prop::sample::select(vec![-7, 5, 900])];
    let open_files_max = prop::option::weighted(0.3, 2..6u64);
    let at_limit = prop_oneof![
        2 => Just(AtLimit::Delay),
        2 => Just(AtLimit::ShedOldest),
        1 => (2..5u32).prop_map(AtLimit::Sample),
    ];
    let max_lag_ns = prop::option::of(100_000_000..3_000_000_000u64);
    let who = (weight, priority, open_files_max);
    (who, maybe(3.0), at_limit, max_lag_ns).prop_map(|(who, rates, at_limit, max_lag_ns)| {
        let (weight, priority, open_files_max) = who;
        TenantLimits { weight, priority, rates, at_limit, max_lag_ns, open_files_max }
    })
}

fn log_config_limits() -> impl Strategy<Value = LogConfigLimits> {
    (maybe(5.0), maybe(5.0))
        .prop_map(|(rates, per_container)| LogConfigLimits { rates, per_container })
}

fn memory() -> impl Strategy<Value = BudgetSpec> {
    (1..3usize, 0..8usize).prop_map(|(reserved, more)| BudgetSpec {
        reserved_bytes: reserved * CHUNK_BYTES,
        max_bytes: (reserved + more) * CHUNK_BYTES,
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    let limits = prop::collection::vec(tenant_limits(), TENANTS.len());
    let log_configs = prop::collection::vec(log_config_limits(), TENANTS.len());
    let memories = prop::collection::vec(memory(), TENANTS.len());
    let pinned = prop::collection::vec(prop::option::weighted(0.3, 0..4_000u64), TENANTS.len());
    let node_pinned = prop_oneof![3 => Just(u64::MAX), 1 => 0..5_000u64];
    let files = (0..6u64, node_pinned)
        .prop_map(|(open_files_max, pinned_bytes_max)| Limits { open_files_max, pinned_bytes_max });
    (limits, log_configs, memories, pinned, maybe(3.0), files, 0..8usize).prop_map(
        |(limits, log_configs, memories, pinned, node, files, pool)| {
            let name = |number: usize| Arc::<str>::from(TENANTS[number]);
            let stream = |stream: usize| Stream {
                tenant: name(OWNERS[stream]),
                log_config: log_config(stream),
                sink: SINKS[stream],
            };
            let configs = log_configs.into_iter().enumerate();
            let configs =
                configs.map(|(it, limits)| (Arc::from(format!("{}-logs", TENANTS[it])), limits));
            let pinned = pinned.into_iter().enumerate();
            Plan {
                streams: (0..OWNERS.len()).map(stream).collect(),
                sinks: 3,
                batch: BATCH,
                retry_max_ns: 20_000_000,
                absent: None,
                files,
                scans_by_piece: false,
                limits: LimitPlan {
                    node,
                    tenants: by_name(limits),
                    log_configs: configs.collect(),
                },
                memory: by_name(memories),
                pool_bytes: pool * CHUNK_BYTES,
                pinned: pinned.filter_map(|(it, bytes)| Some((name(it), bytes?))).collect(),
                spool: None,
            }
        },
    )
}

fn by_name<T>(all: Vec<T>) -> HashMap<Arc<str>, T> {
    TENANTS.iter().map(|it| Arc::from(*it)).zip(all).collect()
}

pub(super) fn stalling() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Held), Just(Mode::Refuses), Just(Mode::IsBusy)]
}

pub(super) fn setting() -> impl Strategy<Value = Setting> {
    let format = prop_oneof![Just(Format::Plain), Just(Format::Cri)];
    let contest = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(stretch(), 1..3)];
    (format, plan(), stalling(), contest).prop_map(|(format, plan, stalls, contest)| Setting {
        format,
        plan,
        stalls,
        contest,
    })
}

fn stretch() -> impl Strategy<Value = Stretch> {
    // Some last for all rounds: beside them, those who come again and again have debts.
    let backlog =
        prop_oneof![2 => Just(0), 1 => 1..10usize, 2 => 150..500usize, 1 => 1_000..1_500usize];
    let trickle = prop_oneof![2 => Just(0), 1 => 1..5usize, 2 => 20..60usize];
    (prop::collection::vec((backlog, trickle), OWNERS.len()), 2..8usize)
        .prop_map(|(lines, rounds)| Stretch { lines, rounds })
}

fn texts() -> impl Strategy<Value = Vec<Text>> {
    let text = (0..120u16, any::<bool>()).prop_map(|(len, is_stderr)| Text {
        len,
        is_stderr,
        is_partial: false,
    });
    prop::collection::vec(text, 1..12)
}

/// What happens to the files of a tenant.
fn file_step() -> impl Strategy<Value = Step> {
    let cut = || prop_oneof![4 => Just(0usize), 1 => 1..40usize];
    prop_oneof![
        12 => (texts(), cut()).prop_map(|(texts, cut)| Step::Append(texts, cut)),
        2 => (texts(), cut()).prop_map(|(texts, cut)| Step::AppendLate(texts, cut)),
        1 => Just(Step::CloseLate),
        5 => Just(Step::Rotate),
        6 => Just(Step::Reopen),
        3 => Just(Step::DeleteOldest),
        1 => Just(Step::Recreate),
        1 => Just(Step::Unlink),
        1 => Just(Step::Truncate),
    ]
}

/// What goes wrong with them.
fn fault() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<bool>().prop_map(Step::RefuseOpens),
        any::<bool>().prop_map(Step::RefuseReads),
        prop::option::of(1..200usize).prop_map(Step::ShortenReads),
    ]
}

fn node_step() -> impl Strategy<Value = NodeStep> {
    let round = Just([Stage::Discovery, Stage::Reader, Stage::Shipper, Stage::Tracker]);
    let time = prop_oneof![1..FLUSH_NS / 2, Just(FLUSH_NS), Just(LATE_NS)];
    let streams = || 0..OWNERS.len();
    prop_oneof![
        24 => (streams(), file_step()).prop_map(|(stream, step)| NodeStep::World(stream, step)),
        2 => fault().prop_map(|step| NodeStep::World(MISCONFIGURED, step)),
        1 => (streams(), fault()).prop_map(|(stream, step)| NodeStep::World(stream, step)),
        16 => (stage(), 1..6usize).prop_map(|(stage, times)| NodeStep::Tick(stage, times)),
        14 => round.prop_shuffle().prop_map(NodeStep::Round),
        3 => streams().prop_map(NodeStep::Hear),
        2 => (1..4usize).prop_map(NodeStep::MakeSafe),
        2 => (0..4usize).prop_map(NodeStep::Acknowledge),
        1 => (0..12u64, disk_fault()).prop_map(|(steps, fault)| NodeStep::Disk(steps, fault)),
        1 => (0..4usize).prop_map(NodeStep::Kill),
        1 => (0..4usize, 0..200usize, any::<bool>())
            .prop_map(|(kept, torn, names)| NodeStep::PowerCut(kept, torn, names)),
        1 => Just(NodeStep::Stop),
        5 => time.prop_map(NodeStep::Wait),
    ]
}

fn trickle() -> impl Strategy<Value = TenantStep> {
    (1..4usize, 2..24usize, 100_000..40_000_000u64)
        .prop_map(|(lines, rounds, apart_ns)| TenantStep::Trickle { lines, rounds, apart_ns })
}

pub(super) fn tenant_step() -> impl Strategy<Value = TenantStep> {
    let broken = (0..3usize).prop_map(Mode::Breaks);
    let mode = prop_oneof![4 => stalling(), 3 => Just(Mode::Safe), 1 => broken];
    prop_oneof![
        70 => node_step().prop_map(TenantStep::Node),
        10 => (1..60usize).prop_map(TenantStep::Flood),
        3 => trickle(),
        5 => mode.prop_map(|mode| TenantStep::Sink(1, mode)),
        2 => stalling().prop_map(|mode| TenantStep::Sink(0, mode)),
        4 => (0..2usize, 1..4usize).prop_map(|(sink, payloads)| TenantStep::Settle(sink, payloads)),
        2 => prop::option::of(2..TENANTS.len()).prop_map(TenantStep::Refuse),
        2 => any::<bool>().prop_map(TenantStep::Absent),
        1 => any::<bool>().prop_map(TenantStep::Worse),
    ]
}
