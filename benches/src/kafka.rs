//! Kafka: one real broker beside the agent, what it holds, and the client library without an agent.

mod library;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use kafka_kit::{Access, Broker, Cluster, Listener};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::{Offset, TopicPartitionList};
use sink::kafka::{Compression, KafkaConfig};

use crate::process::cpu_ns;

pub use library::{Produced, produce};

/// Partitions of each topic.
pub const PARTITIONS: i32 = 4;
/// Longest wait for an answer, or for the next message.
const PATIENCE: Duration = Duration::from_secs(30);

/// One broker, with its data in the scratch folder, and one topic at a time.
#[derive(Debug)]
pub struct Kafka {
    cluster: Cluster,
    topics: Cell<u32>,
}

impl Kafka {
    /// Starts it.
    ///
    /// # Errors
    /// If Kafka was not fetched, or does not come up.
    pub fn start(scratch: &Path) -> anyhow::Result<Kafka> {
        let data = scratch.join("broker");
        let cluster = Cluster::builder()
            .set("log.dirs", &data.to_string_lossy())
            // What is deleted takes the machine's memory until it is.
            .set("log.segment.delete.delay.ms", "100")
            .set("log.initial.task.delay.ms", "100")
            .start()?;
        Ok(Kafka { cluster, topics: Cell::new(0) })
    }

    /// A new topic; the one before is deleted.
    ///
    /// # Errors
    /// If the broker refuses.
    pub fn new_topic(&self) -> anyhow::Result<String> {
        let number = self.topics.get();
        if number > 0 {
            self.cluster.delete_topic(&name(number))?;
        }
        self.topics.set(number + 1);
        let topic = name(number + 1);
        self.cluster.create_topic(&topic, PARTITIONS, 1, &[])?;
        Ok(topic)
    }

    /// Kills the broker.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill(&self) -> anyhow::Result<()> {
        self.broker().kill()
    }

    /// Starts the broker again, and returns when it is ready.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start_again(&self) -> anyhow::Result<()> {
        self.broker().start()
    }

    /// Stops the broker where it is: its connections stay, and nothing is answered.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.broker().pause()
    }

    /// Lets the broker go on.
    ///
    /// # Errors
    /// If it does not run.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.broker().resume()
    }

    fn broker(&self) -> &Broker {
        self.cluster.broker(1)
    }

    /// `host:port` of the broker.
    #[must_use]
    pub fn addresses(&self) -> String {
        self.cluster.addresses(Listener::Plain)
    }

    /// CPU of the broker since its start, in nanoseconds, in steps of a clock tick.
    ///
    /// # Errors
    /// If it does not run.
    pub fn cpu_ns(&self) -> anyhow::Result<u64> {
        Ok(cpu_ns(self.broker().process()?)?)
    }

    /// What the agent's own producer is configured with, as far as it matters to speed.
    ///
    /// # Errors
    /// If the topic is none.
    pub fn sink_config(
        &self,
        topic: &str,
        compression: Compression,
    ) -> anyhow::Result<KafkaConfig> {
        Ok(KafkaConfig {
            brokers: self.addresses(),
            topic: topic.parse()?,
            compression,
            settle: Duration::ZERO,
            in_flight_bytes_max: 0,
            offsets: self.cluster.folder().join("offsets.json"),
            read_back_bytes_max: 0,
            client_id: "library".to_owned(),
            security: Vec::new(),
        })
    }

    /// The next offset of each partition of `topic`.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub fn ends(&self, topic: &str) -> anyhow::Result<Vec<i64>> {
        let consumer = self.consumer()?;
        let end = |it| Ok(consumer.fetch_watermarks(topic, it, PATIENCE)?.1);
        (0..PARTITIONS).map(end).collect()
    }

    /// All messages of `topic` from these offsets on, each partition in its order.
    ///
    /// # Errors
    /// If the broker falls silent, or refuses.
    pub fn messages(&self, topic: &str, from: &[i64]) -> anyhow::Result<Vec<OwnedMessage>> {
        let consumer = self.consumer()?;
        let mut assignment = TopicPartitionList::new();
        let mut open = BTreeSet::new();
        for (partition, offset) in (0..).zip(from) {
            assignment.add_partition_offset(topic, partition, Offset::Offset(*offset))?;
            open.insert(partition);
        }
        consumer.assign(&assignment)?;
        let mut messages = Vec::new();
        while !open.is_empty() {
            match consumer.poll(PATIENCE) {
                Some(Ok(message)) => messages.push(message.detach()),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                }
                Some(Err(error)) => return Err(error).context(topic.to_owned()),
                None => bail!("{topic}: the broker is silent"),
            }
        }
        ensure!(messages.iter().all(|it| it.payload().is_some()), "{topic}: a message is empty");
        Ok(messages)
    }

    fn consumer(&self) -> anyhow::Result<BaseConsumer> {
        let mut config = self.cluster.client(&Access::Plain);
        config.set("group.id", "bench").set("enable.auto.commit", "false");
        config.set("enable.partition.eof", "true");
        Ok(config.create()?)
    }
}

fn name(number: u32) -> String {
    format!("bench-{number}")
}
