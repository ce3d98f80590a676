//! Catch up with Kafka: how fast a backlog goes once the broker is back, against full speed.

use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use super::super::catch_up::caught_up;
use super::super::paced::wait_listening;
use super::super::{Settings, Space, load};
use super::Bed;
use crate::agent::Agent;
use crate::agent_config::{InputConfig, OutputConfig};
use crate::clocks::monotonic_ns;
use crate::kafka::Kafka;
use crate::load::{Limits, Load, Totals};
use crate::report::{Section, Side, Table};

/// Least share of full speed.
const SHARE_MIN: f64 = 0.8;
/// Files of the backlog.
const FILES: u32 = 4;
/// Input that an agent has delivered before the fault comes.
const BEFORE_BYTES: u64 = 16 << 20;
/// How long a fault lasts after the backlog is there: pauses between attempts have then grown as long as
/// they get.
const FAULT: Duration = Duration::from_secs(15);
/// By how much longer it lasts in each run, so that it ends at another moment of such a pause.
const FAULT_STEP: Duration = Duration::from_millis(373);

const KILLED: &str = "killed: share";
const PAUSED: &str = "stopped: share";

pub(in super::super) fn run(settings: &Settings, space: &Space) -> anyhow::Result<Section> {
    let bed = Bed { settings, space, kafka: Kafka::start(&space.root)? };
    let columns = vec![
        ("backlog MB", 0),
        ("peak MB/s", 0),
        ("after a start MB/s", 0),
        ("killed MB/s", 0),
        (KILLED, 2),
        ("stopped MB/s", 0),
        (PAUSED, 2),
    ];
    let mut table = Table { columns, runs: Vec::new() };
    for run in 1..=settings.runs {
        let fault = FAULT + FAULT_STEP * u32::try_from(run)?;
        let (backlog, first) = bed.at_full_speed()?;
        let paused = bed.away(fault, Kafka::pause, Kafka::resume)?;
        let (_, second) = bed.at_full_speed()?;
        let killed = bed.away(fault, Kafka::kill, Kafka::start_again)?;
        bed.kafka.kill()?;
        bed.kafka.start_again()?;
        let (_, cold) = bed.at_full_speed()?;
        let speed = |seconds: f64| backlog.bytes as f64 / 1e6 / seconds;
        // The faster of two, so that nobody else's work lets it look easy.
        let peak = speed(first.min(second));
        table.runs.push(vec![
            backlog.bytes as f64 / 1e6,
            peak,
            speed(cold),
            speed(killed),
            speed(killed) / speed(cold),
            speed(paused),
            speed(paused) / peak,
        ]);
        eprintln!("kafka-catch-up: run {run} of {}: {:.2?}", settings.runs, table.runs.last());
    }
    let goal = |fault: &str, column: &str| {
        let what = format!("after {fault}, share of full speed");
        table.goal(&what, column, Side::AtLeast, SHARE_MIN)
    };
    let goals = vec![goal("the broker was killed", KILLED), goal("the broker was stopped", PAUSED)];
    Ok(Section {
        name: "kafka-catch-up".to_owned(),
        what: format!(
            "{FILES} files of nginx lines that come while the broker is away for {} s and more: it is \
             stopped (SIGSTOP) and goes on; it is killed and started again. Speed from that moment (of \
             the start: when it says that it is ready) until all is acknowledged and the lag is 0, \
             against an agent that is started with the same files and nothing in its way: the faster of \
             two, before and after; or, as a new broker is slow for its first seconds, with one that was \
             started just then.",
            FAULT.as_secs()
        ),
        config: bed.shown(&bed.output("bench-1", "otlp_proto", false)),
        table,
        goals,
    })
}

impl Bed<'_> {
    /// The backlog, and how many seconds it takes when it is there at the start.
    fn at_full_speed(&self) -> anyhow::Result<(Totals, f64)> {
        self.space.clear_input()?;
        let backlog = self.write_files("backlog", FILES, self.settings.input_bytes)?;
        let output = self.kafka_output()?;
        let from_ns = monotonic_ns();
        let agent = self.space.bench(self.settings).start_into(&self.files(), output)?;
        Ok((backlog, caught_up(agent, from_ns, &[backlog])?))
    }

    /// Seconds to catch up once the broker is back.
    fn away(
        &self,
        fault: Duration,
        leave: impl Fn(&Kafka) -> anyhow::Result<()>,
        come_back: impl Fn(&Kafka) -> anyhow::Result<()>,
    ) -> anyhow::Result<f64> {
        self.space.clear_input()?;
        let output = self.kafka_output()?;
        let mut agent: Agent = self.space.bench(self.settings).start_into(&self.files(), output)?;
        wait_listening(&mut agent)?;
        let before = self.write_files("before", 1, BEFORE_BYTES)?;
        agent.wait_caught_up(before.bytes)?;
        leave(&self.kafka)?;
        let backlog = self.write_files("backlog", FILES, self.settings.input_bytes)?;
        thread::sleep(fault);
        // From then on it has nothing in its way; what it does before the broker says so counts as none.
        come_back(&self.kafka)?;
        caught_up(agent, monotonic_ns(), &[before, backlog])
    }

    fn kafka_output(&self) -> anyhow::Result<OutputConfig> {
        Ok(OutputConfig::Kafka(self.output(&self.kafka.new_topic()?, "otlp_proto", false)))
    }

    /// Files are in a folder for each time they are written.
    pub(super) fn files(&self) -> InputConfig {
        let files = self.space.input().join("*/*.log");
        InputConfig::Files(files.to_string_lossy().into_owned())
    }

    fn write_files(&self, folder: &str, files: u32, bytes: u64) -> anyhow::Result<Totals> {
        let limits = Limits { bytes: Some(bytes), ..Limits::default() };
        let mut spec = load(self.settings, self.space.input().join(folder), limits);
        spec.files = files;
        Ok(Load::create(&spec)?.run(&AtomicBool::new(false))?)
    }
}
