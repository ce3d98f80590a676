//! Catch up: how long after the last fault has cleared everything is safe in the queue and no lag is
//! left, against the time that the same files take at full speed.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use rustix::process::Signal;

use super::mounted::Mounted;
use super::paced::wait_listening;
use super::{Settings, Space, load, seconds, shown_config};
use crate::agent::{Agent, Bench};
use crate::agent_config::{InputConfig, OutputConfig};
use crate::clocks::monotonic_ns;
use crate::load::{Limits, Load, Totals};
use crate::report::{Section, Side, Table};

/// Most of the time at full speed that catching up may take.
const TIMES_MAX: f64 = 1.5;
/// Files of the backlog.
const FILES: u32 = 4;
/// Input that an agent has delivered before the fault comes.
const BEFORE_BYTES: u64 = 16 << 20;
/// How long a fault lasts after the backlog is there: pauses between attempts have then grown as long
/// as they get.
const FAULT: Duration = Duration::from_secs(10);
/// By how much longer it lasts in each run, so that it ends at another moment of such a pause.
const FAULT_STEP: Duration = Duration::from_millis(173);
/// Bytes written at a time to fill a disk.
const FILL_BYTES: usize = 1 << 20;

const FULL: &str = "disk full ×";
const KILLED: &str = "killed ×";
const STOPPED: &str = "stopped ×";

pub(super) fn run(settings: &Settings, space: &Space) -> anyhow::Result<Section> {
    let bed = Bed { settings, space, bench: space.bench(settings) };
    let columns = vec![
        ("backlog MB", 0),
        ("peak MB/s", 0),
        ("disk full s", 3),
        (FULL, 2),
        ("killed s", 3),
        (KILLED, 2),
        ("stopped s", 3),
        (STOPPED, 2),
    ];
    let mut table = Table { columns, runs: Vec::new() };
    for run in 1..=settings.runs {
        let fault = FAULT + FAULT_STEP * u32::try_from(run)?;
        let (backlog, first) = bed.at_full_speed()?;
        let times = [bed.disk_full(fault)?, bed.killed()?, bed.stopped()?];
        let (_, second) = bed.at_full_speed()?;
        // The faster of two, so that nobody else's work lets it look easy.
        let peak_seconds = first.min(second);
        let megabytes = backlog.bytes as f64 / 1e6;
        let mut row = vec![megabytes, megabytes / peak_seconds];
        for seconds in times {
            row.extend([seconds, seconds / peak_seconds]);
        }
        eprintln!("catch-up: run {run} of {}: {row:.2?}", settings.runs);
        table.runs.push(row);
    }
    let goal = |fault: &str, column: &str| {
        let what = format!("after {fault}, time against backlog / peak rate");
        table.goal(&what, column, Side::AtMost, TIMES_MAX)
    };
    let goals = vec![
        goal("a full disk", FULL),
        goal("kill -9 and a restart", KILLED),
        goal("SIGSTOP and SIGCONT", STOPPED),
    ];
    Ok(Section {
        name: "catch-up".to_owned(),
        what: format!(
            "{FILES} files of nginx lines that come while nothing can be delivered: the disk of the \
             queue is full, {} s long and then freed; the agent is killed and started again; it is \
             stopped and goes on. Time from that moment until all of it is safe in the queue and the \
             lag is 0, against an agent that is \
             started with the same files and nothing in its way (the faster of two, before and after).",
            FAULT.as_secs()
        ),
        config: shown_config(&bed.bench, bed.input_files(), true),
        table,
        goals,
    })
}

struct Bed<'a> {
    settings: &'a Settings,
    space: &'a Space,
    bench: Bench,
}

