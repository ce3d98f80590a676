//! Produce: messages of others, and messages that are not as the client under test would write them.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use rdkafka::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use crate::audit::Read;
use crate::client::Access;
use crate::cluster::Cluster;
use crate::listener::Listener;

/// Longest run of the tool.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between key and value.
const SEPARATOR: char = '\t';

impl Cluster {
    /// Writes keys and values, lines of text both, by `kafka-console-producer`: Java's client chooses the
    /// partitions.
    ///
    /// # Errors
    ///
    /// If no broker answers, or a text is more than a line.
    pub fn produce(&self, topic: &str, messages: &[(&str, &str)]) -> Result<()> {
        let mut lines = String::new();
        for (key, value) in messages {
            let is_line = |text: &str| !text.contains(['\n', SEPARATOR]);
            ensure!(is_line(key) && is_line(value), "{key:?}, {value:?}: not lines");
            writeln!(lines, "{key}{SEPARATOR}{value}").expect("a String takes all");
        }
        let path = self.folder().join(format!("produce-{topic}"));
        fs::write(&path, lines)?;
        let servers = self.addresses(Listener::Plain);
        let separator = format!("key.separator={SEPARATOR}");
        let mut arguments = vec!["--bootstrap-server", &servers, "--topic", topic];
        arguments.extend(["--reader-property", "parse.key=true", "--reader-property", &separator]);
        let class = "org.apache.kafka.tools.ConsoleProducer";
        let input = Stdio::from(File::open(path)?);
        self.home().tool_with_input(class, &arguments, input, PATIENCE).map(drop)
    }

    /// Writes messages as they were read, or made to look so, with their times, keys and headers, by librdkafka.
    /// Keys choose the partitions as with Java's client.
    ///
    /// # Errors
    ///
    /// If no broker takes them.
    pub fn send(&self, topic: &str, messages: &[Read]) -> Result<()> {
        let mut config = self.client(&Access::Plain);
        config.set("partitioner", "murmur2").set("queue.buffering.max.messages", "0");
        let producer: BaseProducer<Refusals> = config.create_with_context(Refusals::default())?;
        for message in messages {
            let mut headers = OwnedHeaders::new();
            for (key, value) in &message.headers {
                headers = headers.insert(Header { key, value: Some(value) });
            }
            let mut record: BaseRecord<'_, [u8], [u8]> =
                BaseRecord::to(topic).headers(headers).timestamp(message.timestamp_ms);
            record.key = message.key.as_deref();
            record.payload = message.value.as_deref();
            producer.send(record).map_err(|(error, _)| error)?;
            producer.poll(Duration::ZERO);
        }
        producer.flush(PATIENCE)?;
        match producer.context().0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

/// The first message that was not taken.
#[derive(Default)]
struct Refusals(Mutex<Option<KafkaError>>);

impl ClientContext for Refusals {}

impl ProducerContext for Refusals {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| error.clone());
        }
    }
}
