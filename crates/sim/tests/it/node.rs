//! Node: a whole data plane over two worlds, ticked by hand in any order: discovery, reader, shipper,
//! tracker and checkpoint, with a queue and a disk that fail. What must hold is looked at after every
//! step ([`oracle`]).

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::channel::{Receiver, Sender, bounded};
use crossbeam::sync::Parker;
use flow::{ContextId, Ledger, Payload, Refused, Sink, SinkError, ack_channel};
use globset::GlobSet;
use pipeline::Tick;
use pipeline::budgets::Budgets;
use pipeline::buffers::Buffers;
use pipeline::checkpoint::CheckpointStore;
use pipeline::discovery::{
    Discovery, DiscoveryParts, FileSelection, Place, ReaderDoor, Rule, Selection, TenantMap,
};
use pipeline::doorbell::Doorbell;
use pipeline::frame::Format;
use pipeline::lane::{LaneDirectory, ShipperDoor};
use pipeline::memory::Memory;
use pipeline::meter::{Meter, Observe};
use pipeline::pins::Pins;
use pipeline::reader::{Ask, ChainsAsked, Command, DiscoveryDoor, Reader, ReaderParts, ReaderSink};
use pipeline::shipper::{RetryPolicy, Shipper, ShipperParts};
use pipeline::tracker::Tracker;
use sim::{EPOCH_UNIX_NS, KafkaSetting, Mode, SimClock, SimDisk, World};

use crate::bed::{CHUNK_BYTES, options};

mod books;
mod liveness;
mod oracle;
mod plan;
mod queue;
mod spool;
mod watch;
use books::Books;
pub(crate) use books::{Encoded, Sums};
pub(crate) use oracle::Truth;
pub(crate) use plan::{BATCH, Limits, Plan, Stream};
pub(crate) use queue::Queue;
pub(crate) use spool::{Kept, NodeSpool, SpoolPlan};
use spool::{OpenSpool, SpoolShare};
pub(crate) use watch::{ReaderTick, Turn, Watch, stream_of};

/// Streams of logs, each in a world of its own, where nothing else is said.
pub(crate) const STREAMS: usize = 2;
/// Commands and messages that may wait: more than one schedule makes.
const WAITING_MAX: usize = 1000;
/// What contexts whose files are gone may take: all of a schedule's are remembered.
const ENDED_BYTES: usize = 1 << 20;
/// Chains that are shown at a time: a schedule has few.
const SHOWN_MAX: usize = 1;

/// Which part of the node has its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Discovery,
    Reader,
    Shipper,
    Tracker,
}

/// A sink that has not come, and how often it refused.
#[derive(Debug)]
struct AwaySink(Arc<AtomicU64>);

impl Sink for AwaySink {
    fn submit(&mut self, payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(Box::new(Refused { payload, why: SinkError::Retry("away".to_owned()) }))
    }
    fn flush(&mut self, _deadline_ns: u64) -> Result<(), SinkError> {
        Ok(())
    }
}

const STAGES: [Stage; 4] = [Stage::Discovery, Stage::Reader, Stage::Shipper, Stage::Tracker];

/// A data plane that runs.
#[derive(Debug)]
struct Plane {
    discovery: Discovery,
    asker: DiscoveryDoor,
    /// To the reader, by way of the node, which counts them.
    commands: Sender<Command>,
    told: Receiver<Command>,
    for_reader: Sender<Command>,
    reader: Reader,
    /// By sink.
    shippers: Vec<Shipper>,
    /// By sink, if there are spools.
    spools: Vec<OpenSpool>,
    tracker: Tracker,
    ledger: Arc<Ledger>,
    budgets: Arc<Budgets>,
    limits: Arc<pipeline::limits::Limits>,
    /// Which life of the agent it is, and when it began.
    life: u32,
    begun_ns: u64,
}

