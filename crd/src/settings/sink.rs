//! Where logs go, ready to run.

use std::path::PathBuf;
use std::time::Duration;

use super::access::{SaslSettings, TlsSettings};
use crate::spec::{Delivery, Encoding};

/// Where logs go, and how they are packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkSettings {
    /// Its name; unique.
    pub name: String,
    /// Where logs go.
    pub target: SinkTarget,
    /// How records are written; those of single records for Kafka alone.
    pub encoding: Encoding,
    /// How blocks are compressed, for Kafka its record batches; never for a file or stdout.
    pub compression: CompressionSettings,
    /// When a batch is full.
    pub batch: BatchSettings,
    /// How long to wait after a failure.
    pub retry: RetrySettings,
}

/// Where logs go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkTarget {
    /// The embedded queue.
    Queue(QueueSettings),
    /// Apache Kafka.
    Kafka(KafkaSettings),
    /// A file with rotation.
    File(FileSinkSettings),
    /// The agent's standard output.
    Stdout,
    /// Nowhere, acknowledged at once.
    Blackhole,
}

/// The embedded queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSettings {
    /// Its directory; absolute, of no other sink.
    pub path: PathBuf,
    /// Size at which a segment file ends, in bytes.
    pub segment_bytes: u64,
    /// Most that is kept, in bytes; at least two segments.
    pub retention_bytes: u64,
    /// Longest that it is kept; `None` for as long as there is room.
    pub retention_age: Option<Duration>,
    /// How often it is made safe and acknowledged; zero for after each block.
    pub sync_interval: Duration,
}

/// Apache Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// `host:port` of some of the brokers; at least one.
    pub brokers: Vec<String>,
    /// Where sections go; `${tenant}` and `${namespace}` are filled in. Legal in what is fixed of it.
    pub topic: String,
    /// How a message's value is compressed: zstd, lz4 or not at all, and not at all where a record is a message.
    pub payload_compression: CompressionSettings,
    /// How messages become visible.
    pub delivery: Delivery,
    /// Most that one tenant has on its way, in bytes.
    pub in_flight_bytes: usize,
    /// Most that is read back of one partition at the start, in bytes.
    pub read_back_bytes: u64,
    /// Encrypted connections.
    pub tls: Option<TlsSettings>,
    /// A name and a password, or a token.
    pub sasl: Option<SaslSettings>,
}

/// A file with rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSinkSettings {
    /// The file; absolute, of no other sink.
    pub path: PathBuf,
    /// Size at which it is rotated, in bytes.
    pub rotate_bytes: u64,
    /// How many rotated files are kept beside the live one.
    pub keep: usize,
}

/// How blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionSettings {
    /// Zstandard, with its level.
    Zstd {
        /// 1 to 19; of Kafka's record batches to 12.
        level: i32,
    },
    /// LZ4.
    Lz4 {
        /// 1 to 12 of Kafka's record batches; `None` elsewhere, where there is but one.
        level: Option<i32>,
    },
    /// Snappy, of Kafka's record batches.
    Snappy,
    /// Gzip, of Kafka's record batches.
    Gzip {
        /// 1 to 9.
        level: i32,
    },
    /// Not at all.
    None,
}

/// A batch is shipped when it reaches one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSettings {
    /// Bytes of records.
    pub bytes_max: usize,
    /// Number of records.
    pub records_max: usize,
    /// Age of its first record.
    pub linger: Duration,
}

/// Waits after a failure, doubled each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySettings {
    /// The first.
    pub initial: Duration,
    /// The longest; at least `initial`.
    pub max: Duration,
}
