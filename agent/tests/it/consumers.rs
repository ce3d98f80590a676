//! Consumers that are not ours, on a topic that the agent wrote: what they decode is what was written.

use std::process::Command;
use std::sync::LazyLock;

use kafka_kit::{Cluster, Isolation, Listener, Read};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message;

use crate::kit::{Agent, Bed, Run, append, containers, resource, sleep_ms, wait_for};

const PARTITIONS: i32 = 2;
/// Second since 1970 of the first line: 2026-01-02T03:04:00Z.
const FIRST_SECOND: u64 = 1_767_323_040;
const LINES: u64 = 50;
const FOLDERS: [&str; 2] = ["shop_web-0_u1/app", "shop_web-1_u2/sidecar"];

/// A broker that all these tests leave running; each has topics of its own.
static CLUSTER: LazyLock<Cluster> =
    LazyLock::new(|| Cluster::builder().start().expect("Kafka starts"));

fn body_text(number: u64) -> String {
    format!("line {number} \"quoted\", ümlaut\tand tab")
}

fn line(number: u64) -> String {
    format!("2026-01-02T03:04:{number:02}Z stdout F {}\n", body_text(number))
}

/// Has the real agent write the lines of two containers into a new topic.
fn deliver(topic: &str, encoding: &str, codec: &str) {
    CLUSTER.create_topic(topic, PARTITIONS, 1, &[]).unwrap();
    let bed = Bed::new();
    let brokers = CLUSTER.addresses(Listener::Plain);
    let spec = format!(
        "  kafka:\n    brokers: ['{brokers}']\n    topic: {topic}\n  encoding: {encoding}\n  \
         compression: {{codec: {codec}}}\n"
    );
    let sink = resource("LogSink", "default", &spec);
    let tenant = containers("pods", "", "  tenant: shop\n");
    bed.configure(&[&bed.agent(""), &sink, &tenant]);
    for folder in FOLDERS {
        let folder = bed.path("pods").join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let lines: String = (0..LINES).map(line).collect();
        append(&folder.join("0.log"), lines.as_bytes());
    }
    let mut agent = Agent::start(&bed);
    wait_for("everything delivered", || {
        agent.assert_running();
        let delivered = agent.metric("logferry_delivered_records_total");
        sleep_ms(50);
        if delivered == (2 * LINES) as f64 { Ok(()) } else { Err(format!("{delivered} records")) }
    });
    agent.stop();
}

/// All messages, as Java's console consumer reads them.
fn by_java(topic: &str) -> Vec<Read> {
    let all = (0..PARTITIONS).map(|it| CLUSTER.consume(topic, it, Isolation::Committed));
    all.flat_map(|it| it.expect("the topic can be read")).collect()
}

fn header(message: &Read, name: &str) -> String {
    let found = message.headers.iter().find(|it| it.0 == name);
    let found = found.unwrap_or_else(|| panic!("{name} in {message:?}"));
    String::from_utf8(found.1.clone()).unwrap()
}

fn text(value: &AnyValue) -> &str {
    match &value.value {
        Some(Value::StringValue(text)) => text,
        other => panic!("{other:?} is no text"),
    }
}

fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> &'a AnyValue {
    let found = attributes.iter().find(|it| it.key == key);
    found.and_then(|it| it.value.as_ref()).unwrap_or_else(|| panic!("{key} in {attributes:?}"))
}

fn number(value: &AnyValue) -> i64 {
    match value.value {
        Some(Value::IntValue(number)) => number,
        ref other => panic!("{other:?} is no number"),
    }
}

