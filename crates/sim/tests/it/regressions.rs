//! Schedules that once went wrong.

use std::collections::HashSet;
use std::io::ErrorKind;

use flow::ContextId;
use pipeline::checkpoint::{CheckpointStore, Entry};
use pipeline::frame::Format;
use pipeline::source::Known;
use sim::{DiskFault, SimDisk, SourceBed};

use crate::actor::Text;
use crate::bed::{Bed, FLUSH_NS, LATE_NS};
use crate::node::Stage;
use crate::node_schedule::{self, NodeStep, Setting};
use crate::reader_bed::ReaderBed;
use crate::schedule::{Step, run};

const LINE: Text = Text { len: 0, is_stderr: false, is_partial: false };
const PART: Text = Text { is_partial: true, ..LINE };
const LONG: Text = Text { len: 150, ..LINE };

fn line() -> Step {
    Step::Append(vec![LINE], 0)
}

fn check(format: Format, steps: &[Step]) {
    if let Err(why) = run(&mut SourceBed::new(format), format, steps) {
        panic!("{why}");
    }
}

fn check_reader(format: Format, open_files_max: u64, steps: &[Step]) {
    if let Err(why) = run(&mut ReaderBed::new(format, open_files_max), format, steps) {
        panic!("{why}");
    }
}

const ROUND: NodeStep =
    NodeStep::Round([Stage::Discovery, Stage::Reader, Stage::Shipper, Stage::Tracker]);

fn world(stream: usize, step: Step) -> NodeStep {
    NodeStep::World(stream, step)
}

fn check_node(format: Format, open_files_max: u64, steps: &[NodeStep]) {
    if let Err(why) = node_schedule::run(Setting::new(format, open_files_max), steps) {
        panic!("{why}");
    }
}

#[test]
fn a_head_that_is_read_in_part_is_no_other_head() {
    let steps =
        [line(), line(), Step::Scan, Step::Look, Step::ShortenReads(Some(1)), Step::Work(1)];
    check(Format::Plain, &steps);
}

#[test]
fn what_was_seen_when_a_cut_was_noticed_is_owed_too() {
    let steps = [
        line(),
        Step::Scan,
        Step::Work(1),
        Step::Truncate,
        Step::Append(vec![LONG], 0),
        Step::Scan,
        Step::Look,
        Step::Truncate,
    ];
    check(Format::Plain, &steps);
}

#[test]
fn a_file_that_lost_its_name_unnoticed_is_not_closed() {
    let steps = [line(), Step::Scan, Step::Work(2), line(), Step::Unlink, Step::CloseIdle];
    check(Format::Plain, &steps);
}

/// A report looked at a file that was read and closed, and its reader was not told: the gap had no length (chaos, seed 710320).
#[test]
fn what_somebody_was_shown_of_a_closed_file_is_declared_once_it_is_gone() {
    let unlink = world(0, Step::Unlink);
    let steps = [world(0, line()), ROUND, ROUND, world(0, line()), NodeStep::Show, unlink];
    check_node(Format::Plain, 0, &steps);
}

#[test]
fn a_full_part_after_a_part_goes_on_from_it() {
    let full = Text { len: 200, ..LINE };
    check(Format::Cri, &[Step::Append(vec![PART, full], 0), Step::Scan]);
}

#[test]
fn a_torn_line_behind_an_open_join_does_not_wait_for_the_next_generation() {
    let steps = [line(), Step::Rotate, Step::Append(vec![PART, LINE], 1), Step::Reopen, line()];
    check(Format::Cri, &steps);
}

#[test]
fn a_join_does_not_wait_for_what_was_cut_from_the_next_generation() {
    let steps = [
        Step::Append(vec![PART], 0),
        Step::Scan,
        Step::Recreate,
        line(),
        Step::Scan,
        Step::Truncate,
    ];
    check(Format::Cri, &steps);
}

#[test]
fn a_file_cut_and_grown_again_between_two_full_reads_is_noticed() {
    let steps = [
        Step::Recreate,
        Step::Scan,
        Step::Append(vec![LINE, Text { len: 4054, ..LINE }], 0),
        Step::Work(1),
        Step::Truncate,
        Step::Append(vec![Text { len: 1, ..LINE }], 0),
        Step::Scan,
    ];
    check(Format::Cri, &steps);
}

