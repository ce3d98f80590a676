//! JSON lines encoder: one flat JSON object per record, each ended by a newline.
//!
//! Owned by a reader, on its thread. What is the same for all records of a section (attributes,
//! context id, epoch) is rendered once and copied; per record there are the body's escapes, the
//! cursor and the time. A body that is not UTF-8 is shown with U+FFFD in place of the bad bytes and
//! given exactly as `body.base64`. `docs/WIRE.md` has the fields.

pub(crate) mod base64;
mod escape;
pub(crate) mod time;

use std::io::Write as _;

use flow::{
    AttributeValue, Chunk, Content, Encode, Encoding, Gap, RecordFlags, Section, Stream, attribute,
};

use self::base64::put_base64;
use self::escape::put_escaped;
use self::time::{TIME_BYTES, TimeText};
use crate::gap_text::GapText;
use crate::otlp::GAP_SEVERITY_TEXT;
use crate::utf8::Utf8Regions;

/// Key of the exact bytes of a body that is not UTF-8.
const BODY_BASE64: &str = "body.base64";
/// Keys of a record's own fields: a context attribute of such a name would make the key double,
/// and is left out.
const RECORD_KEYS: [&str; 11] = [
    "time",
    "body",
    BODY_BASE64,
    "severity",
    attribute::LOG_CURSOR,
    attribute::LOG_IOSTREAM,
    attribute::LOG_FLAGS,
    attribute::LOG_GAP_REASON,
    attribute::LOG_GAP_BYTES,
    attribute::LOG_CONTEXT_ID,
    attribute::LOG_EPOCH,
];

/// Longest decimal number of 64 bits, in bytes.
const DECIMAL_BYTES_MAX: usize = 20;
/// Bytes of an ordinary record besides body and shared fields, rounded up: a guess that saves the
/// block from growing step by step.
const RECORD_OVERHEAD_BYTES: usize = TIME_BYTES + 64;

/// Writes sections as JSON lines.
#[derive(Debug)]
pub struct JsonLinesEncoder {
    time: TimeText,
    /// The end of every line of a section: shared fields, closing brace, newline. Reused.
    shared: Vec<u8>,
}

impl Default for JsonLinesEncoder {
    fn default() -> JsonLinesEncoder {
        JsonLinesEncoder::new()
    }
}

impl JsonLinesEncoder {
    /// An encoder.
    #[must_use]
    pub fn new() -> JsonLinesEncoder {
        JsonLinesEncoder { time: TimeText::new(), shared: Vec::new() }
    }

    fn render_shared(&mut self, section: &Section) {
        let shared = &mut self.shared;
        shared.clear();
        let facts = section.context.attributes.iter();
        for fact in facts.filter(|fact| !RECORD_KEYS.contains(&fact.key.as_ref())) {
            match &fact.value {
                AttributeValue::Text(text) => put_text(shared, &fact.key, text),
                AttributeValue::Int(number) => {
                    put_key(shared, &fact.key);
                    put_display(shared, number);
                }
            }
        }
        put_key(shared, attribute::LOG_CONTEXT_ID);
        shared.push(b'"');
        put_display(shared, section.context.id);
        shared.push(b'"');
        put_key(shared, attribute::LOG_EPOCH);
        put_display(shared, section.epoch);
        shared.extend_from_slice(b"}\n");
    }

