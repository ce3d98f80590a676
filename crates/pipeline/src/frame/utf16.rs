//! UTF-16 lines, where a rule declares them: found by their units, delivered as UTF-8.
//!
//! A unit is two bytes at an even offset of the file, so that a byte 0x0A inside of a character ends
//! no line. Cursors count the bytes of the file; the text is in the side buffer. What is no UTF-16, a
//! surrogate without its other half, becomes U+FFFD, and its record says so. Line ends, the byte order
//! mark and lines that are too long are treated as those of plain files are.

use flow::{Record, RecordFlags};

use super::{Carry, FrameOptions, Framed, Output, RECORDS_MAX, Tail};

/// Which byte of a unit comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    /// The lower one: UTF-16LE.
    Little,
    /// The upper one: UTF-16BE.
    Big,
}

/// Bytes of a unit.
pub const UNIT_BYTES: usize = 2;
const NEWLINE: u16 = 0x0a;
const CARRIAGE_RETURN: u16 = 0x0d;
const BYTE_ORDER_MARK: u16 = 0xfeff;

impl ByteOrder {
    /// Whether the last unit of `bytes` ends a line.
    #[must_use]
    pub fn ends_line(self, bytes: [u8; UNIT_BYTES]) -> bool {
        self.unit(bytes) == NEWLINE
    }

    fn unit(self, bytes: [u8; UNIT_BYTES]) -> u16 {
        match self {
            ByteOrder::Little => u16::from_le_bytes(bytes),
            ByteOrder::Big => u16::from_be_bytes(bytes),
        }
    }
}

/// Framing of one run of bytes.
struct Lines<'a, 'b> {
    bytes: &'a [u8],
    order: ByteOrder,
    options: &'a FrameOptions,
    output: &'a mut Output<'b>,
    copied: u64,
    /// What comes next goes on from a part of the same line.
    is_continued: bool,
}

/// Finds the lines in `bytes`.
pub fn frame(
    bytes: &[u8],
    options: &FrameOptions,
    carry: &mut Carry,
    output: &mut Output<'_>,
    order: ByteOrder,
) -> Framed {
    let is_continued = carry.mid_line;
    let mut lines = Lines { bytes, order, options, output, copied: 0, is_continued };
    // The other half of a unit that was delivered without it says nothing.
    let mut begin = usize::from(carry.mid_unit && !bytes.is_empty());
    if options.at_start && lines.unit(begin) == Some(BYTE_ORDER_MARK) {
        begin += UNIT_BYTES;
    }
    let searched = begin;
    let mut is_cut = false;
    for found in memchr::memchr_iter(b'\n', &bytes[searched..]) {
        let end = searched + found - found % UNIT_BYTES;
        if lines.unit(end) != Some(NEWLINE) {
            continue;
        }
        lines.whole(begin, end, carry.mid_part);
        carry.mid_part = false;
        begin = end + UNIT_BYTES;
        if lines.output.records.len() >= RECORDS_MAX {
            is_cut = true;
            break;
        }
    }
    if !is_cut {
        begin = lines.rest(begin, carry);
    }
    carry.mid_line = lines.is_continued;
    Framed { consumed: begin, is_cut, copied: lines.copied, ..Framed::default() }
}

impl Lines<'_, '_> {
    fn unit(&self, at: usize) -> Option<u16> {
        let bytes = self.bytes.get(at..)?.first_chunk()?;
        Some(self.order.unit(*bytes))
    }

    /// A line that ends at `end`.
    fn whole(&mut self, begin: usize, mut end: usize, is_announced: bool) {
        if begin < end && self.unit(end - UNIT_BYTES) == Some(CARRIAGE_RETURN) {
            end -= UNIT_BYTES;
        }
        let begin = self.parts(begin, end, end);
        // A line end alone, after the line was delivered without it, is no record; but it is the
        // last part of a line whose parts were announced.
        if begin < end || !self.is_continued || is_announced {
            let piece = self.piece(begin, end);
            self.push(begin, &piece, RecordFlags::NONE);
        }
        self.is_continued = false;
    }

