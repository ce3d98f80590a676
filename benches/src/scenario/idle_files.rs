//! Idle files: a hundred thousand of them, from the start to the first record, and afterwards.

use std::fs;
use std::time::Duration;

use super::many_files::write_lines;
use super::{MIB, Settings, Space, seconds, shown_config};
use crate::process::threads_cpu_ns;
use crate::report::{Section, Side, Table};

/// Files, of one line each.
const FILES: u32 = 100_000;

/// From the start of the process to the first record delivered, in seconds.
const FIRST_SECONDS_MAX: f64 = 2.0;
/// Resident memory of each file, in bytes.
const EACH_BYTES_MAX: f64 = 1024.0;
/// "Not measurable": less than one clock tick of the kernel, in ms over the time looked at.
const CPU_MS_MAX: f64 = 10.0;

const FIRST: &str = "first record s";
const EACH: &str = "bytes each";
const CPU: &str = "CPU ms more";

pub(super) fn run(settings: &Settings, space: &Space) -> anyhow::Result<Section> {
    let bench = space.bench(settings);
    let columns =
        vec![(FIRST, 2), ("all s", 2), ("resident MiB", 1), (EACH, 0), ("CPU ms", 2), (CPU, 2)];
    let mut table = Table { columns, runs: Vec::new() };
    for run in 1..=settings.runs {
        let few = measure(settings, space, 1)?;
        let many = measure(settings, space, FILES)?;
        let each = (many.resident_bytes - few.resident_bytes) / f64::from(FILES - 1);
        let row = vec![
            many.first_seconds,
            many.all_seconds,
            many.resident_bytes / MIB,
            each,
            many.cpu_ms,
            (many.cpu_ms - few.cpu_ms).max(0.0),
        ];
        eprintln!("files-100000: run {run} of {}: {each:.0} bytes each", settings.runs);
        table.runs.push(row);
    }
    let goal = |what: &str, column: &str, want: f64| table.goal(what, column, Side::AtMost, want);
    let goals = vec![
        goal("start to first record, s", FIRST, FIRST_SECONDS_MAX),
        goal("memory of each file, bytes", EACH, EACH_BYTES_MAX),
        goal("CPU over the time looked at, more than with one file, ms", CPU, CPU_MS_MAX),
    ];
    Ok(Section {
        name: "files-100000".to_owned(),
        what: format!(
            "{FILES} files of one line in one folder, delivered to the embedded queue; {} s to \
             settle, then looked at for {} s. What each costs is the difference to an agent with \
             one file.",
            settings.settle_seconds, settings.idle_seconds
        ),
        config: shown_config(&bench, space.input_files(), true),
        table,
        goals,
    })
}

struct Measured {
    first_seconds: f64,
    all_seconds: f64,
    resident_bytes: f64,
    cpu_ms: f64,
}

fn measure(settings: &Settings, space: &Space, files: u32) -> anyhow::Result<Measured> {
    space.clear_input()?;
    fs::create_dir_all(space.input())?;
    let bytes = write_lines(&space.input(), files)?;
    let mut agent = space.bench(settings).start(&space.input_files(), true)?;
    let first = agent.wait_delivered(1)?;
    let all = agent.wait_delivered(bytes)?;
    std::thread::sleep(Duration::from_secs(settings.settle_seconds));
    let before_ns = threads_cpu_ns(agent.pid())?;
    // No question is put to it meanwhile: the answer would cost more than idling.
    std::thread::sleep(Duration::from_secs(settings.idle_seconds));
    let cpu_ns = threads_cpu_ns(agent.pid())?.saturating_sub(before_ns);
    let resident_bytes = agent.memory()?.resident_bytes as f64;
    agent.stop()?;
    Ok(Measured {
        first_seconds: seconds(first.elapsed_ns),
        all_seconds: seconds(all.elapsed_ns),
        resident_bytes,
        cpu_ms: cpu_ns as f64 / 1e6,
    })
}
