//! Latency: from the first line in a new file to its acknowledgement, many files one after another.
//!
//! The agent measures it itself (`logferry_write_to_ack_seconds`): asking it often enough from
//! outside would change the answer.

use std::fs;
use std::time::Duration;

use super::paced::wait_listening;
use super::{Settings, Space, shown_config};
use crate::clocks::{SecondText, unix_ns};
use crate::random::Random;
use crate::report::{Section, Table};
use crate::shape::{LinePool, Shape};
use crate::token::Token;

/// The agent's own histogram.
const WRITE_TO_ACK: &str = "logferry_write_to_ack_seconds";
/// Time between two new files.
const STEP: Duration = Duration::from_millis(10);

pub(super) fn run(settings: &Settings, space: &Space) -> anyhow::Result<Section> {
    let bench = space.bench(settings);
    let columns = vec![("p50 ms", 2), ("p99 ms", 2), ("CPU s", 2)];
    let mut table = Table { columns, runs: Vec::new() };
    for run in 1..=settings.runs {
        space.clear_input()?;
        fs::create_dir_all(space.input())?;
        let mut agent = bench.start(&space.input_files(), true)?;
        wait_listening(&mut agent)?;
        let bytes = write_new_files(settings, space)?;
        agent.wait_delivered(bytes)?;
        let metrics = agent.metrics()?;
        let usage = agent.stop()?;
        let quantile_ms = |quantile: f64| {
            metrics.quantile(WRITE_TO_ACK, quantile).map_or(f64::NAN, |seconds| seconds * 1e3)
        };
        let row = vec![quantile_ms(0.5), quantile_ms(0.99), super::seconds(usage.cpu_ns)];
        eprintln!("latency: run {run} of {}: p99 {:.1} ms", settings.runs, row[1]);
        table.runs.push(row);
    }
    Ok(Section {
        name: "latency".to_owned(),
        what: format!(
            "{} new files of one line each, one every {} ms, to the embedded queue; quantiles \
             interpolated from the agent's histogram {WRITE_TO_ACK}.",
            settings.latency_files,
            STEP.as_millis()
        ),
        config: shown_config(&bench, space.input_files(), true),
        table,
        goals: Vec::new(),
    })
}

/// Writes the files and says how many bytes are in them.
fn write_new_files(settings: &Settings, space: &Space) -> anyhow::Result<u64> {
    let pool = LinePool::new(Shape::Nginx, Random::new(settings.seed));
    let mut text = SecondText::new(unix_ns());
    let mut bytes = 0;
    for file in 0..settings.latency_files {
        let now_ns = unix_ns();
        text.turn_to(now_ns);
        let mut line = Vec::new();
        let token = Token { stream: file, number: 0 };
        pool.render(file as usize % pool.lines(), now_ns, &text, token, &mut line);
        line.push(b'\n');
        bytes += line.len() as u64;
        fs::write(space.input().join(format!("new-{file:06}.log")), &line)?;
        std::thread::sleep(STEP);
    }
    Ok(bytes)
}