    fn put_records(&mut self, section: &Section, chunk: &Chunk, out: &mut Vec<u8>) {
        let text = Utf8Regions::of(chunk);
        let bodies: usize = chunk.records().iter().map(|record| record.len as usize).sum();
        let per_record = self.shared.len() + RECORD_OVERHEAD_BYTES;
        out.reserve(bodies + chunk.records().len() * per_record);
        for record in chunk.records() {
            let has_time = record.time_unix_ns != 0;
            let time = if has_time { record.time_unix_ns } else { section.observed_unix_ns };
            self.begin_line(time, out);
            let (body, is_text) = text.body(chunk, record);
            if is_text {
                put_escaped(out, body);
                out.push(b'"');
            } else {
                put_bytes_body(out, body);
            }
            put_cursor(out, section.span.begin + u64::from(record.cursor));
            let stream: &[u8] = match record.flags.stream() {
                None => b"",
                Some(Stream::Stdout) => br#","log.iostream":"stdout""#,
                Some(Stream::Stderr) => br#","log.iostream":"stderr""#,
            };
            out.extend_from_slice(stream);
            let flags = if is_text { record.flags } else { record.flags.with(RecordFlags::BINARY) };
            if flags.has(RecordFlags::UNUSUAL) {
                put_flags(out, flags);
            }
            out.extend_from_slice(&self.shared);
        }
    }

    fn put_gap(&mut self, section: &Section, gap: Gap, out: &mut Vec<u8>) {
        self.begin_line(section.observed_unix_ns, out);
        // Neither reasons nor numbers have anything to escape.
        put_display(out, GapText { gap, span: section.span });
        out.push(b'"');
        put_text(out, "severity", GAP_SEVERITY_TEXT);
        put_cursor(out, section.span.begin);
        put_text(out, attribute::LOG_GAP_REASON, gap.reason.name());
        put_key(out, attribute::LOG_GAP_BYTES);
        put_display(out, section.span.bytes());
        out.extend_from_slice(&self.shared);
    }

    /// Appends a line up to the first byte of its body.
    fn begin_line(&mut self, unix_ns: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"time":""#);
        out.extend_from_slice(self.time.render(unix_ns));
        out.extend_from_slice(br#"","body":""#);
    }
}

impl Encode for JsonLinesEncoder {
    fn encoding(&self) -> Encoding {
        Encoding::JsonLines
    }

    fn encode(&mut self, section: &Section, out: &mut Vec<u8>) {
        self.render_shared(section);
        match &section.content {
            Content::Records { chunk, .. } => self.put_records(section, chunk, out),
            Content::Gap(gap) => self.put_gap(section, *gap, out),
            Content::End => {}
        }
    }
}

/// Appends the rest of a body that is not UTF-8, and its exact bytes.
#[cold]
fn put_bytes_body(out: &mut Vec<u8>, body: &[u8]) {
    for chunk in body.utf8_chunks() {
        put_escaped(out, chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
    out.push(b'"');
    put_key(out, BODY_BASE64);
    out.push(b'"');
    put_base64(out, body);
    out.push(b'"');
}

#[cold]
fn put_flags(out: &mut Vec<u8>, flags: RecordFlags) {
    put_key(out, attribute::LOG_FLAGS);
    let mut before = b'"';
    for (_, name) in RecordFlags::NAMED.iter().filter(|(flag, _)| flags.has(*flag)) {
        out.push(before);
        out.extend_from_slice(name.as_bytes());
        before = b',';
    }
    out.push(b'"');
}

fn put_cursor(out: &mut Vec<u8>, cursor: u64) {
    out.extend_from_slice(br#","log.cursor":"#);
    let mut digits = [b'0'; DECIMAL_BYTES_MAX];
    let mut at = DECIMAL_BYTES_MAX - 1;
    let mut rest = cursor;
    loop {
        digits[at] = b'0' + (rest % 10).to_le_bytes()[0];
        rest /= 10;
        if rest == 0 {
            break;
        }
        at -= 1;
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends `,"key":"text"`.
fn put_text(out: &mut Vec<u8>, key: &str, text: &str) {
    put_key(out, key);
    out.push(b'"');
    put_escaped(out, text.as_bytes());
    out.push(b'"');
}

/// Appends `,"key":`.
fn put_key(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(b",\"");
    put_escaped(out, key.as_bytes());
    out.extend_from_slice(b"\":");
}

fn put_display(out: &mut Vec<u8>, shown: impl std::fmt::Display) {
    write!(out, "{shown}").expect("writing to a vector does not fail");
}

#[cfg(test)]
mod tests;
