//! Schedules of tenants that failed once, shrunk.

use std::collections::HashMap;

use pipeline::budgets::BudgetSpec;
use pipeline::limits::{LimitPlan, TenantLimits};

use super::contest::Stretch;
use super::*;
use crate::bed::CHUNK_BYTES;
use crate::node::{BATCH, Limits, Stream};

/// A node where nobody is limited, of tenants with these weights, which then contend.
fn contending(weights: [u32; TENANTS.len()], contest: Vec<Stretch>) -> Setting {
    let stream = |stream: usize| Stream {
        tenant: Arc::from(TENANTS[OWNERS[stream]]),
        log_config: log_config(stream),
        sink: SINKS[stream],
    };
    let by_name = |weight: &u32| TenantLimits { weight: *weight, ..TenantLimits::default() };
    let names = TENANTS.into_iter().map(Arc::from);
    let tenants = names.zip(weights.iter().map(by_name)).collect();
    let chunk = BudgetSpec { reserved_bytes: CHUNK_BYTES, max_bytes: CHUNK_BYTES };
    let log_configs = (0..OWNERS.len()).map(|it| (log_config(it), LogConfigLimits::default()));
    let plan = Plan {
        streams: (0..OWNERS.len()).map(stream).collect(),
        sinks: 3,
        batch: BATCH,
        retry_max_ns: 20_000_000,
        absent: None,
        files: Limits { open_files_max: 0, pinned_bytes_max: u64::MAX },
        scans_by_piece: false,
        limits: LimitPlan { node: Rates::default(), tenants, log_configs: log_configs.collect() },
        memory: TENANTS.into_iter().map(|it| (Arc::from(it), chunk)).collect(),
        pool_bytes: 0,
        pinned: HashMap::new(),
        spool: None,
    };
    Setting { format: Format::Plain, plan, stalls: Mode::Held, contest }
}

/// What one had saved while its memory was short it used in one tick, and it was not paid back in the next.
#[test]
fn what_was_saved_while_held_back_and_is_used_stays_used() {
    let lines = |lines: [usize; OWNERS.len()]| lines.into_iter().map(|it| (it, 0)).collect();
    let contest = vec![
        Stretch { lines: lines([0, 231, 1500, 0, 0, 150]), rounds: 4 },
        Stretch { lines: lines([150, 1500, 0, 1500, 0, 0]), rounds: 4 },
    ];
    let setting = contending([50, 100, 50, 10, 50], contest);
    let steps = [
        TenantStep::Flood(28),
        TenantStep::Flood(46),
        TenantStep::Flood(9),
        TenantStep::Node(NodeStep::World(2, Step::Rotate)),
    ];
    run(&setting, &steps).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn what_a_tenant_says_of_its_open_files_is_what_it_has() {
    let lines = vec![(0, 0), (0, 1), (1000, 0), (0, 47), (1224, 4), (0, 1)];
    let mut setting = contending([10, 10, 100, 10, 10], vec![Stretch { lines, rounds: 2 }]);
    setting.plan.files.open_files_max = 3;
    setting.stalls = Mode::Refuses;
    let steps = [Step::Reopen, Step::Rotate].map(|it| TenantStep::Node(NodeStep::World(4, it)));
    run(&setting, &steps).unwrap_or_else(|why| panic!("{why}"));
}

/// It was said to have waited since a limit had held back what was cut then.
#[test]
fn what_comes_after_what_a_limit_held_back_was_cut_has_not_waited() {
    let mut setting = contending([10; TENANTS.len()], Vec::new());
    let rates =
        Rates { bytes_per_second: Some(20_000), records_per_second: None, burst_ns: 50_000_000 };
    let limits = LogConfigLimits { rates, per_container: Rates::default() };
    setting.plan.limits.log_configs.insert(log_config(STALLED), limits);
    let text = Text { len: 80, is_stderr: false, is_partial: false };
    let node = TenantStep::Node;
    let world = |step| node(NodeStep::World(STALLED, step));
    let round =
        || node(NodeStep::Round([Stage::Discovery, Stage::Reader, Stage::Shipper, Stage::Tracker]));
    let steps = [
        world(Step::Append(vec![text; 3], 0)),
        round(),
        world(Step::Truncate),
        node(NodeStep::Wait(100_000_000)),
        round(),
        node(NodeStep::Wait(100_000_000)),
        round(),
        world(Step::Append(vec![text; 3], 0)),
        round(),
        node(NodeStep::Wait(100_000_000)),
        round(),
    ];
    run(&setting, &steps).unwrap_or_else(|why| panic!("{why}"));
}

/// A file that is gone is declared in a batch with records, which pay for that too, and memory is full.
#[test]
fn what_is_declared_in_a_batch_stands_beyond_what_was_granted() {
    let setting = contending([10; TENANTS.len()], Vec::new());
    let [gone, rotated] = FLOODS;
    let world = |stream, step| TenantStep::Node(NodeStep::World(stream, step));
    let late = Text { len: 105, is_stderr: false, is_partial: false };
    let steps = [
        TenantStep::Trickle { lines: 1, rounds: 2, apart_ns: 100_000 },
        world(rotated, Step::Rotate),
        world(rotated, Step::Reopen),
        world(gone, Step::Unlink),
        TenantStep::Flood(84),
        TenantStep::Node(NodeStep::Round([
            Stage::Discovery,
            Stage::Reader,
            Stage::Shipper,
            Stage::Tracker,
        ])),
        TenantStep::Node(NodeStep::Wait(5_000_000_000)),
        TenantStep::Node(NodeStep::Tick(Stage::Reader, 1)),
        world(rotated, Step::AppendLate(vec![late], 0)),
    ];
    run(&setting, &steps).unwrap_or_else(|why| panic!("{why}"));
}