impl Plane {
    /// Hands the reader what it was told; returns whom of that is about.
    fn tell_reader(&mut self) -> Vec<ContextId> {
        let about = |command: &Command| match command {
            Command::Look { spec, .. } => Some(spec.context.id),
            Command::Poke { context, .. } | Command::Missed(context) => Some(*context),
            Command::Report(_) => None,
        };
        let commands: Vec<Command> = self.told.try_iter().collect();
        let news = commands.iter().filter_map(about).collect();
        commands.into_iter().for_each(|it| self.for_reader.send(it).expect("the reader is there"));
        news
    }
}

/// Nobody wants to know how long it took.
#[derive(Debug)]
struct Deaf;

impl Observe for Deaf {
    fn acknowledged(&self, _latency_ns: u64) {}
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) worlds: Vec<World>,
    clock: Arc<SimClock>,
    format: Format,
    pub(crate) plan: Plan,
    /// By sink.
    pub(crate) queues: Vec<Queue>,
    /// By sink, how often it refused while it had not come.
    away: Vec<Arc<AtomicU64>>,
    /// By sink, if there are spools.
    pub(crate) spools: Vec<NodeSpool>,
    pub(crate) disk: SimDisk,
    pub(crate) meter: Arc<Meter>,
    pub(crate) watch: Watch,
    pub(crate) books: Books,
    plane: Option<Plane>,
    /// How often a plane was started.
    pub(crate) lives: u32,
    /// When the stages that had nothing to do want their next turns, by stage.
    due_ns: [Option<u64>; STAGES.len()],
    /// What a checkpoint said last: epoch and cursor.
    checkpoint: HashMap<ContextId, (u32, u64)>,
    checkpoint_steps: u64,
    /// What must survive a power cut: as the checkpoint was when it was stored for sure.
    durable: HashMap<ContextId, (u32, u64)>,
    stores: u64,
    /// Nothing happens any more but what the agent does: a turn of discovery is a whole scan.
    is_quiet: bool,
}

/// How the directories of streams begin.
const DIRECTORIES: &str = "/logs";

/// Where the files of a stream are.
pub(crate) fn directory(stream: usize) -> PathBuf {
    PathBuf::from(format!("{DIRECTORIES}{stream}"))
}

/// Name of a sink.
fn sink_name(number: usize) -> Arc<str> {
    Arc::from(if number == 0 { "queue".to_owned() } else { format!("queue-{number}") })
}

impl Node {
    pub(crate) fn new(format: Format, plan: Plan, kafka: Option<KafkaSetting>) -> Node {
        let clock = Arc::new(SimClock::default());
        Node {
            worlds: plan.streams.iter().map(|_| World::with_clock(Arc::clone(&clock))).collect(),
            clock,
            format,
            queues: (0..plan.sinks).map(|_| Queue::new(kafka)).collect(),
            away: (0..plan.sinks).map(|_| Arc::default()).collect(),
            spools: plan
                .spool
                .iter()
                .flat_map(|_| 0..plan.sinks)
                .map(|_| NodeSpool::new())
                .collect(),
            plan,
            disk: SimDisk::default(),
            meter: Arc::default(),
            watch: Watch::default(),
            books: Books::default(),
            plane: None,
            lives: 0,
            due_ns: [None; STAGES.len()],
            checkpoint: HashMap::new(),
            checkpoint_steps: 0,
            durable: HashMap::new(),
            stores: 0,
            is_quiet: false,
        }
    }

    fn rule(&self, number: usize) -> Rule {
        let glob = directory(number).join("*.log").display().to_string();
        let stream = &self.plan.streams[number];
        let fixed = Some(Arc::clone(&stream.tenant));
        Rule {
            name: Arc::clone(&stream.log_config),
            selection: Selection::Files(
                FileSelection::new(&[glob], GlobSet::empty()).expect("a glob"),
            ),
            tenants: TenantMap { fixed, ..TenantMap::default() },
            sink: stream.sink,
            topic: None,
            options: Arc::new(options(self.format)),
            fs: Arc::new(self.worlds[number].clone()),
        }
    }

