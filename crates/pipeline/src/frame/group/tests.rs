//! Grouping against an obvious model of the whole content, and the cases that agents get wrong.

use std::fmt::Write as _;

use proptest::prelude::*;
use regex::bytes::Regex;

use super::*;
use crate::frame::multiline::{Pattern, Rule};

const MAX: u32 = 1000;

/// A group begins at a line that begins with `#`.
fn multiline(lines_max: u32, bytes_max: u32) -> Multiline {
    let rule = Rule::Begin(Pattern::new(Regex::new("^#").unwrap()));
    Multiline { rule, timeout_ns: 0, lines_max, bytes_max }
}

/// What was delivered of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Delivered {
    cursor: usize,
    text: String,
    flags: RecordFlags,
}

impl Delivered {
    fn has(&self, flag: RecordFlags) -> bool {
        self.flags.has(flag)
    }
}

/// A file that is read bit by bit, by an agent that may forget all but its offset.
struct File {
    format: Format,
    multiline: Multiline,
    skip: RecordFlags,
    at: usize,
    carry: Carry,
    states: Streams<State>,
    filtered: u32,
    delivered: Vec<Delivered>,
}

impl File {
    fn new(format: Format, multiline: Multiline) -> File {
        File {
            format,
            multiline,
            skip: RecordFlags::NONE,
            at: 0,
            carry: Carry::default(),
            states: Streams::default(),
            filtered: 0,
            delivered: Vec::new(),
        }
    }

    /// Reads what is visible once.
    fn read(&mut self, visible: &[u8], tail: Tail, open_groups: OpenGroups) -> Grouped {
        let options =
            FrameOptions { line_bytes_max: MAX, tail, skip: self.skip, at_start: self.at == 0 };
        let (mut side, mut records) = (Vec::new(), Vec::new());
        let mut output = Output { side: &mut side, records: &mut records };
        let bytes = &visible[self.at..];
        let grouping = (&self.multiline, open_groups);
        let known = (&mut self.carry, &mut self.states);
        let grouped = frame(self.format, bytes, &options, grouping, known, &mut output);
        let begin = self.at;
        for record in &records {
            let text = String::from_utf8(body(bytes, &side, record).to_vec()).unwrap();
            let cursor = begin + record.cursor as usize;
            self.delivered.push(Delivered { cursor, text, flags: record.flags });
        }
        self.filtered += grouped.framed.filtered;
        self.at += grouped.framed.consumed;
        grouped
    }

    fn wait(&mut self, visible: &[u8]) -> Grouped {
        self.read(visible, Tail::Wait, OpenGroups::Wait)
    }

    fn forget(&mut self) {
        self.carry = Carry::default();
        self.states = Streams::default();
    }

    fn texts(&self) -> Vec<&str> {
        self.delivered.iter().map(|it| it.text.as_str()).collect()
    }

    /// `C` for what goes on, `P` for what is gone on with.
    fn marks(&self) -> Vec<String> {
        let marks = [(RecordFlags::CONTINUED, 'C'), (RecordFlags::PART, 'P')];
        let mark = |it: &Delivered| {
            marks.iter().filter(|(flag, _)| it.has(*flag)).map(|(_, name)| *name).collect()
        };
        self.delivered.iter().map(mark).collect()
    }
}

fn cri(lines: &[(&str, &str, &str)]) -> Vec<u8> {
    let mut text = String::new();
    for (stream, tag, content) in lines {
        writeln!(text, "1970-01-01T00:00:01Z {stream} {tag} {content}").unwrap();
    }
    text.into_bytes()
}

#[test]
fn lines_of_a_group_that_lie_side_by_side_are_not_copied() {
    let mut file = File::new(Format::Plain, multiline(100, 1000));
    let bytes = b"lost\n#a\n b\n c\n#d\n";
    let grouped = file.wait(bytes);
    assert_eq!(file.texts(), ["lost", "#a\n b\n c"]);
    assert_eq!((file.at, grouped.framed.copied), (bytes.len() - 3, 0));
    assert!(grouped.framed.open_join);
    file.read(bytes, Tail::Deliver, OpenGroups::Wait);
    assert_eq!(file.texts().last(), Some(&"#d"));
    assert!(!file.delivered[2].has(RecordFlags::UNTERMINATED), "the line has its end");
}

#[test]
fn carriage_returns_are_no_part_of_a_group() {
    let mut file = File::new(Format::Plain, multiline(100, 1000));
    let grouped = file.wait(b"\xef\xbb\xbf#a\r\n b\r\n\r\n c\n#d\n");
    assert_eq!(file.texts(), ["#a\n b\n\n c"]);
    assert_eq!(grouped.framed.copied, 9);
}

