//! Tracker: moves watermarks over the gap-free acknowledged prefix, and stores them.
//!
//! One per data plane, on the thread `lf-ckpt`. Spans of a context tile its cursors, so an ack that
//! arrives early simply waits until its predecessors have come: the watermark is all the order there
//! is. Only watermarks are stored, never anything beyond.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, Select};
use flow::{Acked, Clock, ContextId, Position, SourceId};

use crate::Tick;
use crate::checkpoint::{CheckpointStore, Entry};
use crate::meter::{Meter, Observe, TenantMeter};
use crate::source::Known;

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
        /// Counts of its tenant.
        meter: Arc<TenantMeter>,
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
    /// A source ended; its context stays in the checkpoint for a while.
    Close {
        /// Which.
        source: SourceId,
        /// Cursor at which it ended.
        cursor: u64,
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
    sources: HashMap<SourceId, ContextId>,
    contexts: HashMap<ContextId, Tracked>,
    next_store_ns: u64,
    store_failures: u32,
}

#[derive(Debug)]
struct Tracked {
    entry: Entry,
    meter: Arc<TenantMeter>,
    /// Acknowledged before what precedes them.
    early: BTreeMap<u64, (u64, Vec<Position>)>,
    forget: Vec<(u64, u64)>,
    is_dirty: bool,
    /// The cursor at which its source ended, if it did.
    closed_at: Option<u64>,
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
        Tracker {
            acks,
            commands,
            clock,
            store,
            interval_ns,
            meter,
            observe,
            sources: HashMap::new(),
            contexts: HashMap::new(),
            next_store_ns: 0,
            store_failures: 0,
        }
    }

    /// Takes acks and commands; stores if it is time.
    pub fn tick(&mut self) -> Tick {
        let now_ns = self.clock.monotonic_ns();
        let worked = self.take(now_ns);
        let is_dirty = self.contexts.values().any(|it| it.is_dirty);
        if !is_dirty {
            return if worked { Tick::Busy } else { Tick::Idle(None) };
        }
        if self.meter.unstored_since_ns.get() == 0 {
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

    /// Stores everything acknowledged so far, whatever the interval says.
    pub fn store_now(&mut self) {
        let now_ns = self.clock.monotonic_ns();
        while self.take(now_ns) {}
        self.store(now_ns);
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
                self.sources.insert(source, context);
                // A chain that came back before all of its earlier life was acknowledged goes on
                // with that life's watermark: what the reader knows is further than that.
                let tracked = self.contexts.entry(context).or_insert_with(|| Tracked {
                    // What was left out at a first start is nowhere else.
                    is_dirty: known.is_new && !known.generations.is_empty(),
                    entry: Entry::new(context, known),
                    meter,
                    early: BTreeMap::new(),
                    forget: Vec::new(),
                    closed_at: None,
                });
                tracked.closed_at = None;
            }
            TrackerCommand::Forget { source, cursor, key } => {
                if let Some(tracked) = self.tracked(source) {
                    tracked.forget.push((cursor, key));
                    tracked.forget_reached();
                }
            }
            TrackerCommand::Close { source, cursor } => {
                if let Some(tracked) = self.tracked(source) {
                    tracked.closed_at = Some(cursor);
                    tracked.is_dirty = true;
                }
            }
        }
    }

    fn tracked(&mut self, source: SourceId) -> Option<&mut Tracked> {
        self.contexts.get_mut(self.sources.get(&source)?)
    }

    fn acknowledge(&mut self, acked: Acked, now_ns: u64) {
        if let (Some(reason), Some(tracked)) = (acked.gap, self.tracked(acked.source)) {
            tracked.meter.gaps[usize::from(reason.code())].add(1);
        }
        // An empty span only carried marks, or a gap whose size nobody can know.
        if acked.span.is_empty() {
            return;
        }
        let Some(tracked) = self.tracked(acked.source) else {
            debug_assert!(false, "an ack for a source that was never opened");
            return;
        };
        let meter = &tracked.meter;
        meter.end(&(acked.seen_ns, acked.source, acked.span.begin));
        match acked.gap {
            Some(reason) => meter.gap_bytes[usize::from(reason.code())].add(acked.span.bytes()),
            None => {
                meter.delivered_bytes.add(acked.span.bytes() - acked.filtered_bytes);
                meter.filtered_bytes.add(acked.filtered_bytes);
                meter.delivered_records.add(u64::from(acked.records));
            }
        }
        let seen_ns = acked.seen_ns;
        tracked.acknowledge(acked);
        self.observe.acknowledged(now_ns.saturating_sub(seen_ns));
    }

    fn store(&mut self, now_ns: u64) {
        self.next_store_ns = now_ns + self.interval_ns;
        let unix_seconds = self.clock.unix_ns() / 1_000_000_000;
        let dirty = self.contexts.values_mut().filter(|it| it.is_dirty);
        let changed = dirty.map(|it| {
            it.entry.updated_unix_seconds = unix_seconds;
            it.entry.clone()
        });
        let changed: Vec<Entry> = changed.collect();
        if changed.is_empty() {
            return;
        }
        if let Err(error) = self.store.store(changed, unix_seconds) {
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
        self.meter.checkpoints.add(1);
        self.meter.unstored_since_ns.set(0);
        self.contexts.values_mut().for_each(|it| it.is_dirty = false);
        self.contexts.retain(|_, it| !it.is_finished());
        self.sources.retain(|_, context| self.contexts.contains_key(context));
    }
}

impl Tracked {
    fn acknowledge(&mut self, acked: Acked) {
        let known = &mut self.entry.known;
        if acked.span.begin != known.cursor {
            assert!(acked.span.begin > known.cursor, "{} was acknowledged twice", acked.span);
            self.early.insert(acked.span.begin, (acked.span.end, acked.positions));
            return;
        }
        self.advance(acked.span.end, &acked.positions);
        while let Some((end, positions)) = self.early.remove(&self.entry.known.cursor) {
            self.advance(end, &positions);
        }
        self.forget_reached();
    }

    fn advance(&mut self, end: u64, positions: &[Position]) {
        let known = &mut self.entry.known;
        known.cursor = end;
        known.is_new = false;
        self.is_dirty = true;
        for position in positions {
            known.move_to(*position);
        }
    }

    /// Drops the generations that nothing un-acknowledged refers to any more.
    fn forget_reached(&mut self) {
        let cursor = self.entry.known.cursor;
        let (reached, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.forget).into_iter().partition(|(at, _)| *at <= cursor);
        self.forget = waiting;
        if !reached.is_empty() {
            let generations = &mut self.entry.known.generations;
            generations.retain(|it| !reached.iter().any(|(_, key)| *key == it.generation));
            self.is_dirty = true;
        }
    }

    /// Whether its source ended and everything is acknowledged.
    fn is_finished(&self) -> bool {
        self.closed_at.is_some_and(|cursor| self.entry.known.cursor >= cursor)
    }
}

#[cfg(test)]
mod tests;
