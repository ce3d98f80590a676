//! Release: gives memory back once the agent has acknowledged what was in it.

use flow::{Clock, SystemClock, nanoseconds};
use rustix::io::Errno;

use super::{Inner, NodeId, Store, open};

/// What is kept for readers when room is short, in bytes.
const SHORT_KEEP_BYTES: u64 = 64 << 10;
/// Room is short when less than this part of the budget is free: from there on the agent has what is not delivered go to its
/// spool (`pipeline::source`), and is not to take what readers have for that.
const SHORT_PART: u64 = 2;

/// A volume is nearly full when less than this part of the budget is free.
const FULL_PART: u64 = 16;

/// The memory of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Its budget, in bytes.
    pub budget_bytes: u64,
    /// What is in use of it, in bytes.
    pub held_bytes: u64,
}

impl Room {
    fn is_short(self) -> bool {
        self.has_less_than(SHORT_PART)
    }

    /// Less than this part of the budget is free.
    fn has_less_than(self, part: u64) -> bool {
        self.budget_bytes.saturating_sub(self.held_bytes) < self.budget_bytes / part
    }
}

/// Bytes of a file that are to be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Until {
    /// Key of its content.
    key: u64,
    /// What stands before this offset.
    offset: u64,
}

impl Store {
    /// What must be acknowledged for all that a file holds now to be; `None` if nobody collects it.
    ///
    /// # Errors
    /// As `fstat`.
    pub fn until_delivered(&self, id: NodeId) -> Result<Option<Until>, Errno> {
        let (content, _) = self.file_of(&self.inner(), id)?;
        let until = Until { key: content.key, offset: content.size() };
        Ok(content.is_log().then_some(until))
    }

    /// Whether that is acknowledged. A content that is gone was, as a whole.
    #[must_use]
    pub fn is_delivered(&self, until: &Until) -> bool {
        let inner = self.inner();
        inner.contents.get(&until.key).is_none_or(|it| it.content.acknowledged() >= until.offset)
    }

    /// The memory that the volume takes.
    ///
    /// # Errors
    /// As `statvfs`.
    pub fn room(&self) -> Result<Room, Errno> {
        let of = rustix::fs::statvfs(&self.folder)?;
        let budget_bytes = of.f_blocks * of.f_frsize;
        let held_bytes = of.f_blocks.saturating_sub(of.f_bfree) * of.f_frsize;
        Ok(Room { budget_bytes, held_bytes })
    }

    /// Whether there will soon be no room; not if nobody can tell.
    #[must_use]
    pub fn is_nearly_full(&self) -> bool {
        self.room().is_ok_and(|it| it.has_less_than(FULL_PART))
    }

    /// The agent has acknowledged for good what stands before `offset` in the content with this key.
    ///
    /// # Errors
    /// As `fallocate`.
    pub fn acknowledge(&self, key: u64, offset: u64) -> Result<(), Errno> {
        let inner = self.inner();
        let Some(held) = inner.contents.get(&key) else { return Ok(()) };
        if self.passes() && offset > held.content.size() {
            self.measure(held);
        }
        held.content.acknowledge(offset);
        self.release(&inner, key, self.retention.keep_bytes)
    }

    /// Removes what is delivered and cannot be seen any more; and, where room is short, keeps less for readers.
    ///
    /// # Errors
    /// As `unlink` and `fallocate`. What was not removed is tried again.
    pub fn sweep(&self) -> Result<(), Errno> {
        let mut inner = self.inner();
        let now_ns = SystemClock.monotonic_ns();
        let linger_ns = nanoseconds(self.retention.linger);
        let is_delivered = |key: &u64| {
            inner.contents.get(key).is_none_or(|it| it.content.undelivered_bytes() == 0)
        };
        let old = inner.unseen.iter().filter(|(_, since)| now_ns - **since >= linger_ns);
        let done: Vec<u64> = old.map(|(key, _)| *key).filter(is_delivered).collect();
        for key in done {
            self.remove_log(&mut inner, key)?;
        }
        if self.room()?.is_short() {
            let keys: Vec<u64> = inner.contents.keys().copied().collect();
            for key in keys {
                self.release(&inner, key, self.retention.keep_bytes.min(SHORT_KEEP_BYTES))?;
            }
        }
        Ok(())
    }

    /// How many files that no application can see wait for their acknowledgement, and how many of them the agent has
    /// acknowledged nothing of.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        let inner = self.inner();
        let contents = inner.unseen.keys().filter_map(|key| inner.contents.get(key));
        let unknown = contents.filter(|it| !it.content.is_known() && it.content.size() > 0);
        (inner.unseen.len(), unknown.count())
    }

    /// Bytes that are collected and not acknowledged.
    #[must_use]
    pub fn undelivered_bytes(&self) -> u64 {
        let inner = self.inner();
        let logs = inner.contents.values().filter(|it| it.log.is_some());
        logs.map(|it| it.content.undelivered_bytes()).sum()
    }

    fn release(&self, inner: &Inner, key: u64, keep_bytes: u64) -> Result<(), Errno> {
        let Some(held) = inner.contents.get(&key) else { return Ok(()) };
        let Some(log) = &held.log else { return Ok(()) };
        let keep_bytes = if inner.unseen.contains_key(&key) { 0 } else { keep_bytes };
        held.content.release(keep_bytes, || open(&self.in_logs(&log.path)), &self.meter)
    }

    fn remove_log(&self, inner: &mut Inner, key: u64) -> Result<(), Errno> {
        if let Some(log) = inner.contents.get(&key).and_then(|it| it.log.as_ref()) {
            match rustix::fs::unlink(self.in_logs(&log.path)) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
            self.remove_empty(&log.path);
            self.meter.removed_files.add(1);
        }
        inner.unseen.remove(&key);
        inner.contents.remove(&key);
        Ok(())
    }
}
