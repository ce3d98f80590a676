//! Brokers that are away when the agent starts: their sink waits, and holds up no other.

use kafka_kit::{Cluster, Listener};

use super::{sink, talkative, wait_for_bodies};
use crate::kit::{Agent, Bed, append, files, resource, wait_until};

#[test]
fn a_sink_whose_brokers_are_away_at_the_start_holds_up_no_other_and_doubles_nothing() {
    let cluster = Cluster::builder().start().expect("Kafka starts");
    cluster.create_topic("absent", 1, 1, &[]).unwrap();
    let bed = Bed::new();
    let queue = resource("LogSink", "queue", "  queue:\n    path: '{dir}/queue'\n");
    // By name it is before the other, and selects what the other selects too.
    let ours = files("a-kafka", "a.log", "  sink: kafka\n");
    let all = files("b-queue", "*.log", "  sink: queue\n");
    let kafka = sink("kafka", &cluster, (Listener::Plain, "absent"), "", "");
    bed.configure(&[&talkative(&bed), &kafka, &queue, &ours, &all]);
    append(&bed.log("a.log"), b"one\n");
    append(&bed.log("b.log"), b"other one\n");
    let agent = Agent::start(&bed);
    wait_for_bodies(&cluster, "absent", &["one"]);
    bed.wait_for_bodies(&["other one"]);
    agent.kill();
    cluster.broker(1).kill().unwrap();
    append(&bed.log("a.log"), b"two\n");
    append(&bed.log("b.log"), b"other two\n");
    let mut agent = Agent::spawn(&bed);
    bed.wait_for_bodies(&["other one", "other two"]);
    let (status, text) = agent.ready();
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("LogSink kafka") && text.contains("the rest goes on"), "{text}");
    // What is new while it waits is nobody else's either.
    append(&bed.log("a.log"), b"three\n");
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
