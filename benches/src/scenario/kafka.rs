//! Kafka: what the way to a real broker costs, against bare compression and the client library alone.
//!
//! Agents, floors and the library take turns within each run, on the same lines. The broker has the same
//! machine: speeds are those of both together, CPU is the agent's own.

mod catch_up;
mod outage;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

use anyhow::ensure;
use rdkafka::message::{Message, OwnedMessage};
use sink::kafka::Compression;

use super::{MIB, Settings, Space, load, seconds};
use crate::agent_config::{InputConfig, KafkaOutput, OutputConfig};
use crate::clocks::monotonic_ns;
use crate::floors::{Pass, compress_pieces, mb_per_second};
use crate::kafka::{Kafka, PARTITIONS, Produced, produce};
use crate::layout::Layout;
use crate::load::{Limits, Load, Totals};
use crate::process::cpu_ns;
use crate::report::{Goal, Section, Side, Table};
use crate::wrap::Format;

pub(super) use catch_up::run as catch_up;
pub(super) use outage::run as outage;

/// Input that an agent has delivered before time is taken: connections, topic and buffers are there then.
const WARM_UP_BYTES: u64 = 32 << 20;
/// Stream and seed of that input differ from those of the other, and so does its pod.
const WARM_UP_STREAM: u32 = 1;
/// Bytes of payloads in the larger pieces that are compressed: a record batch of librdkafka.
const BATCH_BYTES: usize = 1_000_000;
/// Level of zstd everywhere.
const LEVEL: i32 = 1;

/// Most CPU of the agent against that of bare compression, with record batches compressed by librdkafka.
const BATCHES_TIMES_MAX: f64 = 1.9;
/// The same with payloads compressed by the agent.
const PAYLOADS_TIMES_MAX: f64 = 1.45;
/// Least speed against that of the library alone.
const LIBRARY_SHARE_MIN: f64 = 0.8;
/// Least of `otlp_proto`'s MB a CPU second that `json_lines` reaches.
const JSON_SHARE_MIN: f64 = 0.5;

const COLUMNS: [(&str, usize); 19] = [
    ("bare CPU s", 2),
    ("bare, batches CPU s", 2),
    ("library CPU s", 2),
    ("library ×", 2),
    ("library MB/s", 0),
    ("agent CPU s", 2),
    (BATCHES, 2),
    ("agent MB/s", 0),
    (BATCHES_SHARE, 2),
    ("agent peak MiB", 1),
    ("broker CPU s", 2),
    ("payloads: library CPU s", 2),
    ("payloads: library MB/s", 0),
    ("payloads: agent CPU s", 2),
    (PAYLOADS, 2),
    ("payloads: agent MB/s", 0),
    (PAYLOADS_SHARE, 2),
    ("json CPU s", 2),
    (JSON, 2),
];
const BATCHES: &str = "agent ×";
const BATCHES_SHARE: &str = "agent / library";
const PAYLOADS: &str = "payloads: agent ×";
const PAYLOADS_SHARE: &str = "payloads: agent / library";
const JSON: &str = "json / otlp";

pub(super) fn run(settings: &Settings, space: &Space) -> anyhow::Result<Section> {
    let bed = Bed { settings, space, kafka: Kafka::start(&space.root)? };
    let takes_payloads = bed.takes_payload_compression()?;
    if !takes_payloads {
        eprintln!(
            "kafka-throughput: SKIPPED: payloads compressed by the agent: it refuses \
             payloadCompression"
        );
    }
    let mut table = Table { columns: COLUMNS.to_vec(), runs: Vec::new() };
    for run in 1..=settings.runs {
        let row = bed.row(takes_payloads)?;
        eprintln!("kafka-throughput: run {run} of {}: {row:.2?}", settings.runs);
        table.runs.push(row);
    }
    Ok(Section {
        name: "kafka-throughput".to_owned(),
        what: format!(
            "{} bytes of CRI lines in one file in the page cache, moved into the folder of an agent \
             that runs, to the broker's last acknowledgement; one broker on the same machine, {} \
             partitions. Bare: the payloads of the same lines, read back from the topic, by zstd {LEVEL} \
             message by message, and in batches of {BATCH_BYTES} bytes; CPU of that thread. Library: \
             the same messages, with keys and headers, by librdkafka at the agent's settings; CPU of \
             that process. × is CPU against bare message by message. Payloads: compressed by the agent, \
             record batches not.",
            settings.input_bytes, PARTITIONS
        ),
        config: bed.shown(&bed.output("bench-1", "otlp_proto", false)),
        goals: goals(&table),
        table,
    })
}

