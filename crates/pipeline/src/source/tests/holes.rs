//! Holes and NULs in real files: what is waited for, what is a gap, what is bytes.

use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::*;

/// Opens a file of the bed for writing at any place.
fn open(bed: &Bed, name: &str) -> fs::File {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false).open(bed.path(name)).unwrap()
}

fn first_look(texts: &str) -> (Bed, fs::File) {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", texts);
    bed.look(&["a.log"]);
    let file = open(&bed, "a.log");
    (bed, file)
}

#[test]
fn b3_a_hole_at_the_end_is_waited_for_and_a_gap_once_something_stands_behind_it() {
    let (mut bed, file) = first_look("one\n");
    file.set_len(4 + (1 << 20)).unwrap();
    assert_eq!(bed.run(), ["one"]);
    assert!(bed.wait(FLUSH).is_empty());
    assert!(bed.wait(3_600_000_000_000).is_empty());
    bed.append("a.log", "two\n");
    assert_eq!(bed.run(), ["gap sparse_hole 1048576", "two"]);
    bed.check_tiling();
    bed.restart();
    bed.look(&["a.log"]);
    assert!(bed.wait(FLUSH).is_empty());
}

#[test]
fn b3_what_is_written_into_a_file_made_longer_beforehand_is_delivered_however_late() {
    let (mut bed, file) = first_look("one\n");
    file.set_len(100_000).unwrap();
    assert_eq!(bed.run(), ["one"]);
    let mut at = 4;
    for hour in 1..5 {
        assert!(bed.wait(3_600_000_000_000).is_empty());
        let line = format!("hour {hour}\n");
        file.write_all_at(line.as_bytes(), at).unwrap();
        at += line.len() as u64;
        assert_eq!(bed.wait(1_000_000_000), [line.trim_end()]);
    }
    // Its writer cuts off what is left in the end.
    file.set_len(at).unwrap();
    assert!(bed.wait(1_000_000_000).iter().all(|it| it.starts_with("gap truncated")));
    bed.append("a.log", "end\n");
    assert_eq!(bed.run(), ["end"]);
    bed.check_tiling();
}

#[test]
fn b3_a_hole_at_the_end_of_a_file_that_is_not_written_to_any_more_is_a_gap() {
    let (mut bed, file) = first_look("one\n");
    file.set_len(20_000).unwrap();
    assert_eq!(bed.run(), ["one"]);
    assert!(bed.wait(FLUSH).is_empty());
    bed.rename("a.log", "a.log.1");
    bed.append("a.log", "two\n");
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), ["gap sparse_hole 19996", "two"]);
    bed.check_tiling();
}

#[test]
fn b3_what_appears_in_a_hole_in_time_is_delivered() {
    let (mut bed, file) = first_look("one\n");
    file.set_len(20_000).unwrap();
    assert_eq!(bed.run(), ["one"]);
    file.write_all_at(b"two\nth", 4).unwrap();
    assert_eq!(bed.wait(FLUSH), ["two"]);
    file.write_all_at(b"ree\n", 10).unwrap();
    assert_eq!(bed.wait(FLUSH), ["three"]);
    assert!(bed.wait(FLUSH).is_empty());
    bed.append("a.log", "end\n");
    assert_eq!(bed.run(), ["gap sparse_hole 19986", "end"]);
    bed.check_tiling();
}

#[test]
fn b3_waiting_for_a_hole_looks_less_and_less_often() {
    const SECOND: u64 = 1_000_000_000;
    let (mut bed, file) = first_look("one\n");
    let mut options = options(Some(Format::Plain));
    options.flush_timeout_ns = 60 * SECOND;
    bed.source.spec.options = Arc::new(options);
    file.set_len(20_000).unwrap();
    let (mut reads, fs) = (0, Arc::clone(&bed.source.spec.fs));
    for _ in 0..59_000 {
        bed.now_ns += SECOND / 1000;
        while let Look::Read { tail, bridge, .. } = bed.source.look(&*fs, bed.now_ns) {
            reads += 1;
            bed.read(tail, bridge);
        }
    }
    assert!((5..15).contains(&reads), "{reads} reads within a minute");
    assert!(bed.wait(2 * SECOND).is_empty());
}

#[test]
fn b3_no_line_goes_on_over_a_hole() {
    let (mut bed, file) = first_look("one\nbefo");
    file.write_all_at(b"re no more\nlast\n", 100_003).unwrap();
    assert_eq!(bed.run(), ["one"]);
    assert_eq!(bed.wait(FLUSH), ["befo", "gap sparse_hole 99995", "re no more", "last"]);
    bed.check_tiling();
    bed.restart();
    bed.look(&["a.log"]);
    assert!(bed.wait(FLUSH).is_empty());
}

