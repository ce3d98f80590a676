//! Shares: who gets how much where all want more than there is, and how well a limit is kept.

use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::Signal;

use super::super::{Settings, Space, seconds};
use super::config::{Config, queue};
use super::neighbours::Bed;
use crate::agent::Agent;
use crate::clocks::{SECOND_NS, monotonic_ns};
use crate::fairness::jain_index;
use crate::layout::Layout;
use crate::load::{Limits, Load};
use crate::report::{Section, Side, Table};

/// A tenant with a backlog: namespace, files, weight.
type Party = (&'static str, u32, u32);

/// Tenants that are to get the same, whatever number of files they have.
const EQUAL: [Party; 10] = [
    ("equal-0", 1, 100),
    ("equal-1", 1, 100),
    ("equal-2", 2, 100),
    ("equal-3", 3, 100),
    ("equal-4", 5, 100),
    ("equal-5", 10, 100),
    ("equal-6", 20, 100),
    ("equal-7", 50, 100),
    ("equal-8", 100, 100),
    ("equal-9", 200, 100),
];
/// Tenants that are to get one, two and five times as much.
const WEIGHED: [Party; 3] = [("light", 20, 100), ("medium", 5, 200), ("heavy", 1, 500)];
/// One with a limit, and one that takes what is left.
const LIMITED: [Party; 2] = [("limited", 3, 100), ("greedy", 1, 100)];
/// The limit, in bytes a second; and as it is written.
const LIMIT: u64 = 4 << 20;
const LIMIT_TEXT: &str = "4MiB";
/// The window in which it is kept.
const WINDOW_NS: u64 = 10 * SECOND_NS;
/// Before it: longer than the burst of a second.
const BURST: Duration = Duration::from_secs(3);

/// Shares are compared until somebody has so much of what there is.
const COMPARED_UNTIL: f64 = 0.95;
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// Somebody must have come so far by then.
const PATIENCE_NS: u64 = 120 * SECOND_NS;

/// Jain's index among equal tenants.
const JAIN_MIN: f64 = 0.98;
/// Per cent that a limit is missed by.
const MISSED_PERCENT_MAX: f64 = 2.0;

const DELIVERED: &str = "logferry_delivered_bytes_total";
const READ: &str = "logferry_read_bytes_total";
const SOURCES: &str = "logferry_sources";

const JAIN: &str = "Jain";
const JAIN_WEIGHED: &str = "by weight: Jain";
const MISSED: &str = "limit missed by %";

pub(in super::super) fn run(settings: &Settings, space: &Space) -> anyhow::Result<Section> {
    let bed = Bed { settings, space };
    let columns = vec![
        ("equal: seconds", 1),
        ("equal: least MB/s", 1),
        ("equal: most MB/s", 1),
        (JAIN, 4),
        ("light MB/s", 1),
        ("medium MB/s", 1),
        ("heavy MB/s", 1),
        (JAIN_WEIGHED, 4),
        ("limited MB/s", 3),
        (MISSED, 2),
    ];
    let mut table = Table { columns, runs: Vec::new() };
    for run in 1..=settings.runs {
        let equal = bed.shares(&EQUAL)?;
        let weighed = bed.shares(&WEIGHED)?;
        let limited = bed.limited()?;
        let row = row(&equal, &weighed, limited);
        eprintln!("isolation-shares: run {run} of {}: {row:.3?}", settings.runs);
        table.runs.push(row);
    }
    let goals = vec![
        table.goal("Jain's index among equal tenants", JAIN, Side::AtLeast, JAIN_MIN),
        table.goal("Jain's index of shares by weight", JAIN_WEIGHED, Side::AtLeast, JAIN_MIN),
        table.goal("limit over 10 s missed by, %", MISSED, Side::AtMost, MISSED_PERCENT_MAX),
    ];
    Ok(Section {
        name: "isolation-shares".to_owned(),
        what: format!(
            "Tenants with backlogs of the same size, {} bytes in all, which are written while the agent, that \
             knows their files, is stopped; from then until the first is almost through: ten with \
             1 to 200 files each, and three of weights 100, 200 and 500. And one with a limit of {LIMIT} bytes a \
             second beside one without, in the ten seconds that begin 3 s after the first bytes.",
            settings.input_bytes
        ),
        config: bed.shown(&bed.config(&LIMITED, true)),
        goals,
        table,
    })
}

/// What each got in so many seconds, in bytes.
struct Shares {
    seconds: f64,
    bytes: Vec<f64>,
}

fn row(equal: &Shares, weighed: &Shares, limited: f64) -> Vec<f64> {
    let speed = |shares: &Shares, bytes: f64| bytes / 1e6 / shares.seconds;
    let least = equal.bytes.iter().copied().fold(f64::INFINITY, f64::min);
    let most = equal.bytes.iter().copied().fold(0.0, f64::max);
    let by_weight = weighed.bytes.iter().zip(WEIGHED).map(|(it, party)| it / f64::from(party.2));
    let mut row =
        vec![equal.seconds, speed(equal, least), speed(equal, most), jain_index(&equal.bytes)];
    row.extend(weighed.bytes.iter().map(|it| speed(weighed, *it)));
    row.push(jain_index(&by_weight.collect::<Vec<_>>()));
    row.extend([limited / 1e6, 100.0 * (limited / LIMIT as f64 - 1.0).abs()]);
    row
}

impl Bed<'_> {
    fn config(&self, parties: &[Party], has_limit: bool) -> Config {
        let limit = if has_limit {
            format!(", limits: {{bytesPerSecond: {LIMIT_TEXT}}}")
        } else {
            String::new()
        };
        let tenants =
            parties.iter().zip([limit].into_iter().chain(std::iter::repeat(String::new())));
        let tenants =
            tenants.map(|((name, _, weight), limit)| (*name, format!("weight: {weight}{limit}")));
        let tenants = tenants.map(|(name, spec)| (name.to_owned(), spec)).collect();
        let sink = queue(&self.space.bench(self.settings).queue());
        Config { sink, tenants, ..Config::default() }
    }

    /// An agent that knows all files, and then finds all backlogs at once; returns it with the bytes of each.
    fn begin(&self, parties: &[Party], has_limit: bool) -> anyhow::Result<(Agent, Vec<f64>)> {
        self.space.clear_input()?;
        let bytes = self.settings.input_bytes / parties.len() as u64;
        let mut loads = Vec::new();
        for (number, (name, files, _)) in (0..).zip(parties) {
            let mut spec = self.load(Layout::Namespace(name), number * 1_000, *files);
            spec.limits = Limits { bytes: Some(bytes), ..Limits::default() };
            loads.push(Load::create(&spec)?);
        }
        let agent = self.start(&self.config(parties, has_limit))?;
        let files = parties.iter().map(|party| f64::from(party.1)).sum();
        let start_ns = monotonic_ns();
        while agent.metrics()?.sum(SOURCES).unwrap_or(0.0) < files {
            ensure!(monotonic_ns() - start_ns < PATIENCE_NS, "not all files are known");
            thread::sleep(LOOK);
        }
        agent.signal(Signal::STOP)?;
        let written = loads.iter_mut().map(|it| Ok(it.run(&AtomicBool::new(false))?.bytes as f64));
        let written = written.collect::<anyhow::Result<_>>()?;
        agent.signal(Signal::CONT)?;
        Ok((agent, written))
    }

    /// What each tenant got while all had something left.
    fn shares(&self, parties: &[Party]) -> anyhow::Result<Shares> {
        let (agent, written) = self.begin(parties, false)?;
        let start_ns = monotonic_ns();
        let mut first: Option<(u64, Vec<f64>)> = None;
        let shares = loop {
            let bytes = counts(&agent, DELIVERED, parties)?;
            let now_ns = monotonic_ns();
            let mut all = bytes.iter().zip(&written);
            if all.any(|(bytes, written)| *bytes >= COMPARED_UNTIL * written) {
                let (begin_ns, begin) =
                    first.context("a backlog was too small to tell: use --size")?;
                let bytes = bytes.iter().zip(&begin).map(|(end, begin)| end - begin).collect();
                break Shares { seconds: seconds(now_ns - begin_ns), bytes };
            }
            if first.is_none() && bytes.iter().all(|it| *it > 0.0) {
                first = Some((now_ns, bytes));
            }
            ensure!(now_ns - start_ns < PATIENCE_NS, "no tenant is through after 120 s");
            thread::sleep(LOOK);
        };
        agent.stop_behind()?;
        Ok(shares)
    }

    /// Bytes a second that were read of the tenant with the limit.
    fn limited(&self) -> anyhow::Result<f64> {
        let (agent, written) = self.begin(&LIMITED, true)?;
        let read = || Ok::<_, anyhow::Error>(counts(&agent, READ, &LIMITED)?[0]);
        let start_ns = monotonic_ns();
        while read()? == 0.0 {
            ensure!(monotonic_ns() - start_ns < PATIENCE_NS, "nothing is read");
            thread::sleep(LOOK);
        }
        thread::sleep(BURST);
        let (begin_ns, begin) = (monotonic_ns(), read()?);
        thread::sleep(Duration::from_nanos(WINDOW_NS));
        let (end_ns, end) = (monotonic_ns(), read()?);
        agent.stop_behind()?;
        ensure!(end < written[0], "a backlog was too small to tell: use --size");
        Ok((end - begin) / seconds(end_ns - begin_ns))
    }
}

/// A counter of each tenant.
fn counts(agent: &Agent, name: &str, parties: &[Party]) -> anyhow::Result<Vec<f64>> {
    let metrics = agent.metrics()?;
    let of = |party: &Party| metrics.sum_where(name, "tenant", party.0).unwrap_or(0.0);
    Ok(parties.iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_speeds_and_indices_of_equal_and_of_weighed_shares() {
        let equal = Shares { seconds: 2.0, bytes: vec![4e6, 8e6] };
        let weighed = Shares { seconds: 1.0, bytes: vec![1e6, 2e6, 5e6] };
        let row = row(&equal, &weighed, LIMIT as f64 * 0.99);
        // (4 + 8)² / (2 · (16 + 64)) = 0.9
        let want = [2.0, 2.0, 4.0, 0.9, 1.0, 2.0, 5.0, 1.0, 4.152_361, 1.0];
        for (index, (got, want)) in row.iter().zip(want).enumerate() {
            assert!((got - want).abs() < 1e-5, "column {index}: {got}, not {want}");
        }
        assert_eq!(row.len(), want.len());
    }
}
