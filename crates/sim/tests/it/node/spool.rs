//! Spool: the real spool of a sink, on real files in a folder of its own, and what it was given and gave back.
//!
//! Its files are synced when a schedule says so, and never by time. What it keeps is known from outside: what it was
//! handed, and whether the disk would leave that over a power cut.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flow::{
    AckSender, Clock, ContextId, PayloadHeader, ReadBack, Refused, Released, Sink, SinkError, Span,
    Spool,
};
use flow::{GapReason, Payload};
use pipeline::shipper::{DrainPace, SpoolParts};
use sim::{FileDisk, SimClock, Stored};
use sink::queue::QueueReader;
use sink::spool::{SpoolEnd, SpoolRoom, SpoolStore, Storage, TenantRooms};
use tempfile::TempDir;

use super::{Plan, Queue, sink_name};

/// Syncs come when they are asked for: no schedule takes so long.
const SYNC_INTERVAL: Duration = Duration::from_secs(60);
/// How long a sync may take, in nanoseconds.
const SYNC_NS_MAX: u64 = 60_000_000_000;

/// How much disk spools may take, and how fast they are drained.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpoolPlan {
    /// Of all sinks and tenants.
    pub(crate) bytes_max: u64,
    pub(crate) tenant_bytes_max: u64,
    pub(crate) drain_bytes_per_second: u64,
}

/// A section that the spool was handed.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) header: PayloadHeader,
    /// Which life of the agent's kept it.
    pub(crate) life: u32,
    /// The sink goes on delivering it.
    pub(crate) is_copy: bool,
    /// A power cut leaves it.
    pub(crate) is_safe: bool,
    /// Where its frame ended, by inode and offset; unknown after a power cut.
    end: Option<(u64, u64)>,
}

impl Kept {
    /// Whether that is it, and no gap in its place.
    pub(crate) fn is_same(&self, stored: &Stored) -> bool {
        is_same(&self.header, &stored.header) && self.header.gap == stored.header.gap
    }
}

fn is_same(one: &PayloadHeader, other: &PayloadHeader) -> bool {
    one.context.id == other.context.id && one.epoch == other.epoch && one.span == other.span
}

/// What is known of a spool from outside.
#[derive(Debug, Default)]
struct Seen {
    life: u32,
    kept: Vec<Kept>,
    /// Payloads that the sink was given.
    drained: u64,
    /// Bytes of sources that were let go of, by tenant.
    released: Vec<Released>,
}

/// The spool of a sink. Outlives the agent.
#[derive(Debug)]
pub(crate) struct NodeSpool {
    folder: TempDir,
    pub(crate) disk: FileDisk,
    seen: Arc<Mutex<Seen>>,
}

/// What the spools of a plane share.
#[derive(Debug)]
pub(super) struct SpoolShare {
    room: Arc<SpoolRoom>,
    pace: Arc<DrainPace>,
}

impl SpoolShare {
    pub(super) fn of(plan: &Plan) -> Option<SpoolShare> {
        let spool = plan.spool?;
        let priorities = plan.limits.priorities().into_iter().collect();
        let tenants = TenantRooms { priorities, ..TenantRooms::default() };
        Some(SpoolShare {
            room: SpoolRoom::with_tenants(spool.bytes_max, spool.tenant_bytes_max, tenants),
            pace: DrainPace::new(spool.drain_bytes_per_second),
        })
    }
}

/// A spool that is open.
#[derive(Debug)]
pub(super) struct OpenSpool {
    store: Arc<SpoolStore>,
    /// By which syncs are asked for.
    end: SpoolEnd,
}

impl NodeSpool {
    pub(super) fn new() -> NodeSpool {
        // In memory where that can be: syncs of a disk take long, and prove nothing here.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let folder = folder.expect("a temporary folder");
        std::fs::create_dir(folder.path().join("queue")).expect("a temporary folder");
        let disk = FileDisk::new(folder.path());
        NodeSpool { folder, disk, seen: Arc::default() }
    }

