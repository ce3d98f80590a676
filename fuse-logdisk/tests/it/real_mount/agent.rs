//! The agent that collects a volume: the program beside this one, as cargo builds it for the whole workspace.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use test_kit::assert_within;

use super::MODES;
use crate::kit::{Volume, limited, now_ms, wait_until};

/// An agent that collects a volume into an embedded queue; killed when dropped.
pub(super) struct Agent {
    child: Child,
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(super) fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_logdisk")).with_file_name("logferry");
    assert!(program.is_file(), "the agent is not built: cargo build --package logferry");
    program
}

fn queue(volume: &Volume) -> PathBuf {
    volume.scratch().join("queue")
}

pub(super) fn start(volume: &Volume) -> Agent {
    start_in(volume.scratch(), "store/logs/**/*.log")
}

/// An agent whose state, queue and log are in `scratch`, with what this glob names there.
pub(super) fn start_in(scratch: &Path, logs: &str) -> Agent {
    start_with(scratch, logs, "queue: {path: '{dir}/queue'}")
}

/// One with this sink.
pub(super) fn start_with(scratch: &Path, logs: &str, sink: &str) -> Agent {
    start_as(scratch, "listen: '127.0.0.1:0'", (logs, ""), sink, "")
}

/// One with these fields of its own and of its LogConfig, and further resources.
pub(super) fn start_as(
    scratch: &Path,
    own: &str,
    (logs, how): (&str, &str),
    sink: &str,
    more: &str,
) -> Agent {
    let config = scratch.join("agent.yaml");
    let text = "apiVersion: logferry.dev/v1alpha1
kind: Agent
metadata: {name: agent}
spec: {stateDirectory: '{dir}/state', hostName: test, {own}}
---
apiVersion: logferry.dev/v1alpha1
kind: LogSink
metadata: {name: default}
spec: {{sink}}
---
apiVersion: logferry.dev/v1alpha1
kind: LogConfig
metadata: {name: disk}
spec: {source: {files: {include: ['{dir}/{logs}']}}{how}}
{more}";
    let folder = scratch.canonicalize().expect("as it must");
    let text = text.replace("{own}", own).replace("{sink}", sink).replace("{logs}", logs);
    let text = text.replace("{more}", more).replace("{how}", how);
    let text = text.replace("{dir}", &folder.to_string_lossy());
    fs::write(&config, text).expect("as it must");
    let mut command = Command::new(program());
    command.args(["run", "--file"]).arg(config);
    let log = scratch.join("agent.log");
    let log = OpenOptions::new().create(true).append(true).open(log).expect("as it must");
    Agent { child: test_kit::start(&command, Stdio::null(), Stdio::from(log)).expect("as it must") }
}

/// All records in the queue.
pub(super) fn records(volume: &Volume) -> Vec<Value> {
    records_in(volume.scratch())
}

/// Those of the agent in `scratch`.
pub(super) fn records_in(scratch: &Path) -> Vec<Value> {
    let mut command = Command::new(program());
    command.args(["tail", "--all", "--output", "json", "--queue"]).arg(scratch.join("queue"));
    let output = command.output().expect("as it must");
    let text = String::from_utf8(output.stdout).expect("as it must");
    text.lines().map(|line| serde_json::from_str(line).expect("as it must")).collect()
}

/// How often each line is in the queue.
pub(super) fn arrived(volume: &Volume) -> HashMap<String, u32> {
    let mut lines = HashMap::new();
    for record in records(volume) {
        *lines.entry(record["body"].as_str().expect("a body").to_owned()).or_default() += 1;
    }
    lines
}

pub(super) fn agent_log(volume: &Volume) -> String {
    fs::read_to_string(volume.scratch().join("agent.log")).unwrap_or_default()
}

/// Writes lines of 200 bytes, and rotates in every way there is; returns the lines.
fn write(path: &Path, numbers: std::ops::Range<u32>) -> Vec<String> {
    let open = || OpenOptions::new().create(true).append(true).open(path).expect("opened");
    let rotated = path.with_extension("log.1");
    let mut file = open();
    let mut lines = Vec::new();
    for number in numbers {
        let line = format!("{number} {}", "x".repeat(192));
        file.write_all(format!("{line}\n").as_bytes()).expect("never fails");
        lines.push(line);
        match number % 20_000 {
            5_000 => {
                fs::rename(path, &rotated).expect("as it must");
                file = open();
            }
            10_000 => {
                file.sync_all().expect("as it must");
                fs::copy(path, &rotated).expect("as it must");
                file.set_len(0).expect("as it must");
            }
            15_000 => {
                fs::remove_file(path).expect("as it must");
                file = open();
            }
            _ => {}
        }
    }
    lines
}

fn assert_arrived_once(volume: &Volume, lines: &[String]) {
    wait_until("lines in the queue", || arrived(volume).len(), |it| *it >= lines.len());
    let arrived = arrived(volume);
    let wrong: Vec<_> = lines
        .iter()
        .filter(|it| arrived.get(*it) != Some(&1))
        .map(|it| (&it[..10], arrived.get(it)))
        .collect();
    let (count, first) = (wrong.len(), &wrong[..wrong.len().min(3)]);
    assert!(wrong.is_empty(), "{count} not once: {first:?}; {}", agent_log(volume));
    assert_eq!(arrived.len(), lines.len(), "and nothing else");
    let audit = Command::new(program()).args(["audit", "--queue"]).arg(queue(volume)).output();
    let audit = audit.expect("as it must");
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
}

