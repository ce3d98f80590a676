//! Group: lines that belong together become one record.
//!
//! Comes after framing and joining, once per run of bytes, and looks at whole lines: per stream, as
//! stdout and stderr interleave in one file. The contents of a group's lines are put together with
//! line ends between them. Lines that lie side by side in the chunk are not copied.
//!
//! A group that more lines may follow is *open*. Nothing from the first line of an open group on is
//! consumed: the file keeps it, and it is read again with what follows. What would then be torn, since
//! it has lines before and after that place, is held back with it. A time-out bounds this
//! ([`OpenGroups::Flush`]), and so does the size of the chunk ([`OpenGroups::Cut`]).

use flow::{Record, RecordFlags, Stream, is_mutant};

use super::multiline::{Multiline, State};
use super::{Carry, Format, FrameOptions, Framed, Output, Streams, Tail};

/// What becomes of groups that more lines may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenGroups {
    /// They wait.
    Wait,
    /// Those of these streams have waited long enough; the others wait.
    Flush(Streams<bool>),
    /// They fill the chunk: what is there is delivered as a part.
    Cut,
}

/// What framing and grouping found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grouped {
    /// As framing alone.
    pub framed: Framed,
    /// Of each stream whose group waits, where the group's last line begins.
    pub waiting: Streams<Option<u32>>,
    /// A line or a join waits for its end, not only a group.
    pub is_line_open: bool,
}

/// A place that no group and no join spans, and what was known before it.
#[derive(Debug, Clone, Copy)]
struct Hold {
    /// Records before it.
    index: usize,
    begin: u32,
    states: Streams<State>,
}

/// A group that more lines may follow.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// Its place among the records.
    index: usize,
    /// Where its last line begins.
    last_begin: u32,
    lines: u32,
    /// Length in bytes, with the line ends between its lines.
    len: u32,
    /// Its lines lie side by side in the chunk.
    is_adjacent: bool,
    /// Where to return to if it stays open.
    hold: Hold,
}

/// The last line of a stream, in an open group.
#[derive(Debug, Clone, Copy)]
struct Last {
    stream: Stream,
    /// The group without it; nothing if it is the first.
    before: Option<Open>,
    hold: Hold,
}

/// Why a group ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    /// The next line belongs to it too.
    Part,
}

/// Grouping of one run of bytes.
#[derive(Debug)]
struct Group<'a, 'b> {
    bytes: &'a [u8],
    multiline: &'a Multiline,
    bytes_max: u32,
    output: &'a mut Output<'b>,
    states: Streams<State>,
    /// Records that are final or open; those behind are still to be looked at.
    written: usize,
    open: Streams<Option<Open>>,
    /// The lines of the open groups.
    lines: Streams<Vec<Record>>,
    /// Where to return to from behind the stream's last line, if that was joined from parts: lines of
    /// the other stream may lie between these. Where they end is not known before the next line.
    joined: Streams<Option<Hold>>,
    /// By stream, unless nobody can return to before it.
    last: Streams<Option<Last>>,
    copied: u64,
    /// There was more than whole lines.
    is_unusual: bool,
}

/// Finds the lines in `bytes` and makes records of those that belong together.
///
/// `output` must be empty. `states` is of the lines before `bytes`, and then of those consumed.
pub fn frame(
    format: Format,
    bytes: &[u8],
    options: &FrameOptions,
    (multiline, open_groups): (&Multiline, OpenGroups),
    (carry, states): (&mut Carry, &mut Streams<State>),
    output: &mut Output<'_>,
) -> Grouped {
    let carry_before = *carry;
    let mut framed = format.frame(bytes, options, carry, output);
    let is_line_open = framed.consumed < bytes.len() && !framed.is_cut;
    let mut group = Group::new(bytes, multiline, options, *states, output);
    group.take_all();
    let open_groups = if options.tail == Tail::Wait { Some(open_groups) } else { None };
    let cut = group.end(open_groups);
    framed.copied += group.copied;
    *states = group.states;
    let waiting = group.waiting();
    let Some(hold) = cut.or_else(|| group.first_hold()) else {
        return Grouped { framed, waiting, is_line_open };
    };
    let is_usual = !group.is_unusual && options.skip == RecordFlags::NONE;
    output.records.truncate(hold.index);
    *states = hold.states;
    let begin = hold.begin as usize;
    framed.open_join |= !is_line_open;
    if is_usual && carry_before == Carry::default() {
        // A byte order mark alone is not worth a section.
        framed.consumed = if hold.index == 0 { 0 } else { begin };
        *carry = carry_before;
        return Grouped { framed, waiting, is_line_open };
    }
    // What was left out and carried over before that place, framing alone can tell.
    *carry = carry_before;
    let mut scratch = Output { side: &mut Vec::new(), records: &mut Vec::new() };
    let again = format.frame(&bytes[..begin], options, carry, &mut scratch);
    debug_assert_eq!(again.consumed, begin, "a place that no join spans");
    let Framed { consumed, filtered, filtered_bytes, .. } = again;
    let framed = Framed { consumed, filtered, filtered_bytes, ..framed };
    Grouped { framed, waiting, is_line_open }
}

