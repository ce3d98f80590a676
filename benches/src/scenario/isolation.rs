//! Isolation: what a tenant that floods does to another one, by what it uses up.
//!
//! The victim writes 1 MB/s, beside nine quiet tenants and an aggressor. In the same run, just before, the victim
//! is alone with the same configuration: that is what it is held against. Its latency is told from outside, since the
//! agent would not see what it notices late: from each write to the moment when the agent's counter of the victim's
//! delivered bytes, asked all the time and in both cases alike, has come up to it.

mod broker;
mod cases;
mod config;
pub(super) mod latency;
mod neighbours;
mod shares;
mod shed;
mod watch;

use std::ffi::OsString;

use super::{MIB, Settings, Space};
use crate::load::LoadSpec;
use crate::report::{Goal, Section, Side, Table};
use config::Config;
use latency::quantile;
use neighbours::{Bed, Observed};

pub(super) use broker::{memory, rejecting, stalled};
pub(super) use cases::{long_lines, many_files, regex, rotation};
pub(super) use shares::run as shares;
pub(super) use shed::run as shed;

/// Times that the victim's latency may be of what it is alone.
const LATENCY_TIMES_MAX: f64 = 1.2;

const TIMES: &str = "×";

/// One way to flood.
struct Case<'a> {
    name: &'static str,
    what: &'static str,
    config: Config,
    /// What `tail` needs to know to find the victim's records.
    tail: Vec<OsString>,
    /// What the aggressor writes, from the agent's start until all is measured.
    aggressor: LoadSpec,
    /// Most resident memory, in bytes.
    resident_max: Option<u64>,
    /// Called when the aggressor has begun, and when all is measured.
    fault: Option<Box<dyn Fault + 'a>>,
}

/// What is done to others than the agent while it is measured.
trait Fault {
    /// Before the victim writes.
    fn begin(&self) -> anyhow::Result<()>;
    /// After all is measured.
    fn end(&self) -> anyhow::Result<()>;
}

/// One run of a case: the victim alone, and with neighbours.
struct Pair {
    alone: Observed,
    beside: Observed,
}

/// Puts the question; `case` makes it ready for each run, alone and not.
fn ask<'a>(
    settings: &Settings,
    space: &Space,
    mut case: impl FnMut(&Bed<'_>) -> anyhow::Result<Case<'a>>,
) -> anyhow::Result<Section> {
    let bed = Bed { settings, space };
    let columns = vec![
        ("alone p50 ms", 1),
        ("alone p99 ms", 1),
        ("beside p50 ms", 1),
        ("beside p99 ms", 1),
        (TIMES, 3),
        ("beside max ms", 1),
        ("… read p99 ms", 1),
        ("victim MB/s", 2),
        ("aggressor MB/s", 1),
        ("lost", 0),
        ("doubled", 0),
        ("most MiB", 1),
    ];
    let mut table = Table { columns, runs: Vec::new() };
    let mut shown = None;
    let (mut lost, mut doubled, mut resident) = (0, 0, 0);
    for run in 1..=settings.runs {
        let alone = bed.observe(&case(&bed)?, false)?;
        let it = case(&bed)?;
        let beside = bed.observe(&it, true)?;
        let pair = Pair { alone, beside };
        let row = pair.row();
        eprintln!("{}: run {run} of {}: {row:.2?}", it.name, settings.runs);
        for verdict in [&pair.alone.verdict, &pair.beside.verdict] {
            anyhow::ensure!(verdict.ok || verdict.lost + verdict.doubled > 0, "{verdict}");
            lost += verdict.lost;
            doubled += verdict.doubled;
        }
        resident = resident.max(pair.alone.resident_max).max(pair.beside.resident_max);
        table.runs.push(row);
        shown = Some(it);
    }
    let case = shown.expect("there is a run at least");
    let goal = |what: &str, measured: f64, want: f64| Goal {
        what: what.to_owned(),
        measured,
        side: Side::AtMost,
        want,
    };
    let times = table.median(TIMES);
    let mut goals = vec![
        goal("victim's p99 latency against its latency alone", times, LATENCY_TIMES_MAX),
        goal("victim's lines lost, in all runs", lost as f64, 0.0),
        goal("victim's lines doubled, in all runs", doubled as f64, 0.0),
    ];
    if let Some(max) = case.resident_max {
        let most = resident as f64 / MIB;
        goals.push(goal("resident memory at most, MiB, in all runs", most, max as f64 / MIB));
    }
    Ok(Section {
        name: case.name.to_owned(),
        what: format!(
            "{} Beside it nine tenants that write {} kB/s each, and the victim with {} MB/s in one file, measured for \
             {} s; alone, and with all of them.",
            case.what,
            neighbours::QUIET_RATE / 1_000,
            neighbours::VICTIM_RATE / 1_000_000,
            settings.isolation_seconds,
        ),
        config: bed.shown(&case.config),
        table,
        goals,
    })
}

impl Pair {
    fn row(&self) -> Vec<f64> {
        let in_ms =
            |all: &[u64], share: f64| quantile(all, share).map_or(f64::NAN, |ns| ns as f64 / 1e6);
        let ms = |it: &Observed, share: f64| in_ms(&it.latencies_ns, share);
        let (alone, beside) = (ms(&self.alone, 0.99), ms(&self.beside, 0.99));
        let sum = |count: fn(&Observed) -> u64| (count(&self.alone) + count(&self.beside)) as f64;
        let resident = self.alone.resident_max.max(self.beside.resident_max);
        vec![
            ms(&self.alone, 0.5),
            alone,
            ms(&self.beside, 0.5),
            beside,
            beside / alone,
            ms(&self.beside, 1.0),
            in_ms(&self.beside.until_read_ns, 0.99),
            self.beside.victim_mb_per_second,
            self.beside.aggressor_mb_per_second,
            sum(|it| it.verdict.lost),
            sum(|it| it.verdict.doubled),
            resident as f64 / MIB,
        ]
    }
}
