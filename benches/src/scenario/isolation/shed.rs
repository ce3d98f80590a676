//! Shed: what a tenant writes beyond its limit and is not delivered, against what is declared as a gap.

use std::ffi::OsString;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use anyhow::ensure;

use super::super::{Settings, Space, tail};
use super::config::{Config, queue};
use super::neighbours::Bed;
use crate::agent::Agent;
use crate::check::Verdict;
use crate::clocks::{SECOND_NS, monotonic_ns};
use crate::layout::Layout;
use crate::load::{Load, Totals};
use crate::report::{Goal, Section, Side, Table};
use crate::shape::Shape;
use crate::wrap::Format;

/// The tenant: five times its limit; what has waited for a second is shed, the oldest first.
const TENANT: &str = "weight: 100, limits: {bytesPerSecond: 1MiB, maxLag: 1s, atLimit: shedOldest}";
/// Bytes a second that it writes, and files.
const RATE: u64 = 5 << 20;
const FILES: u32 = 4;
/// Bytes of a message, and of a line. All are the same, so that lines that are missing tell how many bytes are.
const MESSAGE_BYTES: usize = 255;
const LINE_BYTES: u64 = 256;
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// All has to be delivered or declared so long after the last line.
const PATIENCE_NS: u64 = 60 * SECOND_NS;

const DELIVERED: &str = "logferry_delivered_bytes_total";
const GAPS: &str = "logferry_gap_bytes_total";

pub(in super::super) fn run(settings: &Settings, space: &Space) -> anyhow::Result<Section> {
    let bed = Bed { settings, space };
    let columns = vec![
        ("written bytes", 0),
        ("missing bytes", 0),
        ("declared bytes", 0),
        ("gaps", 0),
        ("doubled", 0),
    ];
    let mut table = Table { columns, runs: Vec::new() };
    let (mut difference, mut shed_least, mut doubled) = (0, u64::MAX, 0);
    for run in 1..=settings.runs {
        let (written, verdict) = bed.shed()?;
        let missing = verdict.lost * LINE_BYTES;
        difference = difference.max(missing.abs_diff(verdict.gap_bytes));
        shed_least = shed_least.min(missing);
        doubled += verdict.doubled;
        let row = [written.bytes, missing, verdict.gap_bytes, verdict.gaps, verdict.doubled];
        eprintln!("isolation-shed: run {run} of {}: {row:?}", settings.runs);
        table.runs.push(row.map(|it| it as f64).to_vec());
    }
    let goal = |what: &str, measured: u64, side: Side, want: f64| Goal {
        what: what.to_owned(),
        measured: measured as f64,
        side,
        want,
    };
    let goals = vec![
        goal("declared against missing bytes, most difference", difference, Side::AtMost, 0.0),
        goal("bytes that were shed, least", shed_least, Side::AtLeast, 1.0),
        goal("lines doubled, in all runs", doubled, Side::AtMost, 0.0),
    ];
    Ok(Section {
        name: "isolation-shed".to_owned(),
        what: format!(
            "A tenant with a limit of 1 MiB a second that sheds the oldest writes {RATE} bytes a second in {FILES} \
             files for {} s, in lines of {LINE_BYTES} bytes. Missing: lines that `tail` does not have; declared: the \
             gaps that it has.",
            settings.isolation_seconds
        ),
        config: bed.shown(&bed.shedding()),
        table,
        goals,
    })
}

impl Bed<'_> {
    fn shedding(&self) -> Config {
        Config {
            sink: queue(&self.space.bench(self.settings).queue()),
            // Bare lines, as those of CRI differ in length.
            aggressor: ", format: plain",
            tenants: vec![("aggressor".to_owned(), TENANT.to_owned())],
            ..Config::default()
        }
    }

    fn shed(&self) -> anyhow::Result<(Totals, Verdict)> {
        self.space.clear_input()?;
        let mut spec = self.load(Layout::Namespace("aggressor"), 0, FILES);
        spec.format = Format::Plain;
        spec.shape = Shape::Fixed(MESSAGE_BYTES);
        spec.rate = RATE;
        spec.limits.time_ns = Some(self.settings.isolation_seconds * SECOND_NS);
        let mut load = Load::create(&spec)?;
        let agent = self.start(&self.shedding())?;
        let written = load.run(&AtomicBool::new(false))?;
        wait_accounted(&agent, written.bytes)?;
        agent.stop_behind()?;
        let folder = self.space.bench(self.settings).queue().into_os_string();
        let verdict =
            tail::verdict(self.settings, &[OsString::from("--queue"), folder], load.truth())?;
        Ok((written, verdict))
    }
}

/// Waits until all bytes are delivered or declared missing.
fn wait_accounted(agent: &Agent, bytes: u64) -> anyhow::Result<()> {
    let begin_ns = monotonic_ns();
    loop {
        let metrics = agent.metrics()?;
        let sum = |name| metrics.sum(name).unwrap_or(0.0);
        if sum(DELIVERED) + sum(GAPS) >= bytes as f64 {
            return Ok(());
        }
        ensure!(monotonic_ns() - begin_ns < PATIENCE_NS, "neither delivered nor declared: some");
        thread::sleep(LOOK);
    }
}
