//! Sinks other than the queue.

use std::fs;
use std::os::unix::fs::symlink;

use benches::load::{Limits, LoadSpec};

use crate::kit::{
    Agent, Bed, Tmpfs, Writer, append, assert_exact, files, judge, load, queue_sink, resource,
    wait_for, wait_until,
};

/// A load of 2000 lines and more.
fn some_lines(bed: &Bed) -> LoadSpec {
    let limits = Limits { lines: Some(2000), ..Limits::default() };
    LoadSpec { limits, rate: 1_000_000, ..load(&bed.path("logs"), 2) }
}

fn configure(bed: &Bed, sink: &str) {
    let sink = resource("LogSink", "default", sink);
    bed.configure(&[&bed.agent(""), &sink, &files("files", "*.log", "")]);
}

#[test]
fn the_file_sink_writes_json_lines_and_rotates_by_size() {
    let bed = Bed::new();
    configure(&bed, "  file: {path: '{dir}/out/all.jsonl', rotateBytes: 64KiB, keep: 1000}\n");
    fs::create_dir(bed.path("out")).unwrap();
    let agent = Agent::start(&bed);
    let truth = Writer::start(&some_lines(&bed)).finish();
    // Newest last: `all.jsonl.2`, `all.jsonl.1`, `all.jsonl`.
    let delivered = || {
        let numbers = (1..).map(|number| bed.path(format!("out/all.jsonl.{number}")));
        let mut paths: Vec<_> = numbers.take_while(|path| path.try_exists().unwrap()).collect();
        paths.insert(0, bed.path("out/all.jsonl"));
        let read = |path| fs::read(path).unwrap_or_default();
        (paths.len(), paths.iter().rev().flat_map(read).collect::<Vec<u8>>())
    };
    let lines = truth.iter().map(|it| it.lines).sum::<u64>();
    wait_until(
        "all records acknowledged",
        || agent.metric("logferry_delivered_records_total"),
        |it| *it >= lines as f64,
    );
    agent.stop();
    let (count, delivered) = delivered();
    assert_exact(&judge(truth, &delivered));
    assert!(count > 5, "{count} files of 64 KiB for {} bytes", delivered.len());
}

#[test]
fn the_stdout_sink_writes_json_lines() {
    let bed = Bed::new();
    configure(&bed, "  stdout: {}\n");
    let agent = Agent::start(&bed);
    let truth = Writer::start(&some_lines(&bed)).finish();
    let lines = truth.iter().map(|it| it.lines).sum::<u64>();
    let verdict = wait_for("all lines on standard output", || {
        let verdict = judge(truth.clone(), &fs::read(bed.path("stdout")).unwrap());
        if verdict.arrived >= lines { Ok(verdict) } else { Err(verdict.to_string()) }
    });
    assert_exact(&verdict);
    agent.stop();
}

#[test]
fn the_blackhole_acknowledges_everything() {
    let bed = Bed::new();
    configure(&bed, "  blackhole: {}\n");
    let agent = Agent::start(&bed);
    let truth = Writer::start(&some_lines(&bed)).finish();
    let (bytes, lines) =
        truth.iter().fold((0, 0), |(bytes, lines), it| (bytes + it.file_bytes, lines + it.lines));
    wait_until(
        "all bytes and records acknowledged",
        || {
            let metrics = agent.metrics();
            let sum = |name| metrics.sum(name).unwrap_or(0.0);
            (sum("logferry_delivered_bytes_total"), sum("logferry_delivered_records_total"))
        },
        |it| *it == (bytes as f64, lines as f64),
    );
    agent.stop();
}

#[test]
fn a_queue_whose_disk_is_read_only_at_the_start_holds_up_no_other_and_gets_all_once_it_is_not() {
    let bed = Bed::new();
    let disk = Tmpfs::mount(bed.path("disk"), 32 << 20);
    fs::create_dir(disk.path().join("queue")).unwrap();
    symlink(disk.path().join("queue"), bed.queue()).unwrap();
    let other = "  file: {path: '{dir}/out/other.log'}\n";
    let sinks = [queue_sink(""), resource("LogSink", "other", other)];
    let rules = [files("a", "a.log", ""), files("b", "b.log", "  sink: other\n")];
    let agent = bed.agent("  spool: {}\n");
    bed.configure(&[&agent, &sinks[0], &sinks[1], &rules[0], &rules[1]]);
    fs::create_dir_all(bed.path("out")).unwrap();
    append(&bed.log("a.log"), b"one\n");
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["one"]);
    agent.kill();
    disk.remount("ro");
    append(&bed.log("a.log"), b"two\n");
    append(&bed.log("b.log"), b"other\n");
    let mut agent = Agent::spawn(&bed);
    let out = || fs::read_to_string(bed.path("out/other.log")).unwrap_or_default();
    wait_until("the other", out, |it| it.contains("other"));
    let (status, text) = agent.ready();
    assert!(status == 503 && text.contains("LogSink default"), "{text}");
    // It is kept, as it is gone before its sink comes.
    append(&bed.log("a.log"), b"three\n");
    wait_until("read", || agent.metric("logferry_lag_bytes"), |it| *it == 0.0);
    fs::remove_file(bed.log("a.log")).unwrap();
    wait_until("kept", || agent.metric("logferry_spool_payloads"), |it| *it > 0.0);
    disk.remount("rw");
    agent.wait_ready();
    bed.wait_for_bodies(&["one", "two", "three"]);
    wait_until("nothing owed", || agent.metric("logferry_spool_payloads"), |it| *it == 0.0);
    assert_eq!(agent.metric("logferry_gaps_total"), 0.0);
    agent.stop();
    bed.assert_audit_clean();
}
