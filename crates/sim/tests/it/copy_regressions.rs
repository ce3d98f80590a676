//! Schedules of files that are copied, linked and compressed, which once went wrong.

use pipeline::frame::Format;

use crate::actor::Text;
use crate::node::{Limits, Stage};
use crate::node_schedule::{NodeStep, Setting, run};
use crate::schedule::Step;

const ROUND: NodeStep =
    NodeStep::Round([Stage::Discovery, Stage::Reader, Stage::Shipper, Stage::Tracker]);

fn world(step: Step) -> NodeStep {
    NodeStep::World(0, step)
}

fn line() -> NodeStep {
    line_of(0)
}

/// A line that is so much longer.
fn line_of(len: u16) -> NodeStep {
    world(Step::Append(vec![Text { len, is_stderr: false, is_partial: false }], 0))
}

fn tidy() -> Setting {
    Setting { is_tidy: true, ..Setting::new(Format::Plain, 0) }
}

fn check(steps: &[NodeStep]) {
    check_in(tidy(), steps);
}

fn check_in(setting: Setting, steps: &[NodeStep]) {
    if let Err(why) = run(setting, steps) {
        panic!("{why}");
    }
}

#[test]
fn a_file_with_two_names_is_one_generation() {
    check(&[line(), line(), world(Step::BeginLink), ROUND]);
}

#[test]
fn the_copy_of_a_file_that_was_cut_before_the_agent_began_is_read() {
    check(&[world(Step::Reopen), world(Step::BeginCopy), line(), line()]);
}

#[test]
fn a_copy_that_is_renamed_before_it_was_looked_into_is_not_read_again() {
    let steps = [
        line(),
        ROUND,
        world(Step::BeginCopy),
        NodeStep::Tick(Stage::Discovery, 1),
        world(Step::Rotate),
    ];
    check(&steps);
}

#[test]
fn a_file_that_was_copied_twice_comes_to_rest() {
    check(&[line(), world(Step::BeginCopy), world(Step::BeginCopy), world(Step::Compress(1))]);
}

#[test]
fn a_file_that_is_copied_twice_before_the_copies_were_looked_into_is_not_read_again() {
    let steps = [
        line(),
        ROUND,
        world(Step::BeginCopy),
        NodeStep::Tick(Stage::Discovery, 1),
        world(Step::BeginCopy),
    ];
    check(&steps);
}

#[test]
fn an_empty_compressed_generation_comes_to_rest_without_its_descriptor() {
    let steps = [
        world(Step::Reopen),
        world(Step::Rotate),
        world(Step::Reopen),
        world(Step::Rotate),
        world(Step::Reopen),
        world(Step::CloseLate),
        line(),
        world(Step::Compress(2)),
    ];
    check(&steps);
}

#[test]
fn the_next_copy_is_begun_before_the_last_cut_is_noticed() {
    let steps = [
        line(),
        world(Step::BeginCopy),
        ROUND,
        world(Step::BeginCopy),
        line(),
        ROUND,
        ROUND,
        line(),
    ];
    check(&steps);
}

#[test]
fn a_copy_of_what_was_cut_unread_is_found_beside_an_empty_one() {
    let steps = [
        world(Step::Reopen),
        world(Step::BeginCopy),
        line(),
        ROUND,
        world(Step::BeginCopy),
        line(),
        NodeStep::Tick(Stage::Reader, 1),
        world(Step::BeginCopy),
    ];
    check(&steps);
}

#[test]
fn a_copy_is_found_again_after_a_kill_although_more_was_seen_than_it_holds() {
    let steps = [
        line(),
        world(Step::BeginCopy),
        ROUND,
        world(Step::BeginCopy),
        line_of(9),
        ROUND,
        NodeStep::Kill(0),
    ];
    check(&steps);
}

#[test]
fn a_copy_that_became_a_carrier_beside_a_new_file_is_not_read_again() {
    let steps = [
        line(),
        world(Step::BeginCopy),
        world(Step::BeginCopy),
        line(),
        NodeStep::Tick(Stage::Discovery, 1),
        world(Step::Compress(1)),
        NodeStep::Tick(Stage::Reader, 1),
        world(Step::FinishRotation),
        world(Step::FinishRotation),
    ];
    check(&steps);
}

