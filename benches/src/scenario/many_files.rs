//! Many files: what it costs that the same bytes stand in more than one file, or among others.
//!
//! Input is renamed into the folder that a running agent watches, so that all of it is there at once
//! and the start of the agent is not counted in. Speeds are compared within one run.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::{MIB, Settings, Space, load, seconds, shown_config};
use crate::agent::{Agent, Bench};
use crate::clocks::monotonic_ns;
use crate::load::{Limits, Load};
use crate::report::{Goal, Section, Side, Table};

/// Files in which nothing happens.
const IDLE_FILES: u32 = 9_900;
/// Files with something in them.
const ACTIVE_FILES: u32 = 100;
/// Files of the other question, and bytes of each.
const SPLIT_FILES: u32 = 200;
const SPLIT_BYTES: u64 = 10 << 20;

const RATIO: &str = "ratio";
const PEAK: &str = "peak MiB";

/// 10,000 files, of which 100 have something, against one file.
pub(super) fn active(settings: &Settings, space: &Space) -> anyhow::Result<Section> {
    let question = Question {
        name: "files-active",
        files: ACTIVE_FILES,
        idle: IDLE_FILES,
        bytes: settings.input_bytes,
        ratio_min: 0.8,
        what: format!(
            "{} bytes in {ACTIVE_FILES} files among {IDLE_FILES} others of one line, against as \
             many bytes in one file",
            settings.input_bytes
        ),
    };
    question.run(settings, space)
}

/// 200 files of 10 MiB, against one file of the sum.
pub(super) fn split(settings: &Settings, space: &Space) -> anyhow::Result<Section> {
    let question = Question {
        name: "files-200",
        files: SPLIT_FILES,
        idle: 0,
        bytes: u64::from(SPLIT_FILES) * SPLIT_BYTES,
        ratio_min: 0.9,
        what: format!("{SPLIT_FILES} files of 10 MiB, against one file of the sum"),
    };
    question.run(settings, space)
}

/// Some files against one.
struct Question {
    name: &'static str,
    files: u32,
    idle: u32,
    bytes: u64,
    ratio_min: f64,
    what: String,
}

impl Question {
    fn run(&self, settings: &Settings, space: &Space) -> anyhow::Result<Section> {
        let bench = space.bench(settings);
        let columns = vec![("one file MB/s", 0), ("files MB/s", 0), (RATIO, 3), (PEAK, 1)];
        let mut table = Table { columns, runs: Vec::new() };
        for run in 1..=settings.runs {
            let one = self.measure(settings, space, &bench, 1, 0)?;
            let many = self.measure(settings, space, &bench, self.files, self.idle)?;
            let row = vec![one.0, many.0, many.0 / one.0, many.1];
            eprintln!("{}: run {run} of {}: ratio {:.2}", self.name, settings.runs, row[2]);
            table.runs.push(row);
        }
        let mut goals = vec![Goal {
            what: "speed against that of one file".to_owned(),
            measured: table.median(RATIO),
            side: Side::AtLeast,
            want: self.ratio_min,
        }];
        if self.idle == 0 {
            goals.push(Goal {
                what: "peak memory, MiB".to_owned(),
                measured: table.median(PEAK),
                side: Side::AtMost,
                want: 64.0,
            });
        }
        Ok(Section {
            name: self.name.to_owned(),
            what: format!(
                "{}: nginx lines in the page cache, renamed into the folder of an agent that runs, \
                 to the last byte in the blackhole, OTLP encoded.",
                self.what
            ),
            config: shown_config(&bench, space.input_files(), false),
            table,
            goals,
        })
    }

    /// MB a second, and the agent's peak of memory in MiB.
    fn measure(
        &self,
        settings: &Settings,
        space: &Space,
        bench: &Bench,
        files: u32,
        idle: u32,
    ) -> anyhow::Result<(f64, f64)> {
        space.clear_input()?;
        fs::create_dir_all(space.input())?;
        let idle_bytes = write_lines(&space.input(), idle)?;
        let stage = space.root.join("stage");
        let limits = Limits { bytes: Some(self.bytes), ..Limits::default() };
        let mut spec = load(settings, stage.clone(), limits);
        spec.files = files;
        let written = Load::create(&spec)?.run(&AtomicBool::new(false))?;
        let mut agent: Agent = bench.start(&space.input_files(), false)?;
        agent.wait_delivered(idle_bytes)?;
        let start_ns = monotonic_ns();
        for entry in fs::read_dir(&stage)? {
            let entry = entry?;
            fs::rename(entry.path(), space.input().join(entry.file_name()))?;
        }
        agent.wait_delivered(idle_bytes + written.bytes)?;
        let elapsed_ns = monotonic_ns() - start_ns;
        let usage = agent.stop()?;
        fs::remove_dir_all(&stage)?;
        let speed = written.bytes as f64 / 1e6 / seconds(elapsed_ns);
        Ok((speed, usage.peak_bytes as f64 / MIB))
    }
}

/// So many files of one line; returns the bytes in them.
pub(super) fn write_lines(folder: &Path, files: u32) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for number in 0..files {
        let line = format!("the only line of file {number}\n");
        bytes += line.len() as u64;
        fs::write(folder.join(format!("idle-{number:06}.log")), line)?;
    }
    Ok(bytes)
}
