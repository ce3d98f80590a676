//! Multi-line: groups of lines of any bytes, read in any pieces, against the obvious grouping.
//!
//! The obvious one asks the same rule line by line, over the whole content at once. Whatever ends
//! groups early, every line arrives once, and parts put together are the whole.

use std::sync::LazyLock;

use flow::{RecordFlags, Stream};
use pipeline::frame::group::{self, OpenGroups};
use pipeline::frame::multiline::{Multiline, Pattern, Rule, State};
use pipeline::frame::{Carry, Format, FrameOptions, Output, Streams, Tail};
use regex::bytes::Regex;

use crate::input::Input;

/// Longest line, in bytes: longer than any input.
const LINE_BYTES_MAX: u32 = 1 << 16;

/// A line of the program's.
#[derive(Debug)]
struct Line {
    /// Where its first part begins in the file.
    begin: usize,
    is_stderr: bool,
    content: Vec<u8>,
}

/// A record of one line or more.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grouped {
    cursor: usize,
    is_stderr: bool,
    content: Vec<u8>,
    is_continued: bool,
    is_part: bool,
}

/// One input: rule and limits, how it is read, and the lines.
///
/// # Panics
/// If what came out is not what it must be.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = input.byte();
    let is_cri = kind & 1 == 1;
    let multiline = Multiline {
        rule: RULES[usize::from(kind >> 1) % RULES.len()].clone(),
        timeout_ns: 0,
        lines_max: u32::from(input.byte() % 8) + 2,
        bytes_max: u32::from(input.byte()) + 4,
    };
    let is_patient = input.below(2) == 0;
    let count = input.below(8) + 1;
    let reads: Vec<(usize, usize)> =
        (0..count).map(|_| (usize::from(input.byte()) + 1, input.below(6))).collect();
    let (bytes, lines) = written(input.rest(), is_cri);
    let format = if is_cri { Format::Cri } else { Format::Plain };
    let mut file = File::new(format, &multiline, &bytes);
    let (mut visible, mut reads) = (0, reads.iter().cycle());
    while visible < bytes.len() {
        let (more, ending) = reads.next().expect("there is a read");
        visible = (visible + more).min(bytes.len());
        if is_patient {
            file.read(visible, Tail::Wait, OpenGroups::Wait);
        } else {
            file.read_impatiently(visible, *ending);
        }
    }
    file.read(visible, Tail::Deliver, OpenGroups::Wait);
    assert_eq!(file.at, bytes.len(), "all is delivered");
    for is_stderr in [false, true] {
        let of_stream = |it: &&Grouped| it.is_stderr == is_stderr;
        let got: Vec<&Grouped> = file.records.iter().filter(of_stream).collect();
        let lines: Vec<&Line> = lines.iter().filter(|it| it.is_stderr == is_stderr).collect();
        if is_patient {
            let want = obvious(&multiline, &lines);
            assert_eq!(got, want.iter().collect::<Vec<_>>(), "{:?}", multiline.rule);
        }
        assert_every_line_arrived(&got, &lines);
    }
}

/// Compiled once: that takes longer than all the rest.
static RULES: LazyLock<[Rule; 6]> = LazyLock::new(|| {
    let pattern = |text: &str| Pattern::new(Regex::new(text).expect("a pattern"));
    [
        Rule::Begin(pattern("^#")),
        Rule::Continue(pattern(r"^\s")),
        Rule::End(pattern(";$")),
        Rule::Java,
        Rule::Python,
        Rule::Go,
    ]
});

/// The file that has these lines, and the lines. In a container's file the first byte of each says to
/// which stream it goes, and whether the runtime splits it.
fn written(text: &[u8], is_cri: bool) -> (Vec<u8>, Vec<Line>) {
    let (mut bytes, mut lines) = (Vec::new(), Vec::new());
    // By stream, whether parts were written that the next line goes on from.
    let mut open: [Option<usize>; 2] = [None, None];
    for line in text.split(|byte| *byte == b'\n') {
        let begin = bytes.len();
        let (how, line) = match line.split_first() {
            Some((how, rest)) if is_cri => (*how, rest),
            _ => (b' ', line),
        };
        let (is_stderr, is_partial) = (how & 1 == 1, how & 2 == 2);
        if is_cri {
            let stream = if is_stderr { "stderr" } else { "stdout" };
            let tag = if is_partial { "P" } else { "F" };
            bytes.extend(format!("2026-01-02T03:04:05Z {stream} {tag} ").into_bytes());
        }
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
        let content = if is_partial { line } else { line.strip_suffix(b"\r").unwrap_or(line) };
        let slot = &mut open[usize::from(is_stderr)];
        let index = slot.take().unwrap_or_else(|| {
            lines.push(Line { begin, is_stderr, content: Vec::new() });
            lines.len() - 1
        });
        lines[index].content.extend_from_slice(content);
        *slot = is_partial.then_some(index);
    }
    // Every line has its end, so that all are known when the last is read.
    for (is_stderr, _) in [false, true].into_iter().zip(open).filter(|(_, open)| open.is_some()) {
        let stream = if is_stderr { "stderr" } else { "stdout" };
        bytes.extend(format!("2026-01-02T03:04:05Z {stream} F \n").into_bytes());
    }
    (bytes, lines)
}