    /// What has no line end begins at `begin`; returns where what is left in the file begins.
    fn rest(&mut self, begin: usize, carry: &mut Carry) -> usize {
        let bytes = self.bytes.len();
        let mut end = bytes - (bytes - begin) % UNIT_BYTES;
        // A carriage return at the very end may be half of a line end: it does not fill a part.
        let has_return = self.options.tail == Tail::Wait
            && begin < end
            && self.unit(end - UNIT_BYTES) == Some(CARRIAGE_RETURN);
        let parts_end = if has_return { end - UNIT_BYTES } else { end };
        let begin = self.parts(begin, parts_end, end);
        if self.options.tail == Tail::Wait {
            return begin;
        }
        // The other half of a character may be about to come: waits, unless it has waited already.
        if end - begin > UNIT_BYTES && self.unit(end - UNIT_BYTES).is_some_and(is_high) {
            end -= UNIT_BYTES;
        }
        if begin == 0 && bytes == 1 {
            end = bytes;
        }
        if begin < end {
            let piece = self.piece(begin, end);
            self.push(begin, &piece, self.options.tail.flag());
            self.is_continued = true;
            carry.mid_part = self.options.tail == Tail::Cut;
        }
        end
    }

    /// Delivers full parts of a line that is longer than a record may be; returns where the rest of
    /// it begins.
    fn parts(&mut self, mut begin: usize, end: usize, line_end: usize) -> usize {
        let max = self.options.line_bytes_max as usize;
        // A unit is three bytes of UTF-8 at most: short lines are not tried.
        while (line_end - begin) / UNIT_BYTES * 3 > max {
            let piece = self.piece(begin, end);
            if piece.end == end {
                self.output.side.truncate(piece.start);
                break;
            }
            self.push(begin, &piece, RecordFlags::PART);
            self.is_continued = true;
            begin = piece.end;
        }
        begin
    }

    /// Appends to the side buffer what fits into a record.
    fn piece(&mut self, begin: usize, end: usize) -> Piece {
        let max = self.options.line_bytes_max as usize;
        let start = self.output.side.len();
        let mut buffer = [0; 4];
        let (mut at, mut flags) = (begin, RecordFlags::SIDE);
        while at < end {
            let (character, len) = self.character(at, end);
            let text = character.unwrap_or(char::REPLACEMENT_CHARACTER);
            let text = text.encode_utf8(&mut buffer).as_bytes();
            if at > begin && self.output.side.len() - start + text.len() > max {
                break;
            }
            if character.is_none() {
                flags = flags.with(RecordFlags::BINARY);
            }
            self.output.side.extend_from_slice(text);
            at += len;
        }
        Piece { start, len: self.output.side.len() - start, end: at, flags }
    }

    /// The character at `at`, `None` if it is none, and its bytes.
    fn character(&self, at: usize, end: usize) -> (Option<char>, usize) {
        let Some(unit) = self.unit(at) else { return (None, end - at) };
        if is_high(unit)
            && at + UNIT_BYTES < end
            && let Some(low) = self.unit(at + UNIT_BYTES).filter(|it| is_low(*it))
        {
            let code = 0x1_0000 + (u32::from(unit & 0x3ff) << 10) + u32::from(low & 0x3ff);
            return (char::from_u32(code), 2 * UNIT_BYTES);
        }
        (char::from_u32(u32::from(unit)), UNIT_BYTES)
    }

    #[expect(clippy::cast_possible_truncation, reason = "a chunk is at most CHUNK_BYTES_MAX long")]
    fn push(&mut self, cursor: usize, piece: &Piece, flags: RecordFlags) {
        let mut flags = piece.flags.with(flags);
        if self.is_continued {
            flags = flags.with(RecordFlags::CONTINUED);
        }
        self.copied += piece.len as u64;
        self.output.records.push(Record {
            time_unix_ns: 0,
            start: piece.start as u32,
            len: piece.len as u32,
            cursor: cursor as u32,
            flags,
        });
    }
}

/// Text in the side buffer, and where its source ends.
struct Piece {
    start: usize,
    len: usize,
    end: usize,
    flags: RecordFlags,
}

fn is_high(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

fn is_low(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

#[cfg(test)]
mod tests;
