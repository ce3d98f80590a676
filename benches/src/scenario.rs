//! Scenario: a question about the running agent, answered several times over.
//!
//! What is promised about each answer is here, in constants: the goals.

mod catch_up;
mod fast_rotation;
mod first_line;
mod idle;
mod idle_files;
mod isolation;
mod kafka;
mod latency;
mod logdisk;
mod many_files;
mod mounted;
mod multiline;
mod paced;
mod tail;
mod throughput;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::agent::Bench;
use crate::agent_config::InputConfig;
use crate::layout::Layout;
use crate::load::{ContentClock, Limits, LoadSpec};
use crate::report::Section;
use crate::shape::Shape;
use crate::wrap::Format;

/// Bytes in a mebibyte.
const MIB: f64 = 1_048_576.0;

/// The questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// Plain nginx lines of 256 B, encoded and forgotten
    PlainBlackhole,
    /// CRI lines with such messages, encoded and forgotten
    CriBlackhole,
    /// Plain lines into the embedded queue, zstd 1
    PlainQueueZstd,
    /// CRI lines into the embedded queue, zstd 1
    CriQueueZstd,
    /// CRI lines with traces of Java, put together and each by itself, encoded and forgotten
    Multiline,
    /// 1,000 files in which nothing happens
    #[value(name = "idle-1000")]
    Idle1000,
    /// 10 MB/s of 512 B lines into the embedded queue, zstd 1
    #[value(name = "paced-10mb")]
    Paced10Mb,
    /// One line each in many new files: time from write to acknowledgement
    Latency,
    /// 10,000 files, of which 100 have something, against one file
    #[value(name = "files-active")]
    FilesActive,
    /// 200 files of 10 MiB, against one file of the sum
    #[value(name = "files-200")]
    Files200,
    /// 100,000 files: from the start to the first record, and what they cost when nothing happens
    #[value(name = "files-100000")]
    Files100000,
    /// The first line of each of many new files: time from write to sink
    #[value(name = "files-first-line")]
    FilesFirstLine,
    /// Rotation of many files each 200 ms at half of the agent's speed
    #[value(name = "files-rotation")]
    FilesRotation,
    /// A backlog after a fault: time until nothing is left of it, against full speed
    CatchUp,
    /// CRI lines to a real Kafka: CPU and speed against bare zstd and the client library alone
    KafkaThroughput,
    /// 10 MB/s while Kafka is away: memory
    KafkaOutage,
    /// A backlog after Kafka was away: time until nothing is left of it, against full speed
    KafkaCatchUp,
    /// A tenant's latency beside another with a regular expression as slow as can be
    IsolationRegex,
    /// A tenant's latency beside another with lines of megabytes
    IsolationLines,
    /// A tenant's latency beside another whose files rotate all the time
    IsolationRotation,
    /// A tenant's latency beside another with 10,000 files
    IsolationFiles,
    /// A tenant's latency beside another that floods, and an agent of 64 MiB
    IsolationMemory,
    /// A tenant's latency beside another whose topic is stuck
    IsolationStalled,
    /// A tenant's latency beside another whose messages are rejected
    IsolationRejected,
    /// Shares of tenants where all want more than there is, and limits
    IsolationShares,
    /// What is shed beyond a limit, against what is declared missing
    IsolationShed,
    /// A log disk in its default mode, against tmpfs and ext4
    LogdiskWriteback,
    /// A log disk whose writers write past it, against tmpfs and ext4
    LogdiskFast,
    /// A log disk that is asked for each write, against tmpfs and ext4
    LogdiskStrict,
    /// Eight writers, a log disk and an agent: lines to the queue, against bare zstd
    LogdiskEndToEnd,
}

/// How the questions are put.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Path of the `logferry` binary.
    pub logferry: PathBuf,
    /// Path of the `logdisk` binary.
    pub logdisk: PathBuf,
    /// Folder of input, state and queue; each scenario has one of its own in it, removed afterwards.
    pub scratch: PathBuf,
    /// Runs of each scenario, of which the median counts.
    pub runs: usize,
    /// Bytes of input where the question is speed.
    pub input_bytes: u64,
    /// How long to let an agent settle before it counts as idle, in seconds.
    pub settle_seconds: u64,
    /// How long to look at an idle agent, in seconds.
    pub idle_seconds: u64,
    /// How long to write at a pace, in seconds.
    pub paced_seconds: u64,
    /// New files of the latency scenario.
    pub latency_files: u32,
    /// How long Kafka is away where memory is looked at, in seconds.
    pub outage_seconds: u64,
    /// How long a tenant's latency is measured, alone and beside others, in seconds.
    pub isolation_seconds: u64,
    /// Names the input.
    pub seed: u64,
}

