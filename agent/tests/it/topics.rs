//! `tail`, `context` and `audit` of topics of the real Kafka.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::Command;
use std::sync::LazyLock;

use flow::Codec;
use kafka_kit::{Cluster, Isolation, Listener, Read};
use serde_json::Value;

use crate::kafka;
use crate::kit::{
    Agent, Bed, Following, LOGFERRY, Run, append, body, containers, resource, sleep_ms, wait_for,
};

const PARTITIONS: i32 = 3;

/// A broker that all these tests leave running; each has topics of its own.
static CLUSTER: LazyLock<Cluster> =
    LazyLock::new(|| Cluster::builder().start().expect("Kafka starts"));

/// A bed of pods, their topic, and the agent between them.
struct Pods {
    // Before the bed: it runs in it.
    agent: Agent,
    bed: Bed,
    topic: String,
}

impl Pods {
    /// Three containers, the third with a rotated generation, delivered into a new topic.
    fn deliver(topic: &str, encoding: &str) -> Pods {
        CLUSTER.create_topic(topic, PARTITIONS, 1, &[]).unwrap();
        let bed = Bed::new();
        let brokers = brokers();
        let spec = format!(
            "  kafka:\n    brokers: ['{brokers}']\n    topic: {topic}\n  encoding: {encoding}\n"
        );
        let sink = resource("LogSink", "default", &spec);
        bed.configure(&[&bed.agent(""), &sink, &containers("pods", "", "")]);
        for (container, name, numbers) in [
            ("shop_web-0_u1/app", "0.log", 0..10),
            ("shop_web-1_u2/sidecar", "0.log", 10..20),
            ("bank_db-0_u3/app", "0.log.20260101-000000", 20..25),
            ("bank_db-0_u3/app", "0.log", 25..30),
        ] {
            let folder = bed.path("pods").join(container);
            fs::create_dir_all(&folder).unwrap();
            for number in numbers {
                append(&folder.join(name), line(number).as_bytes());
            }
        }
        let agent = Agent::start(&bed);
        let pods = Pods { agent, bed, topic: topic.to_owned() };
        pods.wait_for_records(30);
        pods
    }

    fn run(&self, command: &str, arguments: &[&str]) -> Run {
        let (brokers, topic) = (brokers(), self.topic.as_str());
        Run::of(&[&[command, "--kafka", &brokers, "--topic", topic][..], arguments].concat())
    }

    fn tail(&self, arguments: &[&str]) -> Vec<Value> {
        let run = self.run("tail", &[arguments, &["--output", "json"]].concat());
        assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{arguments:?}");
        run.json_lines()
    }

    fn wait_for_records(&self, count: usize) -> Vec<Value> {
        wait_for("records in the topic", || {
            let records = self.tail(&["--all"]);
            if records.len() == count { Ok(records) } else { Err(format!("{}", records.len())) }
        })
    }

    /// Appends to the log of a container.
    fn append(&self, container: &str, number: u32) {
        let folder = self.bed.path("pods").join(container);
        fs::create_dir_all(&folder).unwrap();
        append(&folder.join("0.log"), line(number).as_bytes());
    }

    /// `context` of a line of which nothing but its number is known.
    fn around(&self, number: u32, arguments: &[&str]) -> Run {
        let records = self.tail(&["--all"]);
        let record = records.iter().find(|it| it["body"] == format!("line {number}")).unwrap();
        let (id, cursor) = (record["log.context.id"].as_str().unwrap(), &record["log.cursor"]);
        self.run(
            "context",
            &[&["--context", id, "--cursor", &cursor.to_string()], arguments].concat(),
        )
    }

    fn audit(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let run = self.run("audit", &[arguments, &["--output", "json"]].concat());
        (run.code, run.json())
    }

    /// All messages, as Kafka's consumer reads them.
    fn messages(&self) -> Vec<Read> {
        let all = (0..PARTITIONS).map(|it| CLUSTER.consume(&self.topic, it, Isolation::Committed));
        all.flat_map(|it| it.expect("the topic can be read")).collect()
    }
}

