//! What was given back comes back from the queue when somebody reads it: to the byte, or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use rustix::fs::Advice;
use rustix::process::{Pid, Signal, kill_process};

use super::MODES;
use super::agent::{self, Agent};
use crate::kit::{Volume, limited, wait_until};

/// More than the budget, so that most of it must have been given back.
const FILE_BYTES: usize = 20 << 20;
/// `EIO` (errno(3), all Linux architectures).
const EIO: i32 = 5;

/// Numbered lines of many lengths, some of which are no text.
fn lines(bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 300);
    let mut number = 0_u64;
    while text.len() < bytes {
        let len = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56;
        let filling = if number.is_multiple_of(1000) { 0xFF } else { b'a' + (number % 26) as u8 };
        text.extend_from_slice(format!("{number:08} ").as_bytes());
        text.resize(text.len() + usize::try_from(len).expect("small"), filling);
        text.push(b'\n');
        number += 1;
    }
    text
}

fn append(path: &Path, text: &[u8]) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("opened");
    for piece in text.chunks(60_000) {
        file.write_all(piece).expect("never fails");
    }
    file.sync_all().expect("as it must");
}

/// A volume with a file of that size, of which nearly all was given back.
fn given_back(options: &[&str], sink: Option<&str>) -> (Volume, Agent, Vec<u8>) {
    let common = ["--size", "32M", "--agent-state", "{dir}/state", "--keep", "64K"];
    let volume = Volume::mount(&[&common, options].concat());
    let agent = match sink {
        None => agent::start(&volume),
        Some(sink) => agent::start_with(volume.scratch(), "store/logs/**/*.log", sink),
    };
    let text = lines(FILE_BYTES);
    append(&volume.target().join("app.log"), &text);
    let enough = (FILE_BYTES - (1 << 20)) as u64;
    wait_given_back(&volume, enough);
    (volume, agent, text)
}

/// The same without its agent, which readers wait for as long as they like.
fn without_agent(mode: &[&str]) -> Volume {
    let (volume, agent, _) = given_back(&[mode, &["--recall-seconds", "3600"]].concat(), None);
    drop(agent);
    open_cold(&volume);
    volume
}

fn wait_given_back(volume: &Volume, bytes: u64) {
    let name = "logdisk_released_bytes_total ";
    wait_until("given back", || volume.metric(name), |it| *it >= bytes);
}

/// The file, with nothing of it in the page cache.
fn open_cold(volume: &Volume) -> File {
    let file = File::open(volume.target().join("app.log")).expect("opened");
    rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).expect("as it must");
    file
}

fn read_all(volume: &Volume) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_cold(volume).read_to_end(&mut bytes).map(|_| bytes)
}

fn assert_same(read: &[u8], written: &[u8], what: &str) {
    let other = read.iter().zip(written).position(|(one, other)| one != other);
    assert!(
        read == written,
        "{what}: {} of {} bytes, from {other:?} on",
        read.len(),
        written.len()
    );
}

fn assert_eio<T: std::fmt::Debug>(read: std::io::Result<T>) {
    assert_eq!(read.expect_err("nobody knows it").raw_os_error(), Some(EIO));
}

#[test]
fn a_file_that_was_given_back_reads_as_it_was_written() {
    limited(400, || {
        for mode in MODES {
            let (volume, agent, text) = given_back(mode, None);
            assert_same(&read_all(&volume).expect("all of it"), &text, mode[1]);
            // Told once a second; none of it is from the page cache.
            let recalled = wait_until(
                "read from the queue",
                || volume.metric("logdisk_recalled_bytes_total "),
                |it| *it >= (FILE_BYTES - (1 << 20)) as u64,
            );
            println!("{mode:?}: {} bytes read, {recalled} of them from the queue", text.len());
            let file = open_cold(&volume);
            let mut dice = 1_usize;
            for _ in 0..50 {
                dice = dice
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let (at, len) = ((dice >> 20) % text.len(), 1 + (dice >> 8) % 5000);
                let wanted = &text[at..text.len().min(at + len)];
                let mut piece = vec![0; wanted.len()];
                file.read_exact_at(&mut piece, at as u64).expect("all of it");
                assert_same(&piece, wanted, &format!("{mode:?}: {at}"));
            }
            open_cold(&volume);
            let path = volume.target().join("app.log");
            let grep = Command::new("grep").args(["-a", "-n", "^00012345 "]).arg(&path).output();
            let grep = grep.expect("as it must");
            assert!(grep.stdout.starts_with(b"12346:00012345 "), "{grep:?}");
            let tail = Command::new("tail").args(["-c", "9000000"]).arg(&path).output();
            assert_same(&tail.expect("as it must").stdout, &text[text.len() - 9_000_000..], "tail");
            assert_eq!(volume.metric("logdisk_failed_recalls_total "), 0, "{}", volume.log());
            drop(agent);
        }
    });
}

