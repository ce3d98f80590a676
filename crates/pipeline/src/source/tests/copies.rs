//! Generations whose bytes are in another file now: copied, cut, compressed.

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

impl Bed {
    /// As a rotator does: to a temporary name, then under its own, then the original goes.
    fn compress(&self, name: &str) {
        let packed = format!("{name}.gz");
        fs::write(self.path("tmp"), gzip(&fs::read(self.path(name)).unwrap())).unwrap();
        self.rename("tmp", &packed);
        fs::remove_file(self.path(name)).unwrap();
    }

    fn copy(&self, from: &str, to: &str) {
        fs::copy(self.path(from), self.path(to)).unwrap();
    }

    fn cut(&self, name: &str) {
        fs::OpenOptions::new().write(true).open(self.path(name)).unwrap().set_len(0).unwrap();
    }
}

pub(super) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Times of birth are as coarse as the kernel's ticks.
fn sleep_a_tick() {
    std::thread::sleep(std::time::Duration::from_millis(20));
}

fn lines(from: usize, to: usize) -> String {
    (from..to).map(|it| format!("line {it}\n")).collect()
}

fn bodies(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|it| format!("line {it}")).collect()
}

#[test]
fn a3_a_half_read_generation_goes_on_inside_its_gz_after_a_restart() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 300));
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(0, 300));
    bed.append("a.log", &lines(300, 2000));
    bed.rename("a.log", "a.log.1");
    bed.append("a.log", &lines(2000, 2010));
    bed.compress("a.log.1");
    bed.restart();
    bed.look(&["a.log.1.gz", "a.log"]);
    assert_eq!(bed.run(), bodies(300, 2010));
    bed.check_tiling();
    bed.rename("a.log.1.gz", "a.log.2.gz");
    bed.rename("a.log", "a.log.1");
    bed.append("a.log", &lines(2010, 2011));
    bed.compress("a.log.1");
    bed.restart();
    bed.look(&["a.log.2.gz", "a.log.1.gz", "a.log"]);
    assert_eq!(bed.run(), bodies(2010, 2011), "what was read is not read again");
    bed.check_tiling();
}

#[test]
fn a3_a_generation_that_was_read_is_not_read_again_when_it_is_compressed() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 300));
    bed.look(&["a.log"]);
    bed.run();
    bed.rename("a.log", "a.log.1");
    bed.append("a.log", &lines(300, 310));
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), bodies(300, 310));
    bed.compress("a.log.1");
    bed.look(&["a.log.1.gz", "a.log"]);
    assert!(bed.run().is_empty());
    bed.wait(2 * LATE);
    bed.look(&["a.log.1.gz", "a.log"]);
    assert!(bed.run().is_empty());
    bed.rename("a.log.1.gz", "a.log.2.gz");
    bed.look(&["a.log.2.gz", "a.log"]);
    assert!(bed.run().is_empty());
    bed.check_tiling();
}

/// Read, and not watched any more; compressed, and renamed while the directory is listed, so that a look
/// shows it under none of its names.
fn compressed_and_hidden(is_open: bool) {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log.1", &lines(0, 300));
    bed.append("a.log", &lines(300, 310));
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), bodies(0, 310));
    bed.wait(2 * LATE);
    if is_open {
        let fs = everything();
        bed.source.generations[0].open(&fs).unwrap();
    } else {
        assert!(bed.source.generations[0].file.is_none());
    }
    bed.compress("a.log.1");
    bed.look(&["a.log"]);
    assert!(bed.run().is_empty());
    bed.rename("a.log.1.gz", "a.log.2.gz");
    bed.look(&["a.log.2.gz", "a.log"]);
    assert!(bed.run().is_empty(), "it was read");
    bed.check_tiling();
}

#[test]
fn a3_what_a_look_showed_under_no_name_while_it_was_compressed_is_not_read_again() {
    compressed_and_hidden(false);
    compressed_and_hidden(true);
}

#[test]
fn a_generation_that_no_look_shows_any_more_is_forgotten_after_a_while() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log.1", &lines(0, 300));
    bed.append("a.log", &lines(300, 310));
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), bodies(0, 310));
    bed.wait(2 * LATE);
    fs::remove_file(bed.path("a.log.1")).unwrap();
    bed.look(&["a.log"]);
    bed.wait(3_000_000_000);
    bed.look(&["a.log"]);
    assert_eq!(bed.source.generations.len(), 1);
}

