//! Paced: what an agent costs at the steady rate of a busy node.

use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use anyhow::anyhow;

use super::{MIB, Settings, Space, load, seconds, shown_config};
use crate::agent::Agent;
use crate::clocks::{SECOND_NS, monotonic_ns};
use crate::load::{Limits, Load, LoadError, Totals};
use crate::process::threads_cpu_ns;
use crate::report::{Goal, Section, Side, Table};
use crate::shape::Shape;

/// Bytes a second.
const RATE: u64 = 10_000_000;
/// Bytes of a message: with its line feed, 512.
const MESSAGE_BYTES: usize = 511;
/// Time between two looks at memory.
const LOOK: Duration = Duration::from_millis(100);

/// CPU at this rate, in per cent of a core.
const CPU_PERCENT_MAX: f64 = 2.0;
/// Peak memory at this rate, in MiB.
const PEAK_MIB_MAX: f64 = 24.0;

const CPU: &str = "CPU %";
const PEAK: &str = "peak MiB";

pub(super) fn run(settings: &Settings, space: &Space) -> anyhow::Result<Section> {
    let bench = space.bench(settings);
    let columns = vec![("MB/s", 2), (CPU, 2), (PEAK, 1), ("drained after ms", 0)];
    let mut table = Table { columns, runs: Vec::new() };
    for run in 1..=settings.runs {
        space.clear_input()?;
        let time_ns = settings.paced_seconds * SECOND_NS;
        let limits = Limits { time_ns: Some(time_ns), ..Limits::default() };
        let mut spec = load(settings, space.input(), limits);
        spec.shape = Shape::Fixed(MESSAGE_BYTES);
        spec.rate = RATE;
        let mut load = Load::create(&spec)?;
        let mut agent = bench.start(&space.input_files(), true)?;
        wait_listening(&mut agent)?;

        let start = (monotonic_ns(), threads_cpu_ns(agent.pid())?);
        let written = write_watched(&mut load, &mut agent)?;
        let written_ns = monotonic_ns();
        agent.wait_delivered(written.bytes)?;
        let end = (monotonic_ns(), threads_cpu_ns(agent.pid())?);
        let usage = agent.stop()?;

        let row = vec![
            written.bytes as f64 / 1e6 / seconds(written_ns - start.0),
            100.0 * seconds(end.1.saturating_sub(start.1)) / seconds(end.0 - start.0),
            usage.peak_bytes as f64 / MIB,
            seconds(end.0 - written_ns) * 1e3,
        ];
        eprintln!("paced-10mb: run {run} of {}: {:.2} % of a core", settings.runs, row[1]);
        table.runs.push(row);
    }
    let goals = vec![
        goal("CPU, per cent of a core", table.median(CPU), CPU_PERCENT_MAX),
        goal("peak memory, MiB", table.median(PEAK), PEAK_MIB_MAX),
    ];
    Ok(Section {
        name: "paced-10mb".to_owned(),
        what: format!(
            "Lines of 512 bytes appended to one file at {} MB/s for {} s in steps of 10 ms, \
             delivered to the embedded queue, zstd 1. CPU from the first line to the last \
             acknowledgement; memory from the agent's start to its end.",
            RATE / 1_000_000,
            settings.paced_seconds
        ),
        config: shown_config(&bench, space.input_files(), true),
        table,
        goals,
    })
}

/// Waits until the agent answers: with nothing to deliver, it then has started.
pub(super) fn wait_listening(agent: &mut Agent) -> anyhow::Result<()> {
    agent.wait_delivered(0).map(drop)
}

/// Runs `load` on a thread of its own and watches the agent's memory until it is written.
fn write_watched(load: &mut Load, agent: &mut Agent) -> anyhow::Result<Totals> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| -> Result<Totals, LoadError> { load.run(&stop) });
        let mut watched = Ok(());
        while !writer.is_finished() {
            watched = agent.memory().map(drop);
            if watched.is_err() {
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
                break;
            }
            thread::sleep(LOOK);
        }
        let written = writer.join().map_err(|_| anyhow!("writer of the load panicked"))?;
        watched?;
        Ok(written?)
    })
}

fn goal(what: &str, measured: f64, want: f64) -> Goal {
    Goal { what: what.to_owned(), measured, side: Side::AtMost, want }
}