    /// Opens it for a life of the agent, unless the disk fails; and takes what the sink holds, to tell of both.
    pub(super) fn open(
        &self,
        number: usize,
        life: u32,
        share: &SpoolShare,
        clock: &Arc<SimClock>,
        acks: &AckSender,
        read_back: &mut Option<Box<dyn ReadBack>>,
    ) -> Option<OpenSpool> {
        self.survey(life);
        let storage = Storage { disk: Arc::new(self.disk.clone()), sync_interval: SYNC_INTERVAL };
        let clock: Arc<dyn Clock> = clock.clone();
        let (path, name) = (self.folder.path(), sink_name(number));
        let opened = SpoolStore::open_on(path, &name, &share.room, 1, &clock, read_back, storage);
        let (store, both) = opened.ok()?;
        *read_back = Some(Box::new(both));
        let (end, _) = SpoolEnd::new(Arc::clone(&store), 0, clock, acks.clone());
        Some(OpenSpool { store, end })
    }

    /// The parts of the sink's shipper.
    pub(super) fn parts(
        &self,
        open: &OpenSpool,
        queue: &Queue,
        share: &SpoolShare,
        clock: &Arc<SimClock>,
        acks: &AckSender,
    ) -> SpoolParts {
        let store = Arc::clone(&open.store);
        let (inner, drained) = SpoolEnd::new(store, 0, clock.clone(), acks.clone());
        let disk = self.disk.clone();
        let spool = Watched { inner, disk, seen: Arc::clone(&self.seen) };
        let sink: Box<dyn Sink> = queue.draining(drained);
        SpoolParts { spool: Box::new(spool), sink, pace: Arc::clone(&share.pace) }
    }

    /// After a death it is there or is not, whatever the dead agent knew.
    fn survey(&self, life: u32) {
        self.settle();
        let mut seen = self.lock();
        seen.life = life;
        if seen.kept.iter().all(|it| it.is_safe) {
            return;
        }
        let mut there: Vec<PayloadHeader> = Vec::new();
        let reader = QueueReader::open(&self.queue_path()).expect("the folder of the spool");
        for tenant in reader.tenants().expect("the folder of the spool") {
            let frames = reader.scan(&tenant).expect("a tenant of the spool").flatten();
            there.extend(frames.flat_map(|frame| frame.entries).map(|it| it.header));
        }
        seen.kept.retain_mut(|kept| {
            kept.is_safe |= there.iter().any(|it| is_same(it, &kept.header));
            kept.is_safe
        });
    }

    /// Notes what became safe.
    pub(super) fn settle(&self) {
        for it in self.lock().kept.iter_mut().filter(|it| !it.is_safe) {
            it.is_safe = it.end.is_some_and(|end| self.disk.was_safe(end));
        }
    }

    pub(super) fn cut_power(&self, torn: usize, names_kept: bool) {
        self.settle();
        self.disk.cut_power(torn, names_kept);
        self.lock().kept.iter_mut().for_each(|it| it.end = None);
    }

    /// Its disk does not fail any more.
    pub(crate) fn lift_faults(&self) {
        self.disk.revive();
        self.disk.set_full(false);
    }