#[test]
fn a3_a_generation_compressed_while_it_is_read_goes_on_where_it_was() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 300));
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(0, 300));
    bed.append("a.log", &lines(300, 600));
    bed.source.generations[0].file = None;
    bed.rename("a.log", "a.log.1");
    bed.compress("a.log.1");
    bed.append("a.log", &lines(600, 610));
    bed.look(&["a.log.1.gz", "a.log"]);
    assert_eq!(bed.run(), bodies(300, 610));
    bed.check_tiling();
}

/// A program that is not told to open its log anew writes on where no name leads.
#[test]
fn a1_what_is_written_late_to_a_file_that_was_compressed_and_removed_is_read_while_it_is_held() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 300));
    let mut writer = fs::OpenOptions::new().append(true).open(bed.path("a.log")).unwrap();
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(0, 300));
    bed.rename("a.log", "a.log.1");
    bed.compress("a.log.1");
    bed.append("a.log", &lines(300, 310));
    bed.look(&["a.log.1.gz", "a.log"]);
    assert_eq!(bed.run(), bodies(300, 310));
    for number in 310..315 {
        assert!(bed.wait(LATE - 1).is_empty());
        writer.write_all(lines(number, number + 1).as_bytes()).unwrap();
        assert_eq!(bed.wait(LATE - 1), bodies(number, number + 1));
    }
    bed.check_tiling();
    bed.wait(2 * LATE);
    assert!(bed.source.generations[0].file.is_none(), "it is let go when its writer is quiet");
    // Its position is beyond what the compressed file has.
    bed.restart();
    bed.look(&["a.log.1.gz", "a.log"]);
    assert!(bed.run().is_empty() && bed.wait(2 * LATE).is_empty());
    bed.append("a.log", &lines(315, 316));
    bed.look(&["a.log.1.gz", "a.log"]);
    assert_eq!(bed.run(), bodies(315, 316));
    bed.check_tiling();
}

/// Compressed before anything was read of it, while it is open or is not.
fn compressed_unread(is_open: bool) {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log.1", &lines(0, 10));
    bed.append("a.log", &lines(10, 20));
    bed.look(&["a.log.1", "a.log"]);
    if !is_open {
        bed.source.generations[0].file = None;
    }
    bed.compress("a.log.1");
    bed.look(&["a.log.1.gz", "a.log"]);
    assert_eq!(bed.run(), bodies(0, 20));
    assert!(bed.wait(3_000_000_000).is_empty());
    bed.check_tiling();
}

#[test]
fn a3_a_generation_compressed_before_anything_was_read_of_it_is_delivered_once() {
    compressed_unread(false);
}

#[test]
fn a3_a_generation_compressed_while_it_is_open_and_unread_is_delivered_once() {
    compressed_unread(true);
}

#[test]
fn a3_what_was_compressed_before_the_first_start_is_left_out_by_start_at_end() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log.1", &lines(0, 10));
    bed.compress("a.log.1");
    bed.append("a.log", &lines(10, 20));
    let files = bed.seen(&["a.log.1.gz", "a.log"]);
    let fs = Arc::clone(&bed.source.spec.fs);
    bed.source.reconcile(&*fs, &files, u64::MAX, StartAt::End, bed.now_ns);
    assert!(bed.run().is_empty());
    bed.append("a.log", &lines(20, 30));
    assert_eq!(bed.run(), bodies(20, 30));
}

#[test]
fn a2_generations_that_were_compressed_before_they_were_seen_are_read_in_order() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 10));
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(0, 10));
    bed.rename("a.log", "a.log.3");
    for (name, from) in [("a.log.2", 10), ("a.log.1", 20), ("a.log", 30)] {
        bed.append(name, &lines(from, from + 10));
    }
    bed.compress("a.log.3");
    bed.compress("a.log.2");
    bed.look(&["a.log.3.gz", "a.log.2.gz", "a.log.1", "a.log"]);
    assert_eq!(bed.run(), bodies(10, 40));
    bed.check_tiling();
}