#[test]
fn b3_holes_inside_of_what_is_read_at_once_are_found() {
    let (mut bed, file) = first_look("one\nbefo");
    bed.chunk = Chunk::new(1 << 20);
    file.write_all_at(b"re no more\nlast\n", 100_003).unwrap();
    file.write_all_at(b"end\n", 200_000).unwrap();
    assert_eq!(bed.run(), ["one"]);
    assert_eq!(bed.wait(FLUSH), ["befo", "gap sparse_hole 99995", "re no more", "last"]);
    assert_eq!(bed.wait(FLUSH), ["gap sparse_hole 99981", "end"]);
    bed.check_tiling();
}

#[test]
fn b3_what_stands_where_nothing_but_nuls_was_read_is_read() {
    let lines: Vec<String> = (0..500).map(|it| format!("line {it}")).collect();
    let text = lines.join("\n") + "\n";
    for is_cut in [true, false] {
        let (mut bed, file) = first_look("");
        file.write_all_at(&[0; 3000], 0).unwrap();
        assert!(bed.run().is_empty());
        assert_eq!(bed.wait(FLUSH).concat().len(), 3000, "stored NULs are bytes");
        if is_cut {
            file.set_len(0).unwrap();
        }
        file.write_all_at(text.as_bytes(), 0).unwrap();
        assert_eq!(bed.run(), lines, "cut: {is_cut}");
        bed.append("a.log", "end\n");
        assert_eq!(bed.run(), ["end"]);
    }
}

#[test]
fn b3_nuls_that_are_filled_in_before_a_line_that_was_read_are_the_same_file() {
    let (mut bed, file) = first_look("");
    file.write_all_at(&[0; 2000], 0).unwrap();
    file.write_all_at(b"\none\n", 2000).unwrap();
    assert_eq!(bed.run().last().unwrap(), "one");
    file.write_all_at(&[b'x'; 2000], 0).unwrap();
    bed.append("a.log", "two\n");
    assert_eq!(bed.run(), ["two"], "nothing comes twice");
}

#[test]
fn b3_a_restart_behind_a_hole_knows_that_a_line_begins_there() {
    let (mut bed, file) = first_look("one\n");
    file.set_len(20_000).unwrap();
    assert_eq!(bed.run(), ["one"]);
    bed.wait(FLUSH);
    bed.rename("a.log", "a.log.1");
    bed.append("a.log", "next\n");
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), ["gap sparse_hole 19996", "next"]);
    bed.restart();
    bed.look(&["a.log.1", "a.log"]);
    bed.append("a.log.1", "\ntwo\n");
    assert_eq!(bed.run(), ["", "two"], "an empty line, not the end of an unfinished one");
}

#[test]
fn b3_a_writer_that_keeps_its_offset_over_a_copytruncate_leaves_a_gap() {
    let mut bed = Bed::new(Some(Format::Plain));
    let file = open(&bed, "a.log");
    let before = "before\n".repeat(2000);
    file.write_all_at(before.as_bytes(), 0).unwrap();
    bed.look(&["a.log"]);
    assert_eq!(bed.run().len(), 2000);
    file.set_len(0).unwrap();
    file.write_all_at(b"after\n", 14_000).unwrap();
    assert!(bed.run().is_empty());
    assert_eq!(bed.wait(FLUSH), ["gap sparse_hole 14000", "after"]);
    // The next one shows by what stands before the place that was reached; the file begins anew.
    file.write_all_at("unread\n".repeat(2000).as_bytes(), 14_006).unwrap();
    file.set_len(0).unwrap();
    file.write_all_at(b"again\n", 28_006).unwrap();
    assert!(bed.run().is_empty());
    assert_eq!(bed.wait(FLUSH), ["gap sparse_hole 28006", "again"]);
    bed.check_tiling();
}

#[test]
fn b3_stored_nuls_at_the_end_are_bytes_once_they_have_waited() {
    let (mut bed, _) = first_look("one\n\0\0\0");
    assert_eq!(bed.run(), ["one"]);
    assert!(bed.wait(FLUSH - 1).is_empty());
    assert_eq!(bed.wait(1), ["\0\0\0"]);
    bed.append("a.log", "two\n\0\0");
    assert_eq!(bed.run(), ["two"]);
    bed.append("a.log", "three\n");
    assert_eq!(bed.run(), ["\0\0three"]);
    bed.append("a.log", &"\0".repeat(100_000));
    assert!(bed.run().is_empty());
    let nuls = bed.wait(FLUSH).concat() + &bed.wait(FLUSH).concat();
    assert!(nuls == "\0".repeat(100_000), "{} bytes", nuls.len());
    bed.append("a.log", "end\n");
    assert_eq!(bed.run().concat(), "end");
    bed.check_tiling();
}

