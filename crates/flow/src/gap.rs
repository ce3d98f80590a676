//! Gap: a range of cursors whose bytes are not delivered, and the reason.

use std::fmt;

/// Why bytes could not be delivered. The codes stand in queues and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GapReason {
    /// A generation was rotated away before it was read.
    RotatedBeforeRead = 1,
    /// The file was removed, and no descriptor was open, before it was read.
    RemovedUnread = 2,
    /// The file was truncated before it was read.
    Truncated = 3,
    /// A hole in a sparse file: nobody ever wrote these bytes.
    SparseHole = 4,
    /// Longer than a record may be, and the policy says not to deliver it in parts.
    OverLong = 5,
    /// The file system answered with an error that did not go away.
    Unreadable = 6,
    /// Dropped by a limit whose policy says so.
    Shed = 7,
    /// Released because the budget for pinned, deleted bytes was used up.
    PinnedBudget = 8,
    /// Kept in the spool, and released because that was full of what is newer.
    SpoolFull = 9,
}

impl GapReason {
    /// All reasons, in the order of their codes.
    pub const ALL: [GapReason; 9] = [
        GapReason::RotatedBeforeRead,
        GapReason::RemovedUnread,
        GapReason::Truncated,
        GapReason::SparseHole,
        GapReason::OverLong,
        GapReason::Unreadable,
        GapReason::Shed,
        GapReason::PinnedBudget,
        GapReason::SpoolFull,
    ];

    /// The code in queues; 0 is free for "no gap".
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The reason with this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<GapReason> {
        GapReason::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// The name in records, metrics and audits.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            GapReason::RotatedBeforeRead => "rotated_before_read",
            GapReason::RemovedUnread => "removed_unread",
            GapReason::Truncated => "truncated",
            GapReason::SparseHole => "sparse_hole",
            GapReason::OverLong => "over_long",
            GapReason::Unreadable => "unreadable",
            GapReason::Shed => "shed",
            GapReason::PinnedBudget => "pinned_budget",
            GapReason::SpoolFull => "spool_full",
        }
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A declared gap; its range is the span of the section that carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Why the bytes are missing.
    pub reason: GapReason,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_leads_back_to_its_reason() {
        for reason in GapReason::ALL {
            assert_eq!(GapReason::from_code(reason.code()), Some(reason));
        }
        assert_eq!(GapReason::from_code(0), None);
    }
}
