//! Records of several lines: whole over interleaving, rotation, death and time.

use std::fs;

use benches::check::Verdict;
use benches::layout::Layout;
use benches::load::{Limits, LoadSpec};
use benches::shape::Shape;
use benches::truth::StreamTruth;
use benches::wrap::Format;
use serde_json::Value;

use crate::kit::{
    Agent, Bed, Writer, append, assert_exact, body, containers, files, judge, load, now_ns,
    queue_sink, rotation, sleep_ms, wait_for,
};

const POD: &str = "pods/shop_web-0_11111111-2222-4333-8444-555555555555/app";

/// Lines of each trace of the load.
const TRACE_LINES: usize = 6;

fn configure_java_pods(bed: &Bed, limits: &str) {
    let multiline = format!("  multiline: {{preset: java{limits}}}\n");
    let config = containers("pods", "", &multiline);
    bed.configure(&[&bed.agent(""), &queue_sink(""), &config]);
}

/// Traces of Java in containers' logs that rotate, those of stdout and stderr mixed line by line.
fn traces(bed: &Bed) -> LoadSpec {
    LoadSpec {
        shape: Shape::Java,
        format: Format::Cri,
        layout: Layout::Pods,
        stderr_share: 0.3,
        rotation: rotation(64 << 10),
        ..load(&bed.path("pods"), 3)
    }
}

/// The records' lines, each as if it had come alone, for the checker of lines.
fn lines_of(records: &[Value]) -> Vec<u8> {
    let mut lines = Vec::new();
    for record in records {
        let cursor = record["log.cursor"].as_u64().unwrap();
        for (line, number) in body(record).split('\n').zip(0..) {
            let mut alone = record.clone();
            alone["body"] = Value::from(line);
            alone["log.cursor"] = Value::from(cursor + number);
            lines.extend(alone.to_string().into_bytes());
            lines.push(b'\n');
        }
    }
    lines
}

/// Waits until every line written is there.
fn wait_for_lines(bed: &Bed, truth: &[StreamTruth]) -> (Verdict, Vec<Value>) {
    let written: u64 = truth.iter().map(|it| it.lines).sum();
    wait_for("all lines in the queue", || {
        let records = bed.records();
        let verdict = judge(truth.to_vec(), &lines_of(&records));
        sleep_ms(200);
        if verdict.arrived >= written { Ok((verdict, records)) } else { Err(verdict.to_string()) }
    })
}

/// Fails unless each record is one trace. The writer may have stopped inside the last of a stream.
#[track_caller]
fn assert_whole(records: &[Value], streams: usize) {
    let is_whole = |record: &&Value| {
        let lines = body(record);
        let frames = lines.lines().skip(2).all(|line| line.starts_with("\tat "));
        lines.starts_with("20") && lines.lines().count() == TRACE_LINES && frames
    };
    let torn: Vec<&Value> = records.iter().filter(|it| !is_whole(it)).collect();
    assert!(torn.len() <= streams, "{} of {} records: {torn:#?}", torn.len(), records.len());
    assert!(records.len() > 50, "only {} records", records.len());
}

#[test]
fn java_traces_are_one_record_each_whatever_is_between_their_lines() {
    for format in [Format::Cri, Format::Docker] {
        let bed = Bed::new();
        configure_java_pods(&bed, "");
        let agent = Agent::start(&bed);
        let limits = Limits { lines: Some(9000), ..Limits::default() };
        let truth = Writer::start(&LoadSpec { format, limits, ..traces(&bed) }).finish();
        let (verdict, records) = wait_for_lines(&bed, &truth);
        assert_exact(&verdict);
        assert_whole(&records, truth.len());
        assert_eq!(agent.metric("logferry_delivered_records_total"), records.len() as f64);
        agent.stop();
        bed.assert_audit_clean();
    }
}

#[test]
fn a_trace_is_whole_though_its_file_rotates_in_the_middle() {
    let bed = Bed::new();
    configure_java_pods(&bed, ", timeout: 1m");
    fs::create_dir_all(bed.path(POD)).unwrap();
    let (live, rotated) =
        (bed.path(POD).join("0.log"), bed.path(POD).join("0.log.20260102-030405"));
    let line = |text: &str| format!("2026-01-02T03:04:05Z stderr F {text}\n").into_bytes();
    append(&live, &line("before"));
    append(&live, &line("failed"));
    append(&live, &line("java.lang.Error: no"));
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["before"]);
    sleep_ms(200);
    append(&live, &line("\tat a"));
    fs::rename(&live, &rotated).unwrap();
    append(&live, &line("\tat b"));
    sleep_ms(200);
    append(&live, &line("\tat c"));
    append(&live, &line("after"));
    append(&live, &line("last"));
    bed.wait_for_bodies(&[
        "before",
        "failed\njava.lang.Error: no\n\tat a\n\tat b\n\tat c",
        "after",
    ]);
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn kill_nine_in_the_middle_of_traces_tears_and_doubles_none() {
    const KILLS: u64 = 12;
    let bed = Bed::new();
    // Longer than any pause of this machine: no trace ends but by its last line.
    configure_java_pods(&bed, ", timeout: 20s");
    let writer = Writer::start(&traces(&bed));
    for number in 0..KILLS {
        let agent = Agent::spawn(&bed);
        sleep_ms(100 + now_ns() % 400 + 40 * number);
        agent.kill();
    }
    let agent = Agent::start(&bed);
    sleep_ms(500);
    let truth = writer.stop();
    let (verdict, records) = wait_for_lines(&bed, &truth);
    assert_exact(&verdict);
    assert_whole(&records, truth.len());
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn the_last_record_comes_after_the_timeout_and_what_comes_late_goes_on() {
    let bed = Bed::new();
    let config = files("files", "*.log", "  multiline: {begin: '^[0-9]', timeout: 400ms}\n");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &config]);
    append(&bed.log("app.log"), b"lost\n1 one\n  more\n");
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["lost", "1 one\n  more"]);
    append(&bed.log("app.log"), b"  late\n2 two\n");
    let records = bed.wait_for_records(4);
    assert_eq!(body(&records[2]), "  late");
    assert_eq!(records[2]["log.flags"], "continued");
    assert_eq!(body(&records[3]), "2 two");
    for index in [0, 1, 3] {
        assert!(records[index].get("log.flags").is_none(), "{}", records[index]);
    }
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn a_record_beyond_its_limits_comes_in_parts() {
    let bed = Bed::new();
    let multiline = "  multiline: {end: '^end', maxLines: 100, maxBytes: 2KiB, timeout: 1m}\n";
    bed.configure(&[&bed.agent(""), &queue_sink(""), &files("files", "*.log", multiline)]);
    let line = format!("{}\n", "x".repeat(29));
    let long = format!("{}end\n", line.repeat(150));
    let many = format!("{}end\n", "y\n".repeat(250));
    append(&bed.log("app.log"), format!("{long}{many}").as_bytes());
    let agent = Agent::start(&bed);
    let records = bed.wait_for_records(6);
    let bodies: Vec<String> = records.iter().map(body).collect();
    assert_eq!(bodies[..3].concat() + "\n", long);
    assert_eq!(bodies[3..].concat() + "\n", many);
    assert!(bodies.iter().all(|it| it.len() <= 2049 && it.lines().count() <= 100));
    let flags: Vec<&str> = records.iter().map(|it| it["log.flags"].as_str().unwrap()).collect();
    assert_eq!(flags[..3], ["part", "part,continued", "continued"]);
    assert_eq!(flags[3..], ["part", "part,continued", "continued"]);
    agent.stop();
    bed.assert_audit_clean();
}
