//! Idle: what an agent costs that watches many files in which nothing happens.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::{MIB, Settings, Space, load, shown_config};
use crate::load::{Limits, Load};
use crate::process::{cpu_ns, threads_cpu_ns};
use crate::report::{Goal, Section, Side, Table};

/// Files watched.
const FILES: u32 = 1_000;
/// Lines in each, delivered before the agent counts as idle.
const LINES_PER_FILE: u64 = 10;

/// Resident memory of an idle agent, in MiB.
const RESIDENT_MIB_MAX: f64 = 16.0;
/// "No measurable CPU": less than one clock tick of the kernel, in ms over the time looked at.
const CPU_MS_MAX: f64 = 10.0;

const RESIDENT: &str = "resident MiB";
const CPU: &str = "CPU ms";

pub(super) fn run(settings: &Settings, space: &Space) -> anyhow::Result<Section> {
    let limits = Limits { lines: Some(u64::from(FILES) * LINES_PER_FILE), ..Limits::default() };
    let mut spec = load(settings, space.input(), limits);
    spec.files = FILES;
    let written = Load::create(&spec)?.run(&AtomicBool::new(false))?;
    let bench = space.bench(settings);
    let columns = vec![(RESIDENT, 1), ("peak MiB", 1), (CPU, 3), ("CPU ms by ticks", 0)];
    let mut table = Table { columns, runs: Vec::new() };
    for run in 1..=settings.runs {
        let mut agent = bench.start(&space.input_files(), true)?;
        agent.wait_delivered(written.bytes)?;
        std::thread::sleep(Duration::from_secs(settings.settle_seconds));
        let before = (threads_cpu_ns(agent.pid())?, cpu_ns(agent.pid())?);
        // No question is put to it meanwhile: the answer would cost more than idling.
        std::thread::sleep(Duration::from_secs(settings.idle_seconds));
        let after = (threads_cpu_ns(agent.pid())?, cpu_ns(agent.pid())?);
        let memory = agent.memory()?;
        agent.stop()?;
        let row = vec![
            memory.resident_bytes as f64 / MIB,
            memory.peak_bytes as f64 / MIB,
            after.0.saturating_sub(before.0) as f64 / 1e6,
            after.1.saturating_sub(before.1) as f64 / 1e6,
        ];
        eprintln!("idle-1000: run {run} of {}: {:.1} MiB", settings.runs, row[0]);
        table.runs.push(row);
    }
    let goals = vec![
        goal("resident memory, MiB", table.median(RESIDENT), RESIDENT_MIB_MAX),
        goal("CPU over the time looked at, ms", table.median(CPU), CPU_MS_MAX),
    ];
    Ok(Section {
        name: "idle-1000".to_owned(),
        what: format!(
            "{FILES} files of {LINES_PER_FILE} lines, all delivered to the embedded queue; {} s \
             to settle, then looked at for {} s.",
            settings.settle_seconds, settings.idle_seconds
        ),
        config: shown_config(&bench, space.input_files(), true),
        table,
        goals,
    })
}

fn goal(what: &str, measured: f64, want: f64) -> Goal {
    Goal { what: what.to_owned(), measured, side: Side::AtMost, want }
}