fn goals(table: &Table) -> Vec<Goal> {
    let library = "speed against the library alone";
    vec![
        table.goal("CPU against bare zstd 1", BATCHES, Side::AtMost, BATCHES_TIMES_MAX),
        table.goal(library, BATCHES_SHARE, Side::AtLeast, LIBRARY_SHARE_MIN),
        table.goal(
            "CPU against bare zstd 1, payloads compressed by the agent",
            PAYLOADS,
            Side::AtMost,
            PAYLOADS_TIMES_MAX,
        ),
        table.goal(
            &format!("{library}, payloads compressed by the agent"),
            PAYLOADS_SHARE,
            Side::AtLeast,
            LIBRARY_SHARE_MIN,
        ),
        table.goal(
            "MB per CPU second, json_lines against otlp_proto",
            JSON,
            Side::AtLeast,
            JSON_SHARE_MIN,
        ),
    ]
}

/// A broker, and an agent's folders.
struct Bed<'a> {
    settings: &'a Settings,
    space: &'a Space,
    kafka: Kafka,
}

/// What an agent took for the lines after the warm-up.
struct Taken {
    bytes: u64,
    elapsed_ns: u64,
    cpu_ns: u64,
    broker_cpu_ns: u64,
    peak_bytes: u64,
    messages: Vec<OwnedMessage>,
}

impl Taken {
    fn mb_per_second(&self) -> f64 {
        mb_per_second(self.bytes, self.elapsed_ns)
    }
}

