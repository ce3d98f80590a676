//! Admit: what a look at a chain's files means to the reader: a new source, or news of one it has.

use std::sync::Arc;

use flow::SourceId;

use super::Reader;
use super::gather::Gather;
use super::pace::Pace;
use crate::schedule::{LaneIndex, SourceIndex, TenantIndex};
use crate::source::{Known, SeenFile, Source, SourceSpec, StartAt};
use crate::tracker::TrackerCommand;

/// How long a source waits for a generation that was known before and is not there, in nanoseconds.
///
/// 200 ms: a directory may be listed while files in it are renamed, and then one may not be seen;
/// discovery hears of it within a few milliseconds.
const UNSEEN_HOLD_NS: u64 = 200_000_000;

impl Reader {
    pub(super) fn look(
        &mut self,
        spec: SourceSpec,
        files: &[SeenFile],
        seen_ns: u64,
        is_initial: bool,
        now_ns: u64,
    ) {
        let context = spec.context.id;
        self.wake(&spec, files, now_ns);
        let mut start_at = StartAt::Beginning;
        let mut new = None;
        let index = match self.awake(context) {
            Some(index) => index,
            None if files.is_empty() => return,
            None => {
                let known = self.parts.memory.recall(context, spec.sink);
                if is_initial && known.is_none() {
                    start_at = spec.options.start_at;
                }
                let known = known.unwrap_or_else(|| Known::new(self.new_epoch()));
                let index = self.open(spec, &known, now_ns);
                new = Some(known);
                index
            }
        };
        // A new file is opened at once, unless that takes more descriptors than there may be.
        let Some(slot) = &self.slots[index] else { return };
        let room = self.open_room(&slot.source.spec.context.tenant, &slot.source.meter);
        let Some(slot) = &mut self.slots[index] else { return };
        let source = &mut slot.source;
        source.open_max = u32::try_from(room).unwrap_or(u32::MAX);
        let fs = Arc::clone(&source.spec.fs);
        source.reconcile(&*fs, files, seen_ns, start_at, now_ns);
        if let Some(known) = new {
            if source.misses_newest() {
                // Being renamed in this moment, or removed long ago: the look after this one tells.
                source.hold_until(now_ns + UNSEEN_HOLD_NS);
            }
            // What `startAt: end` leaves out is left out after a restart too.
            let known = if start_at == StartAt::End { source.known() } else { known };
            let (source, meter) = (source.id, Arc::clone(&source.meter));
            self.tell_tracker(TrackerCommand::Open { source, context, known, meter });
        }
        self.make_ready(index);
        self.settle_files(index);
        self.hold(index, now_ns);
    }

    /// An epoch larger than any before: the wall clock, in seconds.
    fn new_epoch(&self) -> u32 {
        let seconds = self.parts.clock.unix_ns() / 1_000_000_000;
        u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)
    }

    fn open(&mut self, spec: SourceSpec, known: &Known, now_ns: u64) -> SourceIndex {
        let id = SourceId(self.next_id);
        self.next_id += self.parts.id_step;
        let meter = self.parts.meter.source(&spec.context.tenant, &spec.rule);
        meter.sources.add(1);
        let lane = self.lane_for(&spec);
        let mut source = Source::new(id, spec, meter, known);
        source.seen_ns = now_ns;
        source.inflaters = Arc::clone(&self.gathers[lane].inflaters);
        let spec = &source.spec;
        let toll = self.parts.limits.toll(&spec.context.tenant, &spec.rule, now_ns);
        let policy = self.parts.limits.policy(&spec.context.tenant);
        self.seat(source, lane, Pace::new(toll, policy))
    }

    pub(super) fn lane_for(&mut self, spec: &SourceSpec) -> LaneIndex {
        let key = self.parts.lanes.key(&spec.context.tenant, spec.sink, spec.context.id);
        if let Some(index) = self.gathers.iter().position(|it| it.key == key) {
            return index;
        }
        let lane = self.parts.lanes.open(&key);
        let budgets = (self.parts.budgets.of(&key.tenant), self.parts.budgets.window(&key.tenant));
        let tenant = self.tenant(&key.tenant);
        let limits = self.parts.sinks[key.sink].limits;
        self.gathers.push(Gather::new(key, lane, budgets, limits));
        self.schedule.add_lane(tenant)
    }

    fn tenant(&mut self, name: &Arc<str>) -> TenantIndex {
        if let Some(index) = self.tenants.get(name) {
            return *index;
        }
        let index = self.schedule.add_tenant(self.parts.limits.weight(name));
        self.tenants.insert(Arc::clone(name), index);
        index
    }
}
