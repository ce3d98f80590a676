//! Identity of generations: by inode, birth time and head, never by name or inode alone.

use xxhash_rust::xxh3::xxh3_64;

use crate::fs::FileId;

/// How much of a file's beginning identifies it, in bytes.
///
/// 1 KiB, as other agents use: one read, and two log files that agree on it and on inode and birth
/// time do not occur.
pub const HEAD_BYTES_MAX: usize = 1024;

/// Key of a generation: stable over restarts, renames and remounts.
///
/// `incarnation` counts how often the same inode was begun anew by truncation. The device number is
/// left out: it changes when disks are numbered differently at boot.
#[must_use]
pub fn generation_key(id: FileId, incarnation: u32) -> u64 {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&id.inode.to_le_bytes());
    bytes[8..16].copy_from_slice(&id.birth_ns.to_le_bytes());
    bytes[16..].copy_from_slice(&incarnation.to_le_bytes());
    // 0 stands for "no generation" in queues.
    xxh3_64(&bytes).max(1)
}

/// Fingerprint of a file's first bytes; it grows with the file up to [`HEAD_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// How many bytes it covers; 0 for none yet.
    pub len: u16,
    /// XXH3 of them.
    pub hash: u64,
}

impl Head {
    /// The fingerprint of a file that begins with `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Head {
        let bytes = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
        let len = u16::try_from(bytes.len()).expect("HEAD_BYTES_MAX fits");
        Head { len, hash: if len == 0 { 0 } else { xxh3_64(bytes) } }
    }

    /// Whether a file that begins with `bytes` can be the one this fingerprint was taken of.
    #[must_use]
    pub fn matches(&self, bytes: &[u8]) -> bool {
        bytes.get(..usize::from(self.len)).is_some_and(|bytes| Head::of(bytes) == *self)
    }

    /// Whether it covers as much as it ever will.
    #[must_use]
    pub fn is_full(&self) -> bool {
        usize::from(self.len) == HEAD_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_inode_is_another_generation() {
        let first = FileId { device: 1, inode: 7, birth_ns: 100 };
        let second = FileId { birth_ns: 101, ..first };
        assert_ne!(generation_key(first, 0), generation_key(second, 0));
        assert_ne!(generation_key(first, 0), generation_key(first, 1));
        let renumbered = FileId { device: 2, ..first };
        assert_eq!(generation_key(first, 0), generation_key(renumbered, 0));
    }

    #[test]
    fn a_head_matches_what_grew_from_it() {
        let head = Head::of(b"one");
        assert!(head.matches(b"one"));
        assert!(head.matches(b"one two"));
        assert!(!head.matches(b"on"));
        assert!(!head.matches(b"two"));
        assert!(Head::default().matches(b"anything"));
    }
}
