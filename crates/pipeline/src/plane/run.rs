//! Run: how a thread loops around a stage.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam::sync::Parker;
use flow::Clock;

use crate::Tick;

/// What the threads of a data plane tell each other.
#[derive(Debug, Default)]
pub(super) struct Flags {
    pub(super) stop_discovery: Arc<AtomicBool>,
    pub(super) stop_readers: AtomicBool,
    pub(super) stop_shippers: AtomicBool,
    pub(super) stop_tracker: AtomicBool,
    /// The deadline is over: end at once, whatever is un-acked.
    pub(super) is_abandoned: AtomicBool,
    /// The first scan was passed on.
    pub(super) is_scanned: AtomicBool,
    /// The tracker has ended, and the checkpoint has all that it knew.
    pub(super) is_stored: AtomicBool,
    pub(super) deadline_ns: AtomicU64,
    broken: Mutex<Option<String>>,
}

impl Flags {
    /// Why the plane cannot go on.
    pub(super) fn broken(&self) -> Option<String> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes the first reason.
    pub(super) fn break_down(&self, reason: &str) {
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.get_or_insert_with(|| reason.to_owned());
    }
}

/// Longest sleep of a stage that waits for nothing in particular.
const PARK_MAX: Duration = Duration::from_secs(10);

/// Sleeps until the stage has something to do, or somebody wakes it.
pub(super) fn park(parker: &Parker, clock: &dyn Clock, tick: Tick) {
    let Tick::Idle(wake_ns) = tick else { return };
    match wake_ns {
        Some(wake_ns) => {
            let pause_ns = wake_ns.saturating_sub(clock.monotonic_ns());
            parker.park_timeout(Duration::from_nanos(pause_ns).min(PARK_MAX));
        }
        None => parker.park_timeout(PARK_MAX),
    }
}
