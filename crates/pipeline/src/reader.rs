//! Reader: reads sources in turn, frames, encodes and compresses, and hands payloads to lanes.
//!
//! One thread per reader; a source belongs to one reader for its life. Permit first, then read: if
//! there is no memory, or the lane is full, the file keeps the bytes and the next lane has its turn.
//! Gathering happens *before* reading: a quiet source is read when its linger is over, so nothing
//! waits in memory, and what became ready together shares a batch.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender};
use flow::{Chunk, Clock, ContextId, Ledger, is_mutant};

use crate::Tick;
use crate::budgets::Budgets;
use crate::buffers::Buffers;
use crate::doorbell::Doorbell;
use crate::lane::LaneDirectory;
use crate::limits::Limits;
use crate::memory::Memory;
use crate::meter::Meter;
use crate::pins::Pins;
use crate::schedule::{LaneIndex, Schedule, SourceIndex, TenantIndex, cost_ns};
use crate::source::Source;
use crate::tracker::TrackerCommand;

mod admit;
mod command;
mod door;
mod gather;
mod hear;
mod held;
mod hold;
mod initial;
mod open_ring;
mod opened;
mod pace;
mod pack;
mod pressure;
mod relief;
mod rest;
mod room;
mod sample;
mod settle;
mod starting;
#[cfg(test)]
mod tests;
mod turn;
mod waits;
pub use command::{
    Ask, ChainFiles, ChainPlace, ChainsAsked, Command, ReaderReport, ShortFolder, Shown,
};
pub use door::DiscoveryDoor;
pub use gather::BatchLimits;
use gather::Gather;
use hold::Holds;
pub use initial::Initial;
use open_ring::OpenRing;
pub use opened::Opened;
use pace::{Naps, Pace, SLICE_NS};
use pack::Packer;
pub use pack::{CompressMaker, EncodeMaker};
use pressure::Pressure;
use rest::Seat;
use room::LogDisks;
use starting::Starting;
pub use waits::WaitsFor;

/// What a reader works with.
#[derive(Debug)]
pub struct ReaderParts {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// From discovery and control.
    pub commands: Receiver<Command>,
    /// To discovery.
    pub discovery: DiscoveryDoor,
    /// To the ack tracker.
    pub tracker: Sender<TrackerCommand>,
    /// Lanes to shippers.
    pub lanes: Arc<LaneDirectory>,
    /// Memory.
    pub budgets: Arc<Budgets>,
    /// How fast sources may be read.
    pub limits: Arc<Limits>,
    /// Size of the read buffer, in bytes.
    pub chunk_bytes: usize,
    /// Buffers of blocks, on their way back from shippers.
    pub buffers: Arc<Buffers>,
    /// Counts dropped tickets.
    pub ledger: Arc<Ledger>,
    /// Counts everything else.
    pub meter: Arc<Meter>,
    /// What is known of contexts from before.
    pub memory: Arc<Memory>,
    /// By sink.
    pub sinks: Vec<ReaderSink>,
    /// Rung by shippers when a lane has room again, or memory was given back.
    pub doorbell: Doorbell,
    /// Above this many open log files, those least recently active are closed.
    pub open_files_max: u64,
    /// Removed files that are held open, by all readers.
    pub pins: Arc<Pins>,
    /// First source id, and the step between: readers share the number space.
    pub first_id: u32,
    /// See `first_id`.
    pub id_step: u32,
}

/// What a reader must know of a sink.
#[derive(Clone)]
pub struct ReaderSink {
    /// When a batch is full.
    pub limits: BatchLimits,
    /// Makes a reader's encoder.
    pub encode: EncodeMaker,
    /// Makes a reader's compressor.
    pub compress: CompressMaker,
}