/// Passed over while it was empty, written to late, and compressed while no agent runs: beside one that was
/// compressed and read before, and is not remembered.
#[test]
fn a3_what_is_written_late_to_an_empty_file_and_compressed_while_no_agent_runs_is_read() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log.2", &lines(0, 10));
    bed.compress("a.log.2");
    sleep_a_tick();
    bed.append("a.log.1", "");
    bed.append("a.log", &lines(10, 20));
    bed.look(&["a.log.2.gz", "a.log.1", "a.log"]);
    assert_eq!(bed.run(), bodies(0, 20));
    bed.known.generations.remove(0);
    bed.append("a.log.1", &lines(20, 30));
    sleep_a_tick();
    bed.compress("a.log.1");
    bed.restart();
    bed.look(&["a.log.2.gz", "a.log.1.gz", "a.log"]);
    assert_eq!(bed.run(), bodies(20, 30));
    bed.restart();
    bed.look(&["a.log.2.gz", "a.log.1.gz", "a.log"]);
    assert!(bed.wait(3_000_000_000).is_empty());
    bed.check_tiling();
}

#[test]
fn a4_copytruncate_reads_what_is_left_from_the_copy() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 300));
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(0, 300));
    bed.append("a.log", &lines(300, 600));
    bed.copy("a.log", "a.log.1");
    bed.look(&["a.log.1", "a.log"]);
    bed.cut("a.log");
    bed.append("a.log", &lines(600, 610));
    assert_eq!(bed.run(), bodies(300, 610));
    bed.look(&["a.log.1", "a.log"]);
    assert!(bed.wait(3_000_000_000).is_empty());
    bed.restart();
    bed.look(&["a.log.1", "a.log"]);
    assert!(bed.wait(3_000_000_000).is_empty(), "a copy that was read is not read again");
    bed.check_tiling();
}

#[test]
fn a4_a_copy_that_is_found_after_the_truncation_is_read_too() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 300));
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(0, 300));
    bed.append("a.log", &lines(300, 310));
    bed.copy("a.log", "a.log.1");
    bed.cut("a.log");
    bed.append("a.log", &lines(310, 320));
    assert_eq!(bed.run(), bodies(310, 320));
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), bodies(300, 310));
    assert!(bed.wait(3_000_000_000).is_empty());
    bed.check_tiling();
}

#[test]
fn a4_a_copy_and_the_truncation_seen_at_once_double_nothing() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 300));
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(0, 300));
    bed.append("a.log", &lines(300, 310));
    sleep_a_tick();
    bed.copy("a.log", "a.log.1");
    bed.cut("a.log");
    bed.append("a.log", &lines(310, 320));
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), bodies(300, 320));
    assert!(bed.wait(3_000_000_000).is_empty());
    bed.check_tiling();
}

#[test]
fn a4_copytruncate_while_no_agent_runs_is_read_from_the_copy() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 300));
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(0, 300));
    bed.append("a.log", &lines(300, 310));
    bed.copy("a.log", "a.log.1");
    bed.cut("a.log");
    bed.append("a.log", &lines(310, 900));
    bed.restart();
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), bodies(300, 900));
    bed.check_tiling();
}

/// Nothing is known of either: a file that says nothing is not what a copy that says something is of.
#[test]
fn a4_a_copy_of_what_nobody_saw_is_read_when_the_original_is_empty() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 300));
    sleep_a_tick();
    bed.copy("a.log", "a.log.1");
    bed.cut("a.log");
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), bodies(0, 300));
    bed.append("a.log", &lines(300, 310));
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), bodies(300, 310));
    bed.check_tiling();
}

/// What it says is where the copy begins: a line that was begun in the same way.
#[test]
fn a4_a_copy_of_what_nobody_saw_is_read_when_the_original_begins_as_it_does() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 300));
    sleep_a_tick();
    bed.copy("a.log", "a.log.1");
    bed.cut("a.log");
    bed.append("a.log", "line ");
    bed.look(&["a.log.1", "a.log"]);
    bed.append("a.log", "300\n");
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), bodies(0, 301));
    bed.check_tiling();
}

/// Copied and cut twice, with lines in between: what was read tells which copy it is in.
#[test]
fn a4_two_copies_made_while_no_agent_runs_are_both_read() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 100));
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(0, 100));
    bed.append("a.log", &lines(100, 300));
    sleep_a_tick();
    bed.copy("a.log", "a.log.2");
    bed.cut("a.log");
    bed.append("a.log", &lines(300, 310));
    bed.copy("a.log", "a.log.1");
    bed.cut("a.log");
    bed.restart();
    bed.look(&["a.log.2", "a.log.1", "a.log"]);
    assert_eq!(bed.run(), bodies(100, 310));
    bed.look(&["a.log.2", "a.log.1", "a.log"]);
    assert!(bed.wait(3_000_000_000).is_empty());
    bed.check_tiling();
}

