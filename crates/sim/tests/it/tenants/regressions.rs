//! Schedules of tenants that failed once, shrunk.

use std::collections::HashMap;

use pipeline::budgets::BudgetSpec;
use pipeline::limits::{AtLimit, LimitPlan, TenantLimits};

use super::contest::Stretch;
use super::*;
use crate::bed::CHUNK_BYTES;
use crate::node::{BATCH, Limits, SpoolPlan, Stream};

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

/// A change to the file between the two was held against the limit: two millionths of a record.
#[test]
fn what_is_granted_before_a_change_and_read_after_it_is_within_the_limit() {
    let mut setting = contending([100, 200, 10, 10, 10], Vec::new());
    setting.plan.files.open_files_max = 3;
    setting.stalls = Mode::Refuses;
    setting.plan.limits.node =
        Rates { bytes_per_second: None, records_per_second: Some(3114), burst_ns: 1_284_522 };
    let rates =
        Rates { bytes_per_second: Some(3000), records_per_second: None, burst_ns: 50_000_000 };
    let limits = TenantLimits { weight: 10, rates, ..TenantLimits::default() };
    setting.plan.limits.tenants.insert(Arc::from("misconfigured"), limits);
    let text = |len| Text { len, is_stderr: false, is_partial: false };
    let node = TenantStep::Node;
    let steps = [
        node(NodeStep::Tick(Stage::Discovery, 1)),
        node(NodeStep::Wait(1_284_516)),
        node(NodeStep::World(4, Step::Append([0, 0, 0, 0, 93, 115].map(text).to_vec(), 0))),
        node(NodeStep::Round([Stage::Discovery, Stage::Reader, Stage::Shipper, Stage::Tracker])),
        node(NodeStep::World(4, Step::Rotate)),
        node(NodeStep::World(0, Step::Append(vec![text(0)], 0))),
        node(NodeStep::World(4, Step::Reopen)),
        TenantStep::Trickle { lines: 2, rounds: 13, apart_ns: 100_000 },
    ];
    run(&setting, &steps).unwrap_or_else(|why| panic!("{why}"));
}

/// It was declared unreadable: its frame has a section that the sink had, of a context that is described before it.
#[test]
fn what_is_owed_of_a_frame_is_read_though_the_sink_has_the_rest() {
    let mut setting = contending([10; TENANTS.len()], Vec::new());
    setting.plan.pool_bytes = 4096;
    setting.plan.spool = Some(SpoolPlan {
        bytes_max: 8000,
        tenant_bytes_max: 4559,
        drain_bytes_per_second: 1_000_000,
    });
    let flood = TenantLimits {
        rates: Rates {
            bytes_per_second: Some(32_139),
            records_per_second: None,
            burst_ns: 3_080_352,
        },
        at_limit: AtLimit::Spool,
        max_lag_ns: Some(1_000_000_016),
        weight: 10,
        ..TenantLimits::default()
    };
    setting.plan.limits.tenants.insert(Arc::from("flood"), flood);
    let chunk = BudgetSpec { reserved_bytes: CHUNK_BYTES, max_bytes: 2 * CHUNK_BYTES };
    setting.plan.memory.insert(Arc::from("flood"), chunk);
    let node = TenantStep::Node;
    let round =
        || node(NodeStep::Round([Stage::Discovery, Stage::Reader, Stage::Shipper, Stage::Tracker]));
    let second = || node(NodeStep::Wait(1_000_000_000));
    let line = || {
        let text = Text { len: 0, is_stderr: false, is_partial: false };
        node(NodeStep::World(0, Step::Append(vec![text], 0)))
    };
    let steps = [
        TenantStep::Flood(43),
        round(),
        second(),
        round(),
        TenantStep::Sink(0, Mode::Held),
        second(),
        round(),
        node(NodeStep::World(0, Step::RefuseOpens(false))),
        second(),
        line(),
        line(),
        line(),
        line(),
        round(),
        node(NodeStep::Kill(1)),
    ];
    run(&setting, &steps).unwrap_or_else(|why| panic!("{why}"));
}

