//! Hold: the removed files that a source holds open, and the bytes that the next rotation takes.

use flow::{GapReason, is_mutant};

use super::{Carrier, Generation, Missing, SeenFile, Source, generation_key};
use crate::fs::{FileId, Fs, LogFile};
use crate::pins::Pin;

/// How many files of a chain there are and were.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Files {
    now: u32,
    /// Most seen at once. A rotation that keeps so many removes the oldest to make room.
    max: u32,
}

impl Source {
    /// Notes how many files a look showed.
    pub(super) fn note_files(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.files.now = count;
        self.files.max = self.files.max.max(count);
    }

    /// The generation of a file that looks like another one now.
    ///
    /// An overlay that copies a file to its upper layer, as a write makes it do, gives it another
    /// birth time; the descriptor that we hold then leads to the copy too, and so tells.
    pub(super) fn copied_up(&mut self, file: &SeenFile) -> Option<usize> {
        let id = file.stat.id;
        let is_inode = |it: &Generation| it.id.device == id.device && it.id.inode == id.inode;
        let index = self.generations.iter().position(|it| {
            let now = it.file.as_ref().filter(|_| is_inode(it)).map(|file| file.stat());
            now.is_some_and(|now| now.is_ok_and(|now| now.id == id))
        })?;
        self.follow_copy_up(index, id);
        Some(index)
    }

    /// The file that is open has another identity now, and is the same.
    pub(super) fn follow_copy_up(&mut self, index: usize, id: FileId) {
        let generation = &mut self.generations[index];
        self.forgotten.push((self.cursor, generation.key));
        generation.id = id;
        generation.key = generation_key(id, generation.incarnation);
    }

    /// Holds a file that was opened elsewhere, if it is one of the chain's and could not be opened.
    pub fn adopt(&mut self, file: Box<dyn LogFile>) {
        let Ok(stat) = file.stat() else { return };
        let is_it = |it: &&mut Generation| it.id == stat.id && it.file.is_none();
        if let Some(generation) = self.generations.iter_mut().find(is_it) {
            generation.hold(file);
        }
    }

    /// Notes that the live file was written to. Of one that was given up, that is said already.
    pub fn note_written(&mut self) {
        let is_open = |it: &&mut Generation| !it.is_given_up() || is_mutant("given_up_twice");
        if let Some(live) = self.generations.last_mut().filter(is_open) {
            live.has_news = true;
        }
    }

    /// Asks how long the live file is: while a source waits for its turn nothing else does, and what is unread
    /// would not be known.
    pub fn note_growth(&mut self) {
        let live = self.generations.last_mut().filter(|it| it.carrier == Carrier::Original);
        let Some(live) = live else { return };
        if let Some(Ok(stat)) = live.file.as_ref().map(|file| file.stat()) {
            live.size = live.size.max(stat.size);
            self.count_unread();
        }
    }

    /// Notes that a generation came and went that no look ever showed: after the first of those that
    /// are known, which was there when nothing was missed yet.
    pub fn note_missed(&mut self) {
        let unread = self.generations.iter().skip(1).position(|it| it.offset == 0);
        let last = self.generations.len().saturating_sub(1);
        let index = unread.map_or(last, |index| index + 1);
        if let Some(generation) = self.generations.get_mut(index) {
            generation.missed_before += 1;
        }
    }

    /// Key of the generation that the next rotation removes, as far as the past tells: the oldest
    /// that has a name, if there are as many files as there ever were at once.
    ///
    /// A live file without any rotated one is never removed by a rotation.
    #[must_use]
    pub(super) fn endangered(&self) -> Option<u64> {
        if self.files.now < 2 || self.files.now < self.files.max {
            return None;
        }
        self.generations.iter().find(|it| !it.is_gone).map(|it| it.key)
    }

