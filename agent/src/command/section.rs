//! Section: what the reading commands are given, from a queue or from a topic.

use std::borrow::Cow;

use bytes::Bytes;
use flow::{Context, Encoding, PayloadHeader, RecordFlags, attribute};
use memchr::memmem::Finder;
use sink::decode::{self, DecodedGap, DecodedRecord};
use sink::kafka::TopicSection;
use sink::queue::{Entry, Found};

use crate::cli::RecordFilter;

/// A section. Its body is opened when somebody wants it.
pub(crate) trait Section {
    /// What is known without opening the body.
    fn header(&self) -> &PayloadHeader;

    fn encoding(&self) -> Encoding;

    /// The payload, uncompressed.
    ///
    /// # Errors
    /// If it cannot be read, or is not what was written.
    fn body(&self) -> anyhow::Result<Bytes>;

    /// Where the records come from. Headers of messages have a part of it; `body` has all.
    fn context(&self, _body: &[u8]) -> Cow<'_, Context> {
        Cow::Borrowed(&self.header().context)
    }
}

impl Section for Found {
    fn header(&self) -> &PayloadHeader {
        &self.entry.header
    }

    fn encoding(&self) -> Encoding {
        self.block.encoding()
    }

    fn body(&self) -> anyhow::Result<Bytes> {
        Ok(Found::body(self)?)
    }
}

/// A section of a block that was read.
#[derive(Debug)]
pub(crate) struct InBlock<'a> {
    pub(super) entry: &'a Entry,
    pub(super) encoding: Encoding,
    pub(super) block: &'a Bytes,
}

impl Section for InBlock<'_> {
    fn header(&self) -> &PayloadHeader {
        &self.entry.header
    }

    fn encoding(&self) -> Encoding {
        self.encoding
    }

    fn body(&self) -> anyhow::Result<Bytes> {
        Ok(self.block.slice(self.entry.header.in_block()))
    }
}

impl Section for TopicSection<'_> {
    fn header(&self) -> &PayloadHeader {
        &self.header
    }

    fn encoding(&self) -> Encoding {
        self.encoding
    }

    fn body(&self) -> anyhow::Result<Bytes> {
        Ok(Bytes::from(TopicSection::body(self)?.into_owned()))
    }

    fn context(&self, body: &[u8]) -> Cow<'_, Context> {
        let known = &self.header.context;
        match decode::attributes(self.encoding, body) {
            Ok(attributes) if attributes.len() > known.attributes.len() => {
                let (id, tenant) = (known.id, known.tenant.clone());
                Cow::Owned(Context { id, tenant, attributes })
            }
            _ => Cow::Borrowed(known),
        }
    }
}

/// The records of a section's body.
///
/// # Errors
/// If the body is not what its encoding makes.
pub(crate) fn records<'a>(
    section: &impl Section,
    body: &'a [u8],
) -> anyhow::Result<Vec<DecodedRecord<'a>>> {
    let header = section.header();
    if section.encoding() == Encoding::Raw {
        return Ok(raw(header, body).into_iter().collect());
    }
    let records = decode::decode(section.encoding(), body);
    records.map_err(|error| anyhow::Error::new(error).context(header.context.to_string()))
}

/// The record whose bytes are all of a body, if there is one.
fn raw<'a>(header: &PayloadHeader, body: &'a [u8]) -> Option<DecodedRecord<'a>> {
    let gap =
        header.gap.map(|reason| DecodedGap { reason: Some(reason), bytes: header.span.bytes() });
    (header.records > 0 || gap.is_some()).then_some(DecodedRecord {
        cursor: header.span.begin,
        time_unix_ns: None,
        observed_unix_ns: Some(header.observed_unix_ns),
        stream: None,
        flags: RecordFlags::NONE,
        body: Cow::Borrowed(body),
        gap,
    })
}

/// Which records are wanted.
#[derive(Debug)]
pub(super) struct Filter<'a> {
    wanted: &'a RecordFilter,
    grep: Option<Finder<'a>>,
}

impl<'a> Filter<'a> {
    pub(super) fn new(wanted: &'a RecordFilter) -> Filter<'a> {
        let grep = wanted.grep.as_ref().map(|text| Finder::new(text.as_bytes()));
        Filter { wanted, grep }
    }

    /// Whether a section can have records that are wanted, as far as its header tells.
    pub(super) fn takes(&self, header: &PayloadHeader) -> bool {
        let (wanted, context) = (self.wanted, &*header.context);
        let wants = |wanted: &Option<String>, key: &str| {
            wanted.as_deref().is_none_or(|wanted| context.text(key) == Some(wanted))
        };
        wanted.context.is_none_or(|id| id == context.id)
            && wanted.tenant.as_deref().is_none_or(|it| it == &*context.tenant)
            && wanted.since.is_none_or(|since| header.observed_unix_ns >= since)
            && wants(&wanted.namespace, attribute::K8S_NAMESPACE_NAME)
            && wants(&wanted.pod, attribute::K8S_POD_NAME)
            && wants(&wanted.container, attribute::K8S_CONTAINER_NAME)
            && wants(&wanted.path, attribute::LOG_FILE_PATH)
    }

    /// Whether a record is wanted.
    pub(super) fn takes_record(&self, record: &DecodedRecord<'_>) -> bool {
        self.grep.as_ref().is_none_or(|it| it.find(&record.body).is_some())
    }
}
