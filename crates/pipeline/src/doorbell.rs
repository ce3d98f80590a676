//! Doorbell: wakes a reader that waits for room, and leaves one that sleeps for other reasons asleep.

use std::sync::Arc;

use flow::is_mutant;

use crate::sync::Unparker;
use crate::sync::atomic::{AtomicBool, Ordering};

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
        if is_mutant("reader_sleeps_without_a_second_look") {
            self.is_waiting.store(true, Ordering::SeqCst);
            return false;
        }
        !self.is_waiting.swap(true, order())
    }

    /// Wakes the reader if it waits.
    pub fn ring(&self) {
        if self.is_waiting.swap(false, order()) {
            self.reader.unpark();
        }
    }
}

/// Whoever comes second sees all that the other did before: the reader the room, or the shipper that
/// the reader waits.
fn order() -> Ordering {
    if is_mutant("doorbell_orders_nothing") { Ordering::Relaxed } else { Ordering::SeqCst }
}
