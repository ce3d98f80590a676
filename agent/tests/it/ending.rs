//! Ending: a signal to end is heard at any moment, also while the agent starts, whatever it waits for.

use std::process::Command;

use kafka_kit::{Cluster, Listener};
use rustix::process::{Pid, Signal, kill_process};

use crate::kit::{
    Agent, Bed, LOGFERRY, Mount, append, assert_within_ms, files, now_ns, queue_sink, resource,
    sleep_ms, wait_for, wait_until,
};

/// Grace of these agents, in seconds: the shortest there is.
const GRACE_SECONDS: u64 = 1;
/// Longest that an end takes, in milliseconds: the grace, three seconds for what hangs, and as many for a machine
/// that has others to run.
const END_MS_MAX: u64 = 1000 * GRACE_SECONDS + 6000;

fn grace() -> String {
    format!("  shutdownGrace: {GRACE_SECONDS}s\n")
}

/// It was asked to end, and does in time; with code 0 or 4, unless it did not hear signals yet.
#[track_caller]
fn ends(mut agent: Agent, when: &str) {
    let begun_ns = now_ns();
    let (status, said) = agent.wait_ended();
    let took_ms = (now_ns() - begun_ns) / 1_000_000;
    assert_within_ms(&format!("{when}; {said}"), took_ms, END_MS_MAX);
    assert!(matches!(status.code(), None | Some(0 | 4)), "{when}: {status}; {said}");
}

/// Starts an agent, and asks it to end so much later.
#[track_caller]
fn start_and_end(bed: &Bed, moment_ms: u64) {
    let agent = Agent::spawn(bed);
    sleep_ms(moment_ms);
    agent.signal(Signal::TERM);
    ends(agent, &format!("{moment_ms} ms after its start"));
}

#[test]
fn a_signal_at_any_moment_of_a_start_ends_the_agent_in_time() {
    let bed = Bed::new();
    bed.configure(&[&bed.agent(&grace()), &queue_sink(""), &files("files", "*.log", "")]);
    for moment_ms in (0..300).step_by(12) {
        append(&bed.log("app.log"), format!("line {moment_ms}\n").as_bytes());
        start_and_end(&bed, moment_ms);
    }
    let want: Vec<String> = (0..300).step_by(12).map(|it| format!("line {it}")).collect();
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&want.iter().map(String::as_str).collect::<Vec<_>>());
    agent.stop();
    bed.assert_audit_clean();
}

/// What it wrote before has to be read back, so each start asks the broker, and waits.
#[test]
fn a_signal_ends_an_agent_whose_broker_stands_still_in_time() {
    let cluster = Cluster::builder().start().expect("Kafka starts");
    cluster.create_topic("logs", 1, 1, &[]).unwrap();
    let bed = Bed::new();
    let brokers = cluster.addresses(Listener::Plain);
    let sink = format!("  kafka: {{brokers: ['{brokers}'], topic: 'logs'}}\n");
    let sink = resource("LogSink", "default", &sink);
    bed.configure(&[&bed.agent(&grace()), &sink, &files("files", "*.log", "")]);
    append(&bed.log("app.log"), b"line\n");
    let agent = Agent::start(&bed);
    wait_until("the line", || cluster.end_offsets("logs").unwrap()[&0], |it| *it > 0);
    agent.kill();
    cluster.broker(1).pause().unwrap();
    for moment_ms in [0, 60, 120, 300, 1500] {
        start_and_end(&bed, moment_ms);
    }
    cluster.broker(1).resume().unwrap();
}

#[test]
fn a_signal_ends_an_agent_whose_disk_stood_still_in_time() {
    let bed = Bed::new();
    let disk = Mount::ext4(bed.path("disk"));
    let agent = bed.agent(&grace()).replace("{dir}/state", "{dir}/disk/state");
    let sink = resource("LogSink", "default", "  queue: {path: '{dir}/disk/queue'}\n");
    bed.configure(&[&agent, &sink, &files("files", "*.log", "")]);
    append(&bed.log("app.log"), b"line\n");
    let freeze = |how: &str| {
        let status = Command::new("fsfreeze").arg(how).arg(disk.path()).status().unwrap();
        assert!(status.success(), "fsfreeze {how}: {status}");
    };
    for moment_ms in (0..300).step_by(50) {
        let agent = Agent::spawn(&bed);
        sleep_ms(moment_ms);
        freeze("--freeze");
        agent.signal(Signal::TERM);
        sleep_ms(1000);
        freeze("--unfreeze");
        ends(agent, &format!("{moment_ms} ms after its start"));
    }
}

#[test]
fn a_signal_before_the_configuration_is_read_is_heard_by_the_first_process_of_a_container() {
    let bed = Bed::new();
    let many: Vec<String> =
        (0..1000).map(|it| files(&format!("files-{it}"), &format!("{it}.log"), "")).collect();
    let (agent, sink) = (bed.agent(&grace()), queue_sink(""));
    let mut documents = vec![&*agent, &*sink];
    documents.extend(many.iter().map(String::as_str));
    bed.configure(&documents);
    // The kernel drops a signal that such a process does not catch.
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", LOGFERRY]);
    let agent = Agent::spawn_as(&bed, command);
    let children = format!("/proc/{0}/task/{0}/children", agent.pid());
    let child = wait_for("the first process", || {
        let text = std::fs::read_to_string(&children).unwrap_or_default();
        text.trim().parse::<i32>().map_err(|_| text)
    });
    let bytes = std::fs::metadata(bed.config()).unwrap().len();
    wait_for("the configuration in its memory", || {
        let text = std::fs::read_to_string(format!("/proc/{child}/io")).unwrap_or_default();
        let read = text.lines().find_map(|line| line.strip_prefix("rchar: "));
        let is_read = read.and_then(|it| it.parse().ok()).is_some_and(|read: u64| read > bytes);
        if is_read { Ok(()) } else { Err(text) }
    });
    kill_process(Pid::from_raw(child).unwrap(), Signal::TERM).unwrap();
    ends(agent, "while it reads its configuration");
}

/// Of a sidecar nobody reads the rest.
#[test]
fn with_drain_lines_and_groups_that_are_open_are_delivered_before_the_end() {
    let bed = Bed::new();
    let multiline = "  multiline: {begin: ^begin, timeout: 3s}\n  line: {flushTimeout: 3s}\n";
    let agent = bed.agent("  shutdownGrace: 60s\n");
    bed.configure(&[&agent, &queue_sink(""), &files("files", "*.log", multiline)]);
    append(&bed.log("app.log"), b"begin 1\n more\n");
    let mut agent = Agent::spawn_with(&bed, Command::new(LOGFERRY), &["--drain".as_ref()]);
    agent.wait_ready();
    bed.wait_for_bodies(&["begin 1\n more"]);
    append(&bed.log("app.log"), b"begin 2\n more\nbegin 3\n and no end");
    agent.stop();
    assert_eq!(bed.bodies(), ["begin 1\n more", "begin 2\n more", "begin 3\n and no end"]);
    bed.assert_audit_clean();
}
