//! What a volume holds goes to the agent's spool, before the volume has to do anything to its writers.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use test_kit::assert_within;

use super::agent::{self, Agent};
use crate::kit::{Volume, limited, now_ms, wait_until};

/// Budget of most volumes here.
const BUDGET: usize = 8 << 20;
/// How much is written while the queue takes nothing.
const WRITTEN: usize = 4 * BUDGET;
/// A spool with room for all of it.
const SPOOL: &str = "spool: {path: '{dir}/spool', drainBytesPerSecond: 1GiB}";
/// Lines of 200 bytes.
const LINE_BYTES: usize = 200;
/// What is written at once: lines of one file.
const PIECE_BYTES: usize = 200 * LINE_BYTES;
/// The longest that a write may take here, beside much else on the machine.
const LONGEST: Duration = Duration::from_secs(60);

/// The disk of the queue, which can be full.
struct QueueDisk(PathBuf);

impl QueueDisk {
    fn mount(scratch: &Path) -> QueueDisk {
        let path = scratch.join("disk");
        fs::create_dir(&path).expect("ours");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=128m", "logferry-test"]).arg(&path);
        assert!(command.status().expect("there is mount").success(), "{}", path.display());
        symlink(path.join("queue"), scratch.join("queue")).expect("ours");
        QueueDisk(path)
    }

    /// The queue takes nothing from now on.
    fn fill(&self) {
        let mut ballast = File::create(self.0.join("ballast")).expect("ours");
        while ballast.write_all(&[b'x'; 4096]).is_ok() {}
    }

    /// It takes all, again.
    fn free(&self) {
        drop(fs::remove_file(self.0.join("ballast")));
    }
}

impl Drop for QueueDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

/// A volume, its agent, and a queue that takes nothing.
struct Scene {
    agent: Mutex<Option<Agent>>,
    disk: QueueDisk,
    volume: Volume,
    /// Fields of the agent.
    own: String,
    address: String,
    /// Further resources.
    more: &'static str,
}

impl Scene {
    /// With these options of the volume, and this field of the agent.
    fn new(options: &[&str], spool: &str) -> Scene {
        let scene = Scene::limited(options, spool, "");
        scene.disk.fill();
        scene
    }

    /// The same with a queue that takes all, and with further resources.
    fn limited(options: &[&str], spool: &str, more: &'static str) -> Scene {
        let volume = Volume::mount(&[&["--agent-state", "{dir}/state"], options].concat());
        let disk = QueueDisk::mount(volume.scratch());
        // Free in a moment.
        let listener = TcpListener::bind("127.0.0.1:0").expect("one is free");
        let address = listener.local_addr().expect("is bound").to_string();
        drop(listener);
        let own = format!("listen: '{address}', {spool}");
        let scene = Scene { agent: Mutex::default(), disk, volume, own, address, more };
        scene.start();
        scene.append("first.log", b"first\n");
        wait_until("the first line", || agent::records(&scene.volume).len(), |it| *it == 1);
        scene
    }

    fn start(&self) {
        let sink = "queue: {path: '{dir}/disk/queue', segmentBytes: 1MiB}, retry: {max: 200ms}";
        let own = self.own.trim_end_matches([',', ' ']);
        // A write that waits for room has an unfinished line in the store, for longer than 1 s on a busy machine; so has, for
        // ever, what is let go of without a spool.
        let how = if own.contains("spool") { ", line: {flushTimeout: 5m}" } else { "" };
        let logs = ("store/logs/**/*.log", how);
        let agent = agent::start_as(self.volume.scratch(), own, logs, sink, self.more);
        *self.agent.lock().expect("no panic") = Some(agent);
    }

    /// Kills the agent, and starts another.
    fn restart(&self) {
        *self.agent.lock().expect("no panic") = None;
        self.start();
    }

    fn append(&self, name: &str, bytes: &[u8]) {
        append(&self.volume, name, bytes).expect("as it must");
    }

