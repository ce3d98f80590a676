//! Changes of the configuration while logs are written: what they cost, and that they lose and double nothing.

use kafka_kit::{Api, Cluster, Fault, Listener, Rule};

use super::scene::{
    PARTITIONS, Scene, TENANTS, assert_arrived, sink, wait_for_delivery, wait_for_more,
};
use crate::kit::{Agent, Bed, Writer, containers, load, rotation, sleep_ms, wait_until};
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

/// Kinds of requests of which a client that comes sends some: one for each connection, one for each producer, and
/// those of who reads topics back.
const OF_NEW_CLIENTS: [Api; 4] =
    [Api::ApiVersions, Api::InitProducerId, Api::ListOffsets, Api::Fetch];

#[test]
fn d_a_change_that_is_none_of_the_sink_s_makes_no_connection_and_reads_nothing_back() {
    let scene = Scene::proxied();
    let agent = Agent::start(&scene.bed);
    let writers = scene.write();
    TENANTS.iter().for_each(|tenant| wait_for_more(&scene.bed, tenant));
    let asked = || OF_NEW_CLIENTS.map(|api| scene.proxy().requests(api));
    let before = asked();
    let text = std::fs::read_to_string(scene.bed.config()).unwrap();
    for number in 1..=CHANGES {
        let change =
            format!("  tenant: {}\n  line: {{maxBytes: {}KiB}}\n", TENANTS[0], 64 + number);
        let changed = text.replacen(&format!("  tenant: {}\n", TENANTS[0]), &change, 1);
        scene.bed.configure(&[&changed]);
        let reloads = || agent.metric("logferry_config_reloads_total");
        wait_until("in force", reloads, |it| *it == f64::from(number));
        TENANTS.iter().for_each(|tenant| wait_for_more(&scene.bed, tenant));
    }
    println!("without a data plane, in ms: {:?}", pauses_ms(&agent));
    assert_eq!(asked(), before, "{OF_NEW_CLIENTS:?}");
    // Another sink by that name is another client, which reads back.
    scene.configure(Listener::Proxied, "    inFlight: 3MiB\n");
    let reloads = || agent.metric("logferry_config_reloads_total");
    wait_until("in force", reloads, |it| *it == f64::from(CHANGES + 1));
    TENANTS.iter().for_each(|tenant| wait_for_more(&scene.bed, tenant));
    let after = asked();
    assert!(after.iter().zip(before).all(|(after, before)| *after > before), "{after:?}");
    scene.prove(agent, writers);
}

#[test]
fn d_a_change_while_the_brokers_are_silent_reads_back_what_they_had_taken() {
    let scene = Scene::proxied();
    let text = std::fs::read_to_string(scene.bed.config()).unwrap();
    let agent_fields = |fields: &str| {
        let own = "  hostName: bed\n";
        scene.bed.configure(&[&text.replace(own, &format!("{own}  shutdownGrace: 1s\n{fields}"))]);
    };
    agent_fields("");
    let agent = Agent::start(&scene.bed);
    let writers = scene.write();
    TENANTS.iter().for_each(|tenant| wait_for_more(&scene.bed, tenant));
    let fetches = scene.proxy().requests(Api::Fetch);
    // The brokers store what they are sent, and nobody hears of it.
    scene.proxy().add(Rule::new(Api::Produce, Fault::DropResponse).times(u64::MAX));
    sleep_ms(1000);
    agent_fields("  podLabels: [app]\n");
    let reloads = || agent.metric("logferry_config_reloads_total");
    wait_until("in force", reloads, |it| *it == 1.0);
    scene.proxy().clear();
    TENANTS.iter().for_each(|tenant| wait_for_more(&scene.bed, tenant));
    let read_back = scene.proxy().requests(Api::Fetch);
    assert!(read_back > fetches, "{read_back} requests of a consumer");
    scene.prove(agent, writers);
}
