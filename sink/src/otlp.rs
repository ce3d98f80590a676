//! OTLP encoder: one `ExportLogsServiceRequest` per section, written straight from the batch.
//!
//! Owned by a reader, on its thread. There are no intermediate objects: bytes go from the chunk
//! into the block, with lengths worked out beforehand or, for the few outer messages, filled in
//! afterwards. A section is one `ResourceLogs`; a run of records of one stream is one `ScopeLogs`.
//! `docs/WIRE.md` has the layout and the measurements behind it.

mod record;
pub(crate) mod wire;

use std::fmt::Write as _;

use flow::{AttributeValue, Chunk, Content, Encode, Encoding, Gap, Section, Stream, attribute};

use self::record::{RecordWriter, Templates};
use self::wire::tag;
use crate::gap_text::GapText;
use crate::utf8::Utf8Regions;

/// Name of the instrumentation scope.
pub const SCOPE_NAME: &str = "logferry";
/// Severity of a gap: `SEVERITY_NUMBER_WARN` of the OTLP protocol.
pub(crate) const GAP_SEVERITY_NUMBER: u8 = 13;
/// Severity of a gap, as text.
pub(crate) const GAP_SEVERITY_TEXT: &str = "WARN";

/// Most bytes around an attribute's key and value: five tags, lengths of five bytes, a number.
const ATTRIBUTE_OVERHEAD_BYTES: usize = 40;
/// Room for what every section has: the outer messages, the context id, the epoch, and a gap.
const FIXED_BYTES: usize = 512;

/// Writes sections as OTLP.
#[derive(Debug)]
pub struct OtlpEncoder {
    templates: Templates,
    /// The `scope` field of records without stream, of stdout and of stderr.
    scopes: [Vec<u8>; 3],
    /// Rendered texts of attributes; reused.
    text: String,
}

impl Default for OtlpEncoder {
    fn default() -> OtlpEncoder {
        OtlpEncoder::new()
    }
}

impl OtlpEncoder {
    /// An encoder.
    #[must_use]
    pub fn new() -> OtlpEncoder {
        OtlpEncoder {
            templates: Templates::new(),
            scopes: [None, Some(Stream::Stdout), Some(Stream::Stderr)].map(scope),
            text: String::new(),
        }
    }

    fn put_resource(&mut self, section: &Section, out: &mut Vec<u8>) {
        let resource = wire::open(out, tag::RESOURCE_LOGS_RESOURCE);
        let tag = tag::RESOURCE_ATTRIBUTES;
        for fact in &section.context.attributes {
            match &fact.value {
                AttributeValue::Text(text) => wire::put_text_attribute(out, tag, &fact.key, text),
                AttributeValue::Int(number) => {
                    wire::put_int_attribute(out, tag, &fact.key, *number)
                }
            }
        }
        self.render(format_args!("{}", section.context.id));
        wire::put_text_attribute(out, tag, attribute::LOG_CONTEXT_ID, &self.text);
        wire::put_int_attribute(out, tag, attribute::LOG_EPOCH, i64::from(section.epoch));
        wire::close(out, resource);
    }

    fn put_records(&self, section: &Section, chunk: &Chunk, out: &mut Vec<u8>) {
        let writer = RecordWriter {
            templates: &self.templates,
            text: Utf8Regions::of(chunk),
            chunk,
            section,
        };
        for run in chunk.records().chunk_by(|a, b| a.flags.stream() == b.flags.stream()) {
            let scope_logs = wire::open(out, tag::RESOURCE_LOGS_SCOPE_LOGS);
            out.extend_from_slice(&self.scopes[scope_index(run[0].flags.stream())]);
            writer.put_all(run, out);
            wire::close(out, scope_logs);
        }
    }

