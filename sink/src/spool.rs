//! Spool: payloads that their sink does not take, kept on the node's own disk until it does.
//!
//! One per sink: an embedded queue in a folder of its own, and a small file that says from where on each tenant
//! is owed. A shipper keeps payloads through its [`SpoolEnd`] instead of waiting, and drains them through the
//! very same sink. Payloads are as they were: same contexts, spans and positions, so that a restart goes on
//! behind what is kept, and what the sink turns out to have is not sent twice. It does not decide when to
//! keep, and it does not read files.

pub(crate) mod cut;
mod end;
mod entries;
mod gaps;
mod late;
mod lost;
pub(crate) mod part;
mod positions;
mod read_back;
mod recover;
mod release;
mod room;
pub(crate) mod sections;
mod survey;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flow::{AckSender, Clock, Payload, ReadBack, SinkError, StoredMark, is_mutant};

pub(crate) use entries::Part;
use entries::{Entries, Entry, State};
use positions::{Owed, Positions};

use crate::queue::limits::SEGMENT_BYTES_MAX;
use crate::queue::{Disk, FrameId, OpenError, Queue, QueueOptions, ReadError, SystemDisk};

pub use end::SpoolEnd;
pub use late::{HeldFor, LateEnds, LateSpool, MakeEnd, OpenedSpool};
pub use read_back::{SharedReadBack, SpoolReadBack};
pub use room::{SpoolRoom, TenantRooms};
pub use survey::{Held, survey};

/// Folder of the kept payloads, below the spool's own.
const QUEUE_NAME: &str = "queue";
/// Where the payloads of the spool in this folder are: an embedded queue.
#[must_use]
pub fn queue_folder(dir: &Path) -> PathBuf {
    dir.join(QUEUE_NAME)
}

/// The file of positions beside it.
const POSITIONS_NAME: &str = "owed.json";
/// Frames of one tenant that may be owed: each takes some memory. 40 Ki of them are below 4 MiB.
const ENTRIES_MAX: usize = 40 << 10;
/// Disk that a tenant keeps although nothing is owed, in bytes.
const IDLE_BYTES: u64 = 64 << 10;
/// Time between two notes of what is owed, in nanoseconds: what is drained in between may be asked of the
/// sink again after a crash.
const NOTE_NS: u64 = 200_000_000;
/// A tenant's spool has at least so many segments: what is released is released by segments.
const SEGMENTS_MIN: u64 = 8;
/// Largest segment, in bytes.
const SEGMENT_BYTES: u64 = 8 << 20;
/// Longest time that kept bytes wait for others to be synced with.
const SYNC_INTERVAL: Duration = Duration::from_millis(50);

/// Why a spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The kept payloads cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// They cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file of positions cannot be used.
    #[error("{}: {source}; remove it to send again what the sink does not have", path.display())]
    Positions {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// On what a spool writes.
#[derive(Debug, Clone)]
pub struct Storage {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// Longest time that kept bytes wait for others to be synced with.
    pub sync_interval: Duration,
}

impl Default for Storage {
    fn default() -> Storage {
        Storage { disk: Arc::new(SystemDisk), sync_interval: SYNC_INTERVAL }
    }
}

impl Storage {
    /// On a disk of the caller's choice.
    #[must_use]
    pub fn on(disk: Arc<dyn Disk>) -> Storage {
        Storage { disk, ..Storage::default() }
    }
}

/// What a spool holds of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolStats {
    /// Whose.
    pub tenant: Arc<str>,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Payloads that the sink has not acknowledged.
    pub owed: usize,
}

/// The spool of one sink.
#[derive(Debug)]
pub struct SpoolStore {
    sink: Arc<str>,
    queue: Arc<Queue>,
    room: Arc<SpoolRoom>,
    /// Entries of all tenants: none lets most payloads pass without the lock.
    owed: AtomicUsize,
    inner: Mutex<Inner>,
    /// Up to when acknowledgements of what was drained are noted.
    noted: StoredMark,
}

