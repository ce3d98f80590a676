//! Sinks: from a LogSink's settings to the ends that shippers submit to.
//!
//! One that is not there (brokers that do not answer, a disk that is full or read-only) holds up nothing: its
//! shippers get ends of it that refuse until it comes.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crd::{AgentSettings, CompressionSettings, SinkSettings, SinkTarget};
use flow::{AckSender, Clock, Codec, Encoding, ReadBack, nanoseconds};
use pipeline::plane::{ShipperMaker, SinkPlan};
use pipeline::reader::{BatchLimits, CompressMaker, EncodeMaker, ReaderSink};
use pipeline::shipper::{RetryPolicy, ShipperParts};
use sink::blackhole::{BlackholeSink, Swallowed};
use sink::file::{FileConfig, FileSink, LogFile};
use sink::kafka::{
    ANSWER_TIMEOUT, KafkaConfig, KafkaError, KafkaProducer, KafkaReadBack, KafkaSink, try_access,
};
use sink::late::{Arrival, Arrived, LateSink, MakeSink, Opening};
use sink::queue::{Queue, QueueOptions, QueueReadBack, QueueSink};
use sink::spool::{LateSpool, SpoolStore};
use sink::stdout::StdoutSink;

use super::spool::{SinkSpool, Spools, State};
use super::{Credentials, Producers, kafka};

/// A sink that is not there yet.
#[derive(Debug)]
pub(crate) struct Absent {
    pub(crate) name: String,
    pub(crate) arrival: Arc<Arrival>,
}

/// A sink that is there.
pub(super) struct Opened {
    make: MakeSink,
    read_back: Option<Box<dyn ReadBack>>,
    queue: Option<Arc<Queue>>,
    producer: Option<Arc<KafkaProducer>>,
}

/// Opens a sink, whenever that is; each answer that it has to wait for may take so long.
type Open = Arc<dyn Fn(Duration) -> anyhow::Result<Opened> + Send + Sync>;

/// What opens a sink.
pub(super) struct Opener {
    open: Open,
    /// Brokers, which are slow to say that they are not there.
    brokers: Option<KafkaConfig>,
}

impl Opener {
    /// Opens it while all others wait: not for brokers that are not there.
    pub(super) fn open_now(&self) -> anyhow::Result<Opened> {
        // Without offsets nothing was ever written, and they are not asked for anything.
        if let Some(config) =
            self.brokers.as_ref().filter(|it| it.offsets.symlink_metadata().is_ok())
        {
            try_access(config, ACCESS_MAX)?;
        }
        (self.open)(ANSWER_MAX)
    }
}

/// How long the start waits for brokers to say anything, and then for each answer. Then it goes on, and they are waited
/// for beside.
const ACCESS_MAX: Duration = Duration::from_secs(2);
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Make a shipper's ends of a sink.
#[derive(Clone)]
struct Ends {
    /// For what comes out of its spool.
    drain: MakeSink,
    /// For all else.
    direct: MakeSink,
}

/// What sinks have open.
#[derive(Debug, Default)]
pub(super) struct Stores {
    pub(super) queues: Vec<(Arc<str>, Arc<Queue>)>,
    pub(super) spools: Vec<(Arc<str>, Arc<SpoolStore>)>,
    pub(super) late_spools: Vec<(Arc<str>, Arc<LateSpool>)>,
    /// What the spools share; none without.
    all: Option<Spools>,
    pub(super) producers: Producers,
    /// Of the last plane, as far as nobody took them yet.
    last: Producers,
}

impl Stores {
    pub(super) fn new(all: Option<Spools>, last: Producers) -> Stores {
        Stores { all, last, ..Stores::default() }
    }

    /// Opens a sink, or goes on with its producer: not where its spool is to be held against what the topics have.
    pub(super) fn open_now(
        &mut self,
        settings: &SinkSettings,
        opener: &Opener,
    ) -> anyhow::Result<Opened> {
        let last = opener.brokers.as_ref().and_then(|it| self.last.take(&settings.name, it));
        let owes = self.all.as_ref().is_some_and(|it| it.owes(&settings.name));
        match last.filter(|_| !owes) {
            Some(producer) => Ok(by(producer, None)),
            None => opener.open_now(),
        }
    }

