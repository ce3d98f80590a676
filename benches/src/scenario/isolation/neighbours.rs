//! Neighbours: a victim, quiet tenants and an aggressor on one agent, and what the victim gets of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{anyhow, ensure};

use super::super::paced::wait_listening;
use super::super::{Settings, Space, load, seconds, tail};
use super::Case;
use super::config::Config;
use super::latency::{Mark, latencies};
use super::watch::Watch;
use crate::agent::Agent;
use crate::check::Verdict;
use crate::clocks::{SECOND_NS, monotonic_ns};
use crate::layout::Layout;
use crate::load::{Limits, Load, LoadError, LoadSpec, Totals};
use crate::wrap::Format;

/// Bytes a second of the victim.
pub(super) const VICTIM_RATE: u64 = 1_000_000;
/// Bytes a second of each quiet tenant.
pub(super) const QUIET_RATE: u64 = 10_000;
/// The quiet tenants.
pub(super) const QUIET: u32 = 9;
/// Stream of the first quiet tenant; the victim's is 0.
const QUIET_STREAM: u32 = 1;
/// First stream of the aggressor's files.
const AGGRESSOR_STREAM: u32 = 100;

/// How long the others write before the victim begins.
const WARM_UP: Duration = Duration::from_secs(2);
/// Time between two looks at what is delivered: little beside a linger.
const LOOK: Duration = Duration::from_millis(5);
/// What the victim wrote has to be delivered so long after its last line.
const PATIENCE_NS: u64 = 60 * SECOND_NS;
/// Least of its rate that the victim has to reach: else the machine has no time to write its lines.
const RATE_SHARE_MIN: f64 = 0.97;

/// An agent's folders.
pub(super) struct Bed<'a> {
    pub(super) settings: &'a Settings,
    pub(super) space: &'a Space,
}

/// What became of the victim.
pub(super) struct Observed {
    /// Of each of its writes, until it was delivered.
    pub(super) latencies_ns: Vec<u64>,
    /// Until it was read.
    pub(super) until_read_ns: Vec<u64>,
    pub(super) victim_mb_per_second: f64,
    /// What was read of the aggressor meanwhile.
    pub(super) aggressor_mb_per_second: f64,
    pub(super) resident_max: u64,
    pub(super) verdict: Verdict,
}

