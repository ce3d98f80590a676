//! Wrong credentials: refused with what is wrong and what to do, while other sinks go on.

use std::net::{Ipv4Addr, SocketAddrV4};

use kafka_kit::{Authority, Cluster, Listener, Validity};

use super::{assert_nowhere, cluster_with, put, sink, talkative, token, wait_for_bodies};
use crate::kit::{Agent, Bed, append, files, resource, wait_for};

/// Another sink of the same agent, and what goes there.
fn other(bed: &Bed) -> [String; 2] {
    let sink = resource("LogSink", "other", "  queue:\n    path: '{dir}/queue'\n");
    append(&bed.log("other.log"), b"other one\n");
    [sink, files("other", "other.log", "  sink: other\n")]
}

/// Waits for an error in the log that has all of these.
fn wait_error(agent: &Agent, parts: &[&str]) {
    wait_for("an error", || {
        let said = agent.stderr();
        let is_it = |line: &str| line.contains("ERROR") && parts.iter().all(|it| line.contains(it));
        if said.lines().any(is_it) { Ok(()) } else { Err(format!("no {parts:?} in:\n{said}")) }
    });
}

fn address(cluster: &Cluster) -> Ipv4Addr {
    let address: SocketAddrV4 = cluster.addresses(Listener::Tls).parse().unwrap();
    *address.ip()
}

#[test]
fn a_broker_that_cannot_be_verified_is_refused_and_other_sinks_go_on() {
    let cluster = Cluster::builder().start().expect("Kafka starts");
    cluster.create_topic("verified", 1, 1, &[]).unwrap();
    let broker = cluster.broker(1);
    let at = cluster.addresses(Listener::Tls);
    let stranger = Authority::new(cluster.folder(), "stranger").unwrap();
    let expired = cluster.authority().issue("expired", Some(address(&cluster)), Validity::Expired);
    let elsewhere = cluster.authority().issue("elsewhere", None, Validity::Valid);
    let good = cluster.identity().both.clone();
    let authority = cluster.authority().certificate();
    let cases = [
        ("a wrong CA", stranger.certificate(), good.clone()),
        ("an expired certificate", authority.clone(), expired.unwrap().both),
        ("a wrong host", authority.clone(), elsewhere.unwrap().both),
    ];
    let mut want = Vec::new();
    for (number, (what, trusted, identity)) in cases.into_iter().enumerate() {
        broker.set("ssl.keystore.location", &identity.to_string_lossy());
        broker.stop().unwrap();
        broker.start().unwrap();
        let bed = Bed::new();
        put(&bed.path("ca"), std::fs::read(&trusted).unwrap());
        let kafka = "    tls: {caFile: '{dir}/ca'}\n";
        let kafka = sink("kafka", &cluster, (Listener::Tls, "verified"), kafka, "");
        let [other, others] = other(&bed);
        let files = files("files", "a.log", "  sink: kafka\n");
        bed.configure(&[&talkative(&bed), &kafka, &files, &other, &others]);
        append(&bed.log("a.log"), format!("{what}\n").as_bytes());
        let agent = Agent::start(&bed);
        wait_error(
            &agent,
            &[&at, "certificate verify failed", "caFile", "out of its time", "host in"],
        );
        bed.wait_for_bodies(&["other one"]);
        append(&bed.log("other.log"), b"other two\n");
        bed.wait_for_bodies(&["other one", "other two"]);
        // Mended at the agent or at the broker, it goes on by itself.
        if number == 0 {
            put(&bed.path("ca"), std::fs::read(&authority).unwrap());
        } else {
            broker.set("ssl.keystore.location", &good.to_string_lossy());
            broker.stop().unwrap();
            broker.start().unwrap();
        }
        want.push(what);
        wait_for_bodies(&cluster, "verified", &want);
        agent.stop();
    }
}

#[test]
fn a_wrong_password_is_refused_by_name_of_the_broker_and_never_shown() {
    let cluster = cluster_with("passwords");
    let bed = Bed::new();
    put(&bed.path("password"), "falsch-1");
    let sasl =
        "    sasl: {mechanism: SCRAM-SHA-512, username: ferry, passwordFile: '{dir}/password'}\n";
    let [other, others] = other(&bed);
    bed.configure(&[
        &talkative(&bed),
        &sink("kafka", cluster, (Listener::Sasl, "passwords"), sasl, ""),
        &files("files", "a.log", "  sink: kafka\n"),
        &other,
        &others,
    ]);
    append(&bed.log("a.log"), b"one\n");
    let agent = Agent::start(&bed);
    let at = cluster.addresses(Listener::Sasl);
    wait_error(&agent, &[&at, "SASL authentication error", "check the user's name and password"]);
    bed.wait_for_bodies(&["other one"]);
    assert_nowhere(&bed, &agent, &["falsch-1"]);
    put(&bed.path("password"), "geheim-1");
    wait_for_bodies(cluster, "passwords", &["one"]);
    assert_nowhere(&bed, &agent, &["falsch-1", "geheim-1"]);
    agent.stop();
}

#[test]
fn an_expired_token_is_refused_until_it_is_renewed() {
    let cluster = cluster_with("tokens");
    let bed = Bed::new();
    let (old, new) = (token("ferry", -60), token("ferry", 3600));
    put(&bed.path("token"), &old);
    let sasl = "    sasl: {mechanism: OAUTHBEARER, tokenFile: '{dir}/token'}\n";
    let [other, others] = other(&bed);
    bed.configure(&[
        &talkative(&bed),
        &sink("kafka", cluster, (Listener::Sasl, "tokens"), sasl, ""),
        &files("files", "a.log", "  sink: kafka\n"),
        &other,
        &others,
    ]);
    append(&bed.log("a.log"), b"one\n");
    let agent = Agent::start(&bed);
    wait_error(&agent, &["unexpired token", "the file of the token is renewed"]);
    bed.wait_for_bodies(&["other one"]);
    put(&bed.path("token"), &new);
    wait_for_bodies(cluster, "tokens", &["one"]);
    assert_nowhere(&bed, &agent, &[&old, &new]);
    agent.stop();
}