impl std::fmt::Debug for ReaderSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReaderSink").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Reads sources in turn.
#[derive(Debug)]
pub struct Reader {
    parts: ReaderParts,
    /// What is being read and framed; its bytes stay with this thread.
    chunk: Chunk,
    /// Sources that are awake; boxed, as there may have been very many.
    slots: Vec<Option<Box<Slot>>>,
    free: Vec<SourceIndex>,
    by_context: HashMap<ContextId, Seat>,
    next_id: u32,
    schedule: Schedule,
    tenants: HashMap<Arc<str>, TenantIndex>,
    naps: Naps,
    /// Bytes that the turn brought.
    turn_bytes: u64,
    timers: BinaryHeap<Reverse<(u64, SourceIndex)>>,
    gathers: Vec<Gather>,
    open: OpenRing,
    /// By sink.
    packers: Vec<Packer>,
    holds: Holds,
    log_disks: LogDisks,
    starting: Starting,
    pressure: Pressure,
    is_stopping: bool,
}

/// A source and its place in the schedule.
#[derive(Debug)]
struct Slot {
    source: Source,
    lane: LaneIndex,
    /// Waits for its turn.
    is_ready: bool,
    /// Earliest of its timers; later ones in the heap are of no meaning.
    due_ns: Option<u64>,
    open_files: usize,
    pace: Pace,
}

/// Turns in one tick: a bound, so that time is looked at in between.
const TURNS_MAX: usize = 16;

/// Timers for which there is always room.
const TIMERS_KEPT: usize = 1024;

/// How long a blocked reader sleeps at most: shippers wake it earlier.
const BLOCKED_NS: u64 = 20_000_000;

impl Reader {
    /// A reader without sources.
    #[must_use]
    pub fn new(parts: ReaderParts) -> Reader {
        let packer = |sink: &ReaderSink| {
            let blocks = Arc::clone(&parts.buffers);
            let spare_bytes_max = blocks.bytes_max();
            Packer::new((sink.encode)(), (sink.compress)(), blocks, spare_bytes_max)
        };
        Reader {
            packers: parts.sinks.iter().map(packer).collect(),
            next_id: parts.first_id,
            chunk: Chunk::new(parts.chunk_bytes),
            parts,
            slots: Vec::new(),
            free: Vec::new(),
            by_context: HashMap::new(),
            schedule: Schedule::default(),
            tenants: HashMap::new(),
            naps: Naps::default(),
            turn_bytes: 0,
            timers: BinaryHeap::new(),
            gathers: Vec::new(),
            holds: Holds::default(),
            log_disks: LogDisks::default(),
            open: OpenRing::default(),
            starting: Starting::default(),
            pressure: Pressure::default(),
            is_stopping: false,
        }
    }

    /// Takes commands, then turns, then hands over.
    pub fn tick(&mut self) -> Tick {
        let begin_ns = self.parts.clock.monotonic_ns();
        self.feel_pressure(begin_ns);
        let tick = self.work(begin_ns);
        self.pressure.ticked(begin_ns, tick == Tick::Busy);
        tick
    }

    fn work(&mut self, begin_ns: u64) -> Tick {
        let mut now_ns = begin_ns;
        let mut worked = self.take_commands(now_ns) | self.begin_one(now_ns);
        if worked {
            now_ns = self.parts.clock.monotonic_ns();
        }
        let end_ns = now_ns + SLICE_NS;
        self.wake_due(now_ns);
        self.wake_napping(now_ns);
        self.tend_holds(now_ns);
        self.tend_log_disks(now_ns);
        self.schedule.unblock_all();
        for _ in 0..TURNS_MAX {
            // Slow sources do not keep those waiting whose time has come.
            if self.is_stopping || now_ns >= end_ns {
                break;
            }
            let Some((lane, index)) = self.schedule.next_turn() else { break };
            let gather = &mut self.gathers[lane];
            if gather.is_stalled() {
                gather.flush(false, &mut self.packers[gather.key.sink]);
            }
            if gather.is_stalled() {
                self.schedule.block(lane, index);
                continue;
            }
            self.turn_bytes = 0;
            worked |= self.turn(lane, index, now_ns);
            now_ns = self.charge(lane, index, now_ns);
            // A new file is opened between two reads: it may be gone after many.
            if self.take_commands(now_ns) {
                worked = true;
                now_ns = self.parts.clock.monotonic_ns();
            }
        }
        let gathers_on = self.pressure.gathers_on(worked && !self.is_stopping, now_ns);
        if !gathers_on && self.pressure.is_short_of_cpu() {
            self.schedule.begin_window(now_ns);
        }
        for (lane, gather) in self.gathers.iter_mut().enumerate() {
            let is_urgent = self.schedule.is_blocked(lane)
                || self.schedule.is_within_share(lane, now_ns)
                    && !is_mutant("whoever_is_quiet_gathers");
            let is_over = !gathers_on || is_urgent;
            let is_quiet = self.is_stopping || is_over && self.schedule.is_quiet(lane);
            gather.flush(is_quiet, &mut self.packers[gather.key.sink]);
        }
        if worked && !self.is_stopping {
            return Tick::Busy;
        }
        if self.timers.is_empty() {
            // Quiet: what one chunk of many short lines needed is not kept for the next hour.
            self.chunk.shrink();
            self.timers.shrink_to(TIMERS_KEPT);
        }
        let timer_ns = self.timers.peek().map(|Reverse((due_ns, _))| *due_ns);
        let is_blocked = self.schedule.has_blocked() || self.gathers.iter().any(Gather::is_stalled);
        if is_blocked && self.parts.doorbell.listen() {
            // Room may have come before anybody knew that it is waited for.
            return Tick::Busy;
        }
        let blocked_ns = is_blocked.then_some(now_ns + BLOCKED_NS);
        let asleep_ns = [self.naps.due_ns(), self.schedule.due_ns()];
        let looks_ns = [self.holds.due_ns(), self.log_disks.due_ns()];
        let due_ns = [timer_ns, blocked_ns].into_iter().chain(looks_ns).chain(asleep_ns);
        Tick::Idle(due_ns.flatten().min())
    }

