//! Queue: the embedded queue, an append-only store that needs nothing but a folder.
//!
//! One folder per tenant, in it segment files of checksummed frames (`docs/FORMAT.md`). One process
//! writes, kept alone by a lock: shippers append payloads through [`QueueSink`], and the thread
//! `lf-sync` makes them safe and completes their tickets. Any number of processes read at the same
//! time through [`QueueReader`], without a lock. It is the default sink of a plain machine, the spool
//! of the others, and what `logferry audit` reads. It does not encode, compress or retry.

mod active;
pub mod audit;
mod batch_frame;
mod block;
mod context_frame;
mod disk;
mod fetch;
mod format;
mod frame;
mod generation;
mod index;
pub mod limits;
mod load;
mod lock;
mod log;
mod lookup;
mod open;
mod options;
mod problem;
mod queue_sink;
mod read_back;
mod reader;
mod recovery;
mod scan;
mod segment;
mod shared;
mod sync;
mod walk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError};

use flow::{AckSender, Clock, Payload, Refused, SinkError, is_mutant};

use batch_frame::{PayloadError, check_content, check_payload};
use lock::{LOCK_NAME, WriterLock};
use shared::{Shared, Tenant};

use crate::sync::atomic::AtomicBool;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Condvar, Mutex, RwLock};

pub use block::{BlockError, BlockRef};
pub use disk::{Disk, SystemDisk};
pub use fetch::{FetchError, Fetched, FrameId};
pub use format::Malformed;
pub use frame::FrameFault;
pub use generation::{Glimpses, Located, bytes_of};
pub use log::TenantStats;
pub use lookup::{ContextSummary, Found};
pub use options::{OpenError, QueueOptions};
pub use problem::Problem;
pub use queue_sink::QueueSink;
pub use read_back::QueueReadBack;
pub use reader::{QueueReader, ReadError};
pub use recovery::{Recovery, RecoveryNote};
pub use scan::{BatchFrame, Entry, Place, Scan};
pub use segment::{FORMAT_VERSION, TenantNameError, check_tenant};

/// Name of the thread that syncs.
const SYNC_THREAD_NAME: &str = "lf-sync";

/// A queue, open for writing by this process alone.
#[derive(Debug)]
pub struct Queue {
    shared: Arc<Shared>,
    sync_thread: Option<JoinHandle<()>>,
}

