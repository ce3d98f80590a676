//! Node: a whole data plane over two worlds, ticked by hand in any order: discovery, reader, shipper,
//! tracker and checkpoint, with a queue and a disk that fail. What must hold is looked at after every
//! step ([`oracle`]).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam::channel::{Sender, bounded};
use crossbeam::sync::Parker;
use flow::{AckSender, ContextId, Ledger, ack_channel};
use globset::GlobSet;
use pipeline::Tick;
use pipeline::budgets::{BudgetSpec, Budgets};
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
use pipeline::reader::{BatchLimits, Command, DiscoveryDoor, Reader, ReaderParts, ReaderSink};
use pipeline::shipper::{RetryPolicy, Shipper, ShipperParts};
use pipeline::tracker::Tracker;
use sim::{EPOCH_UNIX_NS, KafkaSetting, Mode, SimClock, SimDisk, World};

use crate::bed::{CHUNK_BYTES, options};

mod oracle;
mod queue;
pub(crate) use oracle::Truth;
use queue::Queue;

/// Streams of logs, each in a world of its own.
pub(crate) const STREAMS: usize = 2;
/// Memory of each tenant, in bytes.
const MEMORY_BYTES_MAX: usize = 16 * CHUNK_BYTES;
/// Commands and messages that may wait: more than one schedule makes.
const WAITING_MAX: usize = 1000;

/// Which part of the node has its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Discovery,
    Reader,
    Shipper,
    Tracker,
}

const STAGES: [Stage; 4] = [Stage::Discovery, Stage::Reader, Stage::Shipper, Stage::Tracker];

/// What a node may have open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) open_files_max: u64,
    /// Of removed files, in bytes.
    pub(crate) pinned_bytes_max: u64,
}

/// A data plane that runs.
#[derive(Debug)]
struct Plane {
    discovery: Discovery,
    commands: Sender<Command>,
    reader: Reader,
    shipper: Shipper,
    tracker: Tracker,
    acks: AckSender,
    ledger: Arc<Ledger>,
    budgets: Arc<Budgets>,
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
    limits: Limits,
    pub(crate) queue: Queue,
    pub(crate) disk: SimDisk,
    meter: Arc<Meter>,
    plane: Option<Plane>,
    /// What a checkpoint said last: epoch and cursor.
    checkpoint: HashMap<ContextId, (u32, u64)>,
    checkpoint_steps: u64,
    /// What must survive a power cut: as the checkpoint was when it was stored for sure.
    durable: HashMap<ContextId, (u32, u64)>,
    stores: u64,
}

/// Where the files of a stream are.
pub(crate) fn directory(stream: usize) -> PathBuf {
    PathBuf::from(format!("/logs{stream}"))
}

/// Whose stream it is.
fn tenant(stream: usize) -> String {
    format!("tenant-{stream}")
}

impl Node {
    pub(crate) fn new(format: Format, limits: Limits, kafka: Option<KafkaSetting>) -> Node {
        let clock = Arc::new(SimClock::default());
        Node {
            worlds: (0..STREAMS).map(|_| World::with_clock(Arc::clone(&clock))).collect(),
            clock,
            format,
            limits,
            queue: Queue::new(kafka),
            disk: SimDisk::default(),
            meter: Arc::default(),
            plane: None,
            checkpoint: HashMap::new(),
            checkpoint_steps: 0,
            durable: HashMap::new(),
            stores: 0,
        }
    }

    fn rule(&self, stream: usize) -> Rule {
        let glob = directory(stream).join("*.log").display().to_string();
        let fixed = Some(Arc::from(tenant(stream)));
        Rule {
            name: Arc::from(format!("rule-{stream}")),
            selection: Selection::Files(
                FileSelection::new(&[glob], GlobSet::empty()).expect("a glob"),
            ),
            tenants: TenantMap { fixed, ..TenantMap::default() },
            sink: 0,
            is_waiting: false,
            options: Arc::new(options(self.format)),
            fs: Arc::new(self.worlds[stream].clone()),
        }
    }

    /// Starts a data plane, as the agent does; the disk may fail meanwhile.
    fn start(&mut self) -> Option<Plane> {
        let clock: Arc<SimClock> = Arc::clone(&self.clock);
        let unparker = Parker::new().unparker().clone();
        // What is not read back is not read.
        let read_back = self.queue.read_back()?;
        let opened = CheckpointStore::open_on(Box::new(self.disk.clone()), self.unix_seconds());
        let (store, loaded) = opened.ok()?;
        let (acks, acked) = ack_channel();
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
        let memory = Arc::new(Memory::new(loaded.entries, false, vec![Some(read_back)]));
        let tracker = tracker.restoring(memory.settle());
        let (commands, for_reader) = bounded(WAITING_MAX);
        let (lane_sender, new_lanes) = bounded(WAITING_MAX);
        let lanes = LaneDirectory::new(vec![vec![ShipperDoor {
            lanes: lane_sender,
            unparker: unparker.clone(),
        }]]);
        let spec = BudgetSpec { reserved_bytes: CHUNK_BYTES, max_bytes: MEMORY_BYTES_MAX };
        let budgets = Arc::new(Budgets::new(0, spec, usize::MAX, HashMap::new()));
        let buffers = Arc::new(Buffers::new(CHUNK_BYTES));
        let (asker, asks) = DiscoveryDoor::new(unparker.clone());
        let ledger = Arc::new(Ledger::default());
        let queue = self.queue.clone();
        let reader = Reader::new(ReaderParts {
            clock: clock.clone(),
            commands: for_reader,
            discovery: asker,
            tracker: tracker_sender,
            lanes: Arc::new(lanes),
            budgets: Arc::clone(&budgets),
            limits: Arc::default(),
            chunk_bytes: CHUNK_BYTES,
            buffers: Arc::clone(&buffers),
            ledger: Arc::clone(&ledger),
            meter: Arc::clone(&self.meter),
            memory,
            sinks: vec![ReaderSink {
                limits: BatchLimits { bytes_max: 3 * CHUNK_BYTES as u64, records_max: 100 },
                encode: Arc::new(move || queue.encoder()),
                compress: Arc::new(Queue::compressor),
            }],
            doorbell: Doorbell::new(unparker.clone()),
            open_files_max: self.limits.open_files_max,
            pins: Arc::new(Pins::new(self.limits.pinned_bytes_max)),
            first_id: 0,
            id_step: 1,
        });
        let discovery = Discovery::new(DiscoveryParts {
            clock: clock.clone(),
            watch: None,
            rules: (0..STREAMS).map(|stream| self.rule(stream)).collect(),
            place: Place::default(),
            readers: vec![ReaderDoor { commands: commands.clone(), unparker: unparker.clone() }],
            asks,
            meter: Arc::clone(&self.meter),
            scan_interval_ns: 0,
            open_files_max: self.limits.open_files_max,
        });
        let retry = RetryPolicy { first_ns: 1, max_ns: 1_000 };
        let shipper = Shipper::new(
            Arc::from("queue"),
            ShipperParts {
                sink: self.queue.sink(acks.clone(), clock.clone())?,
                retry,
                spool: None,
            },
            new_lanes,
            clock,
            self.meter.sink(&Arc::from("queue")),
            vec![Doorbell::new(unparker)],
            buffers,
        );
        Some(Plane { discovery, commands, reader, shipper, tracker, acks, ledger, budgets })
    }

