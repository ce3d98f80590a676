//! Brokers that are away when the agent starts: files are read for them all the same, and they hold up no other.

use std::fs;

use kafka_kit::{Api, Cluster, Fault, Listener, Rule};

use super::{sink, talkative, wait_for_bodies};
use crate::kafka::assert_audit_clean;
use crate::kit::{Agent, Bed, append, files, resource, wait_until};

/// A broker and its topic, and a bed with a sink for it and a queue beside; `fields` are the Agent's.
fn bed(topic: &str, fields: &str) -> (Cluster, Bed) {
    bed_at(topic, Listener::Plain, fields)
}

fn bed_at(topic: &str, listener: Listener, fields: &str) -> (Cluster, Bed) {
    let cluster = Cluster::builder().start().expect("Kafka starts");
    cluster.create_topic(topic, 1, 1, &[]).unwrap();
    let bed = Bed::new();
    let queue = resource("LogSink", "queue", "  queue:\n    path: '{dir}/queue'\n");
    // By name it is before the other, and selects what the other selects too.
    let ours = files("a-kafka", "kafka/*.log", "  sink: kafka\n  tenant: shop\n");
    let all = files("b-queue", "*.log", "  sink: queue\n");
    let kafka = sink("kafka", &cluster, (listener, topic), "", "");
    let agent = if fields.is_empty() { talkative(&bed) } else { bed.agent(fields) };
    fs::create_dir_all(bed.log("kafka")).unwrap();
    bed.configure(&[&agent, &kafka, &queue, &ours, &all]);
    (cluster, bed)
}

#[test]
fn a_sink_whose_brokers_are_away_at_the_start_holds_up_no_other_and_doubles_nothing() {
    let (cluster, bed) = bed("absent", "");
    append(&bed.log("kafka/a.log"), b"one\n");
    append(&bed.log("b.log"), b"other one\n");
    let agent = Agent::start(&bed);
    wait_for_bodies(&cluster, "absent", &["one"]);
    bed.wait_for_bodies(&["other one"]);
    agent.kill();
    cluster.broker(1).kill().unwrap();
    append(&bed.log("kafka/a.log"), b"two\n");
    append(&bed.log("b.log"), b"other two\n");
    let mut agent = Agent::spawn(&bed);
    bed.wait_for_bodies(&["other one", "other two"]);
    let (status, text) = agent.ready();
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("LogSink kafka") && text.contains("the rest goes on"), "{text}");
    // What is new while it waits is nobody else's either.
    append(&bed.log("kafka/a.log"), b"three\n");
    append(&bed.log("b.log"), b"other three\n");
    bed.wait_for_bodies(&["other one", "other two", "other three"]);
    cluster.broker(1).start().unwrap();
    agent.wait_ready();
    wait_for_bodies(&cluster, "absent", &["one", "two", "three"]);
    append(&bed.log("b.log"), b"other four\n");
    bed.wait_for_bodies(&["other one", "other two", "other three", "other four"]);
    wait_until("a second look", || agent.metric("logferry_lag_bytes"), |it| *it == 0.0);
    agent.stop();
    wait_for_bodies(&cluster, "absent", &["one", "two", "three"]);
    bed.assert_audit_clean();
}

#[test]
fn brokers_that_fall_silent_while_they_are_asked_what_they_have_hold_up_no_other() {
    let (cluster, bed) = bed_at("silent", Listener::Proxied, "");
    append(&bed.log("kafka/a.log"), b"one\n");
    let agent = Agent::start(&bed);
    wait_for_bodies(&cluster, "silent", &["one"]);
    agent.kill();
    let proxy = cluster.broker(1).proxy();
    proxy.add(Rule::new(Api::ListOffsets, Fault::BlackHole).times(u64::MAX));
    append(&bed.log("kafka/a.log"), b"two\n");
    append(&bed.log("b.log"), b"other\n");
    let mut agent = Agent::spawn(&bed);
    bed.wait_for_bodies(&["other"]);
    let (status, text) = agent.ready();
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("LogSink kafka: ") && text.contains("offsets: "), "{text}");
    proxy.clear();
    agent.wait_ready();
    wait_for_bodies(&cluster, "silent", &["one", "two"]);
    agent.stop();
}

#[test]
fn an_epoch_that_was_begun_while_its_sink_was_away_begins_there_with_what_is_new() {
    let (cluster, bed) = bed("begun", "  checkpointInterval: 10s\n");
    let mut bodies = vec!["zero"];
    append(&bed.log("kafka/known.log"), b"zero\n");
    // On a busy machine a checkpoint may be stored before the agent is killed: once more, with another file.
    for (name, [first, second]) in
        [("a", ["one", "two"]), ("b", ["three", "four"]), ("c", ["five", "six"])]
    {
        let log = bed.log(format!("kafka/{name}.log"));
        let agent = Agent::start(&bed);
        // The first checkpoint has that, and no other file.
        wait_for_bodies(&cluster, "begun", &bodies);
        append(&log, format!("{first}\n").as_bytes());
        bodies.push(first);
        wait_for_bodies(&cluster, "begun", &bodies);
        agent.kill();
        cluster.broker(1).kill().unwrap();
        let mut agent = Agent::spawn(&bed);
        agent.wait_said("collecting");
        wait_until("found", || agent.metric("logferry_sources"), |it| *it >= 2.0);
        cluster.broker(1).start().unwrap();
        agent.wait_ready();
        append(&log, format!("{second}\n").as_bytes());
        bodies.push(second);
        wait_for_bodies(&cluster, "begun", &bodies);
        agent.stop();
        let report = assert_audit_clean(&cluster, "begun");
        let contexts = report["tenants"]["shop"]["contexts"].as_array().unwrap();
        if contexts.iter().any(|it| it["begin"].as_u64().is_some_and(|begin| begin > 0)) {
            return;
        }
    }
    panic!("no epoch was begun anew");
}

#[test]
fn a_file_that_is_removed_while_its_sink_has_not_come_is_delivered_when_it_comes() {
    let (cluster, bed) = bed("removed", "  spool: {}\n");
    append(&bed.log("kafka/a.log"), b"one\n");
    let agent = Agent::start(&bed);
    wait_for_bodies(&cluster, "removed", &["one"]);
    agent.kill();
    cluster.broker(1).kill().unwrap();
    let mut agent = Agent::spawn(&bed);
    agent.wait_said("collecting");
    append(&bed.log("kafka/a.log"), b"two\n");
    append(&bed.log("kafka/short.log"), b"brief\n");
    wait_until("both", || agent.metric("logferry_sources"), |it| *it >= 2.0);
    wait_until("read", || agent.metric("logferry_lag_bytes"), |it| *it == 0.0);
    fs::remove_file(bed.log("kafka/a.log")).unwrap();
    fs::remove_file(bed.log("kafka/short.log")).unwrap();
    wait_until("kept", || agent.metric("logferry_spool_payloads"), |it| *it > 0.0);
    cluster.broker(1).start().unwrap();
    agent.wait_ready();
    wait_for_bodies(&cluster, "removed", &["one", "two", "brief"]);
    wait_until("nothing owed", || agent.metric("logferry_spool_payloads"), |it| *it == 0.0);
    assert_eq!(agent.metric("logferry_gaps_total"), 0.0);
    agent.stop();
}
