//! Waits: what holds back a source that has something to read, for reports.

use super::{Reader, Slot};
use crate::limits::Level;
use crate::source::SourceReport;

/// What a source waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitsFor {
    /// Tokens of a limit.
    Limit {
        /// The one that it has to wait for longest.
        level: Level,
        /// For how long still, in nanoseconds.
        for_ns: u64,
    },
    /// The tenant's budget of memory has nothing left.
    Memory {
        /// Bytes of the tenant in flight.
        used_bytes: usize,
    },
    /// As much of the tenant is read and not acknowledged as may be.
    Window {
        /// Bytes of it.
        used_bytes: usize,
    },
    /// Payloads of its lane wait for the shipper.
    Lane,
    /// The sink refuses its lane's payloads, which are tried again.
    Sink {
        /// For how long, in nanoseconds.
        since_ns: u64,
    },
    /// Its turn.
    Turn,
}

impl Reader {
    /// Where the source stands, and why it stands there.
    pub(super) fn report_of(&self, slot: &Slot, now_ns: u64) -> SourceReport {
        let limits = slot.pace.toll().map(|toll| self.parts.limits.report(toll, now_ns));
        SourceReport {
            waits_for: slot.is_ready.then(|| self.waits_for(slot, now_ns)),
            limits: limits.unwrap_or_default(),
            ..slot.source.report()
        }
    }

    /// What a source waits for that has something to read.
    fn waits_for(&self, slot: &Slot, now_ns: u64) -> WaitsFor {
        let gather = &self.gathers[slot.lane];
        if let Some(refused_ns) = gather.refused_since_ns() {
            return WaitsFor::Sink { since_ns: now_ns.saturating_sub(refused_ns) };
        }
        if gather.is_stalled() {
            return WaitsFor::Lane;
        }
        let asleep = self.schedule.asleep(slot.lane);
        let napping = slot.pace.nap.map(|it| (it.level, it.until_ns));
        if let Some((level, until_ns)) = napping.or(asleep) {
            return WaitsFor::Limit { level, for_ns: until_ns.saturating_sub(now_ns) };
        }
        if self.schedule.is_blocked(slot.lane) {
            if let Some(used_bytes) = gather.full_window() {
                return WaitsFor::Window { used_bytes };
            }
            return WaitsFor::Memory { used_bytes: gather.budget.used() };
        }
        WaitsFor::Turn
    }
}