impl Queue {
    /// Opens the queue in `dir`, making the folder if need be, and repairs what a crash left.
    ///
    /// # Errors
    /// If another writer has it, a segment is of an unknown version, or the system refuses.
    pub fn open(
        dir: &Path,
        options: QueueOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<(Arc<Queue>, Recovery), OpenError> {
        Queue::open_on(dir, options, clock, Arc::new(SystemDisk))
    }

    /// As [`Queue::open`], on a disk of the caller's choice.
    ///
    /// # Errors
    /// As [`Queue::open`].
    pub fn open_on(
        dir: &Path,
        options: QueueOptions,
        clock: Arc<dyn Clock>,
        disk: Arc<dyn Disk>,
    ) -> Result<(Arc<Queue>, Recovery), OpenError> {
        options.check()?;
        flow::make_folder(dir).map_err(OpenError::io(dir, "create"))?;
        let lock = WriterLock::acquire(dir)?;
        let mut recovery = Recovery::default();
        let mut tenants = BTreeMap::new();
        let folders = list_tenants(dir, &mut recovery.notes)?;
        // All of them before anything is changed.
        for (_, folder) in &folders {
            open::check_versions(folder)?;
        }
        for (tenant, folder) in folders {
            let mut log = open::open_log(&tenant, &folder, &*disk, &mut recovery.notes)?;
            recovery.removed += log.retain(&options, clock.unix_ns());
            let stats = log.stats();
            recovery.tenants += 1;
            recovery.segments += stats.segments;
            recovery.bytes += stats.bytes;
            tenants.insert(tenant, Tenant::new(log));
        }
        disk.sync_folder(dir).map_err(OpenError::io(dir, "sync the folder"))?;
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            options,
            clock,
            disk,
            tenants: RwLock::new(tenants),
            broken: OnceLock::new(),
            dirty: AtomicBool::new(false),
            signal: Mutex::default(),
            changed: Condvar::new(),
            _lock: lock,
        });
        let thread_shared = Arc::clone(&shared);
        let sync_thread = thread::Builder::new()
            .name(SYNC_THREAD_NAME.to_owned())
            .spawn(move || sync::run(&thread_shared))
            .map_err(OpenError::io(dir, "start the sync thread of"))?;
        Ok((Arc::new(Queue { shared, sync_thread: Some(sync_thread) }), recovery))
    }

    /// The queue's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Writes the payload, and returns the block's buffer. Its tickets are completed through `acks`
    /// once it is safe.
    pub(super) fn append(
        &self,
        mut payload: Payload,
        acks: &AckSender,
    ) -> Result<Vec<u8>, Box<Refused>> {
        let checked = check_payload(&payload).map_err(|bad| self.refusal(&bad));
        match checked.and_then(|()| self.put(&mut payload, acks)) {
            Ok(_) => Ok(payload.block),
            Err(why) => Err(Box::new(Refused { payload, why })),
        }
    }

    fn refusal(&self, bad: &PayloadError) -> SinkError {
        SinkError::Retry(format!("{}: {bad}", self.shared.dir.display()))
    }

    /// Writes the payload, takes its tickets, as many as it has, and says where it is.
    ///
    /// # Errors
    /// As [`flow::Sink::submit`]; the tickets stay.
    pub fn put(&self, payload: &mut Payload, acks: &AckSender) -> Result<FrameId, SinkError> {
        self.shared.health()?;
        check_content(payload).map_err(|bad| self.refusal(&bad))?;
        let tenant = self.shared.tenant(&payload.tenant)?;
        let mut log = tenant.lock_anyway();
        // Asked again under the lock: after a break nobody may append behind the cut.
        if !is_mutant("health_not_asked_under_the_lock") {
            self.shared.health()?;
        }
        let appended = log.append(payload, self.shared.surroundings());
        if let Err(SinkError::Broken(why)) = &appended {
            self.shared.break_with(why);
        }
        let frame = appended?;
        log.wait_for_sync(acks, std::mem::take(&mut payload.tickets));
        let is_pressing = log.is_pressing();
        drop(log);
        sync::mark_dirty(&self.shared);
        if is_pressing {
            sync::hurry(&self.shared);
        }
        Ok(frame)
    }

    /// Syncs now, and returns when all that was taken so far is safe and its tickets are completed.
    ///
    /// # Errors
    /// If `deadline_ns` of the monotonic clock passes before, or the queue is broken.
    pub fn flush(&self, deadline_ns: u64) -> Result<(), SinkError> {
        sync::flush(&self.shared, deadline_ns)
    }

    /// Whether the queue has failed for good.
    ///
    /// A broken queue must be dropped, with all its sinks, and opened again: what was acknowledged is
    /// safe, and what was not is read again by whoever held the tickets.
    ///
    /// # Errors
    /// [`SinkError::Broken`] and what failed.
    pub fn health(&self) -> Result<(), SinkError> {
        self.shared.health()
    }

    /// Figures of all tenants, sorted by name.
    #[must_use]
    pub fn stats(&self) -> Vec<TenantStats> {
        self.shared.tenants().iter().map(|tenant| tenant.lock_anyway().stats()).collect()
    }
}

impl Drop for Queue {
    /// Ends the sync thread. What is not synced stays un-acked: flush before.
    fn drop(&mut self) {
        self.shared.signal.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        if !is_mutant("sync_thread_not_told_to_end") {
            self.shared.changed.notify_all();
        }
        let Some(thread) = self.sync_thread.take() else { return };
        if thread.join().is_err() {
            tracing::error!("sync thread died; what it had not acknowledged is read again");
        }
    }
}

/// The tenants that have a folder in `dir`.
fn list_tenants(
    dir: &Path,
    notes: &mut Vec<RecoveryNote>,
) -> Result<Vec<(Arc<str>, PathBuf)>, OpenError> {
    let mut tenants = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(OpenError::io(dir, "list"))? {
        let entry = entry.map_err(OpenError::io(dir, "list"))?;
        let kind = entry.file_type().map_err(OpenError::io(&entry.path(), "look at"))?;
        let name = entry.file_name();
        match name.to_str() {
            Some(LOCK_NAME) => {}
            Some(name) if kind.is_dir() && check_tenant(name).is_ok() => {
                tenants.push((Arc::from(name), entry.path()));
            }
            _ => notes.push(RecoveryNote::Foreign { path: entry.path() }),
        }
    }
    tenants.sort_unstable();
    notes.sort_unstable_by_key(|note| match note {
        RecoveryNote::Foreign { path } => path.clone(),
        _ => PathBuf::new(),
    });
    Ok(tenants)
}
