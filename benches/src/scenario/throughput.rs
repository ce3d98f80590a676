//! Throughput: a large input that is there at the start, to its last byte delivered.
//!
//! Start-up and end of the agent are counted in, and the floors are measured on the same file
//! before each run.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::Context;

use super::{MIB, Settings, Space, load, seconds, shown_config};
use crate::agent::{Agent, Bench, folder_bytes};
use crate::agent_config::InputConfig;
use crate::floors::{cat, compress, count_lines, mb_per_second};
use crate::layout::Layout;
use crate::load::{Limits, Load};
use crate::report::{Goal, Section, Side, Table};
use crate::wrap::Format;

/// Chunks that compression is measured with: the smallest and the largest batch of agents.
const CHUNKS_BYTES: [usize; 2] = [256 << 10, 1 << 20];

/// Peak memory at full speed, in MiB.
const PEAK_MIB_MAX: f64 = 48.0;

/// Which floor an agent is held against, per core used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Against {
    CountLines,
    /// The faster of the two chunk sizes.
    Zstd,
}

/// One question about speed.
#[derive(Debug)]
pub(super) struct Throughput {
    name: &'static str,
    format: Format,
    to_queue: bool,
    against: Against,
    /// Least share of the floor's speed, per core used.
    share_min: f64,
}

pub(super) const PLAIN_BLACKHOLE: Throughput = Throughput {
    name: "plain-blackhole",
    format: Format::Plain,
    to_queue: false,
    against: Against::CountLines,
    share_min: 0.35,
};

pub(super) const CRI_BLACKHOLE: Throughput = Throughput {
    name: "cri-blackhole",
    format: Format::Cri,
    to_queue: false,
    against: Against::CountLines,
    share_min: 0.30,
};

pub(super) const PLAIN_QUEUE: Throughput = Throughput {
    name: "plain-queue-zstd",
    format: Format::Plain,
    to_queue: true,
    against: Against::Zstd,
    share_min: 0.85,
};

pub(super) const CRI_QUEUE: Throughput = Throughput {
    name: "cri-queue-zstd",
    format: Format::Cri,
    to_queue: true,
    against: Against::Zstd,
    share_min: 0.85,
};

const CAT: &str = "cat MB/CPU s";
const COUNT: &str = "memchr MB/CPU s";
const ZSTD_SMALL: &str = "zstd 256 KiB MB/CPU s";
const ZSTD_LARGE: &str = "zstd 1 MiB MB/CPU s";
const AGENT: &str = "agent MB/CPU s";
const PEAK: &str = "peak MiB";

const COLUMNS: [(&str, usize); 12] = [
    (CAT, 0),
    (COUNT, 0),
    (ZSTD_SMALL, 0),
    (ZSTD_LARGE, 0),
    ("zstd 1 MiB ratio", 2),
    ("agent wall s", 3),
    ("agent MB/s", 0),
    ("agent CPU s", 2),
    (AGENT, 0),
    (PEAK, 1),
    ("records", 0),
    ("queue ratio", 2),
];

pub(super) fn run(
    question: &Throughput,
    settings: &Settings,
    space: &Space,
) -> anyhow::Result<Section> {
    let input = write_input(question, settings, space)?;
    let source = match question.format {
        Format::Plain => space.input_files(),
        Format::Cri | Format::Docker => InputConfig::Containers(space.input()),
    };
    let bench = space.bench(settings);
    let mut table = Table { columns: COLUMNS.to_vec(), runs: Vec::new() };
    for run in 1..=settings.runs {
        let mut row = floors(&input.path)?;
        row.extend(agent_run(question, &bench, &source, &input)?);
        eprintln!("{}: run {run} of {}: {:.0} MB per CPU s", question.name, settings.runs, row[8]);
        table.runs.push(row);
    }
    let what = format!(
        "{} lines, {} bytes of {} in one file in the page cache, delivered to {}; every run with \
         an empty state, start and end of the process counted in.",
        input.lines,
        input.bytes,
        if question.format == Format::Plain { "plain nginx lines" } else { "CRI lines" },
        if question.to_queue {
            "the embedded queue, zstd 1"
        } else {
            "the blackhole, OTLP encoded"
        },
    );
    Ok(Section {
        name: question.name.to_owned(),
        what,
        config: shown_config(&bench, source, question.to_queue),
        goals: goals(question, &table),
        table,
    })
}

