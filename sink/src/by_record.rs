//! By record: payloads whose records are messages of their own, one frame after the other in a block.
//!
//! Such a block never leaves the agent: a sink takes the frames out, and sends what is in them. A frame is
//! the cursor (8 bytes), the line's time in nanoseconds since 1970 or 0 (8), flags (2) and the length (4), all
//! little-endian, then as many bytes.

use std::io::Write as _;
use std::ops::Range;

use flow::{Content, Encode, Encoding, RecordFlags, Section};

use crate::gap_text::GapText;
use crate::json_lines::JsonLinesEncoder;

/// Bytes of a frame before those of its record.
const HEAD_BYTES: usize = 22;

/// Flags that a frame keeps: those with a name, and the streams.
const KEPT: [RecordFlags; 7] = [
    RecordFlags::PART,
    RecordFlags::CONTINUED,
    RecordFlags::UNTERMINATED,
    RecordFlags::MALFORMED,
    RecordFlags::BINARY,
    RecordFlags::STDOUT,
    RecordFlags::STDERR,
];

/// Writes sections as frames: of each record its bytes alone, or an object of JSON.
#[derive(Debug)]
pub(crate) struct ByRecordEncoder {
    /// For JSON: what writes it, and where it does.
    json: Option<(JsonLinesEncoder, Vec<u8>)>,
}

impl ByRecordEncoder {
    /// Frames with one JSON object each, as a line of [`JsonLinesEncoder`] without its end.
    #[must_use]
    pub(crate) fn json() -> ByRecordEncoder {
        ByRecordEncoder { json: Some((JsonLinesEncoder::new(), Vec::new())) }
    }

    /// Frames with the record's own bytes.
    #[must_use]
    pub(crate) fn raw() -> ByRecordEncoder {
        ByRecordEncoder { json: None }
    }
}

impl Encode for ByRecordEncoder {
    fn encoding(&self) -> Encoding {
        if self.json.is_some() { Encoding::Json } else { Encoding::Raw }
    }

    fn encode(&mut self, section: &Section, out: &mut Vec<u8>) {
        let begin = section.span.begin;
        let mut lines = match &mut self.json {
            Some((encoder, lines)) => {
                lines.clear();
                encoder.encode(section, lines);
                // One for each record, and none has a line end inside.
                Some(lines.split(|byte| *byte == b'\n'))
            }
            None => None,
        };
        let mut line = || lines.as_mut().map(|it| it.next().unwrap_or_default());
        match &section.content {
            Content::Records { chunk, .. } => {
                for record in chunk.records() {
                    let body = line().unwrap_or_else(|| chunk.body(record));
                    let cursor = begin + u64::from(record.cursor);
                    put(out, cursor, record.time_unix_ns, record.flags, body);
                }
            }
            Content::Gap(gap) => {
                let mut text = Vec::new();
                let body = line().unwrap_or_else(|| {
                    let gap = GapText { gap: *gap, span: section.span };
                    write!(text, "{gap}").expect("memory");
                    &text
                });
                put(out, begin, 0, RecordFlags::NONE, body);
            }
            Content::End => {}
        }
    }
}

/// Appends a frame.
pub(crate) fn put(
    out: &mut Vec<u8>,
    cursor: u64,
    time_unix_ns: i64,
    flags: RecordFlags,
    body: &[u8],
) {
    let bits = KEPT.iter().enumerate().filter(|(_, flag)| flags.has(**flag));
    let bits = bits.fold(0_u16, |bits, (bit, _)| bits | 1 << bit);
    let len = u32::try_from(body.len()).expect("a record is far below 4 GiB");
    out.reserve(HEAD_BYTES + body.len());
    out.extend_from_slice(&cursor.to_le_bytes());
    out.extend_from_slice(&time_unix_ns.to_le_bytes());
    out.extend_from_slice(&bits.to_le_bytes());
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(body);
}

