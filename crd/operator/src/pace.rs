//! Pace: no more than so many a second, and so many at once after a rest.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Tokens that come back over time.
#[derive(Debug)]
pub(crate) struct Pace {
    between: Duration,
    burst: u32,
    /// When all tokens will be back.
    full_at: Mutex<Instant>,
}

impl Pace {
    /// `per_second` and `burst` are 1 at least.
    pub(crate) fn new(per_second: u32, burst: u32) -> Pace {
        let between = Duration::from_secs(1) / per_second;
        Pace { between, burst, full_at: Mutex::new(Instant::now()) }
    }

    /// Waits for a token, and takes it.
    pub(crate) async fn wait(&self) {
        while let Err(at) = self.take(Instant::now()) {
            tokio::time::sleep_until(at).await;
        }
    }

    /// Takes a token, or says when there is one.
    fn take(&self, now: Instant) -> Result<(), Instant> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let after = (*full_at).max(now) + self.between;
        let room = self.between * self.burst;
        if after <= now + room {
            *full_at = after;
            return Ok(());
        }
        Err(now + (after - (now + room)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_rest_comes_at_its_pace() {
        let pace = Pace::new(10, 3);
        let begin = Instant::now();
        let taken = std::iter::repeat_with(|| pace.take(begin)).take(5);
        assert_eq!(taken.filter(Result::is_ok).count(), 3);
        let mut now = begin;
        for _ in 0..10 {
            now = pace.take(now).unwrap_err();
            pace.take(now).unwrap();
        }
        assert_eq!((now - begin).as_millis(), 1000);
    }
}