#[test]
fn streams_never_mix_and_parts_are_joined_first() {
    let bytes = cri(&[
        ("stdout", "F", "#out 1"),
        ("stderr", "F", "#err 1"),
        ("stdout", "P", " o"),
        ("stderr", "F", " e"),
        ("stdout", "F", "ne"),
        ("stdout", "F", " two"),
        ("stderr", "F", "#err 2"),
        ("stdout", "F", "#out 2"),
    ]);
    let mut file = File::new(Format::Cri, multiline(100, 1000));
    file.wait(&bytes);
    assert_eq!(file.texts(), ["#out 1\n one\n two", "#err 1\n e"]);
    assert_eq!(file.delivered[0].flags.stream(), Some(Stream::Stdout));
    assert_eq!(file.delivered[1].flags.stream(), Some(Stream::Stderr));
    let held = cri(&[("stderr", "F", "#err 2"), ("stdout", "F", "#out 2")]);
    assert_eq!(bytes.len() - file.at, held.len());
}

#[test]
fn nothing_from_an_open_group_on_is_consumed() {
    let first = cri(&[("stderr", "F", "#err"), ("stderr", "F", "#open")]);
    let bytes = [
        first.clone(),
        cri(&[("stdout", "F", "#a"), ("stdout", "F", "#b"), ("stderr", "F", " more")]),
    ]
    .concat();
    let mut file = File::new(Format::Cri, multiline(100, 1000));
    file.wait(&first);
    assert_eq!(file.texts(), ["#err"]);
    file.wait(&bytes);
    assert_eq!(file.texts(), ["#err"], "what lies behind the open group waits too");
    let flush = Streams::both(true);
    file.read(&bytes, Tail::Wait, OpenGroups::Flush(flush));
    assert_eq!(file.texts(), ["#err", "#open\n more", "#a", "#b"]);
    assert_eq!(file.at, bytes.len());
}

#[test]
fn a_group_that_waited_long_enough_ends_without_the_others() {
    let bytes = cri(&[("stdout", "F", "#a"), ("stdout", "F", " b"), ("stderr", "F", "#open")]);
    let mut file = File::new(Format::Cri, multiline(100, 1000));
    let mut flush = Streams::default();
    *flush.get_mut(Stream::Stdout) = true;
    let grouped = file.read(&bytes, Tail::Wait, OpenGroups::Flush(flush));
    assert_eq!(file.texts(), ["#a\n b"]);
    assert_eq!((*grouped.waiting.get(Stream::Stdout), grouped.is_line_open), (None, false));
    assert!(grouped.waiting.get(Stream::Stderr).is_some());
    let more = [bytes, cri(&[("stdout", "F", " late"), ("stderr", "F", "#next")])].concat();
    file.wait(&more);
    assert_eq!(file.texts(), ["#a\n b", "#open"]);
    file.read(&more, Tail::Deliver, OpenGroups::Wait);
    assert_eq!(file.texts(), ["#a\n b", "#open", " late", "#next"]);
    assert_eq!(file.marks(), ["", "", "C", ""]);
}

#[test]
fn a_group_beyond_its_limits_comes_in_parts_that_make_the_whole() {
    for (lines_max, bytes_max) in [(2, 1000), (100, 6)] {
        let mut file = File::new(Format::Plain, multiline(lines_max, bytes_max));
        let grouped = file.wait(b"#1\n 2\n 3\n 4\n 5\n#6\n");
        assert_eq!(file.texts(), ["#1\n 2\n", " 3\n 4\n", " 5"]);
        assert_eq!(file.marks(), ["P", "CP", "C"]);
        assert_eq!(grouped.framed.copied, 0);
    }
}

#[test]
fn a_group_that_fills_the_chunk_is_cut_before_its_last_line() {
    let mut file = File::new(Format::Plain, multiline(100, 1000));
    let bytes = b"#1\n 2\n 3\n 4\n#5\n";
    assert_eq!(file.wait(&bytes[..9]).framed.consumed, 0);
    file.read(&bytes[..9], Tail::Wait, OpenGroups::Cut);
    assert_eq!((file.texts(), file.at), (vec!["#1\n 2\n"], 6));
    file.wait(bytes);
    assert_eq!(file.texts(), ["#1\n 2\n", " 3\n 4"]);
    assert_eq!(file.marks(), ["P", "C"]);
}

