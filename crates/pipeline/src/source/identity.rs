//! Identity of generations: by inode, birth time and fingerprint, never by name or inode alone.

use xxhash_rust::xxh3::xxh3_64;

use crate::fs::FileId;

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

/// Key of a file as the copy of a generation.
pub(super) fn copy_key(copy: FileId, original: u64) -> u64 {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&copy.inode.to_le_bytes());
    bytes[8..16].copy_from_slice(&copy.birth_ns.to_le_bytes());
    bytes[16..].copy_from_slice(&original.to_le_bytes());
    xxh3_64(&bytes).max(1)
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
}
