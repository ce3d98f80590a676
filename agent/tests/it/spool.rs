//! The spool: what a rotation would take while the sink takes nothing comes out once, whole and in order.

use std::fs;
use std::os::unix::fs::symlink;

use flow::{Clock, SystemClock};
use serde_json::Value;

use crate::kit::{
    Agent, Bed, Container, Run, SMALL_QUEUE, Tmpfs, assert_within_ms, body, containers, queue_sink,
    resource, sleep_ms, wait_until,
};

const POD: &str = "pods/shop_web-0_u1/app";

/// Lines of one generation: 800 kB.
const LINES: u64 = 10_000;

/// A bed whose queue has a disk of its own, and whose agent has a spool.
fn bed(spool: &str) -> (Bed, Tmpfs) {
    let bed = Bed::new();
    let disk = Tmpfs::mount(bed.path("disk"), 32 << 20);
    symlink(disk.path().join("queue"), bed.queue()).unwrap();
    let agent = format!("  memory: 53MiB\n  pinnedBytesMax: 2MiB\n{spool}");
    bed.configure(&[&bed.agent(&agent), SMALL_QUEUE, &containers("pods", "", "")]);
    (bed, disk)
}

/// A running agent whose queue takes nothing, and whose memory is full of what it read before.
fn stalled(bed: &Bed, disk: &Tmpfs) -> (Agent, Container) {
    bed.stall(disk, Container::create(&bed.path(POD)))
}

/// Waits until nothing has been at risk for a while.
fn wait_safe(agent: &Agent) {
    let at_risk = || agent.metric("logferry_at_risk_bytes") + agent.metric("logferry_pinned_bytes");
    for _ in 0..20 {
        wait_until("nothing is at risk", at_risk, |it| *it == 0.0);
        sleep_ms(50);
    }
}

