//! Tracker: moves watermarks over the gap-free acknowledged prefix, and stores them.
//!
//! One per data plane, on the thread `lf-ckpt`. Spans of a context tile its cursors, so an ack that
//! arrives early simply waits until its predecessors have come: the watermark is all the order there
//! is. Only watermarks are stored, never anything beyond.

use std::collections::{HashMap, HashSet, hash_map};
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, Select};
use flow::{Acked, Clock, ContextId, Position, SourceId, StoredMark};

use crate::Tick;
use crate::checkpoint::{CheckpointStore, End, Entry};
use crate::memory::Memory;
use crate::meter::{Meter, Observe, SourceMeter};
use crate::source::Known;

mod tracked;
use tracked::Tracked;

/// What readers tell the tracker. A source is opened before its first span is acknowledged.
#[derive(Debug)]
pub enum TrackerCommand {
    /// A source begins.
    Open {
        /// Its number.
        source: SourceId,
        /// Its context.
        context: ContextId,
        /// Where it goes on.
        known: Known,
        /// What it counts into.
        meter: Arc<SourceMeter>,
    },
    /// A generation is done with, once everything before `cursor` is acknowledged.
    Forget {
        /// Whose.
        source: SourceId,
        /// Cursor at which it was done with.
        cursor: u64,
        /// Which.
        key: u64,
    },
    /// A generation is known by another place, once everything before `cursor` is acknowledged.
    Move {
        /// Whose.
        source: SourceId,
        /// Cursor at which that was so.
        cursor: u64,
        /// Which, and by what.
        position: Position,
    },
    /// A source ended; its context stays in the checkpoint for a while.
    Close {
        /// Which.
        source: SourceId,
        /// Cursor at which it ended.
        cursor: u64,
        /// A section that says so is on its way; its ack is the last one of the source.
        has_end: bool,
    },
}

/// Moves and stores watermarks.
#[derive(Debug)]
pub struct Tracker {
    acks: Receiver<Vec<Acked>>,
    commands: Receiver<TrackerCommand>,
    clock: Arc<dyn Clock>,
    store: CheckpointStore,
    interval_ns: u64,
    meter: Arc<Meter>,
    observe: Arc<dyn Observe>,
    sources: HashMap<SourceId, Opened>,
    /// Meters of tenants and LogConfigs, few.
    meters: Vec<Arc<SourceMeter>>,
    /// What has changed, or waits for an ack. All else rests in the store alone.
    contexts: HashMap<ContextId, Tracked>,
    /// Contexts with changes that are not stored.
    dirty: HashSet<ContextId>,
    next_store_ns: u64,
    next_refresh_ns: u64,
    store_failures: u32,
    stored: StoredMark,
}

/// A source, as far as the tracker must know it: there is one for each of very many.
#[derive(Debug, Clone, Copy)]
struct Opened {
    /// The id of its context in two halves: one number of 16 bytes would have to be aligned to 16.
    context: [u64; 2],
    /// Which of the meters is its own.
    meter: u32,
}

impl Opened {
    fn new(context: ContextId, meter: u32) -> Opened {
        let halves = context.0.to_ne_bytes();
        let (high, low) = halves.split_at(8);
        let half = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().expect("a half has 8 bytes"));
        Opened { context: [half(high), half(low)], meter }
    }

    fn context(&self) -> ContextId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.context[0].to_ne_bytes());
        bytes[8..].copy_from_slice(&self.context[1].to_ne_bytes());
        ContextId(u128::from_ne_bytes(bytes))
    }
}

impl Tracker {
    /// A tracker that stores at most every `interval_ns`.
    #[must_use]
    pub fn new(
        acks: Receiver<Vec<Acked>>,
        commands: Receiver<TrackerCommand>,
        clock: Arc<dyn Clock>,
        store: CheckpointStore,
        interval_ns: u64,
        meter: Arc<Meter>,
        observe: Arc<dyn Observe>,
    ) -> Tracker {
        let next_refresh_ns = clock.monotonic_ns() + REFRESH_NS;
        Tracker {
            acks,
            commands,
            clock,
            store,
            interval_ns,
            meter,
            observe,
            sources: HashMap::new(),
            meters: Vec::new(),
            contexts: HashMap::new(),
            dirty: HashSet::new(),
            next_store_ns: 0,
            next_refresh_ns,
            store_failures: 0,
            stored: StoredMark::default(),
        }
    }

