//! Agents and brokers that die and start.

use benches::layout::Layout;
use benches::load::LoadSpec;
use benches::random::Random;
use benches::wrap::Format;
use kafka_kit::{Cluster, Listener};

use super::scene::{
    PARTITIONS, assert_arrived, assert_tiled, messages, sink, values, wait_for_delivery,
};
use crate::kit::{Agent, Bed, Writer, append, containers, files, load, now_ns, rotation, sleep_ms};

/// Containers' logs that rotate every second or so.
fn rotating(bed: &Bed) -> LoadSpec {
    LoadSpec {
        format: Format::Cri,
        layout: Layout::Pods,
        rotation: rotation(128 << 10),
        ..load(&bed.path("pods"), 4)
    }
}

/// The agent is killed so often, and every fourth time the broker too, while logs are written and rotated.
fn kill_nine(kills: u32, rate: u64) {
    let seed =
        std::env::var("LOGFERRY_KILL_SEED").map_or_else(|_| now_ns(), |it| it.parse().unwrap());
    println!("{kills} kill -9 with Kafka: LOGFERRY_KILL_SEED={seed}");
    let mut random = Random::new(seed);
    let cluster = Cluster::builder().start().expect("Kafka starts");
    cluster.create_topic("logs-shop", PARTITIONS, 1, &[]).unwrap();
    let bed = Bed::new();
    let tenant = containers("pods", "", "  tenant: shop\n");
    bed.configure(&[&bed.agent(""), &sink(&cluster, Listener::Plain, ""), &tenant]);
    let writer = Writer::start(&LoadSpec { rate, ..rotating(&bed) });
    for number in 0..kills {
        let agent = Agent::spawn(&bed);
        sleep_ms(u64::from(300 + random.below(1500)));
        if number % 4 == 3 {
            cluster.broker(1).kill().unwrap();
        }
        sleep_ms(u64::from(random.below(300)));
        agent.kill();
        if number % 4 == 3 {
            cluster.broker(1).start().unwrap();
        }
    }
    let mut agent = Agent::start(&bed);
    let truth = writer.stop();
    wait_for_delivery(&mut agent);
    agent.stop();
    let lines: u64 = truth.iter().map(|it| it.lines).sum();
    println!("{kills} kill -9 with Kafka: {lines} lines");
    assert_arrived(&cluster, "logs-shop", &truth);
}

#[test]
fn d_kill_nine_of_agent_and_broker_leaves_neither_hole_nor_double_in_the_topic() {
    kill_nine(12, 400_000);
}

/// `LOGFERRY_KILLS` (200) of them.
#[test]
#[ignore = "ten minutes: cargo test -p logferry --test it -- --ignored --nocapture d_two_hundred"]
fn d_two_hundred_kill_nine_leave_neither_hole_nor_double_in_the_topic() {
    // Slower, as all of it is read at the end.
    kill_nine(std::env::var("LOGFERRY_KILLS").map_or(200, |it| it.parse().unwrap()), 80_000);
}

#[test]
fn d1_brokers_that_are_away_at_the_start_are_waited_for() {
    let cluster = Cluster::builder().start().expect("Kafka starts");
    cluster.create_topic("logs-default", PARTITIONS, 1, &[]).unwrap();
    let bed = Bed::new();
    bed.configure(&[
        &bed.agent(""),
        &sink(&cluster, Listener::Plain, ""),
        &files("files", "*.log", ""),
    ]);
    append(&bed.log("a.log"), b"one\n");
    let mut agent = Agent::start(&bed);
    wait_for_delivery(&mut agent);
    agent.kill();
    append(&bed.log("a.log"), b"two\n");
    cluster.broker(1).kill().unwrap();
    let agent = Agent::spawn(&bed);
    agent.wait_said("trying again");
    cluster.broker(1).start().unwrap();
    let mut agent = agent;
    agent.wait_ready();
    wait_for_delivery(&mut agent);
    agent.stop();
    let messages = messages(&cluster, "logs-default");
    assert_tiled(&messages);
    assert_eq!(String::from_utf8(values(&messages)).unwrap().lines().count(), 2);
}
