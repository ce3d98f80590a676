//! Removed files that are held open until they are read: row C13, and bytes at risk.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use crate::kit::{
    Agent, Bed, Container, Run, SMALL_QUEUE, Tmpfs, containers, queue_sink, resource, sleep_ms,
    wait_until,
};

const POD: &str = "pods/shop_web-0_u1/app";

/// What may be pinned in these tests, in bytes.
const PINNED_MAX: u64 = 2 << 20;

/// Lines of one generation: 800 kB.
const LINES: u64 = 10_000;

/// A running agent whose queue takes nothing, and whose memory is full of what it read before.
fn stalled(bed: &Bed, pinned_max: u64) -> (Agent, Tmpfs, Container) {
    let disk = Tmpfs::mount(bed.path("disk"), 24 << 20);
    symlink(disk.path().join("queue"), bed.queue()).unwrap();
    let agent = format!(
        "  memory: 36MiB\n  openFilesMax: 100\n  pinnedBytesMax: {}MiB\n",
        pinned_max >> 20
    );
    bed.configure(&[&bed.agent(&agent), SMALL_QUEUE, &containers("pods", "", "")]);
    let (agent, container) = bed.stall(&disk, Container::create(&bed.path(POD)));
    (agent, disk, container)
}

/// Sizes of the removed log files that a process holds open.
fn removed_but_open(pid: u32, folder: &Path) -> Vec<u64> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let held = descriptors.flatten().filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
        let is_log = target.starts_with(&*folder.to_string_lossy());
        let is_removed = is_log && target.ends_with(" (deleted)");
        is_removed.then(|| fs::metadata(entry.path()).ok()).flatten().map(|it| it.len())
    });
    held.collect()
}

#[test]
fn c13_removed_files_beyond_the_budget_are_let_go_and_their_unread_range_is_declared() {
    let bed = Bed::new();
    let (agent, disk, mut container) = stalled(&bed, PINNED_MAX);
    for _ in 0..9 {
        container.rotate();
        container.write(LINES);
        sleep_ms(200);
    }
    // Five generations have names; of those that were removed, all but the budget is let go.
    wait_until("a release", || agent.stderr(), |it| it.contains("let go unread"));
    let held = wait_until(
        "the disk back",
        || removed_but_open(agent.pid(), &bed.path("pods")),
        |it| it.iter().sum::<u64>() <= PINNED_MAX,
    );
    assert!(!held.is_empty(), "what is within the budget is kept");
    wait_until(
        "the metric",
        || agent.metric("logferry_pinned_bytes"),
        |it| *it == held.iter().sum::<u64>() as f64,
    );

    disk.free();
    let last = container.bodies().pop().unwrap();
    let is_last = |it: &Vec<Value>| it.last().is_some_and(|it| it["body"] == last.as_str());
    let records = wait_until("the last line", || bed.records(), is_last);
    let is_gap = |it: &&Value| !it["log.gap.reason"].is_null();
    let gaps: Vec<&Value> = records.iter().filter(is_gap).collect();
    assert!(!gaps.is_empty() && gaps.iter().all(|it| it["log.gap.reason"] == "pinned_budget"));
    // Bytes of lines that arrived, and bytes of gaps, are all bytes written.
    let line_bytes = container.line_bytes();
    let arrived = (records.len() - gaps.len()) as u64;
    let gap_bytes: u64 = gaps.iter().map(|it| it["log.gap.bytes"].as_u64().unwrap()).sum();
    let written = container.bodies().len() as u64 * line_bytes;
    assert_eq!(arrived * line_bytes + gap_bytes, written);
    let metric = agent.metric("logferry_gap_bytes_total");
    assert_eq!(metric, gap_bytes as f64);
    wait_until("nothing pinned", || agent.metric("logferry_pinned_bytes"), |it| *it == 0.0);
    agent.stop();
    let (_, report) = bed.audit();
    assert_eq!(report["tenants"]["shop"]["totals"]["gaps"]["pinned_budget"]["bytes"], gap_bytes);
    assert_eq!(report["clean"], true, "{report:#}");
}

