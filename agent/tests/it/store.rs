//! A damaged store: the agent and the reading commands say so, and everything else is whole.

use std::fs;
use std::path::PathBuf;

use benches::check::Verdict;
use benches::load::{Limits, LoadSpec};
use benches::truth::StreamTruth;

use crate::kit::{Agent, Bed, Run, files, load, queue_sink, wait_for, write};

/// Lines of one load; loads of other `first` numbers go to folders of their own.
fn lines(bed: &Bed, first: u32) -> LoadSpec {
    let spec = load(&bed.path(format!("logs/{first}")), 2);
    let limits = Limits { bytes: Some(3_000_000), ..Limits::default() };
    LoadSpec { first_stream: first, limits, ..spec }
}

/// Blocks that are not compressed, in small segments.
fn configure(bed: &Bed) {
    let sink = queue_sink(
        "    segmentBytes: 1MiB\n  compression: {codec: none}\n  batch: {bytes: 64KiB}\n",
    );
    bed.configure(&[&bed.agent(""), &sink, &files("files", "*/*.log", "")]);
}

/// Segment files, oldest first.
fn segments(bed: &Bed) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![bed.queue()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap() != "LOCK" {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Delivers a load and stops the agent, all of it in the checkpoint; returns what was written.
fn deliver(bed: &Bed, first: u32) -> Vec<StreamTruth> {
    deliver_load(bed, &lines(bed, first))
}

fn deliver_load(bed: &Bed, spec: &LoadSpec) -> Vec<StreamTruth> {
    let truth = write(spec);
    let mut agent = Agent::start(bed);
    bed.wait_for_truth(&mut agent, &truth);
    agent.stop();
    truth
}

fn flip(path: &PathBuf, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at(bytes.len());
    bytes[at..at + 16].iter_mut().for_each(|byte| *byte ^= 0x55);
    fs::write(path, bytes).unwrap();
}

/// Some lines of the damaged load may be lost with their block; nothing else is wrong.
fn assert_only_lost(verdict: &Verdict) {
    let wrong = verdict.doubled
        + verdict.corrupt
        + verdict.foreign
        + verdict.out_of_order
        + verdict.misattributed
        + verdict.cursors_back
        + verdict.unreadable;
    assert_eq!(wrong, 0, "{verdict}");
    assert!(verdict.arrived > verdict.lines / 2, "{verdict}");
}

/// Delivers more after the damage: the old lines may have holes, the new ones must be whole.
fn assert_goes_on(bed: &Bed, old: &[StreamTruth], reported: &str) {
    let new = write(&lines(bed, 100));
    let mut agent = Agent::start(bed);
    agent.wait_said(reported);
    let lines: u64 = new.iter().map(|it| it.lines).sum();
    let both = [old, &new].concat();
    let verdict = wait_for("the new lines", || {
        agent.assert_running();
        let verdict = bed.verdict(&both);
        let lost: u64 = verdict.faulty.iter().filter(|it| it.stream >= 100).map(|it| it.lost).sum();
        if lost == 0 { Ok(verdict) } else { Err(format!("{lost} of {lines} missing")) }
    });
    assert_only_lost(&verdict);
    agent.stop();
    let again = bed.verdict(&both);
    assert_eq!(again.arrived, verdict.arrived);
}

#[test]
fn flipped_bytes_inside_of_the_open_segment_are_reported_and_the_rest_is_whole() {
    let bed = Bed::new();
    configure(&bed);
    let truth = deliver(&bed, 0);
    let open = segments(&bed).pop().unwrap();
    flip(&open, |len| len / 2);
    let tail = bed.tail(&["--all"]);
    assert_eq!(tail.code, Some(0), "{}", tail.stderr);
    assert!(tail.stderr.contains(open.to_str().unwrap()), "{}", tail.stderr);
    assert_only_lost(&bed.verdict(&truth));
    assert_goes_on(&bed, &truth, "are damaged");
    assert_eq!(bed.audit().0, Some(1), "damage is no clean queue");
}

#[test]
fn flipped_bytes_inside_of_a_sealed_segment_are_reported_and_the_rest_is_whole() {
    let bed = Bed::new();
    configure(&bed);
    let truth = deliver(&bed, 0);
    let all = segments(&bed);
    assert!(all.len() > 2, "{all:?}");
    flip(&all[0], |len| len / 2);
    let tail = bed.tail(&["--all"]);
    assert_eq!(tail.code, Some(0), "{}", tail.stderr);
    assert!(tail.stderr.contains(all[0].to_str().unwrap()), "{}", tail.stderr);
    assert_only_lost(&bed.verdict(&truth));
    assert_goes_on(&bed, &truth, "");
    assert_eq!(bed.audit().0, Some(1), "damage is no clean queue");
}

#[test]
fn a_flipped_header_or_trailer_costs_no_records() {
    for at in [0, 12, usize::MAX] {
        let bed = Bed::new();
        configure(&bed);
        let truth = deliver(&bed, 0);
        let sealed = segments(&bed).swap_remove(0);
        flip(&sealed, |len| at.min(len - 16));
        let tail = bed.tail(&["--all"]);
        assert_eq!(tail.code, Some(0), "{}", tail.stderr);
        assert!(tail.stderr.contains(sealed.to_str().unwrap()), "{at}: {:?}", tail.stderr);
        let verdict = bed.verdict(&truth);
        assert!(verdict.ok, "flipped at {at}: {verdict}");
        assert_goes_on(&bed, &truth, "");
    }
}

#[test]
fn a_cut_tail_is_reported_and_the_rest_is_whole() {
    let bed = Bed::new();
    configure(&bed);
    let truth = deliver(&bed, 0);
    let open = segments(&bed).pop().unwrap();
    let bytes = fs::read(&open).unwrap();
    fs::write(&open, &bytes[..bytes.len() - 100]).unwrap();
    let tail = bed.tail(&["--all"]);
    assert_eq!(tail.code, Some(0), "{}", tail.stderr);
    assert_only_lost(&bed.verdict(&truth));
    assert_goes_on(&bed, &truth, "cut ");
}

#[test]
fn a_missing_segment_does_not_stop_anything() {
    let bed = Bed::new();
    configure(&bed);
    // One file, so that what is behind the missing segment is of the same context.
    let truth = deliver_load(&bed, &LoadSpec { files: 1, ..lines(&bed, 0) });
    fs::remove_file(&segments(&bed)[1]).unwrap();
    let tail = bed.tail(&["--all"]);
    assert_eq!(tail.code, Some(0), "{}", tail.stderr);
    assert_only_lost(&bed.verdict(&truth));
    assert_goes_on(&bed, &truth, "");
    let (code, report) = bed.audit();
    assert_eq!(code, Some(1), "{report:#}");
    let lost = report["tenants"]["default"]["totals"]["lost"].as_u64();
    assert!(lost > Some(0), "{report:#}");
}

#[test]
fn a_directory_that_is_no_queue_is_refused() {
    let bed = Bed::new();
    let nowhere = bed.path("nowhere");
    for command in ["tail", "audit"] {
        let run = Run::of(&[command, "--queue", nowhere.to_str().unwrap()]);
        assert_eq!(run.code, Some(3), "{command}: {run:?}");
        assert!(run.stderr.contains(nowhere.to_str().unwrap()), "{command}: {run:?}");
    }
}

#[test]
fn an_error_names_its_cause_once() {
    let run = Run::of(&["tail", "--queue", "/nonexistent"]);
    assert_eq!(run.stderr.matches("No such file or directory").count(), 1, "{run:?}");
}
