//! Every way into the real Apache Kafka, for an agent that has the right credentials, wrong ones, and new ones.

mod absent;
mod entry;
mod refused;
mod renewed;
mod topics;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use flow::{Clock, SystemClock};
use kafka_kit::{Cluster, Isolation, Listener, Read, User, unsecured_token};

use crate::kit::{Agent, Bed, Run, get, resource, wait_for};

/// May do all; her password is the same for PLAIN and SCRAM.
static FERRY: LazyLock<User> = LazyLock::new(|| User::new("ferry", "geheim-1"));
/// Changes her password.
static CAROL: LazyLock<User> = LazyLock::new(|| User::new("carol", "geheim-2"));

/// Is known to the agent by its environment.
static ERNA: LazyLock<User> = LazyLock::new(|| User::new("erna", "geheim-9"));

/// The broker that these tests share: each has topics and users of its own.
static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    let builder = Cluster::builder().user(&FERRY).user(&CAROL).user(&ERNA);
    builder.start().expect("Kafka starts")
});

/// The shared broker, with a topic of one partition.
fn cluster_with(topic: &str) -> &'static Cluster {
    CLUSTER.create_topic(topic, 1, 1, &[]).unwrap();
    &CLUSTER
}

/// A LogSink with these lines below `kafka`, and these beside it.
fn sink(name: &str, cluster: &Cluster, at: (Listener, &str), kafka: &str, fields: &str) -> String {
    let (listener, topic) = at;
    let brokers = cluster.addresses(listener);
    let authority = cluster.authority().certificate();
    let kafka = kafka.replace("{authority}", &authority.to_string_lossy());
    let spec = format!(
        "  kafka:\n    brokers: ['{brokers}']\n    topic: {topic}\n{kafka}  encoding: json_lines\n{fields}"
    );
    resource("LogSink", name, &spec)
}

/// The Agent, as talkative as it can be: whatever it says is no secret.
fn talkative(bed: &Bed) -> String {
    bed.agent("  log: {level: trace}\n")
}

/// Replaces a file by renaming, as careful writers do.
fn put(path: &Path, content: impl AsRef<[u8]>) {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, content).unwrap();
    fs::rename(temporary, path).unwrap();
}

/// A token of that user, which ends in so many seconds.
fn token(user: &str, seconds: i64) -> String {
    let now_s = SystemClock.unix_ns().unsigned_abs() / 1_000_000_000;
    unsecured_token(user, now_s - 7200, now_s.saturating_add_signed(seconds))
}

fn read(cluster: &Cluster, topic: &str) -> Vec<Read> {
    cluster.consume(topic, 0, Isolation::Uncommitted).expect("the topic can be read")
}

/// The bodies of a topic's records, sorted.
fn bodies(cluster: &Cluster, topic: &str) -> Vec<String> {
    let values = read(cluster, topic).into_iter().filter_map(|it| it.value);
    let text: String = values.map(|it| String::from_utf8(it).unwrap()).collect();
    let body = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        record["body"].as_str().unwrap().to_owned()
    };
    let mut bodies: Vec<String> = text.lines().map(body).collect();
    bodies.sort();
    bodies
}

/// Waits until the topic has these bodies, and no others.
fn wait_for_bodies(cluster: &Cluster, topic: &str, want: &[&str]) {
    let mut want: Vec<&str> = want.to_vec();
    want.sort_unstable();
    let found = wait_for(topic, || {
        let found = bodies(cluster, topic);
        if found.len() >= want.len() { Ok(found) } else { Err(format!("{found:?}")) }
    });
    assert_eq!(found, want);
}

/// Fails if a secret is anywhere where the agent writes, answers, or can be looked at.
#[track_caller]
fn assert_nowhere(bed: &Bed, agent: &Agent, secrets: &[&str]) {
    let process = |what: &str| fs::read(format!("/proc/{}/{what}", agent.pid())).unwrap();
    let web = |path: &str| get(bed.listen, path).unwrap().1.into_bytes();
    let config = bed.config();
    let check = Run::of(&["check", "--file", &config.to_string_lossy()]);
    assert_eq!(check.code, Some(0), "{check:?}");
    let mut places = vec![
        ("log".to_owned(), agent.stderr().into_bytes()),
        ("stdout".to_owned(), fs::read(bed.path("stdout")).unwrap()),
        ("cmdline".to_owned(), process("cmdline")),
        ("environ".to_owned(), process("environ")),
        ("metrics".to_owned(), web("/metrics")),
        ("ready".to_owned(), web("/ready")),
        ("sources".to_owned(), web("/debug/sources")),
        ("check".to_owned(), (check.stdout + &check.stderr).into_bytes()),
    ];
    for folder in ["state", "state/kafka"] {
        let entries = fs::read_dir(bed.path(folder)).into_iter().flatten().flatten();
        for path in entries.map(|it| it.path()).filter(|it| it.is_file()) {
            places.push((path.display().to_string(), fs::read(&path).unwrap_or_default()));
        }
    }
    assert!(agent.has_said("collecting"), "its log is where it is looked for");
    for (place, content) in &places {
        for secret in secrets {
            let is_there = memchr::memmem::find(content, secret.as_bytes()).is_some();
            assert!(!is_there, "a secret is in {place}");
        }
    }
}
