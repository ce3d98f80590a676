//! Where logs go, and how they are packed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{ByteSize, Period};

/// Where logs go, exactly one of `queue`, `kafka`, `file`, `stdout` and `blackhole`; and how they are packed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogSinkSpec {
    /// The embedded queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueSpec>,
    /// Apache Kafka.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaSpec>,
    /// A file with rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileSinkSpec>,
    /// The agent's standard output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout: Option<StdoutSpec>,
    /// Nowhere, acknowledged at once: for measurements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blackhole: Option<BlackholeSpec>,
    /// How records are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// How blocks are compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<CompressionSpec>,
    /// When a batch is full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchSpec>,
    /// How long to wait after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetrySpec>,
}

/// The embedded queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueueSpec {
    /// Its directory; absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Size at which a segment file ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment_bytes: Option<ByteSize>,
    /// What is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<RetentionSpec>,
    /// How often it is made safe, and acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_interval: Option<Period>,
}

/// Apache Kafka, or what speaks its protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaSpec {
    /// `host:port` of some of the brokers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brokers: Option<Vec<String>>,
    /// Where sections go; `${tenant}` and `${namespace}` are filled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// How a message's value is compressed, for the consumer to undo; none of Kafka's own compression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_compression: Option<CompressionSpec>,
    /// How messages become visible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// Most that one tenant has on its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<ByteSize>,
    /// Most that is read back of one partition at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_back: Option<ByteSize>,
    /// Encrypted connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
    /// A name and a password, or a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sasl: Option<SaslSpec>,
}

/// How messages become visible to consumers.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Each by itself, once it is stored.
    Idempotent,
    /// In transactions, for consumers that read what is committed.
    Transactional,
}

impl Delivery {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Delivery::Idempotent => "idempotent",
            Delivery::Transactional => "transactional",
        }
    }
}

/// Encrypted connections; brokers' certificates are always verified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsSpec {
    /// Certificates of the authorities to trust, PEM; the system's if it is not written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// The same out of a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<SecretKeySpec>,
    /// The agent's own certificate, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<String>,
    /// The same out of a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_secret: Option<SecretKeySpec>,
    /// Its key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// The same out of a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_secret: Option<SecretKeySpec>,
    /// A file with the password of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_password_file: Option<String>,
    /// An environment variable with the password of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_password_env: Option<String>,
    /// The password of the key out of a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_password_secret: Option<SecretKeySpec>,
}

/// A name and a password, or a token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SaslSpec {
    /// How they are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<SaslMechanism>,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// A file with the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username_file: Option<String>,
    /// An environment variable with the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username_env: Option<String>,
    /// The name out of a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username_secret: Option<SecretKeySpec>,
    /// A file with the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<String>,
    /// An environment variable with the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
    /// The password out of a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<SecretKeySpec>,
    /// A file with the token, for OAUTHBEARER alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// The token out of a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_secret: Option<SecretKeySpec>,
}

/// A value of a Secret in the agent's own namespace; there is no way to name another's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeySpec {
    /// The Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which of its values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A way to show who one is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum SaslMechanism {
    /// As it is.
    #[serde(rename = "PLAIN")]
    Plain,
    /// By a challenge, with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// By a challenge, with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// By a token instead of a password.
    #[serde(rename = "OAUTHBEARER")]
    OauthBearer,
}

impl SaslMechanism {
    /// As Kafka calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SaslMechanism::Plain => "PLAIN",
            SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
            SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
            SaslMechanism::OauthBearer => "OAUTHBEARER",
        }
    }
}

/// What the embedded queue keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetentionSpec {
    /// Most that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<ByteSize>,
    /// Longest that it is kept; 0 for as long as there is room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<Period>,
}

/// A file with rotation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileSinkSpec {
    /// The file; absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Size at which it is rotated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotate_bytes: Option<ByteSize>,
    /// How many rotated files are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<u32>,
}

/// The agent's standard output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StdoutSpec {}

/// Nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlackholeSpec {}

/// How blocks are compressed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompressionSpec {
    /// By what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codec: Option<CodecName>,
    /// How hard; of zstd, for Kafka also of gzip and lz4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<i32>,
}

/// A batch is shipped when it reaches one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchSpec {
    /// Bytes of records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<ByteSize>,
    /// Number of records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<u32>,
    /// Age of its first record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linger: Option<Period>,
}

/// Waits after a failure, doubled each time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetrySpec {
    /// The first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<Period>,
    /// The longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Period>,
}

/// How records are written.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// OTLP logs, protobuf.
    OtlpProto,
    /// One JSON object a line.
    JsonLines,
    /// A JSON object for each record, each a message of its own; only for Kafka.
    Json,
    /// The bytes of each record as they were read, each a message of its own; only for Kafka.
    Raw,
}

impl Encoding {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Encoding::OtlpProto => "otlp_proto",
            Encoding::JsonLines => "json_lines",
            Encoding::Json => "json",
            Encoding::Raw => "raw",
        }
    }

    /// Whether each record is a message of its own.
    #[must_use]
    pub fn is_of_single_records(self) -> bool {
        matches!(self, Encoding::Json | Encoding::Raw)
    }
}

/// A way to compress.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CodecName {
    /// Zstandard.
    Zstd,
    /// LZ4.
    Lz4,
    /// Snappy; only for Kafka.
    Snappy,
    /// Gzip; only for Kafka.
    Gzip,
    /// Not at all.
    None,
}
