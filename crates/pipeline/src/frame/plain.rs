//! Plain lines: ended by a newline, any bytes otherwise.
//!
//! One carriage return before the newline is left out, as is a byte order mark at the beginning of
//! a file. A line longer than the limit comes in parts.

use flow::{Record, RecordFlags};

use super::{Carry, FrameOptions, Framed, Output, RECORDS_MAX, Tail};

/// UTF-8's byte order mark.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Finds the lines in `bytes`.
pub fn frame(
    bytes: &[u8],
    options: &FrameOptions,
    carry: &mut Carry,
    output: &mut Output<'_>,
) -> Framed {
    let has_mark = options.at_start && bytes.starts_with(BYTE_ORDER_MARK);
    let mut begin = if has_mark { BYTE_ORDER_MARK.len() } else { 0 };
    let searched = begin;
    let max = options.line_bytes_max as usize;
    let mut first = carry.mid_line;
    for newline in memchr::memchr_iter(b'\n', &bytes[searched..]) {
        let end = searched + newline;
        if first || end - begin > max {
            begin = parts(bytes, begin, end, max, &mut first, output);
        }
        let mut len = end - begin;
        if len > 0 && bytes[end - 1] == b'\r' {
            len -= 1;
        }
        // A line end alone, after the line was delivered without it, is no record; but it is the
        // last part of a line whose parts were announced.
        if !(first && len == 0) || carry.mid_part {
            let flags = if first { RecordFlags::CONTINUED } else { RecordFlags::NONE };
            output.records.push(record(begin, len, flags));
        }
        first = false;
        carry.mid_part = false;
        begin = end + 1;
        if output.records.len() >= RECORDS_MAX {
            carry.mid_line = false;
            return Framed { consumed: begin, is_cut: true, ..Framed::default() };
        }
    }
    // What is left has no line end.
    begin = parts(bytes, begin, bytes.len(), max, &mut first, output);
    if options.tail != Tail::Wait && bytes.len() - begin > max {
        // A carriage return is too much, and its line does not end here.
        let flags = if first { RecordFlags::CONTINUED } else { RecordFlags::NONE };
        output.records.push(record(begin, max, flags.with(RecordFlags::PART)));
        first = true;
        begin += max;
    }
    if options.tail != Tail::Wait && begin < bytes.len() {
        let mut flags = options.tail.flag();
        if first {
            flags = flags.with(RecordFlags::CONTINUED);
        }
        output.records.push(record(begin, bytes.len() - begin, flags));
        begin = bytes.len();
        first = true;
        carry.mid_part = options.tail == Tail::Cut;
    }
    carry.mid_line = first;
    Framed { consumed: begin, ..Framed::default() }
}

/// Emits full parts of a line that is longer than a record may be; returns where the rest begins.
fn parts(
    bytes: &[u8],
    mut begin: usize,
    end: usize,
    max: usize,
    continued: &mut bool,
    output: &mut Output<'_>,
) -> usize {
    // A carriage return at the very end may be half of a line end: it does not fill a part.
    while end - begin > max && !(end - begin == max + 1 && bytes[end - 1] == b'\r') {
        let mut flags = RecordFlags::PART;
        if *continued {
            flags = flags.with(RecordFlags::CONTINUED);
        }
        output.records.push(record(begin, max, flags));
        *continued = true;
        begin += max;
    }
    begin
}