#[test]
fn what_was_cut_unread_is_not_taken_for_any_compressed_file() {
    let steps = [
        line(),
        line_of(150),
        world(Step::BeginCopy),
        world(Step::BeginCopy),
        world(Step::Compress(1)),
        ROUND,
        world(Step::RefuseOpens(true)),
        line(),
        NodeStep::Kill(0),
        NodeStep::Tick(Stage::Discovery, 1),
    ];
    check(&steps);
}

#[test]
fn what_was_read_is_remembered_until_its_compressed_file_can_be_looked_into() {
    let steps = [
        world(Step::Reopen),
        world(Step::BeginCopy),
        ROUND,
        line(),
        world(Step::FinishRotation),
        line(),
        ROUND,
        world(Step::RefuseReads(true)),
        world(Step::Compress(0)),
        NodeStep::Tick(Stage::Reader, 1),
    ];
    let limits = Limits { open_files_max: 2, pinned_bytes_max: u64::MAX };
    check_in(Setting { limits, stuck: Some(0), ..tidy() }, &steps);
}

#[test]
fn a_copy_is_known_by_what_was_read_however_little() {
    let steps =
        [line(), ROUND, line(), world(Step::BeginCopy), NodeStep::Tick(Stage::Discovery, 1)];
    check(&steps);
}

#[test]
fn a_copy_that_is_compressed_before_it_was_looked_into_is_no_gap() {
    let steps = [
        line(),
        ROUND,
        world(Step::BeginCopy),
        world(Step::BeginCopy),
        NodeStep::Tick(Stage::Discovery, 1),
        world(Step::Compress(1)),
    ];
    check(&steps);
}

#[test]
fn a_copy_that_is_compressed_and_renamed_before_it_was_looked_into_is_no_gap() {
    let steps = [
        line(),
        ROUND,
        world(Step::BeginCopy),
        world(Step::BeginCopy),
        NodeStep::Tick(Stage::Discovery, 1),
        world(Step::Compress(1)),
        world(Step::BeginCopy),
    ];
    check(&steps);
}

#[test]
fn a_copy_that_was_renamed_when_its_cut_is_noticed_is_read() {
    let steps = [
        line(),
        world(Step::BeginCopy),
        world(Step::BeginCopy),
        world(Step::BeginCopy),
        line(),
        ROUND,
        world(Step::BeginCopy),
        world(Step::Compress(2)),
    ];
    check(&steps);
}

#[test]
fn a_compressed_copy_that_cannot_be_opened_stands_for_the_copy() {
    let steps = [
        line(),
        ROUND,
        world(Step::BeginCopy),
        world(Step::BeginCopy),
        NodeStep::Tick(Stage::Discovery, 1),
        world(Step::RefuseOpens(true)),
        world(Step::Compress(1)),
        line(),
        NodeStep::Tick(Stage::Discovery, 1),
        NodeStep::Tick(Stage::Reader, 1),
    ];
    check(&steps);
}

#[test]
fn a_short_read_makes_no_short_fingerprint() {
    let steps = [
        world(Step::ShortenReads(Some(46))),
        line_of(9),
        line_of(22),
        ROUND,
        NodeStep::Tick(Stage::Reader, 1),
        world(Step::BeginCopy),
        ROUND,
        NodeStep::Kill(0),
    ];
    check(&steps);
}

#[test]
fn an_older_copy_that_is_compressed_leaves_the_next_line_alone() {
    let steps = [
        line(),
        world(Step::BeginCopy),
        ROUND,
        world(Step::BeginCopy),
        world(Step::BeginCopy),
        world(Step::RefuseOpens(true)),
        world(Step::Compress(2)),
        line_of(1),
        ROUND,
    ];
    check(&steps);
}

#[test]
fn an_empty_copy_that_has_grown_and_cannot_be_compared_is_not_forgotten() {
    let steps = [
        world(Step::Reopen),
        world(Step::BeginCopy),
        ROUND,
        line(),
        world(Step::RefuseOpens(true)),
    ];
    check_in(Setting { stuck: Some(0), ..tidy() }, &steps);
}