/// What was written after the copy was made is declared; the copy is read as far as it goes. It has all
/// of the first KiB by which it is known.
#[test]
fn a4_a_copy_that_ended_before_the_cut_is_not_read_again_after_a_restart() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 300));
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(0, 300));
    sleep_a_tick();
    bed.copy("a.log", "a.log.1");
    bed.look(&["a.log.1", "a.log"]);
    bed.append("a.log", "gone");
    bed.run();
    bed.cut("a.log");
    bed.append("a.log", &lines(300, 301));
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), ["gap truncated 4", "line 300"]);
    bed.restart();
    bed.look(&["a.log.1", "a.log"]);
    assert!(bed.run().is_empty());
    bed.check_tiling();
}

/// Read, and copied; then written to, read, and cut, in the time between copying and cutting.
fn copied_and_read_on() -> Bed {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 300));
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(0, 300));
    sleep_a_tick();
    bed.copy("a.log", "a.log.1");
    bed.append("a.log", &lines(300, 301));
    bed
}

/// So many lines are read, the file is copied, a look shows that, and a line more is read.
fn seen_copied_and_read_on(first: usize) -> Bed {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, first));
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(0, first));
    sleep_a_tick();
    bed.copy("a.log", "a.log.1");
    bed.look(&["a.log.1", "a.log"]);
    bed.append("a.log", &lines(first, first + 1));
    assert_eq!(bed.run(), bodies(first, first + 1));
    bed
}

#[test]
fn a4_what_was_read_after_a_copy_was_made_is_no_reason_to_read_the_copy_again() {
    for is_noticed in [false, true] {
        let mut bed = copied_and_read_on();
        assert_eq!(bed.run(), bodies(300, 301));
        bed.cut("a.log");
        bed.append("a.log", &lines(301, 310));
        let mut got = if is_noticed { bed.run() } else { Vec::new() };
        bed.look(&["a.log.1", "a.log"]);
        got.extend(bed.run());
        assert_eq!(got, bodies(301, 310));
        assert!(bed.wait(3_000_000_000).is_empty());
        bed.restart();
        bed.look(&["a.log.1", "a.log"]);
        assert!(bed.wait(3_000_000_000).is_empty(), "nor is it after a restart");
        bed.check_tiling();
    }
}

#[test]
fn a4_a_copy_that_lacks_what_was_read_is_known_after_a_restart_too() {
    // One of them lacks some of the first KiB, by which files are known.
    for first in [300, 20] {
        let mut bed = seen_copied_and_read_on(first);
        bed.cut("a.log");
        bed.append("a.log", &lines(first + 1, first + 2));
        bed.look(&["a.log.1", "a.log"]);
        assert_eq!(bed.run(), bodies(first + 1, first + 2));
        bed.restart();
        bed.look(&["a.log.1", "a.log"]);
        assert!(bed.wait(3_000_000_000).is_empty());
        bed.compress("a.log.1");
        bed.restart();
        bed.look(&["a.log.1.gz", "a.log"]);
        assert!(bed.wait(3_000_000_000).is_empty());
        bed.check_tiling();
    }
}

/// The agent is killed between copying and cutting, and the copy is seen before what it lacks is read.
#[test]
fn a4_a_copy_that_lacks_what_was_read_is_known_if_no_agent_ran_when_its_original_was_cut() {
    for first in [300, 20] {
        let mut bed = seen_copied_and_read_on(first);
        bed.restart();
        bed.cut("a.log");
        bed.append("a.log", &lines(first + 1, first + 2));
        bed.look(&["a.log.1", "a.log"]);
        assert_eq!(bed.run(), bodies(first + 1, first + 2));
        assert!(bed.wait(3_000_000_000).is_empty());
        bed.restart();
        bed.look(&["a.log.1", "a.log"]);
        assert!(bed.wait(3_000_000_000).is_empty(), "nor is it after another restart");
        bed.check_tiling();
    }
}

/// As above, and the original is moved away, too.
#[test]
fn a4_a_copy_that_lacks_what_was_read_is_known_although_its_original_is_gone() {
    let mut bed = copied_and_read_on();
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), bodies(300, 301));
    bed.restart();
    fs::remove_file(bed.path("a.log")).unwrap();
    bed.append("a.log", &lines(301, 302));
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), bodies(301, 302));
    assert!(bed.wait(3_000_000_000).is_empty());
    bed.check_tiling();
}

