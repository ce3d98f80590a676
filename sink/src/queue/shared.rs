//! Shared: what the shippers' sinks and the sync thread of one queue have in common.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError};

use flow::{Clock, SinkError, is_mutant};

use super::active::retry;
use super::disk::Disk;
use super::lock::WriterLock;
use super::log::{Log, Surroundings};
use super::options::QueueOptions;
use super::sync::{self, Signal};
use crate::sync::atomic::AtomicBool;
use crate::sync::{Condvar, Mutex, MutexGuard, RwLock};

/// Most tenants of one queue: each holds an open file.
const TENANTS_MAX: usize = 4096;

/// One tenant's log and its lock.
#[derive(Debug)]
pub(super) struct Tenant {
    log: Mutex<Log>,
}

impl Tenant {
    pub(super) fn new(log: Log) -> Arc<Tenant> {
        Arc::new(Tenant { log: Mutex::new(log) })
    }

    /// The log, even if a thread died while it held the lock: a frame counts once it is whole, and
    /// what a dead thread began is overwritten by the next one.
    pub(super) fn lock_anyway(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of an open queue.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) options: QueueOptions,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) tenants: RwLock<BTreeMap<Arc<str>, Arc<Tenant>>>,
    /// Set once the queue is broken, for good, and why.
    pub(super) broken: OnceLock<String>,
    /// Something was written since the last round began.
    pub(super) dirty: AtomicBool,
    pub(super) signal: Mutex<Signal>,
    /// `dirty` or `signal` changed.
    pub(super) changed: Condvar,
    /// Given back last.
    pub(super) _lock: WriterLock,
}

impl Shared {
    /// All tenants now, sorted by name.
    pub(super) fn tenants(&self) -> Vec<Arc<Tenant>> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        tenants.values().cloned().collect()
    }

    /// The tenant called `name`, which was checked; its folder is made if it is new.
    pub(super) fn tenant(&self, name: &Arc<str>) -> Result<Arc<Tenant>, SinkError> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(tenant) = tenants.get(name) {
            return Ok(Arc::clone(tenant));
        }
        drop(tenants);
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(tenant) = tenants.get(name)
            && !is_mutant("tenant_made_after_the_look")
        {
            return Ok(Arc::clone(tenant));
        }
        if tenants.len() >= TENANTS_MAX {
            let dir = self.dir.display();
            let why = format!("{dir}: {TENANTS_MAX} tenants: no room for {name}; remove old ones");
            return Err(SinkError::Retry(why));
        }
        let folder = self.dir.join(&**name);
        match std::fs::create_dir(&folder) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(retry(&folder, "create", &error)),
        }
        let mut log = Log::new(Arc::clone(name), folder);
        log.name_made_in(self.dir.clone());
        let tenant = Tenant::new(log);
        tenants.insert(Arc::clone(name), Arc::clone(&tenant));
        Ok(tenant)
    }

    /// What a log needs of the queue.
    pub(super) fn surroundings(&self) -> Surroundings<'_> {
        Surroundings { options: &self.options, clock: &*self.clock, disk: &*self.disk }
    }

    /// The queue takes nothing any more, for the reason that came first.
    pub(super) fn break_with(&self, why: &str) {
        if self.broken.set(why.to_owned()).is_ok() {
            tracing::error!(why, "queue is broken");
        }
        sync::mark_dirty(self);
    }

    /// Whether the queue is broken.
    pub(super) fn health(&self) -> Result<(), SinkError> {
        match self.broken.get() {
            None => Ok(()),
            Some(why) => Err(SinkError::Broken(why.clone())),
        }
    }
}
