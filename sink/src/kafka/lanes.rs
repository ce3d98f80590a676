//! Lanes: what each tenant of one shipper has on its way to the brokers, and what is sent next.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use flow::{SinkError, is_mutant};

use super::divide::{declare, divide};
use super::in_flight::{Batch, Rejection};
use super::limit::Limit;

/// Pause before what the broker rejected is sent again, in nanoseconds.
///
/// 1 s: rights are granted and topics made by people.
const AGAIN_NS: u64 = 1_000_000_000;
/// Time between two looks at a lane that sends one thing after the other, in nanoseconds.
const NEXT_NS: u64 = 2_000_000;

/// So often something small is tried alone before it is declared a gap: other tenants' messages may have
/// been on the same way.
const REFUSALS_MAX: u32 = 10;

/// The lanes of one shipper.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: Mutex<HashMap<Arc<str>, Lane>>,
    changed: Condvar,
    /// Nobody sends any more.
    is_closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Lane {
    in_flight: usize,
    bytes: usize,
    /// On their way; librdkafka has them.
    sent: Vec<Weak<Batch>>,
    /// To be sent, in order: what the brokers rejected, and what follows one by one.
    waiting: VecDeque<Arc<Batch>>,
    limit: Limit,
    /// How often in a row something that cannot be any smaller was too large.
    refusals: u32,
    why: String,
    again_at_ns: u64,
    has_hole: bool,
}

/// Leave to send a payload.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    AtOnce,
    /// It is to be queued with [`Lanes::queue`]: the lane sends one thing after the other.
    OneByOne,
}

impl Lanes {
    /// Makes room for a payload.
    ///
    /// # Errors
    /// If as much is on its way as may be, or something before it was rejected.
    pub(super) fn admit(
        &self,
        tenant: &Arc<str>,
        bytes: usize,
        bytes_max: usize,
    ) -> Result<Admitted, SinkError> {
        let mut lanes = self.lock();
        let lane = lanes.entry(Arc::clone(tenant)).or_default();
        if lane.has_hole && !lane.why.is_empty() && !is_mutant("rejected_is_overtaken") {
            return Err(SinkError::Retry(lane.why.clone()));
        }
        let is_full = lane.in_flight > 0 && lane.bytes + bytes > bytes_max;
        let must_follow = lane.has_hole || !lane.waiting.is_empty();
        if is_full || (must_follow && !is_mutant("rejected_is_overtaken")) {
            return Err(SinkError::Busy);
        }
        lane.bytes += bytes;
        if lane.limit.bytes().is_some() {
            return Ok(Admitted::OneByOne);
        }
        lane.in_flight += 1;
        Ok(Admitted::AtOnce)
    }

    /// Takes note of what is sent at once.
    pub(super) fn begin(&self, batch: &Arc<Batch>) {
        if let Some(lane) = self.lock().get_mut(&batch.tenant) {
            lane.sent.push(Arc::downgrade(batch));
        }
    }

    /// Takes what [`Lanes::due`] is to give.
    pub(super) fn queue(&self, batch: Arc<Batch>) {
        if let Some(lane) = self.lock().get_mut(&batch.tenant) {
            lane.waiting.push_back(batch);
        }
    }

    /// All reports of a batch are there; returns whether its payload is done with.
    pub(super) fn done(
        &self,
        batch: &Arc<Batch>,
        rejection: Option<Rejection>,
        now_ns: u64,
    ) -> bool {
        let mut lanes = self.lock();
        let Some(lane) = lanes.get_mut(&batch.tenant) else { return false };
        lane.in_flight -= 1;
        lane.sent.retain(|it| it.as_ptr() != Arc::as_ptr(batch));
        match rejection {
            None => {
                lane.bytes -= batch.bytes;
                lane.limit.passed();
                lane.refusals = 0;
            }
            // Nobody would send it again; and kept, it would keep its lanes for ever.
            Some(_) if self.is_closed.load(Ordering::Acquire) => return false,
            Some(rejection) => {
                let place = lane.waiting.partition_point(|it| it.number < batch.number);
                lane.waiting.insert(place, Arc::clone(batch));
                lane.reject(batch, rejection, now_ns);
                lane.has_hole = true;
            }
        }
        if lane.has_hole && lane.in_flight == 0 && lane.waiting.is_empty() {
            lane.has_hole = false;
            if !std::mem::take(&mut lane.why).is_empty() {
                tracing::info!(tenant = &*batch.tenant, "taken by Kafka again");
            }
        }
        self.changed.notify_all();
        // Its other parts are among those.
        !lane.waiting.iter().any(|it| it.number == batch.number)
    }