/// What is written over a copy while no agent runs is another content.
#[test]
fn a4_what_was_written_over_a_copy_that_was_known_is_read() {
    let mut bed = copied_and_read_on();
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), bodies(300, 301));
    bed.restart();
    let other = lines(400, 687) + "line 7\n";
    assert_eq!(other.len(), lines(0, 300).len());
    fs::write(bed.path("a.log"), other).unwrap();
    bed.copy("a.log", "a.log.1");
    bed.cut("a.log");
    bed.append("a.log", &lines(700, 701));
    bed.look(&["a.log.1", "a.log"]);
    let got = [bodies(400, 687), bodies(7, 8), bodies(700, 701)].concat();
    assert_eq!(bed.run(), got);
    bed.check_tiling();
}

/// Cut by its own program, which begins anew with the same words; that is copied and cut before anybody looks.
#[test]
fn a4_a_copy_that_begins_as_what_was_cut_before_it_is_read() {
    let banner = "these are the columns of each file of this program\n".repeat(10);
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &(banner.clone() + &lines(0, 300)));
    bed.look(&["a.log"]);
    assert_eq!(bed.run().len(), 310);
    sleep_a_tick();
    bed.cut("a.log");
    bed.append("a.log", &(banner.clone() + &lines(300, 310)));
    bed.copy("a.log", "a.log.1");
    bed.cut("a.log");
    bed.append("a.log", &(banner + &lines(310, 320)));
    bed.look(&["a.log.1", "a.log"]);
    let got = bed.run();
    assert_eq!(got[10..20], bodies(300, 310));
    assert_eq!(got[30..], bodies(310, 320));
    bed.check_tiling();
}

/// logrotate's `copy` and `compress`: nobody cuts the file, or somebody later.
#[test]
fn a4_a_compressed_copy_of_a_file_that_is_not_cut_yet_is_not_read() {
    for is_seen_plain in [true, false] {
        let mut bed = Bed::new(Some(Format::Plain));
        bed.append("a.log", &lines(0, 300));
        bed.look(&["a.log"]);
        assert_eq!(bed.run(), bodies(0, 300));
        sleep_a_tick();
        bed.copy("a.log", "a.log.1");
        if is_seen_plain {
            bed.look(&["a.log.1", "a.log"]);
        }
        bed.compress("a.log.1");
        bed.look(&["a.log.1.gz", "a.log"]);
        bed.append("a.log", &lines(300, 310));
        assert_eq!(bed.run(), bodies(300, 310), "{is_seen_plain}");
        bed.cut("a.log");
        bed.append("a.log", &lines(310, 320));
        bed.look(&["a.log.1.gz", "a.log"]);
        assert_eq!(bed.run(), bodies(310, 320));
        bed.check_tiling();
    }
}

/// No more than four are inflated at a time, and who is done with one holds up no other.
#[test]
fn compressed_files_that_are_done_with_keep_nobody_waiting() {
    let mut bed = Bed::new(Some(Format::Plain));
    for number in (1..8).rev() {
        let from = 300 * (7 - number);
        bed.append(&format!("a.log.{number}"), &lines(from, from + 300));
        bed.compress(&format!("a.log.{number}"));
    }
    bed.append("a.log", &lines(2100, 2110));
    let names: Vec<String> = (1..8).rev().map(|it| format!("a.log.{it}.gz")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).chain(["a.log"]).collect();
    bed.look(&names);
    assert_eq!(bed.run(), bodies(0, 2110));
    bed.restart();
    bed.look(&names);
    bed.append("a.log", &lines(2110, 2120));
    assert_eq!(bed.run(), bodies(2110, 2120));
    bed.check_tiling();
}

/// The second copy is begun before the first cut was noticed, and filled after it was seen.
#[test]
fn a4_a_second_copy_that_was_empty_when_it_was_seen_is_read_too() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 100));
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(0, 100));
    sleep_a_tick();
    bed.copy("a.log", "a.log.2");
    bed.cut("a.log");
    bed.append("a.log", &lines(100, 110));
    bed.append("a.log.1", "");
    bed.look(&["a.log.2", "a.log.1", "a.log"]);
    bed.copy("a.log", "a.log.1");
    bed.cut("a.log");
    bed.append("a.log", &lines(110, 120));
    assert_eq!(bed.run(), bodies(100, 120));
    bed.check_tiling();
}