#[test]
fn a_line_longer_than_a_record_stands_alone_in_its_parts() {
    let long = "x".repeat(MAX as usize + 5);
    let text = format!("#a\n {long}\n b\n#c\n");
    let mut file = File::new(Format::Plain, multiline(100, 10_000));
    file.wait(text.as_bytes());
    assert_eq!(file.delivered.len(), 4);
    assert_eq!(file.marks(), ["P", "CP", "C", "C"]);
    assert_eq!(file.texts().concat(), format!("#a\n {long} b"));
}

#[test]
fn malformed_lines_stand_alone_and_groups_go_on() {
    let mut bytes = cri(&[("stdout", "F", "#a")]);
    bytes.extend_from_slice(b"#torn\n");
    bytes.extend(cri(&[("stdout", "F", " b"), ("stdout", "F", "#c")]));
    let mut file = File::new(Format::Cri, multiline(100, 1000));
    file.wait(&bytes);
    assert_eq!(file.texts(), ["#a\n b", "#torn"]);
    assert!(file.delivered[1].has(RecordFlags::MALFORMED));
}

#[test]
fn lines_left_out_are_counted_once_even_if_held_back() {
    let bytes = cri(&[
        ("stderr", "F", "x"),
        ("stdout", "F", "#a"),
        ("stderr", "F", "y"),
        ("stdout", "F", "#b"),
        ("stderr", "F", "z"),
    ]);
    let mut file = File::new(Format::Cri, multiline(100, 1000));
    file.skip = RecordFlags::STDERR;
    let grouped = file.wait(&bytes);
    assert_eq!((file.texts(), file.filtered), (vec!["#a"], 2));
    let line = cri(&[("stderr", "F", "x")]).len() as u64;
    assert_eq!(grouped.framed.filtered_bytes, 2 * line);
    file.read(&bytes, Tail::Deliver, OpenGroups::Wait);
    assert_eq!((file.texts(), file.filtered), (vec!["#a", "#b"], 3));
}

/// Written lines: stream, whether the runtime split it, content.
type Written = Vec<(bool, bool, String)>;

fn written() -> impl Strategy<Value = Written> {
    let line = (any::<bool>(), proptest::bool::weighted(0.2), "#?[a-z]{0,4}");
    proptest::collection::vec(line, 0..24)
}

