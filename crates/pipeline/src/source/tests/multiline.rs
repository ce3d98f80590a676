//! Groups of lines over rotation, restarts and time.

use super::*;
use crate::frame::multiline::Rule;

const TIMEOUT: u64 = 300;

/// A bed whose sources put Java's traces together.
fn java(format: Format) -> Bed {
    let mut bed = Bed::new(Some(format));
    put_together(&mut bed);
    bed
}

fn put_together(bed: &mut Bed) {
    let options = options(bed.source.spec.options.format);
    let multiline =
        Multiline { rule: Rule::Java, timeout_ns: TIMEOUT, lines_max: 100, bytes_max: 2048 };
    bed.source.spec.options = Arc::new(SourceOptions { multiline: Some(multiline), ..options });
}

/// A new agent that knows what the last one delivered.
fn restart(bed: &mut Bed) {
    bed.restart();
    put_together(bed);
}

fn cri(stream: &str, text: &str) -> String {
    text.lines().map(|line| format!("1970-01-01T00:00:01Z {stream} F {line}\n")).collect()
}

#[test]
fn a_trace_waits_for_its_end_and_then_for_the_timeout() {
    let mut bed = java(Format::Plain);
    bed.append("a.log", "one\ntwo\na.B.CException: no\n\tat x\n");
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), ["one"]);
    assert!(bed.wait(TIMEOUT - 1).is_empty());
    bed.append("a.log", "\tat y\n");
    assert!(bed.run().is_empty(), "it grew: it waits anew");
    assert!(bed.wait(TIMEOUT - 1).is_empty());
    assert_eq!(bed.wait(1), ["two\na.B.CException: no\n\tat x\n\tat y"]);
    bed.append("a.log", "\tat z\nthree\n");
    assert_eq!(bed.run(), ["\tat z"]);
    assert_eq!(bed.wait(TIMEOUT), ["three"]);
    bed.check_tiling();
}

#[test]
fn a_trace_goes_on_over_a_rotation() {
    for format in [Format::Plain, Format::Cri] {
        let written = |text: &str| match format {
            Format::Plain => text.to_owned(),
            _ => cri("stdout", text),
        };
        let mut bed = java(format);
        bed.append("a.log", &written("zero\none\n\tat x\n"));
        bed.look(&["a.log"]);
        assert_eq!(bed.run(), ["zero"]);
        bed.rename("a.log", "a.log.1");
        bed.append("a.log", &written("\tat y\n"));
        bed.look(&["a.log.1", "a.log"]);
        assert!(bed.run().is_empty());
        bed.append("a.log", &written("\tat z\ntwo\n"));
        assert_eq!(bed.run(), ["one\n\tat x\n\tat y\n\tat z"]);
        assert_eq!(bed.wait(TIMEOUT), ["two"]);
        bed.check_tiling();
        restart(&mut bed);
        bed.look(&["a.log.1", "a.log"]);
        assert!(bed.wait(LATE).is_empty());
    }
}

#[test]
fn a_trace_at_the_end_of_a_rotated_file_does_not_wait_for_ever() {
    let mut bed = java(Format::Cri);
    bed.append("a.log", &cri("stdout", "one\n\tat x\n"));
    bed.look(&["a.log"]);
    assert!(bed.run().is_empty());
    bed.rename("a.log", "a.log.1");
    bed.append("a.log", &cri("stderr", "other\n"));
    bed.look(&["a.log.1", "a.log"]);
    assert!(bed.run().is_empty());
    assert_eq!(bed.wait(TIMEOUT), ["one\n\tat x", "other"]);
    bed.append("a.log", &cri("stdout", "two\n"));
    assert!(bed.run().is_empty());
    assert_eq!(bed.wait(TIMEOUT), ["two"]);
    bed.check_tiling();
}

#[test]
fn a_restart_in_the_middle_of_a_trace_finds_it_whole() {
    let mut bed = java(Format::Cri);
    bed.append("a.log", &cri("stdout", "zero\none\n\tat x\n"));
    bed.append("a.log", &cri("stderr", "alpha\n\tat e\n"));
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), ["zero"]);
    restart(&mut bed);
    bed.append("a.log", &cri("stdout", "\tat y\ntwo\n"));
    bed.append("a.log", &cri("stderr", "\tat f\nbeta\n"));
    bed.look(&["a.log"]);
    // Read again from "two" on, the second trace would be torn; and from there on, the first.
    assert!(bed.run().is_empty());
    let bodies = bed.wait(TIMEOUT);
    assert_eq!(bodies, ["one\n\tat x\n\tat y", "alpha\n\tat e\n\tat f", "two", "beta"]);
    bed.check_tiling();
}

#[test]
fn a_busy_stream_does_not_keep_the_others_trace_waiting() {
    let mut bed = java(Format::Cri);
    bed.append("a.log", &cri("stdout", "quiet\n\tat x\n"));
    bed.look(&["a.log"]);
    let mut bodies = bed.run();
    for number in 0..10 {
        bed.append("a.log", &cri("stderr", &format!("busy {number}\n")));
        bodies.extend(bed.wait(TIMEOUT / 5));
        let is_there = bodies.first().is_some_and(|it| it == "quiet\n\tat x");
        assert_eq!(is_there, number >= 4, "{number}: {bodies:?}");
    }
    bodies.extend(bed.wait(TIMEOUT));
    let busy = (0..10).map(|number| format!("busy {number}"));
    let want: Vec<String> = std::iter::once("quiet\n\tat x".to_owned()).chain(busy).collect();
    assert_eq!(bodies, want);
    bed.check_tiling();
}

#[test]
fn a_trace_that_fills_the_chunk_comes_in_parts() {
    // 4 KiB of chunk, of which prefixes take more than half.
    let mut bed = java(Format::Cri);
    let frames = "\tat x\n".repeat(200);
    bed.append("a.log", &cri("stdout", &format!("one\n{frames}two\n")));
    bed.look(&["a.log"]);
    let mut bodies = bed.run();
    assert!(bodies.len() > 2, "{bodies:?}");
    assert_eq!(bodies.concat(), format!("one\n{frames}").trim_end());
    bodies = bed.wait(TIMEOUT);
    assert_eq!(bodies, ["two"]);
    bed.check_tiling();
}

#[test]
fn an_unfinished_line_behind_a_trace_waits_no_longer_than_its_own_time() {
    let mut bed = java(Format::Plain);
    bed.append("a.log", "one\n\tat x\n\tat");
    bed.look(&["a.log"]);
    assert!(bed.run().is_empty());
    assert_eq!(bed.wait(FLUSH), ["one\n\tat x\n\tat"]);
    bed.append("a.log", " y\ntwo\n");
    assert_eq!(bed.run(), [" y"]);
    bed.check_tiling();
}