    /// The sinks that can be opened now.
    fn present(&self) -> impl Iterator<Item = (usize, &Queue)> {
        let is_present = |(number, _): &(usize, &Queue)| self.plan.absent != Some(*number);
        self.queues.iter().enumerate().filter(is_present)
    }

    /// Starts a data plane, as the agent does; the disk may fail meanwhile.
    fn start(&mut self) -> Option<Plane> {
        let clock: Arc<SimClock> = Arc::clone(&self.clock);
        let unparker = Parker::new().unparker().clone();
        // What is not read back is read from the checkpoint on, and not sent.
        let mut read_backs: Vec<_> = (0..self.plan.sinks).map(|_| None).collect();
        for (number, queue) in self.present() {
            read_backs[number] = Some(queue.read_back()?);
        }
        let opened = CheckpointStore::open_on(Box::new(self.disk.clone()), self.unix_seconds());
        let (store, loaded) = opened.ok()?;
        let (acks, acked) = ack_channel();
        let share = SpoolShare::of(&self.plan);
        let mut spools = Vec::new();
        for (number, spool) in self.spools.iter().enumerate() {
            let read_back = &mut read_backs[number];
            let share = share.as_ref()?;
            spools.push(spool.open(number, self.lives, share, &clock, &acks, read_back)?);
        }
        let (tracker_sender, tracker_commands) = bounded(WAITING_MAX);
        let tracker = Tracker::new(
            acked,
            tracker_commands,
            clock.clone(),
            store,
            0,
            Arc::clone(&self.meter),
            Arc::new(Deaf),
        )
        .marking(acks.stored_mark());
        let memory = Arc::new(Memory::new(loaded.entries, false, read_backs));
        let tracker = tracker.restoring(memory.settle()).bounded(Arc::clone(&memory), ENDED_BYTES);
        let (commands, told) = bounded(WAITING_MAX);
        let (for_reader, reader_commands) = bounded(WAITING_MAX);
        let weights = self.plan.limits.weights();
        let (doors, new_lanes): (Vec<_>, Vec<_>) = (0..self.plan.sinks)
            .map(|_| {
                let (lanes, new_lanes) = bounded(WAITING_MAX);
                (vec![ShipperDoor { lanes, unparker: unparker.clone() }], new_lanes)
            })
            .unzip();
        let lanes = LaneDirectory::new(doors).weighing(weights);
        let budgets = Arc::new(Budgets::new(
            self.plan.pool_bytes,
            Plan::memory_usual(),
            usize::MAX,
            CHUNK_BYTES,
            self.plan.memory.clone(),
        ));
        let now_ns = self.clock.now_ns();
        let limits = Arc::new(pipeline::limits::Limits::new(self.plan.limits.clone(), now_ns));
        let pins = Pins::new(self.plan.files.pinned_bytes_max).limited(self.plan.pinned.clone());
        let pins = pins.ranked(self.plan.limits.priorities());
        let buffers = Arc::new(Buffers::new(CHUNK_BYTES));
        let (asker, asks) = DiscoveryDoor::new(unparker.clone());
        let ledger = Arc::new(Ledger::default());
        let reader = Reader::new(ReaderParts {
            clock: clock.clone(),
            commands: reader_commands,
            discovery: asker.clone(),
            tracker: tracker_sender,
            lanes: Arc::new(lanes),
            budgets: Arc::clone(&budgets),
            limits: Arc::clone(&limits),
            chunk_bytes: CHUNK_BYTES,
            buffers: Arc::clone(&buffers),
            ledger: Arc::clone(&ledger),
            meter: Arc::clone(&self.meter),
            memory,
            sinks: self.queues.iter().map(|it| self.reader_sink(it)).collect(),
            doorbell: Doorbell::new(unparker.clone()),
            open_files_max: self.plan.files.open_files_max,
            pins: Arc::new(pins),
            first_id: 0,
            id_step: 1,
        });
        let discovery = Discovery::new(DiscoveryParts {
            clock: clock.clone(),
            watch: None,
            rules: (0..self.worlds.len()).map(|stream| self.rule(stream)).collect(),
            place: Place::default(),
            readers: vec![ReaderDoor { commands: commands.clone(), unparker: unparker.clone() }],
            asks,
            meter: Arc::clone(&self.meter),
            scan_interval_ns: 0,
            open_files_max: self.plan.files.open_files_max,
        })
        .in_slices_of(if self.plan.scans_by_piece { 0 } else { u64::MAX });
        let retry = RetryPolicy { first_ns: 1, max_ns: self.plan.retry_max_ns };
        let mut shippers = Vec::new();
        for (number, queue) in self.queues.iter().enumerate() {
            let sink = match self.plan.absent {
                Some(absent) if absent == number => {
                    Box::new(AwaySink(Arc::clone(&self.away[number])))
                }
                _ => queue.sink(acks.clone(), clock.clone())?,
            };
            let meter = self.meter.sink(&sink_name(number));
            let spool = self.spools.get(number).zip(spools.get(number)).zip(share.as_ref());
            let spool =
                spool.map(|((it, open), share)| it.parts(open, queue, share, &clock, &acks));
            let shipper = Shipper::new(
                sink_name(number),
                ShipperParts { sink, retry, spool },
                new_lanes[number].clone(),
                clock.clone(),
                meter,
                vec![Doorbell::new(unparker.clone())],
                Arc::clone(&buffers),
            );
            shippers.push(shipper.watching(Arc::clone(&self.meter)).charging(Arc::clone(&limits)));
        }
        Some(Plane {
            discovery,
            asker,
            commands,
            told,
            for_reader,
            reader,
            shippers,
            spools,
            tracker,
            ledger,
            budgets,
            limits,
            life: self.lives,
            begun_ns: now_ns,
        })
    }

