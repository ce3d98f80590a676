//! Limits of the system that the agent runs into: watches, events, descriptors.
//!
//! Limits of inotify are set for the agent alone, in a user namespace of its own: the machine's are
//! those of everybody else too. These tests run as root; where that is not so, they fail.

use std::fs;
use std::process::Command;

use rustix::process::Signal;

use crate::kit::{
    Agent, Bed, LOGFERRY, append, assert_exact, body, containers, load, queue_sink, wait_until,
    write,
};

/// The agent in a user namespace in which `limit` of inotify is so much.
fn limited(limit: &str, count: u32) -> Command {
    let script = format!("echo {count} > /proc/sys/user/{limit} && exec {LOGFERRY} \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-e", "-c", &script, "sh"]);
    command
}

/// Raises a limit in the agent's namespace.
fn raise(agent: &Agent, limit: &str, count: u32) {
    let raised = Command::new("nsenter")
        .args(["--user", "--preserve-credentials", "--target", &agent.pid().to_string()])
        .args(["sh", "-e", "-c", &format!("echo {count} > /proc/sys/user/{limit}")])
        .status()
        .unwrap();
    assert!(raised.success(), "the limit cannot be raised");
}

/// What `count` pods write; each has two directories.
fn write_pods(bed: &Bed, pods: std::ops::Range<u32>, text: &str) {
    for pod in pods {
        let directory = bed.path(format!("pods/shop_web-{pod}_uid-{pod}/nginx"));
        fs::create_dir_all(&directory).unwrap();
        let line = format!("2026-01-02T15:04:05.000000000Z stdout F {text} {pod}\n");
        append(&directory.join("0.log"), line.as_bytes());
    }
}

fn unwatched(agent: &Agent) -> f64 {
    agent.metric("logferry_unwatched_directories")
}

/// Ten pods with twenty directories under a limit that is too low, and later is not.
fn degrades_and_recovers(limit: &str, count: u32) {
    let bed = Bed::new();
    fs::create_dir(bed.path("pods")).unwrap();
    bed.configure(&[&bed.agent(""), &queue_sink(""), &containers("pods", "", "")]);
    write_pods(&bed, 0..10, "first");
    let mut agent = Agent::spawn_as(&bed, limited(limit, count));
    agent.wait_ready();
    bed.wait_for_records(10);
    agent.wait_said("cannot be watched; looked at every scan instead");
    wait_until("polling", || unwatched(&agent), |it| *it == f64::from(21 - count.min(21)));
    write_pods(&bed, 0..12, "polled");
    bed.wait_for_records(22);

    raise(&agent, limit, 1000);
    agent.wait_said("all directories are watched again");
    assert!(unwatched(&agent) < 0.5, "nothing is polled any more");
    write_pods(&bed, 0..14, "watched");
    bed.wait_for_records(36);
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn c11_beyond_the_limit_of_watches_directories_are_polled_until_it_is_raised() {
    degrades_and_recovers("max_inotify_watches", 5);
}

#[test]
fn c11_without_an_inotify_instance_everything_is_polled_until_there_is_one() {
    degrades_and_recovers("max_inotify_instances", 0);
}

#[test]
fn c11_after_an_overflow_of_events_everything_is_looked_at() {
    let bed = Bed::new();
    bed.configure_files();
    append(&bed.log("a.log"), b"one\n");
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["one"]);
    let queued = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let queued: u32 = queued.trim().parse().unwrap();
    agent.freeze();
    // Other files, so that the kernel merges nothing; of the last ones it tells nothing any more.
    for number in 0..=queued / 2 {
        let path = bed.log(format!("noise-{}", number % 100));
        fs::write(&path, b"x").unwrap();
        fs::remove_file(&path).unwrap();
    }
    append(&bed.log("a.log"), b"two\n");
    append(&bed.log("b.log"), b"three\n");
    agent.signal(Signal::CONT);
    let mut bodies: Vec<String> = bed.wait_for_records(3).iter().map(body).collect();
    bodies.sort();
    assert_eq!(bodies, ["one", "three", "two"]);
    let overflows = || agent.metric("logferry_watch_overflows_total");
    wait_until("told of the overflow", overflows, |it| *it >= 1.0);
    agent.stop();
    bed.assert_audit_clean();
}

/// A thousand files, of which some are rotated and removed, with so few descriptors.
fn with_descriptors(count: u32) {
    const FILES: u32 = 1000;
    const LINES: u32 = 5000;
    let bed = Bed::new();
    bed.configure_files();
    let mut spec = load(&bed.path("logs"), FILES);
    spec.limits.lines = Some(u64::from(LINES));
    let truth = write(&spec);
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={count}:{count}")).arg(LOGFERRY);
    let mut agent = Agent::spawn_as(&bed, command);
    agent.wait_ready();
    assert_exact(&bed.wait_for_truth(&mut agent, &truth));
    assert!(agent.metric("logferry_open_files") < f64::from(count), "descriptors are left");

    // Renamed while most are closed, and written to under both names.
    for number in 0..100 {
        let live = bed.log(format!("app-{number:06}.log"));
        let rotated = bed.log(format!("app-{number:06}.log.1"));
        fs::rename(&live, &rotated).unwrap();
        append(&rotated, format!("late {number}\n").as_bytes());
        append(&live, format!("new {number}\n").as_bytes());
    }
    let records = bed.wait_for_records(LINES as usize + 200);
    let bodies: std::collections::HashSet<String> = records.iter().map(body).collect();
    for number in 0..100 {
        assert!(bodies.contains(&format!("late {number}")), "late {number}");
        assert!(bodies.contains(&format!("new {number}")), "new {number}");
    }
    assert!(!agent.stderr().contains("Too many open files"), "{}", agent.stderr());
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn c10_a_thousand_files_are_read_with_64_descriptors() {
    with_descriptors(64);
}

#[test]
fn c10_a_thousand_files_are_read_with_256_descriptors() {
    with_descriptors(256);
}