    /// The plan of a sink that is there.
    pub(super) fn present(
        &mut self,
        settings: &SinkSettings,
        agent: &AgentSettings,
        clock: &Arc<dyn Clock>,
        opened: Opened,
    ) -> anyhow::Result<SinkPlan> {
        let Opened { make, read_back, queue, producer } = opened;
        self.queues.extend(queue.map(|it| (Arc::from(&*settings.name), it)));
        let ends = Ends { drain: Arc::clone(&make), direct: make };
        let plan = self.plan(settings, agent, clock, ends, read_back)?;
        // What is drained of a spool that comes late is in no checkpoint: the next plane reads it back.
        let is_late = self.late_spools.iter().any(|(name, _)| **name == *settings.name);
        if let Some(producer) = producer.filter(|_| !is_late) {
            self.producers.keep(&settings.name, producer);
        }
        Ok(plan)
    }

    /// The plan of a sink that is away as `why` says, and that `open` opens.
    pub(super) fn late(
        &mut self,
        settings: &SinkSettings,
        agent: &AgentSettings,
        clock: &Arc<dyn Clock>,
        (opener, why): (Opener, String),
        absent: &mut Vec<Absent>,
    ) -> anyhow::Result<SinkPlan> {
        let name = settings.name.clone();
        let open = {
            let (name, open) = (name.clone(), opener.open);
            move || match open(ANSWER_TIMEOUT) {
                Ok(Opened { make, read_back, .. }) => Ok(Arrived { make, read_back }),
                Err(error) => Err(format!("LogSink {name}: {error:#}")),
            }
        };
        let opening = match settings.target {
            SinkTarget::Kafka(_) => Opening::Remote,
            _ => Opening::Local,
        };
        let arrival = Arrival::new(why, Arc::new(open), opening);
        absent.push(Absent { name, arrival: Arc::clone(&arrival) });
        let is_by_section = is_by_section(settings);
        let end = |make: fn(Arc<Arrival>, AckSender, bool) -> LateSink| -> MakeSink {
            let arrival = Arc::clone(&arrival);
            Arc::new(move |acks| Box::new(make(Arc::clone(&arrival), acks, is_by_section)))
        };
        let ends = Ends { drain: end(LateSink::draining), direct: end(LateSink::new) };
        self.plan(settings, agent, clock, ends, None)
    }

    /// The plan of a sink whose queue holds what `read_back` says, as far as that is known.
    fn plan(
        &mut self,
        settings: &SinkSettings,
        agent: &AgentSettings,
        clock: &Arc<dyn Clock>,
        ends: Ends,
        mut read_back: Option<Box<dyn ReadBack>>,
    ) -> anyhow::Result<SinkPlan> {
        let name: Arc<str> = Arc::from(&*settings.name);
        let by_section = is_by_section(settings);
        let open = |it: &Spools| it.open(&name, by_section, clock, &mut read_back);
        let spool = self.all.as_ref().map(open);
        match spool.as_ref().map(|it| it.state.clone()) {
            Some(State::Open(store)) => self.spools.push((Arc::clone(&name), store)),
            Some(State::Late(late)) => self.late_spools.push((Arc::clone(&name), late)),
            None => {}
        }
        let shipper = |shard| shipper(settings, shard, ends.clone(), spool.clone());
        let shippers = (0..agent.shippers).map(shipper).collect();
        Ok(SinkPlan { name, reader: reader_sink(settings), shippers, read_back })
    }
}

/// Whether payloads of the sink are compressed section by section, if at all.
fn is_by_section(settings: &SinkSettings) -> bool {
    matches!(settings.target, SinkTarget::Kafka(_))
}

/// Whether the sink may come by itself: brokers that are back or let the agent in, a disk that has room again.
pub(super) fn is_absence(error: &anyhow::Error) -> bool {
    let passes = |it: &io::Error| {
        matches!(
            it.kind(),
            ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::StaleNetworkFileHandle
                | ErrorKind::TimedOut
        ) || it.raw_os_error() == Some(EIO)
    };
    error
        .chain()
        .any(|it| it.is::<KafkaError>() || it.downcast_ref::<io::Error>().is_some_and(passes))
}