#[test]
fn a_file_held_open_is_not_taken_for_its_compressed_form() {
    let steps = [
        line(),
        world(Step::BeginCopy),
        ROUND,
        world(Step::FinishRotation),
        world(Step::RefuseReads(true)),
        NodeStep::Kill(0),
        ROUND,
        line(),
        NodeStep::Wait(99_999_988),
        world(Step::Compress(0)),
        NodeStep::Tick(Stage::Reader, 1),
    ];
    let limits = Limits { open_files_max: 1, pinned_bytes_max: u64::MAX };
    check_in(Setting { limits, ..tidy() }, &steps);
}

#[test]
fn two_empty_compressed_generations_come_to_rest() {
    let steps = [
        line(),
        world(Step::BeginCopy),
        world(Step::BeginCopy),
        world(Step::BeginCopy),
        world(Step::BeginCopy),
        world(Step::Compress(2)),
        world(Step::Compress(1)),
    ];
    check(&steps);
}

#[test]
fn what_a_cut_file_holds_now_is_another_content_after_a_kill_whatever_lies_between() {
    let steps = [
        line(),
        world(Step::BeginCopy),
        line(),
        NodeStep::Tick(Stage::Discovery, 1),
        world(Step::BeginCopy),
        NodeStep::Tick(Stage::Discovery, 1),
        NodeStep::Tick(Stage::Reader, 1),
        NodeStep::Wait(5_000_000_000),
        ROUND,
        ROUND,
        NodeStep::Kill(0),
        line_of(8),
        ROUND,
    ];
    check(&steps);
}

#[test]
fn a_file_held_open_is_looked_into_before_its_compressed_form() {
    let steps = [
        world(Step::RefuseReads(true)),
        line(),
        world(Step::BeginCopy),
        ROUND,
        world(Step::BeginCopy),
        world(Step::Compress(1)),
    ];
    let limits = Limits { open_files_max: 1, pinned_bytes_max: u64::MAX };
    check_in(Setting { limits, ..tidy() }, &steps);
}

#[test]
fn a_copy_that_turns_up_after_the_gap_was_declared_is_read() {
    let torn = vec![Text { len: 0, is_stderr: false, is_partial: false }];
    let steps = [
        world(Step::Append(torn, 1)),
        ROUND,
        world(Step::BeginCopy),
        world(Step::BeginCopy),
        NodeStep::Tick(Stage::Reader, 1),
        NodeStep::Wait(5_000_000_000),
        NodeStep::Round([Stage::Reader, Stage::Discovery, Stage::Shipper, Stage::Tracker]),
    ];
    check(&steps);
}

#[test]
fn a_copy_that_turns_up_after_its_generation_was_let_go_is_not_read_again() {
    let steps = [
        line(),
        ROUND,
        line(),
        world(Step::BeginCopy),
        world(Step::BeginCopy),
        NodeStep::Tick(Stage::Reader, 1),
        NodeStep::Wait(5_000_000_000),
        NodeStep::Tick(Stage::Reader, 1),
        NodeStep::Wait(5_000_000_000),
        NodeStep::Tick(Stage::Reader, 1),
    ];
    check(&steps);
}

#[test]
fn what_cannot_be_looked_into_at_a_start_may_be_the_compressed_form_of_what_is_gone() {
    let steps = [
        ROUND,
        line(),
        ROUND,
        world(Step::Rotate),
        line(),
        world(Step::Reopen),
        world(Step::CloseLate),
        NodeStep::Kill(0),
        world(Step::RefuseOpens(true)),
        world(Step::Compress(0)),
    ];
    let limits = Limits { open_files_max: 1, pinned_bytes_max: u64::MAX };
    check_in(Setting { limits, stuck: Some(0), ..tidy() }, &steps);
}

#[test]
fn what_was_written_just_before_a_file_was_compressed_is_read() {
    let torn = vec![Text { len: 1, is_stderr: false, is_partial: false }];
    let steps = [
        world(Step::Append(torn, 2)),
        world(Step::Rotate),
        world(Step::Reopen),
        line(),
        ROUND,
        NodeStep::Tick(Stage::Reader, 2),
        world(Step::CloseLate),
        world(Step::Compress(0)),
    ];
    check(&steps);
}

