//! Opened: new files that discovery opened for a reader, and that are on their way to it.
//!
//! Their descriptors are counted until the reader has them, or nobody has: however many commands wait, no more files
//! are open than may be.

use std::sync::Arc;

use crate::fs::LogFile;
use crate::meter::Count;

/// Open files on their way to a reader.
#[derive(Debug, Default)]
pub struct Opened {
    files: Vec<Box<dyn LogFile>>,
    /// How many are on the way, to any reader.
    on_the_way: Arc<Count>,
}

impl Opened {
    /// None yet; `on_the_way` counts all.
    #[must_use]
    pub fn new(on_the_way: Arc<Count>) -> Opened {
        Opened { files: Vec::new(), on_the_way }
    }

    /// One more.
    pub fn push(&mut self, file: Box<dyn LogFile>) {
        self.on_the_way.add(1);
        self.files.push(file);
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Hands each over to who counts it from then on.
    pub fn hand_over(mut self, mut take: impl FnMut(Box<dyn LogFile>)) {
        for file in self.files.drain(..) {
            take(file);
            self.on_the_way.sub(1);
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.on_the_way.sub(self.files.len() as u64);
    }
}
