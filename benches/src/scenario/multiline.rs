//! Multi-line: traces of Java put together, against the same lines as a record each.
//!
//! By time of the processor, since the last trace of a file waits for the time-out: that is no work.

use std::sync::atomic::AtomicBool;

use anyhow::ensure;

use super::{Settings, Space, load, seconds, shown_config};
use crate::agent_config::InputConfig;
use crate::floors::mb_per_second;
use crate::layout::Layout;
use crate::load::{Limits, Load, LoadSpec, Totals};
use crate::report::{Goal, Section, Side, Table};
use crate::shape::Shape;
use crate::wrap::Format;

/// Least speed of traces, as a share of that of single lines.
const SHARE_MIN: f64 = 0.5;
/// Lines of each trace.
const TRACE_LINES: u64 = 6;

const LINES: &str = "lines MB/CPU s";
const TRACES: &str = "traces MB/CPU s";

const COLUMNS: [(&str, usize); 6] = [
    ("lines CPU s", 2),
    (LINES, 0),
    ("line records", 0),
    ("traces CPU s", 2),
    (TRACES, 0),
    ("trace records", 0),
];

pub(super) fn run(settings: &Settings, space: &Space) -> anyhow::Result<Section> {
    let limits = Limits { bytes: Some(settings.input_bytes), ..Limits::default() };
    let spec = LoadSpec {
        shape: Shape::Java,
        format: Format::Cri,
        layout: Layout::Pods,
        ..load(settings, space.input(), limits)
    };
    let input = Load::create(&spec)?.run(&AtomicBool::new(false))?;
    let bench = space.bench(settings);
    let traces = InputConfig::Traces(space.input());
    let mut table = Table { columns: COLUMNS.to_vec(), runs: Vec::new() };
    for run in 1..=settings.runs {
        let mut row = Vec::new();
        for source in [InputConfig::Containers(space.input()), traces.clone()] {
            let mut agent = bench.start(&source, false)?;
            let delivery = agent.wait_delivered(input.bytes)?;
            let usage = agent.stop()?;
            let records = delivery.records.map_or(f64::NAN, |records| records as f64);
            row.extend([seconds(usage.cpu_ns), mb_per_second(input.bytes, usage.cpu_ns), records]);
        }
        check_records(&row, &input)?;
        eprintln!("multiline: run {run} of {}: {:.0} MB per CPU s", settings.runs, row[4]);
        table.runs.push(row);
    }
    let what = format!(
        "{} lines, {} bytes of CRI lines with traces of Java of {TRACE_LINES} lines in one file in \
         the page cache, delivered to the blackhole, OTLP encoded: each line a record, and put \
         together by `preset: java`.",
        input.lines, input.bytes
    );
    Ok(Section {
        name: "multiline".to_owned(),
        what,
        config: shown_config(&bench, traces, false),
        goals: goals(&table),
        table,
    })
}

/// What was put together must be all of it: else the speed is that of something else.
fn check_records(row: &[f64], input: &Totals) -> anyhow::Result<()> {
    // Chunks end inside traces only if they do not fit; the writer may stop inside the last.
    let (lines, traces) = (row[2], row[5]);
    let want = input.lines.div_ceil(TRACE_LINES) as f64;
    ensure!(lines == input.lines as f64, "{lines} records of {} lines", input.lines);
    ensure!(traces == want, "{traces} records instead of {want} traces");
    Ok(())
}

fn goals(table: &Table) -> Vec<Goal> {
    vec![Goal {
        what: "MB per CPU second of traces against single lines".to_owned(),
        measured: table.median(TRACES) / table.median(LINES),
        side: Side::AtLeast,
        want: SHARE_MIN,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_goal_holds_traces_against_lines_of_the_same_bytes() {
        let run = |traces: f64| vec![1.0, 1000.0, 60.0, 1.0, traces, 10.0];
        let table = |traces| Table { columns: COLUMNS.to_vec(), runs: vec![run(traces)] };
        assert!(goals(&table(500.0))[0].is_met());
        assert!(!goals(&table(499.0))[0].is_met());
    }

    #[test]
    fn traces_that_were_not_put_together_are_told() {
        let input = Totals { lines: 61, ..Totals::default() };
        assert!(check_records(&[0.0, 0.0, 61.0, 0.0, 0.0, 11.0], &input).is_ok());
        assert!(check_records(&[0.0, 0.0, 61.0, 0.0, 0.0, 61.0], &input).is_err());
    }
}