    fn unix_seconds(&self) -> i64 {
        EPOCH_UNIX_NS.saturating_add_unsigned(self.clock.now_ns()) / 1_000_000_000
    }

    fn running(&mut self) -> Option<&mut Plane> {
        if self.plane.is_none() {
            self.plane = self.start();
        }
        self.plane.as_mut()
    }

    /// One turn of a stage; returns whether it has more to do now.
    pub(crate) fn tick(&mut self, stage: Stage) -> bool {
        let now_ns = self.clock.now_ns();
        let queue = self.queue.clone();
        let Some(plane) = self.running() else { return true };
        let tick = match stage {
            Stage::Discovery => plane.discovery.tick(),
            Stage::Reader => plane.reader.tick(),
            Stage::Shipper => plane.shipper.tick(),
            Stage::Tracker => plane.tracker.tick(),
        };
        queue.go_on();
        let is_broken = plane.shipper.broken().is_some() || plane.ledger.dropped() > 0;
        if is_broken {
            self.end_plane(0, 0);
            return true;
        }
        match tick {
            Tick::Busy => true,
            // A scan is always due, as nothing is watched.
            Tick::Idle(_) if stage == Stage::Discovery => false,
            Tick::Idle(until_ns) => until_ns.is_some_and(|until_ns| until_ns <= now_ns),
        }
    }

    /// The watch heard that the live file of a stream was written to.
    pub(crate) fn hear(&mut self, stream: usize) {
        let path = directory(stream).join("a.log");
        let context = self.context(stream);
        if let (Some(plane), Some(context)) = (&self.plane, context) {
            plane.commands.send(Command::Poke { context, path }).expect("the reader is there");
        }
    }

    fn context(&self, stream: usize) -> Option<ContextId> {
        let tenant = tenant(stream);
        self.queue.look(|stored| {
            let own = stored.iter().find(|it| *it.header.context.tenant == *tenant);
            own.map(|it| it.header.context.id)
        })
    }

    /// The queue makes some of what it holds safe, and says so.
    pub(crate) fn settle(&mut self, payloads: usize) {
        if let Some(plane) = &self.plane {
            self.queue.settle(payloads, &plane.acks);
        }
    }

    /// The queue says of one payload that it is safe, in any order.
    pub(crate) fn acknowledge(&mut self, number: usize) {
        if let Some(plane) = &self.plane {
            self.queue.acknowledge(number, &plane.acks);
        }
    }

    /// The plane ends as it does when its sink is broken: the next one goes on from what is stored. So
    /// many sections stay in the queue that were not acknowledged, and so many records of the next.
    pub(crate) fn end_plane(&mut self, kept: usize, records: usize) {
        let Some(plane) = self.plane.take() else { return };
        World::kill_in(&self.worlds, plane);
        self.meter.tenants().iter().for_each(|(_, it)| it.forget_in_flight());
        self.queue.lose(kept, records);
    }

    /// The agent is killed; the machine, too, if the power is cut.
    pub(crate) fn kill(&mut self, kept: usize, records: usize, power: Option<(usize, bool)>) {
        if self.plane.is_some() {
            self.queue.die();
        }
        self.end_plane(kept, records);
        if let Some((torn, names_kept)) = power {
            self.disk.cut_power(torn, names_kept);
            self.checkpoint.clone_from(&self.durable);
            self.checkpoint_steps = u64::MAX;
        }
        self.disk.revive();
    }

    /// The agent is asked to end, and does; nothing may be read again then.
    pub(crate) fn stop(&mut self) {
        self.queue.set_mode(Mode::Safe);
        let Some(plane) = &mut self.plane else { return };
        plane.reader.stop();
        for _ in 0..10_000 {
            plane.reader.tick();
            plane.shipper.tick();
            self.queue.go_on();
            self.clock.advance(1_000);
            if plane.reader.is_stopped() && plane.shipper.is_empty() {
                break;
            }
        }
        plane.shipper.flush(self.queue.patience_ns(self.clock.now_ns()));
        plane.tracker.store_now();
        self.end_plane(0, 0);
    }
}