    fn put_gap(&mut self, section: &Section, gap: Gap, out: &mut Vec<u8>) {
        let scope_logs = wire::open(out, tag::RESOURCE_LOGS_SCOPE_LOGS);
        out.extend_from_slice(&self.scopes[scope_index(None)]);
        let record = wire::open(out, tag::SCOPE_LOGS_LOG_RECORDS);
        out.extend_from_slice(&[tag::RECORD_SEVERITY_NUMBER, GAP_SEVERITY_NUMBER]);
        wire::put_bytes(out, tag::RECORD_SEVERITY_TEXT, GAP_SEVERITY_TEXT.as_bytes());
        self.render(format_args!("{}", GapText { gap, span: section.span }));
        out.push(tag::RECORD_BODY);
        wire::put_varint(out, wire::field_len(self.text.len()) as u64);
        wire::put_bytes(out, tag::ANY_STRING, self.text.as_bytes());
        out.push(tag::RECORD_OBSERVED_TIME);
        out.extend_from_slice(&section.observed_unix_ns.to_le_bytes());
        let tag = tag::RECORD_ATTRIBUTES;
        let (begin, bytes) = (section.span.begin.cast_signed(), section.span.bytes().cast_signed());
        wire::put_int_attribute(out, tag, attribute::LOG_CURSOR, begin);
        wire::put_text_attribute(out, tag, attribute::LOG_GAP_REASON, gap.reason.name());
        wire::put_int_attribute(out, tag, attribute::LOG_GAP_BYTES, bytes);
        wire::close(out, record);
        wire::close(out, scope_logs);
    }

    /// What `section` takes at most, so that the inner loop never grows the block.
    fn bytes_max(&self, section: &Section) -> usize {
        let attributes = section.context.attributes.iter().map(|fact| match &fact.value {
            AttributeValue::Text(text) => fact.key.len() + text.len() + ATTRIBUTE_OVERHEAD_BYTES,
            AttributeValue::Int(_) => fact.key.len() + ATTRIBUTE_OVERHEAD_BYTES,
        });
        let scope = self.scopes.iter().map(Vec::len).max().unwrap_or(0) + ATTRIBUTE_OVERHEAD_BYTES;
        FIXED_BYTES + attributes.sum::<usize>() + record::bytes_max(section.records(), scope)
    }

    fn render(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.clear();
        self.text.write_fmt(text).expect("writing to a string does not fail");
    }
}

impl Encode for OtlpEncoder {
    fn encoding(&self) -> Encoding {
        Encoding::OtlpProto
    }

    fn encode(&mut self, section: &Section, out: &mut Vec<u8>) {
        if section.records().is_empty() && !matches!(section.content, Content::Gap(_)) {
            return;
        }
        out.reserve(self.bytes_max(section));
        let resource_logs = wire::open(out, tag::REQUEST_RESOURCE_LOGS);
        self.put_resource(section, out);
        match &section.content {
            Content::Records { chunk, .. } => self.put_records(section, chunk, out),
            Content::Gap(gap) => self.put_gap(section, *gap, out),
            Content::End => {}
        }
        wire::close(out, resource_logs);
    }
}

/// The `scope` field of a `ScopeLogs`.
fn scope(stream: Option<Stream>) -> Vec<u8> {
    let mut fields = Vec::new();
    wire::put_bytes(&mut fields, tag::SCOPE_NAME, SCOPE_NAME.as_bytes());
    wire::put_bytes(&mut fields, tag::SCOPE_VERSION, env!("CARGO_PKG_VERSION").as_bytes());
    if let Some(stream) = stream {
        let key = attribute::LOG_IOSTREAM;
        wire::put_text_attribute(&mut fields, tag::SCOPE_ATTRIBUTES, key, stream.name());
    }
    let mut scope = Vec::new();
    wire::put_bytes(&mut scope, tag::SCOPE_LOGS_SCOPE, &fields);
    scope
}

fn scope_index(stream: Option<Stream>) -> usize {
    match stream {
        None => 0,
        Some(Stream::Stdout) => 1,
        Some(Stream::Stderr) => 2,
    }
}

#[cfg(test)]
mod tests;
