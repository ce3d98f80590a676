//! Problem: what a reader came upon that is not as it was written.
//!
//! Readers never stop at one and never keep one to themselves: they say what was left out, and go on.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use flow::ContextId;

use super::segment::sequence_of;

/// One thing a reader could not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The segment's header is not readable; its frames may be.
    #[error("{}: {why}", segment.display())]
    Header {
        /// The segment.
        segment: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Bytes of a segment were left out: what they held is not known.
    #[error("{}: {bytes} bytes at offset {offset} left out: {why}", segment.display())]
    Skipped {
        /// The segment.
        segment: PathBuf,
        /// First byte left out.
        offset: u64,
        /// How many.
        bytes: u64,
        /// What is wrong.
        why: String,
    },
    /// The index of a sealed segment is not usable. Nothing but time is lost.
    #[error("{}: {why}; reading without it", segment.display())]
    Index {
        /// The segment.
        segment: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A batch is of a context whose description was not found: only its id is known.
    #[error("{}: offset {offset}: context {context} is not described", segment.display())]
    UnknownContext {
        /// The segment.
        segment: PathBuf,
        /// Offset of the batch frame.
        offset: u64,
        /// The context.
        context: ContextId,
    },
    /// A segment is of a version that this program does not know.
    #[error("{}: format version {version} is not known; left out", segment.display())]
    Version {
        /// The segment.
        segment: PathBuf,
        /// Its version.
        version: u32,
    },
    /// Segments were removed, by retention or by hand, before they were read.
    #[error("tenant {tenant}: segments {first:016x} to {last:016x} were removed before being read")]
    Removed {
        /// Whose.
        tenant: Arc<str>,
        /// First sequence missing.
        first: u64,
        /// Last sequence missing.
        last: u64,
    },
    /// The writer took back bytes that had been read: it could not make them safe. The same records
    /// may come again.
    #[error("{}: cut back from {from} to {to} bytes by its writer", segment.display())]
    CutBack {
        /// The segment.
        segment: PathBuf,
        /// Where the reader was.
        from: u64,
        /// Where the file ends now.
        to: u64,
    },
    /// The system refused to read.
    #[error("{}: {why}; left out", segment.display())]
    Unreadable {
        /// The segment.
        segment: PathBuf,
        /// What the system said.
        why: String,
    },
}

impl Problem {
    /// The segment, and the bytes of it that were left out.
    pub(crate) fn skipped(&self) -> Option<(u64, Range<u64>)> {
        let Problem::Skipped { segment, offset, bytes, .. } = self else { return None };
        let sequence = sequence_of(segment.file_name()?.to_str()?)?;
        Some((sequence, *offset..offset + bytes))
    }
}
