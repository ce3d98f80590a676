//! Daemons and supervisors that are killed, stopped and told to end.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use logdisk::mounting::Connection;
use rustix::io::Errno;
use rustix::process::{Signal, kill_process};
use test_kit::assert_within;

use super::MODES;
use crate::kit::{Volume, limited, now_ms, wait_until};

/// Writes lines, renames its file from time to time, and makes and removes others, until told to stop; returns the lines
/// and the longest that one took.
fn write_until(folder: &Path, is_over: &Arc<AtomicBool>) -> JoinHandle<(Vec<String>, u64)> {
    let (path, other) = (folder.join("app.log"), folder.join("other"));
    let rotated = folder.join("app.log.1");
    let is_over = Arc::clone(is_over);
    thread::spawn(move || {
        let (mut lines, mut longest_ms) = (Vec::new(), 0);
        let open = || OpenOptions::new().create(true).append(true).open(&path).expect("opened");
        let mut file = open();
        while !is_over.load(Ordering::Acquire) {
            let begin_ms = now_ms();
            let line = format!("line {} of a writer that must not notice", lines.len());
            file.write_all(format!("{line}\n").as_bytes()).expect("never fails");
            lines.push(line);
            if lines.len().is_multiple_of(10) {
                fs::rename(&path, &rotated).expect("never fails");
                file = open();
            }
            if lines.len().is_multiple_of(7) {
                fs::create_dir(&other).expect("never fails");
                fs::remove_dir(&other).expect("never fails");
            }
            longest_ms = longest_ms.max(now_ms() - begin_ms);
            thread::sleep(Duration::from_micros(300));
        }
        (lines, longest_ms)
    })
}

#[test]
fn kill_nine_of_the_daemon_loses_no_line_and_fails_no_call() {
    limited(180, || {
        for mode in MODES {
            let volume = Volume::mount(mode);
            let is_over = Arc::new(AtomicBool::new(false));
            let writer = write_until(&volume.target(), &is_over);
            for _ in 0..12 {
                let daemon = volume.daemon().expect("runs");
                thread::sleep(Duration::from_millis(100));
                kill_process(daemon, Signal::KILL).expect("runs");
                volume.wait_for_other(daemon);
            }
            is_over.store(true, Ordering::Release);
            let (lines, longest_ms) = writer.join().expect("no call failed");
            println!("{mode:?}: {} lines, longest turn {longest_ms} ms", lines.len());
            volume.wait_for_lines(lines);
        }
    });
}

#[test]
fn a_daemon_that_hangs_is_replaced_and_no_call_fails() {
    limited(120, || {
        for mode in MODES {
            let volume = Volume::mount(&[mode, &["--hang-seconds", "1"]].concat());
            let is_over = Arc::new(AtomicBool::new(false));
            let writer = write_until(&volume.target(), &is_over);
            let daemon = volume.daemon().expect("runs");
            kill_process(daemon, Signal::STOP).expect("runs");
            volume.wait_for_other(daemon);
            is_over.store(true, Ordering::Release);
            let (lines, _) = writer.join().expect("no call failed");
            volume.wait_for_lines(lines);
        }
    });
}

#[test]
fn without_a_supervisor_calls_fail_at_once_and_the_next_one_takes_over_all_that_was_written() {
    limited(120, || {
        for mode in MODES {
            let mut volume = Volume::mount(mode);
            let path = volume.target().join("app.log");
            let mut file = File::create(&path).expect("as it must");
            writeln!(file, "one").expect("as it must");
            file.sync_all().expect("as it must");
            volume.kill();
            // Whoever waits for an answer in this moment is told another error.
            let begin_ms = now_ms();
            wait_until(
                "an error",
                || fs::metadata(&path).err().and_then(|it| it.raw_os_error()),
                |it| *it == Some(Errno::NOTCONN.raw_os_error()),
            );
            let took = Duration::from_millis(now_ms() - begin_ms);
            assert_within("an error", took, Duration::from_secs(5));
            drop(file);
            volume.mount_again();
            assert!(volume.log().contains("left behind"), "{}", volume.log());
            assert_eq!(fs::read_to_string(&path).expect("as it must"), "one\n");
            let mut file = OpenOptions::new().append(true).open(&path).expect("as it must");
            writeln!(file, "two").expect("as it must");
            drop(file);
            volume.wait_for_lines(vec!["one".to_owned(), "two".to_owned()]);
        }
    });
}