#[derive(Debug)]
struct Inner {
    tenants: BTreeMap<Arc<str>, Entries>,
    positions: Positions,
    /// By shard: when its acknowledgements were taken last, by the monotonic clock.
    taken_ns: Vec<u64>,
    next_note_ns: u64,
    /// Something was let go of, and that is not noted.
    is_unnoted: bool,
    failures: u64,
}

impl SpoolStore {
    /// Opens the spool of `sink` in `dir`, for so many shippers, and leaves out what the sink has.
    ///
    /// Also returns what a restart goes on behind: what the sink holds by `read_back`, which is taken, and what
    /// the spool does.
    ///
    /// # Errors
    /// If another agent has it, the system refuses, or something in it is of a later version.
    pub fn open(
        dir: &Path,
        sink: &Arc<str>,
        room: &Arc<SpoolRoom>,
        shards: usize,
        clock: &Arc<dyn Clock>,
        read_back: &mut Option<Box<dyn ReadBack>>,
    ) -> Result<(Arc<SpoolStore>, SpoolReadBack), SpoolError> {
        SpoolStore::open_on(dir, sink, room, shards, clock, read_back, Storage::default())
    }

    /// As [`SpoolStore::open`], on a storage of the caller's choice.
    ///
    /// # Errors
    /// As [`SpoolStore::open`].
    pub fn open_on(
        dir: &Path,
        sink: &Arc<str>,
        room: &Arc<SpoolRoom>,
        shards: usize,
        clock: &Arc<dyn Clock>,
        read_back: &mut Option<Box<dyn ReadBack>>,
        storage: Storage,
    ) -> Result<(Arc<SpoolStore>, SpoolReadBack), SpoolError> {
        let Storage { disk, sync_interval } = storage;
        let segment_bytes = (room.lowest_bytes_max() / SEGMENTS_MIN).clamp(1, SEGMENT_BYTES);
        let options = QueueOptions {
            segment_bytes: segment_bytes.min(SEGMENT_BYTES_MAX),
            retain_bytes: u64::MAX,
            retain_age: Duration::MAX,
            sync_interval,
        };
        let (queue, recovery) =
            Queue::open_on(&queue_folder(dir), options, Arc::clone(clock), Arc::clone(&disk))?;
        for note in &recovery.notes {
            tracing::warn!(%note, "spool repaired");
        }
        let path = dir.join(POSITIONS_NAME);
        let failed = |source| SpoolError::Positions { path: path.clone(), source };
        let mut positions = Positions::open(&path, disk).map_err(failed)?;
        let mut both = SpoolReadBack::new(read_back.take());
        let recovered = recover::recover(&queue, &positions, shards, &mut both);
        // The sink's own, should the spool not be usable.
        let tenants = recovered.inspect_err(|_| *read_back = both.take_sink())?;
        // What was said of tenants that are gone must not be said of new ones of that name.
        if let Err(source) = positions.store(table(&tenants)) {
            *read_back = both.take_sink();
            return Err(SpoolError::Positions { path, source });
        }
        let owed = tenants.values().map(Entries::len).sum();
        let inner = Inner {
            tenants,
            positions,
            taken_ns: vec![0; shards],
            next_note_ns: 0,
            is_unnoted: false,
            failures: 0,
        };
        let store = Arc::new(SpoolStore {
            sink: Arc::clone(sink),
            queue,
            room: Arc::clone(room),
            owed: AtomicUsize::new(owed),
            inner: Mutex::new(inner),
            noted: StoredMark::default(),
        });
        store.lock().tenants.keys().for_each(|tenant| store.count(tenant));
        room.open(sink, &store);
        Ok((store, both))
    }

    /// Up to when acknowledgements of what was drained are noted: for [`AckSender::beside`].
    #[must_use]
    pub fn noted(&self) -> StoredMark {
        self.noted.clone()
    }

    /// Figures of all tenants, sorted by name.
    #[must_use]
    pub fn stats(&self) -> Vec<SpoolStats> {
        let inner = self.lock();
        let stats = inner.tenants.iter().map(|(tenant, entries)| SpoolStats {
            tenant: Arc::clone(tenant),
            bytes: self.queue.bytes(tenant),
            owed: entries.len(),
        });
        stats.collect()
    }

