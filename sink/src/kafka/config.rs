//! Config: what a Kafka sink needs to know, and how librdkafka is told.

use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;

use super::topic::TopicTemplate;

/// How Kafka's record batches are compressed; every consumer can read that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Zstandard.
    Zstd {
        /// 1 to 12.
        level: i32,
    },
    /// LZ4.
    Lz4 {
        /// 1 to 12.
        level: i32,
    },
    /// Snappy.
    Snappy,
    /// Gzip.
    Gzip {
        /// 1 to 9.
        level: i32,
    },
    /// Not at all.
    None,
}

/// What a Kafka sink needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// `host:port`, comma-separated: some of the brokers.
    pub brokers: String,
    /// Where sections go.
    pub topic: TopicTemplate,
    /// How record batches are compressed.
    pub compression: Compression,
    /// Bytes of payloads that one lane may have on their way.
    pub in_flight_bytes_max: usize,
    /// Where the offsets of the last checkpoint are kept: a file of this sink's own.
    pub offsets: PathBuf,
    /// After a life that ended with something on its way: how long the brokers get to store what they have
    /// of it, from their first answer on, before it is read back.
    pub settle: Duration,
    /// Most that is read back of one partition at the start, in bytes.
    pub read_back_bytes_max: u64,
    /// Who the client says it is, in the broker's metrics and quotas.
    pub client_id: String,
    /// Further properties of librdkafka, such as those of TLS and SASL. They may hold secrets.
    pub security: Vec<(String, Secret)>,
}

/// A property's value that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `value` from logs and dumps.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(value.into())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(not shown)")
    }
}

/// Requests on their way to one broker.
///
/// One: behind one that failed, others of its partition would be stored first. Then order is lost, and once;
/// and a broker that knows nothing of a producer takes whatever comes first for its first request, from which
/// librdkafka concludes that those before it were stored.
const REQUESTS_IN_FLIGHT: &str = "1";
/// How long nothing may be heard of a request, in milliseconds.
///
/// 30 s: a broker that takes longer is taken for gone; what it may have stored is sent again under the
/// same sequence number, and stored once.
const SOCKET_TIMEOUT_MS: &str = "30000";
/// How long a message waits for others of its partition, in milliseconds: sections of quiet contexts that
/// were read at once share a record batch.
///
/// 100 ms: longer than a full queue takes at speed. librdkafka's thread spins while a message that has waited
/// as long may not be sent yet, as five messages of its partition are on their way and no request of another
/// waits behind them.
const LINGER_MS: &str = "100";
/// Bytes of a record batch before compression; a broker takes 1 MiB of it afterwards if nobody changed that.
const BATCH_BYTES: &str = "1000000";
/// Largest message, in bytes: librdkafka's own limit. What a topic takes, its broker says.
const MESSAGE_BYTES_MAX: &str = "1000000000";
/// How often librdkafka says what it knows, in milliseconds.
///
/// 5 s: as long as nothing is delivered at worst if it knows no broker any more (`known_brokers.rs`).
const STATISTICS_MS: &str = "5000";
/// Bytes in librdkafka's queue, in KiB: the lanes' own limits hold before.
const QUEUE_KBYTES_MAX: &str = "2097151";

impl KafkaConfig {
    /// What every client of the sink has in common.
    fn with_security(&self, mut config: ClientConfig) -> ClientConfig {
        for (key, value) in &self.security {
            config.set(key, &value.0);
        }
        config
    }

    /// The properties of its producer: what a client without an agent has to be held against.
    #[must_use]
    pub fn producer(&self) -> ClientConfig {
        let mut config = self.with_security(client(&self.brokers, &self.client_id));
        config
            .set("enable.idempotence", "true")
            .set("max.in.flight.requests.per.connection", REQUESTS_IN_FLIGHT)
            .set("acks", "all")
            // As Java's clients do, so that a consumer that joins topics finds its contexts together.
            .set("partitioner", "murmur2")
            // For as long as it takes: what is not stored is still in its file.
            .set("message.timeout.ms", "0")
            .set("linger.ms", LINGER_MS)
            .set("batch.size", BATCH_BYTES)
            .set("message.max.bytes", MESSAGE_BYTES_MAX)
            .set("statistics.interval.ms", STATISTICS_MS)
            .set("queue.buffering.max.messages", "0")
            .set("queue.buffering.max.kbytes", QUEUE_KBYTES_MAX);
        let (codec, level) = match self.compression {
            Compression::Zstd { level } => ("zstd", Some(level)),
            Compression::Lz4 { level } => ("lz4", Some(level)),
            Compression::Gzip { level } => ("gzip", Some(level)),
            Compression::Snappy => ("snappy", None),
            Compression::None => ("none", None),
        };
        config.set("compression.codec", codec);
        if let Some(level) = level {
            config.set("compression.level", level.to_string());
        }
        config
    }

    /// The properties of a consumer that reads given partitions, and belongs to no group.
    pub(super) fn consumer(&self) -> ClientConfig {
        self.with_security(consumer(&self.brokers, &self.client_id))
    }
}

fn client(brokers: &str, client_id: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("client.id", client_id)
        .set("socket.timeout.ms", SOCKET_TIMEOUT_MS)
        .set("socket.keepalive.enable", "true");
    config
}

/// What a consumer needs that reads given partitions, and belongs to no group.
pub(super) fn consumer(brokers: &str, client_id: &str) -> ClientConfig {
    let mut config = client(brokers, client_id);
    config
        // Demanded, and never used: nothing is subscribed to and nothing committed.
        .set("group.id", "logferry")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_uncommitted");
    config
}