    fn metric(&self, name: &str) -> f64 {
        let Ok(answer) = minreq::get(format!("http://{}/metrics", self.address)).send() else {
            return 0.0;
        };
        let text = answer.as_str().expect("text");
        let values = text.lines().filter(|it| it.starts_with(name));
        values.filter_map(|it| it.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// How much of its budget the volume takes.
    fn used_part(&self) -> f64 {
        let of = rustix::fs::statvfs(self.volume.store()).expect("is mounted");
        let used = u32::try_from(of.f_blocks - of.f_bfree).expect("small");
        f64::from(used) / f64::from(u32::try_from(of.f_blocks).expect("small"))
    }

    /// The queue takes all again; waits until it has all of these lines of these files, once and in order.
    fn wait_for_all(&self, wanted: &BTreeMap<&str, Vec<String>>) {
        self.disk.free();
        let bytes = written_bytes(wanted);
        wait_until("all lines", || agent::audited(&self.volume), |it| it.0 + it.1 >= bytes);
        let kept = || self.metric("logferry_spool_payloads");
        wait_until("nothing kept", kept, |it| *it == 0.0);
        let mut arrived: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for record in agent::records(&self.volume) {
            assert!(record["log.gap.reason"].is_null(), "{record}");
            let text = |key: &str| record[key].as_str().expect("a text").to_owned();
            let path = text("log.file.path");
            let name = path.rsplit('/').next().expect("a name").to_owned();
            arrived.entry(name).or_default().push(text("body"));
        }
        for (name, lines) in wanted {
            let is = &arrived[*name];
            let first = is.iter().zip(lines).position(|(is, wanted)| is != wanted);
            assert!(is == lines, "{name}: {} of {}, first {first:?}", is.len(), lines.len());
        }
        let audit = Command::new(agent::program())
            .args(["audit", "--queue"])
            .arg(self.volume.scratch().join("queue"))
            .output();
        let audit = audit.expect("as it must");
        assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
    }
}

/// Bytes of these lines, and of the first one.
fn written_bytes(lines: &BTreeMap<&str, Vec<String>>) -> u64 {
    (lines.values().map(Vec::len).sum::<usize>() * LINE_BYTES) as u64 + 6
}

fn append(volume: &Volume, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let path = volume.target().join(name);
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(bytes)?;
    // In `writeback` it is stored only then, or not.
    file.sync_all()
}

/// Text that no compressor makes much smaller, the same for the same number.
fn filling(number: usize) -> String {
    let mut dice = number as u64 + 1;
    let next = |_| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'0' + u8::try_from((dice >> 33) % 64).expect("small"))
    };
    (0..LINE_BYTES - 10).map(next).collect()
}

/// A line of [`LINE_BYTES`] with its end.
fn line(number: usize) -> String {
    format!("{number:08} {}", filling(number))
}

/// Writes so many bytes, in turn to two files. Where writers cannot be made to wait, each piece waits for room itself.
fn write(
    scene: &Scene,
    bytes: usize,
    waits_itself: bool,
    done: &AtomicUsize,
) -> BTreeMap<&'static str, Vec<String>> {
    let mut lines: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let (mut number, mut longest_ms) = (0, 0);
    for piece in 0..bytes / PIECE_BYTES {
        let name = ["app.log", "other.log"][piece % 2];
        let mut text = String::with_capacity(PIECE_BYTES);
        for _ in 0..PIECE_BYTES / LINE_BYTES {
            let line = line(number);
            text.push_str(&line);
            text.push('\n');
            lines.entry(name).or_default().push(line);
            number += 1;
        }
        if waits_itself {
            wait_until("room", || scene.used_part(), |it| *it < 0.75);
        }
        let begin_ms = now_ms();
        append(&scene.volume, name, text.as_bytes()).expect("no write fails");
        longest_ms = longest_ms.max(now_ms() - begin_ms);
        done.store((piece + 1) * PIECE_BYTES, Ordering::Release);
    }
    println!("{bytes} bytes written, the longest write took {longest_ms} ms");
    assert_within("the longest write", Duration::from_millis(longest_ms), LONGEST);
    lines
}

#[test]
fn what_a_volume_holds_goes_to_the_spool_while_the_queue_takes_nothing() {
    limited(900, || {
        let cases: [(&[&str], usize); 6] = [
            (&["--mode", "writeback", "--size", "8M", "--full-seconds", "120"], BUDGET),
            (&["--mode", "strict", "--size", "8M", "--full-seconds", "120"], BUDGET),
            (&["--mode", "strict", "--size", "8M", "--full", "enospc"], BUDGET),
            (&["--mode", "strict", "--size", "8M", "--full", "drop_oldest"], BUDGET),
            (&["--mode", "fast", "--size", "16M"], 2 * BUDGET),
            // All of it fits into the agent's memory: nothing is unread, and nothing delivered.
            (&["--mode", "strict", "--size", "1M", "--full-seconds", "120"], BUDGET / 8),
        ];
        for (options, budget) in cases {
            let scene = Scene::new(options, SPOOL);
            let waits = options.contains(&"120");
            let lines = write(&scene, 4 * budget, !waits, &AtomicUsize::new(0));
            let of_volume = |name: &str| scene.volume.metric(name);
            println!(
                "{options:?}: {} bytes kept, {} writes waited, {} ms",
                scene.metric("logferry_spool_kept_bytes_total"),
                of_volume("logdisk_blocked_writes_total "),
                of_volume("logdisk_blocked_milliseconds_total "),
            );
            assert!(scene.metric("logferry_spool_payloads") > 0.0);
            assert_eq!(agent::records(&scene.volume).len(), 1, "the queue took nothing");
            scene.wait_for_all(&lines);
            for name in ["logdisk_dropped_bytes_total ", "logdisk_full_writes_total "] {
                assert_eq!(of_volume(name), 0, "{options:?}: {name}");
            }
            wait_until(
                "room",
                || scene.metric("logferry_pressed_log_disk_sources"),
                |it| *it == 0.0,
            );
        }
    });
}