    /// Keeps a payload; its tickets are completed through `acks` once it is safe.
    fn keep(
        &self,
        shard: usize,
        payload: &mut Payload,
        acks: &AckSender,
        state: State,
    ) -> Result<(), SinkError> {
        let mut inner = self.lock();
        if is_mutant("spool_acknowledges_before_it_is_safe") {
            acks.complete(std::mem::take(&mut payload.tickets));
        }
        let kept = self.put(&mut inner, payload, acks)?;
        let entries = inner.tenants.entry(Arc::clone(&payload.tenant)).or_default();
        entries.encoding = Some(payload.encoding);
        for header in &payload.headers {
            entries.contexts.insert(header.context.id, Arc::clone(&header.context));
        }
        let bytes = u32::try_from(payload.block.len()).expect("checked by the queue");
        entries.push(Entry { state, ..Entry::waiting(kept, bytes, shard) });
        self.recount(&inner);
        Ok(())
    }

    fn put(
        &self,
        inner: &mut Inner,
        payload: &mut Payload,
        acks: &AckSender,
    ) -> Result<FrameId, SinkError> {
        let (tenant, bytes) = (Arc::clone(&payload.tenant), payload.block.len() as u64);
        if !self.has_room(inner, &tenant, bytes) {
            let sink = &self.sink;
            let why =
                format!("spool of sink {sink}: no room for tenant {tenant}; raise spool.bytes");
            return Err(SinkError::Retry(why));
        }
        let put = self.queue.put(payload, acks);
        self.count(&tenant);
        put
    }

    /// Entries came or went.
    fn recount(&self, inner: &Inner) {
        self.owed.store(inner.tenants.values().map(Entries::len).sum(), Ordering::Release);
    }

    fn count(&self, tenant: &Arc<str>) {
        self.room.set(&self.sink, tenant, self.queue.bytes(tenant));
    }

    /// When what was let go of is to be noted; none if it is.
    fn note_due_ns(&self) -> Option<u64> {
        let inner = self.lock();
        inner.is_unnoted.then_some(inner.next_note_ns)
    }

    /// The shipper has taken all acknowledgements until `taken_ns`: notes what is owed, if it is time.
    fn note(&self, shard: usize, taken_ns: u64, now_ns: u64) -> Result<(), SinkError> {
        let mut inner = self.lock();
        inner.taken_ns[shard] = taken_ns;
        if now_ns < inner.next_note_ns {
            return self.queue.health();
        }
        inner.next_note_ns = now_ns.saturating_add(NOTE_NS);
        let safe_ns = inner.taken_ns.iter().copied().min().unwrap_or(0);
        let table = table(&inner.tenants);
        if let Err(error) = inner.positions.store(table.clone()) {
            if inner.failures.is_power_of_two() || inner.failures == 0 {
                let sink = &*self.sink;
                tracing::error!(sink, %error, "what the spool owes is not noted; trying again");
            }
            inner.failures += 1;
            return self.queue.health();
        }
        (inner.failures, inner.is_unnoted) = (0, false);
        // Copies are noted once they are let go: until then the sink must tell of what it has of them.
        if !inner.tenants.values().any(Entries::has_copies) {
            self.noted.set(safe_ns);
        }
        for (tenant, Owed { from, .. }) in table {
            let is_owed = inner.tenants.get(&tenant).is_some_and(|it| it.len() > 0);
            let freed = match is_owed {
                true => self.queue.remove_before(&tenant, from),
                false => self.queue.shrink(&tenant, IDLE_BYTES),
            };
            if let Err(why) = freed {
                tracing::warn!(%why, "the spool keeps disk that it does not need");
            }
            self.count(&tenant);
        }
        drop(inner);
        self.queue.health()
    }

    /// What is known stays right even if a thread died while it held the lock.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From where on each tenant is owed.
fn table(tenants: &BTreeMap<Arc<str>, Entries>) -> positions::Table {
    tenants.iter().map(|(tenant, it)| (Arc::clone(tenant), it.owed())).collect()
}

impl Drop for SpoolStore {
    fn drop(&mut self) {
        self.room.forget(&self.sink);
    }
}
