//! D7: names, passwords and rights that are not there, or not any more.

use kafka_kit::{AclOperation, Cluster, Listener, Mechanism, User};

use super::scene::{
    PARTITIONS, REST_MS_MAX, Scene, TENANTS, assert_tiled, longest_rest_ms, messages, sink, values,
    wait_for_more,
};
use crate::kit::{Agent, Bed, append, assert_within_ms, files, sleep_ms, wait_for};

#[test]
fn d_a_tenant_without_right_or_topic_holds_up_nobody_and_arrives_once_it_has_them() {
    let user = User::new("ferry", "secret-1");
    let cluster = Cluster::builder().user(&user).start().expect("Kafka starts");
    cluster.set_scram_password(Mechanism::ScramSha256, &user).unwrap();
    for topic in ["logs-shop", "logs-bank"] {
        cluster.create_topic(topic, PARTITIONS, 1, &[]).unwrap();
    }
    for operation in [AclOperation::Write, AclOperation::Read] {
        cluster.allow("ferry", operation, "logs-shop").unwrap();
        cluster.allow("ferry", operation, "logs-late").unwrap();
    }
    let bed = Bed::new();
    std::fs::write(bed.path("password"), "secret-1\n").unwrap();
    let fields =
        "    sasl: {mechanism: SCRAM-SHA-256, username: ferry, passwordFile: '{dir}/password'}\n";
    let config =
        |tenant: &str| files(tenant, &format!("{tenant}.log"), &format!("  tenant: {tenant}\n"));
    bed.configure(&[
        &bed.agent(""),
        &sink(&cluster, Listener::Sasl, fields),
        &config("shop"),
        &config("bank"),
        &config("late"),
    ]);
    for tenant in ["bank", "late", "shop"] {
        append(&bed.log(format!("{tenant}.log")), b"one\ntwo\n");
    }
    let agent = Agent::start(&bed);
    let text = |topic: &str| String::from_utf8(values(&messages(&cluster, topic))).unwrap();
    wait_for("the lines of one tenant", || {
        let lines = text("logs-shop").lines().count();
        if lines == 2 { Ok(()) } else { Err(format!("{lines} lines")) }
    });
    append(&bed.log("shop.log"), b"three\n");
    append(&bed.log("bank.log"), b"three\n");
    cluster.allow("ferry", AclOperation::Write, "logs-bank").unwrap();
    cluster.create_topic("logs-late", PARTITIONS, 1, &[]).unwrap();
    for (topic, count) in [("logs-shop", 3), ("logs-bank", 3), ("logs-late", 2)] {
        wait_for(topic, || {
            let lines = text(topic).lines().count();
            if lines == count { Ok(()) } else { Err(format!("{lines} lines")) }
        });
        assert_tiled(&messages(&cluster, topic));
    }
    agent.stop();
    let said = std::fs::read_to_string(bed.path("stderr.0")).unwrap_or_default();
    assert!(!said.contains("secret-1"), "{said}");
}

#[test]
fn d7_a_right_that_is_taken_and_given_back_under_load_costs_its_tenant_alone_time() {
    let user = User::new("ferry", "secret-1");
    let fields =
        "    sasl: {mechanism: SCRAM-SHA-256, username: ferry, passwordFile: '{dir}/password'}\n";
    let scene = Scene::new(Cluster::builder().user(&user), Listener::Sasl, 1, fields);
    std::fs::write(scene.bed.path("password"), "secret-1\n").unwrap();
    scene.cluster.set_scram_password(Mechanism::ScramSha256, &user).unwrap();
    for tenant in TENANTS {
        for operation in [AclOperation::Write, AclOperation::Read] {
            scene.cluster.allow("ferry", operation, &format!("logs-{tenant}")).unwrap();
        }
    }
    let agent = Agent::start(&scene.bed);
    let writers = scene.write();
    for _ in 0..3 {
        wait_for_more(&scene.bed, "shop");
        scene.cluster.deny("ferry", AclOperation::Write, "logs-shop").unwrap();
        let rest_ms = longest_rest_ms(&scene.bed, "bank", 7000);
        println!("d7: the other tenant rested {rest_ms} ms at most");
        agent.wait_said("not taken by Kafka");
        scene.cluster.undeny("ferry", AclOperation::Write, "logs-shop").unwrap();
        assert_within_ms("records of the other", rest_ms, REST_MS_MAX);
    }
    agent.wait_said("taken by Kafka again");
    scene.prove(agent, writers);
}

#[test]
fn d7_with_a_wrong_password_all_waits_and_with_the_right_one_all_arrives() {
    let user = User::new("ferry", "secret-1");
    let fields =
        "    sasl: {mechanism: SCRAM-SHA-256, username: ferry, passwordFile: '{dir}/password'}\n";
    let scene = Scene::new(Cluster::builder().user(&user), Listener::Sasl, 1, fields);
    scene.cluster.set_scram_password(Mechanism::ScramSha256, &user).unwrap();
    std::fs::write(scene.bed.path("password"), "secret-2\n").unwrap();
    let agent = Agent::spawn(&scene.bed);
    let writers = scene.write();
    agent.wait_said("SASL");
    sleep_ms(3000);
    assert_eq!(agent.metric("logferry_delivered_bytes_total"), 0.0);
    let said = agent.stderr();
    assert!(!said.contains("secret-2"), "{said}");
    agent.kill();
    std::fs::write(scene.bed.path("password"), "secret-1\n").unwrap();
    let agent = Agent::start(&scene.bed);
    scene.prove(agent, writers);
}
