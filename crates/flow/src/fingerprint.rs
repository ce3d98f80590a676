//! Fingerprints: how content is known again, whatever file carries it now.
//!
//! A log that is copied, compressed or restored has another inode and another name, and says the same.
//! The [`Head`] tells that a file begins as one seen before; the [`Place`], that it still says what
//! was read just before the offset, or stood behind a hole there.

use std::ops::Range;

use crate::checksum;

/// How much of a file's beginning identifies it, in bytes.
///
/// 1 KiB, as other agents use: one read, and two log files that agree on it and on inode and birth
/// time do not occur.
pub const HEAD_BYTES_MAX: usize = 1024;

/// How much before an offset identifies the place, in bytes.
///
/// 64: a time stamp and some words.
pub const PLACE_BYTES_MAX: usize = 64;

/// Fingerprint of a file's first bytes; it grows with the file up to [`HEAD_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Head {
    /// How many bytes it covers; 0 for none yet.
    pub len: u16,
    /// Checksum of them.
    pub hash: u64,
}

impl Head {
    /// The fingerprint of a file that begins with `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Head {
        let bytes = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
        let len = u16::try_from(bytes.len()).expect("HEAD_BYTES_MAX fits");
        Head { len, hash: if len == 0 { 0 } else { checksum(bytes) } }
    }

    /// Whether a file that begins with `bytes` can be the one this fingerprint was taken of.
    #[must_use]
    pub fn matches(&self, bytes: &[u8]) -> bool {
        bytes.get(..usize::from(self.len)).is_some_and(|bytes| Head::of(bytes) == *self)
    }

    /// Whether it covers nothing, and so tells nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Fingerprint of the bytes just before an offset; or of those behind it, if a hole stands before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Place {
    /// How many bytes it covers; 0 for none.
    pub len: u8,
    /// Low half of their checksum.
    pub hash: u32,
    /// Length of the hole before the offset, in bytes; 0 for none.
    pub hole: u64,
}

impl Place {
    /// The fingerprint of an offset that `bytes` precede.
    ///
    /// Of those behind the last NUL: a hole may be filled later, and is the same place then.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Place {
        let bytes = &bytes[bytes.len().saturating_sub(PLACE_BYTES_MAX)..];
        let begin = bytes.iter().rposition(|byte| *byte == 0).map_or(0, |last| last + 1);
        let bytes = &bytes[begin..];
        if bytes.is_empty() {
            return Place::default();
        }
        let len = u8::try_from(bytes.len()).expect("PLACE_BYTES_MAX fits");
        Place { len, hash: hash(bytes), hole: 0 }
    }

    /// The fingerprint of the end of a hole of this length, behind which `bytes` stand.
    ///
    /// Of those before the next NUL, for the same reason.
    #[must_use]
    pub fn behind(hole: u64, bytes: &[u8]) -> Place {
        let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        let bytes = &bytes[..bytes.len().min(PLACE_BYTES_MAX)];
        Place { hole: if bytes.is_empty() { 0 } else { hole }, ..Place::of(bytes) }
    }

    /// Where the bytes are that it covers, if it is the place of `offset`.
    #[must_use]
    pub fn range(&self, offset: u64) -> Range<u64> {
        let len = u64::from(self.len);
        if self.hole > 0 {
            return offset..offset.saturating_add(len);
        }
        offset.saturating_sub(len)..offset
    }

    /// Whether an offset with these bytes in that range can be that place.
    #[must_use]
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.len == 0 || (bytes.len() == usize::from(self.len) && hash(bytes) == self.hash)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "half of a checksum is enough beside a head")]
fn hash(bytes: &[u8]) -> u32 {
    checksum(bytes) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_matches_what_grew_from_it() {
        let head = Head::of(b"one");
        assert!(head.matches(b"one"));
        assert!(head.matches(b"one two"));
        assert!(!head.matches(b"on"));
        assert!(!head.matches(b"two"));
        assert!(Head::default().matches(b"anything"));
    }

    #[test]
    fn a_place_is_what_stands_before_it() {
        let long = vec![b'x'; 2 * PLACE_BYTES_MAX];
        assert_eq!(Place::of(&long), Place::of(&long[1..]));
        let place = Place::of(b"last line\n");
        assert!(place.matches(b"last line\n"));
        assert!(!place.matches(b"last l1ne\n"));
        assert!(!place.matches(b"line\n"));
        assert!(Place::default().matches(b"anything"));
    }

    #[test]
    fn a_hole_is_no_place() {
        assert_eq!(Place::of(b"line\n\0\0\0"), Place::default());
        assert_eq!(Place::of(b"line\n\0\0\0line\n"), Place::of(b"line\n"));
    }

    #[test]
    fn the_end_of_a_hole_is_known_by_what_stands_behind_it() {
        assert_eq!(Place::behind(9, b""), Place::default());
        assert_eq!(Place::behind(9, b"\0line"), Place::default());
        let place = Place::behind(9, b"line\n\0more");
        assert_eq!((place.range(100), place.hole), (100..105, 9));
        assert!(place.matches(b"line\n"));
        assert!(!place.matches(b"other"));
        assert!(!place.matches(b"li"));
    }
}