#[test]
fn opentelemetrys_own_decoder_reads_what_was_written() {
    deliver("consumers-otlp", "otlp_proto", "zstd");
    let mut pods = Vec::new();
    for pod in ["web-0", "web-1"] {
        // A pod's cursors go on from message to message.
        let (mut next, mut cursor) = (0, 0);
        for message in by_java("consumers-otlp") {
            if header(&message, "k8s.pod.name") != pod || header(&message, "log.records") == "0" {
                continue;
            }
            assert_eq!(header(&message, "content-type"), "application/x-protobuf");
            let request =
                ExportLogsServiceRequest::decode(&*message.value.clone().unwrap()).unwrap();
            assert_eq!(request.resource_logs.len(), 1);
            let logs = &request.resource_logs[0];
            let resource = &logs.resource.as_ref().unwrap().attributes;
            assert_eq!(text(attribute(resource, "k8s.namespace.name")), "shop");
            assert_eq!(text(attribute(resource, "k8s.pod.name")), pod);
            let id = header(&message, "log.context.id");
            assert_eq!(text(attribute(resource, "log.context.id")), id);
            assert_eq!(message.key.as_deref(), Some(id.as_bytes()));
            let epoch = number(attribute(resource, "log.epoch"));
            assert_eq!(epoch.to_string(), header(&message, "log.epoch"));
            assert_eq!(cursor.to_string(), header(&message, "log.cursor.begin"));
            for scope in &logs.scope_logs {
                let stream = &scope.scope.as_ref().unwrap().attributes;
                assert_eq!(text(attribute(stream, "log.iostream")), "stdout");
                for record in &scope.log_records {
                    assert_eq!(text(record.body.as_ref().unwrap()), body_text(next));
                    assert_eq!(record.time_unix_nano, (FIRST_SECOND + next) * 1_000_000_000);
                    let at = number(attribute(&record.attributes, "log.cursor"));
                    assert_eq!(at.cast_unsigned(), cursor, "cursors count the source's bytes");
                    cursor += line(next).len() as u64;
                    next += 1;
                }
            }
            assert_eq!(cursor.to_string(), header(&message, "log.cursor.end"));
        }
        pods.push(next);
    }
    assert_eq!(pods, [LINES, LINES]);
}

#[test]
fn kcat_reads_json_lines_and_headers() {
    deliver("consumers-kcat", "json_lines", "zstd");
    let brokers = CLUSTER.addresses(Listener::Plain);
    // Key, length of the value, headers, value.
    let arguments = ["-C", "-e", "-q", "-b", &brokers, "-t", "consumers-kcat"];
    let format = ["-f", "%k\t%S\t%h\n%s"];
    let run = Run::by(Command::new("kcat"), &[&arguments[..], &format].concat());
    assert_eq!(run.code, Some(0), "{run:?}");
    let mut records = 0;
    let mut rest = run.stdout.as_str();
    while let Some((head, after)) = rest.split_once('\n') {
        let [key, bytes, headers] = head.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{head}");
        };
        let (value, after) = after.split_at(bytes.parse().unwrap());
        assert!(headers.contains(&format!("log.context.id={key}")), "{headers}");
        assert!(headers.starts_with("log.schema=1,"), "{headers}");
        assert!(headers.contains(",log.tenant=shop,"), "{headers}");
        assert!(headers.contains("content-type=application/x-ndjson"), "{headers}");
        let lines = value.lines().count();
        assert!(headers.contains(&format!("log.records={lines}")), "{headers}");
        for line in value.lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let time = record["time"].as_str().unwrap();
            let second: u64 = time[17..19].parse().unwrap();
            assert_eq!(record["body"], body_text(second), "{line}");
            assert_eq!(record["log.context.id"], key);
            records += 1;
        }
        rest = after;
    }
    assert_eq!(records, 2 * LINES);
}

#[test]
fn javas_consumer_reads_every_compression() {
    for codec in ["zstd", "gzip", "lz4", "snappy", "none"] {
        let topic = format!("consumers-{codec}");
        deliver(&topic, "json_lines", codec);
        let mut lines = 0;
        for message in by_java(&topic) {
            let value = String::from_utf8(message.value.unwrap_or_default()).unwrap();
            for line in value.lines() {
                let record: serde_json::Value = serde_json::from_str(line).unwrap();
                let time = record["time"].as_str().unwrap();
                assert_eq!(record["body"], body_text(time[17..19].parse().unwrap()), "{codec}");
                lines += 1;
            }
        }
        assert_eq!(lines, 2 * LINES, "{codec}");
        let batches = (0..PARTITIONS).filter(|it| CLUSTER.end_offsets(&topic).unwrap()[it] > 0);
        let batches = batches.flat_map(|it| CLUSTER.dump(1, &topic, it).unwrap());
        let codecs: Vec<String> = batches.map(|it| it.codec.to_lowercase()).collect();
        assert!(codecs.iter().any(|it| it == codec), "{codec}: {codecs:?}");
    }
}