fn assert_all_once(bed: &Bed, agent: Agent, container: &Container) {
    let want = container.bodies();
    let bodies = wait_until("all lines", || bed.bodies(), |it| it.len() >= want.len());
    assert!(bodies == want, "{} of {} lines, or in another order", bodies.len(), want.len());
    wait_until("nothing owed", || agent.metric("logferry_spool_payloads"), |it| *it == 0.0);
    assert_eq!(agent.metric("logferry_gaps_total"), 0.0);
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn what_rotations_take_while_the_queue_is_full_is_delivered_from_the_spool_once_and_in_order() {
    let (bed, disk) = bed("  spool: {}\n");
    let (agent, mut container) = stalled(&bed, &disk);
    for _ in 0..9 {
        container.rotate();
        container.write(LINES);
        sleep_ms(200);
    }
    wait_safe(&agent);
    assert!(agent.metric("logferry_spool_kept_bytes_total") > 1e6);
    assert!(agent.metric("logferry_spool_payloads") > 1.0);
    disk.free();
    assert_all_once(&bed, agent, &container);
}

#[test]
fn kills_while_payloads_go_into_the_spool_and_out_of_it_lose_and_double_nothing() {
    let (bed, disk) = bed("  spool: {drainBytesPerSecond: 4MiB}\n");
    let (mut agent, mut container) = stalled(&bed, &disk);
    for number in 0..8 {
        // What has no name is gone with the process that holds it: the oldest is removed once it is kept.
        wait_safe(&agent);
        container.rotate();
        container.write(LINES / 2);
        sleep_ms(number * 37 % 200);
        agent.kill();
        agent = Agent::spawn(&bed);
        agent.wait_said("collecting");
        wait_until("its first look", || agent.metric("logferry_sources"), |it| *it > 0.0);
    }
    assert!(agent.metric("logferry_spool_payloads") > 1.0);
    disk.free();
    for number in 0..8 {
        sleep_ms(40 + number * 53 % 300);
        agent.kill();
        agent = Agent::start(&bed);
    }
    assert_all_once(&bed, agent, &container);
}

#[test]
fn a_stop_puts_what_the_sink_does_not_take_into_the_spool() {
    let (bed, disk) = bed("  spool: {}\n");
    let (agent, container) = stalled(&bed, &disk);
    agent.stop();
    let config = bed.config();
    let config = config.to_str().unwrap();
    let run = Run::of(&["spool", "--file", config, "--output", "json"]);
    let held = run.json_lines().remove(0);
    assert_eq!((&held["sink"], &held["tenant"]), (&"default".into(), &"shop".into()));
    assert_eq!(held["configured"], true);
    assert!(held["payloads"].as_u64().unwrap() > 0, "{held:#}");
    assert!(held["oldestSeconds"].as_i64().unwrap() < 120, "{held:#}");
    let run = Run::of(&["spool", "--file", config]);
    assert!(run.stdout.starts_with("sink default: "), "{run:?}");
    disk.free();
    let agent = Agent::start(&bed);
    assert_all_once(&bed, agent, &container);
}

#[test]
fn a_spool_that_was_taken_out_of_the_configuration_is_warned_of_until_it_is_drained() {
    let (bed, disk) = bed("  spool: {path: '{dir}/kept'}\n");
    let (agent, container) = stalled(&bed, &disk);
    agent.stop();
    let with_spool = fs::read_to_string(bed.config()).unwrap();
    let config = bed.config();
    let config = config.to_str().unwrap();
    let check = || Run::of(&["check", "--file", config]).stderr;
    assert_eq!(check(), "");
    fs::write(config, with_spool.replace("spool:", "# spool:")).unwrap();
    let warning = "are kept for LogSink default, and nobody delivers them: write `spool: {path: ";
    assert!(check().contains(warning), "{}", check());
    // Not only the first time.
    for _ in 0..2 {
        let agent = Agent::spawn(&bed);
        agent.wait_said(warning);
        agent.kill();
    }
    let run = Run::of(&["spool", "--file", config]);
    assert!(run.stdout.contains(", which the configuration does not drain: "), "{run:?}");
    fs::write(config, with_spool).unwrap();
    disk.free();
    let agent = Agent::start(&bed);
    assert_all_once(&bed, agent, &container);
    assert_eq!(check(), "");
}

#[test]
fn what_a_spool_holds_that_cannot_be_opened_at_a_start_goes_before_what_is_newer() {
    let bed = Bed::new();
    let disk = Tmpfs::mount(bed.path("disk"), 32 << 20);
    symlink(disk.path().join("queue"), bed.queue()).unwrap();
    let kept = Tmpfs::mount(bed.path("kept"), 64 << 20);
    let agent = "  memory: 53MiB\n  pinnedBytesMax: 64MiB\n  spool: {path: '{dir}/kept/spool'}\n";
    bed.configure(&[&bed.agent(agent), SMALL_QUEUE, &containers("pods", "", "")]);
    let (agent, mut container) = stalled(&bed, &disk);
    agent.stop();
    disk.free();
    kept.remount("ro");
    // More than there is memory for.
    container.write(8 * LINES);
    let mut other = Container::create(&bed.path("pods/bank_web-0_u2/app"));
    other.write(10);
    let mut agent = Agent::spawn(&bed);
    let of_other = |bed: &Bed| bed.records().iter().filter(|it| it["tenant"] == "bank").count();
    wait_until("another tenant's lines", || of_other(&bed), |it| *it == 10);
    let (status, text) = agent.ready();
    assert!(status == 503 && text.contains("LogSink default: no spool"), "{text}");
    assert!(text.contains("these tenants wait, which it holds payloads of: shop"), "{text}");
    assert_eq!(agent.metric("logferry_spool_closed"), 1.0);
    let config = bed.config();
    let explain = || Run::of(&["explain", "--file", config.to_str().unwrap(), "shop/web-0"]);
    let waits =
        "waits for the spool of its sink, which holds what goes first, and cannot be opened";
    wait_until("said", explain, |it| it.stdout.contains(waits));
    // What is gone from its folder is held open.
    (0..4).for_each(|_| {
        container.rotate();
        container.write(LINES);
        sleep_ms(200);
    });
    let of_shop = bed.records().len() - of_other(&bed);
    assert!(of_shop < container.bodies().len() / 2, "{of_shop} lines");
    kept.remount("rw");
    agent.wait_ready();
    let want: Vec<String> = container.bodies();
    let of_shop =
        || bed.records().iter().filter(|it| it["tenant"] == "shop").map(body).collect::<Vec<_>>();
    let bodies = wait_until("all lines", of_shop, |it| it.len() >= want.len());
    assert!(bodies == want, "{} of {} lines, or in another order", bodies.len(), want.len());
    wait_until("open", || agent.metric("logferry_spool_closed"), |it| *it == 0.0);
    wait_until("nothing owed", || agent.metric("logferry_spool_payloads"), |it| *it == 0.0);
    assert_eq!(agent.metric("logferry_gaps_total"), 0.0);
    agent.stop();
    bed.assert_audit_clean();
}

/// Twelve seconds' worth of logs, of which no byte may wait for more than one.
#[test]
fn what_waits_too_long_at_a_limit_is_kept_and_drained_no_faster_than_the_limit() {
    const LIMIT: u64 = 200 << 10;
    let bed = Bed::new();
    let limits = "  limits: {bytesPerSecond: 200KiB, maxLag: 1s, atLimit: spool}\n";
    let (tenant, sink) =
        (resource("LogTenant", "shop", limits), queue_sink("  batch: {bytes: 32KiB}\n"));
    let agent = bed.agent("  spool: {}\n");
    bed.configure(&[&agent, &sink, &tenant, &containers("pods", "", "")]);
    let agent = Agent::start(&bed);
    let (start_ns, mut container) = (SystemClock.monotonic_ns(), Container::create(&bed.path(POD)));
    let elapsed_ms = || (SystemClock.monotonic_ns() - start_ns) / 1_000_000;
    container.write(3 * LINES);
    let written = container.bodies().len() as u64 * container.line_bytes();
    let delivered = || agent.metric("logferry_delivered_bytes_total");
    wait_until("all of it is safe", delivered, |it| *it == written as f64);
    let arrived = || bed.bodies().len() as u64 * container.line_bytes();
    assert_within_ms("what the limit would let pass by then", elapsed_ms(), 5000);
    // The files could be gone now.
    assert!(arrived() < written / 2, "{} of {written} after {} ms", arrived(), elapsed_ms());
    while agent.metric("logferry_spool_payloads") > 0.0 {
        // Beside the limit: a burst, and a batch.
        let (arrived, allowed) = (arrived(), elapsed_ms() * LIMIT / 1000 + LIMIT + (64 << 10));
        assert!(arrived <= allowed, "{arrived} of {allowed} after {} ms", elapsed_ms());
        sleep_ms(200);
    }
    let (took_ms, least_ms) = (elapsed_ms(), (written - 2 * LIMIT) * 1000 / LIMIT);
    assert!(took_ms > least_ms, "{took_ms} ms, not {least_ms}");
    assert_within_ms("all, no token wasted", took_ms, 2 * least_ms);
    assert_all_once(&bed, agent, &container);
}

/// Rotations remove what a limit holds back: each generation is kept before it goes, whatever becomes of the agent.
#[test]
fn generations_that_rotations_remove_at_a_limit_are_kept_and_delivered_once_and_in_order() {
    const LIMIT: u64 = 300 << 10;
    let bed = Bed::new();
    let limits = "  limits: {bytesPerSecond: 300KiB, atLimit: spool}\n";
    let (tenant, sink) =
        (resource("LogTenant", "shop", limits), queue_sink("  batch: {bytes: 32KiB}\n"));
    let agent = bed.agent("  spool: {}\n");
    bed.configure(&[&agent, &sink, &tenant, &containers("pods", "", "")]);
    let mut agent = Agent::start(&bed);
    let (start_ns, mut container) = (SystemClock.monotonic_ns(), Container::create(&bed.path(POD)));
    for round in 0..10 {
        container.write(LINES / 2);
        sleep_ms(200);
        container.rotate();
        if round == 7 {
            // How much is a matter of the machine's pace: the limit lets pass what it can meanwhile.
            assert!(agent.metric("logferry_spool_kept_bytes_total") > 0.0);
            wait_safe(&agent);
            agent.kill();
            agent = Agent::start(&bed);
        }
    }
    let written = container.bodies().len() as u64 * container.line_bytes();
    let want = container.bodies();
    let bodies = wait_until("all lines", || bed.bodies(), |it| it.len() >= want.len());
    let took_ms = (SystemClock.monotonic_ns() - start_ns) / 1_000_000;
    assert!(bodies == want, "{} of {} lines, or in another order", bodies.len(), want.len());
    let least_ms = (written - 2 * LIMIT) * 1000 / LIMIT;
    assert!(took_ms > least_ms, "{took_ms} ms, not {least_ms}");
    assert_all_once(&bed, agent, &container);
}

/// What is newer is worth more: the oldest makes room for it.
#[test]
fn a_full_spool_lets_go_of_its_oldest_and_declares_it_to_the_byte() {
    let (bed, disk) = bed("  spool: {bytes: 1MiB}\n");
    let (agent, mut container) = stalled(&bed, &disk);
    for _ in 0..9 {
        container.rotate();
        container.write(LINES);
        sleep_ms(300);
    }
    let released = || agent.metric("logferry_spool_released_bytes_total");
    wait_until("a release", released, |it| *it > 0.0);
    assert!(agent.metric("logferry_spool_bytes") <= 1_100_000.0);
    disk.free();
    let last = container.bodies().pop().unwrap();
    let is_last = |it: &Vec<Value>| it.last().is_some_and(|it| it["body"] == last.as_str());
    let records = wait_until("the last line", || bed.records(), is_last);
    let gaps: Vec<&Value> = records.iter().filter(|it| !it["log.gap.reason"].is_null()).collect();
    let bytes_of = |reason: &str| -> u64 {
        let of_reason = gaps.iter().filter(|it| it["log.gap.reason"] == reason);
        of_reason.map(|it| it["log.gap.bytes"].as_u64().unwrap()).sum()
    };
    // Removed files that the budget lets go are lost before they are read.
    let gap_bytes = bytes_of("spool_full") + bytes_of("pinned_budget");
    assert_eq!(bytes_of("spool_full") as f64, released());
    let arrived = (records.len() - gaps.len()) as u64 * container.line_bytes();
    assert_eq!(arrived + gap_bytes, container.bodies().len() as u64 * container.line_bytes());
    agent.stop();
    bed.assert_audit_clean();
}