fn brokers() -> String {
    CLUSTER.addresses(Listener::Plain)
}

fn line(number: u32) -> String {
    format!("2026-01-02T03:04:{:02}Z stdout F line {number}\n", number % 60)
}

fn numbers(records: &[Value]) -> Vec<u32> {
    let number = |it: &Value| body(it).strip_prefix("line ").unwrap().parse().unwrap();
    let mut numbers: Vec<u32> = records.iter().map(number).collect();
    numbers.sort_unstable();
    numbers
}

/// A message like another one, but for some headers.
fn altered(message: &Read, headers: &[(&str, &str)]) -> Read {
    let mut altered = message.clone();
    for (name, value) in headers {
        altered.headers.retain(|it| it.0 != *name);
        altered.headers.push(((*name).to_owned(), value.as_bytes().to_vec()));
    }
    altered
}

fn header<'a>(message: &'a Read, name: &str) -> &'a str {
    let found = message.headers.iter().find(|it| it.0 == name);
    std::str::from_utf8(&found.unwrap_or_else(|| panic!("{name} in {message:?}")).1).unwrap()
}

#[test]
fn a_topic_whose_broker_has_just_come_back_is_read_once_it_has_its_leader() {
    let cluster = Cluster::builder().set("broker.session.timeout.ms", "5000").start().unwrap();
    // Many partitions, so that a start takes a moment to lead them all.
    let topics: Vec<String> = (0..40).map(|number| format!("topic-{number}")).collect();
    topics.iter().for_each(|topic| cluster.create_topic(topic, 1, 1, &[]).unwrap());
    let broker = cluster.broker(1);
    broker.kill().unwrap();
    broker.start().unwrap();
    for topic in &topics[..3] {
        let audit = kafka::audit(&cluster, topic);
        assert_eq!(audit.code, Some(0), "{}", audit.stderr);
    }
}

/// Now and then no partition has a leader, and metadata says so or names none at all.
#[test]
fn a_topic_is_read_while_its_broker_is_fenced_again_and_again() {
    let cluster = Cluster::builder().start().unwrap();
    cluster.create_topic("topic", 4, 1, &[]).unwrap();
    let broker = cluster.broker(1);
    broker.stop().unwrap();
    broker.set("broker.session.timeout.ms", "500");
    broker.set("broker.heartbeat.interval.ms", "1500");
    broker.start().unwrap();
    for _ in 0..20 {
        let audit = kafka::audit(&cluster, "topic");
        // Where metadata names no broker at all, the client asks nobody any more (docs/PROOF.md, "What is not proven").
        let knows_none = audit.stderr.contains("BrokerTransportFailure");
        assert!(audit.code == Some(0) || knows_none, "{}", audit.stderr);
    }
}

#[test]
fn tail_of_a_topic_shows_what_its_filters_take() {
    for encoding in ["otlp_proto", "json_lines"] {
        let pods = Pods::deliver(&format!("tail-{encoding}"), encoding);
        let path = pods.bed.path("pods/bank_db-0_u3/app/0.log");
        let records = pods.tail(&["--all"]);
        let record = records.iter().find(|it| it["body"] == "line 25").unwrap();
        let context = record["log.context.id"].as_str().unwrap();
        // What no header has, too.
        assert_eq!((&record["k8s.pod.uid"], &record["tenant"]), (&"u3".into(), &"bank".into()));
        for (filter, want) in [
            (&["--namespace", "shop"][..], (0..20).collect::<Vec<u32>>()),
            (&["--pod", "web-1"], (10..20).collect()),
            (&["--container", "app"], (0..10).chain(20..30).collect()),
            (&["--namespace", "shop", "--container", "app"], (0..10).collect()),
            (&["--tenant", "bank"], (20..30).collect()),
            (&["--path", path.to_str().unwrap()], (20..30).collect()),
            (&["--context", context], (20..30).collect()),
            (&["--grep", "line 1"], [1].into_iter().chain(10..20).collect()),
            (&["--grep", "line 1", "--namespace", "bank"], vec![]),
            (&["--namespace", "nobody"], vec![]),
            (&["--since", "10m"], (0..30).collect()),
            (&["--since", "2200-01-02T03:04:05Z"], vec![]),
        ] {
            let found = pods.tail(&[filter, &["--all"]].concat());
            assert_eq!(numbers(&found), want, "{filter:?}");
            let found = pods.tail(&[filter, &["-n", "40"]].concat());
            assert_eq!(numbers(&found), want, "{filter:?}");
        }
        assert_eq!(numbers(&pods.tail(&["-n", "3", "--namespace", "bank"])), [27, 28, 29]);
        assert_eq!(pods.tail(&[]).len(), 10, "ten by default");
        let run = pods.run("tail", &["--grep", "line 29"]);
        assert_eq!(run.stdout, "2026-01-02T03:04:29Z bank/db-0/app/0 stdout line 29\n");
        pods.agent.stop();
    }
}

