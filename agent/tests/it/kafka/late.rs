//! Brokers that have not come when the agent starts, while rotations delete what they were not given.

use benches::load::LoadSpec;
use benches::rotation::Rotation;

use super::scene::{TENANTS, wait_for_more};
use super::spool::{prove, scene};
use crate::kit::{Agent, Writer, sleep_ms, wait_until};

/// Bytes a second of each tenant: slow enough that no file goes while no agent runs, on a busy machine too.
const RATE: u64 = 120_000;

fn wait_safe(agent: &Agent) {
    let at_risk = || agent.metric("logferry_at_risk_bytes") + agent.metric("logferry_pinned_bytes");
    wait_until("nothing is at risk", at_risk, |it| *it == 0.0);
}

/// Brokers that come late, to an agent that is killed as often as there are rests, in milliseconds.
fn late(more: &str, rests_ms: &[u64]) {
    let scene = scene(more);
    let agent = Agent::start(&scene.bed);
    let rotation = Some(Rotation { bytes: 128 << 10, files_max: 3, late_ns: 0 });
    let load = |it| LoadSpec { rotation, rate: RATE, ..scene.load(it) };
    let writers = TENANTS.map(|it| Writer::start(&load(it)));
    wait_for_more(&scene.bed, "shop");
    sleep_ms(2_000);
    // In the middle of what is on its way, and of what no checkpoint knows.
    agent.kill();
    scene.cluster.broker(1).kill().unwrap();
    let mut agent = Agent::spawn(&scene.bed);
    agent.wait_said("collecting");
    let kept = || agent.metric("logferry_spool_kept_bytes_total");
    wait_until("rotations", kept, |it| *it > 300_000.0);
    sleep_ms(4_000);
    let truth = writers.map(Writer::stop);
    for rest_ms in rests_ms {
        // A removed file is gone with the process that holds it.
        wait_safe(&agent);
        agent.kill();
        agent = Agent::spawn(&scene.bed);
        agent.wait_said("collecting");
        sleep_ms(*rest_ms);
    }
    wait_safe(&agent);
    scene.cluster.broker(1).start().unwrap();
    for rest_ms in rests_ms {
        sleep_ms(*rest_ms);
        agent.kill();
        agent = Agent::spawn(&scene.bed);
    }
    agent.wait_ready();
    prove(&scene, agent, &truth);
}

#[test]
fn what_rotations_take_before_the_brokers_come_is_delivered_once_and_in_order() {
    late("", &[]);
}

#[test]
fn kills_before_and_after_the_brokers_come_late_lose_and_double_nothing() {
    late("", &[400, 1_500, 100]);
}

#[test]
fn values_that_the_agent_compressed_are_cut_where_the_queue_has_them() {
    late("    payloadCompression: {codec: zstd}\n", &[]);
}
