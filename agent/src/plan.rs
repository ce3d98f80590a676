//! Plan: from the resolved configuration to what a data plane is to do.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use crd::{
    AgentSettings, CompressionSettings, LogConfigSettings, MultilinePreset, MultilineRule,
    MultilineSettings, Settings, SinkSettings, SinkTarget, SourceSettings, TextEncoding,
};
use flow::{AckSender, Clock, Codec, Encoding, ReadBack, RecordFlags, Sink};
use pipeline::budgets::BudgetSpec;
use pipeline::discovery::{FileSelection, Rule, Selection};
use pipeline::frame::multiline::{self, Multiline};
use pipeline::frame::{ByteOrder, Format};
use pipeline::fs::{HostFs, Reach};
use pipeline::plane::{PlanePlan, ShipperMaker, SinkPlan};
use pipeline::reader::{BatchLimits, CompressMaker, EncodeMaker, ReaderSink};
use pipeline::shipper::{RetryPolicy, ShipperParts};
use pipeline::source::{SourceOptions, StartAt};
use sink::blackhole::{BlackholeSink, Swallowed};
use sink::file::{FileConfig, FileSink, LogFile};
use sink::kafka::{KafkaConfig, KafkaError, KafkaProducer, KafkaReadBack, KafkaSink};
use sink::queue::{Queue, QueueOptions, QueueReadBack, QueueSink};
use sink::spool::SpoolStore;
use sink::stdout::StdoutSink;

use crate::memory_plan::MemoryPlan;
use crate::place;

mod credentials;
mod kafka;
mod limits;
mod owed;
mod pods;
mod spool;
mod tenants;
mod unbuilt;
#[cfg(test)]
mod worlds;

pub(crate) use credentials::Credentials;
pub(crate) use kafka::config as kafka_config;
pub(crate) use owed::{folders as spool_folders, is_drained, undrained};
pub(crate) use pods::{Awaited, Watched, awaits};
use spool::{OpenSpool, Spools};
pub(crate) use tenants::{ByLabels, tenants};
pub(crate) use unbuilt::refuse_config;

/// A plan, and the queues that its sinks write to.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) plan: PlanePlan,
    pub(crate) queues: Vec<(Arc<str>, Arc<Queue>)>,
    /// What sinks do not take is kept there.
    pub(crate) spools: Vec<(Arc<str>, Arc<SpoolStore>)>,
    /// Sinks that nothing is read for, as nobody knows what they hold; and why.
    pub(crate) absent: Vec<Absent>,
}

/// A sink whose brokers do not answer, or refuse.
#[derive(Debug)]
pub(crate) struct Absent {
    pub(crate) name: String,
    pub(crate) config: KafkaConfig,
    pub(crate) why: String,
}

/// Refuses what can be written and is not built yet, and what this machine has no memory for.
///
/// # Errors
/// With the resource and the field, and what to do.
pub(crate) fn check(settings: &Settings) -> anyhow::Result<MemoryPlan> {
    unbuilt::refuse(settings)?;
    MemoryPlan::of(settings)
}

