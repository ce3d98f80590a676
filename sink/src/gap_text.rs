//! The sentence that stands in the place of a gap's bytes, the same in every encoding.

use std::fmt;

use flow::{Gap, Span};

/// A gap, as a reader sees it.
#[derive(Debug)]
pub(crate) struct GapText {
    pub(crate) gap: Gap,
    pub(crate) span: Span,
}

impl fmt::Display for GapText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GapText { gap, span } = self;
        write!(f, "gap: {}: ", gap.reason)?;
        if span.is_empty() {
            // Something is missing there, and nobody knows how much.
            return write!(
                f,
                "an unknown number of bytes at {} of the source was not delivered",
                span.begin
            );
        }
        write!(f, "bytes {} to {} of the source were not delivered", span.begin, span.end)
    }
}