#[test]
fn what_has_waited_in_a_volume_for_a_minute_goes_to_the_spool_however_little_it_is() {
    limited(400, || {
        let scene = Scene::new(&["--mode", "strict", "--size", "64M"], SPOOL);
        let lines = write(&scene, BUDGET / 2, false, &AtomicUsize::new(0));
        let kept = || scene.metric("logferry_spool_kept_bytes_total");
        // Before it must be, nobody looks.
        thread::sleep(Duration::from_secs(60));
        wait_until("kept", kept, |it| *it > 0.0);
        let left = || scene.metric("logferry_in_flight_bytes") + scene.metric("logferry_lag_bytes");
        wait_until("all of it is safe", left, |it| *it == 0.0);
        assert_eq!(agent::records(&scene.volume).len(), 1, "the queue took nothing");
        scene.wait_for_all(&lines);
    });
}

#[test]
fn kills_of_the_agent_while_a_volume_goes_to_the_spool_lose_and_double_nothing() {
    limited(400, || {
        let options = ["--mode", "strict", "--size", "8M", "--full-seconds", "120"];
        let scene = Scene::new(&options, SPOOL);
        let done = AtomicUsize::new(0);
        let lines = thread::scope(|scope| {
            let writer = scope.spawn(|| write(&scene, WRITTEN, false, &done));
            for part in 1..8 {
                wait_until(
                    "more is written",
                    || done.load(Ordering::Acquire),
                    |it| *it >= part * WRITTEN / 8,
                );
                scene.restart();
            }
            writer.join().expect("no write failed")
        });
        scene.restart();
        scene.wait_for_all(&lines);
    });
}

#[test]
fn what_a_limit_holds_back_of_a_volume_goes_to_the_spool_if_the_tenant_says_so() {
    limited(400, || {
        let options = ["--mode", "strict", "--size", "4M", "--full-seconds", "120"];
        let limits = "---
apiVersion: logferry.dev/v1alpha1
kind: LogTenant
metadata: {name: default}
spec: {limits: {bytesPerSecond: 1MiB, atLimit: spool}}
";
        let scene = Scene::limited(&options, SPOOL, limits);
        let lines = write(&scene, 2 * BUDGET, false, &AtomicUsize::new(0));
        assert!(scene.metric("logferry_spool_kept_bytes_total") > 0.0);
        scene.wait_for_all(&lines);
    });
}

/// Its oldest go as gaps, and applications notice nothing.
#[test]
fn a_spool_that_fills_up_declares_to_the_byte_what_the_volume_gave_it_and_it_reads_right_or_fails()
{
    limited(400, || {
        let options = ["--mode", "strict", "--size", "8M", "--full-seconds", "120"];
        let scene = Scene::new(&options, "spool: {path: '{dir}/spool', bytes: 4MiB}");
        let lines = write(&scene, WRITTEN, false, &AtomicUsize::new(0));
        let released = || scene.metric("logferry_spool_released_bytes_total");
        wait_until("let go", released, |it| *it > 0.0);
        scene.disk.free();
        let written = written_bytes(&lines);
        let told =
            wait_until("all told", || agent::audited(&scene.volume), |it| it.0 + it.1 >= written);
        println!("{written} bytes written, in the queue {told:?}, {} let go", released());
        assert_eq!(told.0 + told.1, written);
        assert!(told.1 > 0);
        let records = agent::records(&scene.volume);
        let gaps: Vec<&Value> =
            records.iter().filter(|it| !it["log.gap.reason"].is_null()).collect();
        assert!(gaps.iter().all(|it| it["log.gap.reason"] == "spool_full"), "{gaps:?}");
        let (mut right, mut failed) = (0, 0);
        for (name, lines) in &lines {
            let text: String = lines.iter().flat_map(|it| [it.as_str(), "\n"]).collect();
            let file = File::open(scene.volume.target().join(name)).expect("opened");
            for (at, wanted) in (0..).step_by(PIECE_BYTES).zip(text.as_bytes().chunks(PIECE_BYTES))
            {
                let mut piece = vec![0; wanted.len()];
                match file.read_exact_at(&mut piece, at) {
                    Ok(()) => {
                        assert!(piece == wanted, "{name}: other bytes from {at} on");
                        right += 1;
                    }
                    Err(error) => {
                        assert_eq!(error.raw_os_error(), Some(5), "{name}: {at}: {error}");
                        failed += 1;
                    }
                }
            }
        }
        println!("{right} pieces read right, {failed} failed");
        assert!(right > 0 && failed > 0);
        assert!(scene.volume.log().contains("spool_full"), "{}", scene.volume.log());
    });
}