/// Copied and cut again before anything was written: the younger copy is empty, and says nothing.
#[test]
fn a4_an_empty_copy_does_not_take_the_place_of_one_that_says_something() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 100));
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(0, 100));
    bed.append("a.log", &lines(100, 300));
    sleep_a_tick();
    bed.copy("a.log", "a.log.2");
    bed.cut("a.log");
    bed.copy("a.log", "a.log.1");
    bed.restart();
    bed.look(&["a.log.2", "a.log.1", "a.log"]);
    assert_eq!(bed.run(), bodies(100, 300));
    bed.look(&["a.log.2", "a.log.1", "a.log"]);
    assert!(bed.run().is_empty());
    bed.check_tiling();
}

#[test]
fn a4_a_copy_that_was_empty_when_it_was_seen_is_read_once_the_original_is_cut() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 100));
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(0, 100));
    bed.append("a.log", &lines(100, 300));
    sleep_a_tick();
    bed.append("a.log.1", "");
    bed.look(&["a.log.1", "a.log"]);
    bed.copy("a.log", "a.log.1");
    bed.cut("a.log");
    assert_eq!(bed.run(), bodies(100, 300));
    bed.look(&["a.log.1", "a.log"]);
    assert!(bed.run().is_empty());
    bed.check_tiling();
}

/// A file was empty when it was copied, and then the file is written to, copied and cut between two looks.
#[test]
fn a4_what_was_left_is_not_looked_for_in_an_empty_copy() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "");
    sleep_a_tick();
    bed.copy("a.log", "a.log.1");
    bed.look(&["a.log.1", "a.log"]);
    bed.append("a.log", &lines(0, 100));
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), bodies(0, 100));
    bed.append("a.log", &lines(100, 300));
    bed.rename("a.log.1", "a.log.2");
    bed.copy("a.log", "a.log.1");
    bed.cut("a.log");
    assert!(bed.run().is_empty());
    bed.look(&["a.log.2", "a.log.1", "a.log"]);
    // The live file must be looked at first.
    let mut got = bed.run();
    got.extend(bed.wait(1_000_000_000));
    assert_eq!(got, bodies(100, 300));
    assert!(bed.wait(3_000_000_000).is_empty());
    bed.check_tiling();
}

#[test]
fn a4_a_copy_that_was_removed_before_the_cut_was_noticed_holds_nobody_up() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 100));
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(0, 100));
    sleep_a_tick();
    bed.append("a.log", "unread\n");
    bed.copy("a.log", "a.log.1");
    bed.look(&["a.log.1", "a.log"]);
    fs::remove_file(bed.path("a.log.1")).unwrap();
    bed.look(&["a.log"]);
    bed.cut("a.log");
    bed.append("a.log", &lines(100, 110));
    assert_eq!(bed.run(), bodies(100, 110));
    assert_eq!(bed.wait(3_000_000_000), ["gap truncated 7"]);
    bed.check_tiling();
}

#[test]
fn a4_a_copy_that_is_still_being_made_is_no_generation() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 2000));
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(0, 2000));
    sleep_a_tick();
    bed.append("a.log.1", "");
    bed.look(&["a.log.1", "a.log"]);
    assert!(bed.run().is_empty());
    bed.append("a.log.1", &lines(0, 900));
    bed.look(&["a.log.1", "a.log"]);
    assert!(bed.run().is_empty());
    bed.append("a.log", &lines(2000, 2010));
    bed.append("a.log.1", &lines(900, 2010));
    bed.look(&["a.log.1", "a.log"]);
    bed.append("a.log", "in neither\n");
    bed.look(&["a.log.1", "a.log"]);
    bed.cut("a.log");
    assert_eq!(bed.run(), [bodies(2000, 2010), vec!["gap truncated 11".to_owned()]].concat());
    bed.check_tiling();
}

#[test]
fn a4_a_younger_file_that_says_something_else_is_no_copy() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", "one\n");
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), ["one"]);
    sleep_a_tick();
    bed.append("a.log.20260102", "");
    bed.look(&["a.log.20260102", "a.log"]);
    assert!(bed.run().is_empty());
    bed.append("a.log.20260102", "two\n");
    bed.look(&["a.log.20260102", "a.log"]);
    assert_eq!(bed.run(), ["two"]);
    bed.check_tiling();
}

