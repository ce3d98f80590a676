//! Clock: the only way the data plane learns the time.
//!
//! Asked per chunk or per batch, never per record. The simulator has its own.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Where time comes from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Nanoseconds since an arbitrary start, never going back. For time-outs and durations.
    fn monotonic_ns(&self) -> u64;
    /// Nanoseconds since 1970 by the wall clock, which may jump. Only ever data.
    fn unix_ns(&self) -> i64;
}

/// A duration in nanoseconds; the largest number for one that is longer.
#[must_use]
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The machine's clocks.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn monotonic_ns(&self) -> u64 {
        let now = clock_gettime(ClockId::Monotonic);
        now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
    }

    fn unix_ns(&self) -> i64 {
        let now = clock_gettime(ClockId::Realtime);
        now.tv_sec * 1_000_000_000 + now.tv_nsec
    }
}
