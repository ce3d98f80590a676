//! Topic reader: what a topic holds, as a whole, in parts, or as it comes.

use std::collections::BTreeMap;
use std::time::Duration;

use flow::Clock;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::BorrowedMessage;

use super::bounds::{Bounds, Partitions};
use super::config::{self, KafkaConfig};
use super::producer::KafkaError;
use super::scan::{Scan, Window};
use super::topic_message::TopicMessage;

/// Most that librdkafka fetches ahead, in KiB: 8 MiB.
const FETCHED_KBYTES_MAX: &str = "8192";
/// Most that it asks a broker for at once, and of one partition, in bytes.
const FETCH_BYTES_MAX: &str = "4194304";
const PARTITION_FETCH_BYTES_MAX: &str = "524288";

/// Both for who reads beside other work: 2 MiB, and no less than librdkafka's largest message.
const BESIDE_KBYTES_MAX: &str = "2048";
const BESIDE_FETCH_BYTES_MAX: &str = "1048576";

/// How long a broker may keep a question for what comes after the end, in milliseconds: the next window is
/// asked for afterwards.
const FETCH_WAIT_MS: &str = "20";

/// A topic. It belongs to no group, and leaves no trace on the brokers.
pub struct TopicReader {
    scan: Scan,
    topic: String,
    bounds: Partitions,
}

impl std::fmt::Debug for TopicReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicReader").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl TopicReader {
    /// Asks where the topic's partitions begin and end. `properties` are further ones of librdkafka.
    ///
    /// # Errors
    /// If the brokers do not answer, or refuse, or there is no such topic.
    pub fn open(
        brokers: &str,
        topic: &str,
        properties: &[(String, String)],
    ) -> Result<TopicReader, KafkaError> {
        TopicReader::over(config::consumer(brokers, "logferry"), topic, properties, None)
    }

    /// The same of a topic that a sink writes to, as that sink, beside its own work: with little memory, and with brokers
    /// that answer in time.
    ///
    /// # Errors
    /// As [`TopicReader::open`].
    pub fn of(
        config: &KafkaConfig,
        topic: &str,
        answer_max: Duration,
    ) -> Result<TopicReader, KafkaError> {
        let little = [
            ("queued.max.messages.kbytes", BESIDE_KBYTES_MAX),
            ("fetch.max.bytes", BESIDE_FETCH_BYTES_MAX),
        ];
        let properties = little.map(|(key, value)| (key.to_owned(), value.to_owned()));
        TopicReader::over(config.consumer(), topic, &properties, Some(answer_max))
    }

    fn over(
        mut config: ClientConfig,
        topic: &str,
        properties: &[(String, String)],
        answer_max: Option<Duration>,
    ) -> Result<TopicReader, KafkaError> {
        config
            // What was aborted is in nobody's topic.
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", FETCH_WAIT_MS)
            .set("queued.max.messages.kbytes", FETCHED_KBYTES_MAX)
            .set("fetch.max.bytes", FETCH_BYTES_MAX)
            .set("fetch.message.max.bytes", PARTITION_FETCH_BYTES_MAX);
        for (key, value) in properties {
            config.set(key, value);
        }
        let scan = Scan::new(&config)?;
        let scan = match answer_max {
            Some(answer_max) => scan.answered_within(answer_max),
            None => scan,
        };
        let mut reader = TopicReader { scan, topic: topic.to_owned(), bounds: Partitions::new() };
        reader.refresh()?;
        Ok(reader)
    }

    /// What there is of each partition, as it was when last asked.
    #[must_use]
    pub fn bounds(&self) -> &BTreeMap<i32, Bounds> {
        &self.bounds
    }

    /// Whether retention has removed what came first.
    #[must_use]
    pub fn is_trimmed(&self) -> bool {
        self.bounds.values().any(|it| it.first > 0)
    }

    /// Asks again what there is of each partition.
    ///
    /// # Errors
    /// If the brokers do not answer, or refuse.
    pub fn refresh(&mut self) -> Result<(), KafkaError> {
        let bounds = self.scan.bounds(&self.topic)?;
        let refused = |code| self.scan.failed(&self.topic, &ClientError::MetadataFetch(code));
        self.bounds = bounds.map_err(refused)?;
        Ok(())
    }

    /// The first offset of a partition whose message is of `unix_ms` or later; its end if there is none.
    ///
    /// # Errors
    /// If the brokers do not answer, or refuse.
    pub fn offset_at(&self, partition: i32, unix_ms: i64) -> Result<i64, KafkaError> {
        let bounds = self.bounds.get(&partition).copied();
        let bounds = bounds.unwrap_or(Bounds { first: 0, end: 0 });
        self.scan.offset_at(&self.topic, partition, unix_ms, bounds)
    }

    /// Reads all, partition by partition or mixed; each partition in its order.
    ///
    /// # Errors
    /// If the brokers fall silent, or refuse.
    pub fn read(
        &mut self,
        clock: &dyn Clock,
        mut each: impl FnMut(TopicMessage<'_>),
    ) -> Result<(), KafkaError> {
        let all = self.bounds.iter().map(|(partition, it)| Window {
            partition: *partition,
            from: it.first,
            to: it.end,
        });
        let all: Vec<Window> = all.collect();
        self.read_windows(&all, clock, |message| {
            each(message);
            true
        })
    }

    /// Reads parts of partitions, one of each at most, in the order of each; of a partition, until `each`
    /// wants no more of it.
    ///
    /// # Errors
    /// If the brokers fall silent, or refuse.
    pub fn read_windows(
        &mut self,
        windows: &[Window],
        clock: &dyn Clock,
        mut each: impl FnMut(TopicMessage<'_>) -> bool,
    ) -> Result<(), KafkaError> {
        self.scan.aim(&self.topic, windows)?;
        self.scan.read_while(clock, |message, _| each(TopicMessage::of(message)))
    }

    /// Reads on from `next`, the next offset of each partition, and from the first one of partitions that are
    /// added, until `each` wants no more. It is called with nothing when there is nothing for now.
    ///
    /// Brokers that are away are waited for. What retention removes before it was read is left out.
    ///
    /// # Errors
    /// If the brokers refuse.
    pub fn follow(
        &mut self,
        next: BTreeMap<i32, i64>,
        clock: &dyn Clock,
        mut each: impl FnMut(Option<TopicMessage<'_>>) -> bool,
    ) -> Result<(), KafkaError> {
        let each = |message: Option<&BorrowedMessage<'_>>| each(message.map(TopicMessage::of));
        self.scan.follow(&self.topic, next, clock, each)
    }
}
