//! Numbers: what a walk has to tell of what it knows.

use super::{Walk, Why};

/// What walks know together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::discovery) struct Numbers {
    /// Pods that are selected, and not read since their tenant may not; of files inside of them, containers.
    pub(in crate::discovery) denied: usize,
    /// Pods that wait for what is to be told of them.
    pub(in crate::discovery) waiting: usize,
    pub(in crate::discovery) chains: usize,
    pub(in crate::discovery) directories: usize,
}

impl Walk {
    /// Whether any directory has to be looked at every scan.
    pub(in crate::discovery) fn has_polled(&self) -> bool {
        !self.polled.is_empty()
    }

    /// How many directories are there and not watched.
    pub(in crate::discovery) fn unwatched(&self) -> usize {
        self.polled.values().filter(|it| **it == Why::Unwatched).count()
    }

    /// Adds what it knows, in one look at all directories.
    pub(in crate::discovery) fn add_to(&self, sum: &mut Numbers) {
        sum.denied += self.denied_inside;
        sum.directories += self.folders.len();
        for folder in self.folders.values() {
            sum.denied += folder.denied;
            sum.waiting += folder.waiting;
            sum.chains += folder.chains.len();
        }
    }
}