impl Bed<'_> {
    /// Files are in a folder for each time they are written.
    fn input_files(&self) -> InputConfig {
        let files = self.space.input().join("*/*.log");
        InputConfig::Files(files.to_string_lossy().into_owned())
    }

    /// The backlog, and how many seconds it takes when it is there at the start.
    fn at_full_speed(&self) -> anyhow::Result<(Totals, f64)> {
        self.space.clear_input()?;
        let backlog = self.write_backlog()?;
        let from_ns = monotonic_ns();
        let agent = self.bench.start(&self.input_files(), true)?;
        Ok((backlog, caught_up(agent, from_ns, &[backlog])?))
    }

    /// Seconds to catch up once there is room again on the queue's disk.
    fn disk_full(&self, fault: Duration) -> anyhow::Result<f64> {
        let disk = Mounted::tmpfs(&self.space.root.join("disk"), self.settings.input_bytes)?;
        let output = OutputConfig::Queue(disk.path().join("queue"));
        let (mut agent, before) = self.delivered_before(output)?;
        let ballast = disk.path().join("ballast");
        fill(&ballast)?;
        let backlog = self.write_backlog()?;
        thread::sleep(fault);
        let delivery = agent.wait_delivered(0)?;
        ensure!(delivery.bytes < before.bytes + backlog.bytes / 2, "the disk was not full");
        let from_ns = monotonic_ns();
        fs::remove_file(&ballast)?;
        caught_up(agent, from_ns, &[before, backlog])
    }

    /// Seconds to catch up after a restart, which begins with it.
    fn killed(&self) -> anyhow::Result<f64> {
        let output = self.bench.output(true);
        let (agent, _) = self.delivered_before(output.clone())?;
        agent.signal(Signal::KILL)?;
        drop(agent);
        let backlog = self.write_backlog()?;
        let from_ns = monotonic_ns();
        let agent = self.bench.start_again(&self.input_files(), output)?;
        caught_up(agent, from_ns, &[backlog])
    }

    /// Seconds to catch up after the agent was kept from running.
    fn stopped(&self) -> anyhow::Result<f64> {
        let (agent, before) = self.delivered_before(self.bench.output(true))?;
        agent.signal(Signal::STOP)?;
        let backlog = self.write_backlog()?;
        let from_ns = monotonic_ns();
        agent.signal(Signal::CONT)?;
        caught_up(agent, from_ns, &[before, backlog])
    }

    /// An agent that has delivered a first file.
    fn delivered_before(&self, output: OutputConfig) -> anyhow::Result<(Agent, Totals)> {
        self.space.clear_input()?;
        fs::create_dir_all(self.space.input())?;
        let mut agent = self.bench.start_into(&self.input_files(), output)?;
        wait_listening(&mut agent)?;
        let before = self.write("before", 1, BEFORE_BYTES)?;
        agent.wait_caught_up(before.bytes)?;
        Ok((agent, before))
    }

    fn write_backlog(&self) -> anyhow::Result<Totals> {
        self.write("backlog", FILES, self.settings.input_bytes)
    }

    fn write(&self, folder: &str, files: u32, bytes: u64) -> anyhow::Result<Totals> {
        let limits = Limits { bytes: Some(bytes), ..Limits::default() };
        let mut spec = load(self.settings, self.space.input().join(folder), limits);
        spec.files = files;
        Ok(Load::create(&spec)?.run(&AtomicBool::new(false))?)
    }
}

/// Waits until all of `written` is delivered, once; tells how many seconds after `from_ns` that was.
pub(super) fn caught_up(mut agent: Agent, from_ns: u64, written: &[Totals]) -> anyhow::Result<f64> {
    let bytes = written.iter().map(|it| it.bytes).sum();
    let lines: u64 = written.iter().map(|it| it.lines).sum();
    let delivery = agent.wait_caught_up(bytes)?;
    let took = seconds(monotonic_ns() - from_ns);
    agent.stop()?;
    ensure!(
        delivery.bytes == bytes && delivery.records == Some(lines),
        "{lines} lines of {bytes} bytes were written, {delivery:?}"
    );
    Ok(took)
}

/// Writes to a new file until there is no room.
fn fill(path: &Path) -> anyhow::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).open(path)?;
    let piece = vec![0; FILL_BYTES];
    loop {
        match file.write_all(&piece) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