#[test]
fn an_error_of_the_next_generation_loses_none_of_this_one() {
    let steps = [
        Step::Append(vec![PART], 0),
        Step::Rotate,
        Step::Recreate,
        Step::Scan,
        Step::CloseIdle,
        Step::Recreate,
        line(),
        Step::DeleteOldest,
        Step::Scan,
    ];
    check(Format::Cri, &steps);
}

#[test]
fn a_join_goes_on_in_a_next_generation_that_was_cut_only_once_that_is_noticed() {
    let steps = [
        Step::Reopen,
        Step::Scan,
        Step::Append(vec![PART], 0),
        Step::Recreate,
        Step::Append(vec![Text { len: 4000, ..LINE }], 0),
        Step::Scan,
        Step::Truncate,
        line(),
    ];
    check(Format::Cri, &steps);
}

#[test]
fn a_join_does_not_go_on_inside_of_a_line() {
    let steps = [
        line(),
        Step::Rotate,
        Step::Reopen,
        Step::Scan,
        Step::Append(vec![Text { len: 4055, ..LINE }, LINE], 0),
        Step::Work(1),
        Step::Work(1),
        Step::AppendLate(vec![PART], 0),
    ];
    check(Format::Cri, &steps);
}

#[test]
fn a_removed_file_that_is_cut_and_written_anew_is_read_before_it_is_let_go() {
    let steps = [
        Step::Append(vec![LONG], 0),
        Step::Scan,
        Step::Unlink,
        Step::Scan,
        Step::Work(2),
        Step::Truncate,
        line(),
        line(),
        Step::Wait(LATE_NS),
    ];
    check(Format::Cri, &steps);
}

#[test]
fn both_beds_deliver_what_was_written() {
    let steps = [line(), Step::Scan, Step::Rotate, Step::Reopen, Step::Append(vec![LONG, LINE], 0)];
    let beds: [Box<dyn Bed>; 2] =
        [Box::new(SourceBed::new(Format::Plain)), Box::new(ReaderBed::new(Format::Plain, 1))];
    for mut bed in beds {
        let verdict = run(&mut *bed, Format::Plain, &steps).unwrap();
        assert_eq!((verdict.records, verdict.bytes, verdict.gap_bytes), (3, 8 + 158 + 8, 0));
        assert_eq!(verdict.unknown_bytes, 0);
    }
}

#[test]
fn a_name_that_leads_to_another_file_by_now_says_nothing_of_the_one_that_had_it() {
    let steps = [
        line(),
        Step::Rotate,
        Step::Reopen,
        Step::Scan,
        line(),
        Step::Rotate,
        Step::Work(1),
        Step::Truncate,
    ];
    check_reader(Format::Cri, 1, &steps);
}

#[test]
fn late_writes_to_a_removed_file_are_read_while_the_next_one_is_empty() {
    let steps = [
        Step::Scan,
        line(),
        Step::Scan,
        Step::Rotate,
        Step::DeleteOldest,
        Step::Scan,
        Step::Wait(1),
        Step::Reopen,
        Step::Scan,
        Step::Work(2),
        Step::AppendLate(vec![LINE], 0),
    ];
    check_reader(Format::Cri, 1, &steps);
}

#[test]
fn a_name_of_before_a_rotation_tells_nothing_of_the_file_that_has_it_now() {
    let steps = [
        Step::Recreate,
        Step::Rotate,
        Step::Reopen,
        Step::Rotate,
        Step::Recreate,
        Step::Scan,
        line(),
        Step::Work(2),
        Step::Rotate,
        Step::Look,
        Step::Work(1),
        line(),
        Step::Work(1),
        Step::Truncate,
    ];
    check_reader(Format::Plain, 1, &steps);
}

#[test]
fn what_was_seen_of_a_removed_file_when_its_size_was_asked_is_owed() {
    let steps = [
        line(),
        Step::Scan,
        Step::Work(1),
        line(),
        Step::Work(1),
        Step::Rotate,
        line(),
        Step::DeleteOldest,
        Step::Work(1),
        Step::Scan,
        line(),
        Step::Work(1),
        Step::Truncate,
    ];
    check_reader(Format::Cri, 1, &steps);
}