/// What its spool had let go of counted as held there for ever, and nothing more was read.
#[test]
fn a_tenant_whose_spool_let_go_of_something_is_read_on() {
    let lines = vec![(0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (1122, 52)];
    let mut setting = contending([10, 10, 10, 10, 200], vec![Stretch { lines, rounds: 2 }]);
    setting.format = Format::Cri;
    setting.plan.spool = Some(SpoolPlan {
        bytes_max: 8000,
        tenant_bytes_max: 5927,
        drain_bytes_per_second: 1_000_000,
    });
    let bytes = |bytes_per_second| Rates {
        bytes_per_second: Some(bytes_per_second),
        records_per_second: None,
        burst_ns: 50_000_000,
    };
    let records =
        Rates { bytes_per_second: None, records_per_second: Some(50), burst_ns: 50_000_000 };
    let of = |weight, rates, at_limit| TenantLimits {
        weight,
        rates,
        at_limit,
        ..TenantLimits::default()
    };
    setting.plan.limits.tenants.insert(Arc::from("victim"), of(10, bytes(20_000), AtLimit::Delay));
    setting.plan.limits.tenants.insert(Arc::from("flood"), of(10, records, AtLimit::Spool));
    let limits = |rates| LogConfigLimits { rates, per_container: Rates::default() };
    setting.plan.limits.log_configs.insert(log_config(1), limits(bytes(20_000)));
    setting.plan.limits.log_configs.insert(log_config(5), limits(bytes(3000)));
    let steps = [
        TenantStep::Flood(1),
        TenantStep::Node(NodeStep::World(2, Step::Rotate)),
        TenantStep::Flood(33),
        TenantStep::Trickle { lines: 1, rounds: 7, apart_ns: 100_000 },
        TenantStep::Flood(20),
        TenantStep::Flood(44),
    ];
    run(&setting, &steps).unwrap_or_else(|why| panic!("{why}"));
}

/// It was taken for one that only waits for its turn, as the report says the node's limit first.
#[test]
fn who_waits_for_the_node_and_for_memory_has_no_turn() {
    let mut setting = contending([1000, 10, 10, 10, 100], Vec::new());
    setting.format = Format::Cri;
    setting.plan.spool = Some(SpoolPlan {
        bytes_max: 8000,
        tenant_bytes_max: 4000,
        drain_bytes_per_second: 1_000_000,
    });
    setting.plan.limits.node =
        Rates { bytes_per_second: Some(3464), records_per_second: None, burst_ns: 202_786_715 };
    let node = TenantStep::Node;
    let round =
        || node(NodeStep::Round([Stage::Discovery, Stage::Reader, Stage::Shipper, Stage::Tracker]));
    let line = |stream, len| {
        let text = Text { len, is_stderr: false, is_partial: false };
        node(NodeStep::World(stream, Step::Append(vec![text], 0)))
    };
    let steps = [
        TenantStep::Trickle { lines: 2, rounds: 20, apart_ns: 30_104_896 },
        TenantStep::Trickle { lines: 1, rounds: 4, apart_ns: 18_417_816 },
        line(0, 42),
        TenantStep::Trickle { lines: 3, rounds: 12, apart_ns: 29_475_516 },
        node(NodeStep::Wait(1_000_000_000)),
        line(0, 0),
        line(0, 0),
        line(1, 0),
        line(0, 0),
        line(0, 0),
        line(0, 0),
        line(0, 0),
        TenantStep::Trickle { lines: 3, rounds: 14, apart_ns: 5_808_019 },
        node(NodeStep::Wait(1_000_000_000)),
        round(),
        round(),
    ];
    run(&setting, &steps).unwrap_or_else(|why| panic!("{why}"));
}
