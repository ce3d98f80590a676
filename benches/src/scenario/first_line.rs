//! First line: from its write into a new file until it stands in the sink, one file after another.
//!
//! The sink is a file, which the bench looks at itself: what the agent could tell begins when it
//! noticed the file.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use anyhow::ensure;

use super::paced::wait_listening;
use super::{Settings, Space};
use crate::agent_config::OutputConfig;
use crate::clocks::{SECOND_NS, monotonic_ns};
use crate::report::{Goal, Section, Side, Table};

/// Time between two looks at the sink.
const LOOK: Duration = Duration::from_micros(500);
/// A line that takes longer has failed.
const FAIL_NS: u64 = 30 * SECOND_NS;
/// 99th percentile, in ms.
const P99_MS_MAX: f64 = 100.0;

const P99: &str = "p99 ms";

pub(super) fn run(settings: &Settings, space: &Space) -> anyhow::Result<Section> {
    let bench = space.bench(settings);
    let sink = space.root.join("sink.jsonl");
    let columns = vec![("p50 ms", 1), (P99, 1), ("max ms", 1)];
    let mut table = Table { columns, runs: Vec::new() };
    for run in 1..=settings.runs {
        space.clear_input()?;
        fs::create_dir_all(space.input())?;
        if let Err(error) = fs::remove_file(&sink) {
            ensure!(error.kind() == ErrorKind::NotFound, "{}: {error}", sink.display());
        }
        let output = OutputConfig::File(sink.clone());
        let mut agent = bench.start_into(&space.input_files(), output)?;
        wait_listening(&mut agent)?;
        let mut times_ms = Vec::new();
        for number in 0..settings.latency_files {
            let before = fs::metadata(&sink).map_or(0, |it| it.len());
            let start_ns = monotonic_ns();
            fs::write(space.input().join(format!("new-{number:06}.log")), "first line\n")?;
            while fs::metadata(&sink).map_or(0, |it| it.len()) == before {
                ensure!(monotonic_ns() - start_ns < FAIL_NS, "a line does not arrive");
                std::thread::sleep(LOOK);
            }
            times_ms.push((monotonic_ns() - start_ns) as f64 / 1e6);
        }
        agent.stop()?;
        times_ms.sort_by(f64::total_cmp);
        let at = |share: usize| times_ms[(times_ms.len() - 1) * share / 100];
        let row = vec![at(50), at(99), at(100)];
        eprintln!("files-first-line: run {run} of {}: p99 {:.1} ms", settings.runs, row[1]);
        table.runs.push(row);
    }
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    Ok(Section {
        name: "files-first-line".to_owned(),
        what: format!(
            "{} new files of one line, one after another; from before the file is made until the \
             file sink has grown, looked at every {} µs.",
            settings.latency_files,
            LOOK.as_micros()
        ),
        config: bench.config(space.input_files(), OutputConfig::File(sink), listen).to_yaml(),
        goals: vec![Goal {
            what: "first line to sink, p99, ms".to_owned(),
            measured: table.median(P99),
            side: Side::AtMost,
            want: P99_MS_MAX,
        }],
        table,
    })
}
