//! A clock for tests of stages: it goes as the test, or what it replaces, moves it on.

use std::sync::atomic::{AtomicU64, Ordering};

use flow::Clock;

/// Monotonic nanoseconds; the wall clock stands still.
#[derive(Debug, Default)]
pub(crate) struct HandClock(pub(crate) AtomicU64);

impl Clock for HandClock {
    fn monotonic_ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn unix_ns(&self) -> i64 {
        1_768_000_000_000_000_000
    }
}
