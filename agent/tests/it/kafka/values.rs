//! What stands in a message: sections or single records, compressed by the agent or not.

use benches::check::{CheckOptions, Checker};
use benches::layout::Layout;
use benches::load::LoadSpec;
use benches::random::Random;
use benches::truth::StreamTruth;
use benches::wrap::Format;
use flow::{Clock, SystemClock};
use kafka_kit::{Cluster, Listener, Read};

use super::scene::{
    PARTITIONS, assert_audit_clean, assert_tiled, header, messages, wait_for_delivery,
};
use crate::kit::{
    Agent, Bed, Writer, append, assert_exact, containers, files, judge, load, now_ns, resource,
    rotation, sleep_ms,
};

const TOPIC: &str = "logs-shop";

/// A broker with a topic, and an agent that tails CRI logs to it.
fn scene(fields: &str, spec: &str, source: &str) -> (Cluster, Bed) {
    let cluster = Cluster::builder().start().expect("Kafka starts");
    cluster.create_topic(TOPIC, PARTITIONS, 1, &[]).unwrap();
    let bed = Bed::new();
    let brokers = cluster.addresses(Listener::Plain);
    let sink = format!("  kafka:\n    brokers: ['{brokers}']\n    topic: {TOPIC}\n{fields}{spec}");
    bed.configure(&[&bed.agent(""), &resource("LogSink", "default", &sink), source]);
    (cluster, bed)
}

/// The lines of values that are records alone.
fn joined(messages: &[Read]) -> Vec<u8> {
    let values = messages.iter().filter_map(|it| it.value.as_deref()).filter(|it| !it.is_empty());
    values.flat_map(|it| [it, b"\n"].concat()).collect()
}

/// The lines' own times are of another year: brokers would remove them at once.
fn assert_read_times(messages: &[Read]) {
    let now_ms = SystemClock.unix_ns() / 1_000_000;
    assert!(messages.iter().all(|it| (now_ms - 600_000..=now_ms).contains(&it.timestamp_ms)));
}

#[test]
fn a_raw_message_is_a_line_alone_and_its_headers_say_the_rest() {
    let (cluster, bed) = scene("", "  encoding: raw\n", &files("files", "*.log", ""));
    append(&bed.log("a.log"), b"one\n\nthree \xff\n");
    let mut agent = Agent::start(&bed);
    wait_for_delivery(&mut agent);
    agent.stop();
    let messages = messages(&cluster, TOPIC);
    let values: Vec<&[u8]> = messages.iter().map(|it| it.value.as_deref().unwrap()).collect();
    assert_eq!(values, [&b"one"[..], b"", b"three \xff"]);
    assert_tiled(&messages);
    for message in &messages {
        assert_eq!(header(message, "content-type"), "application/octet-stream");
        assert_eq!(header(message, "log.records"), "1");
    }
    assert_audit_clean(&cluster, TOPIC);
}

/// Containers' logs that rotate, shipped by an agent that is killed again and again.
fn killed_again_and_again(fields: &str, spec: &str) -> (Cluster, Vec<StreamTruth>) {
    const KILLS: u32 = 6;
    let seed = now_ns();
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let (cluster, bed) = scene(fields, spec, &containers("pods", "", "  tenant: shop\n"));
    let load = LoadSpec {
        format: Format::Cri,
        layout: Layout::Pods,
        rotation: rotation(128 << 10),
        ..load(&bed.path("pods"), 4)
    };
    let writer = Writer::start(&load);
    for _ in 0..KILLS {
        let agent = Agent::spawn(&bed);
        // Longer than it waits for what the last one had on its way.
        sleep_ms(u64::from(2500 + random.below(1500)));
        agent.kill();
    }
    let mut agent = Agent::start(&bed);
    let truth = writer.stop();
    wait_for_delivery(&mut agent);
    agent.stop();
    (cluster, truth)
}

#[test]
fn records_alone_are_there_once_though_the_agent_is_killed_in_the_middle_of_sections() {
    let (cluster, truth) = killed_again_and_again("", "  encoding: json\n");
    let messages = messages(&cluster, TOPIC);
    assert_tiled(&messages);
    assert_exact(&judge(truth, &joined(&messages)));
    assert!(messages.iter().all(|it| header(it, "content-type") == "application/json"));
    assert_read_times(&messages);
    assert_audit_clean(&cluster, TOPIC);
}

#[test]
fn values_that_the_agent_compressed_are_what_was_written_once_they_are_read() {
    let fields = "    payloadCompression: {codec: zstd}\n";
    let (cluster, truth) = killed_again_and_again(fields, "  encoding: json_lines\n");
    let messages = messages(&cluster, TOPIC);
    assert_tiled(&messages);
    let mut checker = Checker::new(truth, CheckOptions::default());
    let mut written = 0;
    for message in &messages {
        let Some(value) = message.value.as_deref().filter(|it| !it.is_empty()) else { continue };
        assert_eq!(header(message, "content-encoding"), "zstd");
        let lines = zstd::decode_all(value).expect("a frame of Zstandard");
        written += lines.len();
        lines.split(|it| *it == b'\n').filter(|it| !it.is_empty()).for_each(|it| {
            checker.take_line(it);
        });
    }
    assert_exact(&checker.finish());
    let stored: usize = messages.iter().filter_map(|it| it.value.as_ref()).map(Vec::len).sum();
    assert!(stored * 2 < written, "{stored} bytes for {written}");
    assert_audit_clean(&cluster, TOPIC);
}
