//! Numbers: what a walk has to tell of what it knows.

use super::{Walk, Why};

impl Walk {
    /// Whether any directory has to be looked at every scan.
    pub(in crate::discovery) fn has_polled(&self) -> bool {
        !self.polled.is_empty()
    }

    /// How many directories are there and not watched.
    pub(in crate::discovery) fn unwatched(&self) -> usize {
        self.polled.values().filter(|it| **it == Why::Unwatched).count()
    }

    /// How many pods are selected, and not read since their tenant may not; of files inside of them, containers.
    pub(in crate::discovery) fn denied(&self) -> usize {
        self.folders.values().map(|it| it.denied).sum::<usize>() + self.denied_inside
    }

    /// How many wait for what is to be told of their pods.
    pub(in crate::discovery) fn waiting(&self) -> usize {
        self.folders.values().map(|it| it.waiting).sum()
    }

    /// How many chains and directories are known.
    pub(in crate::discovery) fn known(&self) -> (usize, usize) {
        (self.folders.values().map(|it| it.chains.len()).sum(), self.folders.len())
    }
}