impl Bed<'_> {
    fn row(&self, takes_payloads: bool) -> anyhow::Result<Vec<f64>> {
        let agent = self.agent("otlp_proto", false)?;
        let (bare, batches) = bare(&agent.messages)?;
        let library = self.library(&agent.messages, Compression::Zstd { level: LEVEL })?;
        let library_speed = mb_per_second(agent.bytes, library.elapsed_ns);
        let cpu = |ns: u64| seconds(ns);
        let times = |ns: u64| ns as f64 / bare.cpu_ns as f64;
        let mut row = vec![
            cpu(bare.cpu_ns),
            cpu(batches.cpu_ns),
            cpu(library.cpu_ns),
            times(library.cpu_ns),
            library_speed,
            cpu(agent.cpu_ns),
            times(agent.cpu_ns),
            agent.mb_per_second(),
            agent.mb_per_second() / library_speed,
            agent.peak_bytes as f64 / MIB,
            cpu(agent.broker_cpu_ns),
        ];
        if takes_payloads {
            let agent = self.agent("otlp_proto", true)?;
            let library = self.library(&agent.messages, Compression::None)?;
            let library_speed = mb_per_second(agent.bytes, library.elapsed_ns);
            row.extend([
                cpu(library.cpu_ns),
                library_speed,
                cpu(agent.cpu_ns),
                times(agent.cpu_ns),
                agent.mb_per_second(),
                agent.mb_per_second() / library_speed,
            ]);
        } else {
            row.extend([f64::NAN; 6]);
        }
        let json = self.agent("json_lines", false)?;
        row.extend([cpu(json.cpu_ns), agent.cpu_ns as f64 / json.cpu_ns as f64]);
        Ok(row)
    }

    /// Has an agent deliver the lines to a new topic.
    fn agent(&self, encoding: &'static str, payload_compression: bool) -> anyhow::Result<Taken> {
        self.space.clear_input()?;
        let stage = self.space.root.join("stage");
        let written = self.write(&stage, 0, self.settings.input_bytes)?;
        let before = self.write(&self.space.input(), WARM_UP_STREAM, WARM_UP_BYTES)?;
        let topic = self.kafka.new_topic()?;
        let output = OutputConfig::Kafka(self.output(&topic, encoding, payload_compression));
        let mut agent = self.space.bench(self.settings).start_into(&self.input(), output)?;
        agent.wait_caught_up(before.bytes)?;
        let ends = self.kafka.ends(&topic)?;
        let start = (monotonic_ns(), cpu_ns(agent.pid())?, self.kafka.cpu_ns()?);
        move_into(&stage, &self.space.input())?;
        agent.wait_delivered(before.bytes + written.bytes)?;
        let end = (monotonic_ns(), cpu_ns(agent.pid())?, self.kafka.cpu_ns()?);
        let usage = agent.stop()?;
        let messages = self.kafka.messages(&topic, &ends)?;
        ensure!(!messages.is_empty(), "{topic}: nothing is there");
        Ok(Taken {
            bytes: written.bytes,
            elapsed_ns: end.0 - start.0,
            cpu_ns: end.1 - start.1,
            broker_cpu_ns: end.2 - start.2,
            peak_bytes: usage.peak_bytes,
            messages,
        })
    }

    /// Has the library alone deliver such messages to a new topic.
    fn library(
        &self,
        messages: &[OwnedMessage],
        compression: Compression,
    ) -> anyhow::Result<Produced> {
        let topic = self.kafka.new_topic()?;
        produce(&self.kafka.sink_config(&topic, compression)?.producer(), &topic, messages)
    }

    fn write(&self, folder: &Path, stream: u32, bytes: u64) -> anyhow::Result<Totals> {
        let limits = Limits { bytes: Some(bytes), ..Limits::default() };
        let mut spec = load(self.settings, folder.to_owned(), limits);
        spec.format = Format::Cri;
        spec.layout = Layout::Pods;
        spec.first_stream = stream;
        spec.seed += u64::from(stream);
        Ok(Load::create(&spec)?.run(&AtomicBool::new(false))?)
    }

    fn input(&self) -> InputConfig {
        InputConfig::Containers(self.space.input())
    }

    fn output(
        &self,
        topic: &str,
        encoding: &'static str,
        payload_compression: bool,
    ) -> KafkaOutput {
        let (brokers, topic) = (self.kafka.addresses(), topic.to_owned());
        KafkaOutput { brokers, topic, encoding, payload_compression }
    }

    fn shown(&self, output: &KafkaOutput) -> String {
        let listen = ([127, 0, 0, 1], 0).into();
        let output = OutputConfig::Kafka(output.clone());
        self.space.bench(self.settings).config(self.input(), output, listen).to_yaml()
    }

    /// Whether the agent takes a configuration in which it compresses payloads.
    fn takes_payload_compression(&self) -> anyhow::Result<bool> {
        let file = self.space.root.join("asked.yaml");
        fs::write(&file, self.shown(&self.output("asked", "otlp_proto", true)))?;
        let mut check = Command::new(&self.settings.logferry);
        check.args(["check", "-f"]).arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(check.status()?.success())
    }
}

/// Moves what is in `stage` into `folder` at once.
fn move_into(stage: &Path, folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(stage)? {
        let entry = entry?;
        fs::rename(entry.path(), folder.join(entry.file_name()))?;
    }
    Ok(fs::remove_dir(stage)?)
}

/// Compresses the messages' values one by one, and in larger pieces.
fn bare(messages: &[OwnedMessage]) -> anyhow::Result<(Pass, Pass)> {
    let values = || messages.iter().filter_map(Message::payload);
    let mut batches = vec![Vec::with_capacity(BATCH_BYTES)];
    for value in values() {
        if batches.last().is_some_and(|last| last.len() + value.len() > BATCH_BYTES) {
            batches.push(Vec::with_capacity(BATCH_BYTES));
        }
        if let Some(last) = batches.last_mut() {
            last.extend_from_slice(value);
        }
    }
    let batches = batches.iter().map(Vec::as_slice);
    Ok((compress_pieces(values())?, compress_pieces(batches)?))
}
