//! Topic reader: all that a topic holds, for who audits it.

use std::collections::BTreeMap;

use flow::{Clock, Encoding, PayloadHeader};
use rdkafka::message::Message;

use super::config;
use super::header::Header;
use super::producer::KafkaError;
use super::scan::Scan;

/// A topic from its first message to the ends that it had when it was opened.
pub struct TopicReader {
    scan: Scan,
}

impl std::fmt::Debug for TopicReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicReader").finish_non_exhaustive()
    }
}

/// A message of a topic.
#[derive(Debug)]
pub enum TopicMessage<'a> {
    /// One of ours: what it says of itself, and its body.
    Section(PayloadHeader, Encoding, &'a [u8]),
    /// Another: where it is, and why it is none.
    Other(String),
}

impl TopicReader {
    /// Asks where the topic's partitions begin and end. `properties` are further ones of librdkafka.
    ///
    /// # Errors
    /// If the brokers do not answer, or refuse.
    pub fn open(
        brokers: &str,
        topic: &str,
        properties: &[(String, String)],
    ) -> Result<TopicReader, KafkaError> {
        let mut config = config::consumer(brokers, "logferry");
        for (key, value) in properties {
            config.set(key, value);
        }
        let all = BTreeMap::from([(topic.to_owned(), BTreeMap::new())]);
        Ok(TopicReader { scan: Scan::plan(&config, &all)? })
    }

    /// Whether retention has removed what came first.
    #[must_use]
    pub fn is_trimmed(&self) -> bool {
        self.scan.is_trimmed
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
        self.scan.read(u64::MAX, clock, |message| {
            let body = message.payload().unwrap_or_default();
            let header = message.headers().map(Header::decode);
            each(match header {
                Some(Ok(header)) => {
                    let (encoding, observed_ms) =
                        (header.encoding, message.timestamp().to_millis());
                    let header = PayloadHeader {
                        context: header.context,
                        epoch: header.epoch,
                        span: header.span,
                        marks: header.marks,
                        records: header.records,
                        filtered: 0,
                        gap: header.gap,
                        observed_unix_ns: observed_ms.unwrap_or(0).saturating_mul(1_000_000),
                        is_divisible: false,
                        is_inner: header.positions.is_none(),
                        positions: header.positions.unwrap_or_default(),
                        range: 0..u32::try_from(body.len()).unwrap_or(u32::MAX),
                    };
                    TopicMessage::Section(header, encoding, body)
                }
                other => {
                    let why = other.and_then(Result::err).map(|it| it.to_string());
                    let why = why.unwrap_or_else(|| "no headers".to_owned());
                    let (partition, offset) = (message.partition(), message.offset());
                    TopicMessage::Other(format!("partition {partition}, offset {offset}: {why}"))
                }
            });
        })?;
        Ok(())
    }
}