#[test]
fn a_file_reads_as_it_was_written_while_it_grows_and_daemons_are_killed() {
    limited(300, || {
        let (volume, agent, mut text) = given_back(&["--mode", "writeback"], None);
        let is_over = AtomicBool::new(false);
        let more = lines(FILE_BYTES);
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let path = volume.target().join("app.log");
                let mut written = 0;
                for piece in more.chunks(100_000) {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    append(&path, piece);
                    written += piece.len();
                }
                written
            });
            for _ in 0..3 {
                let daemon = volume.daemon().expect("runs");
                kill_process(daemon, Signal::KILL).expect("runs");
                volume.wait_for_other(daemon);
                let read = read_all(&volume).expect("all of it");
                assert_same(&read[..text.len()], &text, "what was there before");
                assert_same(&read[text.len()..], &more[..read.len() - text.len()], "what came");
            }
            is_over.store(true, Ordering::Relaxed);
            let written = writer.join().expect("no write failed");
            text.extend_from_slice(&more[..written]);
        });
        assert_same(&read_all(&volume).expect("all of it"), &text, "at the end");
        drop(agent);
    });
}

#[test]
fn without_the_agent_a_read_fails_in_time_and_holds_up_nobody() {
    limited(300, || {
        for mode in MODES {
            let (volume, agent, mut text) =
                given_back(&[mode, &["--recall-seconds", "3"]].concat(), None);
            drop(agent);
            let path = volume.target().join("app.log");
            let (sender, done) = sync_channel(1);
            thread::scope(|scope| {
                scope.spawn(|| {
                    assert_eio(read_all(&volume));
                    sender.send(()).expect("is waited for");
                });
                // While it waits, or later: nobody else waits for that.
                let mut lines = 0;
                while done.recv_timeout(Duration::from_millis(50)).is_err() {
                    let line = format!("while others wait {lines}\n");
                    append(&path, line.as_bytes());
                    text.extend_from_slice(line.as_bytes());
                    let file = File::open(&path).expect("opened");
                    let mut last = vec![0; line.len()];
                    file.read_exact_at(&mut last, (text.len() - line.len()) as u64)
                        .expect("it is in memory");
                    assert_eq!(last, line.as_bytes());
                    lines += 1;
                }
                println!("{mode:?}: {lines} lines while a reader waited");
                assert!(lines > 1, "the reader did not wait, or held up all others");
            });
            let log = volume.log();
            assert!(
                log.contains("cannot be read back") && log.contains("does the agent run?"),
                "{log}"
            );
            let agent = agent::start(&volume);
            wait_until("read again", || read_all(&volume).ok(), Option::is_some);
            assert_same(&read_all(&volume).expect("all of it"), &text, mode[1]);
            drop(agent);
        }
    });
}

#[test]
fn a_reader_that_is_killed_does_not_wait() {
    limited(200, || {
        for mode in MODES {
            let volume = without_agent(mode);
            for signal in [Signal::KILL, Signal::INT] {
                // Whoever runs tests in the background of a shell ignores SIGINT, and so do all that it starts.
                let mut command = Command::new("env");
                command.arg("--default-signal=INT").arg("cat");
                command.arg(volume.target().join("app.log"));
                let mut reader = test_kit::start(&command, Stdio::null(), Stdio::null())
                    .expect("can be started");
                let waits = format!("/proc/{}/syscall", reader.id());
                wait_until(
                    "a reader that waits",
                    || fs::read_to_string(&waits).unwrap_or_default(),
                    // It is in `read`, or `splice` or `copy_file_range`.
                    |it| !it.is_empty() && !it.starts_with("running"),
                );
                thread::sleep(Duration::from_millis(500));
                assert_eq!(reader.try_wait().expect("ours"), None, "it read what nobody has");
                kill_process(Pid::from_child(&reader), signal).expect("runs");
                wait_until("its end", || reader.try_wait().expect("ours"), Option::is_some);
            }
        }
    });
}

/// What the page cache reads ahead and what it writes are among the same few requests.
#[test]
fn however_many_wait_for_what_nobody_has_writers_do_not() {
    limited(200, || {
        for mode in MODES {
            let volume = without_agent(mode);
            let path = volume.target().join("app.log");
            let mut readers: Vec<_> = (1..=40)
                .map(|at| {
                    let mut command = Command::new("tail");
                    command.arg("-c").arg(format!("-{}", at * 400_000)).arg(&path);
                    test_kit::start(&command, Stdio::null(), Stdio::null()).expect("started")
                })
                .collect();
            let refused = || volume.metric("logdisk_failed_recalls_total ");
            wait_until("too many", refused, |it| *it > 0);
            // It returns when all of it is in the store.
            append(&path, &lines(1 << 20));
            for reader in &mut readers {
                drop(reader.kill());
            }
            for reader in &mut readers {
                wait_until("its end", || reader.try_wait().expect("ours"), Option::is_some);
            }
        }
    });
}

