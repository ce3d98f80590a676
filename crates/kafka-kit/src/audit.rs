//! Audit: what a topic holds, told by Kafka's own consumer and tools. None of it is the client under test.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::batch::{Batch, parse_batches};
use crate::cluster::Cluster;
use crate::listener::Listener;

/// Longest run of a tool.
const PATIENCE: Duration = Duration::from_secs(120);
/// A consumer that has got nothing for as long, in milliseconds, has got all. Its first fetch counts too.
const QUIET_MS: &str = "3000";

/// The same where it is known how many there are.
const WAIT_MS: &str = "20000";

/// Which records a consumer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// All, also those of transactions that were aborted or are open.
    Uncommitted,
    /// Those without a transaction, and those of transactions that were committed.
    Committed,
}

/// A record as Kafka's consumer has read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Its place in the partition.
    pub offset: i64,
    /// The producer's time or that of the log, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Names and values, in their order. A value that is null or empty is empty.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its key, if it has one.
    pub key: Option<Vec<u8>>,
    /// Its value, if it has one.
    pub value: Option<Vec<u8>>,
}

impl Cluster {
    /// Reads a partition from its begin to its end, by `kafka-console-consumer`.
    ///
    /// # Errors
    ///
    /// If no broker answers, or what the tool prints is not understood.
    pub fn consume(&self, topic: &str, partition: i32, isolation: Isolation) -> Result<Vec<Read>> {
        self.run_consumer(topic, partition, isolation, &["--timeout-ms", QUIET_MS])
    }

    /// The same until it has got `count` records, for which it waits longer: on a busy machine a consumer may
    /// be given nothing for a while.
    ///
    /// # Errors
    ///
    /// If no broker answers, or what the tool prints is not understood.
    pub fn consume_count(
        &self,
        topic: &str,
        partition: i32,
        isolation: Isolation,
        count: i64,
    ) -> Result<Vec<Read>> {
        let limits = ["--max-messages", &count.to_string(), "--timeout-ms", WAIT_MS];
        if count == 0 {
            return Ok(Vec::new());
        }
        self.run_consumer(topic, partition, isolation, &limits)
    }

    fn run_consumer(
        &self,
        topic: &str,
        partition: i32,
        isolation: Isolation,
        limits: &[&str],
    ) -> Result<Vec<Read>> {
        let servers = self.addresses(Listener::Plain);
        let partition = partition.to_string();
        let isolation = match isolation {
            Isolation::Uncommitted => "isolation.level=read_uncommitted",
            Isolation::Committed => "isolation.level=read_committed",
        };
        let mut arguments = vec!["--bootstrap-server", &servers, "--topic", topic];
        arguments.extend(["--partition", &partition, "--offset", "earliest"]);
        arguments.extend(["--command-property", isolation]);
        arguments.extend(limits);
        let format = format();
        for property in &format {
            arguments.extend(["--formatter-property", property]);
        }
        let class = "org.apache.kafka.tools.consumer.ConsoleConsumer";
        let output = self.home().tool(class, &arguments, PATIENCE)?;
        let text = String::from_utf8(output).context("kafka-console-consumer: its output")?;
        text.lines().map(|line| read(line).with_context(|| line.to_owned())).collect()
    }

    /// The offset after the last record of each partition, by `kafka-get-offsets`.
    ///
    /// # Errors
    ///
    /// If no broker answers, or there is no such topic.
    pub fn end_offsets(&self, topic: &str) -> Result<BTreeMap<i32, i64>> {
        let servers = self.addresses(Listener::Plain);
        let arguments = ["--bootstrap-server", &servers, "--topic", topic, "--time", "latest"];
        let output =
            self.home().tool("org.apache.kafka.tools.GetOffsetShell", &arguments, PATIENCE)?;
        let text = String::from_utf8(output)?;
        let mut ends = BTreeMap::new();
        for line in text.lines() {
            // TOPIC:PARTITION:OFFSET
            let mut fields = line.rsplitn(3, ':');
            let (offset, partition) = (fields.next(), fields.next());
            let (Some(offset), Some(partition)) = (offset, partition) else {
                bail!("kafka-get-offsets: {line:?}");
            };
            ends.insert(partition.parse().context("partition")?, offset.parse().context("offset")?);
        }
        Ok(ends)
    }

    /// The batches of a partition as they lie on the disk of broker `node`, by `kafka-dump-log`. It may be down.
    ///
    /// # Errors
    ///
    /// If the broker has no such partition, or what the tool prints is not understood.
    pub fn dump(&self, node: u32, topic: &str, partition: i32) -> Result<Vec<Batch>> {
        let folder = self.broker(node).data().join(format!("{topic}-{partition}"));
        let mut segments = Vec::new();
        for entry in folder.read_dir().with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.extension().is_some_and(|it| it == "log") {
                segments.push(path.display().to_string());
            }
        }
        ensure!(!segments.is_empty(), "{}: no segments", folder.display());
        // Named by their first offset, with leading zeros.
        segments.sort();
        let files = segments.join(",");
        let arguments = ["--files", &files, "--deep-iteration"];
        let output =
            self.home().tool("org.apache.kafka.tools.DumpLogSegments", &arguments, PATIENCE)?;
        parse_batches(&String::from_utf8(output)?)
    }
}

/// Between headers. Control characters and `\` are written as `\xNN` by the deserializer, so that neither this nor
/// the tab between fields is ever part of a value.
const HEADER_END: char = '\u{1}';
/// What is printed in place of a value that is null. It passes the deserializer as any value does.
const NULL: &str = "kafka-kit: no value";

/// One line for each record: time, offset, headers, key, value.
fn format() -> [String; 9] {
    let bytes = "org.apache.kafka.common.serialization.BytesDeserializer";
    [
        "print.timestamp=true".to_owned(),
        "print.offset=true".to_owned(),
        "print.headers=true".to_owned(),
        "print.key=true".to_owned(),
        format!("null.literal={NULL}"),
        format!("headers.separator={HEADER_END}"),
        format!("key.deserializer={bytes}"),
        format!("value.deserializer={bytes}"),
        format!("headers.deserializer={bytes}"),
    ]
}

fn read(line: &str) -> Result<Read> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [time, offset, headers, key, value] = fields[..] else {
        bail!("{} fields, not 5", fields.len());
    };
    let (_, timestamp_ms) = time.split_once(':').context("CreateTime:…")?;
    let offset = offset.strip_prefix("Offset:").context("Offset:…")?;
    let mut read = Read {
        offset: offset.parse()?,
        timestamp_ms: timestamp_ms.parse()?,
        headers: Vec::new(),
        key: bytes_or_null(key)?,
        value: bytes_or_null(value)?,
    };
    if headers != "NO_HEADERS" {
        for header in headers.split(HEADER_END) {
            let (name, value) = header.split_once(':').context("NAME:…")?;
            let value = bytes_or_null(value)?.unwrap_or_default();
            read.headers.push((name.to_owned(), value));
        }
    }
    Ok(read)
}

fn bytes_or_null(text: &str) -> Result<Option<Vec<u8>>> {
    if text == NULL { Ok(None) } else { bytes(text).map(Some) }
}

/// Undoes `\xNN`.
fn bytes(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut pieces = text.split("\\x");
    bytes.extend(pieces.next().unwrap_or_default().bytes());
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).context("\\xNN")?;
        bytes.push(u8::from_str_radix(digits, 16)?);
        bytes.extend(rest.bytes());
    }
    Ok(bytes)
}
