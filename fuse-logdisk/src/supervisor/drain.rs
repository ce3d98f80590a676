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

/// Waits until all that is collected in the volume is acknowledged, for at most so long.
///
/// # Errors
/// If the volume cannot be read.
pub fn drain(folder: &Path, acks: &mut dyn Acks, longest: Duration) -> anyhow::Result<Drained> {
    let store = Store::open_at(folder, Selection::default(), Retention::default(), Arc::default())?;
    store.forget_all();
    let deadline_ns = SystemClock.monotonic_ns().saturating_add(nanoseconds(longest));
    loop {
        release(&store, acks)?;
        let left_bytes = store.undelivered_bytes();
        if left_bytes == 0 {
            return Ok(Drained::All);
        }
        if SystemClock.monotonic_ns() >= deadline_ns {
            return Ok(Drained::Left(left_bytes));
        }
        thread::sleep(LOOK);
    }
}
