//! Changes of the configuration while logs are written: what they cost, and that they lose and double nothing.

use kafka_kit::{Cluster, Listener};

use super::scene::{PARTITIONS, assert_arrived, sink, wait_for_delivery};
use crate::kit::{Agent, Bed, Writer, containers, load, rotation, wait_until};
use benches::layout::Layout;
use benches::load::LoadSpec;
use benches::wrap::Format;

const CHANGES: u32 = 6;

/// What the agent said of how long each change took, in milliseconds; sorted.
fn pauses_ms(agent: &Agent) -> Vec<u64> {
    let said = agent.stderr();
    let took = said.lines().filter_map(|it| it.split_once("configuration in force took_ms="));
    let mut all: Vec<u64> = took.filter_map(|(_, ms)| ms.trim().parse().ok()).collect();
    all.sort_unstable();
    all
}

#[test]
fn d_changes_of_the_configuration_leave_neither_hole_nor_double_in_the_topic() {
    let cluster = Cluster::builder().start().expect("Kafka starts");
    cluster.create_topic("logs-shop", PARTITIONS, 1, &[]).unwrap();
    let bed = Bed::new();
    let configure = |number: u32| {
        let fields = format!("  tenant: shop\n  line: {{maxBytes: {}KiB}}\n", 64 + number);
        let containers = containers("pods", "", &fields);
        bed.configure(&[&bed.agent(""), &sink(&cluster, Listener::Plain, ""), &containers]);
    };
    configure(0);
    let spec = LoadSpec {
        format: Format::Cri,
        layout: Layout::Pods,
        rotation: rotation(128 << 10),
        rate: 200_000,
        ..load(&bed.path("pods"), 4)
    };
    let mut agent = Agent::start(&bed);
    let writer = Writer::start(&spec);
    for number in 1..=CHANGES {
        configure(number);
        let reloads = || agent.metric("logferry_config_reloads_total");
        wait_until("in force", reloads, |it| *it == f64::from(number));
    }
    let truth = writer.stop();
    wait_for_delivery(&mut agent);
    let pauses_ms = pauses_ms(&agent);
    println!("without a data plane for each of {CHANGES} changes, in ms: {pauses_ms:?}");
    assert_eq!(pauses_ms.len(), CHANGES as usize);
    agent.stop();
    assert_arrived(&cluster, "logs-shop", &truth);
}