impl Bed<'_> {
    /// Containers of a namespace: one file, or as many as `files`.
    pub(super) fn load(&self, namespace: Layout, first_stream: u32, files: u32) -> LoadSpec {
        let mut spec = load(self.settings, self.space.input(), Limits::default());
        spec.format = Format::Cri;
        spec.layout = namespace;
        spec.files = files;
        spec.first_stream = first_stream;
        spec.seed += u64::from(first_stream);
        spec
    }

    /// So many of the aggressor's files.
    pub(super) fn aggressor(&self, files: u32) -> LoadSpec {
        self.load(Layout::Namespace("aggressor"), AGGRESSOR_STREAM, files)
    }

    /// The configuration as reports show it.
    pub(super) fn shown(&self, config: &Config) -> String {
        let state = self.space.bench(self.settings).folder.join("state");
        config.to_yaml(&state, ([127, 0, 0, 1], 0).into(), &self.space.input())
    }

    /// Starts an agent that has nothing in its state and queue.
    pub(super) fn start(&self, config: &Config) -> anyhow::Result<Agent> {
        let bench = self.space.bench(self.settings);
        let (state, root) = (bench.folder.join("state"), self.space.input());
        let mut agent = bench.start_by(|listen| config.to_yaml(&state, listen, &root))?;
        wait_listening(&mut agent)?;
        Ok(agent)
    }

    /// Has the victim write for its time, alone or beside all others.
    pub(super) fn observe(
        &self,
        case: &Case<'_>,
        has_neighbours: bool,
    ) -> anyhow::Result<Observed> {
        self.space.clear_input()?;
        let mut victim = self.load(Layout::Namespace("victim"), 0, 1);
        victim.rate = VICTIM_RATE;
        victim.limits.time_ns = Some(self.settings.isolation_seconds * SECOND_NS);
        let mut victim = Load::create(&victim)?;
        let mut others = Vec::new();
        if has_neighbours {
            let mut quiet = self.load(Layout::Namespaces("quiet"), QUIET_STREAM, QUIET);
            quiet.rate = QUIET_RATE * u64::from(QUIET);
            others.push(Load::create(&quiet)?);
            others.push(Load::create(&case.aggressor)?);
        }
        let mut agent = self.start(&case.config)?;
        let stop = AtomicBool::new(false);
        let watched = thread::scope(|scope| {
            let writers: Vec<_> =
                others.iter_mut().map(|load| scope.spawn(|| load.run(&stop))).collect();
            let watched = self.watch(case, &mut victim, &mut agent, has_neighbours);
            stop.store(true, Ordering::Relaxed);
            for writer in writers {
                writer.join().map_err(|_| anyhow!("a writer panicked"))??;
            }
            watched
        })?;
        agent.stop_behind()?;
        let verdict = tail::verdict(self.settings, &case.tail, victim.truth())?;
        let Watched { written, marks, watch } = watched;
        let speed = |bytes: u64, until: Option<&Mark>| {
            let took_ns = until.map_or(0, |it| it.at_ns) - watch.begin_ns;
            bytes as f64 / 1e6 / seconds(took_ns)
        };
        let victim_mb_per_second = speed(written.bytes, marks.last());
        ensure!(
            victim_mb_per_second * 1e6 >= RATE_SHARE_MIN * VICTIM_RATE as f64,
            "the victim wrote {victim_mb_per_second:.2} MB/s: the machine is too slow to tell"
        );
        Ok(Observed {
            latencies_ns: latencies(&marks, &watch.delivered),
            until_read_ns: latencies(&marks, &watch.read),
            victim_mb_per_second,
            aggressor_mb_per_second: speed(watch.aggressor_bytes(), watch.delivered.last()),
            resident_max: watch.resident_max,
            verdict,
        })
    }

    /// Runs the victim's load, and looks at what of it is delivered until that is all.
    fn watch(
        &self,
        case: &Case<'_>,
        victim: &mut Load,
        agent: &mut Agent,
        has_neighbours: bool,
    ) -> anyhow::Result<Watched> {
        thread::sleep(WARM_UP);
        let fault = case.fault.as_ref().filter(|_| has_neighbours);
        if let Some(fault) = fault {
            fault.begin()?;
            thread::sleep(WARM_UP);
        }
        let stop = AtomicBool::new(false);
        let watched = thread::scope(|scope| {
            let mut watch = Watch::begin(agent)?;
            let writer = scope.spawn(|| write(victim, &stop));
            while !writer.is_finished() {
                if let Err(error) = watch.look(agent) {
                    stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
                thread::sleep(LOOK);
            }
            let (written, marks) = writer.join().map_err(|_| anyhow!("the victim panicked"))??;
            let written_ns = monotonic_ns();
            while watch.delivered_bytes() < written.bytes {
                watch.look(agent)?;
                ensure!(
                    monotonic_ns() - written_ns < PATIENCE_NS,
                    "{} of the victim's {} bytes were delivered",
                    watch.delivered_bytes(),
                    written.bytes
                );
                thread::sleep(LOOK);
            }
            Ok(Watched { written, marks, watch })
        });
        if let Some(fault) = fault {
            fault.end()?;
        }
        watched
    }
}

/// Writes the victim's lines; says when how much was written.
fn write(victim: &mut Load, stop: &AtomicBool) -> Result<(Totals, Vec<Mark>), LoadError> {
    let mut marks = Vec::new();
    let written = victim
        .run_noting(stop, |it| marks.push(Mark { at_ns: monotonic_ns(), bytes: it.bytes }))?;
    Ok((written, marks))
}

/// The victim's writes, and what was seen of the agent meanwhile.
struct Watched {
    written: Totals,
    marks: Vec<Mark>,
    watch: Watch,
}
