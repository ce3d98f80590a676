//! Files that open and give nothing but errors.

use std::fs;
use std::path::Path;

use crate::kit::{Agent, Bed, Mount, append, sleep_ms, wait_until};

/// A regular file of 4096 bytes, says the kernel, and each read of it fails: the loopback interface
/// has no speed.
const UNREADABLE: &str = "/sys/class/net/lo/speed";

#[test]
fn c12_a_file_that_gives_errors_holds_nobody_up_and_is_a_gap_once_its_name_is_gone() {
    assert!(fs::read(UNREADABLE).is_err(), "{UNREADABLE} can be read");
    let bed = Bed::new();
    bed.configure_files();
    append(&bed.log("app.log"), b"hidden\n");
    append(&bed.log("other.log"), b"one\n");
    let cover = Mount::cover(Path::new(UNREADABLE), bed.log("app.log"));
    let agent = Agent::start(&bed);
    agent.wait_said("cannot be read; trying again");
    append(&bed.log("other.log"), b"two\n");
    bed.wait_for_bodies(&["one", "two"]);
    sleep_ms(2_000);
    let tries = agent.metric("logferry_read_errors_total");
    assert!((2.0..100.0).contains(&tries), "{tries} tries in two seconds");
    assert_eq!(agent.metric("logferry_gap_bytes_total"), 0.0);

    drop(cover);
    let records = bed.wait_for_records(4);
    assert_eq!(records[2]["log.gap.reason"], "unreadable");
    assert_eq!(records[2]["log.gap.bytes"], 4096);
    assert_eq!(records[3]["body"], "hidden");
    let gaps = || agent.metric("logferry_gap_bytes_total");
    wait_until("the gap counted", gaps, |it| *it == 4096.0);
    agent.stop();
    bed.assert_audit_clean();
}
