//! Read: fills a chunk from the chain and frames it.

use std::io;

use flow::{Chunk, Place, Position, RecordFlags, Span, is_mutant};

use super::Source;
use super::generation::{Generation, UnfinishedTail};
use super::portion::Before;
use crate::frame::group::{self, Grouped, OpenGroups};
use crate::frame::multiline::Multiline;
use crate::frame::{Carry, Format, FrameOptions, Framed, Output, Streams, Tail, utf16};
use crate::fs::Fs;

/// What a read brought.
#[derive(Debug)]
pub struct ReadOutcome {
    /// Cursors of the bytes consumed; empty if the bytes hold no whole line yet.
    pub span: Span,
    /// Where each generation touched stands now, behind those that were passed over.
    pub positions: Vec<Position>,
    /// What framing counted.
    pub framed: Framed,
    /// It may be cut between records: none has bytes behind the begin of the next.
    pub is_divisible: bool,
    /// More is there for sure.
    pub is_hot: bool,
}

impl Source {
    /// Reads the current generation into `chunk` and frames it.
    ///
    /// With `bridge` the next generation's bytes follow in the same chunk, so that a record whose
    /// parts lie on both sides of a rotation is joined.
    ///
    /// # Errors
    /// As `pread`; the reader tries again after a back-off.
    pub fn read(
        &mut self,
        fs: &dyn Fs,
        chunk: &mut Chunk,
        tail: Tail,
        bridge: bool,
        now_ns: u64,
    ) -> io::Result<ReadOutcome> {
        let index = self.current;
        // What is at its end, or goes on in the next generation, is read whole.
        let is_part = tail == Tail::Wait && !bridge;
        let mut room = chunk.data().len();
        if is_part {
            room = part(self.portion.room, room);
        }
        let (own, next, grouped) = loop {
            let (own, next) = match self.fill(fs, chunk, room, bridge, now_ns) {
                Ok(filled) => filled,
                Err(error) if is_turn_over(&error) => {
                    let is_hot = error.kind() == io::ErrorKind::Interrupted;
                    return Ok(ReadOutcome { is_hot, ..self.nothing() });
                }
                Err(error) => {
                    self.note_failure(index, &error, now_ns);
                    return Err(error);
                }
            };
            match self.frame_all(fs, chunk, (own + next, room), index, tail, now_ns) {
                Some(grouped) => break (own, next, grouped),
                // The record is longer than that.
                None => room = part(room.saturating_mul(GROWTH), chunk.data().len()),
            }
        };
        self.retry.failures = 0;
        self.generations[index].is_unreadable = false;
        let filled = own + next;
        let ends_whole = chunk.data()[..own].ends_with(b"\n");
        let is_full = filled == room;
        let framed = grouped.framed;
        let begins = self.generations[index].offset == 0;
        let mut positions = self.consume(index, &chunk.data()[..filled], own, framed.consumed);
        let rest = filled - framed.consumed;
        // Also what could not be read of it, or may not be written yet: that is no news the next time.
        let tried =
            self.generations.get(index + 1).filter(|_| bridge).map(Generation::unread_bytes);
        let bridged_bytes = match tried {
            Some(_) if is_mutant("bridged_by_what_was_read") => next as u64,
            Some(bytes) => bytes,
            None => 0,
        };
        let generation = &mut self.generations[index];
        let is_before_nuls = generation.holes.is_pending() && framed.consumed > 0;
        let is_hot = framed.is_cut || (is_full || is_before_nuls) && next == 0;
        let before = generation.tail.take().filter(|_| framed.consumed == 0);
        if !is_hot && rest > 0 && framed.consumed <= own {
            let size = generation.offset + (own - framed.consumed) as u64;
            // A torn line at the end goes on nowhere else, and what it is part of neither.
            let open_join = framed.open_join && ends_whole;
            // Lines of the other stream do not make a missing part less late.
            let is_same = before.filter(|it| it.size == size || it.open_join && open_join);
            let timeout_ns = self.spec.options.multiline.as_ref().map(|it| it.timeout_ns);
            let group_due = |timeout_ns| self.waiting.due_ns(&grouped.waiting, timeout_ns);
            generation.tail = Some(UnfinishedTail {
                size,
                since_ns: is_same.map_or(now_ns, |it| it.since_ns),
                open_join,
                is_line_open: grouped.is_line_open,
                group_due_ns: timeout_ns.and_then(group_due),
                bridged_bytes,
            });
        }
        let is_one = positions.len() == 1;
        let is_divisible = is_one && self.is_in_order(chunk, &framed);
        if framed.consumed > 0 && (begins || !is_one) {
            self.tell_passed(index, &mut positions);
        }
        if framed.consumed > 0 {
            self.tell_copies(fs, &mut positions);
        }
        self.tell_continued(&mut positions);
        let span = self.advance(framed.consumed as u64);
        Ok(ReadOutcome { span, positions, framed, is_divisible, is_hot })
    }

