//! Applications that write numbered lines while their files are renamed, removed, cut and copied.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::fs::inotify;

use super::MODES;
use crate::kit::{Volume, limited, wait_until};

fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).expect("can be opened")
}

/// Writes `count` lines by one write each, and does something to the file now and then; returns the lines.
fn write(path: PathBuf, writer: u32, count: u32, is_cached: bool) -> Vec<String> {
    let mut file = append(&path);
    let mut lines = Vec::new();
    for number in 0..count {
        let line = format!("{writer} {number} {}", "x".repeat(60 + (number % 400) as usize));
        file.write_all(format!("{line}\n").as_bytes()).expect("never fails");
        lines.push(line);
        let rotated = path.with_extension(format!("log.{}", number % 7));
        match number.wrapping_mul(2_654_435_761) >> 22 {
            // As logrotate's `create`, and the writer goes on with the old file for a while.
            0..4 => fs::rename(&path, &rotated).expect("renamed"),
            4..10 => {
                // Gone on with, if it was renamed before.
                drop(fs::rename(&path, &rotated));
                file = append(&path);
            }
            10..14 => {
                drop(fs::remove_file(&path));
                file = append(&path);
            }
            14..18 => {
                if is_cached {
                    // What is in the page cache alone is lost by a cut.
                    file.sync_all().expect("synced");
                }
                drop(fs::copy(&path, path.with_extension("log.9")));
                file.set_len(0).expect("cut");
            }
            18..20 => {
                let moved = path.with_extension(format!("{number}.old"));
                drop(fs::rename(&path, moved));
                file = append(&path);
            }
            _ => {}
        }
    }
    lines
}

fn run(arguments: &[&str], is_cached: bool) {
    let mut volume = Volume::mount(arguments);
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let path = volume.target().join(format!("writer-{writer}.log"));
            thread::spawn(move || write(path, writer, 3000, is_cached))
        })
        .collect();
    let lines: Vec<String> =
        writers.into_iter().flat_map(|it| it.join().expect("as it must")).collect();
    volume.wait_for_lines(lines);
    assert_eq!(volume.collected().len(), 4, "every line is in the chain that it was written to");
    assert!(volume.stop().1, "{}", volume.log());
}

#[test]
fn lines_are_collected_once_by_way_of_the_page_cache() {
    limited(120, || run(MODES[0], true));
}

#[test]
fn lines_are_collected_once_in_strict_mode_and_a_cut_loses_none() {
    limited(120, || run(MODES[1], false));
}

#[test]
fn lines_are_collected_once_past_the_daemon_and_a_cut_loses_none() {
    limited(120, || run(MODES[2], false));
}

#[test]
fn one_thread_answers_all_and_never_waits_for_itself() {
    limited(120, || {
        run(&["--mode", "writeback", "--threads", "1"], true);
        run(&["--mode", "strict", "--threads", "1"], false);
        run(&["--mode", "fast", "--threads", "1"], false);
    });
}

/// A watch of a folder hears of what is done by way of its own names, and not by those of other folders.
#[test]
fn what_is_written_is_heard_of_in_the_folder_that_the_agent_watches() {
    limited(120, || {
        for mode in MODES {
            let volume = Volume::mount(mode);
            let mut file = append(&volume.target().join("app.log"));
            file.write_all(b"first\n").expect("as it must");
            file.sync_all().expect("as it must");
            let events = inotify::init(inotify::CreateFlags::NONBLOCK).expect("as it must");
            let logs = volume.store().join("logs");
            inotify::add_watch(&events, logs, inotify::WatchFlags::MODIFY).expect("as it must");
            file.write_all(b"second\n").expect("as it must");
            let mut buffer = [std::mem::MaybeUninit::uninit(); 512];
            let mut heard = inotify::Reader::new(&events, &mut buffer);
            wait_until("heard of", || heard.next().is_ok(), |it| *it);
        }
    });
}

#[test]
fn several_writers_append_to_one_file_without_tearing_a_line() {
    limited(120, || {
        for mode in MODES {
            let volume = Volume::mount(mode);
            let path = volume.target().join("shared.log");
            let writers: Vec<_> = (0..8)
                .map(|writer| {
                    let mut file = append(&path);
                    thread::spawn(move || {
                        let mut lines = Vec::new();
                        for number in 0..1000 {
                            let line = format!("{writer} {number}");
                            file.write_all(format!("{line}\n").as_bytes()).expect("never fails");
                            lines.push(line);
                        }
                        lines
                    })
                })
                .collect();
            let lines = writers.into_iter().flat_map(|it| it.join().expect("as it must")).collect();
            volume.wait_for_lines(lines);
        }
    });
}
