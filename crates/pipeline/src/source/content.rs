//! Content: what tells what one file says from what another does, and how far they say the same.
//!
//! Reads only what it must, and all of that: a short read says nothing of what comes after it.

use std::io;

use flow::{HEAD_BYTES_MAX, Head, PLACE_BYTES_MAX, Position, is_mutant};

use super::carrier::is_packed;
use super::generation::Generation;
use super::holes::is_nul;
use crate::fs::{Fs, LogFile};

/// How many bytes of a file's beginning tell it from others at least: a time stamp and some words.
const HEAD_BYTES_MIN: u64 = PLACE_BYTES_MAX as u64;

/// How much at the end of a copy is compared with the original, in bytes.
const COMPARED_BYTES: usize = 4096;

impl Generation {
    /// Whether the file, which is `size` bytes long, was cut and perhaps begun anew.
    ///
    /// # Errors
    /// As [`Generation::is_same`].
    pub fn is_cut(&mut self, fs: &dyn Fs, size: u64) -> io::Result<bool> {
        // Of a file of which no fingerprint is known nothing was read, but for NULs: it is begun anew, all of it.
        let is_read = self.offset > 0 && is_mutant("cut_after_nuls_forgotten");
        let is_unknown = self.head.is_empty() && self.place.len == 0 && !is_read;
        let is_shorter = self.is_checked && size < self.size;
        Ok(size < self.offset || is_shorter && is_unknown || !self.is_same(fs)?)
    }

    /// Compares the file with the fingerprints, and lets that of the head grow.
    ///
    /// Returns whether it is still the same content.
    ///
    /// # Errors
    /// As `pread`; `UnexpectedEof` if it brought less than the fingerprints cover, though the file is
    /// longer: an error further on in the file does not make it another one.
    pub fn is_same(&mut self, fs: &dyn Fs) -> io::Result<bool> {
        let mut bytes = [0; HEAD_BYTES_MAX];
        let covered = usize::from(self.head.len);
        let mut len = self.open(fs)?.read_at(&mut bytes, 0)?;
        if len < covered {
            len += read_full(self.open(fs)?, &mut bytes[len..covered], len as u64)?;
        }
        let head = &bytes[..len];
        if len < covered && self.open(fs)?.stat()?.size >= covered as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let is_head = self.head.matches(head) || is_mutant("head_not_compared");
        let is_same =
            is_head && (is_mutant("place_not_compared") || self.is_same_place(fs, head)?);
        // It was begun anew; or they were filled in, and are read as they are now. Nothing at the offset says which.
        if (!is_same || self.is_written_over(fs, head)?) && !self.is_never_cut(fs) {
            return Ok(false);
        }
        self.is_checked = true;
        if Head::of(written(head)).len > self.head.len {
            // A short read would leave it shorter than what is known to be there.
            let rest = read_full(self.open(fs)?, &mut bytes[len..], len as u64)?;
            self.head = Head::of(written(&bytes[..len + rest]));
        }
        Ok(true)
    }

    /// Whether other bytes than were read say nothing: a log disk cuts no file, since what applications cut goes on as another.
    /// What was read may have been let go or written over since.
    fn is_never_cut(&self, fs: &dyn Fs) -> bool {
        fs.volume_context(&self.path).is_some()
    }

