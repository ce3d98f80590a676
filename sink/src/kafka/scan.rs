//! Scan: reads partitions from given offsets to given ends.

mod follow;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use flow::Clock;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::access::{self, Link};
use super::bounds::{self, Bounds, Partitions};
use super::offsets::{self, Table};
use super::producer::{ANSWER_TIMEOUT, KafkaError};

/// Longest wait for the next message, in waits for an answer.
///
/// 30 s with those of [`ANSWER_TIMEOUT`]: as long as a broker may be silent to the producer.
const SILENCE_ANSWERS: u32 = 3;
/// Longest sleep before the time is looked at.
const POLL: Duration = Duration::from_millis(100);

/// A part of a partition: offsets from `from` to before `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The one behind the last.
    pub to: i64,
}

/// A partition that is read.
#[derive(Debug, Clone, Copy)]
struct Range {
    from: i64,
    end: i64,
    bytes: u64,
}

/// Partitions to be read.
pub(super) struct Scan {
    consumer: BaseConsumer<Link>,
    brokers: String,
    answer_max: Duration,
    /// By topic and partition.
    ranges: BTreeMap<(String, i32), Range>,
    /// Retention has removed what came before.
    pub(super) is_trimmed: bool,
}

impl Scan {
    /// A scan with nothing to read yet.
    ///
    /// # Errors
    /// If librdkafka refuses the configuration.
    pub(super) fn new(config: &ClientConfig) -> Result<Scan, KafkaError> {
        let brokers = config.get("bootstrap.servers").unwrap_or_default().to_owned();
        let consumer = config.create_with_context(Link::default());
        let consumer = consumer.map_err(|error| KafkaError::config(&error))?;
        access::wait_for_token(&consumer, config.get("sasl.mechanisms"));
        let (ranges, answer_max) = (BTreeMap::new(), ANSWER_TIMEOUT);
        Ok(Scan { consumer, brokers, answer_max, ranges, is_trimmed: false })
    }

    /// The same, with so much time for each answer of the brokers.
    pub(super) fn answered_within(self, answer_max: Duration) -> Scan {
        Scan { answer_max, ..self }
    }

    /// Asks where the partitions of the topics in `starts` begin and end, to read them from there; those that have no
    /// start there are read from their first message. A topic that is not there is left out, and said.
    ///
    /// # Errors
    /// If the brokers do not answer, or refuse.
    pub(super) fn plan(&mut self, starts: &Table) -> Result<(), KafkaError> {
        for (topic, offsets) in starts {
            let bounds = self.bounds(topic)?.unwrap_or_else(|error| {
                tracing::warn!(topic, %error, "the topic cannot be read");
                BTreeMap::new()
            });
            for (id, Bounds { first, end }) in bounds {
                self.is_trimmed |= first > 0;
                let from = offsets::start(offsets.get(&id).copied(), Bounds { first, end });
                let range = Range { from, end, bytes: 0 };
                self.ranges.insert((topic.clone(), id), range);
            }
        }
        self.assign()
    }

    /// What there is of each partition of a topic now, or why the topic cannot be read. Partitions that have no leader
    /// for the moment, as after a start of their broker, are waited for as an answer is.
    ///
    /// # Errors
    /// If the brokers do not answer, or refuse.
    pub(super) fn bounds(&self, topic: &str) -> Result<Result<Partitions, Code>, KafkaError> {
        let mut tries = self.answer_max.as_millis() / POLL.as_millis();
        loop {
            match bounds::of(self.consumer.client(), topic, self.answer_max) {
                Err(error) if tries > 0 && bounds::is_without_leader(&error) => {
                    tries -= 1;
                    std::thread::sleep(POLL);
                }
                answer => return answer.map_err(|error| self.failed("offsets", &error)),
            }
        }
    }

    /// The first offset of a partition whose message is of `unix_ms` or later; its end if there is none.
    ///
    /// # Errors
    /// If the brokers do not answer, or refuse.
    pub(super) fn offset_at(
        &self,
        topic: &str,
        partition: i32,
        unix_ms: i64,
        bounds: Bounds,
    ) -> Result<i64, KafkaError> {
        let ask = || -> Result<Option<i64>, ClientError> {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(topic, partition, Offset::Offset(unix_ms))?;
            let found = self.consumer.offsets_for_times(list, self.answer_max)?;
            Ok(found.elements().first().and_then(|it| it.offset().to_raw()).filter(|it| *it >= 0))
        };
        let found = ask().map_err(|error| self.failed("offsets", &error))?;
        Ok(found.unwrap_or(bounds.end).clamp(bounds.first, bounds.end))
    }

