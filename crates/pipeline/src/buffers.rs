//! Buffers: the memory of blocks, on its way back from shippers to readers.
//!
//! A stack: the buffer given back last is the one still in the processor's cache. It holds what one
//! batch per lane needs in steady state, and no more.

use std::sync::PoisonError;

use flow::is_mutant;

use crate::sync::{Mutex, MutexGuard};

/// Buffers kept, in number.
///
/// 4: one being filled, two in a lane, one being submitted.
const BUFFERS_MAX: usize = 4;

/// A stack of empty buffers. One short lock per batch.
#[derive(Debug)]
pub struct Buffers {
    free: Mutex<Vec<Vec<u8>>>,
    bytes_max: usize,
}

impl Buffers {
    /// Keeps buffers of at most `bytes_max` capacity.
    #[must_use]
    pub fn new(bytes_max: usize) -> Buffers {
        Buffers { free: Mutex::default(), bytes_max }
    }

    /// Largest capacity kept.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// An empty buffer.
    pub fn take(&self) -> Vec<u8> {
        self.lock().pop().unwrap_or_default()
    }

    /// Gives a buffer back; one too many, or too large, is freed.
    pub fn give(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() > self.bytes_max {
            return;
        }
        buffer.clear();
        let mut free = self.lock();
        if free.len() < BUFFERS_MAX {
            if is_mutant("buffer_kept_after_the_look") {
                drop(free);
                free = self.lock();
            }
            free.push(buffer);
        }
    }

    /// Buffers stay usable even if a thread died while it held the lock.
    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
