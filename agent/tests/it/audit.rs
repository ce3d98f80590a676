//! `audit`: the proof of delivery from the queue alone.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::kit::{Agent, Bed, Run, append, files, queue_sink};

/// A bed that has delivered a few lines, some of them in a gap.
fn delivered() -> Bed {
    let bed = Bed::new();
    let config = files("files", "*.log", "  line: {flushTimeout: 5m}\n");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &config]);
    let agent = Agent::start(&bed);
    for number in 0..4 {
        append(&bed.log("app.log"), format!("line {number}\n").as_bytes());
        bed.wait_for_records(number + 1);
    }
    agent.stop();
    bed
}

fn only_context(report: &Value) -> Value {
    let contexts = report["tenants"]["default"]["contexts"].as_array();
    let contexts = contexts.unwrap_or_else(|| panic!("{report:#}"));
    assert_eq!(contexts.len(), 1, "{report:#}");
    contexts[0].clone()
}

/// The only segment.
fn segment(bed: &Bed) -> PathBuf {
    let mut entries = fs::read_dir(bed.queue().join("default")).unwrap();
    entries.next().unwrap().unwrap().path()
}

#[test]
fn a_whole_queue_is_clean_and_counted() {
    let bed = delivered();
    let (code, report) = bed.audit();
    assert_eq!(code, Some(0), "{report:#}");
    let context = only_context(&report);
    for (field, want) in
        [("records", 4), ("bytes", 28), ("begin", 0), ("end", 28), ("lost", 0), ("doubled", 0)]
    {
        assert_eq!(context[field], want, "{field}: {report:#}");
    }
    let run = Run::of(&["audit", "--queue", bed.queue_text()]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("lost 0, doubled 0"), "{run:?}");
    let run = Run::of(&["audit", "--headers-only", "--queue", bed.queue_text()]);
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn a_declared_gap_is_counted_and_is_no_loss() {
    let bed = delivered();
    append(&bed.log("app.log"), b"unfinished");
    let agent = Agent::start(&bed);
    // It must have been seen before it is cut off.
    crate::kit::wait_until(
        "the unfinished line seen",
        || agent.metric("logferry_lag_bytes"),
        |it| *it == 10.0,
    );
    fs::OpenOptions::new().write(true).truncate(true).open(bed.log("app.log")).unwrap();
    bed.wait_for_records(5);
    agent.stop();
    let (code, report) = bed.audit();
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(only_context(&report)["gaps"]["truncated"]["bytes"], 10, "{report:#}");
}

#[test]
fn damage_is_no_clean_queue() {
    let bed = delivered();
    let segment = segment(&bed);
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let (code, report) = bed.audit();
    assert_eq!((code, &report["clean"]), (Some(1), &Value::Bool(false)), "{report:#}");
    let run = Run::of(&["audit", "--queue", bed.queue_text()]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stdout.contains(segment.to_str().unwrap()), "the damage is named: {run:?}");
}
