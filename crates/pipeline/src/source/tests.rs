//! Sources over real files: rotation, late writes, truncation, restarts, joins over generations.

use std::fs;
use std::io::Write;
use std::path::Path;

use flow::{Chunk, Record};

use super::*;
use crate::fs::{Fs, HostFs};

mod bed;
mod copies;
mod faults;
mod holes;
mod links;
mod multiline;
mod parts;
mod slices;
use bed::*;

#[test]
fn appended_lines_come_in_order() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\ntwo\nthr");
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), ["one", "two"]);
    bed.append("a.log", "ee\nfour\n");
    assert_eq!(bed.run(), ["three", "four"]);
    bed.check_tiling();
}

#[test]
fn an_unfinished_line_is_delivered_after_its_time() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\ntw");
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), ["one"]);
    assert!(bed.wait(FLUSH - 1).is_empty());
    assert_eq!(bed.wait(1), ["tw"]);
    bed.append("a.log", "o\nthree\n");
    assert_eq!(bed.run(), ["o", "three"]);
    bed.check_tiling();
}

#[test]
fn a_renamed_file_is_read_to_its_end_before_the_next() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\n");
    bed.look(&["a.log"]);
    bed.run();
    bed.rename("a.log", "a.log.1");
    bed.append("a.log.1", "late\n");
    bed.append("a.log", "");
    bed.look(&["a.log.1", "a.log"]);
    // The writer has the old file still open, and the new one is empty.
    assert_eq!(bed.run(), ["late"]);
    bed.append("a.log.1", "later\n");
    assert_eq!(bed.run(), ["later"]);
    bed.append("a.log", "new\n");
    assert_eq!(bed.run(), ["new"]);
    bed.check_tiling();
}

#[test]
fn a1_late_writes_after_the_new_file_has_lines_are_not_lost() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\n");
    bed.look(&["a.log"]);
    bed.run();
    bed.rename("a.log", "a.log.1");
    bed.append("a.log", "new\n");
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), ["new"]);
    bed.append("a.log.1", "late\n");
    assert_eq!(bed.run(), ["late"]);
    // Long after, the directory scan shows the growth.
    bed.wait(10 * LATE);
    bed.append("a.log.1", "very late\n");
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), ["very late"]);
    bed.append("a.log", "newer\n");
    assert_eq!(bed.run(), ["newer"]);
    bed.check_tiling();
    // None of it comes again after a restart.
    bed.restart();
    bed.look(&["a.log.1", "a.log"]);
    assert!(bed.run().is_empty());
}

#[test]
fn a_removed_file_that_is_open_is_drained() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\n");
    bed.look(&["a.log"]);
    bed.append("a.log", "two\n");
    let mut writer = fs::OpenOptions::new().append(true).open(bed.path("a.log")).unwrap();
    fs::remove_file(bed.path("a.log")).unwrap();
    bed.look(&[]);
    assert_eq!(bed.run(), ["one", "two"]);
    writer.write_all(b"three\nfo").unwrap();
    assert_eq!(bed.run(), ["three"]);
    assert_eq!(bed.wait(FLUSH), ["fo"]);
    assert_eq!(bed.wait(LATE), ["end"]);
    bed.check_tiling();
}

#[test]
fn a_file_removed_unread_is_a_declared_gap() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\n");
    bed.look(&["a.log"]);
    bed.run();
    bed.append("a.log", "unread\n");
    bed.look(&["a.log"]);
    // As if the descriptor had been closed for want of descriptors.
    bed.source.generations[0].file = None;
    fs::remove_file(bed.path("a.log")).unwrap();
    bed.look(&[]);
    assert!(bed.run().is_empty(), "it may turn up under another name");
    assert_eq!(bed.wait(1_000_000_000), ["gap removed_unread 7", "end"]);
    bed.check_tiling();
}

#[test]
fn a2_a_generation_rotated_away_while_it_was_closed_is_a_declared_gap() {
    let mut bed = Bed::new(Some(Format::Plain));
    for is_seen in [true, false] {
        bed.append("a.log", "one\n");
        bed.look(&["a.log"]);
        bed.run();
        bed.append("a.log", "unread\n");
        if is_seen {
            bed.look(&["a.log"]);
        }
        // As if the descriptor had been closed for want of descriptors.
        bed.source.generations.last_mut().unwrap().file = None;
        bed.source.note_written();
        fs::remove_file(bed.path("a.log")).unwrap();
        bed.append("a.log", "new\n");
        bed.look(&["a.log"]);
        let gap = format!("gap rotated_before_read {}", if is_seen { 7 } else { 0 });
        assert!(bed.run().is_empty(), "it may turn up under another name");
        assert_eq!(bed.wait(1_000_000_000), [gap.as_str(), "new"]);
    }
    bed.check_tiling();
}

