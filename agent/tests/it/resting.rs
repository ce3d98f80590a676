//! Resting: sources in which nothing happens keep their place only, and wake for whatever happens.

use std::collections::BTreeSet;
use std::fs;

use crate::kit::{Agent, Bed, Run, append, body, files, queue_sink, wait_until};

const FILES: usize = 60;
const OPEN_FILES_MAX: usize = 16;

fn log(bed: &Bed, number: usize) -> std::path::PathBuf {
    bed.log(format!("{number:02}.log"))
}

/// An agent that has read a line of each file and lets most of them rest.
fn start(bed: &Bed) -> Agent {
    let fields = format!("  openFilesMax: {OPEN_FILES_MAX}\n");
    bed.configure(&[&bed.agent(&fields), &queue_sink(""), &files("files", "*.log", "")]);
    for number in 0..FILES {
        append(&log(bed, number), format!("first {number}\n").as_bytes());
    }
    let agent = Agent::start(bed);
    bed.wait_for_records(FILES);
    wait_until(
        "at rest",
        || agent.metric("logferry_resting_sources"),
        |it| *it >= (FILES - OPEN_FILES_MAX) as f64,
    );
    agent
}

fn sources(agent: &Agent) -> f64 {
    agent.metrics().sum("logferry_sources").unwrap_or(0.0)
}

#[test]
fn a12_files_at_rest_are_read_on_and_rotated_and_removed_as_others_are() {
    let bed = Bed::new();
    let agent = start(&bed);
    for number in 0..FILES {
        let live = log(&bed, number);
        match number % 3 {
            0 => append(&live, format!("second {number}\n").as_bytes()),
            1 => {
                let rotated = bed.log(format!("{number:02}.log.1"));
                append(&live, format!("second {number}\n").as_bytes());
                fs::rename(&live, &rotated).unwrap();
                append(&live, format!("third {number}\n").as_bytes());
            }
            _ => fs::remove_file(&live).unwrap(),
        }
    }
    let records = bed.wait_for_records(FILES * 2);
    let bodies: BTreeSet<String> = records.iter().map(body).collect();
    assert_eq!(bodies.len(), FILES * 2, "each line once");
    wait_until("removed ones end", || sources(&agent), |it| *it == (FILES * 2 / 3) as f64);
    agent.kill();

    let agent = Agent::start(&bed);
    append(&log(&bed, 0), b"last 0\n");
    bed.wait_for_records(FILES * 2 + 1);
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn a12_a_file_at_rest_is_explained_as_others_are() {
    let bed = Bed::new();
    let agent = start(&bed);
    let config = bed.config();
    for number in 0..FILES {
        let path = log(&bed, number);
        let size = fs::metadata(&path).unwrap().len();
        let run = Run::of(&["explain", "--file", config.to_str().unwrap(), path.to_str().unwrap()]);
        let says = format!("{}: read to {size} of {size}, 0 unread", path.display());
        assert!(run.stdout.contains(&says), "{run:?}");
    }
    assert_eq!(sources(&agent), FILES as f64);
    agent.stop();
}