    fn reader_sink(&self, queue: &Queue) -> ReaderSink {
        let (queue, turns) = (queue.clone(), self.watch.turns.clone());
        ReaderSink {
            limits: self.plan.batch,
            encode: Arc::new(move || turns.noting(queue.encoder())),
            compress: Arc::new(Queue::compressor),
        }
    }

    fn unix_seconds(&self) -> i64 {
        EPOCH_UNIX_NS.saturating_add_unsigned(self.clock.now_ns()) / 1_000_000_000
    }

    fn running(&mut self) -> Option<&mut Plane> {
        if self.plane.is_none() {
            self.plane = self.start();
            self.lives += u32::from(self.plane.is_some());
        }
        self.plane.as_mut()
    }

    /// One turn of a stage; returns whether it has more to do now.
    pub(crate) fn tick(&mut self, stage: Stage) -> bool {
        let now_ns = self.clock.now_ns();
        let is_quiet = self.is_quiet;
        let Some(plane) = self.running() else { return true };
        let news = if stage == Stage::Reader { plane.tell_reader() } else { Vec::new() };
        let tick = match stage {
            Stage::Discovery => loop {
                let tick = plane.discovery.tick();
                if tick != Tick::Busy || !is_quiet {
                    break tick;
                }
            },
            Stage::Reader => plane.reader.tick(),
            Stage::Shipper => {
                plane.shippers.iter_mut().map(Shipper::tick).fold(Tick::Idle(None), sooner)
            }
            Stage::Tracker => plane.tracker.tick(),
        };
        self.queues.iter().for_each(Queue::go_on);
        let Some(plane) = &self.plane else { return true };
        if stage == Stage::Reader {
            let due_ns = if let Tick::Idle(due_ns) = tick { due_ns } else { None };
            self.watch.note(plane, &self.meter, news, (now_ns, due_ns));
        }
        let is_broken = plane.shippers.iter().any(|it| it.broken().is_some());
        if is_broken || plane.ledger.dropped() > 0 {
            self.end_plane(0, 0);
            return true;
        }
        let until_ns = match tick {
            Tick::Busy => Some(now_ns),
            // A scan is always due, as nothing is watched.
            Tick::Idle(_) if stage == Stage::Discovery => None,
            Tick::Idle(until_ns) => until_ns,
        };
        self.due_ns[stage as usize] = until_ns;
        until_ns.is_some_and(|until_ns| until_ns <= now_ns)
    }

