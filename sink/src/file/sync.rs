//! The thread `lf-file-sync`: makes written bytes durable and acknowledges them.
//!
//! Sleeps without a timeout while nothing is written. `fdatasync` runs outside the lock, so a
//! shipper waits for it only if as much is unsynced as may be.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use flow::{AckSender, Clock, SinkError, Ticket};

use super::storage::Storage;

/// How many payloads may wait for `fdatasync`.
///
/// At 1 MiB each this is more than a disk takes in a second; beyond it the thread is behind.
const UNSYNCED_MAX: usize = 4096;

/// A payload that is written and not yet durable.
#[derive(Debug)]
pub(super) struct Unsynced {
    pub(super) file: Arc<dyn Storage>,
    pub(super) acks: AckSender,
    pub(super) tickets: Vec<Ticket>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order of writing.
    unsynced: Vec<Unsynced>,
    /// Monotonic time at which the first of `unsynced` came.
    since_ns: u64,
    /// Payloads added, and payloads whose fate is known.
    added: u64,
    settled: u64,
    /// Somebody waits: do not wait for the interval.
    is_urgent: bool,
    is_stopping: bool,
    broken: Option<String>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Something for the thread to do.
    work: Condvar,
    /// `settled` has grown.
    settled: Condvar,
    interval: Duration,
    clock: Arc<dyn Clock>,
}

/// The thread's handle.
#[derive(Debug)]
pub(super) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    pub(super) fn start(interval: Duration, clock: Arc<dyn Clock>) -> std::io::Result<Syncer> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            settled: Condvar::new(),
            interval,
            clock,
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("lf-file-sync".to_owned())
            .spawn(move || of_thread.run())?;
        Ok(Syncer { shared, thread: Some(thread) })
    }

    /// Hands over what was written.
    pub(super) fn add(&self, unsynced: Unsynced) {
        let mut state = self.shared.lock();
        state.added += 1;
        if state.broken.is_some() {
            // Broken since it was written: dropped, so that it is read again.
            state.settled += 1;
            return;
        }
        if state.unsynced.is_empty() {
            state.since_ns = self.shared.clock.monotonic_ns();
            self.shared.work.notify_one();
        }
        state.unsynced.push(unsynced);
    }

    /// Whether nothing more may be written before the next `fdatasync`, which is then urgent.
    pub(super) fn is_full(&self) -> bool {
        let mut state = self.shared.lock();
        let is_full = state.unsynced.len() >= UNSYNCED_MAX;
        if is_full {
            state.is_urgent = true;
            self.shared.work.notify_one();
        }
        is_full
    }

    /// Breaks the file for good; what is unsynced is dropped.
    pub(super) fn fail(&self, why: String) {
        let dropped = self.shared.lock().fail(why);
        self.shared.settled.notify_all();
        drop(dropped);
    }

    pub(super) fn health(&self) -> Result<(), SinkError> {
        self.shared.lock().health()
    }

    /// Waits until all that was added is durable and acknowledged.
    pub(super) fn flush(&self, deadline_ns: u64) -> Result<(), SinkError> {
        let mut state = self.shared.lock();
        let wanted = state.added;
        while state.settled < wanted {
            let now = self.shared.clock.monotonic_ns();
            if now >= deadline_ns {
                let behind = wanted - state.settled;
                let text = format!("{behind} payloads were not synced before the deadline");
                return Err(SinkError::Retry(text));
            }
            state.is_urgent = true;
            self.shared.work.notify_one();
            let left = Duration::from_nanos(deadline_ns - now);
            let waited = self.shared.settled.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.health()
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.lock().is_stopping = true;
        self.shared.work.notify_one();
        let joined = self.thread.take().map_or(Ok(()), JoinHandle::join);
        if joined.is_err() {
            tracing::error!("the thread lf-file-sync has panicked");
        }
    }
}

impl State {
    fn health(&self) -> Result<(), SinkError> {
        self.broken.clone().map_or(Ok(()), |why| Err(SinkError::Broken(why)))
    }

    /// Breaks the file; the first reason stays.
    fn fail(&mut self, why: String) -> Vec<Unsynced> {
        let dropped = std::mem::take(&mut self.unsynced);
        self.settled += dropped.len() as u64;
        self.broken.get_or_insert(why);
        dropped
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut payloads = Vec::new();
        while self.await_work(&mut payloads) {
            let synced = sync_all(&payloads);
            let count = payloads.len() as u64;
            match synced {
                Ok(()) => {
                    // Outside the lock: the ack tracker may make us wait.
                    for payload in payloads.drain(..) {
                        payload.acks.complete(payload.tickets);
                    }
                    self.lock().settled += count;
                }
                Err(error) => {
                    // Linux drops what it could not write: a second fsync would lie (fsync(2)).
                    tracing::error!(%error, payloads = count, "fdatasync failed");
                    let mut state = self.lock();
                    let dropped = state.fail(format!("fdatasync failed: {error}"));
                    drop(state);
                    drop(dropped);
                    payloads.clear();
                    self.lock().settled += count;
                }
            }
            self.settled.notify_all();
        }
    }

    /// Waits until something is due and takes it; `false` at the end.
    fn await_work(&self, payloads: &mut Vec<Unsynced>) -> bool {
        let mut state = self.lock();
        loop {
            if state.unsynced.is_empty() {
                state.is_urgent = false;
                if state.is_stopping {
                    return false;
                }
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited = self.clock.monotonic_ns().saturating_sub(state.since_ns);
            let left = self.interval.saturating_sub(Duration::from_nanos(waited));
            if left.is_zero() || state.is_urgent || state.is_stopping {
                state.is_urgent = false;
                std::mem::swap(&mut state.unsynced, payloads);
                return true;
            }
            let woken = self.work.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Syncs every file of `payloads` once; they are in the order of writing, so equal files are
/// neighbours.
fn sync_all(payloads: &[Unsynced]) -> std::io::Result<()> {
    let mut files = payloads.chunk_by(|a, b| Arc::ptr_eq(&a.file, &b.file));
    files.try_for_each(|of_file| of_file[0].file.sync())
}
