//! Parts of container lines over rotation, both streams, and the end of a container.

use super::*;

fn line(stream: &str, tag: &str, text: &str) -> String {
    format!("2026-01-02T03:04:05.6Z {stream} {tag} {text}\n")
}

#[test]
fn a10_parts_of_both_streams_join_over_rotations() {
    let mut bed = Bed::new(None);
    bed.append("0.log", &(line("stdout", "P", "a1 ") + &line("stderr", "P", "b1 ")));
    bed.look(&["0.log"]);
    assert!(bed.run().is_empty());
    bed.rename("0.log", "0.log.20260102-030406");
    bed.append("0.log", &(line("stderr", "P", "b2 ") + &line("stdout", "F", "a2")));
    bed.look(&["0.log.20260102-030406", "0.log"]);
    assert!(bed.run().is_empty(), "the join of stderr is still open");
    bed.append("0.log", &(line("stdout", "F", "c") + &line("stderr", "F", "b3")));
    bed.look(&["0.log.20260102-030406", "0.log"]);
    assert_eq!(bed.run(), ["a1 a2", "b1 b2 b3", "c"]);
    bed.check_tiling();
    bed.restart();
    bed.look(&["0.log.20260102-030406", "0.log"]);
    assert!(bed.run().is_empty());
}

#[test]
fn a10_a_part_that_never_ends_is_delivered_when_its_container_is_gone() {
    let mut bed = Bed::new(None);
    bed.append("0.log", &(line("stderr", "F", "whole") + &line("stdout", "P", "never ended")));
    bed.look(&["0.log"]);
    assert_eq!(bed.run(), ["whole"]);
    fs::remove_file(bed.path("0.log")).unwrap();
    bed.look(&[]);
    assert!(bed.run().is_empty());
    assert_eq!(bed.wait(FLUSH), ["never ended"]);
    assert!(bed.chunk.records()[0].flags.has(RecordFlags::UNTERMINATED));
    assert_eq!(bed.wait(LATE), ["end"]);
    bed.check_tiling();
}

#[test]
fn b1_parts_longer_than_a_chunk_are_never_torn_inside_of_a_line_of_the_runtime() {
    let mut bed = Bed::new(None);
    let parts: Vec<String> = (0..40).map(|number| format!("{number:0>499},")).collect();
    let (last, others) = parts.split_last().unwrap();
    let text: String = others.iter().map(|it| line("stdout", "P", it)).collect();
    bed.append("0.log", &(text + &line("stdout", "F", last) + &line("stdout", "F", "next")));
    bed.look(&["0.log"]);
    let bodies = bed.run();
    assert_eq!(bodies.last().unwrap(), "next");
    assert_eq!(bodies[..bodies.len() - 1].concat(), parts.concat());
    bed.check_tiling();
}