impl Scenario {
    /// Puts the question and gives the answer.
    ///
    /// # Errors
    /// If the agent fails, or the machine does.
    pub fn run(self, settings: &Settings) -> anyhow::Result<Section> {
        let space = Space::make(&settings.scratch)?;
        match self {
            Scenario::PlainBlackhole => {
                throughput::run(&throughput::PLAIN_BLACKHOLE, settings, &space)
            }
            Scenario::CriBlackhole => throughput::run(&throughput::CRI_BLACKHOLE, settings, &space),
            Scenario::PlainQueueZstd => throughput::run(&throughput::PLAIN_QUEUE, settings, &space),
            Scenario::CriQueueZstd => throughput::run(&throughput::CRI_QUEUE, settings, &space),
            Scenario::Multiline => multiline::run(settings, &space),
            Scenario::Idle1000 => idle::run(settings, &space),
            Scenario::Paced10Mb => paced::run(settings, &space),
            Scenario::Latency => latency::run(settings, &space),
            Scenario::FilesActive => many_files::active(settings, &space),
            Scenario::Files200 => many_files::split(settings, &space),
            Scenario::Files100000 => idle_files::run(settings, &space),
            Scenario::FilesFirstLine => first_line::run(settings, &space),
            Scenario::FilesRotation => fast_rotation::run(settings, &space),
            Scenario::CatchUp => catch_up::run(settings, &space),
            Scenario::KafkaThroughput => kafka::run(settings, &space),
            Scenario::KafkaOutage => kafka::outage(settings, &space),
            Scenario::KafkaCatchUp => kafka::catch_up(settings, &space),
            Scenario::IsolationRegex => isolation::regex(settings, &space),
            Scenario::IsolationLines => isolation::long_lines(settings, &space),
            Scenario::IsolationRotation => isolation::rotation(settings, &space),
            Scenario::IsolationFiles => isolation::many_files(settings, &space),
            Scenario::IsolationMemory => isolation::memory(settings, &space),
            Scenario::IsolationStalled => isolation::stalled(settings, &space),
            Scenario::IsolationRejected => isolation::rejecting(settings, &space),
            Scenario::IsolationShares => isolation::shares(settings, &space),
            Scenario::IsolationShed => isolation::shed(settings, &space),
            Scenario::LogdiskWriteback => logdisk::run(&logdisk::WRITEBACK, settings, &space),
            Scenario::LogdiskFast => logdisk::run(&logdisk::FAST, settings, &space),
            Scenario::LogdiskStrict => logdisk::run(&logdisk::STRICT, settings, &space),
            Scenario::LogdiskEndToEnd => logdisk::end_to_end(settings, &space),
        }
    }
}

/// The scratch folder of one scenario; removed when dropped.
#[derive(Debug)]
struct Space {
    root: PathBuf,
}

impl Space {
    fn make(scratch: &Path) -> anyhow::Result<Space> {
        let root = scratch.join(format!("logferry-bench-{}", std::process::id()));
        fs::create_dir_all(&root)?;
        Ok(Space { root })
    }

    fn input(&self) -> PathBuf {
        self.root.join("in")
    }

    /// Pattern of plain input files.
    fn input_files(&self) -> InputConfig {
        InputConfig::Files(self.input().join("*.log").to_string_lossy().into_owned())
    }

    fn bench(&self, settings: &Settings) -> Bench {
        Bench { logferry: settings.logferry.clone(), folder: self.root.join("agent") }
    }

    /// Throws away the input of the last run.
    fn clear_input(&self) -> anyhow::Result<()> {
        match fs::remove_dir_all(self.input()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.root) {
            eprintln!("{}: cannot be removed: {error}", self.root.display());
        }
    }
}

/// The load that most scenarios start from: one plain file of nginx lines, flat out.
fn load(settings: &Settings, out: PathBuf, limits: Limits) -> LoadSpec {
    LoadSpec {
        shape: Shape::Nginx,
        format: Format::Plain,
        layout: Layout::Flat,
        out,
        files: 1,
        first_stream: 0,
        stderr_share: 0.0,
        rotation: None,
        clock: ContentClock::Virtual,
        seed: settings.seed,
        limits,
        rate: 0,
    }
}

/// The configuration as reports show it: the port is another in each run.
fn shown_config(bench: &Bench, input: InputConfig, to_queue: bool) -> String {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    bench.config(input, bench.output(to_queue), listen).to_yaml()
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / crate::clocks::SECOND_NS as f64
}
