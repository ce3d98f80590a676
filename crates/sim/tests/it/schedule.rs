//! Schedules: random steps of writers, rotators, faults and the agent, and what must come of them.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use pipeline::frame::Format;
use sim::actor::Text;
use sim::bed::{FLUSH_NS, LATE_NS};
pub(crate) use sim::schedule::{Step, run};
use sim::{SourceBed, groups};

use crate::reader_bed::ReaderBed;

fn texts() -> impl Strategy<Value = Vec<Text>> {
    let len = prop_oneof![8 => 0..60u16, 1 => 150..700u16, 1 => 4000..9000u16];
    let text = (len, any::<bool>(), prop::bool::weighted(0.25))
        .prop_map(|(len, is_stderr, is_partial)| Text { len, is_stderr, is_partial });
    prop::collection::vec(text, 1..6)
}

fn cut() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0usize), 1 => 1..40usize]
}

/// What happens to files.
pub(crate) fn world_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (texts(), cut()).prop_map(|(texts, cut)| Step::Append(texts, cut)),
        3 => (texts(), cut()).prop_map(|(texts, cut)| Step::AppendLate(texts, cut)),
        1 => Just(Step::CloseLate),
        4 => Just(Step::Rotate),
        5 => Just(Step::Reopen),
        1 => Just(Step::RenameBack),
        2 => Just(Step::DeleteOldest),
        1 => Just(Step::Recreate),
        1 => Just(Step::Unlink),
        1 => Just(Step::Truncate),
        1 => any::<bool>().prop_map(Step::RefuseOpens),
        1 => any::<bool>().prop_map(Step::RefuseReads),
        1 => prop::option::of(1..200usize).prop_map(Step::ShortenReads),
    ]
}

/// What happens to files whose writers leave holes, and whose disk loses its power.
fn disk_step() -> impl Strategy<Value = Step> {
    let hole = prop_oneof![1..3000usize, 3000..20_000usize];
    // Who reads a file byte by byte knows nothing of it while these are NULs.
    let other = step().prop_map(|step| match step {
        Step::ShortenReads(_) => Step::Scan,
        step => step,
    });
    prop_oneof![
        20 => other,
        4 => (hole, texts()).prop_map(|(hole, texts)| Step::AppendBehind(hole, texts)),
        2 => Just(Step::Sync),
        1 => (0..200usize, any::<bool>())
            .prop_map(|(kept, is_zeroed)| Step::CutPower(kept, is_zeroed)),
    ]
}

/// What happens to files whose lines are taken together: short ones, written whole.
fn group_step() -> impl Strategy<Value = Step> {
    let whole = |texts: Vec<Text>| {
        texts.into_iter().map(|it| Text { is_partial: false, len: it.len % 60, ..it }).collect()
    };
    let pause = prop_oneof![1..groups::GROUP_NS / 2, Just(groups::GROUP_NS)];
    let other = step().prop_map(move |step| match step {
        Step::Append(texts, _) => Step::Append(whole(texts), 0),
        Step::AppendLate(texts, _) => Step::AppendLate(whole(texts), 0),
        Step::ShortenReads(_) => Step::Scan,
        step => step,
    });
    prop_oneof![10 => other, 1 => pause.prop_map(Step::Wait)]
}