    /// Sinks that have this mark hear which acknowledgements are stored.
    #[must_use]
    pub fn marking(self, stored: StoredMark) -> Tracker {
        Tracker { stored, ..self }
    }

    /// Lets contexts whose files are gone take so much, here and in `memory`: [`CheckpointStore::bounded`].
    #[must_use]
    pub fn bounded(self, memory: Arc<Memory>, ended_bytes_max: usize) -> Tracker {
        Tracker { store: self.store.bounded(memory, ended_bytes_max), ..self }
    }

    /// Also stores what became known at the start, whether or not a source of it opens.
    #[must_use]
    pub fn restoring(mut self, news: Vec<(ContextId, Known)>) -> Tracker {
        for (context, known) in news {
            self.contexts.insert(context, Tracked::new(known, true));
            self.dirty.insert(context);
        }
        self
    }

    /// Takes acks and commands; stores if it is time.
    pub fn tick(&mut self) -> Tick {
        let now_ns = self.clock.monotonic_ns();
        let worked = self.take(now_ns);
        if self.dirty.is_empty() {
            self.stored.set(now_ns);
        }
        if self.dirty.is_empty() && now_ns < self.next_refresh_ns {
            return if worked { Tick::Busy } else { Tick::Idle(None) };
        }
        if self.meter.unstored_since_ns.get() == 0 && !self.dirty.is_empty() {
            self.meter.unstored_since_ns.set(now_ns);
        }
        if now_ns >= self.next_store_ns {
            self.store(now_ns);
        }
        if worked { Tick::Busy } else { Tick::Idle(Some(self.next_store_ns)) }
    }

    /// Sleeps until there is an ack or a command, at most so long.
    pub fn wait(&self, at_most: Duration) {
        let mut select = Select::new();
        select.recv(&self.acks);
        select.recv(&self.commands);
        // Which of them, or neither: the next tick looks at both.
        let _either = select.ready_timeout(at_most);
    }

    /// Stores everything acknowledged so far, whatever the interval says; returns whether it is stored.
    pub fn store_now(&mut self) -> bool {
        let now_ns = self.clock.monotonic_ns();
        while self.take(now_ns) {}
        self.store(now_ns);
        self.dirty.is_empty()
    }

    fn take(&mut self, now_ns: u64) -> bool {
        // Acks first: what opens their sources was sent before them and so is in the channel now.
        let groups: Vec<Vec<Acked>> = self.acks.try_iter().collect();
        let mut worked = !groups.is_empty();
        while let Ok(command) = self.commands.try_recv() {
            self.command(command);
            worked = true;
        }
        for acked in groups.into_iter().flatten() {
            self.acknowledge(acked, now_ns);
        }
        worked
    }

    fn command(&mut self, command: TrackerCommand) {
        match command {
            TrackerCommand::Open { source, context, known, meter } => {
                self.open(source, context, known, &meter);
            }
            TrackerCommand::Forget { source, cursor, key } => {
                self.change(source, |it| it.forget(cursor, key));
            }
            TrackerCommand::Move { source, cursor, position } => {
                self.change(source, |it| it.move_to(cursor, position));
            }
            TrackerCommand::Close { source, cursor, has_end } => {
                self.change(source, |it| it.close(source, cursor, has_end));
            }
        }
    }

    fn open(
        &mut self,
        source: SourceId,
        context: ContextId,
        known: Known,
        meter: &Arc<SourceMeter>,
    ) {
        let number = self.meters.iter().position(|it| Arc::ptr_eq(it, meter));
        let number = number.unwrap_or_else(|| {
            self.meters.push(Arc::clone(meter));
            self.meters.len() - 1
        });
        let number = u32::try_from(number).expect("tenants are few");
        self.sources.insert(source, Opened::new(context, number));
        // A chain that came back before all of its earlier life was acknowledged goes on with that
        // life's watermark: what the reader knows is further than that.
        if let Some(tracked) = self.contexts.get_mut(&context) {
            tracked.reopen();
        } else if !self.store.has(context, &known, self.clock.unix_ns() / 1_000_000_000) {
            // The queue knew more than the checkpoint, or nobody knew anything.
            // What was left out at a first start is nowhere else.
            let is_back = self.store.has_ended(context);
            let is_news = is_back || !known.is_new || !known.generations.is_empty();
            self.contexts.insert(context, Tracked::new(known, is_news));
            if is_news {
                self.dirty.insert(context);
            }
        }
    }