#[test]
fn a_copy_beside_which_no_live_file_is_left_is_not_read_again_after_a_restart() {
    let steps = [
        line_of(100),
        ROUND,
        world(Step::BeginCopy),
        world(Step::FinishRotation),
        ROUND,
        ROUND,
        world(Step::Unlink),
        NodeStep::Kill(0),
    ];
    check(&steps);
}

#[test]
fn a_file_that_was_copied_cut_and_renamed_while_no_agent_ran_is_not_read_again_from_its_copy() {
    let steps = [
        line_of(100),
        ROUND,
        ROUND,
        NodeStep::Stop,
        world(Step::BeginCopy),
        world(Step::FinishRotation),
        world(Step::Rotate),
        world(Step::Reopen),
        line_of(100),
    ];
    check(&steps);
}

#[test]
fn a_file_that_was_copied_cut_and_removed_between_two_looks_is_not_read_again_from_its_copy() {
    for open_files_max in [0, 2] {
        let steps = [
            line_of(100),
            ROUND,
            ROUND,
            world(Step::BeginCopy),
            world(Step::FinishRotation),
            world(Step::Unlink),
        ];
        check_in(Setting { is_tidy: true, ..Setting::new(Format::Plain, open_files_max) }, &steps);
    }
}

#[test]
fn what_was_written_late_to_an_empty_file_that_was_compressed_while_no_agent_ran_is_not_lost() {
    let steps = [
        world(Step::Reopen),
        world(Step::Rotate),
        world(Step::Reopen),
        line(),
        ROUND,
        world(Step::AppendLate(vec![Text { len: 0, is_stderr: false, is_partial: false }], 0)),
        line(),
        world(Step::CloseLate),
        world(Step::Compress(0)),
        NodeStep::Kill(0),
    ];
    for format in [Format::Plain, Format::Cri] {
        check_in(Setting { is_tidy: true, ..Setting::new(format, 0) }, &steps);
    }
}

#[test]
fn a_file_of_which_little_is_known_is_found_in_the_compressed_one_that_stood_beside_it() {
    let steps = [
        line(),
        ROUND,
        world(Step::Rotate),
        line(),
        line(),
        world(Step::Reopen),
        world(Step::CloseLate),
        world(Step::Reopen),
        world(Step::Compress(0)),
        NodeStep::Round([Stage::Reader, Stage::Discovery, Stage::Tracker, Stage::Shipper]),
        world(Step::Rotate),
    ];
    check(&steps);
}

/// Lines that make more than the KiB by which files are known.
fn kib() -> Vec<NodeStep> {
    vec![line_of(150); 8]
}

/// All is stored.
fn stored() -> [NodeStep; 3] {
    [ROUND, NodeStep::Wait(5_000_000_000), ROUND]
}

#[test]
fn a_copy_that_lacks_what_was_read_is_known_after_a_kill() {
    for begin in [vec![line()], kib()] {
        let steps = [
            world(Step::BeginCopy),
            ROUND,
            world(Step::EndCopy),
            line(),
            ROUND,
            world(Step::FinishRotation),
            line(),
            ROUND,
        ];
        let steps = [begin, vec![ROUND, ROUND], steps.to_vec(), stored().to_vec()].concat();
        check(&[steps, vec![NodeStep::Kill(0), ROUND]].concat());
    }
}

#[test]
fn a_copy_that_lacks_what_was_read_is_known_if_no_look_showed_it_before_the_cut() {
    let steps = [
        // The reader looks once more after it has read.
        line(),
        NodeStep::Tick(Stage::Discovery, 1),
        NodeStep::Tick(Stage::Reader, 1),
        world(Step::BeginCopy),
        world(Step::EndCopy),
        line(),
        NodeStep::Tick(Stage::Reader, 4),
        world(Step::FinishRotation),
        line(),
        ROUND,
    ];
    let steps = [kib(), vec![ROUND, ROUND], steps.to_vec(), stored().to_vec()].concat();
    check(&[&steps[..], &[NodeStep::Kill(0), ROUND]].concat());
}

