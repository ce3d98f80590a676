//! Bytes of files come back from the queue for whoever asks by generation and offsets, as a log disk does.

use std::fs;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use flow::{RecallAnswer, RecallQuestion, recall_socket};
use pipeline::fs::FileId;
use pipeline::source::generation_key;
use rustix::fs::{AtFlags, CWD, StatxFlags};

use crate::kit::{Agent, Bed, append, files, queue_sink, wait_for, wait_until};

/// What is asked for at once: as much as Linux reads ahead.
const PIECE_BYTES: u64 = 128 << 10;

/// What the agent calls a file that was never cut.
pub(crate) fn generation(path: &Path) -> u64 {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let is = rustix::fs::statx(CWD, path, AtFlags::empty(), wanted).expect("there");
    let birth_ns = is.stx_btime.tv_sec * 1_000_000_000 + i64::from(is.stx_btime.tv_nsec);
    generation_key(FileId { device: 0, inode: is.stx_ino, birth_ns }, 0)
}

pub(crate) fn ask(bed: &Bed, generation: u64, range: Range<u64>) -> RecallAnswer {
    let mut connection =
        UnixStream::connect(recall_socket(&bed.path("state"))).expect("it listens");
    RecallQuestion { generation, range }.write(&mut connection).expect("is heard");
    RecallAnswer::read(&mut connection).expect("is answered")
}

/// All of a file comes back, whichever parts of it are asked for.
#[track_caller]
pub(crate) fn assert_comes_back(bed: &Bed, generation: u64, file: &[u8]) {
    let whole = file.len() as u64;
    let pieces = (0..whole).step_by(128 << 10).map(|at| at..whole.min(at + PIECE_BYTES));
    let odd = [0..1, whole - 1..whole, whole / 2..whole / 2 + 1, whole / 3..whole / 3 + 5000];
    for range in pieces.chain(odd) {
        let range = range.start..range.end.min(whole);
        let wanted = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        match ask(bed, generation, range.clone()) {
            RecallAnswer::Bytes(bytes) => {
                assert!(bytes == file[wanted], "{range:?}: other bytes");
            }
            other => panic!("{range:?} of {whole}: {other:?}"),
        }
    }
}

/// Why the bytes do not come back.
#[track_caller]
pub(crate) fn assert_gone(bed: &Bed, generation: u64, range: Range<u64>, why: &str) {
    match ask(bed, generation, range) {
        RecallAnswer::Gone(said) if said.contains(why) => {}
        other => panic!("{why}: {other:?}"),
    }
}

pub(crate) fn numbered(lines: u32, end: &str) -> Vec<u8> {
    let line = |it| format!("{it:06} {}{end}", "x".repeat(it as usize % 300));
    (0..lines).map(line).collect::<String>().into_bytes()
}

fn wait_delivered(agent: &Agent) {
    let left = || agent.metric("logferry_lag_bytes") + agent.metric("logferry_in_flight_bytes");
    wait_until("all delivered", left, |it| *it == 0.0);
}

#[test]
fn bytes_of_all_generations_come_back_from_the_queue() {
    let bed = Bed::new();
    bed.configure_files();
    let agent = Agent::start(&bed);
    let (path, rotated) = (bed.log("app.log"), bed.log("app.log.1"));
    let (unix, windows) = (numbered(30_000, "\n"), numbered(9_000, "\r\n"));
    append(&path, &unix);
    let quiet = b"a line without an end";
    append(&bed.log("quiet.log"), quiet);
    bed.wait_for_records(30_000);
    fs::rename(&path, &rotated).expect("ours");
    append(&path, &windows);
    bed.wait_for_records(39_001);
    append(&bed.log("quiet.log"), b"\nand the next\n");
    bed.wait_for_records(39_002);
    wait_delivered(&agent);
    assert_comes_back(&bed, generation(&rotated), &unix);
    assert_comes_back(&bed, generation(&path), &windows);
    let quiet = [&quiet[..], b"\nand the next\n"].concat();
    assert_comes_back(&bed, generation(&bed.log("quiet.log")), &quiet);
    // More than there is, and of no file.
    let end = windows.len() as u64;
    assert_gone(&bed, generation(&path), end..end + 1, "the queue does not hold it");
    assert_gone(&bed, 7, 0..1, "the queue does not hold it");
    // The next agent knows as much.
    agent.stop();
    let agent = Agent::start(&bed);
    assert_comes_back(&bed, generation(&rotated), &unix);
    agent.stop();
    assert!(!recall_socket(&bed.path("state")).try_exists().unwrap(), "nobody listens");
}

#[test]
fn what_is_not_in_the_queue_as_it_stood_in_the_file_does_not_come_back() {
    let bed = Bed::new();
    let sampled = files("sampled", "sampled.log", "  sampling: {oneIn: 3}\n");
    let plain = files("plain", "plain.log", "");
    bed.configure(&[&bed.agent(""), &queue_sink(""), &sampled, &plain]);
    let agent = Agent::start(&bed);
    let text = numbered(1000, "\n");
    append(&bed.log("sampled.log"), &text);
    append(&bed.log("plain.log"), &text);
    wait_for("delivered", || {
        let end = text.len() as u64;
        match ask(&bed, generation(&bed.log("plain.log")), end - 1..end) {
            RecallAnswer::Bytes(_) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    wait_delivered(&agent);
    assert_comes_back(&bed, generation(&bed.log("plain.log")), &text);
    assert_gone(&bed, generation(&bed.log("sampled.log")), 0..1000, "records were left out");
    agent.stop();
}

#[test]
fn nobody_else_may_ask_and_nonsense_stops_nothing() {
    let bed = Bed::new();
    bed.configure_files();
    let agent = Agent::start(&bed);
    let text = numbered(100, "\n");
    append(&bed.log("app.log"), &text);
    bed.wait_for_records(100);
    wait_delivered(&agent);
    let socket = recall_socket(&bed.path("state"));
    let mode = fs::metadata(&socket).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let connect = || UnixStream::connect(&socket).expect("it listens");
    connect().write_all(&[0xFF; 100]).expect("taken");
    connect().write_all(b"half").expect("taken");
    // Who says nothing is not waited for.
    let silent = connect();
    let hung_up = connect();
    RecallQuestion { generation: 7, range: 0..1 }.write(&mut &hung_up).expect("taken");
    drop(hung_up);
    assert_comes_back(&bed, generation(&bed.log("app.log")), &text);
    drop(silent);
    agent.stop();
}

#[test]
fn a_reload_changes_where_is_looked() {
    let bed = Bed::new();
    bed.configure(&[&bed.agent(""), &queue_sink(""), &files("files", "*.log", "")]);
    let agent = Agent::start(&bed);
    let text = numbered(1000, "\n");
    append(&bed.log("app.log"), &text);
    bed.wait_for_records(1000);
    let key = generation(&bed.log("app.log"));
    assert_comes_back(&bed, key, &text);
    let other = queue_sink("").replace("queue'", "other'");
    assert_ne!(other, queue_sink(""));
    bed.configure(&[&bed.agent(""), &other, &files("files", "*.log", "")]);
    agent.signal(rustix::process::Signal::HUP);
    agent.wait_said("configuration in force");
    assert_gone(&bed, key, 0..100, "the queue does not hold it");
    append(&bed.log("new.log"), &text);
    wait_for("delivered", || {
        let end = text.len() as u64;
        match ask(&bed, generation(&bed.log("new.log")), end - 1..end) {
            RecallAnswer::Bytes(_) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert_comes_back(&bed, generation(&bed.log("new.log")), &text);
    agent.stop();
}