#[test]
fn c13_removed_files_within_the_budget_are_kept_and_nothing_is_lost() {
    let bed = Bed::new();
    // More than the file holds, however long it took to fill the memory.
    let (agent, disk, mut container) = stalled(&bed, 64 << 20);
    for _ in 0..6 {
        container.rotate();
        container.write(LINES / 8);
        sleep_ms(100);
    }
    wait_until("pinned", || agent.metric("logferry_pinned_bytes"), |it| *it > 0.0);
    disk.free();
    let want = container.bodies();
    let delivered = || agent.metric("logferry_delivered_records_total");
    wait_until("all lines", delivered, |it| *it >= want.len() as f64);
    let bodies = bed.bodies();
    assert!(bodies == want, "{} of {} lines", bodies.len(), want.len());
    wait_until("nothing pinned", || agent.metric("logferry_pinned_bytes"), |it| *it == 0.0);
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn bytes_that_the_next_rotation_takes_are_a_metric_and_explained() {
    let bed = Bed::new();
    let (agent, _disk, mut container) = stalled(&bed, PINNED_MAX);
    assert_eq!(agent.metric("logferry_at_risk_bytes"), 0.0, "a live file is not rotated away");
    for _ in 0..5 {
        container.rotate();
        container.write(LINES / 8);
        sleep_ms(100);
    }
    let oldest = container.rotated().remove(0);
    let size = fs::metadata(&oldest).unwrap().len();
    wait_until("at risk", || agent.metric("logferry_at_risk_bytes"), |it| *it == size as f64);
    let config = bed.config();
    let what = oldest.to_str().unwrap();
    let run = Run::of(&["explain", "--file", config.to_str().unwrap(), what]);
    let says = format!("{what}: read to 0 of {size}, {size} unread, removed by the next rotation");
    assert!(run.stdout.contains(&says), "{run:?}");
    assert!(run.stdout.contains(&format!("({size} at risk)")), "{run:?}");
}

/// The one of higher priority holds more, and gives nothing.
#[test]
fn removed_files_of_a_lower_priority_are_let_go_before_those_of_a_higher_one() {
    /// Lines of one generation of the one, 100 kB; of the other half of it.
    const GENERATION: u64 = LINES / 8;
    let bed = Bed::new();
    let tenant = |name: &str, priority: i32| {
        let slow = "  limits: {bytesPerSecond: 64KiB, burst: 10ms}\n";
        resource("LogTenant", name, &format!("  priority: {priority}\n{slow}"))
    };
    let agent = bed.agent("  pinnedBytesMax: 500KiB\n");
    let (low, high) = (tenant("batch", -10), tenant("shop", 1000));
    bed.configure(&[&agent, &queue_sink(""), &low, &high, &containers("pods", "", "")]);
    let agent = Agent::start(&bed);
    let mut low = Container::create(&bed.path("pods/batch_job-0_u2/app"));
    let mut high = Container::create(&bed.path(POD));
    for _ in 0..9 {
        low.write(GENERATION / 2);
        high.write(GENERATION);
        sleep_ms(200);
        low.rotate();
        high.rotate();
    }
    wait_until("a release", || agent.stderr(), |it| it.contains("let go unread"));
    let lag = || agent.metric("logferry_lag_bytes");
    wait_until("all is read or let go", lag, |it| *it == 0.0);
    wait_until("nothing pinned", || agent.metric("logferry_pinned_bytes"), |it| *it == 0.0);
    agent.stop();
    let (_, report) = bed.audit();
    let gaps = |tenant: &str| report["tenants"][tenant]["totals"]["gaps"].clone();
    assert_eq!(gaps("shop")["pinned_budget"]["bytes"].as_u64().unwrap_or(0), 0, "{report:#}");
    let given = gaps("batch")["pinned_budget"]["bytes"].as_u64().unwrap();
    let records = bed.records();
    let lines = |namespace: &str| {
        let is_line = |it: &&Value| it["log.gap.reason"].is_null();
        let own = |it: &&Value| it.to_string().contains(namespace);
        records.iter().filter(is_line).filter(own).count() as u64
    };
    let written = [&low, &high].map(|it| it.bodies().len() as u64);
    assert_eq!(lines("shop_web-0_u1"), written[1], "{}", records[0]);
    assert_eq!(lines("batch_job-0_u2") + given / low.line_bytes(), written[0]);
    assert_eq!(report["clean"], true, "{report:#}");
}
