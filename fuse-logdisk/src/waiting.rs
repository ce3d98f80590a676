//! Waiting: what waits in a volume behind a lock, and how much, for who only looks whether anything does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

/// Unanswered requests.
#[derive(Debug, Default)]
pub(crate) struct Waiting<T> {
    /// How many there are, to be looked at without the lock.
    count: AtomicUsize,
    requests: Mutex<T>,
    /// Who answers them later.
    answers: OnceLock<Thread>,
}

impl<T> Waiting<T> {
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Them all; whoever changes their number tells it by [`Waiting::counted`].
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many wait now; called under the lock. Whoever answers them is woken for the first one.
    pub(crate) fn counted(&self, count: usize) {
        let before = self.count.swap(count, Ordering::AcqRel);
        if before == 0 && count > 0 {
            self.answers.get().into_iter().for_each(Thread::unpark);
        }
    }

    /// This thread answers them.
    pub(crate) fn answered_by(&self, thread: Thread) {
        drop(self.answers.set(thread));
    }
}
