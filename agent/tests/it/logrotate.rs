//! The real logrotate, in the ways in which people configure it, while lines are written and agents die.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::kit::{Agent, Bed, get, sleep_ms, wait_for};

/// Directives for one file each. Nothing is removed.
const WAYS: [&str; 8] = [
    "create",
    "create\n compress",
    "create\n compress\n delaycompress",
    "create\n compress\n delaycompress\n dateext\n dateformat -%Y%m%d-%s",
    "copytruncate",
    "copytruncate\n compress",
    "copytruncate\n compress\n delaycompress",
    "copytruncate\n compress\n dateext\n dateformat -%Y%m%d-%s",
];
const ROTATIONS: usize = 9;
/// Longer than the seconds after which dated files are named.
const PAUSE_MS: u64 = 1100;

/// A file that is written to, and how many lines it got.
struct Written {
    number: usize,
    lines: Mutex<usize>,
}

impl Written {
    /// Writes until it is over, into the file of that name as soon as there is another.
    fn write(&self, path: &Path, is_over: &AtomicBool) {
        let open = || OpenOptions::new().create(true).append(true).open(path).unwrap();
        let inode = |file: &File| file.metadata().unwrap().ino();
        let mut file = open();
        while !is_over.load(Ordering::Acquire) {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            // As after a signal of `postrotate`: what is compressed nobody writes to.
            if fs::metadata(path).is_ok_and(|it| it.ino() != inode(&file)) {
                file = open();
            }
            let text: String =
                (*lines..*lines + 3).map(|it| line(self.number, it) + "\n").collect();
            file.write_all(text.as_bytes()).unwrap();
            *lines += 3;
            drop(lines);
            sleep_ms(10);
        }
    }
}

/// It is over, also for who panics: or writers would be waited for without end.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn line(number: usize, line: usize) -> String {
    format!("file {number} line {line:06}")
}

/// Rotates a file; nobody writes to it meanwhile, unless that is `busy`.
fn rotate(bed: &Bed, written: &Written, is_busy: bool) {
    let config = bed.path(format!("logrotate-{}", written.number));
    let state = bed.path(format!("logrotate-{}.state", written.number));
    let lock = (!is_busy).then(|| written.lines.lock().unwrap_or_else(PoisonError::into_inner));
    let mut command = Command::new("logrotate");
    let output = command.arg("--force").arg("--state").arg(state).arg(config).output().unwrap();
    drop(lock);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A copy that the agent has not read to its end, if there is one.
fn unknown_copy(bed: &Bed) -> Option<String> {
    let Some((_, text)) = get(bed.listen, "/debug/sources") else {
        return Some("nobody answers".to_owned());
    };
    let sources: Vec<Value> = serde_json::from_str(&text).unwrap();
    let known: HashMap<&str, u64> = sources
        .iter()
        .flat_map(|it| it["generations"].as_array().unwrap())
        .map(|it| (it["path"].as_str().unwrap(), it["offset"].as_u64().unwrap()))
        .collect();
    let files = fs::read_dir(bed.path("logs")).unwrap().map(|it| it.unwrap().path());
    let copies = files.filter(|it| !it.to_string_lossy().ends_with(".log"));
    let is_unknown = |path: &PathBuf| {
        let path = path.to_string_lossy();
        let read = known.get(&*path);
        read.is_none()
            || !path.ends_with(".gz")
                && read != fs::metadata(&*path).map(|it| it.len()).ok().as_ref()
    };
    copies.into_iter().find(is_unknown).map(|it| format!("{}: {known:?}", it.display()))
}

/// How often each line is in the queue, by file.
fn delivered(bed: &Bed) -> Vec<HashMap<String, usize>> {
    let mut times: Vec<HashMap<String, usize>> = vec![HashMap::new(); WAYS.len()];
    for body in bed.bodies().into_iter().filter(|it| it.starts_with("file ")) {
        let number: usize = body[5..6].parse().unwrap();
        *times[number].entry(body).or_default() += 1;
    }
    times
}

/// Each file is rotated in its way, `ROTATIONS` times; a third of the agents is killed, and a third told to end.
fn rotate_in_all_ways(is_busy: bool) {
    let bed = Bed::new();
    bed.configure_files();
    let path = |number| bed.log(format!("app-{number}.log"));
    for (number, way) in WAYS.iter().enumerate() {
        let text = format!("{} {{\n rotate 30\n {way}\n}}\n", path(number).display());
        fs::write(bed.path(format!("logrotate-{number}")), text).unwrap();
    }
    let files: Vec<Written> =
        (0..WAYS.len()).map(|number| Written { number, lines: Mutex::default() }).collect();
    let is_over = AtomicBool::new(false);
    let agent = std::thread::scope(|scope| {
        for file in &files {
            let is_over = &is_over;
            scope.spawn(move || file.write(&path(file.number), is_over));
        }
        let _over = Over(&is_over);
        let mut agent = Agent::start(&bed);
        for rotation in 0..ROTATIONS {
            sleep_ms(PAUSE_MS);
            files.iter().for_each(|file| rotate(&bed, file, is_busy));
            // Who dies before it has looked at a copy that lacks what was read does not know it again.
            if is_busy {
                wait_for("all copies are known", || unknown_copy(&bed).map_or(Ok(()), Err));
            }
            agent = match rotation % 3 {
                1 if !is_busy => {
                    agent.kill();
                    Agent::start(&bed)
                }
                0 => agent,
                _ => {
                    agent.stop();
                    Agent::start(&bed)
                }
            };
        }
        agent
    });
    let lines: Vec<usize> = files.iter().map(|it| *it.lines.lock().unwrap()).collect();
    let all = || {
        let times = delivered(&bed);
        let missing = |number: usize| {
            let is_missing = |it: &usize| !times[number].contains_key(&line(number, *it));
            // What was written between copying and cutting.
            let may_be_lost = is_busy && WAYS[number].starts_with("copytruncate");
            let from = if may_be_lost { lines[number] - 1 } else { 0 };
            (from..lines[number]).filter(is_missing).collect::<Vec<usize>>()
        };
        match (0..WAYS.len()).map(|it| (it, missing(it))).find(|it| !it.1.is_empty()) {
            None => Ok(times),
            Some((number, missing)) => Err(format!("{}: missing: {missing:?}", WAYS[number])),
        }
    };
    let times = wait_for("all lines", all);
    agent.stop();
    // What is found late comes late.
    Agent::start(&bed).stop();
    for (number, times) in times.iter().enumerate().chain(delivered(&bed).iter().enumerate()) {
        let doubled: Vec<_> = times.iter().filter(|it| *it.1 > 1).map(|it| it.0).collect();
        assert!(doubled.is_empty(), "{}: doubled: {doubled:?}", WAYS[number]);
    }
    bed.assert_audit_clean();
}

#[test]
fn logrotate_in_all_its_ways_loses_and_doubles_nothing() {
    rotate_in_all_ways(false);
}

/// What is written between copying and cutting is lost; all else arrives, and once.
#[test]
fn logrotate_under_load_doubles_nothing() {
    rotate_in_all_ways(true);
}