#[test]
fn a_file_cut_before_it_was_read_begins_anew_after_a_restart_too() {
    let steps = [
        line(),
        Step::Scan,
        Step::Truncate,
        Step::AppendLate(vec![LINE], 0),
        Step::ShortenReads(Some(1)),
        Step::Look,
        Step::Wait(5000000000),
        line(),
        line(),
        Step::Look,
        Step::Store,
        Step::Kill(0),
    ];
    check(Format::Cri, &steps);
}

#[test]
fn a_look_from_before_a_cut_tells_nothing_of_what_came_after() {
    let steps = [line(), Step::Scan, line(), Step::Scan, Step::Truncate, Step::Truncate];
    check_reader(Format::Plain, 0, &steps);
}

#[test]
fn what_is_seen_of_the_next_generation_is_owed_even_if_nothing_is_joined() {
    let (long, two) = (Text { len: 7849, ..LINE }, Text { len: 4055, ..LINE });
    let steps = [
        Step::Reopen,
        Step::Rotate,
        Step::Reopen,
        Step::Append(vec![long, Text { len: 26, ..LINE }, Text { len: 7, ..LINE }], 0),
        Step::Scan,
        Step::AppendLate(vec![PART], 0),
        Step::Append(vec![PART, two], 0),
        Step::Work(3),
        Step::AppendLate(vec![PART], 0),
        line(),
        Step::Work(2),
        Step::Truncate,
    ];
    check(Format::Cri, &steps);
}

#[test]
fn what_is_cut_and_grows_to_the_same_length_is_another_content() {
    let text = |len| Text { len, ..LINE };
    let steps = [
        Step::Append(vec![text(6)], 0),
        Step::Append(vec![text(27), text(39), text(31)], 0),
        Step::Scan,
        Step::Work(1),
        Step::Rotate,
        Step::Truncate,
        Step::Reopen,
        Step::AppendLate(vec![text(30), text(39)], 0),
        Step::AppendLate(vec![text(25), text(9)], 0),
    ];
    check(Format::Plain, &steps);
}

#[test]
fn a_file_of_which_little_is_known_is_not_found_again_in_every_other() {
    let steps = [
        line(),
        Step::ShortenReads(Some(16)),
        line(),
        Step::Scan,
        Step::Work(1),
        Step::Unlink,
        Step::Truncate,
        Step::Reopen,
        Step::Work(1),
        Step::Rotate,
        Step::Reopen,
        Step::AppendLate(vec![LINE], 0),
    ];
    check_reader(Format::Cri, 1, &steps);
    let steps = [
        Step::ShortenReads(Some(1)),
        Step::Append(vec![Text { len: 28, ..LINE }], 0),
        Step::Scan,
        Step::Truncate,
        line(),
        Step::Work(1),
        Step::Recreate,
        line(),
        Step::Rotate,
        line(),
        Step::Reopen,
    ];
    check_reader(Format::Cri, 0, &steps);
}

#[test]
fn a_cut_of_the_next_generation_is_noticed_before_it_is_its_turn() {
    let steps = [
        Step::Reopen,
        Step::Rotate,
        Step::Reopen,
        line(),
        Step::Scan,
        Step::Look,
        Step::AppendLate(vec![PART], 0),
        Step::Truncate,
        line(),
        Step::Work(2),
        Step::CloseIdle,
        Step::Recreate,
    ];
    check(Format::Cri, &steps);
}

#[test]
fn a_generation_at_rest_is_found_again_after_two_rotations() {
    let steps = [
        line(),
        Step::Scan,
        Step::Work(2),
        Step::Rotate,
        Step::Reopen,
        Step::Look,
        Step::Rotate,
        line(),
        Step::Scan,
        Step::Work(1),
        Step::Wait(LATE_NS),
        Step::Reopen,
        Step::Rotate,
    ];
    check_reader(Format::Plain, 0, &steps);
}

#[test]
fn the_first_bytes_of_a_file_without_a_name_are_noticed_behind_a_quiet_one() {
    let steps = [
        world(1, line()),
        world(1, Step::Rotate),
        world(1, Step::Reopen),
        NodeStep::Tick(Stage::Discovery, 1),
        NodeStep::Tick(Stage::Reader, 1),
        world(1, Step::Unlink),
        ROUND,
        world(1, line()),
    ];
    check_node(Format::Plain, 2, &steps);
}

