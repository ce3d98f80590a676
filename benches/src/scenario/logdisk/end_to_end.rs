//! End to end: lines of eight writers, through a log disk and an agent, to their acknowledgement in the queue.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::anyhow;

use super::super::paced::wait_listening;
use super::super::{MIB, Settings, Space, load, seconds, shown_config};
use super::WRITERS;
use super::writing::append_to;
use crate::agent_config::InputConfig;
use crate::clocks::{SecondText, monotonic_ns, thread_cpu_ns, unix_ns};
use crate::floors::{compress, mb_per_second};
use crate::load::{Limits, Load};
use crate::log_disk::LogDisk;
use crate::process::threads_cpu_ns;
use crate::random::Random;
use crate::report::{Section, Side, Table};
use crate::shape::{LinePool, Shape};
use crate::token::Token;

/// Budget of the volume: a quarter of what is written, at the usual size.
const BUDGET_BYTES: u64 = 256 << 20;
/// Chunk that bare compression is measured with.
const CHUNK_BYTES: usize = 1 << 20;
/// Time between two looks at the memory that is held.
const LOOK: Duration = Duration::from_millis(20);
/// How long the daemon has to give its memory back.
const SETTLE: Duration = Duration::from_secs(2);

/// Least share of bare zstd's speed.
const SHARE_MIN: f64 = 0.8;

const SHARE: &str = "MB/s × zstd";
const HELD: &str = "store peak MiB";
const RESIDENT: &str = "daemon MiB";

pub(in crate::scenario) fn run(settings: &Settings, space: &Space) -> anyhow::Result<Section> {
    let columns = vec![
        ("zstd MB/CPU s", 0),
        ("wall s", 3),
        ("MB/s", 0),
        (SHARE, 3),
        ("agent CPU s", 2),
        ("disk CPU s", 2),
        ("writers CPU s", 2),
        ("all MB/CPU s × zstd", 3),
        (HELD, 1),
        (RESIDENT, 1),
    ];
    let mut table = Table { columns, runs: Vec::new() };
    for run in 1..=settings.runs {
        let row = once(settings, space)?;
        eprintln!("logdisk-end-to-end: run {run} of {}: {row:.2?}", settings.runs);
        table.runs.push(row);
    }
    let goals = vec![
        table.goal(
            "MB/s against MB per CPU second of bare zstd 1",
            SHARE,
            Side::AtLeast,
            SHARE_MIN,
        ),
        table.goal(
            "memory of the volume at most, MiB",
            HELD,
            Side::AtMost,
            BUDGET_BYTES as f64 / MIB,
        ),
        table.goal(
            "daemon's memory afterwards, MiB",
            RESIDENT,
            Side::AtMost,
            super::RESIDENT_MIB_MAX,
        ),
    ];
    Ok(Section {
        name: "logdisk-end-to-end".to_owned(),
        what: format!(
            "{WRITERS} writers of nginx lines of 256 bytes in the mean, one write each, flat out, {} bytes in all, to a \
             log disk with the options of its defaults and a budget of {} MiB; an agent collects it into the embedded \
             queue, zstd 1. From the first write to the last acknowledgement; writers, daemon and agent share the \
             machine's cores with each other.",
            settings.input_bytes,
            BUDGET_BYTES >> 20,
        ),
        config: shown_config(&space.bench(settings), collected(&space.root.join("logdisk")), true),
        table,
        goals,
    })
}

fn collected(folder: &Path) -> InputConfig {
    InputConfig::Files(folder.join("store/logs/*.log").to_string_lossy().into_owned())
}