#[test]
fn a2_generations_that_nobody_saw_are_gaps_of_no_length_before_what_was_seen() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\n");
    bed.look(&["a.log"]);
    bed.run();
    bed.append("a.log", "two\n");
    fs::remove_file(bed.path("a.log")).unwrap();
    bed.append("a.log.1", "old\n");
    bed.append("a.log", "new\n");
    bed.look(&["a.log.1", "a.log"]);
    bed.source.note_missed();
    bed.source.note_missed();
    let gap = "gap rotated_before_read 0";
    assert_eq!(bed.run(), ["two", gap, gap, "old", "new"]);
    bed.check_tiling();
}

#[test]
fn a1_a_removed_file_is_followed_for_as_long_as_it_is_written_to() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\n");
    let mut writer = fs::OpenOptions::new().append(true).open(bed.path("a.log")).unwrap();
    bed.look(&["a.log"]);
    bed.run();
    fs::remove_file(bed.path("a.log")).unwrap();
    bed.look(&[]);
    assert!(bed.run().is_empty());
    for _ in 0..5 {
        assert!(bed.wait(LATE - 1).is_empty());
        writer.write_all(b"late\n").unwrap();
        assert_eq!(bed.run(), ["late"]);
    }
    assert_eq!(bed.wait(LATE), ["end"]);
    bed.check_tiling();
}

#[test]
fn c13_what_was_written_since_a_released_file_was_cut_is_missing_as_a_whole() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\n");
    bed.look(&["a.log"]);
    bed.run();
    let writer = fs::OpenOptions::new().append(true).open(bed.path("a.log")).unwrap();
    fs::remove_file(bed.path("a.log")).unwrap();
    bed.look(&[]);
    writer.set_len(0).unwrap();
    (&writer).write_all(b"other than before\n").unwrap();
    let generation = bed.source.generations[0].key;
    let missing = bed.source.release(&everything(), generation).unwrap();
    assert_eq!(missing, Missing::new(GapReason::PinnedBudget, 18));
}

#[test]
fn c13_a_released_file_is_a_gap_of_exactly_what_was_unread() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\n");
    bed.look(&["a.log"]);
    bed.run();
    bed.append("a.log", "unread\n");
    assert_eq!(bed.source.pins(0), []);
    fs::rename(bed.path("a.log"), bed.path("elsewhere")).unwrap();
    bed.look(&[]);
    assert_eq!(bed.source.pins(0), [], "it has a name, if not one that is looked for");
    fs::remove_file(bed.path("elsewhere")).unwrap();
    bed.append("a.log", "new\n");
    bed.look(&["a.log"]);
    let pins = bed.source.pins(5);
    assert_eq!(pins.iter().map(|it| (it.bytes, it.is_read)).collect::<Vec<_>>(), [(11, false)]);
    let missing = bed.source.release(&everything(), pins[0].generation).unwrap();
    assert_eq!(missing, Missing::new(GapReason::PinnedBudget, 7));
    let (span, positions) = bed.source.gap(&missing);
    assert_eq!((span, positions[0].offset), (Span::new(4, 11), 11));
    bed.delivered.push((span, Vec::new()));
    assert_eq!(bed.run(), ["new"]);
    assert_eq!(bed.source.pins(6), []);
    assert!(bed.wait(3_000_000_000).is_empty());
    assert_eq!(bed.source.generations.len(), 1);
    bed.check_tiling();
}

#[test]
fn what_is_written_while_a_turn_is_waited_for_is_known_to_be_unread() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\n");
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), ["one"]);
    bed.append("a.log", "two\n");
    bed.source.count_unread();
    assert_eq!(bed.source.meter.lag_bytes.get(), 0, "nobody looked");
    bed.source.note_growth();
    assert_eq!(bed.source.meter.lag_bytes.get(), 4);
    assert_eq!(bed.run(), ["two"]);
    bed.source.count_unread();
    assert_eq!(bed.source.meter.lag_bytes.get(), 0);
}

#[test]
fn what_the_next_rotation_removes_is_at_risk() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\n");
    bed.look(&["a.log"]);
    assert_eq!(bed.source.at_risk_bytes(), 0, "a live file alone is not removed");
    bed.rename("a.log", "a.log.1");
    bed.append("a.log", "longer\n");
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.source.at_risk_bytes(), 4);
    fs::remove_file(bed.path("a.log.1")).unwrap();
    bed.look(&["a.log"]);
    assert_eq!(bed.source.at_risk_bytes(), 0, "there is room for another");
}