#[test]
fn a_file_of_which_nothing_was_read_is_not_found_again_by_its_first_byte() {
    let steps = [
        world(1, Step::ShortenReads(Some(1))),
        world(1, Step::Append(vec![LONG], 0)),
        ROUND,
        world(1, Step::Truncate),
        world(1, line()),
        world(1, Step::Recreate),
        ROUND,
        world(1, Step::Rotate),
        NodeStep::Kill(0),
        world(1, Step::Reopen),
        world(1, Step::AppendLate(vec![LINE], 0)),
    ];
    check_node(Format::Plain, 1, &steps);
}

#[test]
fn what_is_gone_at_a_start_is_declared_once_however_often_the_agent_starts() {
    let start = [NodeStep::Kill(0), ROUND, NodeStep::Wait(LATE_NS), ROUND, ROUND];
    let mut steps = vec![world(0, line()), ROUND, world(0, Step::Rotate), world(0, Step::Reopen)];
    steps.extend([ROUND, ROUND, world(0, line()), ROUND, NodeStep::Wait(LATE_NS), ROUND]);
    steps.extend([NodeStep::Kill(0), world(0, Step::Recreate)]);
    for _ in 0..3 {
        steps.extend(start.clone());
    }
    check_node(Format::Plain, 2, &steps);
}

#[test]
fn what_a_file_held_before_it_was_cut_is_not_missed_at_the_next_start() {
    let steps = [
        line(),
        Step::Scan,
        Step::Look,
        Step::Truncate,
        line(),
        Step::Scan,
        Step::Work(5),
        Step::Wait(LATE_NS),
        Step::Work(5),
        Step::Kill(0),
    ];
    check(Format::Plain, &steps);
}

#[test]
fn what_is_heard_of_a_file_that_was_given_up_is_no_other_gap() {
    let steps = [
        world(1, Step::Reopen),
        NodeStep::Tick(Stage::Discovery, 1),
        world(1, Step::Unlink),
        ROUND,
        ROUND,
        NodeStep::Wait(1_000_000_000),
        ROUND,
        NodeStep::Hear(1),
        NodeStep::Tick(Stage::Reader, 5),
        ROUND,
        ROUND,
    ];
    check_node(Format::Plain, 0, &steps);
}

#[test]
fn a_part_whose_rest_may_stand_behind_a_hole_keeps_nobody_busy() {
    let steps = [
        Step::AppendBehind(1, vec![LINE, PART]),
        Step::Rotate,
        Step::Reopen,
        Step::AppendBehind(1024, vec![LINE]),
    ];
    check(Format::Cri, &steps);
    check_reader(Format::Cri, 1, &steps);
}

#[test]
fn a_hole_that_was_skipped_is_not_counted_again_when_a_power_cut_leaves_nothing_but_nuls() {
    let steps = [
        Step::AppendBehind(1024, vec![LINE]),
        line(),
        line(),
        Step::Scan,
        Step::Work(1),
        Step::Wait(1_000_000_000),
        Step::Look,
        Step::CutPower(0, true),
        line(),
    ];
    check(Format::Plain, &steps);
}

#[test]
fn a_file_that_could_not_be_looked_into_stays_behind_one_whose_cut_was_noticed_meanwhile() {
    let steps = [
        Step::Reopen,
        Step::Scan,
        Step::RefuseOpens(true),
        Step::Rotate,
        line(),
        Step::Reopen,
        Step::Work(1),
        line(),
        Step::Rotate,
        Step::CutPower(0, true),
        Step::AppendBehind(1, vec![LINE]),
        Step::Rotate,
        Step::Recreate,
        Step::Scan,
    ];
    check(Format::Plain, &steps);
}

#[test]
fn a_rotated_file_that_was_looked_into_and_cut_before_it_was_read_is_another_content() {
    check(Format::Plain, &[line(), Step::Rotate, Step::Scan, Step::Truncate, line()]);
}

#[test]
fn a_file_that_lost_its_power_is_not_gone_on_with_behind_a_hole_that_was_filled() {
    let grown = [line(), Step::AppendBehind(3000, vec![LINE])];
    for regrown in
        [Step::AppendBehind(3000, vec![LINE]), Step::Append(vec![Text { len: 4000, ..LINE }], 0)]
    {
        let mut steps = grown.to_vec();
        steps.extend([Step::Scan, Step::Work(1), Step::Wait(1_000_000_000), Step::Work(2)]);
        steps.extend([
            Step::CutPower(8, false),
            line(),
            regrown,
            Step::Kill(1),
            line(),
            Step::Scan,
        ]);
        check(Format::Plain, &steps);
    }
}