    /// Looks at all that it was ever handed, in order.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&[Kept]) -> T) -> T {
        look(&self.lock().kept)
    }

    /// Payloads that it ever drained.
    pub(crate) fn drained(&self) -> u64 {
        self.lock().drained
    }

    /// Bytes of the tenant's sources that it said were let go.
    pub(crate) fn released_bytes(&self, tenant: &str) -> u64 {
        let seen = self.lock();
        seen.released.iter().filter(|it| *it.0 == *tenant).map(|it| it.1).sum()
    }

    /// The sections that a gap of the full spool stands for.
    pub(super) fn behind(
        &self,
        context: ContextId,
        epoch: u32,
        gap: Span,
    ) -> Result<Vec<Kept>, String> {
        let seen = self.lock();
        let mut cursor = gap.begin;
        let mut sections: Vec<Kept> = Vec::new();
        while cursor < gap.end {
            let is_next = |it: &&Kept| {
                let header = &it.header;
                let is_there = header.context.id == context && header.epoch == epoch;
                is_there && header.span.begin == cursor && !header.span.is_empty()
            };
            let next = seen.kept.iter().find(is_next);
            let next =
                next.ok_or_else(|| format!("{gap:?} was let go, and {cursor} was not kept"))?;
            if next.header.gap.is_some_and(|it| it != GapReason::SpoolFull) {
                return Err(format!("{gap:?} was let go, and {:?} was a gap", next.header.span));
            }
            cursor = next.header.span.end;
            sections.push(next.clone());
        }
        if cursor > gap.end {
            return Err(format!("{gap:?} was let go, and ends within a section up to {cursor}"));
        }
        Ok(sections)
    }

    fn queue_path(&self) -> PathBuf {
        self.folder.path().join("queue")
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenSpool {
    /// Makes all that is kept safe; should that fail, the shipper hears of it.
    pub(super) fn sync(&mut self, now_ns: u64) {
        drop(self.end.flush(now_ns + SYNC_NS_MAX));
    }

    /// Payloads of the tenant that the sink has not acknowledged.
    pub(super) fn owed(&self, tenant: &str) -> usize {
        self.store.stats().iter().filter(|it| *it.tenant == *tenant).map(|it| it.owed).sum()
    }

    pub(super) fn told(&self) -> String {
        format!("{:?}", self.store.stats())
    }
}

/// Notes what goes in and out.
#[derive(Debug)]
struct Watched {
    inner: SpoolEnd,
    disk: FileDisk,
    seen: Arc<Mutex<Seen>>,
}

impl Watched {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept<T>(
        &mut self,
        payload: Payload,
        is_copy: bool,
        keep: fn(&mut SpoolEnd, Payload) -> Result<T, Box<Refused>>,
    ) -> Result<T, Box<Refused>> {
        let headers = payload.headers.clone();
        let kept = keep(&mut self.inner, payload);
        // Who dies within the last step may have made it.
        if kept.is_ok() || self.disk.is_dead() {
            let end = self.disk.last_write();
            let mut seen = self.lock();
            let life = seen.life;
            let kept = |header| Kept { header, life, is_copy, is_safe: false, end };
            seen.kept.extend(headers.into_iter().map(kept));
        }
        kept
    }
}

impl Spool for Watched {
    fn holds(&self, tenant: &str) -> bool {
        self.inner.holds(tenant)
    }

    fn keep(&mut self, payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>> {
        self.kept(payload, false, |inner, payload| inner.keep(payload))
    }

    fn keep_copy(&mut self, payload: Payload) -> Result<(), Box<Refused>> {
        self.kept(payload, true, |inner, payload| inner.keep_copy(payload))
    }

    fn make_room(
        &mut self,
        tenant: &str,
        bytes: u64,
        released: &mut Vec<Released>,
    ) -> Result<(), SinkError> {
        let before = released.len();
        let made = self.inner.make_room(tenant, bytes, released);
        self.lock().released.extend_from_slice(&released[before..]);
        made
    }

    fn forget_copies(&mut self, tenant: &str) {
        self.inner.forget_copies(tenant);
    }

    fn tenants(&self) -> Vec<Arc<str>> {
        self.inner.tenants()
    }

    fn next(&mut self, tenant: &str) -> Option<Payload> {
        let payload = self.inner.next(tenant)?;
        self.lock().drained += 1;
        Some(payload)
    }

    fn give_back(&mut self, payload: Payload) {
        self.lock().drained -= 1;
        self.inner.give_back(payload);
    }

    fn tend(&mut self, now_ns: u64) -> Result<(), SinkError> {
        self.inner.tend(now_ns)
    }

    fn due_ns(&self, now_ns: u64) -> Option<u64> {
        self.inner.due_ns(now_ns)
    }

    fn flush(&mut self, deadline_ns: u64) -> Result<(), SinkError> {
        self.inner.flush(deadline_ns)
    }
}