/// What a failing disk says (errno(3), all Linux architectures).
const EIO: i32 = 5;

/// What opens a sink.
///
/// # Errors
/// If it never can be.
pub(super) fn opener(
    settings: &SinkSettings,
    agent: &AgentSettings,
    credentials: &Credentials,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Opener> {
    let clock = Arc::clone(clock);
    let mut brokers = None;
    let open: Open = match &settings.target {
        SinkTarget::Queue(queue) => {
            let queue = queue.clone();
            Arc::new(move |_| {
                let queue = open_queue(&queue, &clock)?;
                let read_back: Box<dyn ReadBack> = Box::new(read_back_of(&queue)?);
                let own = Arc::clone(&queue);
                let make: MakeSink =
                    Arc::new(move |acks| Box::new(QueueSink::new(Arc::clone(&own), acks)));
                Ok(Opened { make, read_back: Some(read_back), queue: Some(queue), producer: None })
            })
        }
        SinkTarget::Kafka(kafka) => {
            let config = kafka::config(settings, kafka, agent, credentials)?;
            brokers = Some(config.clone());
            Arc::new(move |answer_max| {
                let read_back = KafkaReadBack::of(&config, &*clock, answer_max)?;
                let producer = KafkaProducer::open(config.clone(), Arc::clone(&clock))?;
                Ok(by(producer, Some(Box::new(read_back))))
            })
        }
        SinkTarget::File(file) => {
            let config = FileConfig {
                rotate_bytes: file.rotate_bytes,
                keep: u32::try_from(file.keep).unwrap_or(u32::MAX),
                ..FileConfig::new(&file.path)
            };
            Arc::new(move |_| {
                let file = LogFile::open(config.clone(), Arc::clone(&clock))?;
                Ok(forgetful(move |acks| Box::new(FileSink::new(Arc::clone(&file), acks))))
            })
        }
        SinkTarget::Stdout => {
            Arc::new(|_| Ok(forgetful(|acks| Box::new(StdoutSink::new(std::io::stdout(), acks)))))
        }
        SinkTarget::Blackhole => Arc::new(|_| {
            let swallowed = Arc::new(Swallowed::default());
            Ok(forgetful(move |acks| Box::new(BlackholeSink::new(Arc::clone(&swallowed), acks))))
        }),
    };
    Ok(Opener { open, brokers })
}

/// A Kafka sink by that producer, of which a checkpoint has all but what `read_back` tells.
fn by(producer: Arc<KafkaProducer>, read_back: Option<Box<dyn ReadBack>>) -> Opened {
    let own = Arc::clone(&producer);
    let make: MakeSink = Arc::new(move |acks| Box::new(KafkaSink::new(Arc::clone(&own), acks)));
    Opened { make, read_back, queue: None, producer: Some(producer) }
}

/// A sink that cannot be asked what it has.
fn forgetful(make: impl Fn(AckSender) -> Box<dyn flow::Sink> + Send + Sync + 'static) -> Opened {
    Opened { make: Arc::new(make), read_back: None, queue: None, producer: None }
}

/// What readers do for a sink.
fn reader_sink(settings: &SinkSettings) -> ReaderSink {
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
    ReaderSink { limits, encode, compress: compressor(settings) }
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

fn shipper(
    settings: &SinkSettings,
    shard: usize,
    ends: Ends,
    spool: Option<SinkSpool>,
) -> ShipperMaker {
    let retry = RetryPolicy {
        first_ns: nanoseconds(settings.retry.initial),
        max_ns: nanoseconds(settings.retry.max),
    };
    Box::new(move |acks| {
        let Some(spool) = spool else {
            return ShipperParts { sink: (ends.direct)(acks), retry, spool: None };
        };
        let (spool, sink) = spool.parts(shard, acks, (&*ends.drain, &*ends.direct));
        ShipperParts { sink, retry, spool: Some(spool) }
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