#[test]
fn what_the_queue_no_longer_holds_is_an_error_that_says_so() {
    limited(200, || {
        // Each line makes the queue longer than it may be.
        let sink = "queue: {path: '{dir}/queue', segmentBytes: 1MiB, retention: {bytes: 2MiB}}, compression: {codec: none}";
        let (volume, agent, text) = given_back(&[], Some(sink));
        let file = open_cold(&volume);
        assert_eio(file.read_at(&mut [0; 100], 1 << 20));
        let log = volume.log();
        assert!(log.contains("byte 1048576: the queue does not hold it, or no longer"), "{log}");
        assert!(volume.metric("logdisk_failed_recalls_total ") > 0 || !log.is_empty());
        // What is still there, comes.
        let mut piece = [0; 100];
        let near_the_end = text.len() - (300 << 10);
        file.read_exact_at(&mut piece, near_the_end as u64).expect("it is held");
        assert_same(&piece, &text[near_the_end..near_the_end + 100], "what is held");
        let size = fs::metadata(volume.target().join("app.log")).expect("there").len();
        assert_eq!(size, text.len() as u64, "its length is what it was");
        drop(agent);
    });
}

#[test]
fn what_was_let_go_undelivered_is_an_error_also_for_the_next_daemon() {
    limited(200, || {
        let options = ["--size", "8M", "--full", "drop_oldest", "--agent-state", "{dir}/state"];
        let volume = Volume::mount(&options);
        let text = lines(FILE_BYTES);
        append(&volume.target().join("app.log"), &text);
        let dropped =
            wait_until("let go", || volume.metric("logdisk_dropped_bytes_total "), |it| *it > 0);
        for round in 0..2 {
            let file = open_cold(&volume);
            assert_eio(file.read_at(&mut [0; 100], 1 << 20));
            let mut last = [0; 1000];
            file.read_exact_at(&mut last, (text.len() - 1000) as u64).expect("it is in memory");
            assert_same(&last, &text[text.len() - 1000..], "what is kept");
            let daemon = volume.daemon().expect("runs");
            kill_process(daemon, Signal::KILL).expect("runs");
            volume.wait_for_other(daemon);
            println!("round {round}: {dropped} bytes were let go");
        }
        // The same once the agent has declared the gap, and all is given back.
        let agent = agent::start(&volume);
        wait_given_back(&volume, 64 << 10);
        assert_eio(open_cold(&volume).read_at(&mut [0; 100], 1 << 20));
        assert!(volume.log().contains("it was let go before it was delivered"), "{}", volume.log());
        drop(agent);
    });
}

#[test]
fn what_is_gone_of_a_copy_is_an_error_and_not_nul() {
    limited(100, || {
        let volume = Volume::mount(&["--mode", "strict", "--agent-state", "{dir}/state"]);
        let text = lines(4 << 20);
        append(&volume.target().join("app.log"), &text);
        fs::copy(volume.target().join("app.log"), volume.target().join("app.log.1")).expect("room");
        let copy = File::open(volume.target().join("app.log.1")).expect("opened");
        let mut piece = [0; 100];
        copy.read_exact_at(&mut piece, 0).expect("the first page is kept");
        assert_same(&piece, &text[..100], "the first page");
        copy.read_exact_at(&mut piece, (text.len() - 100) as u64).expect("the end is kept");
        assert_same(&piece, &text[text.len() - 100..], "the end");
        assert_eio(copy.read_at(&mut piece, 2 << 20));
        wait_until("it says why", || volume.log(), |it| it.contains("it is a copy"));
    });
}

#[test]
fn nothing_comes_back_where_nobody_wants_it() {
    limited(100, || {
        let (volume, agent, text) = given_back(&["--recall-seconds", "0"], None);
        let read = read_all(&volume).expect("as NUL");
        assert_eq!(read.len(), text.len());
        assert_eq!(read[..4096], text[..4096], "the first page");
        assert!(read[8192..16 << 20].iter().all(|it| *it == 0), "given back");
        drop(agent);
    });
}

#[test]
fn a_socket_that_is_no_agents_is_no_answer() {
    limited(200, || {
        let (volume, agent, _) = given_back(&["--recall-seconds", "2"], None);
        drop(agent);
        let socket = volume.scratch().join("state/recall.sock");
        drop(fs::remove_file(&socket));
        let listener = std::os::unix::net::UnixListener::bind(&socket).expect("free");
        listener.set_nonblocking(true).expect("as it must");
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    match listener.accept() {
                        Ok((mut connection, _)) => {
                            drop(connection.write_all(b"whatever this is, it is no answer"));
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            thread::sleep(Duration::from_millis(20));
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            });
            let read = (0..100).find_map(|_| {
                // What the page cache does not let go of is not asked for.
                let read = open_cold(&volume).read_at(&mut [0; 100], 1 << 20);
                thread::sleep(Duration::from_millis(20));
                read.is_err().then_some(read)
            });
            is_over.store(true, Ordering::Relaxed);
            assert_eio(read.expect("it is asked for in the end"));
        });
    });
}