    /// Puts into a section's positions what a restart behind it must know of the lines there.
    pub(super) fn tell_continued(&self, positions: &mut [Position]) {
        if let Some(last) = positions.last_mut() {
            last.continued = self.continued;
        }
    }

    fn nothing(&self) -> ReadOutcome {
        let span = Span::new(self.cursor, self.cursor);
        let (positions, framed) = (Vec::new(), Framed::default());
        ReadOutcome { span, positions, framed, is_divisible: false, is_hot: false }
    }

    /// Whether each record's bytes in the file end before those of the next begin. Lines put together from
    /// parts may have lines of the other stream between these.
    fn is_in_order(&self, chunk: &Chunk, framed: &Framed) -> bool {
        let is_grouped = self.spec.options.multiline.is_some();
        let scattered = if is_grouped { RecordFlags::SIDE } else { RecordFlags::JOINED };
        framed.copied == 0 || !chunk.records().iter().any(|it| it.flags.has(scattered))
    }

    /// Reads `room` bytes at most; returns the written ones of the current generation and those of the next.
    fn fill(
        &mut self,
        fs: &dyn Fs,
        chunk: &mut Chunk,
        room: usize,
        bridge: bool,
        now_ns: u64,
    ) -> io::Result<(usize, usize)> {
        let index = self.current;
        let unit = self.spec.options.format.map_or(1, Format::unit_bytes);
        let buffer = &mut chunk.data_mut()[..room];
        let own = self.generations[index].fill(fs, buffer, unit, now_ns)?;
        if own == 0 {
            self.generations[index].note_packed_end(now_ns);
        }
        let can_bridge = bridge && own > 0 && own < buffer.len() && buffer[own - 1] == b'\n';
        let Some(next) = self.generations.get_mut(index + 1).filter(|_| can_bridge) else {
            return Ok((own, 0));
        };
        // An error of the next generation is none of this one.
        let Ok(count) = next.fill(fs, &mut buffer[own..], unit, now_ns) else {
            return Ok((own, 0));
        };
        Ok((own, count))
    }

    /// Frames what was read, and again if that leaves nothing but what must not wait. Nothing if no whole record
    /// was read, and more can be.
    fn frame_all(
        &mut self,
        fs: &dyn Fs,
        chunk: &mut Chunk,
        (filled, room): (usize, usize),
        index: usize,
        tail: Tail,
        now_ns: u64,
    ) -> Option<Grouped> {
        let is_full = filled == room;
        let may_grow = is_full && room < chunk.data().len();
        let before = self.carry(fs, index);
        let mut wanted = (tail, OpenGroups::Wait);
        let mut known = before;
        let mut grouped = self.frame(fs, chunk, filled, index, wanted, &mut known);
        // What a group waits for may stand behind a read that was cut short: its time does not run yet.
        let multiline = self.spec.options.multiline.as_ref().filter(|_| !may_grow);
        if let Some(multiline) = multiline {
            self.waiting.note(self.cursor, &grouped.waiting, now_ns);
            let expired = self.waiting.expired(multiline.timeout_ns, now_ns);
            if expired != Streams::default() {
                wanted.1 = OpenGroups::Flush(expired);
                known = before;
                grouped = self.frame(fs, chunk, filled, index, wanted, &mut known);
            }
        }
        // A chunk that holds all it can, without a place to cut, is delivered in parts: of its groups
        // of lines, and if there is none, of a line.
        let is_stuck = |it: &Grouped| it.framed.consumed == 0 && (is_full || it.framed.is_cut);
        if is_stuck(&grouped) && may_grow {
            return None;
        }
        if is_stuck(&grouped) && grouped.waiting != Streams::default() {
            known = before;
            wanted.1 = OpenGroups::Cut;
            grouped = self.frame(fs, chunk, filled, index, wanted, &mut known);
        }
        if is_stuck(&grouped) {
            known = before;
            wanted.0 = Tail::Cut;
            grouped = self.frame(fs, chunk, filled, index, wanted, &mut known);
        }
        if let Some(end) = self.portion.end(chunk.records(), &grouped.framed) {
            known = before;
            let part = self.frame_portion(fs, chunk, (end, filled), index, &mut known);
            grouped = part.unwrap_or_else(|| {
                known = before;
                self.frame(fs, chunk, filled, index, wanted, &mut known)
            });
        }
        let (carry, states) = known;
        let generation = &mut self.generations[index];
        generation.mid_line = Some(carry.mid_line);
        generation.mid_part = carry.mid_part;
        self.continued = carry.continued;
        self.states = states;
        Some(grouped)
    }