    /// What is to be sent now, in order: of lanes of which nothing is on its way. It counts as on its
    /// way then.
    pub(super) fn due(&self, now_ns: u64) -> Vec<Arc<Batch>> {
        let mut due = Vec::new();
        for lane in self.lock().values_mut() {
            if lane.in_flight > 0 || now_ns < lane.again_at_ns {
                continue;
            }
            let begin = due.len();
            if let Some(bytes_max) = lane.limit.bytes() {
                due.extend(lane.next_within(bytes_max));
            } else {
                lane.in_flight = lane.waiting.len();
                due.extend(lane.waiting.drain(..));
            }
            lane.sent.extend(due[begin..].iter().map(Arc::downgrade));
        }
        due
    }

    /// When something may be to be sent.
    pub(super) fn due_ns(&self, now_ns: u64) -> Option<u64> {
        let lanes = self.lock();
        let waiting = lanes.values().filter(|it| !it.waiting.is_empty());
        let due = waiting.map(|it| match it.in_flight {
            0 => it.again_at_ns,
            _ => now_ns + NEXT_NS,
        });
        due.min()
    }

    /// Nothing is sent any more: what waits is let go.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        let waiting: Vec<Arc<Batch>> =
            self.lock().values_mut().flat_map(|it| it.waiting.drain(..)).collect();
        drop(waiting);
    }

    /// Whether nothing is on its way, and nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        !self.lock().values().any(Lane::has_payloads)
    }

    /// Whether nothing of the tenant is on its way, and nothing waits.
    pub(super) fn is_clear(&self, tenant: &str) -> bool {
        !self.lock().get(tenant).is_some_and(Lane::has_payloads)
    }

    /// What of the tenant is not done with, in order.
    pub(super) fn unacknowledged(&self, tenant: &str) -> Vec<Arc<Batch>> {
        let lanes = self.lock();
        let Some(lane) = lanes.get(tenant) else { return Vec::new() };
        let sent = lane.sent.iter().filter_map(Weak::upgrade);
        let mut batches: Vec<_> = sent.chain(lane.waiting.iter().cloned()).collect();
        // Of one that was divided, the part on its way comes before those that wait.
        batches.sort_by_key(|it| it.number);
        batches
    }

    /// Waits until a payload was reported, at most so long; not at all if there is none.
    pub(super) fn wait(&self, at_most: Duration) {
        let lanes = self.lock();
        if lanes.values().any(Lane::has_payloads) {
            drop(self.changed.wait_timeout(lanes, at_most));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// Whether anything is on its way, or waits.
    fn has_payloads(&self) -> bool {
        self.in_flight > 0 || !self.waiting.is_empty()
    }

    fn reject(&mut self, batch: &Batch, rejection: Rejection, now_ns: u64) {
        let tenant = &*batch.tenant;
        let Rejection { why, is_too_large } = rejection;
        if is_too_large {
            let is_smallest = self.limit.bytes().is_some_and(|it| batch.bytes > it);
            if self.limit.too_large(batch.bytes) {
                tracing::warn!(tenant, why, "more than the topic takes at once; sending less");
            }
            if !is_smallest {
                return;
            }
            self.refusals += 1;
        }
        if self.why != why {
            tracing::warn!(tenant, why, "not taken by Kafka; trying again");
        }
        self.again_at_ns = now_ns + AGAIN_NS;
        self.why = why;
    }

    /// The next of what waits, in parts if it is larger than that.
    fn next_within(&mut self, bytes_max: usize) -> Option<Arc<Batch>> {
        let mut next = self.waiting.pop_front()?;
        while next.bytes > bytes_max {
            self.bytes -= next.bytes;
            if let Some([first, second]) = divide(&next) {
                self.bytes += second.bytes;
                self.waiting.push_front(Arc::new(second));
                next = Arc::new(first);
            } else if self.refusals >= REFUSALS_MAX
                && let Some(gap) = declare(&next)
            {
                tracing::error!(tenant = &*next.tenant, "a record that no broker takes is a gap");
                self.refusals = 0;
                next = Arc::new(gap);
            } else {
                self.bytes += next.bytes;
                break;
            }
            self.bytes += next.bytes;
        }
        self.in_flight += 1;
        Some(next)
    }
}

#[cfg(test)]
mod tests;