/// Opens the sinks and resolves everything else. `watched` is what an API server says.
pub(crate) fn resolve(
    settings: &Settings,
    credentials: &Credentials,
    watched: Option<&Watched>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Resolved> {
    let memory = check(settings)?;
    tracing::info!("{memory}");
    if let Some(warning) = memory.warning() {
        tracing::warn!("{warning}");
    }
    let agent = &settings.agent;
    let mut opened_stores = Stores::default();
    let spools = Spools::of(settings);
    let undrained = undrained(settings);
    undrained.iter().for_each(|it| tracing::warn!("{it}"));
    if let Err(error) = owed::remember(settings, &undrained) {
        tracing::warn!("where the spool is, is not remembered: {error:#}");
    }
    let (mut sinks, mut absent): (Vec<SinkPlan>, Vec<Absent>) = (Vec::new(), Vec::new());
    for sink in &settings.sinks {
        let opened =
            open_sink(sink, agent, credentials, clock, spools.as_ref(), &mut opened_stores);
        match opened.with_context(|| format!("LogSink {}", sink.name)) {
            Ok(opened) => sinks.push(opened),
            Err(error) => match (&sink.target, error.chain().any(|it| it.is::<KafkaError>())) {
                (SinkTarget::Kafka(kafka), true) if absent.len() + 1 < settings.sinks.len() => {
                    let config = kafka::config(sink, kafka, agent, credentials)?;
                    let why = format!("{error:#}");
                    absent.push(Absent { name: sink.name.clone(), config, why });
                    let (name, reader) = (Arc::from(&*sink.name), reader_sink(sink)?);
                    sinks.push(SinkPlan { name, reader, shippers: Vec::new(), read_back: None });
                }
                _ => return Err(error),
            },
        }
    }
    let others = settings.other_tenants_memory;
    let budget = |it: &crd::MemorySettings| BudgetSpec {
        reserved_bytes: it.reserved_bytes,
        max_bytes: it.max_bytes,
    };
    let by_labels = match watched {
        Some(watched) => watched.by_labels.clone(),
        None => ByLabels::of(settings, &Arc::default()),
    };
    let present = settings.sinks.len() - absent.len();
    let has_spools = opened_stores.spools.len() == present;
    let plan = PlanePlan {
        rules: settings
            .log_configs
            .iter()
            .map(|it| rule(it, settings, &absent, watched, by_labels.as_ref()))
            .collect::<Result<_, _>>()?,
        place: place::of(agent),
        sinks,
        readers: agent.readers,
        chunk_bytes: agent.chunk_bytes,
        pool_bytes: memory.pool_bytes(),
        default_budget: budget(&others),
        default_reserves: memory.other_reserves(),
        budgets: settings
            .tenants
            .iter()
            .map(|it| (Arc::from(&*it.name), budget(&it.memory)))
            .collect::<HashMap<_, _>>(),
        windows: settings
            .tenants
            .iter()
            .filter_map(|it| Some((Arc::from(&*it.name), it.in_flight_bytes_max?)))
            .collect(),
        limits: limits::of(settings, has_spools),
        state_directory: agent.state_directory.clone(),
        checkpoint_interval_ns: nanoseconds(agent.checkpoint_interval),
        scan_interval_ns: nanoseconds(agent.scan_interval),
        open_files_max: place::open_files_max(agent.open_files_max),
        pinned_bytes_max: agent.pinned_bytes_max,
        pinned_by_tenant: settings
            .tenants
            .iter()
            .filter_map(|it| Some((Arc::from(&*it.name), it.pinned_bytes_max?)))
            .collect(),
    };
    let Stores { queues, spools } = opened_stores;
    Ok(Resolved { plan, queues, spools, absent })
}

fn rule(
    config: &LogConfigSettings,
    settings: &Settings,
    absent: &[Absent],
    watched: Option<&Watched>,
    by_labels: Option<&Arc<ByLabels>>,
) -> anyhow::Result<Rule> {
    let name: Arc<str> = Arc::from(config.name.to_string());
    let sink = settings.sinks.iter().position(|it| it.name == config.sink);
    let sink = sink.with_context(|| format!("LogConfig {name}: no sink {}", config.sink))?;
    let linger = settings.sinks[sink].batch.linger;
    let (selection, skip, is_files) = match &config.source {
        SourceSettings::Containers(it) => {
            let selection = pods::selection(it, &settings.agent, watched);
            let skip = match (it.stdout, it.stderr) {
                (true, false) => RecordFlags::STDERR,
                (false, true) => RecordFlags::STDOUT,
                _ => RecordFlags::NONE,
            };
            (Selection::Pods(Box::new(selection)), skip, false)
        }
        SourceSettings::Files(it) => {
            let selection = FileSelection::new(it.include.patterns(), it.exclude.set().clone())
                .with_context(|| format!("LogConfig {name}"))?;
            (Selection::Files(selection), RecordFlags::NONE, true)
        }
    };
    let format = match (config.encoding, config.format) {
        (TextEncoding::Utf16le, _) => Some(Format::Utf16(ByteOrder::Little)),
        (TextEncoding::Utf16be, _) => Some(Format::Utf16(ByteOrder::Big)),
        (TextEncoding::Utf8, crd::Format::Auto) => is_files.then_some(Format::Plain),
        (TextEncoding::Utf8, crd::Format::Plain) => Some(Format::Plain),
        (TextEncoding::Utf8, crd::Format::Cri) => Some(Format::Cri),
        (TextEncoding::Utf8, crd::Format::Docker) => Some(Format::Docker),
    };
    let options = SourceOptions {
        format,
        start_at: match config.start_at {
            crd::StartAt::Beginning => StartAt::Beginning,
            crd::StartAt::End => StartAt::End,
        },
        line_bytes_max: u32::try_from(config.line.bytes_max).unwrap_or(u32::MAX),
        flush_timeout_ns: nanoseconds(config.line.flush_timeout),
        multiline: config.multiline.as_ref().map(multiline),
        late_writes_ns: nanoseconds(config.late_writes),
        sample_one_in: config.sampling_one_in,
        skip,
        linger_ns: nanoseconds(linger),
    };
    let fs = Arc::new(HostFs::new(reach(config)?));
    let is_waiting = absent.iter().any(|it| it.name == config.sink);
    let tenants = tenants(config, settings, by_labels);
    Ok(Rule { name, selection, tenants, sink, is_waiting, options: Arc::new(options), fs })
}

/// Where the files of a LogConfig may lie.
pub(crate) fn reach(config: &LogConfigSettings) -> anyhow::Result<Reach> {
    Ok(match &config.source {
        SourceSettings::Containers(it) => {
            Reach::shared_tree(it.root.clone(), it.follow_links_into.clone())
        }
        SourceSettings::Files(it) => {
            let selection = FileSelection::new(it.include.patterns(), it.exclude.set().clone())
                .with_context(|| format!("LogConfig {}", config.name))?;
            Reach::own_trees(selection.roots(), it.follow_links_into.clone())
        }
    })
}

fn multiline(settings: &MultilineSettings) -> Multiline {
    let pattern = |it: &crd::Pattern| multiline::Pattern::new(it.regex().clone());
    let rule = match &settings.rule {
        MultilineRule::Begin(it) => multiline::Rule::Begin(pattern(it)),
        MultilineRule::Continue(it) => multiline::Rule::Continue(pattern(it)),
        MultilineRule::End(it) => multiline::Rule::End(pattern(it)),
        MultilineRule::Preset(MultilinePreset::Java) => multiline::Rule::Java,
        MultilineRule::Preset(MultilinePreset::Python) => multiline::Rule::Python,
        MultilineRule::Preset(MultilinePreset::Go) => multiline::Rule::Go,
    };
    Multiline {
        rule,
        timeout_ns: nanoseconds(settings.timeout),
        lines_max: settings.lines_max,
        bytes_max: u32::try_from(settings.bytes_max).unwrap_or(u32::MAX),
    }
}

/// What sinks have open on the disk.
#[derive(Debug, Default)]
struct Stores {
    queues: Vec<(Arc<str>, Arc<Queue>)>,
    spools: Vec<(Arc<str>, Arc<SpoolStore>)>,
}

/// Opens a sink, and makes the makers of its shippers.
fn open_sink(
    settings: &SinkSettings,
    agent: &AgentSettings,
    credentials: &Credentials,
    clock: &Arc<dyn Clock>,
    spools: Option<&Spools>,
    stores: &mut Stores,
) -> anyhow::Result<SinkPlan> {
    let name: Arc<str> = Arc::from(&*settings.name);
    let mut read_back: Option<Box<dyn ReadBack>> = None;
    let make: SinkMaker = match &settings.target {
        SinkTarget::Queue(queue) => {
            let queue = open_queue(queue, clock)?;
            read_back = Some(Box::new(read_back_of(&queue)?));
            stores.queues.push((Arc::clone(&name), Arc::clone(&queue)));
            Arc::new(move |acks| Box::new(QueueSink::new(Arc::clone(&queue), acks)))
        }
        SinkTarget::Kafka(kafka) => {
            let config = kafka::config(settings, kafka, agent, credentials)?;
            read_back = Some(Box::new(KafkaReadBack::of(&config, &**clock)?));
            let producer = KafkaProducer::open(config, Arc::clone(clock))?;
            Arc::new(move |acks| Box::new(KafkaSink::new(Arc::clone(&producer), acks)))
        }
        SinkTarget::File(file) => {
            let config = FileConfig {
                rotate_bytes: file.rotate_bytes,
                keep: u32::try_from(file.keep).unwrap_or(u32::MAX),
                ..FileConfig::new(&file.path)
            };
            let file = LogFile::open(config, Arc::clone(clock))?;
            Arc::new(move |acks| Box::new(FileSink::new(Arc::clone(&file), acks)))
        }
        SinkTarget::Stdout => Arc::new(|acks| Box::new(StdoutSink::new(std::io::stdout(), acks))),
        SinkTarget::Blackhole => {
            let swallowed = Arc::new(Swallowed::default());
            Arc::new(move |acks| Box::new(BlackholeSink::new(Arc::clone(&swallowed), acks)))
        }
    };
    let reader = reader_sink(settings)?;
    let is_by_section = matches!(settings.target, SinkTarget::Kafka(_));
    let spool = spools.and_then(|it| it.open(&name, is_by_section, clock, &mut read_back));
    stores.spools.extend(spool.iter().map(|it| (Arc::clone(&name), Arc::clone(&it.store))));
    let shipper = |shard| shipper(settings, shard, Arc::clone(&make), spool.clone());
    let shippers = (0..agent.shippers).map(shipper).collect();
    Ok(SinkPlan { name, reader, shippers, read_back })
}

/// What readers do for a sink.
fn reader_sink(settings: &SinkSettings) -> anyhow::Result<ReaderSink> {
    let limits = BatchLimits {
        bytes_max: settings.batch.bytes_max as u64,
        records_max: settings.batch.records_max,
    };
    let encoding = match settings.encoding {
        crd::Encoding::OtlpProto => Encoding::OtlpProto,
        crd::Encoding::JsonLines => Encoding::JsonLines,
        crd::Encoding::Json => Encoding::Json,
        crd::Encoding::Raw => Encoding::Raw,
    };
    let encode: EncodeMaker = Arc::new(move || sink::encode::make(encoding));
    Ok(ReaderSink { limits, encode, compress: compressor(settings) })
}

/// How readers compress for a sink.
fn compressor(settings: &SinkSettings) -> CompressMaker {
    if let SinkTarget::Kafka(kafka) = &settings.target {
        // Its client compresses record batches, unless consumers are to undo it message by message.
        return match kafka.payload_compression {
            CompressionSettings::Zstd { level } => {
                Arc::new(move || sink::compress::make_by_section(level))
            }
            _ => Arc::new(|| sink::compress::make(Codec::None, 0)),
        };
    }
    let (codec, level) = match settings.compression {
        CompressionSettings::Zstd { level } => (Codec::Zstd, level),
        CompressionSettings::Lz4 { .. } => (Codec::Lz4, 0),
        // Only Kafka has the others.
        CompressionSettings::Snappy
        | CompressionSettings::Gzip { .. }
        | CompressionSettings::None => (Codec::None, 0),
    };
    Arc::new(move || sink::compress::make(codec, level))
}

/// Makes a shipper's own end of a sink.
type SinkMaker = Arc<dyn Fn(AckSender) -> Box<dyn Sink> + Send + Sync>;

fn shipper(
    settings: &SinkSettings,
    shard: usize,
    make: SinkMaker,
    spool: Option<OpenSpool>,
) -> ShipperMaker {
    let retry = RetryPolicy {
        first_ns: nanoseconds(settings.retry.initial),
        max_ns: nanoseconds(settings.retry.max),
    };
    Box::new(move |acks| {
        let Some(spool) = spool else {
            return ShipperParts { sink: make(acks), retry, spool: None };
        };
        let (spool, acks) = spool.parts(shard, acks, |drained| make(drained));
        ShipperParts { sink: make(acks), retry, spool: Some(spool) }
    })
}

fn open_queue(settings: &crd::QueueSettings, clock: &Arc<dyn Clock>) -> anyhow::Result<Arc<Queue>> {
    let options = QueueOptions {
        segment_bytes: settings.segment_bytes,
        retain_bytes: settings.retention_bytes,
        retain_age: settings.retention_age.unwrap_or(Duration::MAX),
        sync_interval: settings.sync_interval,
    };
    let (queue, recovery) = Queue::open(Path::new(&settings.path), options, Arc::clone(clock))?;
    for note in &recovery.notes {
        tracing::warn!(%note, "queue repaired");
    }
    Ok(queue)
}

fn read_back_of(queue: &Queue) -> anyhow::Result<QueueReadBack> {
    let read_back = QueueReadBack::of(queue)?;
    for problem in read_back.problems() {
        tracing::error!(%problem, "not readable; what it held is delivered again if it is in no checkpoint");
    }
    Ok(read_back)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