#[test]
fn nuls_that_a_power_cut_left_and_a_writer_replaced_are_not_missing() {
    let text = |len| Text { len, ..LINE };
    let steps = [
        line(),
        Step::AppendBehind(1263, vec![text(35), text(11), text(15)]),
        Step::AppendBehind(2459, vec![text(27), text(34)]),
        Step::CutPower(1, true),
        Step::Scan,
        line(),
        Step::Work(1),
        Step::Truncate,
        line(),
    ];
    check_reader(Format::Cri, 0, &steps);
}

#[test]
fn what_stands_behind_a_hole_tells_that_a_power_cut_took_it() {
    let long = Step::Append(vec![Text { len: 4000, ..LINE }], 0);
    let read = [line(), Step::Scan, Step::AppendBehind(1016, vec![LINE]), Step::Work(1)];
    for (is_zeroed, next) in [(false, long), (true, line())] {
        let mut steps = read.to_vec();
        steps.extend([Step::CutPower(8, is_zeroed), next]);
        check(Format::Plain, &steps);
    }
}

#[test]
fn a_group_does_not_go_on_in_a_next_generation_that_was_cut() {
    let steps = [
        line(),
        Step::Rotate,
        Step::Reopen,
        Step::Scan,
        Step::Work(1),
        Step::Append(vec![Text { len: 48, ..LINE }; 3], 0),
        Step::CloseLate,
        Step::Look,
        Step::Truncate,
        line(),
        Step::Reopen,
    ];
    if let Err(why) = run(&mut SourceBed::grouping(Format::Plain), Format::Plain, &steps) {
        panic!("{why}");
    }
}

#[test]
fn a_cut_is_noticed_of_a_file_of_which_only_nuls_were_read() {
    let steps = [
        Step::ShortenReads(Some(1)),
        Step::AppendBehind(1, vec![LINE]),
        line(),
        line(),
        Step::Scan,
        Step::Work(1),
        Step::Wait(1_000_000_000),
        Step::Work(1),
        Step::Truncate,
        line(),
    ];
    check(Format::Plain, &steps);
}

#[test]
fn a_group_in_a_file_that_was_cut_waits_for_its_own_time() {
    let steps = [
        Step::Append(vec![LINE; 3], 0),
        Step::Scan,
        Step::Work(1),
        Step::Wait(1_000_000_000),
        Step::Truncate,
        line(),
        Step::Work(2),
        Step::Append(vec![LINE; 4], 0),
    ];
    if let Err(why) = run(&mut SourceBed::grouping(Format::Plain), Format::Plain, &steps) {
        panic!("{why}");
    }
}

#[test]
fn what_was_seen_of_a_file_that_may_not_be_kept_open_is_declared() {
    for cut in 0..40 {
        let steps = [
            line(),
            Step::Scan,
            Step::Rotate,
            Step::Reopen,
            Step::Rotate,
            Step::DeleteOldest,
            Step::Reopen,
            Step::AppendLate(vec![LINE], 0),
            Step::Scan,
            Step::AppendLate(vec![LINE; 3], cut),
            Step::Work(5),
            Step::DeleteOldest,
        ];
        check_reader(Format::Plain, 0, &steps);
        check_reader(Format::Cri, 0, &steps);
    }
}

#[test]
fn what_is_stored_after_a_new_checkpoint_failed_at_its_name_is_found() {
    let entry = |cursor| Entry::new(ContextId(1), Known { cursor, ..Known::new(1) });
    // A new file is made, written twice, synced, renamed, and then its name is synced.
    for step in 0..6 {
        let disk = SimDisk::default();
        let (mut store, _) = CheckpointStore::open_on(Box::new(disk.clone()), 0).unwrap();
        disk.fail_after(step, DiskFault::Fails(ErrorKind::Other));
        store.store(vec![entry(10)], 0, true, HashSet::new).unwrap_err();
        store.store(vec![entry(20)], 0, false, HashSet::new).unwrap();
        drop(store);
        let (_, loaded) = CheckpointStore::open_on(Box::new(disk), 0).unwrap();
        let cursors: Vec<u64> = loaded.entries.iter().map(|it| it.known.cursor).collect();
        assert_eq!(cursors, [20], "failed at step {step}");
    }
}

