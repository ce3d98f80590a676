//! Joining against an obvious model, and the cases that agents get wrong.

use proptest::prelude::*;

use super::*;
use crate::frame::{Format, cri};

const TIME: &str = "1970-01-01T00:00:01Z";

struct Run {
    texts: Vec<(String, RecordFlags)>,
    cursors: Vec<u32>,
    framed: Framed,
    carry: Carry,
}

fn run_with(bytes: &[u8], max: u32, tail: Tail, skip: RecordFlags, mut carry: Carry) -> Run {
    let options = FrameOptions { line_bytes_max: max, tail, skip, at_start: false };
    let (mut side, mut records) = (Vec::new(), Vec::new());
    let mut output = Output { side: &mut side, records: &mut records };
    let framed = frame(bytes, &options, &mut carry, &mut output, cri::parse);
    let text = |it: &Record| {
        let from = if it.flags.has(RecordFlags::SIDE) { &side } else { bytes };
        String::from_utf8(from[it.start as usize..(it.start + it.len) as usize].to_vec()).unwrap()
    };
    Run {
        texts: records.iter().map(|it| (text(it), it.flags)).collect(),
        cursors: records.iter().map(|it| it.cursor).collect(),
        framed,
        carry,
    }
}

fn run(bytes: &[u8], tail: Tail) -> Run {
    run_with(bytes, 1000, tail, RecordFlags::NONE, Carry::default())
}

fn lines(lines: &[(&str, &str, &str)]) -> Vec<u8> {
    lines
        .iter()
        .map(|(stream, tag, text)| format!("{TIME} {stream} {tag} {text}\n"))
        .collect::<String>()
        .into_bytes()
}

fn texts(run: &Run) -> Vec<&str> {
    run.texts.iter().map(|(text, _)| text.as_str()).collect()
}

#[test]
fn parts_join_per_stream_in_the_order_of_their_first_bytes() {
    let bytes = lines(&[
        ("stdout", "P", "a"),
        ("stderr", "P", "x"),
        ("stdout", "P", "b"),
        ("stderr", "F", "y"),
        ("stderr", "F", "whole"),
        ("stdout", "F", "c"),
    ]);
    let run = run(&bytes, Tail::Wait);
    assert_eq!(texts(&run), ["abc", "xy", "whole"]);
    assert!(run.cursors.is_sorted());
    assert_eq!(run.framed.consumed, bytes.len());
    assert_eq!(run.framed.copied, 5);
}

#[test]
fn nothing_from_an_open_join_on_is_consumed() {
    let bytes = lines(&[("stdout", "F", "one"), ("stdout", "P", "a"), ("stderr", "F", "later")]);
    let run = run(&bytes, Tail::Wait);
    assert_eq!(texts(&run), ["one"]);
    assert_eq!(run.framed.consumed, lines(&[("stdout", "F", "one")]).len());
    assert!(run.framed.open_join);
}

#[test]
fn a_dangling_part_is_flagged_and_what_follows_goes_on_from_it() {
    let bytes = lines(&[("stdout", "P", "a"), ("stderr", "F", "other")]);
    let first = run(&bytes, Tail::Deliver);
    assert_eq!(texts(&first), ["a", "other"]);
    assert!(first.texts[0].1.has(RecordFlags::UNTERMINATED));
    let bytes = lines(&[("stderr", "F", "more"), ("stdout", "F", "b")]);
    let second = run_with(&bytes, 1000, Tail::Wait, RecordFlags::NONE, first.carry);
    assert!(!second.texts[0].1.has(RecordFlags::CONTINUED));
    assert!(second.texts[1].1.has(RecordFlags::CONTINUED));
}

#[test]
fn a_join_longer_than_a_record_comes_in_parts() {
    let bytes = lines(&[
        ("stdout", "P", "aaaa"),
        ("stdout", "P", "bbbb"),
        ("stdout", "P", "cccc"),
        ("stdout", "F", "dd"),
    ]);
    let run = run_with(&bytes, 9, Tail::Wait, RecordFlags::NONE, Carry::default());
    assert_eq!(texts(&run), ["aaaabbbb", "ccccdd"]);
    assert!(run.texts[0].1.has(RecordFlags::PART));
    assert!(run.texts[1].1.has(RecordFlags::CONTINUED));
    assert!(!run.texts[1].1.has(RecordFlags::PART));
}

