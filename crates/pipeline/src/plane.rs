//! Data plane: the stages, the threads around them, and how they start and stop.
//!
//! A thread is a loop around a stage's tick that parks when the stage is idle. Whatever goes wrong
//! for good (a broken sink, a dropped ticket, a thread that died) ends the plane; the control plane
//! starts a new one, which goes on from the checkpoint and from what the queue holds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Sender, bounded};
use crossbeam::sync::{Parker, Unparker};
use flow::{AckSender, Ledger, ReadBack, ack_channel};

use crate::budgets::Budgets;
use crate::buffers::Buffers;
use crate::checkpoint::{CheckpointStore, Damage};
use crate::discovery::{Discovery, DiscoveryParts, KnownRoom, ReaderDoor};
use crate::doorbell::Doorbell;
use crate::lane::{LaneDirectory, LaneReceiver, ShipperDoor};
use crate::limits::Limits;
use crate::memory::Memory;
use crate::pins::Pins;
use crate::reader::{DiscoveryDoor, Reader, ReaderParts, ReaderSink};
use crate::shipper::Shipper;
use crate::tracker::{Tracker, TrackerCommand};
use crate::watch::{InotifyWatch, Watch};

mod plan;
mod report;
mod run;
mod threads;

pub use plan::{PlanePlan, ShipperMaker, SinkPlan, StartError, World};
pub use report::Reporter;
use run::Flags;
use threads::Threads;

/// What a stop came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Everything that was read is acknowledged.
    pub is_clean: bool,
    /// Everything that was acknowledged is in the checkpoint.
    pub is_stored: bool,
    /// Tickets that were dropped: their spans will be read again.
    pub dropped_tickets: u64,
}

/// Running stages.
#[derive(Debug)]
pub struct DataPlane {
    world: World,
    flags: Arc<Flags>,
    ledger: Arc<Ledger>,
    budgets: Arc<Budgets>,
    limits: Arc<Limits>,
    lanes: Arc<LaneDirectory>,
    readers: Vec<ReaderDoor>,
    shippers: Vec<Unparker>,
    discovery: DiscoveryDoor,
    reader_threads: Vec<JoinHandle<()>>,
    shipper_threads: Vec<JoinHandle<()>>,
    discovery_thread: JoinHandle<()>,
    tracker_thread: JoinHandle<()>,
    /// Keeps the tracker's channels connected: it sleeps on them until they close.
    tracker_doors: (Sender<TrackerCommand>, AckSender),
    /// What was wrong with the checkpoint.
    pub damage: Vec<Damage>,
}

/// Commands that may wait for a reader.
const COMMANDS_MAX: usize = 1024;
/// Commands that may wait for the tracker.
const TRACKER_COMMANDS_MAX: usize = 8192;
/// Lanes that may wait for a shipper.
const NEW_LANES_MAX: usize = 1024;

