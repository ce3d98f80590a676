//! Sync: the thread `lf-sync`, which makes written bytes safe and then completes their tickets.
//!
//! It sleeps until something was written, waits out the sync interval so that more can join, syncs
//! the files of all tenants, and only then completes the tickets of what was written before it began.
//! No other thread syncs a segment: the kernel tells a failed write-back to one caller only. After a
//! failure nothing is completed and nothing synced any more; the queue is broken until it is opened
//! anew (see "Can Applications Recover from fsync Failures?", USENIX ATC 2020).

use std::sync::PoisonError;

use flow::{SinkError, is_mutant};

use super::active::broken;
use super::disk::Disk;
use super::log::Round;
use super::shared::{Shared, Tenant};
use crate::sync::MutexGuard;
use crate::sync::atomic::Ordering;

/// What the sync thread and those who wait for it tell each other.
#[derive(Debug, Default)]
pub(super) struct Signal {
    /// Syncs asked for at once so far.
    asked: u64,
    /// How many of them are done.
    done: u64,
    /// The thread is to end.
    pub(super) stop: bool,
}

/// Runs until the queue is dropped or broken.
pub(super) fn run(shared: &Shared) {
    while let Some(asked) = wait_for_work(shared) {
        shared.dirty.store(false, Ordering::Release);
        let synced = sync_all(shared);
        let failed = synced.is_err() || shared.broken.get().is_some();
        let mut signal = lock(shared);
        signal.done = signal.done.max(asked);
        drop(signal);
        shared.changed.notify_all();
        if failed {
            break;
        }
    }
    // Un-acked is always safe to be: what is not synced is read again.
    for tenant in shared.tenants() {
        tenant.lock_anyway().drop_tickets();
    }
}

/// Waits until there is something to sync; `None` to stop. Tells how many syncs were asked for.
fn wait_for_work(shared: &Shared) -> Option<u64> {
    let mut signal = lock(shared);
    while !signal.stop && signal.asked == signal.done && !shared.dirty.load(Ordering::Acquire) {
        signal = shared.changed.wait(signal).unwrap_or_else(PoisonError::into_inner);
    }
    if !signal.stop && signal.asked == signal.done {
        let interval = shared.options.sync_interval;
        let is_patient = |signal: &mut Signal| !signal.stop && signal.asked == signal.done;
        let waited = shared.changed.wait_timeout_while(signal, interval, is_patient);
        (signal, _) = waited.unwrap_or_else(PoisonError::into_inner);
    }
    (!signal.stop).then_some(signal.asked)
}

/// Syncs all that was written, tenant by tenant.
///
/// # Errors
/// If a sync failed; the queue is then broken.
fn sync_all(shared: &Shared) -> Result<(), ()> {
    for tenant in shared.tenants() {
        if shared.broken.get().is_some() {
            return Err(());
        }
        let Some(round) = tenant.lock_anyway().begin_round() else { continue };
        match sync_round(&round, &*shared.disk) {
            Ok(()) => finish(&tenant, round),
            Err(_) if is_mutant("failed_sync_ignored") => finish(&tenant, round),
            Err(why) => {
                // First the flag, then the cut: nobody may append behind it.
                shared.break_with(&why.to_string());
                tenant.lock_anyway().abandon(&round.files, &*shared.disk);
                return Err(());
            }
        }
    }
    Ok(())
}

/// Makes files safe before the names that lead to them.
fn sync_round(round: &Round, disk: &dyn Disk) -> Result<(), SinkError> {
    for unsynced in &round.files {
        disk.sync(&unsynced.file).map_err(|error| broken(&unsynced.path, "sync", &error))?;
    }
    for folder in &round.folders {
        if is_mutant("segment_names_not_synced") {
            break;
        }
        disk.sync_folder(folder).map_err(|error| broken(folder, "sync the folder", &error))?;
    }
    Ok(())
}

fn finish(tenant: &Tenant, round: Round) {
    tenant.lock_anyway().end_round(&round);
    // Not under the lock: the receiver may be slow.
    for pending in round.pending {
        pending.acks.complete(pending.tickets);
    }
}

/// Asks for a sync now, and waits for its end or until `deadline_ns` of the monotonic clock.
pub(super) fn flush(shared: &Shared, deadline_ns: u64) -> Result<(), SinkError> {
    let mut signal = lock(shared);
    signal.asked += 1;
    let mine = signal.asked;
    shared.changed.notify_all();
    while signal.done < mine {
        shared.health()?;
        let left_ns = deadline_ns.saturating_sub(shared.clock.monotonic_ns());
        if left_ns == 0 {
            let dir = shared.dir.display();
            return Err(SinkError::Retry(format!(
                "{dir}: sync: not done at the deadline; what is not safe will be read again"
            )));
        }
        let left = std::time::Duration::from_nanos(left_ns);
        let waited = shared.changed.wait_timeout(signal, left);
        (signal, _) = waited.unwrap_or_else(PoisonError::into_inner);
    }
    drop(signal);
    shared.health()
}

fn lock(shared: &Shared) -> MutexGuard<'_, Signal> {
    // Three plain numbers: they are right even if a thread died while it held the lock.
    shared.signal.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells the thread that something was written.
pub(super) fn mark_dirty(shared: &Shared) {
    if !shared.dirty.swap(true, Ordering::AcqRel) {
        // The lock keeps the call from falling between the thread's look and its sleep.
        if !is_mutant("dirty_without_the_lock") {
            drop(lock(shared));
        }
        shared.changed.notify_all();
    }
}

/// Tells the thread not to wait out the sync interval: so much is unsynced that a sink will be busy.
pub(super) fn hurry(shared: &Shared) {
    let mut signal = lock(shared);
    if signal.asked == signal.done {
        signal.asked += 1;
        shared.changed.notify_all();
    }
}