/// Writes lines to one file until that fails, or there were so many bytes; returns these, and the failure.
fn fill(scene: &Scene, bytes: usize) -> (u64, Option<ErrorKind>) {
    let mut written = 0;
    for piece in 0..bytes / PIECE_BYTES {
        let first = piece * (PIECE_BYTES / LINE_BYTES);
        let lines = (first..first + PIECE_BYTES / LINE_BYTES).map(|it| line(it) + "\n");
        if let Err(error) = append(&scene.volume, "app.log", lines.collect::<String>().as_bytes()) {
            return (written, Some(error.kind()));
        }
        written += PIECE_BYTES as u64;
    }
    (written, None)
}

#[test]
fn without_a_spool_a_volume_that_is_used_up_does_what_it_is_told_and_the_agent_says_so() {
    limited(300, || {
        for full in [["--full-seconds", "2"], ["--full", "enospc"]] {
            let scene =
                Scene::new(&[&["--mode", "strict", "--size", "4M"], &full[..]].concat(), "");
            let (_, failed) = fill(&scene, 2 * BUDGET);
            assert_eq!(failed, Some(ErrorKind::StorageFull));
            assert_eq!(scene.volume.metric("logdisk_dropped_bytes_total "), 0);
            let short = || scene.metric("logferry_pressed_log_disk_sources");
            wait_until("used up", short, |it| *it > 0.0);
            assert!(scene.metric("logferry_at_risk_bytes") > 0.0);
            let path = scene.volume.store().join("logs/app.log");
            let explained = Command::new(agent::program())
                .args(["explain", "--file"])
                .arg(scene.volume.scratch().join("agent.yaml"))
                .arg(path.canonicalize().expect("is there"))
                .output()
                .expect("as it must");
            let text = String::from_utf8_lossy(&explained.stdout);
            assert!(text.contains("its log disk is more than half used"), "{text}");
            scene.disk.free();
            wait_until("room", short, |it| *it == 0.0);
        }
    });
}

/// Once, a file was taken for one that was cut then: read from its beginning, under a name by which nobody knew it, so that its
/// memory never came back.
#[test]
fn what_is_let_go_after_the_agent_has_read_it_is_no_cut() {
    limited(300, || {
        let options = ["--mode", "strict", "--size", "4M", "--full", "drop_oldest"];
        let scene = Scene::new(&options, "");
        let (written, failed) = fill(&scene, 2 * BUDGET);
        assert_eq!(failed, None);
        let dropped = || scene.volume.metric("logdisk_dropped_bytes_total ");
        wait_until("let go", dropped, |it| *it > 0);
        scene.disk.free();
        let all = written + 6;
        let told =
            wait_until("all told", || agent::audited(&scene.volume), |it| it.0 + it.1 >= all);
        println!("{written} bytes written, {} let go, in the queue {told:?}", dropped());
        assert_eq!(told.0 + told.1, all);
        assert!(told.1 > 0 && told.1 <= dropped());
        wait_until("given back", || scene.used_part(), |it| *it < 0.5);
        let (_, failed) = fill(&scene, BUDGET / 4);
        assert_eq!(failed, None);
        let log = agent::agent_log(&scene.volume);
        assert!(!log.contains("truncated"), "{log}");
    });
}

/// What stands in front of where the agent reads, and at the beginning, by which it knows other files.
#[test]
fn what_is_written_over_after_the_agent_has_read_it_is_no_cut() {
    limited(300, || {
        let options = ["--mode", "strict", "--size", "4M"];
        let scene = Scene::limited(&options, "", "");
        let path = scene.volume.target().join("app.log");
        let line = |number: usize| line(number) + "\n";
        for round in 0..4 {
            scene.append("app.log", line(round).as_bytes());
            let told = || agent::audited(&scene.volume);
            let all = ((round + 1) * LINE_BYTES) as u64 + 6;
            wait_until("the line", told, |it| it.0 >= all);
            let file = OpenOptions::new().write(true).open(&path).expect("opened");
            let last = (round * LINE_BYTES) as u64;
            file.write_all_at(b"written over", last + 100).expect("as it must");
            file.write_all_at(b"written over", 0).expect("as it must");
        }
        scene.append("app.log", b"last\n");
        let all = (4 * LINE_BYTES) as u64 + 11;
        wait_until("the last line", || agent::audited(&scene.volume), |it| it.0 >= all);
        assert_eq!(agent::audited(&scene.volume), (all, 0));
        let log = agent::agent_log(&scene.volume);
        assert!(!log.contains("truncated"), "{log}");
    });
}