    fn is_same_place(&mut self, fs: &dyn Fs, head: &[u8]) -> io::Result<bool> {
        let (offset, place, len) = (self.offset, self.place, usize::from(self.place.len));
        let range = place.range(offset);
        let in_head = usize::try_from(range.start).ok().and_then(|it| head.get(it..it + len));
        let mut buffer = [0; PLACE_BYTES_MAX];
        let bytes = if let Some(bytes) = in_head {
            bytes
        } else {
            let is_packed = is_packed(&self.path);
            let file = self.open(fs)?;
            let read = read_full(file, &mut buffer[..len], range.start)?;
            if read < len && is_packed && file.defect().is_none() {
                // A whole copy that lacks what was read after it was made.
                return Ok(true);
            }
            if read < len && file.stat()?.size >= range.end {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            &buffer[..read]
        };
        Ok(place.matches(bytes) || self.has_lost_power(fs, bytes)?)
    }

    /// Whether a power cut took what stood behind the hole that was read last, where these bytes are now: all that was
    /// read stands before it then, and the hole is there yet. It did not while this agent looked.
    fn has_lost_power(&mut self, fs: &dyn Fs, bytes: &[u8]) -> io::Result<bool> {
        let (offset, hole) = (self.offset, self.place.hole);
        let is_taken = hole > 0 && !self.is_checked && bytes.iter().all(|byte| *byte == 0);
        Ok(is_taken && is_nul(self.open(fs)?, &(offset.saturating_sub(hole)..offset))?)
    }
}

/// Whether the head of content of that length tells it from others: one of few bytes does not, unless
/// there were no more.
pub(super) fn tells(head: Head, size: u64) -> bool {
    let is_long = u64::from(head.len) >= size.min(HEAD_BYTES_MIN);
    !head.is_empty() && (is_long || is_mutant("copy_found_by_its_first_byte"))
}

/// Whether a file that begins with `head` holds what was read up to that position of content of that
/// length.
pub(super) fn holds(
    file: &dyn LogFile,
    head: &[u8],
    position: &Position,
    size: u64,
) -> io::Result<bool> {
    // Neither may be long, if reads were short; they tell together.
    let both = u64::from(position.head.len) + u64::from(position.place.len);
    let is_long = both.min(position.offset) >= size.clamp(1, HEAD_BYTES_MIN);
    let is_known = tells(position.head, size) || is_long && position.place.hole == 0;
    let is_known = is_known && position.head.matches(head);
    Ok(is_known && has_place(file, position)?)
}

/// Whether the file says at that position what it said there.
pub(super) fn has_place(file: &dyn LogFile, position: &Position) -> io::Result<bool> {
    let (offset, place) = (position.offset, position.place);
    let mut bytes = [0; PLACE_BYTES_MAX];
    let len = usize::from(place.len);
    let read = read_full(file, &mut bytes[..len], place.range(offset).start)?;
    Ok(file.stat()?.size >= offset && place.matches(&bytes[..read]))
}

/// Whether one file says what the other begins with, by the beginning and the end of the one.
pub(super) fn is_beginning_of(one: &dyn LogFile, other: &dyn LogFile) -> io::Result<bool> {
    let bytes = one.stat()?.size;
    if other.stat()?.size < bytes {
        return Ok(false);
    }
    let begin = bytes.min(HEAD_BYTES_MAX as u64);
    let end = bytes.saturating_sub(COMPARED_BYTES as u64);
    Ok(is_equal(one, other, 0, begin)? && is_equal(one, other, end, bytes)?)
}

fn is_equal(one: &dyn LogFile, other: &dyn LogFile, begin: u64, end: u64) -> io::Result<bool> {
    let len = usize::try_from(end - begin).unwrap_or(COMPARED_BYTES).min(COMPARED_BYTES);
    let (mut left, mut right) = ([0; COMPARED_BYTES], [0; COMPARED_BYTES]);
    let left_len = read_full(one, &mut left[..len], begin)?;
    let right_len = read_full(other, &mut right[..len], begin)?;
    Ok(left[..left_len] == right[..right_len])
}

/// What a file begins with.
pub(super) fn head_of(file: &dyn LogFile) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD_BYTES_MAX];
    let len = read_full(file, &mut head, 0)?;
    head.truncate(len);
    Ok(head)
}

/// What surely was written of a head. NULs at the end may not be written yet, and then tell nothing. A hole
/// has all or nothing of these bytes, as they are of one block.
pub(super) fn written(head: &[u8]) -> &[u8] {
    let len = head.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &head[..len]
}

/// Reads until the buffer is full or the file ends.
pub(super) fn read_full(file: &dyn LogFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64)? {
            0 => break,
            len => filled += len,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_bytes_tell_a_file_from_others_only_if_there_were_no_more() {
        let head = |bytes: u64| Head::of(&vec![b'x'; usize::try_from(bytes).expect("few")]);
        assert!(tells(head(8), 8));
        assert!(!tells(head(8), 9));
        assert!(tells(head(HEAD_BYTES_MIN), HEAD_BYTES_MIN + 1));
        assert!(!tells(Head::default(), 0));
    }
}