#[test]
fn truncation_starts_a_new_incarnation() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\ntwo\n");
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), ["one", "two"]);
    fs::write(bed.path("a.log"), "new\n").unwrap();
    assert_eq!(bed.run(), ["new"]);
    // Written again beyond the old offset: only the head tells.
    fs::write(bed.path("a.log"), "another\nline\nand more\n").unwrap();
    assert_eq!(bed.run(), ["another", "line", "and more"]);
    bed.restart();
    bed.look(&["a.log"]);
    assert!(bed.run().is_empty());
    bed.append("a.log", "after\n");
    assert_eq!(bed.run(), ["after"]);
    bed.check_tiling();
}

#[test]
fn a4_truncate_and_regrow_past_the_offset_behind_an_equal_head_is_noticed() {
    let mut bed = Bed::new(Some(Format::Plain));
    let banner = "=".repeat(1500) + "\n";
    bed.append("a.log", &(banner.clone() + "one\n"));
    bed.look(&["a.log"]);
    assert_eq!(bed.run().len(), 2);
    fs::write(bed.path("a.log"), banner + "new\nand more\n").unwrap();
    assert_eq!(bed.run()[1..], ["new", "and more"]);
    bed.check_tiling();
}

#[test]
fn a_look_from_before_a_cut_tells_nothing_of_what_came_after() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\n");
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), ["one"]);
    bed.append("a.log", "two\n");
    // Discovery looks now; its news wait while the reader finds out more.
    let (files, seen_ns) = (bed.seen(&["a.log"]), bed.now_ns);
    fs::write(bed.path("a.log"), "").unwrap();
    bed.now_ns += 1;
    assert_eq!(bed.run(), [""; 0]);
    let fs = Arc::clone(&bed.source.spec.fs);
    bed.source.reconcile(&*fs, &files, seen_ns, StartAt::Beginning, bed.now_ns);
    assert_eq!(bed.run(), [""; 0]);
    assert_eq!(bed.wait(2_000_000_000), [""; 0], "the old length is not of the new content");
    bed.check_tiling();
}

#[test]
fn a4_what_is_written_anew_to_the_same_length_is_read() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "state: up\n");
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), ["state: up"]);
    bed.rewrite("a.log", "state: no\n");
    assert_eq!(bed.run(), ["state: no"]);
    // One that was only touched says nothing new; and what happens while nobody looks is found later.
    bed.rewrite("a.log", "state: no\n");
    assert_eq!(bed.run(), [""; 0]);
    bed.rewrite("a.log", "state: ??\n");
    bed.restart();
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), ["state: ??"]);
    bed.check_tiling();
}

#[test]
fn truncation_of_unread_bytes_is_a_declared_gap() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\n");
    bed.look(&["a.log"]);
    bed.run();
    bed.append("a.log", "unread\n");
    bed.look(&["a.log"]);
    fs::write(bed.path("a.log"), "n\n").unwrap();
    assert_eq!(bed.run(), ["n"]);
    // A copy might have turned up.
    assert_eq!(bed.wait(2_000_000_000), ["gap truncated 7"]);
    bed.check_tiling();
}

#[test]
fn a_restart_goes_on_in_the_right_generation() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\ntwo\n");
    bed.look(&["a.log"]);
    bed.run();
    bed.append("a.log", "three\n");
    bed.rename("a.log", "a.log.1");
    bed.append("a.log", "four\n");
    bed.restart();
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), ["three", "four"]);
    bed.rename("a.log.1", "a.log.2");
    bed.rename("a.log", "a.log.1");
    bed.append("a.log", "five\n");
    bed.restart();
    bed.look(&["a.log.2", "a.log.1", "a.log"]);
    assert_eq!(bed.run(), ["five"]);
    bed.check_tiling();
}

#[test]
fn a_restart_notices_that_the_file_was_written_anew() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\ntwo\n");
    bed.look(&["a.log"]);
    bed.run();
    fs::write(bed.path("a.log"), "something else\n").unwrap();
    bed.restart();
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), ["something else"]);
    bed.check_tiling();
}

#[test]
fn cri_parts_join_over_a_rotation() {
    let mut bed = Bed::new(None);
    let line = |tag: &str, text: &str| format!("2026-01-02T03:04:05.6Z stdout {tag} {text}\n");
    bed.append("0.log", &(line("F", "whole") + &line("P", "be")));
    bed.look(&["0.log"]);
    assert_eq!(bed.run(), ["whole"]);
    bed.rename("0.log", "0.log.20260102-030406");
    bed.append("0.log", &(line("P", "gin ") + &line("F", "end") + &line("F", "next")));
    bed.look(&["0.log.20260102-030406", "0.log"]);
    assert_eq!(bed.run(), ["begin end", "next"]);
    bed.check_tiling();
    bed.restart();
    bed.look(&["0.log.20260102-030406", "0.log"]);
    assert!(bed.run().is_empty());
    bed.append("0.log", &line("F", "last"));
    assert_eq!(bed.run(), ["last"]);
}

