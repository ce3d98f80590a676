//! Joining: container lines whose parts the runtime wrote separately become one record again.
//!
//! Parts are joined per stream, as stdout and stderr interleave in one file. A whole line is a
//! record in place; only joined parts are copied, once, to the side buffer. While a join is open,
//! nothing from its first part on is consumed: the file keeps it, and it is read again with what
//! follows. So a restart never meets half a join. Containers write the parts of a line in one go,
//! so this costs nothing in practice; a time-out bounds it ([`Tail::Deliver`]).

use flow::{Record, RecordFlags, Stream, Streams, is_mutant};

use super::time::SecondCache;
use super::{Carry, FrameOptions, Framed, Line, Output, RECORDS_MAX, Tail};

/// Where a part's content lies.
#[derive(Debug, Clone, Copy)]
struct Part {
    start: usize,
    len: usize,
    in_side: bool,
}

/// A record whose last part is missing.
#[derive(Debug)]
struct Open {
    /// Its place among the records.
    index: usize,
    /// Offset of its first part's line.
    begin: usize,
    parts: Vec<Part>,
    len: usize,
    /// Where to return to if it stays open.
    hold: Hold,
}

/// A place that no join spans, and what was counted and carried over before it.
#[derive(Debug, Clone, Copy)]
struct Hold {
    index: usize,
    begin: usize,
    framed: Framed,
    carry: Carry,
}

/// Framing of one run of bytes.
#[derive(Debug)]
struct Join<'a, 'b> {
    bytes: &'a [u8],
    options: &'a FrameOptions,
    carry: &'a mut Carry,
    output: &'a mut Output<'b>,
    framed: Framed,
    open: Streams<Option<Open>>,
}

/// Finds the records in lines that `parse` takes apart, joining parts.
pub(super) fn frame<P>(
    bytes: &[u8],
    options: &FrameOptions,
    carry: &mut Carry,
    output: &mut Output<'_>,
    parse: P,
) -> Framed
where
    P: Fn(&[u8], &mut SecondCache, &mut Vec<u8>) -> Option<Line>,
{
    let mut cache = SecondCache::default();
    let mut join =
        Join { bytes, options, carry, output, framed: Framed::default(), open: Streams::default() };
    let mut begin = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        let line = if join.carry.mid_line {
            None
        } else {
            parse(&bytes[begin..end], &mut cache, join.output.side)
        };
        match line {
            Some(line) => join.line(begin, end, line),
            None => join.malformed(begin, end),
        }
        begin = end + 1;
        if join.output.records.len() >= RECORDS_MAX {
            join.framed.is_cut = true;
            break;
        }
    }
    join.finish(begin)
}

impl Join<'_, '_> {
    /// One line of the runtime's, at `[begin, end)`.
    #[inline]
    fn line(&mut self, begin: usize, end: usize, mut line: Line) {
        if is_mutant("parts_joined_whatever_their_stream") {
            line.stream = Stream::Stdout;
        }
        let line_start = if line.in_side { line.start } else { begin + line.start };
        let part = Part { start: line_start, len: line.len, in_side: line.in_side };
        let flags = RecordFlags::from(line.stream);
        if self.options.skip.has(flags) {
            self.framed.filtered += u32::from(!line.partial);
            self.framed.filtered_bytes += (end + 1 - begin) as u64;
            return;
        }
        let joins = line.partial || self.open.get_mut(line.stream).is_some();
        if joins {
            return self.join(begin, line, part);
        }
        let continued = std::mem::take(self.carry.continued.get_mut(line.stream));
        let max = self.options.line_bytes_max as usize;
        if continued || part.len > max {
            return self.long(begin, line, part, continued);
        }
        let flags = if part.in_side { flags.with(RecordFlags::SIDE) } else { flags };
        self.output.records.push(record(begin, line.time_unix_ns, part, flags));
    }

    /// A whole line that goes on from a delivered part, or is longer than a record may be.
    #[cold]
    fn long(&mut self, begin: usize, line: Line, mut part: Part, mut continued: bool) {
        let max = self.options.line_bytes_max as usize;
        let mut cursor = begin;
        loop {
            let len = part.len.min(max);
            let mut flags = RecordFlags::from(line.stream);
            if part.in_side {
                flags = flags.with(RecordFlags::SIDE);
            }
            if continued {
                flags = flags.with(RecordFlags::CONTINUED);
            }
            if len < part.len || line.partial {
                flags = flags.with(RecordFlags::PART);
            }
            let piece = Part { len, ..part };
            self.output.records.push(record(cursor, line.time_unix_ns, piece, flags));
            continued = true;
            // A cursor within the line's own bytes: content is never longer than its line.
            cursor += len;
            part.start += len;
            part.len -= len;
            if part.len == 0 {
                return;
            }
        }
    }