impl<'a, 'b> Group<'a, 'b> {
    fn new(
        bytes: &'a [u8],
        multiline: &'a Multiline,
        options: &FrameOptions,
        states: Streams<State>,
        output: &'a mut Output<'b>,
    ) -> Group<'a, 'b> {
        Group {
            bytes,
            multiline,
            bytes_max: multiline.bytes_max.min(options.line_bytes_max),
            output,
            states,
            written: 0,
            open: Streams::default(),
            lines: Streams::default(),
            joined: Streams::default(),
            last: Streams::default(),
            copied: 0,
            is_unusual: false,
        }
    }

    fn take_all(&mut self) {
        for index in 0..self.output.records.len() {
            let record = self.output.records[index];
            self.take(record);
        }
    }

    /// One line, or a part of one.
    #[inline]
    fn take(&mut self, mut record: Record) {
        if record.flags.has(RecordFlags::MALFORMED) {
            // Of no stream: it stands alone, wherever it is.
            self.is_unusual = true;
            return self.put(record);
        }
        let stream = record.flags.stream().unwrap_or(Stream::Stdout);
        let here = Hold { index: self.written, begin: record.cursor, states: self.states };
        let is_joined = record.flags.has(RecordFlags::JOINED);
        *self.last.get_mut(stream) = None;
        let is_rest = record.flags.has(RecordFlags::CONTINUED);
        let is_part = record.flags.has(RecordFlags::PART) || is_rest;
        let is_open_end = record.flags.has(RecordFlags::UNTERMINATED);
        self.is_unusual |= is_part || is_open_end;
        let text = body(self.bytes, self.output.side, &record);
        let belongs = is_rest || self.multiline.rule.belongs(self.states.get_mut(stream), text);
        let is_last = is_part || is_open_end || *self.states.get(stream) == State::Nothing;
        if !belongs {
            self.close(stream, End::Whole);
        } else if let Some(open) = *self.open.get(stream) {
            let fits = open.lines < self.multiline.lines_max
                && open.len + 1 + record.len <= self.bytes_max;
            if fits && !is_part {
                *self.joined.get_mut(stream) = is_joined.then_some(open.hold);
                self.add(stream, open, record, here);
                if is_last {
                    self.close(stream, End::Whole);
                }
                return;
            }
            self.close(stream, End::Part);
        }
        if belongs {
            record.flags = record.flags.with(RecordFlags::CONTINUED);
        }
        let hold = self.joined.get(stream.other()).unwrap_or(here);
        *self.joined.get_mut(stream) = is_joined.then_some(hold);
        let index = self.written;
        self.put(record);
        if !is_last {
            let last_begin = record.cursor;
            let is_adjacent = !record.flags.has(RecordFlags::SIDE);
            let len = record.len;
            let open = Open { index, last_begin, lines: 1, len, is_adjacent, hold };
            *self.open.get_mut(stream) = Some(open);
            let lines = self.lines.get_mut(stream);
            lines.clear();
            lines.push(record);
            self.note_last(stream, None, here);
        }
    }

    fn put(&mut self, record: Record) {
        self.output.records[self.written] = record;
        self.written += 1;
    }

    fn add(&mut self, stream: Stream, before: Open, record: Record, here: Hold) {
        let lines = self.lines.get_mut(stream);
        let is_adjacent = before.is_adjacent
            && !record.flags.has(RecordFlags::SIDE)
            && lines.last().is_some_and(|last| last.start + last.len + 1 == record.start)
            && self.bytes[record.start as usize - 1] == b'\n';
        lines.push(record);
        *self.open.get_mut(stream) = Some(Open {
            last_begin: record.cursor,
            lines: before.lines + 1,
            len: before.len + 1 + record.len,
            is_adjacent,
            ..before
        });
        if record.flags.has(RecordFlags::UNTERMINATED) {
            let slot = &mut self.output.records[before.index];
            slot.flags = slot.flags.with(RecordFlags::UNTERMINATED);
        }
        self.note_last(stream, Some(before), here);
    }

    fn note_last(&mut self, stream: Stream, before: Option<Open>, hold: Hold) {
        // What a join of the other stream spans cannot be returned to.
        let is_spanned = self.joined.get(stream.other()).is_some();
        *self.last.get_mut(stream) = (!is_spanned).then_some(Last { stream, before, hold });
    }

