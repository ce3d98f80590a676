//! Fast rotation: files rotate at 1 MiB each 200 ms, five are kept, and together they are written at
//! half of the speed that the agent reached just before.

use std::ffi::OsString;
use std::sync::atomic::AtomicBool;

use anyhow::ensure;

use super::paced::wait_listening;
use super::{Settings, Space, load, seconds, shown_config, tail};
use crate::clocks::SECOND_NS;
use crate::load::{Limits, Load};
use crate::report::{Goal, Section, Side, Table};
use crate::rotation::Rotation;

/// Bytes at which a file is rotated.
const ROTATE_BYTES: u64 = 1 << 20;
/// Rotations of each file in a second.
const ROTATIONS: u64 = 5;
/// Rotated files that are kept.
const KEEP: usize = 5;
/// Time that is written, in seconds: 25 rotations of each file.
const WRITE_SECONDS: u64 = 5;
/// Input that the agent's speed is measured with.
const PEAK_BYTES: u64 = 256 << 20;

const LOST: &str = "lost";
const DOUBLED: &str = "doubled";

pub(super) fn run(settings: &Settings, space: &Space) -> anyhow::Result<Section> {
    let bench = space.bench(settings);
    let columns = vec![
        ("peak MB/s", 0),
        ("files", 0),
        ("written MB/s", 0),
        ("lines", 0),
        (LOST, 0),
        (DOUBLED, 0),
    ];
    let mut table = Table { columns, runs: Vec::new() };
    for run in 1..=settings.runs {
        let peak = peak_bytes_a_second(settings, space)?;
        let files = (peak / 2 / (ROTATE_BYTES * ROTATIONS)).max(1);
        space.clear_input()?;
        let limits = Limits { time_ns: Some(WRITE_SECONDS * SECOND_NS), ..Limits::default() };
        let mut spec = load(settings, space.input(), limits);
        spec.files = u32::try_from(files)?;
        spec.rate = files * ROTATE_BYTES * ROTATIONS;
        spec.rotation = Some(Rotation { bytes: ROTATE_BYTES, files_max: KEEP + 1, late_ns: 0 });
        let mut load = Load::create(&spec)?;
        let mut agent = bench.start(&space.input_files(), true)?;
        wait_listening(&mut agent)?;
        let written = load.run(&AtomicBool::new(false))?;
        // What is lost is never delivered: then nothing more comes, and that ends the wait.
        let arrived = agent.wait_delivered(written.bytes);
        agent.stop()?;
        let place = [OsString::from("--queue"), bench.queue().into_os_string()];
        let verdict = tail::verdict(settings, &place, load.truth())?;
        ensure!(arrived.is_ok() || verdict.lost > 0, "not delivered, and yet nothing is lost");
        let row = vec![
            peak as f64 / 1e6,
            files as f64,
            written.bytes as f64 / 1e6 / WRITE_SECONDS as f64,
            written.lines as f64,
            verdict.lost as f64,
            verdict.doubled as f64,
        ];
        eprintln!("files-rotation: run {run} of {}: {verdict}", settings.runs);
        table.runs.push(row);
    }
    let worst = |name: &str, column: usize| Goal {
        what: format!("lines {name}, in the worst run"),
        measured: table.runs.iter().map(|row| row[column]).fold(0.0, f64::max),
        side: Side::AtMost,
        want: 0.0,
    };
    let goals = vec![worst(LOST, 4), worst(DOUBLED, 5)];
    Ok(Section {
        name: "files-rotation".to_owned(),
        what: format!(
            "Files that rotate at 1 MiB, {ROTATIONS} times a second each, {KEEP} rotated ones kept, \
             for {WRITE_SECONDS} s; as many files as make half of the speed into the queue that was \
             measured just before. Writer and agent share the machine."
        ),
        config: shown_config(&bench, space.input_files(), true),
        table,
        goals,
    })
}

/// How fast the agent delivers one large file to the queue now, its start counted in.
fn peak_bytes_a_second(settings: &Settings, space: &Space) -> anyhow::Result<u64> {
    space.clear_input()?;
    let limits = Limits { bytes: Some(PEAK_BYTES), ..Limits::default() };
    let written =
        Load::create(&load(settings, space.input(), limits))?.run(&AtomicBool::new(false))?;
    let mut agent = space.bench(settings).start(&space.input_files(), true)?;
    let delivery = agent.wait_delivered(written.bytes)?;
    agent.stop()?;
    let speed = written.bytes as f64 / seconds(delivery.elapsed_ns);
    Ok(format!("{speed:.0}").parse()?)
}
