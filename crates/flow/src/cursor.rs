//! Cursors: a byte's place in the life of its context.
//!
//! A cursor is a `u64`: the number of bytes of the source before this one, counted over all
//! generations since the context was first seen. A [`Position`] is the same place as a file system
//! knows it: a generation and an offset in it.

use std::fmt;

use crate::{Head, Place, Streams};

/// Half-open range of cursors `[begin, end)` of one context and epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// Cursor of the first byte.
    pub begin: u64,
    /// Cursor just after the last byte; never below `begin`.
    pub end: u64,
}

impl Span {
    /// The span `[begin, end)`.
    ///
    /// # Panics
    /// If `end` is below `begin`.
    #[must_use]
    pub fn new(begin: u64, end: u64) -> Span {
        assert!(begin <= end, "span ends at {end}, before it begins at {begin}");
        Span { begin, end }
    }

    /// Bytes covered.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.end - self.begin
    }

    /// Whether no byte is covered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.begin == self.end
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.begin, self.end)
    }
}

/// How far one generation of a source has been read: what a restart needs to go on.
///
/// The fingerprints find the generation again where its key does not: in a copy, or compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Position {
    /// Key of the generation: a hash of its inode, birth time and incarnation, 0 for none.
    pub generation: u64,
    /// Offset in that generation just after the last byte covered.
    pub offset: u64,
    /// Fingerprint of the generation's first bytes, as far as it was known then.
    pub head: Head,
    /// Fingerprint of the bytes at `offset`.
    pub place: Place,
    /// Of which streams the next line goes on from a part that was delivered before. The last of a section's
    /// positions tells it of the section's end, whatever the generation.
    pub continued: Streams<bool>,
}

impl Position {
    /// Not how far a generation was read, but that a file is a copy of the generation `original`, so many bytes long, which end
    /// so: `key` is that of the two together.
    #[must_use]
    pub fn of_copy(key: u64, original: u64, bytes: u64, end: Place) -> Position {
        let head = Head { len: 0, hash: original };
        Position { generation: key, offset: bytes, head, place: end, ..Position::default() }
    }

    /// If it tells of a copy: the key of the generation that this is a copy of.
    #[must_use]
    pub fn original(&self) -> Option<u64> {
        (self.head.is_empty() && self.head.hash != 0).then_some(self.head.hash)
    }
}