    /// Puts the lines of an open group together.
    fn close(&mut self, stream: Stream, end: End) {
        let Some(open) = self.open.get_mut(stream).take() else { return };
        // Such a place cannot be returned to without tearing this group.
        let is_within = |hold: &Hold| open.last_begin >= hold.begin && open.hold.begin < hold.begin;
        let group = self.open.get_mut(stream.other()).as_mut().map(|it| &mut it.hold);
        let joined = self.joined.get_mut(stream.other()).as_mut();
        for hold in [group, joined].into_iter().flatten().filter(|it| is_within(it)) {
            *hold = open.hold;
        }
        self.last.get_mut(stream.other()).take_if(|it| is_within(&it.hold));
        // Parts put together are the whole: the line end between two of them is the first one's.
        let len = open.len + u32::from(end == End::Part);
        if len == self.output.records[open.index].len {
            return;
        }
        let first = self.output.records[open.index];
        let after = first.start as usize + open.len as usize;
        let is_in_place =
            open.is_adjacent && (end == End::Whole || self.bytes.get(after) == Some(&b'\n'));
        let mut whole = Record { len, ..first };
        if !is_in_place {
            whole.start = self.copy(stream, end);
            whole.flags = whole.flags.with(RecordFlags::SIDE);
        }
        if end == End::Part {
            whole.flags = whole.flags.with(RecordFlags::PART);
        }
        self.output.records[open.index] = whole;
    }

    /// Copies the lines of a group; returns where they are in the side buffer.
    #[expect(clippy::cast_possible_truncation, reason = "a chunk's contents, twice at most")]
    fn copy(&mut self, stream: Stream, end: End) -> u32 {
        let side = &mut *self.output.side;
        let start = side.len();
        for (index, line) in self.lines.get(stream).iter().enumerate() {
            if index > 0 {
                side.push(b'\n');
            }
            let range = line.start as usize..(line.start + line.len) as usize;
            if line.flags.has(RecordFlags::SIDE) {
                side.extend_from_within(range);
            } else {
                side.extend_from_slice(&self.bytes[range]);
            }
        }
        if end == End::Part {
            side.push(b'\n');
        }
        self.copied += (side.len() - start) as u64;
        start as u32
    }

    /// There are no more lines; without `open_groups` all groups end here. Returns where to go on if
    /// the last line was left to the next part.
    fn end(&mut self, open_groups: Option<OpenGroups>) -> Option<Hold> {
        self.output.records.truncate(self.written);
        let mut cut = None;
        let flush = match open_groups {
            Some(OpenGroups::Wait) => Streams::default(),
            Some(OpenGroups::Flush(streams)) => streams,
            Some(OpenGroups::Cut) => {
                cut = self.cut();
                Streams::both(true)
            }
            None => Streams::both(true),
        };
        for stream in Stream::BOTH {
            if *flush.get(stream) {
                self.close(stream, End::Whole);
            }
        }
        cut
    }

    /// Ends before the last line of a stream: so it is known whether its group has a next one. Of both streams, before that
    /// which comes first: of the other the next line is known, too.
    fn cut(&mut self) -> Option<Hold> {
        let open = Stream::BOTH.into_iter().filter(|it| self.open.get(*it).is_some());
        let last = open.filter_map(|it| *self.last.get(it)).filter(|it| it.hold.begin > 0);
        let is_late = is_mutant("chunk_cut_at_its_last_line");
        let order = |it: &Last| if is_late { u32::MAX - it.hold.begin } else { it.hold.begin };
        let Last { stream, before, hold } = last.min_by_key(order)?;
        *self.open.get_mut(stream) = before;
        self.lines.get_mut(stream).pop();
        self.close(stream, End::Part);
        self.cut_beside(stream.other(), hold);
        Some(hold)
    }

    /// Ends the open group of the stream that is not cut at its own last line. If that comes before the place, nobody
    /// knows whether it has a next one.
    fn cut_beside(&mut self, stream: Stream, place: Hold) {
        let (open, lines) = (self.open.get_mut(stream), self.lines.get_mut(stream));
        let Some(group) = open.as_mut() else { return };
        if lines.last().is_some_and(|it| it.cursor < place.begin) {
            return;
        }
        lines.retain(|it| it.cursor < place.begin);
        match lines.last() {
            None => *open = None,
            Some(last) => {
                group.last_begin = last.cursor;
                group.len = lines.iter().map(|it| it.len + 1).sum::<u32>() - 1;
                self.close(stream, End::Part);
            }
        }
    }

    fn waiting(&self) -> Streams<Option<u32>> {
        let mut waiting = Streams::default();
        for stream in Stream::BOTH {
            *waiting.get_mut(stream) = self.open.get(stream).map(|open| open.last_begin);
        }
        waiting
    }

    fn first_hold(&self) -> Option<Hold> {
        let holds = Stream::BOTH.into_iter().filter_map(|it| Some((*self.open.get(it))?.hold));
        holds.min_by_key(|hold| hold.begin)
    }
}

#[inline]
fn body<'a>(bytes: &'a [u8], side: &'a [u8], record: &Record) -> &'a [u8] {
    let from = if record.flags.has(RecordFlags::SIDE) { side } else { bytes };
    let start = record.start as usize;
    &from[start..start + record.len as usize]
}

#[cfg(test)]
mod tests;
