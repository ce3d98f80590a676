//! Log disk: what writing to one costs, against tmpfs and ext4 in the same run, and what becomes of writers whose
//! daemon is killed.
//!
//! Nobody collects the volume here: it has room for all that is written. CPU of the daemon is that of its
//! supervisor too, which asks the page cache. What the kernel's own threads do (write back, for ext4 and the
//! page cache of a log disk alike) is nobody's.

mod arriving;
mod end_to_end;
mod killing;
mod writing;

use std::thread;
use std::time::Duration;

use super::mounted::Mounted;
use super::{MIB, Settings, Space};
use crate::clocks::monotonic_ns;
use crate::floors::mb_per_second;
use crate::log_disk::LogDisk;
use crate::report::{Goal, Section, Side, Table};
use writing::{Flow, Written, write};

pub(super) use end_to_end::run as end_to_end;

/// Room of the file systems that are compared: for all that is written in one run.
const ROOM_BYTES: u64 = 2 << 30;
/// Bytes of a line, with its line feed.
const LINE_BYTES: usize = 256;
/// Bytes that a buffered writer writes at once.
const BUFFER_BYTES: usize = 8 << 10;
/// Bytes that each buffered writer writes in all.
const BUFFERED_BYTES: u64 = 64 << 20;
/// Writers at once.
const WRITERS: u32 = 8;
/// How long a volume is left alone before it counts as idle.
const SETTLE: Duration = Duration::from_secs(2);
/// How long an idle volume is looked at.
const IDLE: Duration = Duration::from_secs(5);
/// Resident memory of a daemon without a backlog, in MiB.
const RESIDENT_MIB_MAX: f64 = 16.0;

/// One mode, and what is promised of it.
#[derive(Debug)]
pub(super) struct Case {
    name: &'static str,
    mode: &'static str,
    /// Lines of 256 B, one write each.
    lines: u64,
    writer_times_max: Option<f64>,
    all_times_max: Option<f64>,
    wall_times_max: f64,
    buffered_times_max: f64,
    together_min: f64,
    arrival_ms_max: f64,
    idle_ms_max: f64,
    restart_ms_max: f64,
}

pub(super) const WRITEBACK: Case = Case {
    name: "logdisk-writeback",
    mode: "writeback",
    lines: 200_000,
    writer_times_max: Some(1.5),
    all_times_max: Some(1.5),
    wall_times_max: 2.0,
    buffered_times_max: 1.5,
    together_min: 1000.0,
    // A flush each 20 ms, and 5.
    arrival_ms_max: 25.0,
    idle_ms_max: 2.0,
    restart_ms_max: 50.0,
};

pub(super) const FAST: Case = Case {
    name: "logdisk-fast",
    mode: "fast",
    lines: 200_000,
    writer_times_max: Some(1.6),
    all_times_max: Some(1.5),
    wall_times_max: 1.5,
    buffered_times_max: 1.5,
    together_min: 1500.0,
    arrival_ms_max: 3.0,
    idle_ms_max: 0.5,
    restart_ms_max: 20.0,
};

pub(super) const STRICT: Case = Case {
    name: "logdisk-strict",
    mode: "strict",
    lines: 50_000,
    writer_times_max: None,
    all_times_max: None,
    wall_times_max: 12.0,
    buffered_times_max: 2.0,
    together_min: 500.0,
    arrival_ms_max: 3.0,
    idle_ms_max: 0.5,
    restart_ms_max: 100.0,
};

const WRITER_TIMES: &str = "writer CPU × tmpfs";
const ALL_TIMES: &str = "all CPU × ext4";
const WALL_TIMES: &str = "wall × ext4";
const BUFFERED_TIMES: &str = "8 KiB wall × tmpfs";
const TOGETHER: &str = "8 writers MB/s";
const ARRIVAL: &str = "in the store p99 ms";
const IDLE_CPU: &str = "idle ms/s";
const RESIDENT: &str = "daemon MiB";
const LOST: &str = "lost";
const RESTART: &str = "killed: worst write ms";

pub(super) fn run(case: &Case, settings: &Settings, space: &Space) -> anyhow::Result<Section> {
    let columns = vec![
        ("tmpfs CPU µs/line", 2),
        ("ext4 CPU µs/line", 2),
        ("writer CPU µs/line", 2),
        ("daemon CPU µs/line", 2),
        (WRITER_TIMES, 2),
        (ALL_TIMES, 2),
        ("wall µs/line", 2),
        (WALL_TIMES, 2),
        (BUFFERED_TIMES, 2),
        ("tmpfs 8 writers MB/s", 0),
        (TOGETHER, 0),
        (ARRIVAL, 2),
        (IDLE_CPU, 2),
        (RESIDENT, 1),
        (LOST, 0),
        (RESTART, 1),
    ];
    let mut table = Table { columns, runs: Vec::new() };
    for run in 1..=settings.runs {
        let row = once(case, settings, space)?;
        eprintln!("{}: run {run} of {}: {row:.2?}", case.name, settings.runs);
        table.runs.push(row);
    }
    let goals = goals(case, &table);
    Ok(Section {
        name: case.name.to_owned(),
        what: format!(
            "{} lines of {LINE_BYTES} bytes, one write each, by one writer; then 64 MiB by writes of 8 KiB; then as \
             much by each of {WRITERS} writers at once; on tmpfs, ext4 (in a file in the scratch folder, lines \
             only) and a log disk after each other; then 5,000 lines a second, each until the agent could read it; \
             then {} s in which nothing happens; then 2,000 lines a second while the daemon is killed {} times. Nobody \
             collects the volume. Ratios are of one run.",
            case.lines,
            IDLE.as_secs(),
            killing::KILLS,
        ),
        config: format!("logdisk mount: {}\n", options(case).join(" ")),
        table,
        goals,
    })
}

