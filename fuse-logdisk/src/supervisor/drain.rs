//! Drain: waits, once nobody can write any more, until the agent has acknowledged what is left.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use flow::{Clock, SystemClock, nanoseconds};

use crate::acks::Acks;
use crate::daemon::release;
use crate::store::{Retention, Selection, Store};

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// All that was collected is acknowledged.
    All,
    /// So many bytes are not.
    Left(u64),
}

/// A volume that nobody can write to any more, and what is not delivered of it.
pub struct Leftover {
    store: Store,
    acks: Box<dyn Acks>,
}

impl std::fmt::Debug for Leftover {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Leftover").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Leftover {
    /// The volume in `folder`, which is mounted nowhere.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open(folder: &Path, acks: Box<dyn Acks>) -> anyhow::Result<Leftover> {
        let (selection, retention) = (Selection::default(), Retention::default());
        let store = Store::open_at(folder, selection, retention, Arc::default())?;
        store.forget_all();
        Ok(Leftover { store, acks })
    }

    /// How many bytes are not acknowledged; the memory of all others is given back.
    ///
    /// # Errors
    /// If acknowledgements cannot be read.
    pub fn look(&mut self) -> anyhow::Result<u64> {
        release(&self.store, &mut *self.acks)?;
        Ok(self.store.undelivered_bytes())
    }

    /// How much memory it takes.
    ///
    /// # Errors
    /// As `statvfs`.
    pub fn held_bytes(&self) -> anyhow::Result<u64> {
        Ok(self.store.room()?.held_bytes)
    }
}

/// Waits until all that is collected in the volume is acknowledged, for at most so long.
///
/// # Errors
/// If the volume cannot be read.
pub fn drain(folder: &Path, acks: Box<dyn Acks>, longest: Duration) -> anyhow::Result<Drained> {
    let mut leftover = Leftover::open(folder, acks)?;
    let deadline_ns = SystemClock.monotonic_ns().saturating_add(nanoseconds(longest));
    loop {
        let left_bytes = leftover.look()?;
        if left_bytes == 0 {
            return Ok(Drained::All);
        }
        if SystemClock.monotonic_ns() >= deadline_ns {
            return Ok(Drained::Left(left_bytes));
        }
        thread::sleep(LOOK);
    }
}