/// What happens to files where nothing is ever lost: they are copied and cut, or renamed and linked, and
/// compressed.
pub(crate) fn rotator_step(format: Format, is_copied: bool) -> impl Strategy<Value = Step> {
    // A container line that was torn is none any more.
    let cut = move || cut().prop_map(move |cut| if format == Format::Plain { cut } else { 0 });
    // So is one that is longer than a chunk.
    let len_max = if format == Format::Plain { u16::MAX } else { 700 };
    let whole = move |texts: Vec<Text>| {
        texts.into_iter().map(move |it| Text { is_partial: false, len: it.len.min(len_max), ..it })
    };
    let lines = move || texts().prop_map(move |texts| whole(texts).collect::<Vec<Text>>());
    let rotate = if is_copied { Step::BeginCopy } else { Step::Rotate };
    let other = if is_copied { Step::FinishRotation } else { Step::BeginLink };
    prop_oneof![
        12 => (lines(), cut()).prop_map(|(texts, cut)| Step::Append(texts, cut)),
        3 => (lines(), cut()).prop_map(|(texts, cut)| Step::AppendLate(texts, cut)),
        2 => Just(Step::CloseLate),
        4 => Just(rotate),
        2 => Just(other),
        5 => Just(Step::Reopen),
        4 => (0..4usize).prop_map(Step::Compress),
        1 => any::<bool>().prop_map(Step::RefuseOpens),
        1 => any::<bool>().prop_map(Step::RefuseReads),
        1 => prop::option::of(1..200usize).prop_map(Step::ShortenReads),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let time = prop_oneof![1..FLUSH_NS / 2, Just(FLUSH_NS), Just(LATE_NS)];
    prop_oneof![
        34 => world_step(),
        8 => Just(Step::Scan),
        3 => Just(Step::Look),
        8 => (1..8usize).prop_map(Step::Work),
        1 => Just(Step::CloseIdle),
        4 => (1..4usize).prop_map(Step::Ship),
        1 => Just(Step::Store),
        1 => (0..4usize).prop_map(Step::Kill),
        3 => time.prop_map(Step::Wait),
    ]
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|it| it.parse().ok())
}

/// How many schedules, and which: `SIM_CASES` from the seed `SIM_SEED`.
pub(crate) fn config() -> ProptestConfig {
    ProptestConfig {
        cases: number("SIM_CASES").unwrap_or(400),
        rng_seed: RngSeed::Fixed(number("SIM_SEED").unwrap_or(1)),
        max_shrink_iters: number("SIM_SHRINK").unwrap_or(20_000),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn plain_lines_are_those_of_the_model(steps in prop::collection::vec(step(), 1..60)) {
        run(&mut SourceBed::new(Format::Plain), Format::Plain, &steps).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn container_lines_are_those_of_the_model(steps in prop::collection::vec(step(), 1..60)) {
        run(&mut SourceBed::new(Format::Cri), Format::Cri, &steps).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn plain_lines_are_taken_together_as_their_group_begins(
        steps in prop::collection::vec(group_step(), 1..60),
    ) {
        run(&mut SourceBed::grouping(Format::Plain), Format::Plain, &steps).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn a_reader_takes_container_lines_together_as_their_group_begins(
        steps in prop::collection::vec(group_step(), 1..60),
        open_files_max in 0..2u64,
    ) {
        let mut bed = ReaderBed::new(Format::Cri, open_files_max).grouping();
        run(&mut bed, Format::Cri, &steps).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn a_reader_delivers_plain_lines_as_the_model_does(
        steps in prop::collection::vec(step(), 1..60),
        open_files_max in 0..2u64,
    ) {
        run(&mut ReaderBed::new(Format::Plain, open_files_max), Format::Plain, &steps).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn a_reader_delivers_container_lines_as_the_model_does(
        steps in prop::collection::vec(step(), 1..60),
        open_files_max in 0..2u64,
    ) {
        run(&mut ReaderBed::new(Format::Cri, open_files_max), Format::Cri, &steps).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn plain_lines_are_those_of_the_model_over_holes_and_power_cuts(
        steps in prop::collection::vec(disk_step(), 1..60),
    ) {
        run(&mut SourceBed::new(Format::Plain), Format::Plain, &steps).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn a_reader_delivers_container_lines_over_holes_and_power_cuts(
        steps in prop::collection::vec(disk_step(), 1..60),
        open_files_max in 0..2u64,
    ) {
        run(&mut ReaderBed::new(Format::Cri, open_files_max), Format::Cri, &steps).map_err(TestCaseError::fail)?;
    }
}
