//! Disk: what of a file is stored, and what a power cut leaves of it.

use std::ops::Range;

use super::{End, Life, World};

/// Size of a block of the file system, in bytes: one of which nothing was written is a hole.
const BLOCK_BYTES: usize = 1024;

impl Life {
    /// Bytes up to `end` are written, from `begin` on.
    pub(super) fn store(&mut self, begin: usize, end: usize) {
        self.blocks.resize(self.blocks.len().max(end.div_ceil(BLOCK_BYTES)), false);
        self.blocks[begin / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES)].fill(true);
    }

    /// As [`pipeline::fs::LogFile::hole_from`].
    #[must_use]
    pub fn hole_from(&self, offset: u64) -> Option<Range<u64>> {
        let offset = usize::try_from(offset).ok()?;
        let first = offset / BLOCK_BYTES;
        let begin = first + self.blocks.get(first..)?.iter().position(|is_stored| !is_stored)?;
        let len = self.blocks[begin..].iter().take_while(|is_stored| !**is_stored).count();
        let end = ((begin + len) * BLOCK_BYTES).min(self.bytes.len());
        let begin = (begin * BLOCK_BYTES).max(offset);
        (begin < end).then_some(begin as u64..end as u64)
    }

    fn holes(&self) -> usize {
        self.blocks.chunk_by(|one, next| one == next).filter(|it| !it[0]).count()
    }
}

impl World {
    /// The power is cut: of what was not synced, the first `kept` bytes of each file are left. The others are
    /// zeros, if its length is left, and else gone. Who wrote and who read is dead by then.
    ///
    /// What is left is another life of the file, which begins as the one before did.
    pub fn cut_power(&self, kept: usize, is_zeroed: bool) {
        let (mut state, now_ns) = self.change();
        for file in state.files.iter_mut().filter(|it| it.links > 0) {
            let synced = file.synced;
            let life = file.now_mut();
            let left = life.bytes.len().min(synced + kept);
            if left == life.bytes.len() {
                continue;
            }
            let mut bytes = life.bytes[..left].to_vec();
            if is_zeroed {
                bytes.resize(life.bytes.len(), 0);
            }
            // NULs that nobody wrote are the same as those of a hole.
            let same =
                bytes.iter().zip(&life.bytes).take_while(|(one, other)| one == other).count();
            life.end = Some(End { at_ns: now_ns, kept: same as u64 });
            file.synced = bytes.len();
            file.modified_ns = now_ns;
            file.lives.push(Life { is_left: true, ..Life::new(now_ns, bytes) });
        }
    }

    /// How often a reader may have had to wait: for the last line of each file, at each hole, and at what a power
    /// cut left.
    #[must_use]
    pub fn waits(&self) -> usize {
        let files = self.files();
        let lives = files.iter().flat_map(|it| &it.lives);
        files.len() + lives.map(|it| it.holes() + usize::from(it.is_left)).sum::<usize>()
    }
}
