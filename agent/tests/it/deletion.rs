//! Files that are removed or cut while they are read.

use std::fs::{self, OpenOptions};
use std::io::Write;

use crate::kit::{Agent, Bed, append, body, files, queue_sink, wait_until};

#[test]
fn a_file_removed_while_its_writer_has_it_open_is_read_to_the_end() {
    let bed = Bed::new();
    let config = files("files", "*.log", "  rotation: {lateWrites: 3s}\n");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &config]);
    let path = bed.log("app.log");
    let mut file = OpenOptions::new().append(true).create_new(true).open(&path).unwrap();
    file.write_all(b"one\n").unwrap();
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["one"]);
    fs::remove_file(&path).unwrap();
    file.write_all(b"two\nthree\n").unwrap();
    bed.wait_for_bodies(&["one", "two", "three"]);
    // Once nothing more can come, it is let go.
    wait_until("no source any more", || agent.metric("logferry_sources"), |it| *it == 0.0);
    wait_until("no file open", || agent.metric("logferry_open_files"), |it| *it == 0.0);
    agent.stop();
}

#[test]
fn a_file_made_anew_under_the_name_of_a_removed_one_is_read_from_its_beginning() {
    let bed = Bed::new();
    bed.configure_files();
    let path = bed.log("app.log");
    append(&path, b"old one\nold two\n");
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["old one", "old two"]);
    fs::remove_file(&path).unwrap();
    append(&path, b"new\n");
    bed.wait_for_bodies(&["old one", "old two", "new"]);
    agent.stop();
}

#[test]
fn a_truncated_file_is_read_again_from_its_beginning() {
    let bed = Bed::new();
    bed.configure_files();
    let path = bed.log("app.log");
    append(&path, b"one\ntwo\n");
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["one", "two"]);
    // As `copytruncate` does.
    fs::copy(&path, bed.path("elsewhere")).unwrap();
    OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
    append(&path, b"three\n");
    bed.wait_for_bodies(&["one", "two", "three"]);
    let records = bed.records();
    let cursors: Vec<u64> = records.iter().map(|it| it["log.cursor"].as_u64().unwrap()).collect();
    assert_eq!(cursors, [0, 4, 8], "no gap: everything had been read");
    agent.stop();
}

#[test]
fn unread_bytes_that_were_cut_off_are_declared_as_a_gap() {
    let bed = Bed::new();
    let config = files("files", "*.log", "  line: {flushTimeout: 5m}\n");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &config]);
    let path = bed.log("app.log");
    append(&path, b"one\nunfinished");
    let agent = Agent::start(&bed);
    bed.wait_for_bodies(&["one"]);
    OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
    let records = bed.wait_for_records(2);
    assert_eq!(records[1]["log.gap.reason"], "truncated");
    assert_eq!(records[1]["log.gap.bytes"], "unfinished".len());
    append(&path, b"anew\n");
    let records = bed.wait_for_records(3);
    assert_eq!(body(&records[2]), "anew");
    assert_eq!(records[2]["log.cursor"], "one\nunfinished".len());
    wait_until(
        "the gap counted",
        || agent.metric("logferry_gap_bytes_total"),
        |it| *it == "unfinished".len() as f64,
    );
    agent.stop();
}
