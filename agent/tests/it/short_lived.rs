//! Containers that are gone, with their folders, a moment after they came: row A8.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::kit::{Agent, Bed, Run, append, now_ns, sleep_ms, wait_until};

/// How long a container's folder is there.
const LIFE: Duration = Duration::from_millis(50);
/// What it writes, in bytes.
const BYTES: usize = 1 << 20;

/// What came of some containers.
#[derive(Debug, Default)]
struct Tally {
    /// Every line arrived.
    whole: usize,
    /// Not all, and a gap says so.
    declared: usize,
    /// Not all, and nothing says so.
    silent: usize,
}

/// What a container writes: about [`BYTES`].
fn lines() -> String {
    let line = format!("2026-01-02T03:04:05Z stdout F {}\n", "x".repeat(1000));
    line.repeat(BYTES / line.len())
}

/// Each container writes its lines, and is removed after [`LIFE`]; one after the other.
fn run_containers(bed: &Bed, count: usize) {
    let lines = lines();
    for number in 0..count {
        let pod = bed.path("pods").join(format!("batch_job-{number}_uid-{number}"));
        let begin_ns = now_ns();
        fs::create_dir_all(pod.join("app")).unwrap();
        append(&pod.join("app/0.log"), lines.as_bytes());
        let left = LIFE.saturating_sub(Duration::from_nanos(now_ns() - begin_ns));
        sleep_ms(u64::try_from(left.as_millis()).unwrap());
        fs::remove_dir_all(pod).unwrap();
    }
}

/// By what the queue holds of each context.
fn tally(bed: &Bed, count: usize) -> Tally {
    let queue = bed.queue_text();
    let run = Run::of(&["audit", "--headers-only", "--queue", queue, "--output", "json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let report = run.json();
    let contexts = report["tenants"]["batch"]["contexts"].as_array().unwrap();
    let want = lines().len() as u64;
    let is_whole = |it: &&Value| it["bytes"] == want;
    let is_declared = |it: &Value| it["gaps"] != json!({});
    let whole = contexts.iter().filter(is_whole).count();
    let declared = contexts.iter().filter(|it| !is_whole(it) && is_declared(it)).count();
    let tally = Tally { whole, declared, silent: count - whole - declared };
    println!("whole {}, declared {}, silent {}", tally.whole, tally.declared, tally.silent);
    tally
}

fn capture(count: usize) -> Tally {
    let bed = Bed::new();
    bed.configure_pods();
    fs::create_dir(bed.path("pods")).unwrap();
    let agent = Agent::start(&bed);
    run_containers(&bed, count);
    let is_quiet = |agent: &Agent| {
        agent.metric("logferry_in_flight_bytes") + agent.metric("logferry_sources") == 0.0
    };
    wait_until("everything read", || is_quiet(&agent), |it| *it);
    agent.stop();
    tally(&bed, count)
}

#[test]
fn a8_containers_that_live_for_a_moment_are_captured_whole() {
    let tally = capture(200);
    // On a machine that others load, a container may be gone before the agent had a turn at all.
    assert!(tally.whole >= 180, "{tally:?}");
}

/// By hand: `cargo test --release -p logferry --test it -- --ignored a8_ten_thousand --nocapture`
#[test]
#[ignore = "takes ten minutes and an idle machine"]
fn a8_ten_thousand_containers_that_live_for_a_moment_are_captured_whole() {
    let tally = capture(10_000);
    assert!(tally.whole >= 9_999, "{tally:?}");
}