    /// Reads these windows of a topic next, one of a partition at most, in place of what was left.
    ///
    /// # Errors
    /// If librdkafka refuses.
    pub(super) fn aim(&mut self, topic: &str, windows: &[Window]) -> Result<(), KafkaError> {
        let ranges = windows.iter().map(|it| {
            ((topic.to_owned(), it.partition), Range { from: it.from, end: it.to, bytes: 0 })
        });
        self.ranges = ranges.collect();
        self.assign()
    }

    /// Has librdkafka fetch what is to be read.
    fn assign(&mut self) -> Result<(), KafkaError> {
        self.ranges.retain(|_, it| it.from < it.end);
        let assign = || -> Result<(), ClientError> {
            let mut list = TopicPartitionList::new();
            for ((topic, id), range) in &self.ranges {
                list.add_partition_offset(topic, *id, Offset::Offset(range.from))?;
            }
            self.consumer.assign(&list)
        };
        assign().map_err(|error| self.failed("offsets", &error))
    }

    /// Reads all, but no more than `bytes_max` of a partition; returns whether that was all.
    ///
    /// # Errors
    /// If the brokers fall silent, or refuse.
    pub(super) fn read(
        &mut self,
        bytes_max: u64,
        clock: &dyn Clock,
        mut each: impl FnMut(&BorrowedMessage<'_>),
    ) -> Result<bool, KafkaError> {
        let mut is_all = true;
        self.read_while(clock, |message, bytes| {
            each(message);
            is_all &= bytes <= bytes_max;
            bytes <= bytes_max
        })?;
        Ok(is_all)
    }

    /// Reads each partition until its end or until `each`, which is told how many bytes of it were read,
    /// does not want more of it.
    ///
    /// # Errors
    /// If the brokers fall silent, or refuse.
    pub(super) fn read_while(
        &mut self,
        clock: &dyn Clock,
        mut each: impl FnMut(&BorrowedMessage<'_>, u64) -> bool,
    ) -> Result<(), KafkaError> {
        let silence_ns_max = flow::nanoseconds(self.answer_max * SILENCE_ANSWERS);
        let mut last_ns = clock.monotonic_ns();
        // By partition, how many said that they are at their end: whose topic it is, nobody says.
        let mut ended: HashMap<i32, usize> = HashMap::new();
        while !self.ranges.is_empty() {
            let is_silent = clock.monotonic_ns() > last_ns + silence_ns_max;
            let message = match self.consumer.poll(POLL) {
                Some(Ok(message)) => message,
                // Only control records, which nobody gets to see, stand before the end.
                Some(Err(ClientError::PartitionEOF(partition))) => {
                    let ended = ended.entry(partition).or_default();
                    *ended += 1;
                    if *ended >= self.ranges.keys().filter(|it| it.1 == partition).count() {
                        self.ranges.retain(|(_, it), _| *it != partition);
                    }
                    continue;
                }
                Some(Err(error)) if is_passing(&error) && !is_silent => continue,
                Some(Err(error)) => return Err(self.failed("reading", &error)),
                None if !is_silent => continue,
                None => {
                    let error = ClientError::MessageConsumption(Code::OperationTimedOut);
                    return Err(self.failed("reading", &error));
                }
            };
            last_ns = clock.monotonic_ns();
            let key = (message.topic().to_owned(), message.partition());
            let Some(range) = self.ranges.get_mut(&key) else { continue };
            let mut is_over = message.offset() + 1 >= range.end;
            if message.offset() < range.end {
                range.bytes += message.payload_len() as u64;
                is_over |= !each(&message, range.bytes);
            }
            if is_over {
                drop(message);
                self.ranges.remove(&key);
                self.let_go(&key).map_err(|error| self.failed("reading", &error))?;
            }
        }
        Ok(())
    }

    /// Has librdkafka fetch no more of a partition.
    fn let_go(&self, (topic, partition): &(String, i32)) -> Result<(), ClientError> {
        if self.ranges.is_empty() {
            return self.consumer.unassign();
        }
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, *partition);
        self.consumer.incremental_unassign(&list)
    }

    pub(super) fn failed(&self, what: &str, error: &ClientError) -> KafkaError {
        let why = access::explain(&self.consumer, error);
        KafkaError::Brokers { brokers: self.brokers.clone(), what: what.to_owned(), why }
    }
}

/// Whether it may go well in a moment.
fn is_passing(error: &ClientError) -> bool {
    let is_final = |code: &Code| {
        matches!(
            code,
            Code::AutoOffsetReset
                | Code::OffsetOutOfRange
                | Code::TopicAuthorizationFailed
                | Code::Authentication
                | Code::SaslAuthenticationFailed
        )
    };
    matches!(error, ClientError::MessageConsumption(code) if !is_final(code))
}
