//! Back-off: how long to wait before the API server is asked again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Pauses that double, each cut by a part that differs from agent to agent: a thousand nodes that lost
/// the same server do not come back at the same moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, most: Duration) -> Backoff {
        Backoff { first, most, next: first }
    }

    /// It went well.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    /// The pause after another failure: half of the current step at least.
    pub(crate) fn pause(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.most);
        // Of 1024 parts; std seeds each RandomState differently.
        let part = RandomState::new().hash_one(()) % 1024;
        step / 2 + step / 2 * u32::try_from(part).unwrap_or(0) / 1024
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_limit_and_are_spread() {
        let (first, most) = (Duration::from_millis(500), Duration::from_secs(30));
        let mut backoff = Backoff::new(first, most);
        let mut step = first;
        for _ in 0..20 {
            let pause = backoff.pause();
            assert!(pause >= step / 2 && pause <= step, "{pause:?} of {step:?}");
            step = (step * 2).min(most);
        }
        let pauses: Vec<Duration> = (0..20).map(|_| backoff.pause()).collect();
        assert!(pauses.iter().any(|it| *it != pauses[0]), "{pauses:?}");
        backoff.reset();
        assert!(backoff.pause() <= first);
    }
}
