//! `fsync` that returns when the queue has the bytes.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Signal, kill_process};

use super::MODES;
use super::agent::{arrived, start};
use crate::kit::{Volume, limited, now_ms, wait_until};

fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).expect("opened")
}

/// Writes a line and syncs it, on a thread of its own.
fn sync(path: &Path, line: &str) -> JoinHandle<std::io::Result<()>> {
    let (mut file, line) = (append(path), format!("{line}\n"));
    thread::spawn(move || {
        file.write_all(line.as_bytes())?;
        file.sync_all()
    })
}

#[test]
fn an_fsync_returns_when_the_queue_has_the_line_whoever_is_killed_meanwhile() {
    limited(240, || {
        for mode in MODES {
            let options = ["--fsync", "ack", "--agent-state", "{dir}/state"];
            let volume = Volume::mount(&[mode, &options].concat());
            let path = volume.target().join("app.log");
            let mut agent = start(&volume);
            let mut took_ms = Vec::new();
            for number in 0..5 {
                let (line, begin_ms) = (format!("line {number}"), now_ms());
                sync(&path, &line).join().expect("as it must").expect("acknowledged");
                took_ms.push(now_ms() - begin_ms);
                assert_eq!(arrived(&volume).get(&line), Some(&1), "the queue has it by now");
            }
            println!("{mode:?}: fsync took {took_ms:?} ms");
            // Both are killed while somebody waits.
            drop(agent);
            let waits = sync(&path, "last");
            thread::sleep(Duration::from_millis(1500));
            assert!(!waits.is_finished(), "nobody has acknowledged it");
            let daemon = volume.daemon().expect("runs");
            kill_process(daemon, Signal::KILL).expect("runs");
            volume.wait_for_other(daemon);
            thread::sleep(Duration::from_millis(500));
            assert!(!waits.is_finished(), "nobody has acknowledged it");
            agent = start(&volume);
            waits.join().expect("as it must").expect("acknowledged");
            assert_eq!(arrived(&volume).get("last"), Some(&1));
            assert_eq!(arrived(&volume).len(), 6);
            drop(agent);
        }
    });
}

#[test]
fn an_fsync_that_nobody_acknowledges_fails_in_time_and_is_no_hang() {
    limited(120, || {
        for mode in MODES {
            let options =
                ["--fsync", "ack", "--fsync-seconds", "3", "--agent-state", "{dir}/state"];
            let volume = Volume::mount(&[mode, &options, &["--hang-seconds", "1"]].concat());
            let daemon = volume.daemon();
            let path = volume.target().join("app.log");
            let begin_ms = now_ms();
            let waits = sync(&path, "line");
            thread::sleep(Duration::from_millis(500));
            // Others are answered meanwhile.
            append(&volume.target().join("other.log")).write_all(b"other\n").expect("as it must");
            let error = waits.join().expect("as it must").expect_err("there is no agent");
            assert_eq!(error.raw_os_error(), Some(Errno::TIMEDOUT.raw_os_error()));
            assert!((3000..5000).contains(&(now_ms() - begin_ms)), "{} ms", now_ms() - begin_ms);
            wait_until("counted", || volume.metric("logdisk_late_syncs_total "), |it| *it == 1);
            assert_eq!(volume.daemon(), daemon, "{}", volume.log());
            // What nobody collects has nothing to wait for.
            let copy = volume.target().join("app.log.1");
            sync(&copy, "a copy").join().expect("as it must").expect("in the store");
        }
    });
}