    /// What is known of the lines before the bytes that come next.
    fn carry(&mut self, fs: &dyn Fs, index: usize) -> Before {
        let generation = &mut self.generations[index];
        let mid_line = generation.starts_mid_line(fs, self.spec.options.format);
        let mid_part = generation.mid_part;
        let mid_unit = !generation.offset.is_multiple_of(utf16::UNIT_BYTES as u64);
        (Carry { mid_line, mid_part, mid_unit, continued: self.continued }, self.states)
    }

    pub(super) fn frame(
        &mut self,
        fs: &dyn Fs,
        chunk: &mut Chunk,
        filled: usize,
        index: usize,
        (tail, open_groups): (Tail, OpenGroups),
        (carry, states): &mut Before,
    ) -> Grouped {
        let generation = &mut self.generations[index];
        let (bytes, side, records) = chunk.parts_mut();
        side.clear();
        records.clear();
        let bytes = &bytes[..filled];
        let known = self.spec.options.format.or(generation.format);
        let format = known.or_else(|| detect(fs, generation, bytes));
        generation.format = format;
        let format = match format {
            Some(format) => format,
            None if tail != Tail::Wait => Format::Plain,
            None => return Grouped { is_line_open: true, ..Grouped::default() },
        };
        let options = FrameOptions {
            line_bytes_max: self.spec.options.line_bytes_max,
            tail,
            skip: self.spec.options.skip,
            at_start: generation.offset == 0,
        };
        let mut output = Output { side, records };
        let Some(multiline) = &self.spec.options.multiline else {
            let framed = format.frame(bytes, &options, carry, &mut output);
            let is_line_open = framed.consumed < bytes.len();
            return Grouped { framed, is_line_open, ..Grouped::default() };
        };
        let grouping: (&Multiline, OpenGroups) = (multiline, open_groups);
        group::frame(format, bytes, &options, grouping, (carry, states), &mut output)
    }

    /// Moves the offsets over `consumed` bytes, of which `own` at most are the current generation's.
    fn consume(
        &mut self,
        index: usize,
        bytes: &[u8],
        own: usize,
        consumed: usize,
    ) -> Vec<Position> {
        let of_own = consumed.min(own);
        let generation = &mut self.generations[index];
        if of_own > 0 {
            generation.pass(&bytes[..of_own]);
        }
        let mut positions = vec![generation.position()];
        if consumed > own {
            let mid_line = generation.mid_line.replace(false);
            let format = generation.format;
            let next = &mut self.generations[index + 1];
            next.pass(&bytes[own..consumed]);
            next.mid_line = mid_line;
            next.format = format;
            positions.push(next.position());
        }
        positions
    }
}

/// How much more is read at once if a part of a chunk holds no whole record.
const GROWTH: usize = 4;

/// So much of a chunk, in whole UTF-16 units.
fn part(bytes: usize, chunk_bytes: usize) -> usize {
    bytes.min(chunk_bytes).next_multiple_of(utf16::UNIT_BYTES).clamp(utf16::UNIT_BYTES, chunk_bytes)
}

/// Whether the read goes on later: a compressed file was not inflated so far yet.
fn is_turn_over(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

impl Generation {
    /// Goes on behind these bytes.
    fn pass(&mut self, bytes: &[u8]) {
        self.holes.pass(self.offset, bytes);
        self.offset += bytes.len() as u64;
        self.place = Place::of(bytes);
    }

    /// Reads what comes next; returns how many bytes of it are written for sure.
    fn fill(
        &mut self,
        fs: &dyn Fs,
        buffer: &mut [u8],
        unit: usize,
        now_ns: u64,
    ) -> io::Result<usize> {
        let offset = self.offset;
        let mut holes = self.holes;
        let file = self.open(fs)?;
        let count = file.read_at(buffer, offset)?;
        let written = holes.written(file, &buffer[..count], offset, unit, now_ns)?;
        self.holes = holes;
        self.size = self.size.max(offset + count as u64);
        Ok(written)
    }
}

/// How much of a file tells its format: a first line's prefix, in bytes.
const DETECT_BYTES: usize = 256;

/// Tells the format by the file's first line.
fn detect(fs: &dyn Fs, generation: &mut super::Generation, bytes: &[u8]) -> Option<Format> {
    if generation.offset == 0 {
        return Format::detect(bytes);
    }
    let mut head = [0; DETECT_BYTES];
    let len = generation.open(fs).and_then(|file| file.read_at(&mut head, 0)).ok()?;
    // A file that begins with a hole tells by what follows it.
    Format::detect(if head[0] == 0 { bytes } else { &head[..len] })
}