#[test]
fn what_applications_write_arrives_in_the_queue_once_and_its_memory_comes_back() {
    limited(240, || {
        for mode in MODES {
            // Half of what is written would not fit; but who writes past the daemon cannot be made to wait.
            let size = if mode == MODES[2] { "64M" } else { "16M" };
            let options = ["--size", size, "--agent-state", "{dir}/state"];
            let mut volume = Volume::mount(&[mode, &options].concat());
            let agent = start(&volume);
            let path = volume.target().join("app.log");
            let lines = write(&path, 0..160_000);
            assert_arrived_once(&volume, &lines);
            let held = wait_until(
                "given back",
                || volume.metric("logdisk_held_bytes "),
                |it| *it < 3 << 20,
            );
            println!(
                "{mode:?}: {} lines, {held} bytes held at the end, {} given back, {} ms blocked",
                lines.len(),
                volume.metric("logdisk_released_bytes_total "),
                volume.metric("logdisk_blocked_milliseconds_total "),
            );
            // One file is left of all generations, and that of its copy.
            wait_until(
                "generations gone",
                || volume.collected()[Path::new("app.log")].len(),
                |it| *it <= 2,
            );
            let (took, went_well) = volume.stop();
            assert!(went_well, "{}", volume.log());
            assert_within("the end", took, Duration::from_secs(20));
            assert!(
                logdisk::mounting::mounted_at(&volume.store()).expect("as it must").is_empty(),
                "all is delivered: nothing stays: {}",
                volume.log()
            );
            drop(agent);
        }
    });
}

/// Bytes of records, and of declared gaps, that the queue has.
pub(super) fn audited(volume: &Volume) -> (u64, u64) {
    let audit = Command::new(program()).args(["audit", "--queue"]).arg(queue(volume)).output();
    let text = String::from_utf8(audit.expect("as it must").stdout).expect("as it must");
    let sum = text.lines().find(|it| it.contains("bytes in declared gaps")).unwrap_or_default();
    let before = |what: &str| {
        let words = sum.split(what).next().expect("as it must").split_whitespace();
        words.last().and_then(|it| it.parse().ok()).unwrap_or(0)
    };
    (before(" bytes,"), before(" bytes in declared gaps"))
}

#[test]
fn what_is_let_go_for_want_of_room_is_declared_to_the_byte() {
    limited(240, || {
        for mode in MODES {
            let options = ["--size", "8M", "--full", "drop_oldest", "--agent-state", "{dir}/state"];
            let volume = Volume::mount(&[mode, &options].concat());
            let path = volume.target().join("app.log");
            let mut file =
                OpenOptions::new().create(true).append(true).open(&path).expect("opened");
            let mut written = 0;
            for number in 0..100_000 {
                let line = format!("{number:06} {}\n", "x".repeat(192));
                file.write_all(line.as_bytes()).expect("never fails");
                written += line.len() as u64;
                if number == 30_000 {
                    file.sync_all().expect("as it must");
                    fs::rename(&path, path.with_extension("log.1")).expect("as it must");
                    file =
                        OpenOptions::new().create(true).append(true).open(&path).expect("opened");
                }
                if number % 1000 == 0 && mode == MODES[2] {
                    // Room is made beforehand, at a pace.
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            file.sync_all().expect("as it must");
            std::thread::sleep(Duration::from_millis(1500));
            let dropped = volume.metric("logdisk_dropped_bytes_total ");
            assert!(dropped > 8 << 20, "{dropped} of {written}");
            let agent = start(&volume);
            let told = wait_until("all told", || audited(&volume), |it| it.0 + it.1 >= written);
            println!("{mode:?}: {written} bytes written, {dropped} let go, in the queue {told:?}");
            assert_eq!(told, (written - dropped, dropped));
            let lines = arrived(&volume);
            assert_eq!(
                lines.get(&format!("{:06} {}", 99_999, "x".repeat(192))),
                Some(&1),
                "the newest"
            );
            drop(agent);
        }
    });
}

#[test]
fn a_writer_waits_while_the_agent_is_away_and_goes_on_when_it_is_back() {
    limited(120, || {
        let options = ["--mode", "strict", "--size", "8M", "--agent-state", "{dir}/state"];
        let volume = Volume::mount(&options);
        let path = volume.target().join("app.log");
        let writer = std::thread::spawn({
            let path = path.clone();
            move || write(&path, 0..80_000)
        });
        let begin_ms = now_ms();
        wait_until(
            "a write that waits",
            || volume.metric("logdisk_blocked_writes_total "),
            |it| *it > 0,
        );
        let agent = start(&volume);
        let lines = writer.join().expect("no write failed");
        println!("written after {} ms", now_ms() - begin_ms);
        assert_arrived_once(&volume, &lines);
        drop(agent);
    });
}

#[test]
fn kill_nine_of_agent_and_daemon_loses_and_doubles_nothing() {
    limited(240, || {
        // Room for all: an agent that is started here closes its copy of the writer's file before it begins, which waits
        // until all that was written is stored. Without room that would wait for the agent.
        let volume = Volume::mount(&["--size", "64M", "--agent-state", "{dir}/state"]);
        let mut agent = start(&volume);
        let path = volume.target().join("app.log");
        let writer = std::thread::spawn(move || write(&path, 0..100_000));
        for round in 0..6 {
            std::thread::sleep(Duration::from_millis(300));
            if round % 2 == 0 {
                drop(agent);
                agent = start(&volume);
            } else {
                let daemon = volume.daemon().expect("runs");
                rustix::process::kill_process(daemon, rustix::process::Signal::KILL)
                    .expect("as it must");
                volume.wait_for_other(daemon);
            }
        }
        let lines = writer.join().expect("no write failed");
        assert_arrived_once(&volume, &lines);
        drop(agent);
        drop(File::open(volume.target()));
    });
}