    /// Charges the turn that began at `begin_ns` to the lane and its tenant; returns the time now.
    fn charge(&mut self, lane: LaneIndex, index: SourceIndex, begin_ns: u64) -> u64 {
        let now_ns = self.parts.clock.monotonic_ns();
        let took_ns = now_ns.saturating_sub(begin_ns);
        self.schedule.spent(
            lane,
            cost_ns(self.turn_bytes, took_ns, self.parts.limits.node_bytes_per_second()),
        );
        if self.turn_bytes > 0
            && let Some(slot) = &mut self.slots[index]
        {
            slot.pace.took(self.turn_bytes, took_ns);
        }
        now_ns
    }

    /// Reads nothing more; hands over what is gathered.
    pub fn stop(&mut self) {
        self.is_stopping = true;
    }

    /// Whether everything read was handed over, after [`Reader::stop`].
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.is_stopping && self.gathers.iter().all(Gather::is_empty)
    }

    fn wake_at(&mut self, index: SourceIndex, due_ns: u64) {
        let Some(slot) = &mut self.slots[index] else { return };
        if slot.is_ready || slot.due_ns.is_some_and(|earlier| earlier <= due_ns) {
            return;
        }
        slot.due_ns = Some(due_ns);
        self.timers.push(Reverse((due_ns, index)));
    }

    fn wake_due(&mut self, now_ns: u64) {
        while let Some(&Reverse((due_ns, index))) = self.timers.peek() {
            if due_ns > now_ns {
                return;
            }
            self.timers.pop();
            let is_current =
                self.slots[index].as_ref().is_some_and(|slot| slot.due_ns == Some(due_ns));
            if is_current {
                self.make_ready(index);
            }
        }
    }

    fn make_ready(&mut self, index: SourceIndex) {
        let Some(slot) = &mut self.slots[index] else { return };
        slot.due_ns = None;
        if !slot.is_ready {
            slot.is_ready = true;
            self.schedule.ready(slot.lane, index);
        }
    }

    fn tell_tracker(&self, command: TrackerCommand) {
        // The tracker outlives the readers; if it died, nothing is acknowledged any more and the
        // control plane starts over.
        drop(self.parts.tracker.send(command));
    }
}

impl Drop for Reader {
    /// The gauges outlive the data plane: the next one counts its own sources.
    fn drop(&mut self) {
        for slot in self.slots.iter().flatten() {
            slot.source.meter.sources.sub(1);
            slot.source.forget_gauges();
            self.parts.meter.open_files.sub(slot.open_files as u64);
            slot.source.meter.open_files.sub(slot.open_files as u64);
        }
        self.forget_resting();
        self.forget_pressure();
    }
}