#[test]
fn a6_rotated_files_that_say_the_same_are_no_copies() {
    let mut bed = Bed::new(Some(Format::Plain));
    for name in ["a.log.2", "a.log.1", "a.log"] {
        bed.append(name, "same\n");
    }
    bed.look(&["a.log.2", "a.log.1", "a.log"]);
    assert_eq!(bed.run(), ["same"; 3]);
    bed.check_tiling();
}

#[test]
fn b6_a_gz_that_ends_too_early_is_waited_for_and_then_declared() {
    let mut bed = Bed::new(Some(Format::Plain));
    let packed = gzip(lines(0, 5000).as_bytes());
    fs::write(bed.path("a.log.1.gz"), &packed[..packed.len() - 20]).unwrap();
    bed.append("a.log", "live\n");
    bed.look(&["a.log.1.gz", "a.log"]);
    let read = bed.run();
    assert!(read.len() > 4000, "{}", read.len());
    assert_eq!(read, bodies(0, read.len()));
    assert!(bed.wait(9_000_000_000).is_empty());
    let rest = bed.wait(1_000_000_000);
    assert_eq!(rest.last().unwrap(), "live");
    assert!(rest.contains(&"gap unreadable 0".to_owned()), "{rest:?}");
    bed.check_tiling();
}

#[test]
fn b6_a_gz_that_is_still_being_written_is_read_as_it_grows() {
    let mut bed = Bed::new(Some(Format::Plain));
    let packed = gzip(lines(0, 5000).as_bytes());
    fs::write(bed.path("a.log.1.gz"), &packed[..packed.len() / 2]).unwrap();
    bed.append("a.log", "live\n");
    bed.look(&["a.log.1.gz", "a.log"]);
    let mut read = bed.run();
    assert_eq!(read, bodies(0, read.len()));
    fs::write(bed.path("a.log.1.gz"), &packed).unwrap();
    read.extend(bed.run());
    assert_eq!(read[..5000], bodies(0, 5000));
    assert_eq!(read[5000..], ["live"]);
    bed.check_tiling();
}

#[test]
fn a2_a_generation_that_vanished_while_no_agent_ran_is_a_gap_of_unknown_size() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 10));
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(0, 10));
    // Rotated three times, of which the oldest is gone.
    fs::remove_file(bed.path("a.log")).unwrap();
    bed.append("a.log.1", &lines(20, 30));
    bed.append("a.log", &lines(30, 40));
    bed.restart();
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), bodies(20, 40));
    assert_eq!(bed.wait(3_000_000_000), ["gap rotated_before_read 0"]);
    assert!(bed.wait(3_000_000_000).is_empty());
    bed.check_tiling();
}

#[test]
fn a_generation_that_turns_up_after_the_start_goes_on_and_is_no_gap() {
    let mut bed = Bed::new(Some(Format::Plain));
    bed.append("a.log", &lines(0, 10));
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(0, 10));
    bed.append("a.log", &lines(10, 20));
    bed.rename("a.log", "a.log.1");
    bed.append("a.log", &lines(20, 30));
    bed.restart();
    bed.look(&["a.log"]);
    assert_eq!(bed.run(), bodies(20, 30));
    bed.look(&["a.log.1", "a.log"]);
    assert_eq!(bed.run(), bodies(10, 20));
    assert!(bed.wait(3_000_000_000).is_empty());
    bed.check_tiling();
}

#[test]
fn a3_an_empty_generation_that_is_compressed_does_not_end_the_live_files_line() {
    let mut bed = Bed::new(Some(Format::Plain));
    for names in [&["a.log.1", "a.log"][..], &["a.log"]] {
        // Held open, and not: then all there is is a new file that is empty inside.
        bed.append("a.log.1", "");
        bed.append("a.log", "whole\nbeg");
        bed.look(names);
        assert_eq!(bed.run(), ["whole"]);
        bed.compress("a.log.1");
        bed.look(&["a.log.1.gz", "a.log"]);
        assert_eq!(bed.run(), [""; 0], "the line goes on");
        bed.append("a.log", "un\n");
        assert_eq!(bed.run(), ["begun"]);
        bed.check_tiling();
        bed = Bed::new(Some(Format::Plain));
    }
}