/// A record at `start` of the chunk, whose cursor is its place in the chunk.
#[expect(clippy::cast_possible_truncation, reason = "a chunk is at most CHUNK_BYTES_MAX long")]
fn record(start: usize, len: usize, flags: RecordFlags) -> Record {
    Record { time_unix_ns: 0, start: start as u32, len: len as u32, cursor: start as u32, flags }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(bytes: &[u8], max: u32, tail: Tail, mid_line: bool) -> (Vec<Record>, Framed, bool) {
        let skip = RecordFlags::NONE;
        let options = FrameOptions { line_bytes_max: max, tail, skip, at_start: !mid_line };
        let mut carry = Carry { mid_line, ..Carry::default() };
        let mut records = Vec::new();
        let mut output = Output { side: &mut Vec::new(), records: &mut records };
        let framed = frame(bytes, &options, &mut carry, &mut output);
        (records, framed, carry.mid_line)
    }

    fn texts(bytes: &[u8], records: &[Record]) -> Vec<String> {
        let text = |it: &Record| &bytes[it.start as usize..(it.start + it.len) as usize];
        records.iter().map(|it| String::from_utf8_lossy(text(it)).into_owned()).collect()
    }

    #[test]
    fn lines_end_at_newlines_and_a_partial_line_waits() {
        let bytes = b"one\ntwo\r\n\nfour\r\r\nfi";
        let (records, framed, mid_line) = run(bytes, 100, Tail::Wait, false);
        assert_eq!(texts(bytes, &records), ["one", "two", "", "four\r"]);
        assert_eq!((framed.consumed, mid_line), (bytes.len() - 2, false));
    }

    #[test]
    fn a_byte_order_mark_is_left_out_only_at_the_start() {
        let bytes = b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n";
        let (records, framed, _) = run(bytes, 100, Tail::Wait, false);
        assert_eq!(records[0].len, 3);
        assert_eq!(records[1].len, 6);
        assert_eq!(framed.consumed, bytes.len());
    }

    #[test]
    fn the_last_line_is_delivered_flagged_when_nothing_follows() {
        let (records, framed, mid_line) = run(b"one\ntw", 100, Tail::Deliver, false);
        assert!(records[1].flags.has(RecordFlags::UNTERMINATED));
        assert_eq!((framed.consumed, mid_line), (6, true));
        let (records, framed, mid_line) = run(b"o\nthree\n", 100, Tail::Wait, true);
        assert!(records[0].flags.has(RecordFlags::CONTINUED));
        assert!(!records[1].flags.has(RecordFlags::CONTINUED));
        assert_eq!((framed.consumed, mid_line), (8, false));
        let (records, framed, _) = run(b"\nthree\n", 100, Tail::Wait, true);
        assert_eq!((records.len(), framed.consumed), (1, 7));
    }

    #[test]
    fn a_chunk_of_line_ends_is_framed_in_turns() {
        let bytes = vec![b'\n'; RECORDS_MAX + 3];
        let (records, framed, _) = run(&bytes, 100, Tail::Deliver, false);
        assert_eq!(
            (records.len(), framed.consumed, framed.is_cut),
            (RECORDS_MAX, RECORDS_MAX, true)
        );
        let (records, framed, _) = run(&bytes[framed.consumed..], 100, Tail::Deliver, false);
        assert_eq!((records.len(), framed.consumed, framed.is_cut), (3, 3, false));
    }

    #[test]
    fn a_long_line_comes_in_ordered_parts() {
        let bytes = b"0123456789\nab\n0123";
        let (records, framed, mid_line) = run(bytes, 4, Tail::Wait, false);
        assert_eq!(texts(bytes, &records), ["0123", "4567", "89", "ab"]);
        assert!(records[0].flags.has(RecordFlags::PART));
        assert!(!records[0].flags.has(RecordFlags::CONTINUED));
        assert!(records[1].flags.has(RecordFlags::PART));
        assert!(records[1].flags.has(RecordFlags::CONTINUED));
        assert!(!records[2].flags.has(RecordFlags::PART));
        assert!(records[2].flags.has(RecordFlags::CONTINUED));
        assert_eq!((framed.consumed, mid_line), (14, false));
    }

    proptest! {
        /// However the bytes are cut into reads, the same lines come out, every byte consumed.
        #[test]
        fn cuts_do_not_matter(
            lines in proptest::collection::vec("[a-z\r]{0,12}", 0..12),
            cuts in proptest::collection::vec(1usize..9, 1..40),
        ) {
            let bytes: Vec<u8> = lines.iter().flat_map(|it| format!("{it}\n").into_bytes()).collect();
            let want: Vec<String> =
                lines.iter().map(|it| it.strip_suffix('\r').unwrap_or(it).to_owned()).collect();
            let mut got = Vec::new();
            let (mut at, mut visible, mut cut) = (0, 0, cuts.iter().cycle());
            while at < bytes.len() {
                visible = (visible + cut.next().unwrap()).min(bytes.len());
                let (records, framed, mid_line) = run(&bytes[at..visible], 1000, Tail::Wait, false);
                prop_assert!(!mid_line);
                got.extend(texts(&bytes[at..visible], &records));
                at += framed.consumed;
            }
            prop_assert_eq!(got, want);
        }
    }
}