    /// Changes what is tracked of a source's context, and notes if there is something to store.
    fn change(&mut self, source: SourceId, change: impl FnOnce(&mut Tracked)) -> bool {
        let Some(context) = self.sources.get(&source).map(Opened::context) else { return false };
        let tracked = match self.contexts.entry(context) {
            hash_map::Entry::Occupied(tracked) => tracked.into_mut(),
            hash_map::Entry::Vacant(place) => {
                let Some(known) = self.store.known(context) else { return false };
                place.insert(Tracked::new(known.clone(), false))
            }
        };
        change(tracked);
        if tracked.is_dirty {
            self.dirty.insert(context);
        }
        true
    }

    fn acknowledge(&mut self, acked: Acked, now_ns: u64) {
        let opened = self.sources.get(&acked.source).copied();
        debug_assert!(opened.is_some(), "an ack for a source that was never opened");
        let Some(opened) = opened else { return };
        let meter = &self.meters[opened.meter as usize];
        if let Some(reason) = acked.gap {
            meter.gaps[usize::from(reason.code())].add(1);
        }
        // An empty span only carried the end, or a gap whose size nobody can know.
        if acked.span.is_empty() {
            self.change(acked.source, |tracked| match (acked.gap, acked.positions.first()) {
                (None, _) => tracked.end(acked.source),
                (Some(_), Some(gone)) => tracked.settle(acked.span.begin, gone.generation),
                (Some(_), None) => {}
            });
            return;
        }
        meter.acknowledged(&acked);
        self.observe.acknowledged(now_ns.saturating_sub(acked.seen_ns));
        self.change(acked.source, |tracked| tracked.acknowledge(acked));
    }

    /// Number of the tenant of a source: of the first of its meters.
    fn tenant(&self, source: SourceId) -> Option<u32> {
        let own = &self.meters[self.sources.get(&source)?.meter as usize];
        let number = self.meters.iter().position(|it| it.is_of_tenant_of(own))?;
        u32::try_from(number).ok()
    }

    fn store(&mut self, now_ns: u64) {
        self.next_store_ns = now_ns + self.interval_ns;
        let unix_seconds = self.clock.unix_ns() / 1_000_000_000;
        let mut changed: Vec<Entry> = Vec::with_capacity(self.dirty.len());
        for context in &self.dirty {
            let Some(tracked) = self.contexts.get(context) else { continue };
            let known = tracked.known.clone();
            let updated_unix_seconds = unix_seconds;
            let end =
                tracked.ended_by().map(|it| End { tenant: self.tenant(it), source: Some(it) });
            changed.push(Entry { context: *context, known, updated_unix_seconds, end });
        }
        let is_refresh = now_ns >= self.next_refresh_ns;
        if changed.is_empty() && !is_refresh {
            return;
        }
        let sources = &self.sources;
        let open = || sources.values().map(Opened::context).collect();
        if let Err(error) = self.store.store(changed, unix_seconds, is_refresh, open) {
            self.meter.checkpoint_errors.add(1);
            if self.store_failures.is_power_of_two() || self.store_failures == 0 {
                tracing::error!(%error, "checkpoint not stored; shipping goes on, trying again");
            }
            self.store_failures += 1;
            return;
        }
        if self.store_failures > 0 {
            tracing::info!("checkpoint is stored again");
            self.store_failures = 0;
        }
        if is_refresh {
            self.next_refresh_ns = now_ns + REFRESH_NS;
        }
        self.stored.set(now_ns);
        self.meter.checkpoints.add(1);
        self.meter.ended_bytes.set(self.store.ended_bytes() as u64);
        self.meter.unstored_since_ns.set(0);
        for context in self.dirty.drain() {
            let Some(tracked) = self.contexts.get_mut(&context) else { continue };
            tracked.is_dirty = false;
            if tracked.is_at_rest() {
                if tracked.is_finished() {
                    for closing in &tracked.closing {
                        self.sources.remove(&closing.source);
                    }
                }
                self.contexts.remove(&context);
            }
        }
        // What one burst of changes needed is not kept for the next hour.
        self.dirty.shrink_to(DIRTY_KEPT);
        if self.contexts.is_empty() {
            self.contexts.shrink_to(DIRTY_KEPT);
        }
    }
}

/// How often a whole checkpoint is written although little or nothing changed, in nanoseconds.
///
/// A day: contexts that are still open must not look like those that are kept for a week only.
const REFRESH_NS: u64 = 86_400_000_000_000;

/// Changed contexts for which there is always room.
const DIRTY_KEPT: usize = 1024;

#[cfg(test)]
mod tests;
