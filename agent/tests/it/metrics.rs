//! Metrics: the sum that proves that nothing goes missing inside, and what is exposed.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};

use benches::layout::Layout;
use benches::load::{Limits, LoadSpec};
use benches::wrap::Format;

use crate::kit::{
    Agent, Bed, Writer, append, containers, files, get, load, now_ns, queue_sink, rotation,
    sleep_ms, wait_until,
};

/// Read, delivered, filtered, in gaps, in flight; out of one answer.
fn account(agent: &Agent) -> [f64; 5] {
    let metrics = agent.metrics();
    [
        "logferry_read_bytes_total",
        "logferry_delivered_bytes_total",
        "logferry_filtered_bytes_total",
        "logferry_gap_bytes_total",
        "logferry_in_flight_bytes",
    ]
    .map(|name| metrics.sum(name).unwrap_or(0.0))
}

#[test]
fn read_is_delivered_and_filtered_and_gaps_and_in_flight_at_every_moment() {
    let bed = Bed::new();
    let pods = containers("pods", "      streams: [stdout]\n", "");
    let cut = files("files", "*.log", "  line: {flushTimeout: 5m}\n");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &pods, &cut]);
    append(&bed.log("cut.log"), b"whole\nnever finished");
    let agent = Agent::start(&bed);
    let spec = LoadSpec {
        format: Format::Cri,
        layout: Layout::Pods,
        stderr_share: 0.5,
        rotation: rotation(128 << 10),
        rate: 2_000_000,
        limits: Limits { time_ns: Some(3_000_000_000), ..Limits::default() },
        ..load(&bed.path("pods"), 4)
    };
    let writer = Writer::start(&spec);
    let end_ns = now_ns() + 3_000_000_000;
    let (mut polls, mut in_flight_seen, mut before) = (0, 0, [0.0; 5]);
    while now_ns() < end_ns {
        let now @ [read, delivered, filtered, gaps, in_flight] = account(&agent);
        assert_eq!(read, delivered + filtered + gaps + in_flight, "poll {polls}");
        assert!((0..4).all(|at| now[at] >= before[at]), "counters never fall: {before:?} {now:?}");
        (polls, in_flight_seen) = (polls + 1, in_flight_seen + u32::from(in_flight > 0.0));
        before = now;
        if polls == 10 {
            OpenOptions::new().write(true).truncate(true).open(bed.log("cut.log")).unwrap();
        }
        sleep_ms(5);
    }
    let truth = writer.finish();
    let bytes = |stream: &str| -> u64 {
        let streams = truth.iter().filter(|it| it.iostream.as_deref() == Some(stream));
        streams.map(|it| it.file_bytes).sum()
    };
    let (out, err) = (bytes("stdout"), bytes("stderr"));
    let gap = "never finished".len() as f64;
    let whole = "whole\n".len() as u64;
    let all = (whole + out + err) as f64 + gap;
    let want = [all, (whole + out) as f64, err as f64, gap, 0.0];
    wait_until("everything accounted for", || account(&agent), |it| *it == want);
    println!("{polls} polls, {in_flight_seen} with bytes in flight");
    assert!(polls > 50 && in_flight_seen > 0);
    agent.stop();
}

#[test]
fn everything_exposed_is_documented() {
    let bed = Bed::new();
    bed.configure_files();
    append(&bed.log("app.log"), b"one\n");
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["one"]);
    let (status, text) = get(bed.listen, "/metrics").unwrap();
    assert_eq!(status, 200);
    let types: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let unique: HashSet<&str> = types.iter().copied().collect();
    assert_eq!(unique.len(), types.len(), "a metric is typed twice: {types:?}");
    assert!(unique.len() > 20, "{types:?}");
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/METRICS.md");
    let document = fs::read_to_string(document).unwrap();
    for name in unique {
        assert!(document.contains(&format!("| `{name}` |")), "{name} is not in docs/METRICS.md");
    }
    agent.stop();
}

#[test]
fn a_stream_of_requests_for_nothing_known_is_refused_in_order() {
    let bed = Bed::new();
    bed.configure_files();
    let agent = Agent::start(&bed);
    assert_eq!(get(bed.listen, "/live").unwrap(), (200, "live\n".to_owned()));
    assert_eq!(get(bed.listen, "/nonsense").unwrap().0, 404);
    let post = minreq::post(format!("http://{}/metrics", bed.listen)).send().unwrap();
    assert_eq!(post.status_code, 405);
    agent.stop();
}
