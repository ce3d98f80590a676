//! Brokers: what the sink needs of Kafka, for who stands in for librdkafka and its brokers.
//!
//! The agent has none of these: it talks to Kafka by librdkafka. The simulator has brokers in memory, which
//! fail when they are told to, so that sink, lanes, offsets and read-back can be stepped as they are.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::OwnedHeaders;
pub use rdkafka::types::RDKafkaErrorCode as ErrorCode;

use super::bounds::Bounds;
use super::header::{Header, is_of};
use super::in_flight::Sent;
use super::producer::Shared;
use super::scan::Window;

/// Brokers, and the client that one producer sends with.
pub trait Brokers: Debug + Send + Sync {
    /// What there is of each partition of a topic now, or why the topic cannot be used.
    ///
    /// # Errors
    /// Why no broker answers.
    fn bounds(&self, topic: &str) -> Result<Result<BTreeMap<i32, Bounds>, ErrorCode>, String>;

    /// Takes a message, to be sent behind those it has. What becomes of it is told by `report`.
    ///
    /// # Errors
    /// Why it was not taken.
    fn send(&self, message: Outgoing<'_>, report: Report) -> Result<(), ErrorCode>;

    /// Messages that were taken and not reported.
    fn in_flight(&self) -> usize;

    /// So much time is over, in which the brokers store what they have of a producer that is dead.
    fn settle(&self, time: Duration);

    /// Hands out what each message in a window of a topic says of itself, and how many bytes its value has.
    ///
    /// # Errors
    /// Why no broker answers.
    fn read(
        &self,
        topic: &str,
        window: Window,
        each: &mut dyn FnMut(&Headers, u64) -> bool,
    ) -> Result<(), String>;
}

/// Keeps the offsets from one life of the agent to the next.
pub trait KeepOffsets: Debug + Send {
    /// What was kept last; `None` before the first time.
    ///
    /// # Errors
    /// If it cannot be read.
    fn load(&self) -> io::Result<Option<Vec<u8>>>;

    /// Keeps these in place of what was kept before: once it returns, also over a power cut.
    ///
    /// # Errors
    /// If it cannot: then the old ones are kept.
    fn store(&self, bytes: &[u8]) -> io::Result<()>;
}

/// A message on its way to the brokers.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// By which its partition is chosen.
    pub key: &'a str,
    /// Its value.
    pub value: &'a [u8],
    /// What it says of itself.
    pub headers: Headers,
    /// When it was read, nanoseconds since 1970. In Kafka it is rounded down to milliseconds.
    pub observed_unix_ns: i64,
}

/// What a message says of itself.
#[derive(Debug, Clone)]
pub struct Headers(pub(super) OwnedHeaders);

impl Headers {
    /// The same, taken apart; `None` if they are not ours.
    #[must_use]
    pub fn decode(&self) -> Option<Header> {
        Header::decode(&self.0).ok()
    }

    /// The same, if the agent of that name wrote the message.
    pub(super) fn decode_of(&self, agent: &str) -> Option<Header> {
        self.decode().filter(|_| is_of(&self.0, agent))
    }
}

/// The duty to say what became of a message.
#[derive(Debug)]
pub struct Report {
    pub(super) sent: Box<Sent>,
    pub(super) shared: Arc<Shared>,
    pub(super) topic: String,
}

impl Report {
    /// It is stored there; at a negative offset if that is only concluded.
    pub fn stored(self, partition: i32, offset: i64) {
        self.shared.report(*self.sent, &self.topic, Ok((partition, offset)));
    }

    /// It failed.
    pub fn failed(self, code: ErrorCode) {
        let error = ClientError::MessageProduction(code);
        self.shared.report(*self.sent, &self.topic, Err(&error));
    }
}