#[test]
fn a_followed_topic_is_shown_as_it_grows_and_ctrl_c_ends_it() {
    let pods = Pods::deliver("follow", "otlp_proto");
    let place = ["--kafka", &brokers(), "--topic", "follow"];
    let following = Following::start(&pods.bed, place);
    assert_eq!(following.wait(2).len(), 2);
    pods.append("shop_web-0_u1/app", 100);
    assert_eq!(numbers(&following.wait(3)[2..]), [100]);
    // New contexts go to new partitions, too.
    CLUSTER.grow_topic("follow", 12).unwrap();
    // An agent that runs hears of it within minutes; one that starts, at once.
    pods.agent.stop();
    let pods = Pods { agent: Agent::start(&pods.bed), ..pods };
    for number in 101..121 {
        pods.append(&format!("new_web-{number}_u{number}/app"), number);
    }
    assert_eq!(numbers(&following.wait(23)[3..]), (101..121).collect::<Vec<u32>>());
    let is_new = |it: &i32| CLUSTER.end_offsets("follow").unwrap()[it] > 0;
    assert!((PARTITIONS..12).any(|it| is_new(&it)), "nothing went to a new partition");
    following.interrupt();
    pods.agent.stop();
}

#[test]
fn context_shows_the_records_of_a_topic_around_one_across_a_rotation() {
    let pods = Pods::deliver("context", "otlp_proto");
    for number in 30..36 {
        pods.append("bank_db-0_u3/app", number);
        pods.wait_for_records(number as usize + 1);
    }
    for (number, count, want) in [
        (25, "3", 22..29),
        (24, "2", 22..27),
        (20, "3", 20..24),
        (31, "2", 29..34),
        (3, "100", 0..10),
        (15, "0", 15..16),
        (35, "3", 32..36),
        (31, "6", 25..36),
    ] {
        for more in [&[][..], &["--time", "10m"]] {
            let run = pods.around(number, &[&["-n", count, "--output", "json"], more].concat());
            assert_eq!(run.code, Some(0), "{run:?}");
            let want = want.clone().collect::<Vec<u32>>();
            assert_eq!(numbers(&run.json_lines()), want, "{number} {count} {more:?}");
            assert!(run.stderr.contains(" messages of the topic were read"), "{run:?}");
        }
    }
    let run = pods.around(25, &["-n", "1"]);
    let marks: Vec<&str> = run.stdout.lines().map(|line| &line[..2]).collect();
    assert_eq!(marks, ["  ", "> ", "  "], "{run:?}");
    let nobody = "0".repeat(32);
    let run = pods.run("context", &["--context", &nobody, "--cursor", "0"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("nothing of this context was found"), "{run:?}");
    let run = pods.around(25, &["--messages-max", "1"]);
    assert!(run.stderr.contains("no more than 1 are (--messages-max)"), "{run:?}");
    pods.agent.stop();
}

#[test]
fn audit_of_a_topic_tells_holes_doubles_and_damage_from_what_others_wrote() {
    let pods = Pods::deliver("audit", "otlp_proto");
    pods.append("shop_web-0_u1/app", 30);
    pods.wait_for_records(31);
    let (code, report) = pods.audit(&[]);
    assert_eq!((code, &report["clean"]), (Some(0), &true.into()), "{report:#}");
    // Somebody else's messages are none of ours.
    CLUSTER.produce("audit", &[("key", "value"), ("", "")]).unwrap();
    let (code, report) = pods.audit(&[]);
    assert_eq!((code, &report["foreign_messages"]), (Some(0), &2.into()), "{report:#}");
    let messages = pods.messages();
    let ours = messages.iter().filter(|it| !it.headers.is_empty());
    let last = ours.max_by_key(|it| header(it, "log.cursor.end").parse::<u64>().unwrap()).unwrap();
    let (begin, end): (u64, u64) = (
        header(last, "log.cursor.begin").parse().unwrap(),
        header(last, "log.cursor.end").parse().unwrap(),
    );
    let shop = |report: &Value, field: &str| {
        let tenants = report["tenants"].as_object().unwrap().values();
        tenants.map(|it| it["totals"][field].as_u64().unwrap()).sum::<u64>()
    };
    // A span that comes twice.
    CLUSTER.send("audit", std::slice::from_ref(last)).unwrap();
    let (code, report) = pods.audit(&[]);
    assert_eq!((code, shop(&report, "doubled")), (Some(1), end - begin), "{report:#}");
    // A hole, and then a declared gap, in an epoch of their own.
    let epoch = &["log.epoch", "7"];
    let at = |begin: &str, end: &str| {
        altered(
            last,
            &[
                (epoch[0], epoch[1]),
                ("log.cursor.begin", begin),
                ("log.cursor.end", end),
                ("log.marks", if begin == "0" { "first" } else { "" }),
                ("log.records", "0"),
            ],
        )
    };
    let nothing = |it: Read| Read { value: Some(Vec::new()), ..it };
    let gap = altered(&at("25", "40"), &[("log.gap.reason", "truncated")]);
    CLUSTER.send("audit", &[nothing(at("0", "10")), nothing(at("20", "25")), gap]).unwrap();
    let (code, report) = pods.audit(&[]);
    assert_eq!((code, shop(&report, "lost")), (Some(1), 10), "{report:#}");
    assert!(report.to_string().contains("\"truncated\":{\"bytes\":15,\"count\":1}"), "{report:#}");
    // Ours, and damaged: neither is taken for somebody else's.
    let newer = altered(last, &[("log.schema", "2")]);
    CLUSTER.send("audit", &[newer]).unwrap();
    let (_, report) = pods.audit(&[]);
    assert_eq!(
        (&report["foreign_messages"], &report["damaged_messages"]),
        (&2.into(), &1.into()),
        "{report:#}"
    );
    let run = Run::of(&["audit", "--kafka", &brokers(), "--topic", "no-such-topic"]);
    assert_eq!(run.code, Some(3), "a topic that is not there is not clean: {run:?}");
    pods.agent.stop();
}

#[test]
fn payloads_that_the_agent_compressed_are_read_by_all_three() {
    let pods = Pods::deliver("codec", "json_lines");
    pods.agent.stop();
    for (codec, name) in [(Codec::Zstd, "zstd"), (Codec::Lz4, "lz4")] {
        let topic = format!("codec-{name}");
        CLUSTER.create_topic(&topic, PARTITIONS, 1, &[]).unwrap();
        let plain = {
            let all = (0..PARTITIONS).map(|it| CLUSTER.consume("codec", it, Isolation::Committed));
            all.flat_map(Result::unwrap).collect::<Vec<Read>>()
        };
        let compressed = plain.iter().map(|it| {
            let mut value = Vec::new();
            let raw = it.value.clone().unwrap_or_default();
            sink::compress::make(codec, 1).compress(&raw, &mut value).unwrap();
            altered(&Read { value: Some(value), ..it.clone() }, &[("content-encoding", name)])
        });
        let compressed: Vec<Read> = compressed.collect();
        CLUSTER.send(&topic, &compressed).unwrap();
        let on = |command: &str, arguments: &[&str]| {
            let (brokers, topic) = (brokers(), topic.as_str());
            Run::of(&[&[command, "--kafka", &brokers, "--topic", topic][..], arguments].concat())
        };
        let run = on("audit", &["--output", "json"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        let run = on("tail", &["--all", "--output", "json"]);
        let records = run.json_lines();
        assert_eq!(numbers(&records), (0..30).collect::<Vec<u32>>());
        let record = records.iter().find(|it| it["body"] == "line 15").unwrap();
        let (id, cursor) = (record["log.context.id"].as_str().unwrap(), &record["log.cursor"]);
        let cursor = cursor.to_string();
        let context = ["--context", id, "--cursor", &cursor, "-n", "1", "--output", "json"];
        assert_eq!(numbers(&on("context", &context).json_lines()), [14, 15, 16]);
        // A value that is cut off is a fault, and others are read.
        let mut broken = compressed[0].clone();
        broken.value.as_mut().unwrap().truncate(9);
        CLUSTER.send(&topic, &[broken]).unwrap();
        let run = on("audit", &["--output", "json"]);
        assert!(
            run.stdout.contains("is not a compressed")
                || run.stdout.contains("are not a compressed"),
            "{run:?}"
        );
        assert_eq!(on("tail", &["--all", "--output", "json"]).json_lines().len(), 30);
    }
}

#[test]
fn audit_of_a_topic_takes_memory_by_its_contexts_and_not_by_its_messages() {
    const CONTEXTS: u64 = 20;
    let pods = Pods::deliver("memory", "json_lines");
    pods.agent.stop();
    let like = {
        let all = (0..PARTITIONS).map(|it| CLUSTER.consume("memory", it, Isolation::Committed));
        all.flat_map(Result::unwrap).next().expect("a message")
    };
    let mut peaks = BTreeMap::new();
    for messages in [60_000_u64, 240_000] {
        let topic = format!("memory-{messages}");
        CLUSTER.create_topic(&topic, PARTITIONS, 1, &[]).unwrap();
        let all = (0..messages).map(|number| {
            let (context, number) = (number % CONTEXTS, number / CONTEXTS);
            let id = format!("{context:032x}");
            let (begin, end) = ((number * 10).to_string(), (number * 10 + 10).to_string());
            let mut it = altered(
                &like,
                &[
                    ("log.context.id", &id),
                    ("log.cursor.begin", &begin),
                    ("log.cursor.end", &end),
                    ("log.records", "1"),
                    ("log.marks", if number == 0 { "first" } else { "" }),
                ],
            );
            it.key = Some(id.into_bytes());
            it.value = Some(
                format!("{{\"body\":\"{number:0200}\",\"log.cursor\":{begin}}}\n").into_bytes(),
            );
            it
        });
        let all: Vec<Read> = all.collect();
        for part in all.chunks(20_000) {
            CLUSTER.send(&topic, part).unwrap();
        }
        let out = pods.bed.path("audited");
        let mut child = Command::new(LOGFERRY)
            .args(["audit", "--output", "json", "--kafka", &brokers(), "--topic", &topic])
            .stdout(File::create(&out).unwrap())
            .spawn()
            .unwrap();
        let mut peak_kib = 0;
        while child.try_wait().unwrap().is_none() {
            // None once it has ended.
            peak_kib = peak_kib_of(child.id()).unwrap_or(peak_kib);
            sleep_ms(5);
        }
        let report: Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
        assert_eq!(report["clean"], true, "{report:#}");
        let tenants = report["tenants"].as_object().unwrap();
        let sections = tenants.values().map(|it| it["totals"]["sections"].as_u64().unwrap());
        assert_eq!(sections.sum::<u64>(), messages);
        println!("{messages} messages of {CONTEXTS} contexts: at most {peak_kib} KiB");
        peaks.insert(messages, peak_kib);
    }
    // That is 70 bytes for each further message, of which values and headers alone are 600.
    assert!(peaks[&240_000] < peaks[&60_000] + (12 << 10), "{peaks:?}");
}

fn peak_kib_of(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
