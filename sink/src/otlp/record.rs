//! The inner loop of the OTLP encoder: `LogRecord` messages, one per record.
//!
//! Per record: a few lengths, two short pieces and one copy of the body. No allocation, since the
//! section's bound was reserved before, and no branch that depends on the record but for its
//! time, its kind of bytes and its rare flags.

use flow::{Chunk, Record, RecordFlags, Section, attribute};

use super::wire::{self, Piece, VARINT_BYTES_MAX, tag, varint_len};
use crate::utf8::Utf8Regions;

/// Most bytes in front of a body: three tags and lengths, and slack for the last varint's word.
const HEAD_BYTES: usize = 3 * (1 + 5) + 8;
/// Bytes of the cursor attribute in front of the number: tag, length, key, tag, length, tag.
const CURSOR_PREFIX_BYTES: usize = 2 + 2 + attribute::LOG_CURSOR.len() + 2 + 1;
/// Most bytes behind a body, without flags: the time, the cursor, and slack.
const TAIL_BYTES: usize = 1 + 8 + CURSOR_PREFIX_BYTES + VARINT_BYTES_MAX + 8;
/// Most bytes of the flags attribute: all names of [`RecordFlags::NAMED`] together.
const FLAGS_BYTES: usize = 80;
/// How many sets of named flags there are.
const FLAG_SETS: usize = 1 << RecordFlags::NAMED.len();

/// The bytes of a record that are always the same.
#[derive(Debug)]
pub(super) struct Templates {
    /// The cursor attribute in front of the number, by the length of the number.
    cursor: [[u8; CURSOR_PREFIX_BYTES]; VARINT_BYTES_MAX + 1],
    /// The flags attribute by the set of flags; empty for none.
    flags: [Vec<u8>; FLAG_SETS],
}

impl Templates {
    pub(super) fn new() -> Templates {
        Templates {
            cursor: std::array::from_fn(cursor_prefix),
            flags: std::array::from_fn(flags_attribute),
        }
    }

    fn flags_of(&self, flags: RecordFlags) -> &[u8] {
        if flags.has(RecordFlags::UNUSUAL) { &self.flags[flag_set(flags)] } else { &[] }
    }
}

/// What `records` take at most if a change of stream costs `scope_bytes`.
pub(super) fn bytes_max(records: &[Record], scope_bytes: usize) -> usize {
    let mut bytes = 0;
    let mut stream = None;
    for record in records {
        bytes += record.len as usize + HEAD_BYTES + TAIL_BYTES;
        bytes += if record.flags.has(RecordFlags::UNUSUAL) { FLAGS_BYTES } else { 0 };
        bytes += if stream == Some(record.flags.stream()) { 0 } else { scope_bytes };
        stream = Some(record.flags.stream());
    }
    bytes
}

/// Number of the set of named flags in `flags`.
fn flag_set(flags: RecordFlags) -> usize {
    let names = RecordFlags::NAMED.iter().enumerate();
    names.map(|(bit, (flag, _))| usize::from(flags.has(*flag)) << bit).sum()
}

fn flags_attribute(set: usize) -> Vec<u8> {
    let mut attribute = Vec::new();
    if set != 0 {
        let named = RecordFlags::NAMED.iter().enumerate();
        let names: Vec<&str> =
            named.filter(|(bit, _)| set >> bit & 1 == 1).map(|(_, (_, name))| *name).collect();
        let tag = tag::RECORD_ATTRIBUTES;
        wire::put_text_attribute(&mut attribute, tag, attribute::LOG_FLAGS, &names.join(","));
    }
    assert!(attribute.len() <= FLAGS_BYTES, "{} bytes of flags", attribute.len());
    attribute
}

/// The cursor attribute in front of a number of `len` bytes.
fn cursor_prefix(len: usize) -> [u8; CURSOR_PREFIX_BYTES] {
    let key = attribute::LOG_CURSOR.as_bytes();
    let short = |len: usize| u8::try_from(len).expect("a cursor attribute has 27 bytes at most");
    let mut prefix = vec![tag::RECORD_ATTRIBUTES, short(CURSOR_PREFIX_BYTES - 2 + len)];
    prefix.extend_from_slice(&[tag::KEY, short(key.len())]);
    prefix.extend_from_slice(key);
    prefix.extend_from_slice(&[tag::VALUE, short(1 + len), tag::ANY_INT]);
    prefix.try_into().expect("CURSOR_PREFIX_BYTES adds up the same fields")
}

/// Writes the records of one section.
#[derive(Debug)]
pub(super) struct RecordWriter<'a> {
    pub(super) templates: &'a Templates,
    pub(super) chunk: &'a Chunk,
    pub(super) text: Utf8Regions,
    pub(super) section: &'a Section,
}

impl RecordWriter<'_> {
    /// Appends one `log_records` field per record of `run`.
    pub(super) fn put_all(&self, run: &[Record], out: &mut Vec<u8>) {
        let observed = self.section.observed_unix_ns.to_le_bytes();
        let begin = self.section.span.begin;
        for record in run {
            let (body, is_text) = self.text.body(self.chunk, record);
            let flags = self.templates.flags_of(record.flags);
            let cursor = begin + u64::from(record.cursor);
            let cursor_len = varint_len(cursor);

            let body_len = body.len() as u64;
            let body_len_len = varint_len(body_len);
            let any_len = 1 + body_len_len as u64 + body_len;
            let any_len_len = varint_len(any_len);
            let tail_len = 1 + 8 + CURSOR_PREFIX_BYTES + cursor_len + flags.len();
            let record_len = 1 + (any_len_len + tail_len) as u64 + any_len;

            wire::append(out, |head: &mut Piece<'_, HEAD_BYTES>| {
                head.put([tag::SCOPE_LOGS_LOG_RECORDS]);
                head.put_varint(record_len, varint_len(record_len));
                head.put([tag::RECORD_BODY]);
                head.put_varint(any_len, any_len_len);
                head.put([if is_text { tag::ANY_STRING } else { tag::ANY_BYTES }]);
                head.put_varint(body_len, body_len_len);
            });
            out.extend_from_slice(body);
            wire::append(out, |tail: &mut Piece<'_, TAIL_BYTES>| {
                // The wire's times begin in 1970, and its 0 is none.
                if record.time_unix_ns <= 0 {
                    tail.put([tag::RECORD_OBSERVED_TIME]);
                    tail.put(observed);
                } else {
                    tail.put([tag::RECORD_TIME]);
                    tail.put(record.time_unix_ns.to_le_bytes());
                }
                tail.put(self.templates.cursor[cursor_len]);
                tail.put_varint(cursor, cursor_len);
            });
            if !flags.is_empty() {
                out.extend_from_slice(flags);
            }
        }
    }
}
