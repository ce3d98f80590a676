//! The agent and the real Apache Kafka: what its own consumer finds in the topic is what was written.

use benches::layout::Layout;
use benches::load::LoadSpec;
use benches::random::Random;
use benches::truth::StreamTruth;
use benches::wrap::Format;
use kafka_kit::{AclOperation, Cluster, Isolation, Listener, Mechanism, Read, User};

use crate::kit::{
    Agent, Bed, Run, Writer, append, assert_exact, containers, files, judge, load, now_ns,
    resource, rotation, sleep_ms, wait_for,
};

const PARTITIONS: i32 = 3;

fn sink(cluster: &Cluster, listener: Listener, fields: &str) -> String {
    let brokers = cluster.addresses(listener);
    let spec = format!(
        "  kafka:\n    brokers: ['{brokers}']\n    topic: 'logs-${{tenant}}'\n{fields}  encoding: json_lines\n"
    );
    resource("LogSink", "default", &spec)
}

/// All messages of a topic, partition by partition, in their order.
fn messages(cluster: &Cluster, topic: &str) -> Vec<Read> {
    let all = (0..PARTITIONS).map(|it| cluster.consume(topic, it, Isolation::Uncommitted));
    all.flat_map(|it| it.expect("the topic can be read")).collect()
}

fn values(messages: &[Read]) -> Vec<u8> {
    messages.iter().filter_map(|it| it.value.clone()).flatten().collect()
}

fn header<'a>(message: &'a Read, name: &str) -> &'a str {
    let found = message.headers.iter().find(|(key, _)| key == name);
    std::str::from_utf8(&found.unwrap_or_else(|| panic!("{name} in {message:?}")).1).unwrap()
}

/// The spans of each context follow each other, in the order of the topic, from 0 on; and so do its
/// epochs.
fn assert_tiled(messages: &[Read]) {
    let mut ends = std::collections::HashMap::new();
    for message in messages {
        let context = header(message, "log.context.id").to_owned();
        assert_eq!(message.key.as_deref(), Some(context.as_bytes()));
        let cursor = |name| header(message, name).parse::<u64>().unwrap();
        let (begin, end) = (cursor("log.cursor.begin"), cursor("log.cursor.end"));
        let before = ends.insert(context, end).unwrap_or(0);
        assert_eq!(begin, before, "{message:?}");
    }
}

fn wait_for_delivery(agent: &mut Agent) {
    wait_for("everything delivered", || {
        agent.assert_running();
        let left = agent.metric("logferry_in_flight_bytes") + agent.metric("logferry_lag_bytes");
        sleep_ms(50);
        if left == 0.0 { Ok(()) } else { Err(format!("{left} bytes")) }
    });
    // What is written now is heard of within a scan.
    sleep_ms(1500);
}

fn assert_arrived(cluster: &Cluster, topic: &str, truth: &[StreamTruth]) {
    let messages = messages(cluster, topic);
    assert_tiled(&messages);
    assert_exact(&judge(truth.to_vec(), &values(&messages)));
}

/// Containers' logs that rotate every second or so.
fn rotating(bed: &Bed) -> LoadSpec {
    LoadSpec {
        format: Format::Cri,
        layout: Layout::Pods,
        rotation: rotation(128 << 10),
        ..load(&bed.path("pods"), 4)
    }
}

#[test]
fn d_kill_nine_of_agent_and_broker_leaves_neither_hole_nor_double_in_the_topic() {
    const KILLS: u32 = 12;
    let seed = now_ns();
    println!("kill -9 with Kafka: seed {seed}");
    let mut random = Random::new(seed);
    let cluster = Cluster::builder().start().expect("Kafka starts");
    cluster.create_topic("logs-shop", PARTITIONS, 1, &[]).unwrap();
    let bed = Bed::new();
    let tenant = containers("pods", "", "  tenant: shop\n");
    bed.configure(&[&bed.agent(""), &sink(&cluster, Listener::Plain, ""), &tenant]);
    let writer = Writer::start(&rotating(&bed));
    for number in 0..KILLS {
        let agent = Agent::spawn(&bed);
        sleep_ms(u64::from(300 + random.below(1500)));
        if number % 4 == 3 {
            cluster.broker(1).kill().unwrap();
        }
        sleep_ms(u64::from(random.below(300)));
        agent.kill();
        if number % 4 == 3 {
            cluster.broker(1).start().unwrap();
        }
    }
    let mut agent = Agent::start(&bed);
    let truth = writer.stop();
    wait_for_delivery(&mut agent);
    wait_for_delivery(&mut agent);
    agent.stop();
    assert_arrived(&cluster, "logs-shop", &truth);
    let brokers = cluster.addresses(Listener::Plain);
    let audit =
        Run::of(&["audit", "--kafka", &brokers, "--topic", "logs-shop", "--output", "json"]);
    let report = audit.json();
    assert_eq!((audit.code, &report["clean"]), (Some(0), &true.into()), "{report:#}");
}

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
fn d1_brokers_that_are_away_at_the_start_are_waited_for() {
    let cluster = Cluster::builder().start().expect("Kafka starts");
    cluster.create_topic("logs-default", PARTITIONS, 1, &[]).unwrap();
    let bed = Bed::new();
    bed.configure(&[
        &bed.agent(""),
        &sink(&cluster, Listener::Plain, ""),
        &files("files", "*.log", ""),
    ]);
    append(&bed.log("a.log"), b"one\n");
    let mut agent = Agent::start(&bed);
    wait_for_delivery(&mut agent);
    agent.kill();
    append(&bed.log("a.log"), b"two\n");
    cluster.broker(1).kill().unwrap();
    let agent = Agent::spawn(&bed);
    agent.wait_said("trying again");
    cluster.broker(1).start().unwrap();
    let mut agent = agent;
    agent.wait_ready();
    wait_for_delivery(&mut agent);
    agent.stop();
    let messages = messages(&cluster, "logs-default");
    assert_tiled(&messages);
    assert_eq!(String::from_utf8(values(&messages)).unwrap().lines().count(), 2);
}