fn once(settings: &Settings, space: &Space) -> anyhow::Result<Vec<f64>> {
    let zstd = bare(settings, space)?;
    let bench = space.bench(settings);
    let folder = space.root.join("logdisk");
    let mut agent = bench.start(&collected(&folder), true)?;
    wait_listening(&mut agent)?;
    let state = bench.folder.join("state").to_string_lossy().into_owned();
    let size = BUDGET_BYTES.to_string();
    let options = ["--size", &size, "--agent-state", &state].map(str::to_owned);
    let disk = LogDisk::mount(&settings.logdisk, &folder, &options)?;
    let is_over = AtomicBool::new(false);
    let peak_bytes = AtomicU64::new(0);
    let begin = (monotonic_ns(), threads_cpu_ns(agent.pid())?, disk.cpu_ns()?);
    let (bytes, writers_cpu_ns) = thread::scope(|scope| {
        let watch = scope.spawn(|| -> anyhow::Result<()> {
            while !is_over.load(Ordering::Acquire) {
                peak_bytes.fetch_max(disk.held_bytes()?, Ordering::Relaxed);
                thread::sleep(LOOK);
            }
            Ok(())
        });
        let target = disk.target();
        let each = settings.input_bytes / u64::from(WRITERS);
        let writers: Vec<_> = (0..WRITERS)
            .map(|it| {
                let path = target.join(format!("{it}.log"));
                scope.spawn(move || write(&path, it, settings.seed, each))
            })
            .collect();
        let mut sums = (0, 0);
        for writer in writers {
            let (bytes, cpu_ns) = writer.join().map_err(|_| anyhow!("a writer panicked"))??;
            sums = (sums.0 + bytes, sums.1 + cpu_ns);
        }
        let delivered = agent.wait_delivered(sums.0);
        is_over.store(true, Ordering::Release);
        watch.join().map_err(|_| anyhow!("the watch panicked"))??;
        delivered.map(|_| sums)
    })?;
    let wall_ns = monotonic_ns() - begin.0;
    let (agent_ns, disk_ns) = (threads_cpu_ns(agent.pid())? - begin.1, disk.cpu_ns()? - begin.2);
    thread::sleep(SETTLE);
    let resident = disk.memory()?.resident_bytes;
    // It acknowledges what the end of the volume waits for.
    drop(disk);
    agent.stop()?;
    let (speed, all_ns) = (mb_per_second(bytes, wall_ns), agent_ns + disk_ns + writers_cpu_ns);
    Ok(vec![
        zstd,
        seconds(wall_ns),
        speed,
        speed / zstd,
        seconds(agent_ns),
        seconds(disk_ns),
        seconds(writers_cpu_ns),
        mb_per_second(bytes, all_ns) / zstd,
        peak_bytes.into_inner() as f64 / MIB,
        resident as f64 / MIB,
    ])
}

/// Speed of bare zstd on such lines.
fn bare(settings: &Settings, space: &Space) -> anyhow::Result<f64> {
    space.clear_input()?;
    let bytes = Some(settings.input_bytes / u64::from(WRITERS));
    let limits = Limits { bytes, ..Limits::default() };
    Load::create(&load(settings, space.input(), limits))?.run(&AtomicBool::new(false))?;
    let path = space.input().join("app-000000.log");
    Ok(compress(&path, CHUNK_BYTES)?.mb_per_cpu_second())
}

/// One writer: as many lines as make so many bytes; returns bytes and CPU, the making of the lines included.
fn write(path: &Path, stream: u32, seed: u64, bytes_min: u64) -> anyhow::Result<(u64, u64)> {
    let pool = LinePool::new(Shape::Nginx, Random::new(seed + u64::from(stream)));
    let mut file = append_to(path)?;
    let mut text = SecondText::new(unix_ns());
    let (mut bytes, mut number) = (0, 0_usize);
    let mut line = Vec::new();
    let begin_ns = thread_cpu_ns();
    while bytes < bytes_min {
        let now_ns = unix_ns();
        text.turn_to(now_ns);
        line.clear();
        let token = Token { stream, number: number as u64 };
        pool.render(number % pool.lines(), now_ns, &text, token, &mut line);
        line.push(b'\n');
        file.write_all(&line)?;
        (bytes, number) = (bytes + line.len() as u64, number + 1);
    }
    Ok((bytes, thread_cpu_ns() - begin_ns))
}
