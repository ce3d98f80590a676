//! Clock: time that only moves when somebody moves it.

use std::sync::atomic::{AtomicU64, Ordering};

use flow::Clock;

/// Wall-clock time at the world's beginning, nanoseconds since 1970: in 2026.
pub const EPOCH_UNIX_NS: i64 = 1_768_000_000_000_000_000;

/// Nanoseconds since the world began. Every change of the world takes one, so that no two things
/// happen at the same time.
#[derive(Debug, Default)]
pub struct SimClock(AtomicU64);

impl SimClock {
    /// Time passes.
    pub fn advance(&self, by_ns: u64) {
        self.0.fetch_add(by_ns, Ordering::Relaxed);
    }

    /// Now.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clock for SimClock {
    fn monotonic_ns(&self) -> u64 {
        self.now_ns()
    }

    fn unix_ns(&self) -> i64 {
        EPOCH_UNIX_NS.saturating_add_unsigned(self.now_ns())
    }
}