#[test]
fn what_comes_after_a_part_and_a_restart_goes_on_from_it() {
    let mut bed = Bed::new(None);
    let line = |stream: &str, tag: &str, text: &str| {
        format!("2026-01-02T03:04:05.6Z {stream} {tag} {text}\n")
    };
    bed.append("0.log", &line("stdout", "P", "be"));
    bed.look(&["0.log"]);
    assert!(bed.run().is_empty());
    assert_eq!(bed.wait(FLUSH), ["be"]);
    bed.rename("0.log", "0.log.20260102-030406");
    bed.restart();
    bed.append("0.log", &(line("stderr", "F", "other") + &line("stdout", "F", "gin")));
    bed.look(&["0.log.20260102-030406", "0.log"]);
    assert_eq!(bed.run(), ["other", "gin"]);
    let goes_on = |it: &Record| it.flags.has(RecordFlags::CONTINUED);
    let flags: Vec<bool> = bed.chunk.records().iter().map(goes_on).collect();
    assert_eq!(flags, [false, true]);
}

#[test]
fn a_dangling_part_at_a_rotation_does_not_wait_for_ever() {
    let mut bed = Bed::new(None);
    let line = |stream: &str, tag: &str, text: &str| {
        format!("2026-01-02T03:04:05.6Z {stream} {tag} {text}\n")
    };
    bed.append("0.log", &line("stdout", "P", "dangling"));
    bed.look(&["0.log"]);
    assert!(bed.run().is_empty());
    bed.rename("0.log", "0.log.20260102-030406");
    bed.append("0.log", &line("stderr", "F", "other"));
    bed.look(&["0.log.20260102-030406", "0.log"]);
    assert!(bed.run().is_empty());
    assert_eq!(bed.wait(FLUSH), ["dangling", "other"]);
    bed.check_tiling();
}

#[test]
fn a_dangling_part_does_not_wait_for_the_other_stream_to_rest() {
    let mut bed = Bed::new(None);
    let line = |stream: &str, tag: &str, text: &str| {
        format!("2026-01-02T03:04:05.6Z {stream} {tag} {text}\n")
    };
    bed.append("0.log", &line("stdout", "P", "dangling"));
    bed.look(&["0.log"]);
    assert!(bed.run().is_empty());
    for _ in 0..3 {
        bed.append("0.log", &line("stderr", "F", "other"));
        assert!(bed.wait(FLUSH / 4).is_empty());
    }
    assert_eq!(bed.wait(FLUSH / 4), ["dangling", "other", "other", "other"]);
    bed.check_tiling();
}

#[test]
fn a_line_longer_than_a_chunk_comes_in_parts() {
    let mut bed = Bed::new(Some(Format::Plain));
    let long = "x".repeat(10_000);
    bed.append("a.log", &format!("{long}\nshort\n"));
    bed.look(&["a.log"]);
    let bodies = bed.run();
    assert_eq!(bodies.last().unwrap(), "short");
    assert_eq!(bodies[..bodies.len() - 1].concat(), long);
    bed.check_tiling();
}

#[test]
fn equal_heads_and_one_byte_files_are_told_apart() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "x");
    bed.look(&["a.log"]);
    assert!(bed.run().is_empty());
    bed.rename("a.log", "a.log.1");
    bed.append("a.log", "x");
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), ["x"]);
    bed.append("a.log", "\n");
    assert_eq!(bed.run(), ["x"]);
    bed.check_tiling();
}

#[test]
fn a_file_that_cannot_be_read_is_tried_again() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\n");
    let path = bed.path("a.log");
    let hidden = bed.path("hidden");
    bed.look(&["a.log"]);
    bed.source.generations[0].file = None;
    fs::rename(&path, &hidden).unwrap();
    assert!(bed.run().is_empty());
    fs::rename(&hidden, &path).unwrap();
    assert!(bed.run().is_empty(), "not before its time");
    assert_eq!(bed.wait(RETRY_FIRST_NS), ["one"]);
    assert!(Path::new(&path).try_exists().unwrap());
}

#[test]
fn a_chain_that_ended_a_moment_after_it_was_gone_is_not_missed_when_it_comes_again() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\n");
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), ["one"]);
    fs::remove_file(bed.path("a.log")).unwrap();
    bed.look(&[]);
    bed.run();
    assert_eq!(bed.wait(LATE), ["end"]);
    // What the next source of the context is told.
    bed.source = source(&bed.source.known(), Some(Format::Plain));
    bed.append("a.log", "two\n");
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), ["two"]);
    assert!(bed.wait(10_000_000_000).is_empty(), "nothing is missing");
}
