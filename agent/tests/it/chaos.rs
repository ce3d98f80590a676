//! Chaos: the real agent, real files and a real disk under random schedules of writing, rotating,
//! compressing, killing, stopping, reloading, filling the disk and cutting its power. Afterwards the
//! queue alone must hold every line once and in order.
//!
//! `CHAOS_SCHEDULES` of them, from the seed `CHAOS_SEED` on; a schedule follows from its seed but for
//! the times that the machine takes.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::Signal;

use crate::kit::{Agent, Bed, LOGFERRY, Run, body, files, resource, sleep_ms, wait_for};

mod dice;
mod disk;
mod stream;
use dice::Dice;
use disk::Disk;
use stream::{Stream, parse};

/// Schedules of an ordinary test run.
const SCHEDULES: u64 = 12;
const STREAMS: usize = 3;

/// What was done in all schedules, for the last line.
#[derive(Debug, Default)]
struct Totals {
    lines: AtomicU64,
    kills: AtomicU64,
    power_cuts: AtomicU64,
}

struct Chaos<'a> {
    totals: &'a Totals,
    bed: Bed,
    disk: Disk,
    dice: Dice,
    agent: Option<Agent>,
    reloads: u32,
    /// What was done, for who has to find out.
    story: Vec<String>,
}

impl Chaos<'_> {
    fn new(seed: u64, totals: &Totals) -> Chaos<'_> {
        let bed = Bed::new();
        let disk = Disk::new(&bed);
        let mut chaos = Chaos {
            totals,
            bed,
            disk,
            dice: Dice(seed),
            agent: None,
            reloads: 0,
            story: Vec::new(),
        };
        chaos.configure();
        chaos
    }

    /// Each time something else, so that it is a change.
    fn configure(&mut self) {
        self.reloads += 1;
        let fields = format!("  openFilesMax: {}\n", 16 + self.reloads);
        let agent = self.bed.agent(&fields).replace("{dir}/state", "{dir}/disk/state");
        let spec =
            "  queue: {path: '{dir}/disk/queue', segmentBytes: 1MiB}\n  retry: {max: 100ms}\n";
        let sink = resource("LogSink", "default", spec);
        self.bed.configure(&[&agent, &sink, &files("files", "*.log", "")]);
    }

    fn running(&mut self) -> &Agent {
        let (bed, dice) = (&self.bed, &mut self.dice);
        self.agent.get_or_insert_with(|| {
            let mut command = Command::new("prlimit");
            let descriptors = 300 + dice.roll(1000);
            command.arg(format!("--nofile={descriptors}:{descriptors}")).arg(LOGFERRY);
            Agent::spawn_as(bed, command)
        })
    }

    fn kill(&mut self) {
        if let Some(agent) = self.agent.take() {
            agent.kill();
            self.totals.kills.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn step(&mut self, streams: &mut [Stream]) {
        let number = usize::try_from(self.dice.roll(STREAMS as u64)).expect("small");
        let stream = &mut streams[number];
        let what = match self.dice.roll(40) {
            0..16 => {
                stream.write(&mut self.dice);
                "writes"
            }
            16..21 => {
                stream.rotate();
                "rotates"
            }
            21..25 => {
                stream.reopen();
                "reopens"
            }
            25..28 => {
                stream.compress(&mut self.dice);
                "compresses"
            }
            28..31 => {
                self.kill();
                "is killed"
            }
            31 => {
                if let Some(agent) = self.agent.take() {
                    agent.terminate();
                }
                "is asked to end"
            }
            32 => {
                let agent = self.running();
                agent.signal(Signal::STOP);
                sleep_ms(30);
                agent.signal(Signal::CONT);
                "is stopped for 30 ms"
            }
            33 => {
                self.configure();
                // Before it listens, a hangup ends it, as it ends any program.
                if self.running().has_said("collecting") {
                    self.running().signal(Signal::HUP);
                }
                "is configured anew"
            }
            34 => {
                self.disk.fill();
                sleep_ms(self.dice.roll(60));
                self.disk.free();
                "has a full disk"
            }
            35 => {
                self.disk.cut_power();
                self.totals.power_cuts.fetch_add(1, Ordering::Relaxed);
                sleep_ms(self.dice.roll(20));
                self.kill();
                self.disk.mount_again();
                "has no power"
            }
            _ => {
                sleep_ms(self.dice.roll(40));
                "has time"
            }
        };
        self.story.push(format!("{number} {what}"));
        if self.dice.roll(2) == 0 {
            self.running();
        }
    }

    /// What all agents said, which numbers arrived, and which files there are.
    fn said(&self) -> String {
        let mut said = String::new();
        for life in 0.. {
            let Ok(text) = fs::read_to_string(self.bed.path(format!("stderr.{life}"))) else {
                break;
            };
            writeln!(said, "agent {life}:\n{text}").expect("memory");
        }
        for record in self.tail(&["tail", "--all"]).json_lines() {
            let (number, cursor) = (parse(&body(&record)), &record["cursor"]);
            write!(said, "{number:?}@{cursor} ").expect("memory");
        }
        let sources = crate::kit::get(self.bed.listen, "/debug/sources");
        writeln!(said, "\n{}", sources.map(|(_, text)| text).unwrap_or_default()).expect("memory");
        let mut list = Command::new("ls");
        let files = list.arg("-li").arg(self.bed.path("logs")).output().expect("there is ls");
        said + &String::from_utf8_lossy(&files.stdout)
    }

    fn tail(&self, command: &[&str]) -> Run {
        let queue = self.disk.path.join("queue").to_string_lossy().into_owned();
        Run::of(&[command, &["--queue", &queue, "--output", "json"]].concat())
    }

    /// Waits until the queue holds all lines, and compares.
    fn check(&mut self, streams: &[Stream]) {
        self.running();
        let lines: u64 = streams.iter().map(|it| it.lines).sum();
        let records = wait_for("all lines in the queue", || {
            self.agent.as_mut().expect("it runs").assert_running();
            let records = self.tail(&["tail", "--all"]).json_lines();
            sleep_ms(50);
            let count = records.len() as u64;
            if count >= lines { Ok(records) } else { Err(format!("{count} of {lines}")) }
        });
        self.totals.lines.fetch_add(lines, Ordering::Relaxed);
        let mut next = [1; STREAMS];
        for (at, record) in records.iter().enumerate() {
            let body = body(record);
            let (stream, number) = parse(&body).unwrap_or_else(|| panic!("not as written: {body}"));
            let want = next[stream];
            assert_eq!(number, want, "stream {stream}, record {at}: lost, doubled or out of order");
            next[stream] += 1;
        }
        self.agent.take().into_iter().for_each(Agent::stop);
        let audit = self.tail(&["audit"]);
        let report = audit.json();
        assert_eq!((audit.code, &report["clean"]), (Some(0), &true.into()), "{report:#}");
    }
}

fn run(seed: u64, totals: &Totals) {
    let mut chaos = Chaos::new(seed, totals);
    let mut streams: Vec<Stream> =
        (0..STREAMS).map(|number| Stream::new(&chaos.bed, number)).collect();
    let steps = 10 + chaos.dice.roll(30);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for _ in 0..steps {
            chaos.step(&mut streams);
        }
        streams.iter_mut().for_each(Stream::finish_line);
        chaos.check(&streams);
    }));
    if outcome.is_err() {
        let said = chaos.said();
        eprintln!("CHAOS_SEED={seed} CHAOS_SCHEDULES=1 failed after {:#?}\n{said}", chaos.story);
        // Before the folder goes, which it writes to.
        chaos.kill();
        panic!("CHAOS_SEED={seed} CHAOS_SCHEDULES=1 failed");
    }
}

#[test]
fn chaos_loses_and_doubles_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|it| it.parse::<u64>().ok());
    let (seed, count) = (number("CHAOS_SEED").unwrap_or(1), number("CHAOS_SCHEDULES"));
    let end = seed + count.unwrap_or(SCHEDULES);
    let (next, totals) = (AtomicU64::new(seed), Totals::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    run(seed, &totals);
                }
            });
        }
    });
    eprintln!("chaos: {} schedules from seed {seed} on, none failed: {totals:?}", end - seed);
}