    /// When the first of the stages wants a turn, if any does.
    pub(crate) fn due_ns(&self) -> Option<u64> {
        self.due_ns.iter().flatten().min().copied()
    }

    /// The watch heard that the live file of a stream was written to.
    pub(crate) fn hear(&mut self, stream: usize) {
        let path = directory(stream).join("a.log");
        let context = self.context(stream);
        if let (Some(plane), Some(context)) = (&self.plane, context) {
            plane.commands.send(Command::Poke { context, path }).expect("the reader is there");
        }
    }

    /// Somebody is shown the files of all streams: their worlds note what was told, which is owed from then on.
    pub(crate) fn show(&mut self) {
        let contexts = (0..self.worlds.len()).filter_map(|it| self.context(it));
        let contexts: BTreeSet<ContextId> = contexts.collect();
        let contexts: Arc<[ContextId]> = contexts.into_iter().collect();
        let Some(plane) = &mut self.plane else { return };
        let mut after = None;
        loop {
            let (answer, shown) = bounded(1);
            let contexts = Arc::clone(&contexts);
            let asked = ChainsAsked { contexts, after, max: SHOWN_MAX, answer };
            plane.asker.ask(Ask::Chains(Box::new(asked)));
            plane.discovery.answer();
            after = shown.try_recv().expect("discovery answers").next;
            if after.is_none() {
                return;
            }
        }
    }

    /// A spool makes all that it was handed safe.
    pub(crate) fn sync_spool(&mut self, number: usize) {
        let now_ns = self.clock.now_ns();
        let open = self.plane.as_mut().and_then(|it| it.spools.get_mut(number));
        if let Some(open) = open.filter(|_| self.spools[number].disk.take_unsynced()) {
            open.sync(now_ns);
        }
    }

    /// All spools do.
    pub(crate) fn sync_spools(&mut self) {
        (0..self.spools.len()).for_each(|it| self.sync_spool(it));
    }

    /// Whether the spools hold anything of a stream's tenant that its sink has not acknowledged.
    pub(crate) fn is_owed(&self, stream: usize) -> bool {
        let tenant = &self.plan.streams[stream].tenant;
        match &self.plane {
            Some(plane) => plane.spools.iter().any(|it| it.owed(tenant) > 0),
            None => !self.spools.is_empty(),
        }
    }

    /// What the spools hold, for messages.
    pub(crate) fn spools_told(&self) -> String {
        let spools = self.plane.iter().flat_map(|it| &it.spools).map(OpenSpool::told);
        let refused = (0..self.spools.len())
            .map(|it| self.meter.sink(&sink_name(it)).spool_refusals.get())
            .collect::<Vec<_>>();
        let over = self.meter.tenants();
        let over = over.iter().map(|(name, it)| (name.clone(), it.over_limit_bytes.get()));
        let over: Vec<_> = over.filter(|it| it.1 > 0).collect();
        let spools: String = spools.collect();
        format!("; spools {spools}, refused {refused:?}, beyond limits {over:?}")
    }

    /// Memory in use, by tenant; none if no plane runs.
    pub(crate) fn memory_used(&self) -> Option<Vec<(Arc<str>, usize)>> {
        self.plane.as_ref().map(|it| it.budgets.used())
    }