#[test]
fn what_was_synced_before_the_supervisor_was_killed_is_collected_after_it() {
    limited(300, || {
        for mode in MODES {
            let mut volume = Volume::mount(mode);
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let path = volume.target().join(format!("{writer}.log"));
                    let mut file =
                        OpenOptions::new().create(true).append(true).open(path).expect("opened");
                    thread::spawn(move || {
                        let mut synced = Vec::new();
                        for number in 0.. {
                            let line = format!("{writer} {number}");
                            let written = file.write_all(format!("{line}\n").as_bytes());
                            if written.and_then(|()| file.sync_all()).is_err() {
                                break;
                            }
                            synced.push(line);
                        }
                        synced
                    })
                })
                .collect();
            wait_until("lines", || volume.lines().len(), |it| *it > 400);
            volume.kill();
            let synced = writers.into_iter().flat_map(|it| it.join().expect("no panic"));
            let synced: Vec<String> = synced.collect();
            volume.mount_again();
            let lines = volume.lines();
            let lost: Vec<_> =
                synced.iter().filter(|it| lines.binary_search(it).is_err()).collect();
            assert!(lost.is_empty(), "{mode:?}: {} of {}: {lost:?}", lost.len(), synced.len());
        }
    });
}

#[test]
fn the_mount_ends_within_two_seconds_while_it_is_written_to() {
    limited(120, || {
        for mode in MODES {
            let mut volume = Volume::mount(mode);
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let path = volume.target().join(format!("{writer}.log"));
                    let mut file = File::create(path).expect("as it must");
                    thread::spawn(move || {
                        let line = [b'x'; 255];
                        loop {
                            // The page cache takes everything; only a sync tells that it goes nowhere.
                            let synced = file.write_all(&line).and_then(|()| file.sync_all());
                            if let Err(error) = synced {
                                return error.kind();
                            }
                        }
                    })
                })
                .collect();
            thread::sleep(Duration::from_millis(300));
            let (took, went_well) = volume.stop();
            assert!(went_well, "{}", volume.log());
            assert_within("the end", took, Duration::from_millis(2500));
            assert!(!volume.is_mounted());
            for writer in writers {
                let kind = writer.join().expect("as it must");
                assert_ne!(kind, ErrorKind::StorageFull, "they fail since the mount is gone");
            }
        }
    });
}

#[test]
fn a_second_logdisk_is_told_that_the_volume_is_in_use() {
    limited(120, || {
        let volume = Volume::mount(&[]);
        let other = volume.scratch().join("other");
        fs::create_dir(&other).expect("as it must");
        let mount = |target: &Path, store: &Path| {
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_logdisk"))
                .arg("mount")
                .arg(target)
                .arg("--store")
                .arg(store)
                .output()
                .expect("as it must");
            assert!(!output.status.success());
            String::from_utf8_lossy(&output.stderr).into_owned()
        };
        let said = mount(&other, &volume.store());
        assert!(said.contains("another logdisk has this volume"), "{said}");
        File::create(other.join("file")).expect("as it must");
        let store = volume.scratch().join("store-2");
        let said = mount(&other, &store);
        assert!(said.contains("it is not empty"), "{said}");
        rustix::mount::unmount(&store, rustix::mount::UnmountFlags::DETACH).expect("as it must");
    });
}

#[test]
fn a_connection_that_somebody_ended_ends_its_supervisor_and_takes_no_other_with_it() {
    limited(120, || {
        for mode in MODES {
            let mut volume = Volume::mount(mode);
            let connection = Connection::of(&volume.target()).expect("it is mounted");
            connection.abort().expect("root may");
            wait_until("nothing is mounted", || volume.is_mounted(), |it| !it);
            let ended = volume.wait();
            assert!(!ended.success(), "{}", volume.log());
            assert!(volume.log().contains("ended its connection"), "{}", volume.log());
            // Its number is free, and the next one's.
            let other = Volume::mount(mode);
            drop(volume);
            fs::write(other.target().join("app.log"), "line\n").expect("it is untouched");
        }
    });
}
