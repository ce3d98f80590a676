//! Section: one context's next span, with the records framed in it.
//!
//! It is encoded as soon as it is framed, while its bytes are in the processor's cache.

use std::sync::Arc;

use crate::{Chunk, Context, Gap, Record, Span};

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
    /// It may be cut before any record that does not go on from the one before: all its bytes are of one
    /// generation, and each record's end before the next begins.
    pub is_divisible: bool,
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