    /// The context of a stream, once anything of it was read.
    pub(crate) fn context(&self, stream: usize) -> Option<ContextId> {
        let is_it = |it: &&Turn| it.stream == stream;
        self.watch.turns.look(|turns| turns.iter().find(is_it).map(|it| it.context))
    }

    /// The queues make some of what they hold safe, and say so.
    pub(crate) fn settle(&mut self, payloads: usize) {
        for number in 0..self.queues.len() {
            self.settle_sink(number, payloads);
        }
    }

    /// All that a sink took is safe, and it says so, also of what it kept silent about.
    pub(crate) fn settle_all(&mut self, number: usize) {
        if self.plane.is_some() {
            self.queues[number].settle_all();
        }
    }

    /// As [`Node::settle`], of one sink.
    pub(crate) fn settle_sink(&mut self, number: usize, payloads: usize) {
        if self.plane.is_some() {
            self.queues[number].settle(payloads);
        }
    }

    /// The queues say of one payload that it is safe, in any order.
    pub(crate) fn acknowledge(&mut self, number: usize) {
        if self.plane.is_some() {
            self.queues.iter().for_each(|it| it.acknowledge(number));
        }
    }

    /// The plane ends as it does when its sink is broken: the next one goes on from what is stored. So
    /// many sections stay in the queue that were not acknowledged, and so many records of the next.
    pub(crate) fn end_plane(&mut self, kept: usize, records: usize) {
        let Some(plane) = self.plane.take() else { return };
        World::kill_in(&self.worlds, plane);
        self.meter.tenants().iter().for_each(|(_, it)| it.forget_in_flight());
        self.watch.end();
        self.due_ns = [None; STAGES.len()];
        self.queues.iter().for_each(|it| it.lose(kept, records));
    }

    /// Whether no agent runs until the next turn of any stage.
    pub(crate) fn is_dead(&self) -> bool {
        self.plane.is_none()
    }

    /// The agent is killed; the machine, too, if the power is cut.
    pub(crate) fn kill(&mut self, kept: usize, records: usize, power: Option<(usize, bool)>) {
        if self.plane.is_some() {
            self.queues.iter().for_each(Queue::die);
        }
        self.end_plane(kept, records);
        if let Some((torn, names_kept)) = power {
            self.disk.cut_power(torn, names_kept);
            self.spools.iter().for_each(|it| it.cut_power(torn, names_kept));
            self.checkpoint.clone_from(&self.durable);
            self.checkpoint_steps = u64::MAX;
        }
        self.disk.revive();
        self.spools.iter().for_each(|it| it.disk.revive());
    }

    /// The agent is asked to end, and does; nothing may be read again then.
    pub(crate) fn stop(&mut self) {
        for queue in &self.queues {
            queue.set_mode(Mode::Safe);
        }
        let Some(plane) = &mut self.plane else { return };
        plane.reader.stop();
        plane.shippers.iter_mut().for_each(Shipper::stop);
        for _ in 0..10_000 {
            plane.reader.tick();
            for shipper in &mut plane.shippers {
                shipper.tick();
            }
            self.queues.iter().for_each(Queue::go_on);
            self.clock.advance(1_000);
            if plane.reader.is_stopped() && plane.shippers.iter().all(Shipper::is_empty) {
                break;
            }
        }
        let now_ns = self.clock.now_ns();
        let patience_ns = self.queues[0].patience_ns(now_ns);
        plane.shippers.iter_mut().for_each(|it| it.flush(patience_ns));
        plane.tracker.store_now();
        self.end_plane(0, 0);
    }
}

/// The one that wants the next turn sooner.
fn sooner(one: Tick, other: Tick) -> Tick {
    match (one, other) {
        (Tick::Idle(one), Tick::Idle(other)) => Tick::Idle(one.into_iter().chain(other).min()),
        _ => Tick::Busy,
    }
}
