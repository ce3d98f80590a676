//! Container lines: CRI and Docker framing with joins, of any bytes, read in any pieces.
//!
//! What comes out is compared with the obvious: split at line ends, take each line apart, join parts
//! per stream. A line that a read did not wait for is no line of the format any more.

use std::collections::BTreeMap;

use flow::{RecordFlags, Stream};
use pipeline::frame::Format;
use sim::{Line, Model, Whole, mend};

use crate::framing::{self, Framed, Reading, assert_reads_do_not_matter};
use crate::input::Input;
use crate::obvious::{self, Parsed};

/// One input: format and streams left out, how it is read, the file.
///
/// # Panics
/// If what came out is not what it must be.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = input.byte();
    let format = if kind & 1 == 0 { Format::Cri } else { Format::Docker };
    let mut reading = framing::reading(format, &mut input);
    reading.skip = match kind >> 1 & 3 {
        1 => RecordFlags::STDOUT,
        2 => RecordFlags::STDERR,
        _ => RecordFlags::NONE,
    };
    let bytes = input.rest();
    assert_reads_do_not_matter(&reading, bytes);
    let framed = reading.frame(bytes);
    let lines = Model { format: Format::Plain, line_bytes_max: 0 }.lines(&framed.runs);
    let lines = lines.iter().map(|line| (line, parsed(format, line))).collect();
    assert_records(&framed, &reading, lines);
}

/// A line as the format has it; `None` if it is none, or was not waited for.
fn parsed(format: Format, line: &Line) -> Option<Parsed> {
    if !line.is_ended || !line.tears.is_empty() {
        return None;
    }
    match format {
        Format::Docker => obvious::docker(&line.bytes),
        _ => obvious::cri(&line.bytes),
    }
}

fn assert_records(framed: &Framed, reading: &Reading, lines: Vec<(&Line, Option<Parsed>)>) {
    let skipped = |it: &Parsed| reading.skip.has(RecordFlags::from(it.stream));
    let (mut whole, mut filtered, mut filtered_bytes) = (Vec::new(), 0, 0);
    let mut times = BTreeMap::new();
    for (line, parsed) in lines {
        times.insert(line.cursor, parsed.as_ref().map_or(0, |it| it.time));
        match parsed {
            Some(parsed) if skipped(&parsed) => {
                filtered += u64::from(!parsed.is_partial);
                filtered_bytes += line.bytes.len() as u64 + 1;
            }
            parsed => whole.push((line, parsed)),
        }
    }
    let got = mend(&framed.records).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(got, join(whole), "read as {reading:?}");
    assert_eq!((framed.filtered, framed.filtered_bytes), (filtered, filtered_bytes));
    for (record, time) in framed.records.iter().zip(&framed.times) {
        let (_, want) = times.range(..=record.cursor).next_back().expect("of a line");
        assert_eq!(time, want, "time of the record at {}", record.cursor);
    }
}

/// The obvious joiner: per stream, the record that its next part belongs to.
fn join(lines: Vec<(&Line, Option<Parsed>)>) -> Vec<Whole> {
    let mut records: Vec<Whole> = Vec::new();
    let mut open = [None, None];
    for (line, parsed) in lines {
        let cursor = line.cursor;
        let Some(parsed) = parsed else {
            let content = line.bytes.clone();
            records.push(Whole { cursor, stream: None, is_malformed: true, content });
            continue;
        };
        let stream = Some(parsed.stream);
        let slot = &mut open[usize::from(parsed.stream == Stream::Stderr)];
        let index = slot.take().unwrap_or_else(|| {
            let content = Vec::new();
            records.push(Whole { cursor, stream, is_malformed: false, content });
            records.len() - 1
        });
        records[index].content.extend(parsed.content);
        *slot = parsed.is_partial.then_some(index);
    }
    records
}
