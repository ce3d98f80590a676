//! Read-back: what the topics already hold that the checkpoint does not know of, for the agent's start.
//!
//! From the offsets kept at the last checkpoint to the ends, by the headers alone. It has whatever other
//! agents wrote there meanwhile, too; nobody asks for that.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use flow::{Clock, ContextId, PersistedSpan, ReadBack};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::config::KafkaConfig;
use super::header::Header;
use super::offsets::Offsets;
use super::producer::{ANSWER_TIMEOUT, KafkaError};
use crate::spans;

/// Longest wait for the next message, in nanoseconds.
///
/// 30 s: as long as a broker may be silent to the producer.
const SILENCE_NS_MAX: u64 = 30_000_000_000;

/// What the topics held when the agent started.
#[derive(Debug, Default)]
pub struct KafkaReadBack {
    contexts: HashMap<ContextId, Vec<PersistedSpan>>,
}

/// By topic and partition.
type Ranges = BTreeMap<(String, i32), Range>;

/// A partition that is read.
#[derive(Debug, Clone, Copy)]
struct Range {
    /// Where its end was.
    end: i64,
    bytes: u64,
}

impl KafkaReadBack {
    /// Reads back what the sink with that configuration wrote last.
    ///
    /// # Errors
    /// If the brokers do not answer: without their answer, what is read now may be a double.
    pub fn of(config: &KafkaConfig, clock: &dyn Clock) -> Result<KafkaReadBack, KafkaError> {
        let offsets = Offsets::open(&config.offsets)
            .map_err(|source| KafkaError::Offsets { path: config.offsets.clone(), source })?;
        let mut read_back = KafkaReadBack::default();
        if offsets.stored().is_empty() {
            return Ok(read_back);
        }
        let consumer: BaseConsumer =
            config.consumer().create().map_err(|error| KafkaError::Config(Box::new(error)))?;
        let error = |what: &str, source| KafkaError::Brokers {
            brokers: config.brokers.clone(),
            what: what.to_owned(),
            source: Box::new(source),
        };
        let (list, mut ranges) =
            plan(&consumer, offsets.stored()).map_err(|it| error("offsets to read back", it))?;
        consumer.assign(&list).map_err(|it| error("reading back", it))?;
        read_back
            .read(&consumer, &mut ranges, config.read_back_bytes_max, clock)
            .map_err(|it| error("reading back", it))?;
        Ok(read_back)
    }

    fn read(
        &mut self,
        consumer: &BaseConsumer,
        ranges: &mut Ranges,
        bytes_max: u64,
        clock: &dyn Clock,
    ) -> Result<(), ClientError> {
        let mut last_ns = clock.monotonic_ns();
        // By partition, how many said that they are at their end: whose topic it is, nobody says.
        let mut ended: HashMap<i32, usize> = HashMap::new();
        while !ranges.is_empty() {
            let is_silent = clock.monotonic_ns() > last_ns + SILENCE_NS_MAX;
            let message = match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => message,
                // Only control records, which nobody gets to see, stand before the end.
                Some(Err(ClientError::PartitionEOF(partition))) => {
                    let ended = ended.entry(partition).or_default();
                    *ended += 1;
                    if *ended >= ranges.keys().filter(|it| it.1 == partition).count() {
                        ranges.retain(|(_, it), _| *it != partition);
                    }
                    continue;
                }
                Some(Err(error)) if is_passing(&error) && !is_silent => continue,
                Some(Err(error)) => return Err(error),
                None if !is_silent => continue,
                None => {
                    let code = rdkafka::types::RDKafkaErrorCode::OperationTimedOut;
                    return Err(ClientError::MessageConsumption(code));
                }
            };
            last_ns = clock.monotonic_ns();
            let key = (message.topic().to_owned(), message.partition());
            let Some(range) = ranges.get_mut(&key) else { continue };
            if message.offset() < range.end {
                range.bytes += message.payload_len() as u64;
                self.take(&message);
            }
            let is_over = range.bytes > bytes_max;
            if is_over {
                let (topic, partition) = &key;
                tracing::error!(topic, partition, "too much to read back; doubles are possible");
            }
            if message.offset() + 1 >= range.end || is_over {
                ranges.remove(&key);
            }
        }
        Ok(())
    }

    fn take(&mut self, message: &rdkafka::message::BorrowedMessage<'_>) {
        let Some(Ok(header)) = message.headers().map(Header::decode) else { return };
        let Header { context, epoch, span, positions, .. } = header;
        spans::add(self.contexts.entry(context.id).or_default(), epoch, span, &positions);
    }
}

/// Where to read from, and how far.
fn plan(
    consumer: &BaseConsumer,
    stored: &super::offsets::Table,
) -> Result<(TopicPartitionList, Ranges), ClientError> {
    let mut list = TopicPartitionList::new();
    let mut ranges = BTreeMap::new();
    for (topic, offsets) in stored {
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER_TIMEOUT)?;
        let found = metadata.topics().iter().find(|it| it.name() == topic);
        if let Some(error) = found.and_then(|it| it.error()) {
            let error: rdkafka::types::RDKafkaErrorCode = error.into();
            tracing::warn!(topic, %error, "cannot be read back; doubles are possible if it had ours");
            continue;
        }
        for partition in found.map(|it| it.partitions()).unwrap_or_default() {
            let id = partition.id();
            let (first, end) = consumer.fetch_watermarks(topic, id, ANSWER_TIMEOUT)?;
            // A partition that was added since holds nothing older; in a topic that was made anew, all is new.
            let from = offsets.get(&id).copied().filter(|it| *it <= end).unwrap_or(first);
            let from = from.max(first);
            if from < end {
                list.add_partition_offset(topic, id, Offset::Offset(from))?;
                ranges.insert((topic.clone(), id), Range { end, bytes: 0 });
            }
        }
    }
    Ok((list, ranges))
}

/// Whether it may go well in a moment.
fn is_passing(error: &ClientError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
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

impl ReadBack for KafkaReadBack {
    fn persisted(&mut self, context: ContextId) -> Vec<PersistedSpan> {
        self.contexts.get(&context).cloned().unwrap_or_default()
    }
}
