//! The spool before brokers that stand still while rotations delete.

use benches::load::LoadSpec;
use benches::rotation::Rotation;
use benches::truth::StreamTruth;
use kafka_kit::{Cluster, Listener};

use super::scene::{Scene, TENANTS, assert_arrived, sink, wait_for_delivery, wait_for_more};
use crate::kit::{Agent, Writer, files, sleep_ms, wait_until};

/// A broker, and an agent with a spool whose pins and messages on their way are few.
pub(super) fn scene(more: &str) -> Scene {
    let scene = Scene::new(Cluster::builder(), Listener::Plain, 1, "");
    let agent = scene.bed.agent("  pinnedBytesMax: 1MiB\n  spool: {}\n");
    let sink = sink(&scene.cluster, Listener::Plain, &format!("    inFlight: 256KiB\n{more}"));
    let rule =
        |tenant: &str| files(tenant, &format!("{tenant}/*.log"), &format!("  tenant: {tenant}\n"));
    let [one, other] = TENANTS.map(rule);
    scene.bed.configure(&[&agent, &sink, &one, &other]);
    scene
}

/// Both tenants log, and keep three files of each log.
fn write(scene: &Scene) -> [Writer; 2] {
    let rotation = Some(Rotation { bytes: 128 << 10, files_max: 3, late_ns: 0 });
    TENANTS.map(|it| Writer::start(&LoadSpec { rotation, rate: 400_000, ..scene.load(it) }))
}

/// Both arrived once and in order, and nothing is left in the spool.
pub(super) fn prove(scene: &Scene, mut agent: Agent, truth: &[Vec<StreamTruth>; 2]) {
    wait_for_delivery(&mut agent);
    wait_until("nothing owed", || agent.metric("logferry_spool_payloads"), |it| *it == 0.0);
    assert_eq!(agent.metric("logferry_gaps_total"), 0.0);
    agent.stop();
    for (tenant, truth) in TENANTS.iter().zip(truth) {
        assert_arrived(&scene.cluster, &format!("logs-{tenant}"), truth);
    }
}

/// A broker that stands still while rotations take what it was not given.
fn stand_still(more: &str) {
    let scene = scene(more);
    let agent = Agent::start(&scene.bed);
    let writers = write(&scene);
    wait_for_more(&scene.bed, "shop");
    scene.cluster.broker(1).pause().unwrap();
    sleep_ms(12_000);
    assert!(agent.metric("logferry_spool_kept_bytes_total") > 1e6);
    scene.cluster.broker(1).resume().unwrap();
    sleep_ms(2_000);
    let truth = writers.map(Writer::stop);
    prove(&scene, agent, &truth);
}

#[test]
fn what_rotations_take_while_a_broker_stands_still_is_delivered_once_and_in_order() {
    stand_still("");
}

#[test]
fn values_that_the_agent_compressed_are_kept_in_the_spool_too() {
    stand_still("    payloadCompression: {codec: zstd}\n");
}

#[test]
fn a_kill_while_copies_of_what_is_on_its_way_are_in_the_spool_doubles_nothing() {
    let scene = scene("");
    let agent = Agent::start(&scene.bed);
    let writers = write(&scene);
    wait_for_more(&scene.bed, "shop");
    scene.cluster.broker(1).pause().unwrap();
    sleep_ms(8_000);
    let truth = writers.map(Writer::stop);
    // A removed file is gone with the process that holds it.
    let at_risk = || agent.metric("logferry_at_risk_bytes") + agent.metric("logferry_pinned_bytes");
    wait_until("nothing is at risk", at_risk, |it| *it == 0.0);
    assert!(agent.metric("logferry_spool_payloads") > 1.0);
    agent.kill();
    scene.cluster.broker(1).resume().unwrap();
    let mut agent = Agent::start(&scene.bed);
    for rest_ms in [100, 400] {
        sleep_ms(rest_ms);
        agent.kill();
        agent = Agent::start(&scene.bed);
    }
    prove(&scene, agent, &truth);
}
