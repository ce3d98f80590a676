//! Text lines: plain and UTF-16 framing of any bytes, read in any pieces.
//!
//! What comes out is compared with the reference tailer for plain lines, and with the standard
//! library's decoder, line by line, for UTF-16.

use flow::RecordFlags;
use pipeline::frame::{ByteOrder, Format, Tail};
use sim::{Model, mend};

use crate::framing::{self, Framed, assert_reads_do_not_matter};
use crate::input::Input;

const NEWLINE: u16 = 0x0a;
const CARRIAGE_RETURN: u16 = 0x0d;
const BYTE_ORDER_MARK: u16 = 0xfeff;
const REPLACEMENT: u16 = 0xfffd;
/// The same in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// One input: format, how it is read, the file.
///
/// # Panics
/// If what came out is not what it must be.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let format = match input.below(3) {
        0 => Format::Plain,
        1 => Format::Utf16(ByteOrder::Little),
        _ => Format::Utf16(ByteOrder::Big),
    };
    let reading = framing::reading(format, &mut input);
    let bytes = input.rest();
    assert_reads_do_not_matter(&reading, bytes);
    let framed = reading.frame(bytes);
    match format {
        Format::Utf16(order) => assert_utf16(order, &framed, &reading.reads, bytes),
        _ => assert_plain(&framed, reading.line_bytes_max, bytes),
    }
}

fn assert_plain(framed: &Framed, line_bytes_max: u32, bytes: &[u8]) {
    let line_bytes_max = line_bytes_max as usize;
    let model = Model { format: Format::Plain, line_bytes_max };
    let got = mend(&framed.records).unwrap_or_else(|why| panic!("{why}"));
    let mut want = model.records(&framed.runs);
    if let Some(text) = bytes.strip_prefix(MARK) {
        // The mark is of no line, and alone it makes none.
        want.iter_mut().take(1).for_each(|it| it.cursor += MARK.len() as u64);
        want.truncate(if text.is_empty() { 0 } else { usize::MAX });
    }
    assert_eq!(got, want);
    for record in framed.records.iter().filter(|it| it.flags.has(RecordFlags::PART)) {
        assert!(!record.body.is_empty(), "an empty part");
    }
}

fn assert_utf16(order: ByteOrder, framed: &Framed, reads: &[(usize, Tail)], bytes: &[u8]) {
    // What was torn may be torn inside a character, which is two characters then.
    if reads.iter().any(|(_, tail)| *tail != Tail::Wait) {
        return;
    }
    let got = mend(&framed.records).unwrap_or_else(|why| panic!("{why}"));
    let (units, odd) = bytes.as_chunks();
    let unit = |it: &[u8; 2]| match order {
        ByteOrder::Little => u16::from_le_bytes(*it),
        ByteOrder::Big => u16::from_be_bytes(*it),
    };
    let mut units: &[u16] = &units.iter().map(unit).collect::<Vec<u16>>();
    units = units.strip_prefix(&[BYTE_ORDER_MARK]).unwrap_or(units);
    let mut lines: Vec<&[u16]> = units.split(|it| *it == NEWLINE).collect();
    let unended = lines.pop().unwrap_or_default();
    let ended = lines.iter().map(|it| text(it.strip_suffix(&[CARRIAGE_RETURN]).unwrap_or(it)));
    let mut want: Vec<String> = ended.collect();
    let half = if odd.is_empty() { "" } else { "\u{fffd}" };
    if !unended.is_empty() || !odd.is_empty() {
        want.push(text(unended) + half);
    }
    let got: Vec<String> =
        got.into_iter().map(|it| String::from_utf8(it.content).expect("text")).collect();
    assert_eq!(got, want);
    // The character that stands for what is none may have been written, too.
    let is_written = units.contains(&REPLACEMENT);
    for record in &framed.records {
        let body = std::str::from_utf8(&record.body).expect("text");
        let (is_odd, is_flagged) =
            (body.contains('\u{fffd}'), record.flags.has(RecordFlags::BINARY));
        assert!(is_odd == is_flagged || is_odd && is_written, "{body:?}: {:?}", record.flags);
    }
}

fn text(units: &[u16]) -> String {
    String::from_utf16_lossy(units)
}
