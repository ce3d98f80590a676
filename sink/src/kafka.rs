//! Kafka: a sink that writes each section as one message, acknowledged by the broker.
//!
//! One idempotent producer per sink, shared by its shippers. The key is the context's id, so that a context
//! stays in order in one partition; headers say which cursors a message holds, so that consumers and
//! auditors need not open it, and so that the next agent can ask the topic what it already has.
//!
//! What the broker surely did not store (no right, no such topic, too large) is tried again, in order,
//! by its own tenant alone. What it may have stored is never sent again by this producer: the sink breaks,
//! and the next one reads back first ([`KafkaReadBack`]).

mod access;
mod bounds;
mod brokers;
mod config;
pub(crate) mod divide;
mod header;
mod in_flight;
mod kafka_sink;
mod known_brokers;
mod lanes;
mod limit;
mod lookup;
mod message;
mod murmur;
mod offset_file;
mod offsets;
mod producer;
mod read_back;
mod scan;
mod token;
mod topic;
mod topic_message;
mod topic_reader;

pub use access::try_access;
pub use bounds::Bounds;
pub use brokers::{Brokers, ErrorCode, Headers, KeepOffsets, Outgoing, Report};
pub use config::{Compression, KafkaConfig, Secret};
pub use header::{Header, HeaderError};
pub use kafka_sink::KafkaSink;
pub use lookup::{Around, Lookup};
pub use producer::{ANSWER_TIMEOUT, KafkaError, KafkaProducer};
pub use read_back::KafkaReadBack;
pub use scan::Window;
pub use topic::{TopicError, TopicTemplate};
pub use topic_message::{TopicMessage, TopicSection};
pub use topic_reader::TopicReader;