/// Of a file that was begun anew while no agent ran, all is missing when it is gone, and not only what is behind what was
/// read of it before.
#[test]
fn reads_that_bring_a_byte_each_tell_another_file_all_the_same() {
    let text = |len| Text { len, ..LINE };
    let lines = || Step::Append(vec![text(28), text(59)], 0);
    let steps = [
        world(1, lines()),
        ROUND,
        world(1, Step::Truncate),
        world(1, Step::ShortenReads(Some(1))),
        NodeStep::Kill(0),
        world(1, lines()),
        world(0, line()),
        world(1, Step::Rotate),
        ROUND,
        world(1, Step::DeleteOldest),
        NodeStep::Wait(99_970_994),
    ];
    let setting = Setting { stuck: Some(1), ..Setting::new(Format::Plain, 1) };
    node_schedule::run(setting, &steps).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn a_file_that_could_not_be_looked_into_is_not_put_before_what_was_written_to_an_older_one() {
    let steps = [
        Step::Reopen,
        Step::Scan,
        line(),
        Step::Look,
        Step::Truncate,
        Step::RefuseReads(true),
        Step::Rotate,
        line(),
        Step::Reopen,
        line(),
        Step::Rotate,
        Step::Scan,
        Step::RenameBack,
        Step::Recreate,
    ];
    for format in [Format::Plain, Format::Cri] {
        check(format, &steps);
        check_reader(format, 0, &steps);
        check_reader(format, 1, &steps);
    }
}

#[test]
fn what_was_declared_gone_is_not_missed_again_when_what_came_after_it_is_done_with() {
    let steps = [
        world(1, line()),
        ROUND,
        NodeStep::Kill(0),
        world(1, Step::Recreate),
        ROUND,
        NodeStep::Wait(LATE_NS),
        world(1, line()),
        NodeStep::Tick(Stage::Discovery, 1),
        world(1, Step::Recreate),
        ROUND,
        world(1, Step::Recreate),
        NodeStep::Wait(1_000_000_000),
        NodeStep::Tick(Stage::Reader, 1),
        NodeStep::Wait(1_000_000_000),
        ROUND,
        NodeStep::Kill(0),
    ];
    for format in [Format::Plain, Format::Cri] {
        check_node(format, 0, &steps);
    }
}

#[test]
fn what_replaces_nuls_behind_a_byte_that_a_power_cut_left_is_not_missing() {
    let steps = [
        line(),
        Step::CutPower(1, false),
        Step::Scan,
        Step::AppendBehind(3000, vec![LINE]),
        Step::Look,
        Step::Truncate,
        Step::Truncate,
        line(),
        line(),
    ];
    check(Format::Plain, &steps);
}

/// It was taken for a copy of the one that was removed, of which a power cut had left a byte, too.
/// To the agent the file was begun anew, and nobody looked into it before it was gone: all of it is missing.
#[test]
fn a_file_that_a_power_cut_filled_with_nuls_and_nobody_read_may_be_missing_as_a_whole() {
    let steps = [
        Step::Append(vec![Text { len: 198, ..LINE }], 0),
        Step::Scan,
        Step::Work(1),
        line(),
        line(),
        Step::CutPower(0, true),
        Step::Scan,
        Step::Look,
        Step::CloseIdle,
        Step::Rotate,
        Step::DeleteOldest,
    ];
    check(Format::Plain, &steps);
}

/// A chunk ended within groups of both streams: one was cut before its last line, and the other's next line was torn from it.
#[test]
fn a_chunk_that_ends_within_groups_of_both_streams_tears_neither() {
    // By write: the length of each line, of stderr below 0.
    let before: [&[i16]; 15] = [
        &[0, 0, 17, -24, 54],
        &[47, 30, 38, 21, 4],
        &[4, -5],
        &[42, 57, 39],
        &[-59, 43],
        &[26, 50, 59, 30, 37],
        &[9, 33, 25],
        &[30, 9, 34],
        &[-16, -58, 22, 48],
        &[56, 55, 24, 53],
        &[51, 59, 45],
        &[48, 5],
        &[30, 31, 21, 7],
        &[3],
        &[20, 11, -15, 7, 59],
    ];
    // The last line of stdout in the chunk goes on from the one before, or begins a group.
    for last in [51, -51] {
        let text = |len: &i16| Text { len: len.unsigned_abs(), is_stderr: *len < 0, ..LINE };
        let append = |lens: &[i16]| Step::Append(lens.iter().map(text).collect(), 0);
        let mut steps = before.map(append).to_vec();
        steps.push(append(&[31, 37, last, -51, 42]));
        let mut bed = ReaderBed::new(Format::Cri, 0).grouping();
        run(&mut bed, Format::Cri, &steps).unwrap_or_else(|why| panic!("{why}"));
    }
}

#[test]
fn a_file_of_which_a_power_cut_left_a_byte_is_not_found_again_in_another_of_a_byte() {
    let cut = Step::CutPower(1, false);
    let steps = [
        line(),
        Step::Rotate,
        cut.clone(),
        line(),
        Step::Rotate,
        line(),
        Step::Scan,
        Step::Work(2),
        Step::Ship(1),
        cut,
        line(),
        Step::DeleteOldest,
    ];
    check_reader(Format::Cri, 0, &steps);
}

#[test]
fn a_file_of_which_a_power_cut_left_a_byte_is_not_found_again_in_one_that_begins_so() {
    let steps = [
        line(),
        Step::CutPower(1, false),
        Step::Rotate,
        line(),
        Step::Scan,
        Step::Work(2),
        line(),
        Step::Ship(1),
        Step::DeleteOldest,
        Step::CutPower(1, false),
        line(),
        Step::Rotate,
    ];
    check_reader(Format::Cri, 0, &steps);
}

#[test]
fn a_join_that_a_hole_ended_does_not_go_on_in_what_was_written_after_a_cut() {
    let steps = [
        Step::Append(vec![PART], 0),
        Step::AppendBehind(3000, vec![LINE]),
        Step::Scan,
        Step::Work(1),
        line(),
        Step::Wait(1_000_000_000),
        Step::AppendBehind(3863, vec![Text { len: 53, ..LINE }, Text { len: 5, ..LINE }]),
        Step::Work(1),
        Step::Truncate,
        line(),
    ];
    check_reader(Format::Cri, 0, &steps);
    check_reader(Format::Cri, 1, &steps);
}

#[test]
fn what_a_power_cut_left_of_a_file_that_was_read_keeps_nothing_younger_waiting() {
    let steps = [
        Step::Append(vec![Text { len: 6, ..LINE }, Text { len: 55, ..LINE }], 0),
        Step::Rotate,
        Step::Scan,
        Step::AppendBehind(1971, vec![LINE]),
        Step::Work(1),
        Step::CutPower(77, false),
        line(),
    ];
    check(Format::Plain, &steps);
    check_reader(Format::Plain, 0, &steps);
}

#[test]
fn what_the_second_power_cut_left_of_a_file_that_was_read_is_not_missing() {
    let steps = [
        line(),
        Step::Scan,
        Step::Work(1),
        line(),
        Step::CutPower(8, false),
        line(),
        Step::CutPower(0, false),
        Step::Rotate,
        line(),
    ];
    check(Format::Plain, &steps);
    check(Format::Plain, &steps[..7]);
}

#[test]
fn a_late_part_that_is_read_behind_a_hole_is_joined_with_what_is_read_next() {
    let steps = [
        Step::AppendBehind(1, vec![LINE]),
        Step::Rotate,
        Step::Reopen,
        Step::AppendBehind(1024, vec![Text { is_stderr: true, ..LINE }]),
        Step::Scan,
        Step::Work(2),
        Step::Append(vec![Text { len: 4001, ..LINE }], 0),
        Step::Wait(1_000_000_000),
        Step::Scan,
        Step::Work(1),
        Step::AppendLate(vec![PART], 0),
    ];
    check_reader(Format::Cri, 0, &steps);
    check_reader(Format::Cri, 1, &steps);
}

#[test]
fn what_is_written_where_a_power_cut_left_nuls_is_read_by_an_agent_that_has_read_those() {
    let steps = [
        Step::AppendBehind(990, vec![LINE, Text { len: 18, ..LINE }]),
        Step::CutPower(0, true),
        Step::Append(vec![LINE], 1),
        Step::Scan,
        Step::Wait(2),
        Step::Work(1),
        Step::Truncate,
        Step::Append(vec![Text { len: 4000, ..LINE }], 0),
    ];
    check(Format::Plain, &steps);
    check_reader(Format::Plain, 0, &steps);
    // One that begins then goes on in it: they may have been filled in, for all that it can know.
    let mut over_a_start = steps.to_vec();
    over_a_start.insert(7, Step::Kill(0));
    check(Format::Plain, &over_a_start);
}

/// Lines were filled with the alphabet over and over, and one of the second life had the same 64 bytes before the offset.
#[test]
fn a_file_that_lost_its_power_is_not_gone_on_with_in_another_line_behind_other_nuls() {
    let long = vec![Text { len: 8000, ..LINE }];
    let steps = [
        Step::AppendBehind(1100, long.clone()),
        Step::Scan,
        Step::Work(2),
        Step::Wait(5_000_000_000),
        Step::Work(2),
        Step::CutPower(0, false),
        Step::AppendBehind(1126, long),
    ];
    check(Format::Plain, &steps);
}

/// What was cut was as long as the new content, which begins with NULs, too.
#[test]
fn what_replaces_nuls_before_the_offset_is_read_by_an_agent_that_has_read_those() {
    let append = |hole, lens: &[u16]| {
        Step::AppendBehind(hole, lens.iter().map(|len| Text { len: *len, ..LINE }).collect())
    };
    let steps = [
        append(3539, &[549]),
        Step::CutPower(0, true),
        line(),
        Step::Scan,
        Step::Work(1),
        Step::Wait(1_000_000_000),
        Step::Work(1),
        Step::Truncate,
        append(3715, &[365, 8]),
    ];
    check(Format::Plain, &steps);
    check_reader(Format::Plain, 0, &steps);
}

/// Nothing tells that the file was cut: the first KiB and what stands before the offset are the same, and it is as long.
#[test]
fn a_file_that_is_begun_anew_with_as_many_nuls_as_were_read_is_gone_on_with() {
    let steps = [
        Step::AppendBehind(3539, vec![Text { len: 549, ..LINE }]),
        Step::CutPower(0, true),
        line(),
        Step::Scan,
        Step::Work(1),
        Step::Wait(1_000_000_000),
        Step::Work(1),
        Step::Truncate,
        Step::AppendBehind(4096, vec![LINE]),
    ];
    check(Format::Plain, &steps);
}

/// What is there is no more than what was read, and says the same; that it became shorter tells of the cut.
#[test]
fn a_file_that_is_begun_anew_shorter_with_as_many_nuls_is_read_from_its_beginning() {
    let steps = [
        Step::ShortenReads(Some(1)),
        Step::AppendBehind(1, vec![LINE]),
        line(),
        line(),
        Step::Scan,
        Step::Work(1),
        Step::Wait(1_000_000_000),
        Step::Work(1),
        Step::Truncate,
        Step::AppendBehind(1, vec![LINE]),
    ];
    check(Format::Plain, &steps);
}

/// The checkpoint tells of it, or the queue, or both of what lies between the parts.
#[test]
fn a_part_that_was_delivered_before_a_restart_goes_on_behind_it() {
    let append = |texts: &[Text]| world(0, Step::Append(texts.to_vec(), 0));
    let other = Text { is_stderr: true, ..LINE };
    let part = [append(&[LINE, PART]), ROUND, NodeStep::Wait(2 * FLUSH_NS), ROUND, ROUND];
    let deaths = [NodeStep::Stop, NodeStep::Kill(0), NodeStep::Kill(9)];
    for death in deaths {
        for between in [&[][..], &[append(&[other]), ROUND, ROUND, death.clone()]] {
            let steps =
                [&part[..], std::slice::from_ref(&death), between, &[append(&[LINE, LINE])]]
                    .concat();
            check_node(Format::Cri, 2, &steps);
        }
    }
}

/// Behind a rotated file that is empty, nobody looked at it any more after `lateWrites`, and it was held for ever.
#[test]
fn the_first_bytes_of_a_file_without_a_name_are_noticed_however_late() {
    let steps = [
        world(1, Step::Reopen),
        world(0, line()),
        world(1, Step::Rotate),
        world(1, Step::Reopen),
        ROUND,
        world(1, Step::Unlink),
        ROUND,
        NodeStep::Wait(5_000_000_000),
        ROUND,
        world(1, line()),
    ];
    check_node(Format::Plain, 2, &steps);
    check_node(Format::Cri, 2, &steps);
}
