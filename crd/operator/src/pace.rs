//! Pace: no more than so many a second, and so many at once after a rest; and how many have to be, if none may be late.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Tokens that come back over time.
#[derive(Debug)]
pub(crate) struct Pace {
    state: Mutex<State>,
    burst: u32,
}

#[derive(Debug)]
struct State {
    between: Duration,
    /// When all tokens will be back.
    full_at: Instant,
}

impl Pace {
    /// `per_second` and `burst` are 1 at least.
    pub(crate) fn new(per_second: u32, burst: u32) -> Pace {
        let between = Duration::from_secs(1) / per_second;
        Pace { state: Mutex::new(State { between, full_at: Instant::now() }), burst }
    }

    /// From now on so many a second, 1 at least. Who waits already does so for as long as it was told, once.
    pub(crate) fn set(&self, per_second: u32) {
        self.state().between = Duration::from_secs(1) / per_second;
    }

    /// Waits for a token, and takes it.
    pub(crate) async fn wait(&self) {
        while let Err(at) = self.take(Instant::now()) {
            tokio::time::sleep_until(at).await;
        }
    }

    /// Takes a token, or says when there is one.
    fn take(&self, now: Instant) -> Result<(), Instant> {
        let mut state = self.state();
        let room = state.between * self.burst;
        // A pace that was slower before leaves no debt that this one would not have.
        state.full_at = state.full_at.clamp(now, now + room);
        let after = state.full_at + state.between;
        if after <= now + room {
            state.full_at = after;
            return Ok(());
        }
        Err(now + (after - (now + room)))
    }

    /// Nothing is left half done by who held the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many a second it takes so that of those that wait, in the order of their turns, each has its turn before
/// this time of its own is over.
pub(crate) fn needed(left: impl IntoIterator<Item = Duration>) -> u32 {
    let each = left.into_iter().zip(1u32..);
    // What is late is done within a second.
    let of = |(left, turn): (Duration, u32)| f64::from(turn) / left.as_secs_f64().max(1.0);
    let most = each.map(of).fold(0.0, f64::max).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of turns"
    )]
    let most = most as u32;
    most
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

    #[test]
    fn another_pace_counts_from_the_next_token_on() {
        let pace = Pace::new(1, 1);
        let begin = Instant::now();
        pace.take(begin).unwrap();
        assert_eq!(pace.take(begin), Err(begin + Duration::from_secs(1)));
        pace.set(100);
        let mut now = begin;
        for _ in 0..100 {
            now = pace.take(now).unwrap_err();
            pace.take(now).unwrap();
        }
        assert_eq!((now - begin).as_millis(), 1000, "as if it had been so from the begin");
    }

    #[test]
    fn as_many_turns_are_needed_as_keep_all_in_time() {
        let seconds = Duration::from_secs;
        for (left, want) in [
            (vec![], 0),
            (vec![seconds(20); 6], 1),
            (vec![seconds(20); 10_000], 500),
            // Two that come a second: the last of them decides, and none of the first.
            ((0..200u64).map(|it| Duration::from_millis(5_000 + 500 * it)).collect(), 2),
            // One that is late is no haste for those that have time.
            (std::iter::once(Duration::ZERO).chain(vec![seconds(20); 10]).collect(), 1),
            (vec![Duration::ZERO; 7], 7),
        ] {
            assert_eq!(needed(left), want);
        }
    }
}
