//! The right credentials: from a file to the topic by every way in, and over a restart.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use kafka_kit::{Listener, Validity};

use super::{
    ERNA, FERRY, assert_nowhere, bodies, cluster_with, put, sink, talkative, token, wait_for_bodies,
};
use crate::kit::{Agent, Bed, LOGFERRY, append, files, sleep_ms};

/// Name, listener, credentials, and what else the sink is given.
fn ways() -> Vec<(&'static str, Listener, String, &'static str)> {
    let tls = "    tls: {caFile: '{authority}'}\n";
    let password = |mechanism: &str| {
        format!(
            "    sasl: {{mechanism: {mechanism}, username: ferry, passwordFile: '{{dir}}/password'}}\n"
        )
    };
    let by_token = "    sasl: {mechanism: OAUTHBEARER, tokenFile: '{dir}/token'}\n";
    let mutual = "    tls: {caFile: '{authority}', certificateFile: '{dir}/certificate', keyFile: '{dir}/key'}\n";
    let locked = "    tls: {caFile: '{authority}', certificateFile: '{dir}/certificate', keyFile: '{dir}/locked', keyPasswordFile: '{dir}/key-password'}\n";
    let variables =
        "    sasl: {mechanism: SCRAM-SHA-256, usernameEnv: LF_NAME, passwordEnv: LF_PASSWORD}\n";
    let kept = "    sasl: {mechanism: PLAIN, usernameFile: '{dir}/username', passwordFile: '{dir}/password'}\n";
    vec![
        ("plain", Listener::Plain, String::new(), "  compression: {codec: none}\n"),
        ("tls", Listener::Tls, tls.to_owned(), "  compression: {codec: gzip, level: 9}\n"),
        (
            "mutual-tls",
            Listener::MutualTls,
            mutual.to_owned(),
            "  compression: {codec: lz4, level: 12}\n",
        ),
        ("locked-key", Listener::MutualTls, locked.to_owned(), ""),
        ("variables", Listener::Sasl, variables.to_owned(), ""),
        ("sasl-plain", Listener::Sasl, password("PLAIN"), "  compression: {codec: snappy}\n"),
        (
            "scram-256",
            Listener::Sasl,
            password("SCRAM-SHA-256"),
            "  compression: {codec: zstd, level: 12}\n",
        ),
        ("scram-512", Listener::Sasl, password("SCRAM-SHA-512"), ""),
        ("token", Listener::Sasl, by_token.to_owned(), ""),
        ("tls-plain", Listener::SaslTls, tls.to_owned() + kept, ""),
        ("tls-scram-256", Listener::SaslTls, tls.to_owned() + &password("SCRAM-SHA-256"), ""),
        ("tls-scram-512", Listener::SaslTls, tls.to_owned() + &password("SCRAM-SHA-512"), ""),
        ("tls-token", Listener::SaslTls, tls.to_owned() + by_token, ""),
    ]
}

const KEY_PASSWORD: &str = "geheim-8";

/// Writes a key encrypted.
fn lock(key: &Path, to: &Path) {
    let mut command = Command::new("openssl");
    command.args(["pkcs8", "-topk8", "-v2", "aes256", "-passout", &format!("pass:{KEY_PASSWORD}")]);
    let status = command.arg("-in").arg(key).arg("-out").arg(to).status().unwrap();
    assert!(status.success());
}

/// Starts the agent with a name and a password in its environment.
fn start(bed: &Bed) -> Agent {
    let mut command = Command::new(LOGFERRY);
    command.env("LF_NAME", &ERNA.name).env("LF_PASSWORD", &ERNA.password);
    let mut agent = Agent::spawn_as(bed, command);
    agent.wait_ready();
    agent
}

#[test]
fn every_way_in_leads_from_a_file_to_the_topic_and_over_a_restart() {
    let cluster = cluster_with("entry");
    let bed = Bed::new();
    let token = token("ferry", 3600);
    put(&bed.path("password"), &FERRY.password);
    put(&bed.path("username"), "ferry\n");
    put(&bed.path("token"), &token);
    let identity = cluster.authority().issue("ferry", None, Validity::Valid).unwrap();
    fs::copy(&identity.certificate, bed.path("certificate")).unwrap();
    fs::copy(&identity.key, bed.path("key")).unwrap();
    lock(&identity.key, &bed.path("locked"));
    put(&bed.path("key-password"), KEY_PASSWORD);
    let mut documents = vec![talkative(&bed)];
    let mut want = Vec::new();
    for (way, listener, kafka, fields) in ways() {
        documents.push(sink(way, cluster, (listener, "entry"), &kafka, fields));
        documents.push(files(way, &format!("{way}.log"), &format!("  sink: {way}\n")));
        append(&bed.log(format!("{way}.log")), format!("{way} one\n").as_bytes());
        want.push(format!("{way} one"));
    }
    bed.configure(&documents.iter().map(String::as_str).collect::<Vec<_>>());
    let agent = start(&bed);
    wait_for_bodies(cluster, "entry", &want.iter().map(String::as_str).collect::<Vec<_>>());
    let key = fs::read_to_string(&identity.key).unwrap();
    let key_line = key.lines().nth(1).unwrap();
    assert_nowhere(&bed, &agent, &[&FERRY.password, &token, key_line, KEY_PASSWORD]);
    // That one is in its environment, as its user wished, and nowhere in what it says.
    assert!(!agent.has_said(&ERNA.password));
    // Each sink reads back what it wrote, by the same way in.
    agent.kill();
    for (way, ..) in ways() {
        append(&bed.log(format!("{way}.log")), format!("{way} two\n").as_bytes());
        want.push(format!("{way} two"));
    }
    let agent = start(&bed);
    wait_for_bodies(cluster, "entry", &want.iter().map(String::as_str).collect::<Vec<_>>());
    sleep_ms(1000);
    assert_eq!(bodies(cluster, "entry").len(), want.len());
    agent.stop();
    let batches = cluster.dump(1, "entry", 0).unwrap();
    let codecs: BTreeSet<String> = batches.iter().map(|it| it.codec.to_lowercase()).collect();
    let codecs: Vec<&str> = codecs.iter().map(String::as_str).collect();
    assert_eq!(codecs, ["gzip", "lz4", "none", "snappy", "zstd"]);
}
