//! Sampling: one in so many records of a LogConfig.

use crate::kit::{Agent, Bed, append, body, files, queue_sink, sleep_ms, wait_until};

const LINES: u32 = 20_000;

/// A bed whose LogConfig keeps one in ten records.
fn sampling_bed() -> Bed {
    let bed = Bed::new();
    bed.configure(&[
        &bed.agent(""),
        &queue_sink(""),
        &files("web", "*.log", "  sampling: {oneIn: 10}\n"),
    ]);
    bed
}

fn lines(range: std::ops::Range<u32>) -> Vec<u8> {
    range.flat_map(|number| format!("line {number:08}\n").into_bytes()).collect()
}

fn counts(agent: &Agent) -> [f64; 3] {
    [
        "logferry_delivered_bytes_total",
        "logferry_filtered_bytes_total",
        "logferry_sampled_records_total",
    ]
    .map(|name| agent.metric(name))
}

fn bodies(bed: &Bed) -> Vec<String> {
    bed.records().iter().map(body).collect()
}

#[test]
fn a_sample_is_one_in_so_many_and_each_left_out_is_counted() {
    let bed = sampling_bed();
    append(&bed.log("web.log"), &lines(0..LINES));
    let agent = Agent::start(&bed);
    let all = f64::from(LINES) * 14.0;
    let [delivered, filtered, sampled] =
        wait_until("all", || counts(&agent), |it| it[0] + it[1] == all);
    agent.stop();
    let kept = bodies(&bed);
    assert!((1_700..2_300).contains(&kept.len()), "{} of {LINES}", kept.len());
    assert_eq!(delivered, kept.len() as f64 * 14.0);
    assert_eq!(sampled, filtered / 14.0);
    assert!(kept.is_sorted(), "in order, none twice");
    bed.assert_audit_clean();
}

#[test]
fn a_sample_is_the_same_whatever_dies_meanwhile() {
    let bed = sampling_bed();
    append(&bed.log("web.log"), &lines(0..LINES));
    let agent = Agent::start(&bed);
    wait_until("all", || counts(&agent), |it| it[0] + it[1] == f64::from(LINES) * 14.0);
    agent.stop();
    let want = bodies(&bed);
    // The same file again, as if nothing were known of it, in pieces and with deaths between.
    for folder in ["state", "queue"] {
        std::fs::remove_dir_all(bed.path(folder)).unwrap();
    }
    std::fs::write(bed.log("web.log"), b"").unwrap();
    for part in 0..5 {
        let agent = Agent::start(&bed);
        append(&bed.log("web.log"), &lines(LINES / 5 * part..LINES / 5 * (part + 1)));
        sleep_ms(u64::from(part) * 40);
        agent.kill();
    }
    let agent = Agent::start(&bed);
    wait_until("all of it", || bodies(&bed).len(), |it| *it >= want.len());
    agent.stop();
    assert_eq!(bodies(&bed), want);
    bed.assert_audit_clean();
}
