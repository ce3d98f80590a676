//! Outage: the agent's memory while Kafka is away and lines keep coming.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{anyhow, ensure};

use super::super::paced::wait_listening;
use super::super::{MIB, Settings, Space, load, seconds};
use super::Bed;
use crate::agent::Agent;
use crate::agent_config::OutputConfig;
use crate::clocks::{SECOND_NS, monotonic_ns};
use crate::kafka::Kafka;
use crate::load::{Limits, Load, Totals};
use crate::process::cpu_ns;
use crate::report::{Section, Side, Table};
use crate::shape::Shape;

/// Bytes a second.
const RATE: u64 = 10_000_000;
/// Bytes of a message: with its line feed, 512.
const MESSAGE_BYTES: usize = 511;
/// How long all is well before the broker leaves.
const BEFORE: Duration = Duration::from_secs(10);
/// How long after that memory may still grow: as much is on its way as may be.
const SETTLE_NS: u64 = 5 * SECOND_NS;
/// Time between two looks at memory.
const LOOK: Duration = Duration::from_millis(100);
/// Times that memory may be of what it was when it had settled.
const GROWTH_MAX: f64 = 1.05;
/// Peak memory, in MiB.
const PEAK_MIB_MAX: f64 = 64.0;

const KILLED: &str = "killed: growth";
const PAUSED: &str = "stopped: growth";
const PEAK: &str = "peak MiB";

pub(in super::super) fn run(settings: &Settings, space: &Space) -> anyhow::Result<Section> {
    let bed = Bed { settings, space, kafka: Kafka::start(&space.root)? };
    let columns = vec![
        ("before MiB", 1),
        ("killed: settled MiB", 1),
        ("killed: most MiB", 1),
        (KILLED, 3),
        ("killed: CPU %", 1),
        ("killed: caught up s", 1),
        ("stopped: settled MiB", 1),
        ("stopped: most MiB", 1),
        (PAUSED, 3),
        ("stopped: CPU %", 1),
        ("stopped: caught up s", 1),
        (PEAK, 1),
    ];
    let mut table = Table { columns, runs: Vec::new() };
    for run in 1..=settings.runs {
        let killed = bed.outage(Kafka::kill, Kafka::start_again)?;
        let paused = bed.outage(Kafka::pause, Kafka::resume)?;
        let mut row = vec![killed.before / MIB];
        for it in [&killed, &paused] {
            row.extend([it.settled / MIB, it.most / MIB, it.most / it.settled]);
            row.extend([it.cpu_percent, it.caught_up]);
        }
        row.push(killed.peak.max(paused.peak) / MIB);
        eprintln!("kafka-outage: run {run} of {}: {row:.2?}", settings.runs);
        table.runs.push(row);
    }
    let goal = |what: &str, column: &str, want: f64| table.goal(what, column, Side::AtMost, want);
    let goals = vec![
        goal("memory at most, against when it had settled, broker killed", KILLED, GROWTH_MAX),
        goal("memory at most, against when it had settled, broker stopped", PAUSED, GROWTH_MAX),
        goal("peak memory, MiB", PEAK, PEAK_MIB_MAX),
    ];
    Ok(Section {
        name: "kafka-outage".to_owned(),
        what: format!(
            "Lines of 512 bytes appended to one file at {} MB/s, while the broker is killed and is away \
             for {} s, and another time stopped (SIGSTOP) for as long; then it is back, and all is \
             delivered. Resident memory {} s after it left, most of it until it came back, and the peak \
             from the agent's start to its end.",
            RATE / 1_000_000,
            settings.outage_seconds,
            SETTLE_NS / SECOND_NS
        ),
        config: bed.shown(&bed.output("bench-1", "otlp_proto", false)),
        table,
        goals,
    })
}

/// Resident bytes, CPU in per cent of a core while the broker was away, and seconds until all was delivered.
struct Outage {
    before: f64,
    settled: f64,
    most: f64,
    peak: f64,
    cpu_percent: f64,
    caught_up: f64,
}

impl Bed<'_> {
    fn outage(
        &self,
        leave: impl Fn(&Kafka) -> anyhow::Result<()>,
        come_back: impl Fn(&Kafka) -> anyhow::Result<()>,
    ) -> anyhow::Result<Outage> {
        self.space.clear_input()?;
        let topic = self.kafka.new_topic()?;
        let output = OutputConfig::Kafka(self.output(&topic, "otlp_proto", false));
        let mut spec = load(self.settings, self.space.input().join("paced"), Limits::default());
        spec.shape = Shape::Fixed(MESSAGE_BYTES);
        spec.rate = RATE;
        let mut load = Load::create(&spec)?;
        let mut agent = self.space.bench(self.settings).start_into(&self.files(), output)?;
        wait_listening(&mut agent)?;
        let stop = AtomicBool::new(false);
        let (written, mut outage) = thread::scope(|scope| {
            let writer = scope.spawn(|| load.run(&stop));
            let looked = self.look(&mut agent, leave, come_back);
            stop.store(true, Ordering::Relaxed);
            let written = writer.join().map_err(|_| anyhow!("writer of the load panicked"))?;
            anyhow::Ok((written?, looked?))
        })?;
        let back_ns = monotonic_ns();
        delivered_once(&mut agent, written)?;
        outage.caught_up = seconds(monotonic_ns() - back_ns);
        outage.peak = agent.stop()?.peak_bytes as f64;
        Ok(outage)
    }

    /// Watches memory while the broker leaves, is away and comes back.
    fn look(
        &self,
        agent: &mut Agent,
        leave: impl Fn(&Kafka) -> anyhow::Result<()>,
        come_back: impl Fn(&Kafka) -> anyhow::Result<()>,
    ) -> anyhow::Result<Outage> {
        thread::sleep(BEFORE);
        let before = agent.memory()?.resident_bytes;
        leave(&self.kafka)?;
        let left_ns = monotonic_ns();
        let left_cpu_ns = cpu_ns(agent.pid())?;
        let (mut settled, mut most) = (None, 0);
        loop {
            let away_ns = monotonic_ns() - left_ns;
            if away_ns >= self.settings.outage_seconds * SECOND_NS {
                break;
            }
            if away_ns >= SETTLE_NS {
                let resident = agent.memory()?.resident_bytes;
                settled.get_or_insert(resident);
                most = most.max(resident);
            }
            thread::sleep(LOOK);
        }
        let used = seconds(cpu_ns(agent.pid())? - left_cpu_ns);
        let cpu_percent = 100.0 * used / seconds(monotonic_ns() - left_ns);
        come_back(&self.kafka)?;
        let settled = settled.map_or(f64::NAN, |it| it as f64);
        let (before, most) = (before as f64, most as f64);
        Ok(Outage { before, settled, most, peak: 0.0, cpu_percent, caught_up: 0.0 })
    }
}

/// Waits until all of `written` is delivered, and nothing more.
fn delivered_once(agent: &mut Agent, written: Totals) -> anyhow::Result<()> {
    let delivery = agent.wait_caught_up(written.bytes)?;
    ensure!(
        delivery.bytes == written.bytes && delivery.records == Some(written.lines),
        "{} lines of {} bytes were written, {delivery:?}",
        written.lines,
        written.bytes
    );
    Ok(())
}
