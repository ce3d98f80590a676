//! Lanes: what each tenant of one shipper has on its way to the broker, and what must be sent again first.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flow::{Payload, Ticket, is_mutant};

use super::in_flight::{Batch, Reported};

/// Pause before what the broker rejected is sent again, in nanoseconds.
///
/// 1 s: rights are granted and topics made by people.
const AGAIN_NS: u64 = 1_000_000_000;

/// The lanes of one shipper.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Mutex<HashMap<Arc<str>, Lane>>,
    changed: Condvar,
    /// Lanes, of all shippers, in which something older than what was acknowledged is not.
    holes: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Lane {
    in_flight: usize,
    bytes: usize,
    /// What the broker rejected, by number.
    rejected: BTreeMap<u64, Rejected>,
    why: String,
    again_at_ns: u64,
    has_hole: bool,
}

/// A payload of which something is to be sent again.
#[derive(Debug)]
pub(super) struct Rejected {
    pub(super) number: u64,
    pub(super) payload: Payload,
    /// By section; none where it was delivered.
    pub(super) tickets: Vec<Option<Ticket>>,
}

/// Why a lane takes nothing now.
#[derive(Debug)]
pub(super) enum Full {
    /// As much is on its way as may be.
    Busy,
    /// Something before it was rejected.
    Rejected(String),
}

impl Lanes {
    pub(super) fn new(holes: Arc<AtomicUsize>) -> Lanes {
        Lanes { lanes: Mutex::default(), changed: Condvar::new(), holes }
    }

    /// Makes room for a payload.
    pub(super) fn admit(
        &self,
        tenant: &Arc<str>,
        bytes: usize,
        bytes_max: usize,
    ) -> Result<(), Full> {
        let mut lanes = self.lock();
        let lane = lanes.entry(Arc::clone(tenant)).or_default();
        if lane.has_hole && !is_mutant("rejected_is_overtaken") {
            return Err(Full::Rejected(lane.why.clone()));
        }
        if lane.in_flight > 0 && lane.bytes + bytes > bytes_max {
            return Err(Full::Busy);
        }
        lane.in_flight += 1;
        lane.bytes += bytes;
        Ok(())
    }

    /// All reports of a payload are there.
    pub(super) fn done(&self, batch: &Batch, reported: Reported, now_ns: u64) {
        let mut lanes = self.lock();
        let Some(lane) = lanes.get_mut(&batch.tenant) else { return };
        lane.in_flight -= 1;
        if let Some(why) = reported.rejected {
            let Reported { payload, tickets, .. } = reported;
            let number = batch.number;
            lane.rejected.insert(number, Rejected { number, payload, tickets });
            if !lane.has_hole || lane.why != why {
                tracing::warn!(tenant = &*batch.tenant, why, "not taken by Kafka; trying again");
            }
            lane.again_at_ns = now_ns + AGAIN_NS;
            lane.why = why;
            if !std::mem::replace(&mut lane.has_hole, true) {
                self.holes.fetch_add(1, Ordering::AcqRel);
            }
        } else {
            lane.bytes -= batch.bytes;
        }
        if lane.has_hole && lane.in_flight == 0 && lane.rejected.is_empty() {
            lane.has_hole = false;
            self.holes.fetch_sub(1, Ordering::AcqRel);
            tracing::info!(tenant = &*batch.tenant, "taken by Kafka again");
        }
        self.changed.notify_all();
    }

    /// What is to be sent again now, in order: of lanes of which nothing is on its way. It counts as on
    /// its way again.
    pub(super) fn due(&self, now_ns: u64) -> Vec<Rejected> {
        let mut due = Vec::new();
        for lane in self.lock().values_mut() {
            if lane.in_flight == 0 && now_ns >= lane.again_at_ns {
                lane.in_flight = lane.rejected.len();
                due.extend(std::mem::take(&mut lane.rejected).into_values());
            }
        }
        due
    }

    /// When something is to be sent again.
    pub(super) fn due_ns(&self) -> Option<u64> {
        let lanes = self.lock();
        let waiting = lanes.values().filter(|it| it.in_flight == 0 && !it.rejected.is_empty());
        waiting.map(|it| it.again_at_ns).min()
    }

    /// Whether nothing is on its way, and nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().values().all(|it| it.in_flight == 0 && it.rejected.is_empty())
    }

    /// Waits until a payload was reported, at most so long.
    pub(super) fn wait(&self, at_most: Duration) {
        let lanes = self.lock();
        if lanes.values().any(|it| it.in_flight > 0) {
            drop(self.changed.wait_timeout(lanes, at_most));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        let holes = self.lock().values().filter(|it| it.has_hole).count();
        self.holes.fetch_sub(holes, Ordering::AcqRel);
    }
}
