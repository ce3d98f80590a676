//! Topic message: what somebody who reads a topic finds in it.

use std::borrow::Cow;

use flow::{Codec, Encoding, PayloadHeader};
use rdkafka::message::{BorrowedMessage, Message};

use super::header::{self, Header};
use crate::compress::{DecompressError, decompress_within};

/// Most bytes that a value may have before compression.
///
/// 64 MiB: no section is nearly as large, and whoever may write to the topic can promise anything.
pub(super) const VALUE_BYTES_MAX: usize = 64 << 20;

/// A message of a topic.
#[derive(Debug)]
pub enum TopicMessage<'a> {
    /// One of ours.
    Section(TopicSection<'a>),
    /// One that says to be ours, and cannot be understood: where it is, and why.
    Damaged(String),
    /// Somebody else's.
    Foreign,
}

/// A section in a topic.
#[derive(Debug, Clone)]
pub struct TopicSection<'a> {
    /// What it says of itself.
    pub header: PayloadHeader,
    /// How its value is encoded.
    pub encoding: Encoding,
    /// How its value is compressed, beside Kafka's own compression.
    pub codec: Codec,
    /// The partition.
    pub partition: i32,
    /// Its place there.
    pub offset: i64,
    value: Cow<'a, [u8]>,
}

impl<'a> TopicMessage<'a> {
    pub(super) fn of(message: &'a BorrowedMessage<'_>) -> TopicMessage<'a> {
        let Some(headers) = message.headers().filter(|it| header::is_ours(*it)) else {
            return TopicMessage::Foreign;
        };
        let (partition, offset) = (message.partition(), message.offset());
        let header = match Header::decode(headers) {
            Ok(header) => header,
            Err(error) => {
                let what = format!("partition {partition}, offset {offset}: {error}");
                return TopicMessage::Damaged(what);
            }
        };
        let (encoding, codec) = (header.encoding, header.codec);
        let body = message.payload().unwrap_or_default();
        let observed_ms = message.timestamp().to_millis();
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
            part_of: header.part_of,
            is_inner: header.positions.is_none(),
            positions: header.positions.unwrap_or_default(),
            range: 0..u32::try_from(body.len()).unwrap_or(u32::MAX),
        };
        let value = Cow::Borrowed(body);
        TopicMessage::Section(TopicSection { header, encoding, codec, partition, offset, value })
    }
}

impl TopicSection<'_> {
    /// The section's payload, as it was before compression.
    ///
    /// # Errors
    /// If it is not what its codec makes, or larger than any section is.
    pub fn body(&self) -> Result<Cow<'_, [u8]>, DecompressError> {
        if self.codec == Codec::None {
            return Ok(Cow::Borrowed(&self.value));
        }
        let mut raw = Vec::new();
        decompress_within(self.codec, &self.value, VALUE_BYTES_MAX, &mut raw)?;
        Ok(Cow::Owned(raw))
    }

    /// The same with a copy of the value, to be kept.
    #[must_use]
    pub fn into_owned(self) -> TopicSection<'static> {
        let value = Cow::Owned(self.value.into_owned());
        let TopicSection { header, encoding, codec, partition, offset, .. } = self;
        TopicSection { header, encoding, codec, partition, offset, value }
    }
}
