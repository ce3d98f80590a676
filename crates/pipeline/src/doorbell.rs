//! Doorbell: wakes a reader that waits for room, and leaves one that sleeps for other reasons asleep.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::sync::Unparker;

/// One reader's bell.
#[derive(Debug, Clone)]
pub struct Doorbell {
    is_waiting: Arc<AtomicBool>,
    reader: Unparker,
}

impl Doorbell {
    /// The bell of the thread that `reader` wakes.
    #[must_use]
    pub fn new(reader: Unparker) -> Doorbell {
        Doorbell { is_waiting: Arc::default(), reader }
    }

    /// Says that the reader waits. If it had not said so before, it must look once more before it
    /// sleeps: what it waits for may have come in between.
    #[must_use]
    pub fn listen(&self) -> bool {
        !self.is_waiting.swap(true, Ordering::SeqCst)
    }

    /// Wakes the reader if it waits.
    pub fn ring(&self) {
        if self.is_waiting.swap(false, Ordering::SeqCst) {
            self.reader.unpark();
        }
    }
}
