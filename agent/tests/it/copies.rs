//! Rotators that copy, cut and compress: what is left is read from where it is now.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::kit::{Agent, Bed, append, sleep_ms, wait_until};

fn lines(from: u32, to: u32) -> Vec<u8> {
    (from..to).flat_map(|it| format!("line {it:08}\n").into_bytes()).collect()
}

fn bodies(from: u32, to: u32) -> Vec<String> {
    (from..to).map(|it| format!("line {it:08}")).collect()
}

/// As rotators do: under a temporary name, then under its own, then the original goes.
fn compress(path: &Path) {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&fs::read(path).unwrap()).unwrap();
    let with = |end: &str| PathBuf::from(format!("{}{end}", path.display()));
    fs::write(with(".tmp"), encoder.finish().unwrap()).unwrap();
    fs::rename(with(".tmp"), with(".gz")).unwrap();
    fs::remove_file(path).unwrap();
}

#[test]
fn a3_a_half_read_generation_goes_on_inside_its_gz_after_kill_nine() {
    let bed = Bed::new();
    bed.configure_files();
    append(&bed.log("app.log"), &lines(0, 1000));
    let agent = Agent::start(&bed);
    bed.wait_for_records(1000);
    agent.kill();
    append(&bed.log("app.log"), &lines(1000, 30_000));
    fs::rename(bed.log("app.log"), bed.log("app.log.1")).unwrap();
    append(&bed.log("app.log"), &lines(30_000, 31_000));
    compress(&bed.log("app.log.1"));
    fs::rename(bed.log("app.log.1.gz"), bed.log("app.log.2.gz")).unwrap();
    fs::rename(bed.log("app.log"), bed.log("app.log.1")).unwrap();
    compress(&bed.log("app.log.1"));
    append(&bed.log("app.log"), &lines(31_000, 31_010));
    fs::write(bed.log("app.log.1.gz.tmp"), b"left over").unwrap();
    let agent = Agent::start(&bed);
    bed.wait_for_records(31_010);
    // What is compressed later was read before.
    fs::rename(bed.log("app.log.1.gz"), bed.log("app.log.3.gz")).unwrap();
    fs::rename(bed.log("app.log"), bed.log("app.log.1")).unwrap();
    compress(&bed.log("app.log.1"));
    append(&bed.log("app.log"), &lines(31_010, 31_020));
    bed.wait_for_records(31_020);
    agent.stop();
    let agent = Agent::start(&bed);
    sleep_ms(3000);
    agent.stop();
    assert!(bed.bodies() == bodies(0, 31_020), "each once, in order");
    bed.assert_audit_clean();
}

/// Writes numbered lines for a while, and copies and cuts the file again and again; returns how many.
fn copytruncate_under_load(log: &Path, copies: u32) -> u32 {
    let mut file = OpenOptions::new().append(true).create(true).open(log).unwrap();
    let (mut written, mut copied) = (0, 0);
    while copied < copies {
        file.write_all(&lines(written, written + 100)).unwrap();
        written += 100;
        if written.is_multiple_of(50_000) {
            let copy = log.with_extension(format!("log.{}", copies - copied));
            fs::copy(log, copy).unwrap();
            fs::OpenOptions::new().write(true).open(log).unwrap().set_len(0).unwrap();
            copied += 1;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    file.write_all(&lines(written, written + 10)).unwrap();
    written + 10
}

#[test]
fn a4_copytruncate_under_load_loses_and_doubles_nothing() {
    let bed = Bed::new();
    bed.configure_files();
    let agent = Agent::start(&bed);
    let written = copytruncate_under_load(&bed.log("app.log"), 6);
    let records = || agent.metric("logferry_delivered_records_total");
    wait_until("every line is in the queue", records, |it| *it >= f64::from(written));
    agent.stop();
    // The writer stands still between copy and cut, so everything can be read.
    let mut count: BTreeMap<String, u32> = BTreeMap::new();
    bed.bodies().into_iter().for_each(|it| *count.entry(it).or_default() += 1);
    assert!(count.values().all(|it| *it == 1), "something is doubled");
    assert!(count.keys().cloned().eq(bodies(0, written)), "something is lost");
    bed.assert_audit_clean();
}

/// The agent has looked at the copy, and is killed before the file is cut.
#[test]
fn a4_an_agent_that_is_killed_between_copying_and_cutting_does_not_read_the_copy_again() {
    let bed = Bed::new();
    bed.configure_files();
    let (log, copy) = (bed.log("app.log"), bed.log("app.log.1"));
    append(&log, &lines(0, 1000));
    let agent = Agent::start(&bed);
    bed.wait_for_records(1000);
    let scans = || agent.metric("logferry_scans_total");
    let before = scans();
    fs::copy(&log, &copy).unwrap();
    wait_until("a look shows the copy", scans, |it| *it > before);
    sleep_ms(500);
    append(&log, &lines(1000, 1010));
    bed.wait_for_records(1010);
    agent.kill();
    OpenOptions::new().write(true).open(&log).unwrap().set_len(0).unwrap();
    append(&log, &lines(1010, 1020));
    let agent = Agent::start(&bed);
    bed.wait_for_records(1020);
    sleep_ms(3000);
    agent.stop();
    assert!(bed.bodies() == bodies(0, 1020), "each once, in order");
    bed.assert_audit_clean();
}
