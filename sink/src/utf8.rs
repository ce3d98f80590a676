//! Which bodies of a chunk are text: one UTF-8 check per section instead of one per record.
//!
//! Used by the encoders, on the reader's thread. The region that the records cover is validated
//! at once, at the speed of long input; after that a body is text if it begins and ends between
//! two characters. Whatever that rule cannot vouch for (a region with one bad byte in it, a part
//! cut inside a character) is checked by itself, so the answer is exact for any bytes.

use std::ops::Range;

use flow::{Chunk, Record, RecordFlags};

/// The regions of one chunk that are known to be UTF-8.
#[derive(Debug)]
pub(crate) struct Utf8Regions {
    data: Range<usize>,
    side: Range<usize>,
}

impl Utf8Regions {
    /// Checks what the records of `chunk` cover.
    pub(crate) fn of(chunk: &Chunk) -> Utf8Regions {
        let nothing = Range { start: usize::MAX, end: 0 };
        let (mut data, mut side) = (nothing.clone(), nothing);
        for record in chunk.records() {
            let covered = if record.flags.has(RecordFlags::SIDE) { &mut side } else { &mut data };
            let start = record.start as usize;
            covered.start = covered.start.min(start);
            covered.end = covered.end.max(start + record.len as usize);
        }
        Utf8Regions { data: valid_part(chunk.data(), data), side: valid_part(chunk.side(), side) }
    }

    /// The bytes of `record`, and whether they are UTF-8.
    #[inline]
    pub(crate) fn body<'a>(&self, chunk: &'a Chunk, record: &Record) -> (&'a [u8], bool) {
        let (from, valid) = if record.flags.has(RecordFlags::SIDE) {
            (chunk.side(), &self.side)
        } else {
            (chunk.data(), &self.data)
        };
        let start = record.start as usize;
        let end = start + record.len as usize;
        let body = &from[start..end];
        let inside = valid.start <= start && end <= valid.end;
        let is_text = inside && is_boundary(from, start) && is_boundary(from, end);
        (body, is_text || simdutf8::basic::from_utf8(body).is_ok())
    }
}

/// Whether no character goes on at `at`.
#[inline]
fn is_boundary(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_none_or(|&byte| !is_continuation(byte))
}

#[inline]
fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// What of `covered` is UTF-8: all but a character cut at either end, or nothing.
fn valid_part(bytes: &[u8], covered: Range<usize>) -> Range<usize> {
    let Range { mut start, mut end } = covered;
    // A character has at most three continuation bytes (RFC 3629).
    for _ in 0..3 {
        if start < end && is_continuation(bytes[start]) {
            start += 1;
        }
    }
    let last = (start..end).rev().take(3).find(|&at| !is_continuation(bytes[at]));
    if let Some(last) = last {
        let wanted = match bytes[last] {
            0xF0.. => 4,
            0xE0.. => 3,
            0xC0.. => 2,
            _ => 1,
        };
        if end - last < wanted {
            end = last;
        }
    }
    if start < end && simdutf8::basic::from_utf8(&bytes[start..end]).is_ok() {
        start..end
    } else {
        0..0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_cut_at_either_end_does_not_spoil_the_region() {
        let text = "€uro, naïve, 𝄞".as_bytes();
        for (start, end, valid) in [
            (0, text.len(), 0..text.len()),
            (1, text.len(), 3..text.len()),
            (2, text.len() - 1, 3..text.len() - 4),
            (3, text.len() - 3, 3..text.len() - 4),
            (0, 2, 0..0),
        ] {
            assert_eq!(valid_part(text, start..end), valid, "{start}..{end}");
        }
        assert_eq!(valid_part(b"good\xffbad", 0..8), 0..0);
    }
}
