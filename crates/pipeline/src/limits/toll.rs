//! Toll: what one source has to ask before a read, and its own bucket. It belongs to the source's reader.

use super::{Grant, Level, Pair};

/// Length of a record before any was seen, in bytes.
const RECORD_BYTES_FIRST: u64 = 128;

/// Limits of one source.
#[derive(Debug, Clone)]
pub struct Toll {
    /// Of node, tenant and LogConfig.
    shared: [Option<usize>; 3],
    own: Option<Pair>,
    /// Bytes of a record in the last read that had any.
    record_bytes: u64,
}

impl Toll {
    pub(super) fn new(shared: [Option<usize>; 3], own: Option<Pair>) -> Toll {
        Toll { shared, own, record_bytes: RECORD_BYTES_FIRST }
    }

    /// Whether anything limits the source.
    pub(super) fn is_any(&self) -> bool {
        self.own.is_some() || self.shared.iter().any(Option::is_some)
    }

    /// Number of the bucket of this level, if others share it.
    #[must_use]
    pub fn shared_bucket(&self, level: Level) -> Option<usize> {
        match level {
            Level::Node => self.shared[0],
            Level::Tenant => self.shared[1],
            Level::LogConfig => self.shared[2],
            Level::Container => None,
        }
    }

    /// Does this with each bucket to ask.
    pub(super) fn each(&mut self, shared: &mut [Pair], mut act: impl FnMut(Level, &mut Pair)) {
        const LEVELS: [Level; 3] = [Level::Node, Level::Tenant, Level::LogConfig];
        for (level, index) in LEVELS.into_iter().zip(self.shared) {
            if let Some(index) = index {
                act(level, &mut shared[index]);
            }
        }
        if let Some(own) = &mut self.own {
            act(Level::Container, own);
        }
    }

    /// About how many records are in so many bytes; one at least.
    pub(super) fn records_in(&self, bytes: u64) -> u64 {
        (bytes / self.record_bytes).max(1)
    }

    /// About how many bytes so many records have.
    pub(super) fn bytes_of(&self, records: u64) -> u64 {
        records.saturating_mul(self.record_bytes)
    }

    /// A read came to so much.
    pub(super) fn note(&mut self, spent: Grant) {
        if let Some(record_bytes) = spent.bytes.checked_div(spent.records) {
            self.record_bytes = record_bytes.max(1);
        }
    }
}
