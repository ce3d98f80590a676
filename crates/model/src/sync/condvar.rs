//! Condvar: loom's, with time limits. Time stands still: a limit of zero is over at once, and every
//! other never. So who relies on a limit to be woken at all sleeps for ever, and is found.

use std::sync::{LockResult, PoisonError};
use std::time::Duration;

use super::MutexGuard;

/// A condition variable.
#[derive(Debug, Default)]
pub struct Condvar(loom::sync::Condvar);

/// Whether the wait ended by its limit.
pub type TimedOut = bool;

impl Condvar {
    /// One that nobody waits for.
    #[must_use]
    pub fn new() -> Condvar {
        Condvar::default()
    }

    /// Sleeps until somebody notifies.
    ///
    /// # Errors
    /// If the lock is poisoned, which loom's never is.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.0.wait(guard)
    }

    /// Sleeps until somebody notifies, or the limit is over.
    ///
    /// # Errors
    /// As [`Condvar::wait`].
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, TimedOut)> {
        let mut is_first = true;
        self.wait_timeout_while(guard, limit, |_| std::mem::take(&mut is_first))
    }

    /// Sleeps as long as `is_patient` says so and the limit is not over.
    ///
    /// # Errors
    /// As [`Condvar::wait`].
    pub fn wait_timeout_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        limit: Duration,
        mut is_patient: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, TimedOut)> {
        while is_patient(&mut guard) {
            if limit.is_zero() {
                return Ok((guard, true));
            }
            guard = self.0.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        Ok((guard, false))
    }

    /// Wakes all that sleep.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}
