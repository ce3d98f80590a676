//! Dropping: lets go of the oldest bytes that nobody has delivered, where that is wanted more than waiting.
//!
//! Nothing is cut: a hole is punched, which the agent finds as it finds any hole, and declares as a gap of just its
//! bytes. So nothing is missing without a word, whenever the agent comes by.

use rustix::io::Errno;

use super::{Store, open};

/// For those who write past us, this part of the budget is kept free.
const FREE_PART: u64 = 8;
/// Least that is let go at once, in bytes: each time is a gap of its own.
const DROP_BYTES_MIN: u64 = 1 << 20;

impl Store {
    /// Keeps room for those who write past us, who cannot be told to wait while some is made.
    ///
    /// # Errors
    /// As [`Store::drop_oldest`].
    pub fn make_room(&self) -> Result<(), Errno> {
        let room = self.room()?;
        let free_bytes = room.budget_bytes.saturating_sub(room.held_bytes);
        let missing_bytes = (room.budget_bytes / FREE_PART).saturating_sub(free_bytes);
        if missing_bytes > 0 {
            self.drop_oldest(missing_bytes)?;
        }
        Ok(())
    }

    /// Lets go of the oldest bytes that are not delivered, about so many and a MiB at least; says how many it was, which
    /// is 0 if there are none.
    ///
    /// What has been rotated away is older than what is in live files; of those, the one with most waiting has the oldest.
    ///
    /// # Errors
    /// As `fallocate`.
    pub fn drop_oldest(&self, bytes: u64) -> Result<u64, Errno> {
        let inner = self.inner();
        let logs = inner.contents.values().filter_map(|it| Some((it, it.log.as_ref()?)));
        let mut oldest: Vec<_> = logs
            .filter(|(held, _)| held.content.undelivered_bytes() > 0)
            .map(|(held, log)| {
                (log.is_live, std::cmp::Reverse(held.content.undelivered_bytes()), held, log)
            })
            .collect();
        // Of one chain, the name of an older generation sorts before that of a later one.
        oldest.sort_by(|one, other| {
            let by_name = || one.3.path.cmp(&other.3.path);
            one.0.cmp(&other.0).then_with(|| if one.0 { one.1.cmp(&other.1) } else { by_name() })
        });
        let (mut dropped, wanted) = (0, bytes.max(DROP_BYTES_MIN));
        for (_, _, held, log) in oldest {
            if dropped >= wanted {
                break;
            }
            let file = held.content.file(|| open(&self.in_logs(&log.path)))?;
            dropped += held.content.drop_oldest(&file, wanted - dropped, &self.meter)?;
        }
        Ok(dropped)
    }
}
