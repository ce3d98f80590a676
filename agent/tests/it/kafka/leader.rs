//! D9: leaders that move, replicas that are missing, brokers that ask for rests.

use kafka_kit::{AclOperation, Cluster, Entity, Listener, Mechanism, User};

use super::scene::{Scene, TENANTS, longest_rest_ms, wait_for_more};
use crate::kit::{Agent, sleep_ms};

#[test]
fn d9_leaders_that_move_and_replicas_that_are_missing_cost_and_double_nothing() {
    let scene = Scene::new(Cluster::builder().brokers(3), Listener::Plain, 3, "");
    let mut agent = Agent::start(&scene.bed);
    let writers = scene.write();
    wait_for_more(&scene.bed, "shop");
    for node in 1..=3 {
        // In turn by force and in order: each leads some partitions, which another has to take over.
        let broker = scene.cluster.broker(node);
        if node == 2 {
            broker.stop().unwrap()
        } else {
            broker.kill().unwrap()
        }
        wait_for_more(&scene.bed, "shop");
        wait_for_more(&scene.bed, "bank");
        broker.start().unwrap();
        sleep_ms(2000);
        agent.assert_running();
    }
    // With one replica in sync `acks=all` is refused: all waits.
    scene.cluster.broker(2).kill().unwrap();
    scene.cluster.broker(3).kill().unwrap();
    let rest_ms = longest_rest_ms(&scene.bed, "shop", 8000);
    println!("d9: with one of three brokers nothing is delivered for {rest_ms} ms");
    scene.cluster.broker(2).launch().unwrap();
    scene.cluster.broker(3).start().unwrap();
    scene.cluster.broker(2).wait_ready().unwrap();
    wait_for_more(&scene.bed, "shop");
    scene.prove(agent, writers);
}

#[test]
#[ignore = "takes minutes: make chaos"]
fn d9_an_agent_whose_user_has_a_quota_is_slow_and_loses_nothing() {
    let user = User::new("ferry", "secret-1");
    let builder = Cluster::builder().user(&user);
    let fields =
        "    sasl: {mechanism: SCRAM-SHA-256, username: ferry, passwordFile: '{dir}/password'}\n";
    let scene = Scene::new(builder, Listener::Sasl, 1, fields);
    std::fs::write(scene.bed.path("password"), "secret-1\n").unwrap();
    scene.cluster.set_scram_password(Mechanism::ScramSha256, &user).unwrap();
    for tenant in TENANTS {
        for operation in [AclOperation::Write, AclOperation::Read] {
            scene.cluster.allow("ferry", operation, &format!("logs-{tenant}")).unwrap();
        }
    }
    let quota = |rate| scene.cluster.alter(Entity::User("ferry"), &[("producer_byte_rate", rate)]);
    quota("20000").unwrap();
    let agent = Agent::start(&scene.bed);
    let writers = scene.write();
    wait_for_more(&scene.bed, "shop");
    sleep_ms(15_000);
    let waiting = agent.metric("logferry_lag_bytes") + agent.metric("logferry_in_flight_bytes");
    println!("d9: with a quota of 20 kB/s {waiting} bytes wait after 15 s");
    assert!(waiting > 1e6, "{waiting} bytes");
    quota("100000000").unwrap();
    scene.prove(agent, writers);
}
