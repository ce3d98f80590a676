//! Scan: reads partitions from given offsets to the ends that they have now.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use flow::Clock;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::access::{self, Link};
use super::offsets::Table;
use super::producer::{ANSWER_TIMEOUT, KafkaError};

/// Longest wait for the next message, in nanoseconds.
///
/// 30 s: as long as a broker may be silent to the producer.
const SILENCE_NS_MAX: u64 = 30_000_000_000;

/// A partition that is read.
#[derive(Debug, Clone, Copy)]
struct Range {
    /// Where its end was.
    end: i64,
    bytes: u64,
}

/// Partitions to be read.
pub(super) struct Scan {
    consumer: BaseConsumer<Link>,
    brokers: String,
    /// By topic and partition.
    ranges: BTreeMap<(String, i32), Range>,
    /// Retention has removed what came before.
    pub(super) is_trimmed: bool,
}

impl Scan {
    /// Asks where the partitions of the topics in `starts` begin and end; those that have no start there are
    /// read from their first message. A topic that is not there is left out, and said.
    ///
    /// # Errors
    /// If the brokers do not answer, or refuse.
    pub(super) fn plan(config: &ClientConfig, starts: &Table) -> Result<Scan, KafkaError> {
        let brokers = config.get("bootstrap.servers").unwrap_or_default().to_owned();
        let consumer = config.create_with_context(Link::default());
        let consumer = consumer.map_err(|error| KafkaError::config(&error))?;
        access::wait_for_token(&consumer, config.get("sasl.mechanisms"));
        let mut scan = Scan { consumer, brokers, ranges: BTreeMap::new(), is_trimmed: false };
        scan.assign(starts).map_err(|error| scan.failed("offsets", &error))?;
        Ok(scan)
    }

    fn assign(&mut self, starts: &Table) -> Result<(), ClientError> {
        let mut list = TopicPartitionList::new();
        for (topic, offsets) in starts {
            let metadata = self.consumer.fetch_metadata(Some(topic), ANSWER_TIMEOUT)?;
            let found = metadata.topics().iter().find(|it| it.name() == topic);
            if let Some(error) = found.and_then(|it| it.error()) {
                let error = Code::from(error);
                tracing::warn!(topic, %error, "the topic cannot be read");
                continue;
            }
            for partition in found.map(|it| it.partitions()).unwrap_or_default() {
                let id = partition.id();
                let (first, end) = self.consumer.fetch_watermarks(topic, id, ANSWER_TIMEOUT)?;
                self.is_trimmed |= first > 0;
                // A partition that was added since holds nothing older; in a topic that was made anew,
                // all is new.
                let from = offsets.get(&id).copied().filter(|it| *it <= end).unwrap_or(first);
                let from = from.max(first);
                if from < end {
                    list.add_partition_offset(topic, id, Offset::Offset(from))?;
                    self.ranges.insert((topic.clone(), id), Range { end, bytes: 0 });
                }
            }
        }
        self.consumer.assign(&list)
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
        let mut last_ns = clock.monotonic_ns();
        // By partition, how many said that they are at their end: whose topic it is, nobody says.
        let mut ended: HashMap<i32, usize> = HashMap::new();
        while !self.ranges.is_empty() {
            let is_silent = clock.monotonic_ns() > last_ns + SILENCE_NS_MAX;
            let message = match self.consumer.poll(Duration::from_millis(100)) {
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
            if message.offset() < range.end {
                range.bytes += message.payload_len() as u64;
                each(&message);
            }
            let is_over = range.bytes > bytes_max;
            is_all &= !is_over;
            if message.offset() + 1 >= range.end || is_over {
                self.ranges.remove(&key);
            }
        }
        Ok(is_all)
    }

    fn failed(&self, what: &str, error: &ClientError) -> KafkaError {
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