#[test]
fn malformed_lines_are_delivered_raw() {
    let mut bytes = b"not cri\n".to_vec();
    bytes.extend(lines(&[("stdout", "F", "fine")]));
    bytes.extend_from_slice(b"\nto");
    let run = run(&bytes, Tail::Deliver);
    assert_eq!(texts(&run), ["not cri", "fine", "", "to"]);
    let malformed: Vec<bool> =
        run.texts.iter().map(|(_, flags)| flags.has(RecordFlags::MALFORMED)).collect();
    assert_eq!(malformed, [true, false, true, true]);
    assert!(run.texts[3].1.has(RecordFlags::UNTERMINATED));
    let rest = run_with(b"rn\n", 1000, Tail::Wait, RecordFlags::NONE, run.carry);
    assert_eq!(texts(&rest), ["rn"]);
    assert!(rest.texts[0].1.has(RecordFlags::CONTINUED));
}

#[test]
fn too_many_records_are_framed_in_turns_even_inside_a_join() {
    let mut bytes = lines(&[("stdout", "P", "open")]);
    for _ in 0..RECORDS_MAX {
        bytes.extend(lines(&[("stderr", "F", "")]));
    }
    bytes.extend(lines(&[("stdout", "F", "end")]));
    let held = run(&bytes, Tail::Wait);
    assert_eq!((held.framed.consumed, held.framed.is_cut), (0, true));
    let first = run(&bytes, Tail::Deliver);
    assert_eq!(first.texts.len(), RECORDS_MAX);
    assert!(first.framed.is_cut);
    assert!(first.framed.consumed < bytes.len());
    assert!(first.texts[0].1.has(RecordFlags::UNTERMINATED));
    let rest =
        run_with(&bytes[first.framed.consumed..], 1000, Tail::Wait, RecordFlags::NONE, first.carry);
    assert_eq!(texts(&rest).last(), Some(&"end"));
    assert!(rest.texts.last().unwrap().1.has(RecordFlags::CONTINUED));
}

#[test]
fn skipped_streams_are_counted_once_even_if_held_back() {
    let bytes = lines(&[("stderr", "F", "x"), ("stdout", "P", "a"), ("stderr", "F", "y")]);
    let run = run_with(&bytes, 1000, Tail::Wait, RecordFlags::STDERR, Carry::default());
    assert_eq!(run.framed.filtered, 1);
    assert_eq!(run.framed.filtered_bytes, run.framed.consumed as u64);
}

#[test]
fn the_format_is_told_by_the_first_line() {
    assert_eq!(Format::detect(b"1970-01-01T00:00:01Z stdout F x\n"), Some(Format::Cri));
    assert_eq!(Format::detect(b"{\"log\":\"x\\n\"}\n"), Some(Format::Docker));
    assert_eq!(Format::detect(b"hello\n"), Some(Format::Plain));
    assert_eq!(Format::detect(b"1970-01-01T00:00:01Z stdout F x"), None);
}

/// The obvious joiner: whole lines, one map of open texts per stream.
fn model(input: &[(bool, bool, String)]) -> Vec<(usize, String)> {
    let mut open: [Option<(usize, String)>; 2] = [None, None];
    let mut done = Vec::new();
    for (number, (is_stderr, partial, text)) in input.iter().enumerate() {
        let slot = &mut open[usize::from(*is_stderr)];
        let (first, joined) = slot.get_or_insert_with(|| (number, String::new()));
        joined.push_str(text);
        if !partial {
            done.push((*first, std::mem::take(joined)));
            *slot = None;
        }
    }
    done.sort();
    done
}

proptest! {
    /// However reads cut the bytes, the same joined records come out as of the model.
    #[test]
    fn joins_are_those_of_the_model(
        input in proptest::collection::vec((any::<bool>(), any::<bool>(), "[a-z]{0,5}"), 0..20),
        cuts in proptest::collection::vec(1usize..90, 1..20),
    ) {
        let mut input = input;
        // Both streams end whole, so that everything is delivered.
        input.push((false, false, "end".to_owned()));
        input.push((true, false, "end".to_owned()));
        let bytes: Vec<u8> = input
            .iter()
            .flat_map(|(is_stderr, partial, text)| {
                let stream = if *is_stderr { "stderr" } else { "stdout" };
                format!("{TIME} {stream} {} {text}\n", if *partial { "P" } else { "F" }).into_bytes()
            })
            .collect();
        let want: Vec<String> = model(&input).into_iter().map(|(_, text)| text).collect();
        let (mut got, mut carry, mut at, mut visible) = (Vec::new(), Carry::default(), 0, 0);
        let mut cut = cuts.iter().cycle();
        while at < bytes.len() {
            visible = (visible + cut.next().unwrap()).min(bytes.len());
            let run = run_with(&bytes[at..visible], 1000, Tail::Wait, RecordFlags::NONE, carry);
            prop_assert!(run.cursors.is_sorted());
            got.extend(run.texts.into_iter().map(|(text, _)| text));
            carry = run.carry;
            at += run.framed.consumed;
        }
        prop_assert_eq!(got, want);
    }
}
