//! Bytes of files come back from topics, as from an embedded queue.

use std::fs;
use std::path::Path;

use flow::RecallAnswer;
use kafka_kit::{Cluster, Listener};

use super::scene::{PARTITIONS, wait_for_delivery};
use crate::kit::{Agent, Bed, append, files, resource, wait_for};
use crate::recall::{ask, assert_comes_back, assert_gone, generation, numbered};

const TOPIC: &str = "logs";

fn scene(fields: &str) -> (Cluster, Bed) {
    let cluster = Cluster::builder().start().expect("Kafka starts");
    cluster.create_topic(TOPIC, PARTITIONS, 1, &[]).unwrap();
    let bed = Bed::new();
    let brokers = cluster.addresses(Listener::Plain);
    let sink = format!("  kafka:\n    brokers: ['{brokers}']\n    topic: {TOPIC}\n{fields}");
    let sink = resource("LogSink", "default", &sink);
    bed.configure(&[&bed.agent(""), &sink, &files("files", "*.log", "")]);
    (cluster, bed)
}

/// In pieces, with a line of each other file between: so messages of many contexts stand in each partition.
fn write_among_others(bed: &Bed, path: &Path, text: &[u8]) {
    for (number, piece) in text.chunks(50_000).enumerate() {
        append(path, piece);
        for other in 0..10 {
            append(&bed.log(format!("other-{other}.log")), format!("line {number}\n").as_bytes());
        }
    }
}

#[test]
fn bytes_of_all_generations_come_back_from_a_topic() {
    let (cluster, bed) = scene("");
    let mut agent = Agent::start(&bed);
    let (path, rotated) = (bed.log("app.log"), bed.log("app.log.1"));
    let (first, second) = (numbered(20_000, "\n"), numbered(9_000, "\n"));
    write_among_others(&bed, &path, &first);
    wait_for_delivery(&mut agent);
    fs::rename(&path, &rotated).expect("ours");
    write_among_others(&bed, &path, &second);
    wait_for_delivery(&mut agent);
    let began_ns = crate::kit::now_ns();
    assert_comes_back(&bed, generation(&path), &second);
    assert_comes_back(&bed, generation(&rotated), &first);
    let took_ms = (crate::kit::now_ns() - began_ns) / 1_000_000;
    println!("{} bytes came back in {took_ms} ms", first.len() + second.len());
    let end = second.len() as u64;
    assert_gone(&bed, generation(&path), end..end + 1, "no topic holds it");
    assert_gone(&bed, 7, 0..1, "the checkpoint does not know the file");
    // A topic does not say what was left out: carriage returns are not told from it.
    let windows = bed.log("windows.log");
    append(&windows, &numbered(100, "\r\n"));
    wait_for_delivery(&mut agent);
    assert_gone(&bed, generation(&windows), 0..100, "carriage returns");
    // Brokers that are away are asked again, later. Nothing of this file was asked for yet.
    let other = generation(&bed.log("other-3.log"));
    cluster.broker(1).stop().expect("stops");
    let answer = ask(&bed, other, 0..7);
    assert!(matches!(answer, RecallAnswer::Later(_)), "{answer:?}");
    cluster.broker(1).start().expect("starts");
    wait_for("the broker's return", || match ask(&bed, other, 0..7) {
        RecallAnswer::Bytes(bytes) if bytes == b"line 0\n" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    agent.stop();
}

#[test]
fn single_records_in_a_topic_say_too_little_to_come_back() {
    let (_cluster, bed) = scene("  encoding: raw\n");
    let mut agent = Agent::start(&bed);
    append(&bed.log("app.log"), &numbered(100, "\n"));
    wait_for_delivery(&mut agent);
    assert_gone(&bed, generation(&bed.log("app.log")), 500..600, "");
    agent.stop();
}