#[test]
fn b3_stored_nuls_in_front_of_a_far_hole_hold_nothing_up() {
    let (mut bed, file) = first_look(&"\0".repeat(300_000));
    file.write_all_at(b"end\n", 500_000).unwrap();
    let mut got = Vec::new();
    for _ in 0..10 {
        got.extend(bed.wait(FLUSH));
    }
    assert_eq!(got.pop().unwrap(), "end");
    let gap: usize = got.pop().unwrap().strip_prefix("gap sparse_hole ").unwrap().parse().unwrap();
    assert_eq!(got.concat().len() + gap, 500_000);
    assert!((190_000..270_000).contains(&gap), "{gap}");
    bed.check_tiling();
}

#[test]
fn b3_a_container_log_that_begins_with_a_hole_is_still_one() {
    let mut bed = Bed::new(None);
    let file = open(&bed, "0.log");
    file.write_all_at(b"2026-01-02T03:04:05.6Z stdout F text\n", 50_000).unwrap();
    bed.look(&["0.log"]);
    assert!(bed.run().is_empty());
    assert_eq!(bed.wait(FLUSH), ["gap sparse_hole 50000", "text"]);
    bed.check_tiling();
}

#[test]
fn b3_utf16_has_holes_of_whole_units() {
    for order in [crate::frame::ByteOrder::Little, crate::frame::ByteOrder::Big] {
        let mut bed = Bed::new(Some(Format::Utf16(order)));
        let encode = |text: &str| -> Vec<u8> {
            let bytes = |unit: u16| match order {
                crate::frame::ByteOrder::Little => unit.to_le_bytes(),
                crate::frame::ByteOrder::Big => unit.to_be_bytes(),
            };
            text.encode_utf16().flat_map(bytes).collect()
        };
        let file = open(&bed, "a.log");
        file.write_all_at(&encode("one\nbe"), 0).unwrap();
        file.write_all_at(&encode("gun\ntwo\n"), 50_000).unwrap();
        bed.look(&["a.log"]);
        assert_eq!(bed.run(), ["one"]);
        assert_eq!(bed.wait(FLUSH), ["be", "gap sparse_hole 49988", "gun", "two"], "{order:?}");
        bed.restart();
        bed.look(&["a.log"]);
        file.write_all_at(&encode("\nthree\n"), 50_016).unwrap();
        assert_eq!(bed.run(), ["", "three"]);
        bed.check_tiling();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Wherever holes are, what was written is delivered once, and nothing else is.
    #[test]
    fn b3_what_is_written_between_holes_is_all_that_is_delivered(
        pieces in proptest::collection::vec(("[a-z\n]{1,3000}", 8192_u64..40_000), 1..6),
        ends_with_hole in any::<bool>(),
        chunk_bytes in prop_oneof![Just(4096_usize), Just(50_000), Just(1 << 20)],
    ) {
        let mut bed = Bed::new(Some(Format::Plain));
        bed.chunk = Chunk::new(chunk_bytes);
        let file = open(&bed, "a.log");
        let (mut at, mut want, mut holes) = (0, String::new(), 0);
        for (text, hole) in &pieces {
            at += hole;
            holes += hole;
            file.write_all_at(text.as_bytes(), at).unwrap();
            at += text.len() as u64;
            want.push_str(text);
        }
        if ends_with_hole {
            file.set_len(at + 10_000).unwrap();
            holes += 10_000;
        }
        bed.look(&["a.log"]);
        let mut got = Vec::new();
        for _ in 0..4 * pieces.len() + 4 {
            got.extend(bed.wait(FLUSH));
        }
        let bytes = fs::metadata(bed.path("a.log")).unwrap().len();
        bed.rename("a.log", "a.log.1");
        bed.append("a.log", "\n");
        bed.look(&["a.log.1", "a.log"]);
        for _ in 0..4 {
            got.extend(bed.wait(FLUSH));
        }
        bed.check_tiling();
        prop_assert_eq!(bed.source.cursor, bytes + 1);
        let (gaps, texts): (Vec<String>, Vec<String>) =
            got.into_iter().partition(|it| it.starts_with("gap "));
        prop_assert_eq!(texts.concat(), want.replace('\n', ""));
        let bytes = |gap: &String| gap["gap sparse_hole ".len()..].parse::<u64>().unwrap();
        prop_assert_eq!(gaps.iter().map(bytes).sum::<u64>(), holes);
    }
}