    /// A part, or the end of an open join.
    #[cold]
    fn join(&mut self, begin: usize, line: Line, part: Part) {
        let max = self.options.line_bytes_max as usize;
        if part.len > max {
            // Longer than a record by itself, and the runtime says there is more, or was.
            let follows = self.open.get_mut(line.stream).is_some();
            self.close(line.stream, RecordFlags::PART);
            let carried =
                std::mem::replace(self.carry.continued.get_mut(line.stream), line.partial);
            let continued = follows || carried;
            return self.long(begin, line, part, continued);
        }
        let fits = |open: &Open| open.len + part.len <= max;
        if self.open.get_mut(line.stream).as_ref().is_some_and(|open| !fits(open)) {
            self.close(line.stream, RecordFlags::PART);
            *self.carry.continued.get_mut(line.stream) = true;
        }
        let index = self.output.records.len();
        let hold = Hold { index, begin, framed: self.framed, carry: *self.carry };
        let slot = self.open.get_mut(line.stream);
        let open = match slot {
            Some(open) => open,
            None => {
                let mut flags = RecordFlags::from(line.stream);
                if std::mem::take(self.carry.continued.get_mut(line.stream)) {
                    flags = flags.with(RecordFlags::CONTINUED);
                }
                // Its place in the order; its bytes come when the join closes.
                let nothing = Part { start: 0, len: 0, in_side: false };
                self.output.records.push(record(begin, line.time_unix_ns, nothing, flags));
                slot.insert(Open { index, begin, parts: Vec::new(), len: 0, hold })
            }
        };
        open.parts.push(part);
        open.len += part.len;
        if !line.partial {
            self.close(line.stream, RecordFlags::NONE);
        }
    }

    /// Puts the parts of an open join together.
    #[cold]
    fn close(&mut self, stream: Stream, flags: RecordFlags) {
        let Some(open) = self.open.get_mut(stream).take() else { return };
        let side = &mut *self.output.side;
        let start = side.len();
        for part in &open.parts {
            let range = part.start..part.start + part.len;
            if part.in_side {
                side.extend_from_within(range);
            } else {
                side.extend_from_slice(&self.bytes[range]);
            }
        }
        self.framed.copied += open.len as u64;
        let slot = &mut self.output.records[open.index];
        let joined = Part { start, len: open.len, in_side: true };
        let flags = slot.flags.with(RecordFlags::SIDE).with(RecordFlags::JOINED).with(flags);
        *slot = record(open.begin, slot.time_unix_ns, joined, flags);
        // A join of the other stream that began inside this one and is still open: it cannot be
        // returned to without tearing this one, so both are read again from here.
        let other = match stream {
            Stream::Stdout => &mut self.open.stderr,
            Stream::Stderr => &mut self.open.stdout,
        };
        if let Some(other) = other
            && open.hold.begin < other.hold.begin
        {
            other.hold = open.hold;
        }
    }

    /// A line that is not in the format: the raw bytes are delivered.
    #[cold]
    fn malformed(&mut self, begin: usize, end: usize) {
        let continued = std::mem::take(&mut self.carry.mid_line);
        let is_announced = std::mem::take(&mut self.carry.mid_part);
        if !(continued && begin == end) || is_announced {
            self.raw(begin, end, RecordFlags::NONE, continued);
        }
    }

    fn raw(&mut self, mut begin: usize, end: usize, last: RecordFlags, mut continued: bool) {
        let max = self.options.line_bytes_max as usize;
        loop {
            let len = (end - begin).min(max);
            let is_last = begin + len == end;
            let mut flags =
                RecordFlags::MALFORMED.with(if is_last { last } else { RecordFlags::PART });
            if continued {
                flags = flags.with(RecordFlags::CONTINUED);
            }
            let part = Part { start: begin, len, in_side: false };
            self.output.records.push(record(begin, 0, part, flags));
            continued = true;
            begin += len;
            if is_last {
                return;
            }
        }
    }

    /// What has no line end begins at `begin`.
    fn finish(mut self, begin: usize) -> Framed {
        if self.options.tail == Tail::Wait {
            return self.hold_back(begin);
        }
        for stream in Stream::BOTH {
            if self.open.get_mut(stream).is_some() {
                self.close(stream, self.options.tail.flag());
                *self.carry.continued.get_mut(stream) = true;
            }
        }
        // A line that the chunk's end cuts is whole in the next one, now that there is room for it.
        if self.framed.is_cut || (self.options.tail == Tail::Cut && begin > 0) {
            return Framed { consumed: begin, ..self.framed };
        }
        let end = self.bytes.len();
        if begin < end {
            let continued = self.carry.mid_line;
            self.raw(begin, end, self.options.tail.flag(), continued);
            self.carry.mid_line = true;
            self.carry.mid_part = self.options.tail == Tail::Cut;
        }
        Framed { consumed: end, ..self.framed }
    }

    /// Leaves everything from the first open join on in the file.
    fn hold_back(mut self, begin: usize) -> Framed {
        let opens = [self.open.stdout.take(), self.open.stderr.take()];
        let holds = opens.into_iter().flatten().map(|open| open.hold);
        let Some(hold) = holds.min_by_key(|hold| hold.begin) else {
            return Framed { consumed: begin, ..self.framed };
        };
        self.output.records.truncate(hold.index);
        *self.carry = hold.carry;
        let is_cut = self.framed.is_cut;
        Framed { consumed: hold.begin, open_join: true, is_cut, ..hold.framed }
    }
}

/// A record whose line begins at `cursor` of the chunk.
#[expect(clippy::cast_possible_truncation, reason = "a chunk is at most CHUNK_BYTES_MAX long")]
#[inline]
fn record(cursor: usize, time_unix_ns: i64, part: Part, flags: RecordFlags) -> Record {
    Record {
        time_unix_ns,
        start: part.start as u32,
        len: part.len as u32,
        cursor: cursor as u32,
        flags,
    }
}

#[cfg(test)]
mod tests;