/// A file that is read bit by bit, by an agent that may forget all but its offset.
struct File<'a> {
    format: Format,
    multiline: &'a Multiline,
    bytes: &'a [u8],
    at: usize,
    carry: Carry,
    states: Streams<State>,
    records: Vec<Grouped>,
}

impl<'a> File<'a> {
    fn new(format: Format, multiline: &'a Multiline, bytes: &'a [u8]) -> File<'a> {
        let (carry, states, records) = (Carry::default(), Streams::default(), Vec::new());
        File { format, multiline, bytes, at: 0, carry, states, records }
    }

    /// Groups end early, or the agent starts again; but never inside a line or a join.
    fn read_impatiently(&mut self, visible: usize, ending: usize) {
        let end = self.bytes[..visible].iter().rposition(|it| *it == b'\n');
        let ended = end.map_or(0, |it| it + 1);
        let is_joined = !self.read(ended, Tail::Wait, OpenGroups::Wait);
        let mut stderr = Streams::default();
        *stderr.get_mut(Stream::Stderr) = true;
        let open_groups = match ending {
            0 => OpenGroups::Flush(stderr),
            1 => OpenGroups::Flush(Streams::both(true)),
            2 => OpenGroups::Cut,
            _ => OpenGroups::Wait,
        };
        self.read(ended, Tail::Wait, open_groups);
        if ending == 3 && is_joined {
            (self.carry, self.states) = (Carry::default(), Streams::default());
        }
    }

    /// Reads what is visible once; returns whether a line or a join waits for its end.
    fn read(&mut self, visible: usize, tail: Tail, open_groups: OpenGroups) -> bool {
        let skip = RecordFlags::NONE;
        // A byte order mark is the business of framing.
        let options = FrameOptions { line_bytes_max: LINE_BYTES_MAX, tail, skip, at_start: false };
        let (mut side, mut records) = (Vec::new(), Vec::new());
        let mut output = Output { side: &mut side, records: &mut records };
        let bytes = &self.bytes[self.at..visible];
        let grouping = (self.multiline, open_groups);
        let known = (&mut self.carry, &mut self.states);
        let grouped = group::frame(self.format, bytes, &options, grouping, known, &mut output);
        assert!(side.len() <= 2 * bytes.len() + 2, "{} bytes copied", side.len());
        let consumed = grouped.framed.consumed;
        assert!(tail != Tail::Wait || consumed == 0 || bytes[consumed - 1] == b'\n');
        for record in &records {
            let from = if record.flags.has(RecordFlags::SIDE) { &side[..] } else { bytes };
            let content = from[record.start as usize..][..record.len as usize].to_vec();
            assert!((record.cursor as usize) < consumed, "a record of what is left");
            let cursor = self.at + record.cursor as usize;
            assert!(self.records.last().is_none_or(|it| it.cursor < cursor), "cursors grow");
            assert!(!record.flags.has(RecordFlags::MALFORMED), "all lines are of the format");
            self.records.push(Grouped {
                cursor,
                is_stderr: record.flags.stream() == Some(Stream::Stderr),
                content,
                is_continued: record.flags.has(RecordFlags::CONTINUED),
                is_part: record.flags.has(RecordFlags::PART),
            });
        }
        self.at += consumed;
        grouped.is_line_open
    }
}

/// The rule over all lines of a stream.
fn obvious(multiline: &Multiline, lines: &[&Line]) -> Vec<Grouped> {
    let mut records: Vec<Grouped> = Vec::new();
    let (mut state, mut count) = (State::Nothing, 0);
    for line in lines {
        let belongs = multiline.rule.belongs(&mut state, &line.content);
        if let Some(group) = records.last_mut().filter(|_| belongs) {
            let bytes = group.content.len() + 1 + line.content.len();
            group.content.push(b'\n');
            if count < multiline.lines_max && bytes <= multiline.bytes_max as usize {
                group.content.extend_from_slice(&line.content);
                count += 1;
                continue;
            }
            group.is_part = true;
        }
        let (cursor, is_stderr, content) = (line.begin, line.is_stderr, line.content.clone());
        let is_continued = belongs;
        records.push(Grouped { cursor, is_stderr, content, is_continued, is_part: false });
        count = 1;
    }
    records
}

/// The content of all records of a stream, put together, is that of all its lines.
fn assert_every_line_arrived(records: &[&Grouped], lines: &[&Line]) {
    let mut content = Vec::new();
    let mut is_part = true;
    for record in records {
        if !is_part {
            content.push(b'\n');
        }
        content.extend_from_slice(&record.content);
        is_part = record.is_part;
    }
    let want: Vec<&[u8]> = lines.iter().map(|it| &it.content[..]).collect();
    assert_eq!(content, want.join(&b'\n'));
}
