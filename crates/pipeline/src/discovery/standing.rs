//! Standing: the memory of what is known, which the common pool pays for.
//!
//! How many files there are nobody knows beforehand, and no file is left unread for want of a few bytes to know it by.
//! So there is no part for them in the plan: data in flight has less room the more files there are.

use std::sync::Arc;

use flow::NodeBudget;

/// A chain that is known, and not open, in bytes: its names here, and where it stands with its reader.
///
/// Measured: 9.6 MiB for 10,000, each with a name of 40 bytes.
const CHAIN_BYTES: usize = 1 << 10;
/// A directory that is known, in bytes: a container's log has two of its own.
///
/// Measured: 4 KiB for each container's log with them.
const DIRECTORY_BYTES: usize = 3 << 9;

/// What the pool pays for.
#[derive(Debug)]
pub(super) struct Standing {
    pool: Arc<NodeBudget>,
    /// So many chains have a part of their own.
    open_files_max: usize,
    /// It is more than the pool, and that was said.
    is_too_much: bool,
}

impl Standing {
    pub(super) fn new(pool: Arc<NodeBudget>, open_files_max: u64) -> Standing {
        let open_files_max = usize::try_from(open_files_max).unwrap_or(usize::MAX);
        Standing { pool, open_files_max, is_too_much: false }
    }

    /// Has the pool pay for so many chains and directories; returns the bytes.
    pub(super) fn pay(&mut self, chains: usize, directories: usize) -> usize {
        let chains_bytes = chains.saturating_sub(self.open_files_max) * CHAIN_BYTES;
        let bytes = chains_bytes + directories * DIRECTORY_BYTES;
        self.pool.stand(bytes);
        let pool_bytes = self.pool.pool_bytes();
        let is_too_much = bytes > pool_bytes;
        if is_too_much && !self.is_too_much {
            tracing::error!(
                files = chains,
                directories,
                bytes,
                pool_bytes,
                "more files are known than the memory is for: tenants have their reserves alone, and the agent may come to \
                 have more than its cap; write more memory, or select fewer files"
            );
        }
        self.is_too_much = is_too_much;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use flow::Budget;

    use super::*;

    #[test]
    fn files_beyond_those_that_have_a_part_leave_less_for_data_until_they_are_gone() {
        const POOL: usize = 100 << 10;
        let pool = NodeBudget::new(POOL);
        let budget = Budget::new(Arc::clone(&pool), 1, POOL + 1);
        let mut standing = Standing::new(pool, 20);
        assert_eq!(standing.pay(20, 0), 0, "they have a part");
        assert!(budget.try_acquire(POOL + 1).is_some());
        let bytes = standing.pay(80, 2);
        assert_eq!(bytes, 60 * CHAIN_BYTES + 2 * DIRECTORY_BYTES);
        assert!(budget.try_acquire(POOL + 2 - bytes).is_none());
        assert!(budget.try_acquire(POOL + 1 - bytes).is_some());
        standing.pay(1000, 0);
        assert!(standing.is_too_much);
        assert!(budget.try_acquire(2).is_none(), "beyond the reserve");
        assert!(budget.try_acquire(1).is_some(), "the reserve is never refused");
        standing.pay(1, 0);
        assert!(!standing.is_too_much);
        assert!(budget.try_acquire(POOL + 1).is_some());
    }
}