/// One record of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Cursor of its first byte.
    pub(crate) cursor: u64,
    /// Time that the line carries, nanoseconds since 1970; 0 if it carries none.
    pub(crate) time_unix_ns: i64,
    /// Stream and oddities.
    pub(crate) flags: RecordFlags,
    /// Where its bytes lie in the block.
    pub(crate) range: Range<usize>,
}

/// The records at `range` of a block that a [`ByRecordEncoder`] wrote.
///
/// # Panics
/// If it was not written by one: it never leaves the process.
pub(crate) fn frames(block: &[u8], range: Range<usize>) -> impl Iterator<Item = Frame> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        if at >= range.end {
            return None;
        }
        let (head, _) = block[at..].split_first_chunk::<HEAD_BYTES>().expect("a whole frame");
        let eight = |from: usize| head[from..from + 8].try_into().expect("eight bytes");
        let bits = u16::from_le_bytes([head[16], head[17]]);
        let len = u32::from_le_bytes([head[18], head[19], head[20], head[21]]) as usize;
        let set = KEPT.into_iter().enumerate().filter(|(bit, _)| bits & 1 << bit != 0);
        let begin = at + HEAD_BYTES;
        at = begin + len;
        Some(Frame {
            cursor: u64::from_le_bytes(eight(0)),
            time_unix_ns: i64::from_le_bytes(eight(8)),
            flags: set.fold(RecordFlags::NONE, |flags, (_, flag)| flags.with(flag)),
            range: begin..at,
        })
    })
}

#[cfg(test)]
mod tests {
    use flow::{GapReason, Span};

    use super::*;
    use crate::section_kit::{Line, gap, records};

    fn bodies(encoder: &mut ByRecordEncoder, section: &Section) -> Vec<(Frame, String)> {
        let mut block = b"before".to_vec();
        encoder.encode(section, &mut block);
        let text = |it: Frame| {
            let text = String::from_utf8(block[it.range.clone()].to_vec()).unwrap();
            (it, text)
        };
        frames(&block, 6..block.len()).map(text).collect()
    }

    fn lines() -> Vec<Line> {
        let flags = RecordFlags::STDERR.with(RecordFlags::PART);
        vec![Line::plain("one"), Line { flags, time_unix_ns: 7, ..Line::plain("") }]
    }

    #[test]
    fn each_record_is_a_frame_of_its_own_bytes() {
        let found = bodies(&mut ByRecordEncoder::raw(), &records(100, &lines()));
        let texts: Vec<&str> = found.iter().map(|it| it.1.as_str()).collect();
        assert_eq!(texts, ["one", ""]);
        let [(first, _), (second, _)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((first.cursor, first.time_unix_ns, first.flags), (100, 0, RecordFlags::NONE));
        let flags = RecordFlags::STDERR.with(RecordFlags::PART);
        assert_eq!((second.cursor, second.time_unix_ns, second.flags), (104, 7, flags));
    }

    #[test]
    fn each_record_is_a_line_of_json_without_its_end() {
        let section = records(100, &lines());
        let mut wanted = Vec::new();
        JsonLinesEncoder::new().encode(&section, &mut wanted);
        let found = bodies(&mut ByRecordEncoder::json(), &section);
        let joined: String = found.iter().map(|it| format!("{}\n", it.1)).collect();
        assert_eq!(joined.as_bytes(), wanted);
    }

    #[test]
    fn a_gap_is_one_frame() {
        let section = gap(Span::new(5, 9), GapReason::Truncated);
        let found = bodies(&mut ByRecordEncoder::raw(), &section);
        assert_eq!(found[0].1, "gap: truncated: bytes 5 to 9 of the source were not delivered");
        let found = bodies(&mut ByRecordEncoder::json(), &section);
        assert_eq!(found.len(), 1);
        assert!(found[0].1.starts_with('{') && found[0].1.ends_with('}'), "{found:?}");
    }
}
