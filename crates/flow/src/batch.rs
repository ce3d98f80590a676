//! Section and batch: what a reader makes of a chunk, and what it hands over to a lane.
//!
//! A section is one context's next span; it is encoded as soon as it is framed, while its bytes are
//! in the processor's cache. A batch holds encoded sections. Many quiet contexts share a batch, so
//! that they share a compressed block too.

use std::sync::Arc;

use crate::{Chunk, Context, Encoding, Gap, PayloadHeader, Permit, Record, Span, Ticket};

/// Number of a lane: the queue from readers to one shipper, for one tenant and one sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub u32);

/// What is special about a section's place in its context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// The context's first section in this epoch.
    pub first: bool,
    /// The context's last section: its source is gone and was read to the end.
    pub last: bool,
}

impl Marks {
    /// Neither first nor last.
    pub const NONE: Marks = Marks { first: false, last: false };
}

/// What a section carries for its span.
#[derive(Debug)]
pub enum Content {
    /// Records, in the order of their cursors.
    Records {
        /// The bytes and the records.
        chunk: Chunk,
        /// Records inside the span that a filter left out.
        filtered: u32,
    },
    /// A declared gap.
    Gap(Gap),
    /// Nothing: the span is empty, and the section only carries its marks.
    End,
}

/// The next span of one context.
#[derive(Debug)]
pub struct Section {
    /// Whose span.
    pub context: Arc<Context>,
    /// Grows when the cursor could not be carried on.
    pub epoch: u32,
    /// Which cursors.
    pub span: Span,
    /// First or last of its context.
    pub marks: Marks,
    /// Wall-clock time at which the bytes were read, nanoseconds since 1970.
    pub observed_unix_ns: i64,
    /// The records or the gap.
    pub content: Content,
}

impl Section {
    /// The records; none for a gap.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        match &self.content {
            Content::Records { chunk, .. } => chunk.records(),
            Content::Gap(_) | Content::End => &[],
        }
    }
}

/// Encoded sections of one tenant on their way through one lane.
#[derive(Debug)]
pub struct Batch {
    /// Where to.
    pub lane: LaneId,
    /// Who owns them.
    pub tenant: Arc<str>,
    /// How they are encoded.
    pub encoding: Encoding,
    /// Their payloads one after the other, in the order in which they were read.
    pub raw: Vec<u8>,
    /// One per section, in order; sections of one context in the order of their spans.
    pub headers: Vec<PayloadHeader>,
    /// One per section, in order.
    pub tickets: Vec<Ticket>,
    /// Pays for `raw`; none if it is empty.
    pub permit: Option<Permit>,
}
