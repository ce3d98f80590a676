//! Full disks: the files keep the lines until there is room again.

use std::fs;

use benches::load::{Limits, LoadSpec};

use crate::kit::{
    Agent, Bed, Tmpfs, append, assert_exact, files, load, queue_sink, resource, sleep_ms,
    wait_until, write,
};

#[test]
fn a_full_queue_disk_makes_the_agent_wait_and_then_everything_arrives_once() {
    let bed = Bed::new();
    let disk = Tmpfs::mount(bed.path("disk"), 3 << 20);
    let sink = "  queue: {path: '{dir}/disk/queue', segmentBytes: 1MiB}\n  \
                compression: {codec: none}\n  retry: {max: 200ms}\n";
    let sink = resource("LogSink", "default", sink);
    bed.configure(&[&bed.agent(""), &sink, &files("files", "*.log", "")]);
    std::os::unix::fs::symlink(disk.path().join("queue"), bed.queue()).unwrap();
    let mut agent = Agent::start(&bed);
    disk.fill(300 << 10);

    let limits = Limits { bytes: Some(1_500_000), ..Limits::default() };
    let truth = write(&LoadSpec { limits, ..load(&bed.path("logs"), 2) });
    let ready = wait_until("not ready", || agent.ready(), |it| it.0 == 503);
    assert!(ready.1.contains("sink default: 1 lanes are refused and tried again"), "{ready:?}");
    let retries = agent.metric("logferry_retries_total");
    wait_until("more retries", || agent.metric("logferry_retries_total"), |it| *it > retries + 3.0);
    agent.wait_said("No space left");
    agent.assert_running();
    let verdict = bed.verdict(&truth);
    assert!(verdict.arrived < verdict.lines, "the disk was never full: {verdict}");

    disk.free();
    assert_exact(&bed.wait_for_truth(&mut agent, &truth));
    wait_until("ready again", || agent.ready(), |it| it.0 == 200);
    agent.stop();
}

#[test]
fn a_kill_on_a_full_queue_disk_loses_and_doubles_nothing() {
    let bed = Bed::new();
    let disk = Tmpfs::mount(bed.path("disk"), 3 << 20);
    let sink = "  queue: {path: '{dir}/disk/queue', segmentBytes: 1MiB}\n  \
                compression: {codec: none}\n  retry: {max: 200ms}\n";
    let sink = resource("LogSink", "default", sink);
    bed.configure(&[&bed.agent(""), &sink, &files("files", "*.log", "")]);
    std::os::unix::fs::symlink(disk.path().join("queue"), bed.queue()).unwrap();
    let agent = Agent::start(&bed);
    disk.fill(300 << 10);
    let limits = Limits { bytes: Some(1_500_000), ..Limits::default() };
    let truth = write(&LoadSpec { limits, ..load(&bed.path("logs"), 2) });
    wait_until("not ready", || agent.ready(), |it| it.0 == 503);
    agent.kill();
    let agent = Agent::spawn(&bed);
    sleep_ms(500);
    agent.kill();
    disk.free();
    let mut agent = Agent::start(&bed);
    assert_exact(&bed.wait_for_truth(&mut agent, &truth));
    agent.stop();
}

#[test]
fn a_full_state_disk_is_counted_and_shipping_goes_on() {
    let bed = Bed::new();
    let disk = Tmpfs::mount(bed.path("disk"), 64 << 10);
    let agent_spec = format!(
        "  stateDirectory: '{{dir}}/disk/state'\n  listen: '{}'\n  hostName: bed\n",
        bed.listen
    );
    let agent_spec = resource("Agent", "agent", &agent_spec);
    bed.configure(&[&agent_spec, &queue_sink(""), &files("files", "*.log", "")]);
    let mut agent = Agent::start(&bed);
    disk.fill(0);
    let mut lines = 0;
    let mut write_one = || {
        append(&bed.log("app.log"), format!("line {lines}\n").as_bytes());
        lines += 1;
    };
    wait_until(
        "a checkpoint that could not be stored",
        || {
            write_one();
            sleep_ms(50);
            agent.metric("logferry_checkpoint_errors_total")
        },
        |it| *it > 0.0,
    );
    agent.assert_running();
    write_one();
    let want = (0..lines).map(|number| format!("line {number}")).collect::<Vec<_>>();
    wait_until("lines in the queue", || bed.bodies(), |it| *it == want);
    assert_eq!(agent.ready().0, 200, "what is shipped needs no checkpoint");

    disk.free();
    let stored = agent.metric("logferry_checkpoints_total");
    wait_until(
        "checkpoints again",
        || agent.metric("logferry_checkpoints_total"),
        |it| *it > stored,
    );
    agent.kill();
    fs::write(bed.log("other.log"), "last\n").unwrap();
    let agent = Agent::start(&bed);
    let records = bed.wait_for_records(want.len() + 1);
    assert_eq!(records.last().unwrap()["body"], "last");
    agent.stop();
}

#[test]
fn a_state_disk_that_is_full_at_the_start_is_no_reason_not_to_start() {
    let bed = Bed::new();
    let disk = Tmpfs::mount(bed.path("disk"), 64 << 10);
    let agent_spec = format!(
        "  stateDirectory: '{{dir}}/disk/state'\n  listen: '{}'\n  hostName: bed\n",
        bed.listen
    );
    let agent_spec = resource("Agent", "agent", &agent_spec);
    bed.configure(&[&agent_spec, &queue_sink(""), &files("files", "*.log", "")]);
    Agent::start(&bed).stop();
    disk.fill(0);
    append(&bed.log("app.log"), b"one\n");
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["one"]);
    disk.free();
    wait_until("a checkpoint", || agent.metric("logferry_checkpoints_total"), |it| *it > 0.0);
    agent.stop();
}