fn options(case: &Case) -> Vec<String> {
    ["--mode", case.mode, "--size", &ROOM_BYTES.to_string()].map(str::to_owned).to_vec()
}

/// One run, as a row of the table.
fn once(case: &Case, settings: &Settings, space: &Space) -> anyhow::Result<Vec<f64>> {
    let lines = Flow { writers: 1, write_bytes: LINE_BYTES, bytes: case.lines * LINE_BYTES as u64 };
    let buffered = Flow { writers: 1, write_bytes: BUFFER_BYTES, bytes: BUFFERED_BYTES };
    let together = Flow { writers: WRITERS, ..buffered };
    let on_tmpfs = {
        let disk = Mounted::tmpfs(&space.root.join("tmpfs"), ROOM_BYTES)?;
        let all = [&lines, &buffered, &together].map(|it| write(it, disk.path(), None));
        all.into_iter().collect::<anyhow::Result<Vec<_>>>()?
    };
    let on_ext4 = {
        let disk = Mounted::ext4(&space.root.join("ext4"), ROOM_BYTES)?;
        write(&lines, disk.path(), None)?
    };
    let folder = space.root.join("logdisk");
    let disk = LogDisk::mount(&settings.logdisk, &folder, &options(case))?;
    let by_line = measured(&lines, &disk, "lines")?;
    let by_buffer = measured(&buffered, &disk, "buffered")?;
    let at_once = measured(&together, &disk, "together")?;
    let arrival = arriving::p99_ns(&disk)?;
    let idle = idle(&disk)?;
    let resident = disk.memory()?.resident_bytes;
    let killed = killing::kill(&disk)?;
    let us_per_line = |ns: u64| ns as f64 / 1e3 / case.lines as f64;
    let times = |one: u64, other: u64| one as f64 / other.max(1) as f64;
    let both_ns = by_line.cpu_ns + by_line.daemon_cpu_ns;
    Ok(vec![
        us_per_line(on_tmpfs[0].cpu_ns),
        us_per_line(on_ext4.cpu_ns),
        us_per_line(by_line.cpu_ns),
        us_per_line(by_line.daemon_cpu_ns),
        times(by_line.cpu_ns, on_tmpfs[0].cpu_ns),
        times(both_ns, on_ext4.cpu_ns),
        us_per_line(by_line.wall_ns),
        times(by_line.wall_ns, on_ext4.wall_ns),
        times(by_buffer.wall_ns, on_tmpfs[1].wall_ns),
        mb_per_second(on_tmpfs[2].bytes, on_tmpfs[2].wall_ns),
        mb_per_second(at_once.bytes, at_once.wall_ns),
        arrival.map_or(f64::NAN, |ns| ns as f64 / 1e6),
        idle,
        resident as f64 / MIB,
        killed.lost as f64,
        killed.worst_ns as f64 / 1e6,
    ])
}

/// Writes to a folder of a log disk, until all is where the agent reads.
fn measured(flow: &Flow, disk: &LogDisk, name: &str) -> anyhow::Result<Written> {
    let target = disk.target().join(name);
    std::fs::create_dir(&target)?;
    write(flow, &target, Some((disk, &disk.logs().join(name))))
}

/// CPU of a volume in which nothing happens, in milliseconds a second.
fn idle(disk: &LogDisk) -> anyhow::Result<f64> {
    thread::sleep(SETTLE);
    let begin = (monotonic_ns(), disk.cpu_ns()?);
    thread::sleep(IDLE);
    let end = (monotonic_ns(), disk.cpu_ns()?);
    Ok(1e3 * (end.1 - begin.1) as f64 / (end.0 - begin.0) as f64)
}

fn goals(case: &Case, table: &Table) -> Vec<Goal> {
    let most = |what: &str, column: &str, want: f64| table.goal(what, column, Side::AtMost, want);
    let mut goals = Vec::new();
    if let Some(want) = case.writer_times_max {
        goals.push(most("writer's CPU for a line against tmpfs", WRITER_TIMES, want));
    }
    if let Some(want) = case.all_times_max {
        goals.push(most("writer's and daemon's CPU against a writer to ext4", ALL_TIMES, want));
    }
    goals.extend([
        most("wall, one write per line, against ext4", WALL_TIMES, case.wall_times_max),
        most("wall, 8 KiB buffered, against tmpfs", BUFFERED_TIMES, case.buffered_times_max),
        table.goal("8 writers, 8 KiB, MB/s", TOGETHER, Side::AtLeast, case.together_min),
        most("a line where the agent reads, p99 ms", ARRIVAL, case.arrival_ms_max),
        most("idle CPU, ms a second", IDLE_CPU, case.idle_ms_max),
        most("daemon's resident memory, MiB", RESIDENT, RESIDENT_MIB_MAX),
        Goal {
            what: format!("lines lost in {} kills, in all runs", killing::KILLS),
            measured: sum(table, LOST),
            side: Side::AtMost,
            want: 0.0,
        },
        most("worst write over a kill, ms", RESTART, case.restart_ms_max),
    ]);
    goals
}

fn sum(table: &Table, name: &str) -> f64 {
    let at = table.columns.iter().position(|(column, _)| *column == name);
    at.map_or(f64::NAN, |at| table.runs.iter().map(|run| run[at]).sum())
}
