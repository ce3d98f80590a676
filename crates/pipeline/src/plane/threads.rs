//! Threads: one per stage, each a loop around the stage's tick.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::sync::Parker;
use flow::Clock;

use super::StartError;
use super::run::{Flags, park};
use crate::Tick;
use crate::discovery::Discovery;
use crate::reader::Reader;
use crate::shipper::Shipper;
use crate::tracker::Tracker;

/// Starts threads.
pub(super) struct Threads {
    pub(super) flags: Arc<Flags>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Threads {
    fn spawn(
        &self,
        name: String,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<JoinHandle<()>, StartError> {
        let builder = std::thread::Builder::new().name(name.clone()).stack_size(THREAD_STACK_BYTES);
        builder.spawn(body).map_err(|source| StartError::Thread { name, source })
    }

    pub(super) fn spawn_reader(
        &self,
        number: usize,
        mut reader: Reader,
        parker: Parker,
    ) -> Result<JoinHandle<()>, StartError> {
        let (flags, clock) = (Arc::clone(&self.flags), Arc::clone(&self.clock));
        self.spawn(format!("lf-read-{number}"), move || {
            loop {
                if flags.stop_readers.load(Ordering::Acquire) {
                    reader.stop();
                }
                let tick = reader.tick();
                if reader.is_stopped() || flags.is_abandoned.load(Ordering::Acquire) {
                    return;
                }
                park(&parker, &*clock, tick);
            }
        })
    }

    pub(super) fn spawn_shipper(
        &self,
        number: usize,
        mut shipper: Shipper,
        parker: Parker,
    ) -> Result<JoinHandle<()>, StartError> {
        let (flags, clock) = (Arc::clone(&self.flags), Arc::clone(&self.clock));
        self.spawn(format!("lf-ship-{number}"), move || {
            loop {
                let tick = shipper.tick();
                if let Some(reason) = shipper.broken() {
                    flags.break_down(reason);
                }
                // Readers end once all that they have read is taken.
                if flags.stop_readers.load(Ordering::Acquire) {
                    shipper.stop();
                }
                let is_stopping = flags.stop_shippers.load(Ordering::Acquire);
                let is_done = is_stopping && (shipper.is_empty() || shipper.broken().is_some());
                if is_done || flags.is_abandoned.load(Ordering::Acquire) {
                    return shipper.flush(flags.deadline_ns.load(Ordering::Acquire));
                }
                park(&parker, &*clock, tick);
            }
        })
    }

    pub(super) fn spawn_discovery(
        &self,
        discovery: Discovery,
        parker: Parker,
    ) -> Result<JoinHandle<()>, StartError> {
        let (flags, clock) = (Arc::clone(&self.flags), Arc::clone(&self.clock));
        let mut discovery = discovery.until(Arc::clone(&flags.stop_discovery));
        self.spawn("lf-discover".to_owned(), move || {
            while !flags.stop_discovery.load(Ordering::Acquire) {
                let tick = discovery.tick();
                flags.is_scanned.store(discovery.has_scanned(), Ordering::Release);
                park(&parker, &*clock, tick);
            }
        })
    }

    pub(super) fn spawn_tracker(&self, mut tracker: Tracker) -> Result<JoinHandle<()>, StartError> {
        let (flags, clock) = (Arc::clone(&self.flags), Arc::clone(&self.clock));
        self.spawn("lf-ckpt".to_owned(), move || {
            while !flags.stop_tracker.load(Ordering::Acquire) {
                if let Tick::Idle(wake_ns) = tracker.tick() {
                    let now_ns = clock.monotonic_ns();
                    let wake_ns = wake_ns.unwrap_or(u64::MAX).min(now_ns + TRACKER_WAIT_NS);
                    tracker.wait(Duration::from_nanos(wake_ns.saturating_sub(now_ns)));
                    std::thread::sleep(TRACKER_REST);
                }
            }
            let is_stored = tracker.store_now();
            flags.is_stored.store(is_stored, Ordering::Release);
        })
    }
}

/// Stack of a stage's thread, in bytes: no stage recurses deeply or keeps buffers on it.
const THREAD_STACK_BYTES: usize = 512 << 10;

/// Pause of the tracker when it is woken, in which more acks gather: a sink that acknowledges each
/// payload at once would wake it thousands of times a second, at the cost of a twentieth of a core.
const TRACKER_REST: Duration = Duration::from_millis(2);

/// Longest sleep of the tracker. It hears of acks and commands at once, and of a stop too, since its
/// channels close then and not before.
const TRACKER_WAIT_NS: u64 = 10_000_000_000;