/// The input that all runs of one question read.
#[derive(Debug)]
struct Input {
    path: PathBuf,
    bytes: u64,
    lines: u64,
}

fn write_input(question: &Throughput, settings: &Settings, space: &Space) -> anyhow::Result<Input> {
    let limits = Limits { bytes: Some(settings.input_bytes), ..Limits::default() };
    let mut spec = load(settings, space.input(), limits);
    spec.format = question.format;
    if question.format != Format::Plain {
        spec.layout = Layout::Pods;
    }
    let mut load = Load::create(&spec)?;
    let written = load.run(&AtomicBool::new(false))?;
    let truth = load.truth();
    let stream = truth.first().context("a load of one file has one stream")?;
    Ok(Input { path: PathBuf::from(&stream.path), bytes: written.bytes, lines: written.lines })
}

/// The first five columns.
fn floors(path: &Path) -> anyhow::Result<Vec<f64>> {
    let [small, large] = CHUNKS_BYTES;
    let large = compress(path, large)?;
    Ok(vec![
        cat(path)?.mb_per_cpu_second(),
        count_lines(path)?.mb_per_cpu_second(),
        compress(path, small)?.mb_per_cpu_second(),
        large.mb_per_cpu_second(),
        large.bytes as f64 / large.out as f64,
    ])
}

/// The other columns.
fn agent_run(
    question: &Throughput,
    bench: &Bench,
    source: &InputConfig,
    input: &Input,
) -> anyhow::Result<Vec<f64>> {
    let mut agent: Agent = bench.start(source, question.to_queue)?;
    let delivery = agent.wait_delivered(input.bytes)?;
    let usage = agent.stop()?;
    let stored = if question.to_queue { folder_bytes(&bench.queue())? } else { 0 };
    let ratio = if stored > 0 { input.bytes as f64 / stored as f64 } else { f64::NAN };
    Ok(vec![
        seconds(delivery.elapsed_ns),
        mb_per_second(input.bytes, delivery.elapsed_ns),
        seconds(usage.cpu_ns),
        mb_per_second(input.bytes, usage.cpu_ns),
        usage.peak_bytes as f64 / MIB,
        delivery.records.map_or(f64::NAN, |records| records as f64),
        ratio,
    ])
}

fn goals(question: &Throughput, table: &Table) -> Vec<Goal> {
    let (floor, name) = match question.against {
        Against::CountLines => (table.median(COUNT), "memchr line count"),
        Against::Zstd => (
            table.median(ZSTD_SMALL).max(table.median(ZSTD_LARGE)),
            "bare zstd 1 (the faster chunk)",
        ),
    };
    vec![
        Goal {
            what: format!("MB per CPU second against {name}"),
            measured: table.median(AGENT) / floor,
            side: Side::AtLeast,
            want: question.share_min,
        },
        Goal {
            what: "peak memory, MiB".to_owned(),
            measured: table.median(PEAK),
            side: Side::AtMost,
            want: PEAK_MIB_MAX,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_hold_medians_against_the_right_floor() {
        let run = |agent: f64| {
            vec![9e3, 6e3, 800.0, 1e3, 6.0, 1.0, 1e3, 1.0, agent, 40.0, f64::NAN, f64::NAN]
        };
        let table =
            Table { columns: COLUMNS.to_vec(), runs: vec![run(3e3), run(900.0), run(850.0)] };
        let plain = goals(&PLAIN_BLACKHOLE, &table);
        assert_eq!(plain[0].measured, 0.15);
        assert!(!plain[0].is_met() && plain[1].is_met());
        let queue = goals(&PLAIN_QUEUE, &table);
        assert_eq!(queue[0].measured, 0.9);
        assert!(queue[0].is_met());
    }
}