    /// Unread bytes in the generation that the next rotation removes; all, if they press on their log disk.
    #[must_use]
    pub fn at_risk_bytes(&self) -> u64 {
        if self.is_disk_pressed {
            return self.unread_bytes();
        }
        let endangered = self.endangered();
        let at_risk = self.generations.iter().find(|it| Some(it.key) == endangered);
        at_risk.map_or(0, Generation::unread_bytes)
    }

    /// Keeps the tenant's counts of unread bytes, and of those at risk, true.
    pub fn count_unread(&mut self) {
        let bytes = self.unread_bytes();
        self.meter.lag_bytes.add(bytes);
        self.meter.lag_bytes.sub(std::mem::replace(&mut self.lag_bytes, bytes));
        let bytes = self.at_risk_bytes();
        self.meter.risk_bytes.add(bytes);
        self.meter.risk_bytes.sub(std::mem::replace(&mut self.risk_bytes, bytes));
    }

    /// The source is closed: the gauges of its tenant do not count it any more.
    pub fn forget_gauges(&self) {
        self.meter.lag_bytes.sub(self.lag_bytes);
        self.meter.risk_bytes.sub(self.risk_bytes);
        self.meter.pinned_bytes.sub(self.pinned_bytes);
        self.meter.pressed_disk_sources.sub(u64::from(self.is_disk_pressed));
    }

    /// Whether any of its files may be without a name.
    #[must_use]
    pub fn may_pin(&self) -> bool {
        self.generations.iter().any(|it| it.is_gone && it.file.is_some())
    }

    /// The removed files that it holds open, as they are now; keeps the tenant's count of them true.
    ///
    /// A file that was renamed to where nobody looks keeps its bytes without our help.
    pub fn pins(&mut self, now_ns: u64) -> Vec<Pin> {
        let mut pins = Vec::new();
        for generation in self.generations.iter_mut().filter(|it| it.is_gone) {
            let Some(Ok(stat)) = generation.file.as_ref().map(|file| file.stat()) else { continue };
            if stat.links > 0 {
                continue;
            }
            if generation.carrier == Carrier::Original {
                // Seen is owed.
                generation.size = generation.size.max(stat.size);
            }
            let since_ns = *generation.unlinked_since_ns.get_or_insert(now_ns);
            let is_read = stat.size <= generation.offset;
            pins.push(Pin { generation: generation.key, bytes: stat.size, is_read, since_ns });
        }
        let bytes = pins.iter().map(|pin| pin.bytes).sum();
        self.meter.pinned_bytes.add(bytes);
        self.meter.pinned_bytes.sub(std::mem::replace(&mut self.pinned_bytes, bytes));
        pins
    }

    /// Lets go of a removed file; what was unread of it is missing.
    ///
    /// What its writer wrote since it cut the file is another content, and missing as a whole.
    pub fn release(&mut self, fs: &dyn Fs, key: u64) -> Option<Missing> {
        let index = self.generations.iter().position(|it| it.key == key && it.is_gone)?;
        let generation = &mut self.generations[index];
        generation.file.as_ref()?;
        let is_same = generation.is_same(fs).unwrap_or(true);
        let stat = generation.file.take()?.stat();
        let size = stat.map_or(generation.size, |stat| stat.size);
        let is_cut = !is_same || size < generation.offset;
        let bytes =
            if is_cut { generation.unread_bytes() + size } else { size - generation.offset };
        generation.give_up(size);
        self.current = index;
        (bytes > 0).then_some(Missing::new(GapReason::PinnedBudget, bytes))
    }
}

impl Generation {
    /// Bytes known to be unread.
    #[must_use]
    pub fn unread_bytes(&self) -> u64 {
        self.size.saturating_sub(self.offset)
    }

    /// Nothing more of it is read: it has no name, and its descriptor is closed.
    pub(super) fn give_up(&mut self, size: u64) {
        self.file = None;
        self.skip_to(self.offset.max(size));
        self.done_since_ns = Some(0);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.is_gone && self.file.is_none() && self.done_since_ns == Some(0)
    }
}
