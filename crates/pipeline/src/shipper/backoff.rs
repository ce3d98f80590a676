//! Back-off: when a lane tries again. Pure; grows by doubling up to a maximum.

/// Pause while a sink has no room, in nanoseconds: short against what its queue takes to be acknowledged.
const BUSY_NS: u64 = 2_000_000;

/// How long to wait between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// First pause, in nanoseconds.
    pub first_ns: u64,
    /// Longest pause, in nanoseconds.
    pub max_ns: u64,
}

/// State of one lane's attempts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    policy: RetryPolicy,
    failures: u32,
    due_ns: u64,
}

impl Backoff {
    pub(super) fn new(policy: RetryPolicy) -> Backoff {
        Backoff { policy, failures: 0, due_ns: 0 }
    }

    /// When the next attempt may be made.
    pub(super) fn due_ns(&self) -> u64 {
        self.due_ns
    }

    /// Notes a failure; returns whether it is the first in a row.
    pub(super) fn failed(&mut self, now_ns: u64) -> bool {
        let doubled = self.policy.first_ns.saturating_mul(1 << self.failures.min(32));
        self.due_ns = now_ns.saturating_add(doubled.min(self.policy.max_ns));
        self.failures += 1;
        self.failures == 1
    }

    /// Notes that there is no room for a moment.
    pub(super) fn busy(&mut self, now_ns: u64) {
        self.due_ns = now_ns.saturating_add(BUSY_NS);
    }

    /// Notes a success; returns whether there were failures before.
    pub(super) fn succeeded(&mut self) -> bool {
        let failed_before = self.failures > 0;
        *self = Backoff::new(self.policy);
        failed_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_maximum() {
        let mut backoff = Backoff::new(RetryPolicy { first_ns: 100, max_ns: 1000 });
        let mut pauses = Vec::new();
        for attempt in 0..6 {
            assert_eq!(backoff.failed(50), attempt == 0);
            pauses.push(backoff.due_ns() - 50);
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
        assert!(backoff.succeeded());
        assert!(!backoff.succeeded());
        assert_eq!(backoff.due_ns(), 0);
    }
}
