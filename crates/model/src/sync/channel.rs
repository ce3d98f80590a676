//! Channel: many senders, one receiver, a number of values that may wait. Each call is one event.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::thread::panicking;

pub use crossbeam::channel::{RecvError, SendError, TryRecvError, TrySendError};

use super::{Condvar, Mutex, MutexGuard};

struct Channel<T> {
    inner: Mutex<Inner<T>>,
    changed: Condvar,
}

struct Inner<T> {
    values: VecDeque<T>,
    values_max: usize,
    senders: usize,
    has_receiver: bool,
}

impl<T> Channel<T> {
    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&'a self, inner: MutexGuard<'a, Inner<T>>) -> MutexGuard<'a, Inner<T>> {
        self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of those who send.
pub struct Sender<T>(Arc<Channel<T>>);

/// The end of the one who receives.
pub struct Receiver<T>(Arc<Channel<T>>);

/// A channel in which `values_max` values may wait.
#[must_use]
pub fn bounded<T>(values_max: usize) -> (Sender<T>, Receiver<T>) {
    let inner = Inner { values: VecDeque::new(), values_max, senders: 1, has_receiver: true };
    let channel = Arc::new(Channel { inner: Mutex::new(inner), changed: Condvar::new() });
    (Sender(Arc::clone(&channel)), Receiver(channel))
}

/// A channel in which any number of values may wait.
#[must_use]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    bounded(usize::MAX)
}

impl<T> Sender<T> {
    /// Sends, or gives the value back.
    ///
    /// # Errors
    /// If there is no room, or no receiver.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let mut inner = self.0.lock();
        if !inner.has_receiver {
            return Err(TrySendError::Disconnected(value));
        }
        if inner.values.len() >= inner.values_max {
            return Err(TrySendError::Full(value));
        }
        inner.values.push_back(value);
        drop(inner);
        self.0.changed.notify_all();
        Ok(())
    }

    /// Sends once there is room.
    ///
    /// # Errors
    /// If there is no receiver.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        let mut inner = self.0.lock();
        while inner.has_receiver && inner.values.len() >= inner.values_max {
            inner = self.0.wait(inner);
        }
        if !inner.has_receiver {
            return Err(SendError(value));
        }
        inner.values.push_back(value);
        drop(inner);
        self.0.changed.notify_all();
        Ok(())
    }
}

impl<T> Receiver<T> {
    /// The oldest value, if one waits.
    ///
    /// # Errors
    /// If none does.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut inner = self.0.lock();
        let Some(value) = inner.values.pop_front() else {
            let is_over = inner.senders == 0;
            return Err(if is_over { TryRecvError::Disconnected } else { TryRecvError::Empty });
        };
        drop(inner);
        self.0.changed.notify_all();
        Ok(value)
    }

    /// The oldest value, once there is one.
    ///
    /// # Errors
    /// If none will come.
    pub fn recv(&self) -> Result<T, RecvError> {
        let mut inner = self.0.lock();
        loop {
            if let Some(value) = inner.values.pop_front() {
                drop(inner);
                self.0.changed.notify_all();
                return Ok(value);
            }
            if inner.senders == 0 {
                return Err(RecvError);
            }
            inner = self.0.wait(inner);
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.0.lock().senders += 1;
        Sender(Arc::clone(&self.0))
    }
}

// After a panic the model is over, and its locks cannot be taken any more.

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if panicking() {
            return;
        }
        self.0.lock().senders -= 1;
        self.0.changed.notify_all();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if panicking() {
            return;
        }
        let mut inner = self.0.lock();
        inner.has_receiver = false;
        let unheard = std::mem::take(&mut inner.values);
        drop(inner);
        self.0.changed.notify_all();
        drop(unheard);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver")
    }
}
