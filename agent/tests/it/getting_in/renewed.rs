//! New credentials: taken from their files while the agent runs, with nothing lost or doubled.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use benches::layout::Layout;
use benches::load::LoadSpec;
use benches::wrap::Format;
use kafka_kit::{AclOperation, Cluster, Listener, Mechanism, User, Validity};

use super::{
    CAROL, CLUSTER, assert_nowhere, cluster_with, put, read, sink, talkative, token,
    wait_for_bodies,
};
use crate::kit::{
    Agent, Bed, Writer, append, assert_exact, containers, files, judge, load, rotation, sleep_ms,
    wait_for, wait_until,
};

/// A Secret as the kubelet mounts it: the files are links through `..data`, which is replaced by renaming.
fn mount(folder: &Path, version: &str, contents: &[(&str, Vec<u8>)]) {
    let data = folder.join(version);
    fs::create_dir_all(&data).unwrap();
    for (name, content) in contents {
        fs::write(data.join(name), content).unwrap();
        if folder.join(name).symlink_metadata().is_err() {
            symlink(Path::new("..data").join(name), folder.join(name)).unwrap();
        }
    }
    symlink(version, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

fn taken(agent: &Agent) -> usize {
    agent.stderr().matches("credentials changed").count()
}

fn is_bad(agent: &Agent, want: f64) {
    wait_until("the metric", || agent.metric("logferry_credentials_bad"), |it| *it == want);
}

/// What `/ready` says of them.
fn problem(agent: &Agent) -> Option<String> {
    let (status, text) = agent.ready();
    let line = text.lines().find(|it| it.starts_with("credentials: ")).map(str::to_owned);
    assert!(line.is_none() || status == 200, "the old ones are in force: {text}");
    line
}

#[test]
fn a_password_that_is_changed_at_the_broker_and_then_in_its_mounted_file_is_taken_under_load() {
    let cluster = cluster_with("renewed");
    let bed = Bed::new();
    let secret = bed.path("secret");
    mount(&secret, "v1", &[("password", CAROL.password.clone().into_bytes())]);
    let sasl = "    sasl: {mechanism: SCRAM-SHA-256, username: carol, passwordFile: '{dir}/secret/password'}\n";
    let kafka = sink("default", cluster, (Listener::Sasl, "renewed"), sasl, "");
    let pods = containers("pods", "", "  tenant: shop\n");
    bed.configure(&[&talkative(&bed), &kafka, &pods]);
    let spec = LoadSpec {
        format: Format::Cri,
        layout: Layout::Pods,
        rotation: rotation(128 << 10),
        ..load(&bed.path("pods"), 4)
    };
    let writer = Writer::start(&spec);
    let mut agent = Agent::start(&bed);
    let mut passwords = vec![CAROL.password.clone()];
    for (number, version) in (1..).zip(["v2", "v3"]) {
        let password = format!("geheim-2-{version}");
        let user = User::new("carol", &password);
        cluster.set_scram_password(Mechanism::ScramSha256, &user).unwrap();
        sleep_ms(500);
        mount(&secret, version, &[("password", password.clone().into_bytes())]);
        wait_until("taken", || taken(&agent), |it| *it == number);
        sleep_ms(1500);
        passwords.push(password);
    }
    let truth = writer.stop();
    wait_for("everything delivered", || {
        agent.assert_running();
        let left = agent.metric("logferry_in_flight_bytes") + agent.metric("logferry_lag_bytes");
        // A data plane that was started anew has nothing left before it has looked.
        let is_ready = agent.ready().0 == 200;
        if left == 0.0 && is_ready { Ok(()) } else { Err(format!("{left} bytes")) }
    });
    sleep_ms(2000);
    assert_nowhere(&bed, &agent, &passwords.iter().map(String::as_str).collect::<Vec<_>>());
    agent.stop();
    let values: Vec<u8> =
        read(cluster, "renewed").into_iter().filter_map(|it| it.value).flatten().collect();
    assert_exact(&judge(truth, &values));
}

#[test]
fn a_password_that_the_broker_does_not_know_yet_is_taken_once_it_does() {
    let cluster = cluster_with("early");
    let bed = Bed::new();
    let dora = User::new("dora", "geheim-3");
    cluster.set_scram_password(Mechanism::ScramSha512, &dora).unwrap();
    put(&bed.path("password"), &dora.password);
    let sasl =
        "    sasl: {mechanism: SCRAM-SHA-512, username: dora, passwordFile: '{dir}/password'}\n";
    let kafka = sink("default", cluster, (Listener::Sasl, "early"), sasl, "");
    bed.configure(&[&talkative(&bed), &kafka, &files("files", "*.log", "")]);
    let agent = Agent::start(&bed);
    append(&bed.log("a.log"), b"one\n");
    wait_for_bodies(cluster, "early", &["one"]);
    put(&bed.path("password"), "geheim-4");
    let told = wait_until("refused", || problem(&agent), Option::is_some).unwrap();
    assert!(told.contains("LogSink default") && told.contains("authentication"), "{told}");
    append(&bed.log("a.log"), b"two\n");
    wait_for_bodies(cluster, "early", &["one", "two"]);
    assert_eq!(taken(&agent), 0);
    is_bad(&agent, 1.0);
    let new = User::new("dora", "geheim-4");
    cluster.set_scram_password(Mechanism::ScramSha512, &new).unwrap();
    wait_until("taken", || taken(&agent), |it| *it == 1);
    wait_until("no complaint", || problem(&agent), Option::is_none);
    is_bad(&agent, 0.0);
    append(&bed.log("a.log"), b"three\n");
    wait_for_bodies(cluster, "early", &["one", "two", "three"]);
    assert_nowhere(&bed, &agent, &["geheim-3", "geheim-4"]);
    agent.stop();
}

#[test]
fn a_certificate_is_swapped_and_a_broken_one_leaves_the_last_good_one_in_force() {
    let cluster = cluster_with("swapped");
    let bed = Bed::new();
    let issue = |name: &str| {
        let it = CLUSTER.authority().issue(name, None, Validity::Valid).unwrap();
        (fs::read(it.certificate).unwrap(), fs::read(it.key).unwrap())
    };
    let (first, second) = (issue("swap-a"), issue("swap-b"));
    let secret = bed.path("secret");
    let files_of = |certificate: &[u8], key: &[u8]| {
        [("certificate", certificate.to_vec()), ("key", key.to_vec())]
    };
    mount(&secret, "v1", &files_of(&first.0, &first.1));
    let tls = "    tls: {caFile: '{authority}', certificateFile: '{dir}/secret/certificate', keyFile: '{dir}/secret/key'}\n";
    let kafka = sink("default", cluster, (Listener::MutualTls, "swapped"), tls, "");
    bed.configure(&[&talkative(&bed), &kafka, &files("files", "*.log", "")]);
    let agent = Agent::start(&bed);
    append(&bed.log("a.log"), b"one\n");
    wait_for_bodies(cluster, "swapped", &["one"]);
    let broken: [(&str, &[u8], &[u8], &str); 3] = [
        ("v2", b"", &second.1, "not PEM"),
        ("v3", &second.0, b"-----BEGIN PRIVATE KEY-----\nxx\n", "ssl.key.pem"),
        ("v4", &second.0, &first.1, "key"),
    ];
    for (version, certificate, key, why) in broken {
        mount(&secret, version, &files_of(certificate, key));
        let is_told = |it: &Option<String>| it.as_ref().is_some_and(|it| it.contains(why));
        let told = wait_until(version, || problem(&agent), is_told).unwrap();
        assert!(told.contains("LogSink default"), "{told}");
        append(&bed.log("a.log"), format!("{version}\n").as_bytes());
    }
    fs::remove_file(secret.join("certificate")).unwrap();
    let is_told = |it: &Option<String>| it.as_ref().is_some_and(|it| it.contains("cannot be read"));
    wait_until("removed", || problem(&agent), is_told);
    wait_for_bodies(cluster, "swapped", &["one", "v2", "v3", "v4"]);
    assert_eq!(taken(&agent), 0);
    mount(&secret, "v5", &files_of(&second.0, &second.1));
    wait_until("taken", || taken(&agent), |it| *it == 1);
    wait_until("no complaint", || problem(&agent), Option::is_none);
    // Only who has the new certificate may write now.
    cluster.allow("swap-b", AclOperation::Write, "swapped").unwrap();
    // A line whose acknowledgement was not heard before the swap is looked for.
    cluster.allow("swap-b", AclOperation::Read, "swapped").unwrap();
    cluster.deny("swap-a", AclOperation::Write, "swapped").unwrap();
    append(&bed.log("a.log"), b"two\n");
    wait_for_bodies(cluster, "swapped", &["one", "v2", "v3", "v4", "two"]);
    let key_line = |key: &[u8]| String::from_utf8_lossy(key).lines().nth(1).unwrap().to_owned();
    assert_nowhere(&bed, &agent, &[&key_line(&first.1), &key_line(&second.1)]);
    agent.stop();
}

/// The broker closes a connection whose token is over; the file has a new one before that.
#[test]
fn a_token_that_is_renewed_in_its_file_keeps_the_agent_in() {
    let reauthentication = "listener.name.sasl.oauthbearer.connections.max.reauth.ms";
    let cluster =
        Cluster::builder().set(reauthentication, "3600000").start().expect("Kafka starts");
    cluster.create_topic("long", 1, 1, &[]).unwrap();
    let bed = Bed::new();
    let (first, second) = (token("ferry", 25), token("ferry", 3600));
    put(&bed.path("token"), &first);
    let sasl = "    sasl: {mechanism: OAUTHBEARER, tokenFile: '{dir}/token'}\n";
    let kafka = sink("default", &cluster, (Listener::Sasl, "long"), sasl, "");
    bed.configure(&[&talkative(&bed), &kafka, &files("files", "*.log", "")]);
    let agent = Agent::start(&bed);
    append(&bed.log("a.log"), b"one\n");
    wait_for_bodies(&cluster, "long", &["one"]);
    put(&bed.path("token"), &second);
    // Until the first token is over, by the broker's clock and by ours.
    sleep_ms(30_000);
    append(&bed.log("a.log"), b"two\n");
    wait_for_bodies(&cluster, "long", &["one", "two"]);
    assert_eq!(agent.metric("logferry_data_plane_restarts_total"), 0.0);
    assert_nowhere(&bed, &agent, &[&first, &second]);
    agent.stop();
}
