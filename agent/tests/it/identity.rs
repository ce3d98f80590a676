//! What is the same file, and what only looks like it: rows A5 and A6.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::kit::{Agent, Bed, Mount, append, body, files, queue_sink, wait_until};

/// A first KiB, and more, that all files share.
fn same_head() -> String {
    (0..128).map(|number| format!("banner line {number:03} that is the same\n")).collect()
}

/// Removes the file and makes others until one has its inode number; it begins with `text`.
fn reuse_inode(path: &Path, text: &[u8]) {
    let inode = fs::metadata(path).unwrap().ino();
    let others = path.with_extension("others");
    fs::create_dir(&others).unwrap();
    fs::remove_file(path).unwrap();
    for number in 0..1000 {
        append(path, text);
        if fs::metadata(path).unwrap().ino() == inode {
            return fs::remove_dir_all(others).unwrap();
        }
        fs::rename(path, others.join(number.to_string())).unwrap();
    }
    panic!("the inode number {inode} did not come back");
}

#[test]
fn a5_a_reused_inode_number_is_another_file_to_the_next_agent() {
    let bed = Bed::new();
    let disk = Mount::ext4(bed.path("logs"));
    bed.configure_files();
    let path = disk.path().join("app.log");
    append(&path, format!("{}old\n", same_head()).as_bytes());
    let lines = same_head().lines().count() + 1;
    let agent = Agent::start(&bed);
    bed.wait_for_records(lines);
    agent.stop();
    // It begins with all that the old one held: only its time of birth tells that it is another.
    reuse_inode(&path, format!("{}old\nnew\n", same_head()).as_bytes());
    let agent = Agent::start(&bed);
    let records = bed.wait_for_records(2 * lines + 1);
    assert_eq!(body(&records[2 * lines]), "new");
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn a5_a_reused_inode_number_is_another_file_to_a_running_agent() {
    let bed = Bed::new();
    let disk = Mount::ext4(bed.path("logs"));
    let config = files("files", "*.log", "  rotation: {lateWrites: 0ms}\n");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &config]);
    let path = disk.path().join("app.log");
    append(&path, format!("{}old\n", same_head()).as_bytes());
    let lines = same_head().lines().count() + 1;
    let agent = Agent::start(&bed);
    for round in 2..6 {
        bed.wait_for_records(lines * (round - 1));
        let inode = fs::metadata(&path).unwrap().ino();
        fs::remove_file(&path).unwrap();
        // An inode is not free before the agent lets go of it.
        wait_until("let go", || agent.metric("logferry_open_files"), |it| *it == 0.0);
        append(&path, format!("{}new\n", same_head()).as_bytes());
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode, "ext4 takes the lowest that is free");
        bed.wait_for_records(lines * round);
    }
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn a6_a_thousand_files_with_equal_heads_are_told_apart() {
    const FILES: usize = 1000;
    let bed = Bed::new();
    bed.configure_files();
    let head = "x".repeat(4096);
    for number in 0..FILES {
        append(&bed.log(format!("{number}.log")), format!("{head}\nfile {number}\n").as_bytes());
    }
    let agent = Agent::start(&bed);
    let number_of = |body: String| body.strip_prefix("file ").map(|it| it.parse().unwrap());
    let numbers = || bed.bodies().into_iter().filter_map(number_of).collect::<Vec<usize>>();
    let mut first = wait_until("each file", numbers, |it| it.len() >= FILES);
    first.sort_unstable();
    assert_eq!(first, (0..FILES).collect::<Vec<_>>());
    // Each is known again after a restart, and after half of them changed places.
    agent.stop();
    for number in 0..FILES / 2 {
        let (from, to) = (bed.log(format!("{number}.log")), bed.log(format!("{number}.log.1")));
        fs::rename(&from, to).unwrap();
        append(&from, format!("{head}\nfile {}\n", number + FILES).as_bytes());
    }
    let agent = Agent::start(&bed);
    let mut all = wait_until("each new file", numbers, |it| it.len() >= FILES + FILES / 2);
    all.sort_unstable();
    assert_eq!(all, (0..FILES + FILES / 2).collect::<Vec<_>>());
    assert_eq!(bed.records().len(), 2 * all.len(), "heads come once each, too");
    agent.stop();
    bed.assert_audit_clean();
}

/// The next one was taken for its copy, and went on behind what both begin with.
#[test]
fn a6_a_file_that_begins_as_a_short_one_that_is_gone_is_read_from_its_beginning() {
    let bed = Bed::new();
    bed.configure_files();
    let (live, rotated) = (bed.log("app.log"), bed.log("app.log.1"));
    append(&live, b"started\n");
    let agent = Agent::start(&bed);
    bed.wait_for_records(1);
    agent.stop();
    // Two rotations, of which one is kept.
    append(&rotated, b"started\nstopped\n");
    fs::remove_file(&live).unwrap();
    append(&live, b"started\n");
    let agent = Agent::start(&bed);
    let records = bed.wait_for_records(4);
    let bodies: Vec<String> = records[1..].iter().map(body).collect();
    assert_eq!(bodies, ["started", "stopped", "started"]);
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn a6_files_of_one_byte_are_read_and_told_apart() {
    const FILES: usize = 100;
    let bed = Bed::new();
    bed.configure_files();
    let path = |number| bed.log(format!("{number}.log"));
    (0..FILES).for_each(|number| append(&path(number), b"x"));
    let agent = Agent::start(&bed);
    let records = bed.wait_for_records(FILES);
    assert!(records.iter().all(|it| body(it) == "x"));
    // They grow, and are what they were.
    (0..FILES).for_each(|number| append(&path(number), format!("{number}\n").as_bytes()));
    let records = bed.wait_for_records(2 * FILES);
    let mut grown: Vec<usize> =
        records[FILES..].iter().map(|it| body(it).parse().unwrap()).collect();
    grown.sort_unstable();
    assert_eq!(grown, (0..FILES).collect::<Vec<_>>());
    // One byte each that are another file's.
    agent.stop();
    fs::rename(path(0), bed.log("0.log.1")).unwrap();
    append(&path(0), b"x");
    let agent = Agent::start(&bed);
    let records = bed.wait_for_records(2 * FILES + 1);
    assert_eq!(body(&records[2 * FILES]), "x");
    agent.stop();
    bed.assert_audit_clean();
}