#[test]
fn a_copy_is_known_by_what_two_short_reads_brought() {
    let torn = vec![Text { len: 0, is_stderr: false, is_partial: false }];
    let steps = [
        line_of(16),
        world(Step::Append(torn, 1)),
        world(Step::ShortenReads(Some(24))),
        ROUND,
        line(),
        ROUND,
        world(Step::BeginCopy),
    ];
    check(&steps);
}

#[test]
fn what_could_not_be_read_until_it_was_compressed_is_read_from_that_and_no_gap() {
    let pause = [NodeStep::Wait(6_000_000_000), NodeStep::Tick(Stage::Reader, 1)];
    let steps = [
        world(Step::RefuseReads(true)),
        line(),
        ROUND,
        world(Step::Rotate),
        world(Step::Reopen),
        world(Step::CloseLate),
        world(Step::Compress(0)),
        line(),
        NodeStep::Tick(Stage::Discovery, 1),
    ];
    let steps = [&steps[..], &vec![pause; 20].concat()[..]].concat();
    for open_files_max in [0, 2] {
        check_in(Setting { is_tidy: true, ..Setting::new(Format::Plain, open_files_max) }, &steps);
    }
}

/// Held open and not looked into; no look shows the name that it has when it is compressed.
#[test]
fn a_copy_that_could_not_be_read_until_it_was_compressed_is_no_gap() {
    let beside = |step: Step| NodeStep::World(1, step);
    let steps = [
        line(),
        world(Step::BeginCopy),
        world(Step::RefuseReads(true)),
        beside(Step::Reopen),
        ROUND,
        world(Step::BeginCopy),
        // The more files that has, the longer this one cannot be read.
        beside(Step::BeginCopy),
        beside(Step::BeginCopy),
        world(Step::Compress(1)),
    ];
    check_in(Setting { is_tidy: true, stuck: Some(0), ..Setting::new(Format::Cri, 2) }, &steps);
}

#[test]
fn a_copy_that_lacks_what_was_read_is_known_if_no_agent_ran_when_its_original_was_cut() {
    for begin in [vec![line()], kib()] {
        let steps = [
            world(Step::BeginCopy),
            ROUND,
            world(Step::EndCopy),
            ROUND,
            line(),
            ROUND,
            NodeStep::Settle(9),
            NodeStep::Kill(0),
            world(Step::FinishRotation),
            line(),
            ROUND,
        ];
        check(&[begin, vec![ROUND, ROUND], steps.to_vec(), stored().to_vec()].concat());
    }
}

/// Short reads left few bytes known of it. Who took the copy in the place of what was cut forgot what stood beside that.
#[test]
fn a_copy_beside_its_compressed_form_is_known_in_that_however_little_is_known_of_it() {
    let begin = [line_of(2), line_of(39), world(Step::BeginCopy), ROUND, line()];
    // The look that shows it compressed is the next life's first; or the cut is noticed with it.
    let ends = [
        (Step::BeginCopy, Step::Compress(1), NodeStep::Kill(0)),
        (Step::FinishRotation, Step::Compress(0), NodeStep::Hear(0)),
    ];
    for (cut, compress, next) in ends {
        let short = world(Step::ShortenReads(Some(8)));
        let steps = [world(cut), short, world(compress), next, ROUND, line()];
        check(&[&begin[..], &steps].concat());
    }
}

/// What the next life cannot tell from a file that an earlier one was done with; the check knows it.
#[test]
fn what_was_compressed_before_anybody_looked_counts_as_read_after_a_death() {
    let steps = [
        line(),
        NodeStep::Round([Stage::Reader, Stage::Discovery, Stage::Tracker, Stage::Shipper]),
        world(Step::BeginCopy),
        world(Step::FinishRotation),
        world(Step::Compress(0)),
        line(),
        NodeStep::Tick(Stage::Reader, 1),
        NodeStep::Tick(Stage::Shipper, 1),
        NodeStep::Kill(0),
    ];
    check(&steps);
}
