//! Payload: a batch of sections, encoded and compressed, with headers that make it readable unopened.
//!
//! All its sections are of one tenant. Quiet contexts share a batch, and so a compressed block.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::{
    Context, GapReason, Marks, Permit, Place, Position, RecordFlags, Span, Streams, Ticket,
};

/// How records are written in a payload. The codes stand in queues and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Encoding {
    /// OTLP logs, protobuf: one `ExportLogsServiceRequest` per section.
    OtlpProto = 1,
    /// One JSON object per record, each ended by a newline.
    JsonLines = 2,
    /// One JSON object per record, each a message of its own.
    Json = 3,
    /// The bytes of each record alone, each a message of its own.
    Raw = 4,
}

impl Encoding {
    /// All there are.
    pub const ALL: [Encoding; 4] =
        [Encoding::OtlpProto, Encoding::JsonLines, Encoding::Json, Encoding::Raw];

    /// The code in queues.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The encoding with this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Encoding> {
        Encoding::ALL.into_iter().find(|it| it.code() == code)
    }

    /// Whether each record is a message of its own.
    #[must_use]
    pub fn is_by_record(self) -> bool {
        matches!(self, Encoding::Json | Encoding::Raw)
    }

    /// The name in configuration and headers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Encoding::OtlpProto => "otlp_proto",
            Encoding::JsonLines => "json_lines",
            Encoding::Json => "json",
            Encoding::Raw => "raw",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a block is compressed. The codes stand in queues and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// Not at all.
    None = 0,
    /// One Zstandard frame.
    Zstd = 1,
    /// One LZ4 block, its uncompressed length known from the header beside it.
    Lz4 = 2,
}

impl Codec {
    /// The code in queues.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The codec with this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Codec> {
        [Codec::None, Codec::Zstd, Codec::Lz4].into_iter().find(|it| it.code() == code)
    }

    /// The name in configuration and headers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Zstd => "zstd",
            Codec::Lz4 => "lz4",
        }
    }
}

/// What is known of one section without opening the block.
#[derive(Debug, Clone)]
pub struct PayloadHeader {
    /// Whose section.
    pub context: Arc<Context>,
    /// Epoch of the context.
    pub epoch: u32,
    /// Which cursors.
    pub span: Span,
    /// First or last of its context.
    pub marks: Marks,
    /// Records in the payload; 0 for a gap.
    pub records: u32,
    /// Records inside the span that a filter left out.
    pub filtered: u32,
    /// Set if the section declares a gap.
    pub gap: Option<GapReason>,
    /// Wall-clock time of reading, nanoseconds since 1970.
    pub observed_unix_ns: i64,
    /// Where the file system's side stands after the span: of those generations that it is of, and before
    /// them of those that were passed over, empty, when they were begun.
    pub positions: Vec<Position>,
    /// As the section: [`PayloadHeader::positions_at`] knows where a restart can go on inside.
    pub is_divisible: bool,
    /// The section that it is a part of, if that cannot be divided: without the parts before, which may have bytes
    /// of its cursors, it says nothing.
    pub part_of: Option<Span>,
    /// A part of a section after which no restart can go on: it has no positions.
    pub is_inner: bool,
    /// Where the section's payload lies in the uncompressed block; in the compressed one if each section is
    /// compressed by itself.
    pub range: Range<u32>,
}

impl PayloadHeader {
    /// Where the section's payload lies in the uncompressed block, as an index.
    #[must_use]
    pub fn in_block(&self) -> Range<usize> {
        self.range.start as usize..self.range.end as usize
    }

    /// Where the file system's side stands before the record at `cursor`; `None` if a restart cannot go on
    /// there.
    #[must_use]
    pub fn positions_at(&self, cursor: u64) -> Option<Vec<Position>> {
        if cursor == self.span.end {
            return (!self.is_inner).then(|| self.positions.clone());
        }
        let behind = self.span.end - cursor;
        match self.own_positions() {
            [end] if self.is_divisible && end.offset >= behind => {
                // What stands before it is not known here any more.
                let (place, offset) = (Place::default(), end.offset - behind);
                let mut positions = self.positions.clone();
                positions.pop();
                // Nobody goes on where a line does, as the caller knows.
                let continued = Streams::default();
                positions.push(Position { offset, place, continued, ..*end });
                Some(positions)
            }
            _ => None,
        }
    }

    /// The section that `part` of it is a part of, if that cannot be divided.
    #[must_use]
    pub fn section_of(&self, part: Span) -> Option<Span> {
        self.part_of.or_else(|| (!self.is_divisible && part != self.span).then_some(self.span))
    }

    /// All of what this is, or is a part of.
    #[must_use]
    pub fn section(&self) -> Span {
        self.part_of.unwrap_or(self.span)
    }

    /// Of which streams a line goes on behind the section.
    #[must_use]
    pub fn continued(&self) -> Streams<bool> {
        self.positions.last().map(|it| it.continued).unwrap_or_default()
    }

    /// Whether a line goes on at a place inside, behind which the section's records have these flags.
    pub fn goes_on_before(&self, records: impl DoubleEndedIterator<Item = RecordFlags>) -> bool {
        let (mut continued, mut first) = (self.continued(), RecordFlags::NONE);
        for flags in records.rev() {
            (continued, first) = (continued.before(flags), flags);
        }
        first.has(RecordFlags::CONTINUED) || continued != Streams::default()
    }

    /// Of which generations the section is, if it is no gap: as [`own_positions`].
    #[must_use]
    pub fn own_positions(&self) -> &[Position] {
        own_positions(&self.positions)
    }
}

/// Of a section's positions, those of the generations that it is of: nothing was read of those before, and what tells of copies
/// is of none.
#[must_use]
pub fn own_positions(positions: &[Position]) -> &[Position] {
    let is_other = |it: &&Position| it.offset == 0 || it.original().is_some();
    let passed = positions.iter().take_while(is_other).count();
    &positions[passed..]
}

/// An encoded batch.
#[derive(Debug)]
pub struct Payload {
    /// Who owns it.
    pub tenant: Arc<str>,
    /// How its sections are encoded.
    pub encoding: Encoding,
    /// How the block is compressed.
    pub codec: Codec,
    /// Length of the block before compression, in bytes.
    pub raw_bytes: u32,
    /// The payloads of all sections one after the other, compressed together.
    pub block: Vec<u8>,
    /// One per section, in order.
    pub headers: Vec<PayloadHeader>,
    /// One per section, in order.
    pub tickets: Vec<Ticket>,
    /// Pays for the memory of `block`, if any is counted; the sink drops it when it is done with that.
    pub permit: Option<Permit>,
}