impl DataPlane {
    /// Reads the checkpoint and starts the threads.
    ///
    /// # Errors
    /// If the state directory cannot be used, or there are no threads.
    pub fn start(plan: PlanePlan, world: World) -> Result<DataPlane, StartError> {
        let now_unix_seconds = world.clock.unix_ns() / 1_000_000_000;
        let (store, loaded) = CheckpointStore::open(&plan.state_directory, now_unix_seconds)?;
        let damage = loaded.damage.clone();
        let (acks, acked) = ack_channel();
        let (tracker_commands, commands) = bounded(TRACKER_COMMANDS_MAX);
        let tracker = Tracker::new(
            acked,
            commands,
            Arc::clone(&world.clock),
            store,
            plan.checkpoint_interval_ns,
            Arc::clone(&world.meter),
            Arc::clone(&world.observe),
        )
        .marking(acks.stored_mark());
        let budgets = Budgets::new(
            plan.pool_bytes,
            plan.default_budget,
            plan.default_reserves,
            plan.chunk_bytes,
            plan.budgets,
        );
        let budgets = Arc::new(budgets.windowed(plan.windows));
        let (weights, priorities) = (plan.limits.weights(), plan.limits.priorities());
        let limits = Arc::new(Limits::new(plan.limits, world.clock.monotonic_ns()));
        let (flags, ledger) = (Arc::new(Flags::default()), Arc::new(Ledger::default()));
        let threads = Threads { flags: Arc::clone(&flags), clock: Arc::clone(&world.clock) };

        let reader_parkers: Vec<Parker> = (0..plan.readers).map(|_| Parker::new()).collect();
        let doorbells: Vec<Doorbell> =
            reader_parkers.iter().map(|it| Doorbell::new(it.unparker().clone())).collect();
        let sinks: Vec<ReaderSink> = plan.sinks.iter().map(|it| it.reader.clone()).collect();
        let buffers = Arc::new(Buffers::new(buffer_bytes_max(&sinks)));
        let mut shipping = Shipping::default();
        for sink in plan.sinks {
            shipping.start(sink, &acks, &world, &doorbells, (&buffers, &limits), &threads)?;
        }

        let memory = Arc::new(Memory::new(loaded.entries, !damage.is_empty(), shipping.read_backs));
        let tracker =
            tracker.restoring(memory.settle()).bounded(Arc::clone(&memory), plan.ended_bytes_max);
        let lanes = Arc::new(LaneDirectory::new(shipping.doors).weighing(weights));
        let pins = Pins::new(plan.pinned_bytes_max).limited(plan.pinned_by_tenant);
        let pins = Arc::new(pins.ranked(priorities));
        let discovery_parker = Parker::new();
        let (discovery_door, asks) = DiscoveryDoor::new(discovery_parker.unparker().clone());
        let (mut readers, mut reader_threads) = (Vec::new(), Vec::new());
        for (number, parker) in reader_parkers.into_iter().enumerate() {
            let (sender, receiver) = bounded(COMMANDS_MAX);
            readers.push(ReaderDoor { commands: sender, unparker: parker.unparker().clone() });
            let reader = Reader::new(ReaderParts {
                clock: Arc::clone(&world.clock),
                commands: receiver,
                discovery: discovery_door.clone(),
                tracker: tracker_commands.clone(),
                lanes: Arc::clone(&lanes),
                budgets: Arc::clone(&budgets),
                limits: Arc::clone(&limits),
                chunk_bytes: plan.chunk_bytes,
                buffers: Arc::clone(&buffers),
                ledger: Arc::clone(&ledger),
                meter: Arc::clone(&world.meter),
                memory: Arc::clone(&memory),
                sinks: sinks.clone(),
                doorbell: doorbells[number].clone(),
                open_files_max: plan.open_files_max,
                pins: Arc::clone(&pins),
                first_id: u32::try_from(number).expect("few readers"),
                id_step: u32::try_from(plan.readers).expect("few readers"),
            });
            reader_threads.push(threads.spawn_reader(number, reader, parker)?);
        }

        let discovery = Discovery::new(DiscoveryParts {
            clock: Arc::clone(&world.clock),
            watch: Some(watch(&world, &discovery_door.unparker)),
            rules: plan.rules,
            place: plan.place,
            readers: readers.clone(),
            asks,
            meter: Arc::clone(&world.meter),
            scan_interval_ns: plan.scan_interval_ns,
            open_files_max: plan.open_files_max,
        });
        let room = plan.known_beside_bytes;
        let room = room.map(|beside_bytes| KnownRoom { beside_bytes, memory: Arc::clone(&memory) });
        let discovery = discovery.standing_in(budgets.pool(), room);
        let discovery_thread = threads.spawn_discovery(discovery, discovery_parker)?;
        let tracker_thread = threads.spawn_tracker(tracker)?;
        Ok(DataPlane {
            world,
            flags,
            ledger,
            budgets,
            limits,
            lanes,
            readers,
            shippers: shipping.unparkers,
            discovery: discovery_door,
            reader_threads,
            shipper_threads: shipping.threads,
            discovery_thread,
            tracker_thread,
            tracker_doors: (tracker_commands, acks),
            damage,
        })
    }