/// The file, and per line of content its stream, where it begins and its text.
fn written_as(format: Format, input: &Written) -> (Vec<u8>, Vec<(bool, usize, String)>) {
    let (mut bytes, mut lines) = (Vec::new(), Vec::<(bool, usize, String)>::new());
    let mut open: [Option<usize>; 2] = [None, None];
    for (is_stderr, is_split, text) in input {
        let is_split = *is_split && format != Format::Plain;
        let is_stderr = *is_stderr && format != Format::Plain;
        let begin = bytes.len();
        let stream = if is_stderr { "stderr" } else { "stdout" };
        let time = "1970-01-01T00:00:01Z";
        let line = match format {
            Format::Plain => format!("{text}\n"),
            Format::Cri => format!("{time} {stream} {} {text}\n", if is_split { 'P' } else { 'F' }),
            Format::Docker => {
                let end = if is_split { "" } else { "\\n" };
                format!(r#"{{"log":"{text}{end}","stream":"{stream}","time":"{time}"}}"#) + "\n"
            }
            Format::Utf16(_) => unreachable!("not among those written here"),
        };
        bytes.extend_from_slice(line.as_bytes());
        let slot = &mut open[usize::from(is_stderr)];
        match *slot {
            Some(index) => lines[index].2.push_str(text),
            None => {
                *slot = Some(lines.len());
                lines.push((is_stderr, begin, text.clone()));
            }
        }
        if !is_split {
            *slot = None;
        }
    }
    (bytes, lines)
}

/// The obvious grouping of all lines: where each record begins, its text, and its marks.
fn model(
    multiline: &Multiline,
    lines: &[(bool, usize, String)],
) -> Vec<(usize, String, bool, bool)> {
    let mut records = Vec::new();
    for is_stderr in [false, true] {
        let mut state = State::Nothing;
        let mut open: Option<(usize, String, bool, bool)> = None;
        let mut count = 0;
        for (_, begin, text) in lines.iter().filter(|it| it.0 == is_stderr) {
            let belongs = multiline.rule.belongs(&mut state, text.as_bytes());
            count += 1;
            if let Some(group) = open.as_mut().filter(|_| belongs) {
                if count <= multiline.lines_max
                    && group.1.len() + 1 + text.len() <= multiline.bytes_max as usize
                {
                    group.1.push('\n');
                    group.1.push_str(text);
                    continue;
                }
                group.1.push('\n');
                group.3 = true;
            }
            records.extend(open.take());
            open = Some((*begin, text.clone(), belongs, false));
            count = 1;
        }
        records.extend(open);
    }
    records.sort();
    records
}

fn rules() -> impl Strategy<Value = Rule> {
    let pattern = |text: &str| Pattern::new(Regex::new(text).unwrap());
    proptest::sample::select(vec![
        Rule::Begin(pattern("^#")),
        Rule::Continue(pattern("^[^#]")),
        Rule::End(pattern("^#")),
    ])
}

fn formats() -> impl Strategy<Value = Format> {
    proptest::sample::select(vec![Format::Plain, Format::Cri, Format::Docker])
}

proptest! {
    /// However reads cut the bytes, the same records come out as of the model, each byte once.
    #[test]
    fn groups_are_those_of_the_model(
        input in written(),
        format in formats(),
        rule in rules(),
        limits in (2u32..5, 4u32..40),
        cuts in proptest::collection::vec(1usize..120, 1..20),
    ) {
        let mut input = input;
        // Both streams end whole, so that everything is delivered.
        input.push((false, false, "end".to_owned()));
        input.push((true, false, "end".to_owned()));
        let (bytes, lines) = written_as(format, &input);
        let multiline = Multiline { rule, timeout_ns: 0, lines_max: limits.0, bytes_max: limits.1 };
        let mut file = File::new(format, multiline.clone());
        let (mut visible, mut cut) = (0, cuts.iter().cycle());
        while visible < bytes.len() {
            visible = (visible + cut.next().unwrap()).min(bytes.len());
            let grouped = file.wait(&bytes[..visible]);
            prop_assert_eq!(
                file.at < visible,
                grouped.is_line_open || grouped.waiting != Streams::default()
            );
        }
        file.read(&bytes, Tail::Deliver, OpenGroups::Wait);
        prop_assert_eq!(file.at, bytes.len());
        let got: Vec<(usize, String, bool, bool)> = file
            .delivered
            .iter()
            .map(|it| {
                let marks = (it.has(RecordFlags::CONTINUED), it.has(RecordFlags::PART));
                (it.cursor, it.text.clone(), marks.0, marks.1)
            })
            .collect();
        prop_assert_eq!(got, model(&multiline, &lines));
    }

    /// Whatever ends groups early, and whatever a restart forgets, every line arrives, once and in
    /// order, and parts put together are the whole.
    #[test]
    fn every_line_arrives_once_whatever_ends_its_group(
        input in written(),
        format in formats(),
        rule in rules(),
        limits in (2u32..5, 4u32..40),
        reads in proptest::collection::vec((1usize..120, 0u8..6), 1..20),
    ) {
        let (bytes, lines) = written_as(format, &input);
        let multiline = Multiline { rule, timeout_ns: 0, lines_max: limits.0, bytes_max: limits.1 };
        let mut file = File::new(format, multiline);
        let (mut visible, mut reads) = (0, reads.iter().cycle());
        while visible < bytes.len() {
            let (count, ending) = reads.next().unwrap();
            visible = (visible + count).min(bytes.len());
            // Never inside a line or a join, which would deliver its parts apart: another test's.
            let ended = bytes[..visible].iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
            let is_joined = !file.wait(&bytes[..ended]).is_line_open;
            let mut flush = Streams::default();
            *flush.get_mut(Stream::Stderr) = true;
            let open_groups = match ending {
                0 => OpenGroups::Flush(flush),
                1 => OpenGroups::Flush(Streams::both(true)),
                2 => OpenGroups::Cut,
                _ => OpenGroups::Wait,
            };
            file.read(&bytes[..ended], Tail::Wait, open_groups);
            if *ending == 3 && is_joined {
                file.forget();
            }
        }
        file.read(&bytes, Tail::Deliver, OpenGroups::Wait);
        prop_assert_eq!(file.at, bytes.len());
        prop_assert!(file.delivered.iter().map(|it| it.cursor).is_sorted());
        for (stream, is_stderr) in [(Stream::Stdout, false), (Stream::Stderr, true)] {
            let mut text = String::new();
            let mut is_part = true;
            let of_stream = |it: &&Delivered| it.flags.stream().unwrap_or(Stream::Stdout) == stream;
            for record in file.delivered.iter().filter(of_stream) {
                if !is_part {
                    text.push('\n');
                }
                text.push_str(&record.text);
                is_part = record.has(RecordFlags::PART);
            }
            let want: Vec<&str> =
                lines.iter().filter(|it| it.0 == is_stderr).map(|it| it.2.as_str()).collect();
            prop_assert_eq!(text, want.join("\n"));
        }
    }
}