    /// Why the plane must be started anew, if it must.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        if let Some(reason) = self.flags.broken() {
            return Some(reason);
        }
        let dropped = self.ledger.dropped();
        if dropped > 0 {
            return Some(format!("{dropped} tickets were dropped"));
        }
        let stages = self.reader_threads.iter().chain(&self.shipper_threads);
        let mut all = stages.chain([&self.discovery_thread, &self.tracker_thread]);
        let dead = all.find(|it| it.is_finished())?;
        Some(format!("thread {} died", dead.thread().name().unwrap_or("unnamed")))
    }

    /// Bytes in use, by tenant.
    #[must_use]
    pub fn memory_used(&self) -> Vec<(Arc<str>, usize)> {
        self.budgets.used()
    }

    /// A way to ask where every source stands, apart from the plane.
    #[must_use]
    pub fn reporter(&self) -> Reporter {
        let shared = (Arc::clone(&self.limits), Arc::clone(&self.lanes));
        Reporter::new(self.readers.clone(), self.discovery.clone(), Arc::clone(&self.flags), shared)
    }

    /// Wakes discovery, when something is known that it was not told by the file system.
    #[must_use]
    pub fn discovery_waker(&self) -> Unparker {
        self.discovery.unparker.clone()
    }

    /// Stops reading, ships what was read, stores the checkpoint; gives up at the deadline.
    ///
    /// Giving up loses nothing: what is not acknowledged is read again.
    pub fn stop(self, deadline_ns: u64) -> Stopped {
        let clock = Arc::clone(&self.world.clock);
        self.flags.deadline_ns.store(deadline_ns, Ordering::Release);
        let wait = |threads: &[JoinHandle<()>], wake: &dyn Fn()| {
            while !threads.iter().all(JoinHandle::is_finished) {
                let now_ns = clock.monotonic_ns();
                // A sink that is broken takes nothing any more, however long readers wait for it.
                if now_ns >= deadline_ns || self.flags.broken().is_some() {
                    self.flags.is_abandoned.store(true, Ordering::Release);
                }
                if now_ns >= deadline_ns.saturating_add(HUNG_NS) {
                    tracing::error!("a thread hangs in the file system; leaving it behind");
                    self.flags.break_down("a thread hangs in the file system");
                    return;
                }
                wake();
                std::thread::sleep(STOP_POLL);
            }
        };
        self.flags.stop_discovery.store(true, Ordering::Release);
        self.discovery.unparker.unpark();
        self.flags.stop_readers.store(true, Ordering::Release);
        wait(&self.reader_threads, &|| self.readers.iter().for_each(|it| it.unparker.unpark()));
        self.flags.stop_shippers.store(true, Ordering::Release);
        wait(&self.shipper_threads, &|| self.shippers.iter().for_each(Unparker::unpark));
        wait(std::slice::from_ref(&self.discovery_thread), &|| self.discovery.unparker.unpark());
        self.flags.stop_tracker.store(true, Ordering::Release);
        drop(self.tracker_doors);
        wait(std::slice::from_ref(&self.tracker_thread), &|| {});
        let dropped_tickets = self.ledger.dropped();
        let is_broken = self.flags.broken().is_some();
        let tenants = self.world.meter.tenants();
        let is_acked = tenants.iter().all(|(_, it)| it.oldest_unacked_ns().is_none());
        let is_clean = dropped_tickets == 0 && !is_broken && is_acked;
        if !is_clean {
            // The next plane reads these spans again, under tickets of its own.
            tenants.iter().for_each(|(_, it)| it.forget_in_flight());
            self.world.meter.rules().iter().for_each(|it| it.forget_in_flight());
        }
        let is_stored = self.flags.is_stored.load(Ordering::Acquire);
        Stopped { is_clean, is_stored, dropped_tickets }
    }
}

/// The sinks' side of a plane while it is started.
#[derive(Default)]
struct Shipping {
    doors: Vec<Vec<ShipperDoor>>,
    unparkers: Vec<Unparker>,
    threads: Vec<JoinHandle<()>>,
    read_backs: Vec<Option<Box<dyn ReadBack>>>,
}

impl Shipping {
    /// Starts the shippers of a sink.
    fn start(
        &mut self,
        sink: SinkPlan,
        acks: &AckSender,
        world: &World,
        readers: &[Doorbell],
        (buffers, limits): (&Arc<Buffers>, &Arc<Limits>),
        threads: &Threads,
    ) -> Result<(), StartError> {
        let mut doors = Vec::new();
        for maker in sink.shippers {
            let (lanes, new_lanes) = bounded::<LaneReceiver>(NEW_LANES_MAX);
            let parker = Parker::new();
            let unparker = parker.unparker().clone();
            doors.push(ShipperDoor { lanes, unparker: unparker.clone() });
            self.unparkers.push(unparker);
            let shipper = Shipper::new(
                Arc::clone(&sink.name),
                maker(acks.clone()),
                new_lanes,
                Arc::clone(&world.clock),
                world.meter.sink(&sink.name),
                readers.to_vec(),
                Arc::clone(buffers),
            )
            .watching(Arc::clone(&world.meter))
            .charging(Arc::clone(limits));
            self.threads.push(threads.spawn_shipper(self.threads.len(), shipper, parker)?);
        }
        self.doors.push(doors);
        self.read_backs.push(sink.read_back);
        Ok(())
    }
}

/// How long after the deadline a thread that hangs in a system call is waited for, in nanoseconds.
const HUNG_NS: u64 = 2_000_000_000;
/// How often a stop looks whether threads have ended.
const STOP_POLL: Duration = Duration::from_millis(1);

/// Largest buffer worth keeping: twice the largest batch, since encoding adds to it.
fn buffer_bytes_max(sinks: &[ReaderSink]) -> usize {
    let largest = sinks.iter().map(|it| it.limits.bytes_max).max().unwrap_or(0);
    usize::try_from(largest).unwrap_or(usize::MAX / 2) * 2
}

fn watch(world: &World, unparker: &Unparker) -> Box<dyn Watch> {
    Box::new(InotifyWatch::new(Arc::clone(&world.clock), unparker.clone()))
}
