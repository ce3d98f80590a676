//! Reconcile: what a look at the directory means for the chain.

use std::io;
use std::sync::Arc;

use flow::{GapReason, Position, is_mutant};

use super::carrier::{COPY_NS, Carrier, is_packed};
use super::classify::Proof;
use super::content::holds;
use super::generation::Generation;
use super::identity::generation_key;
use super::{SeenFile, Source, StartAt, Vanished};
use crate::fs::{Fs, LogFile};

/// How many incarnations of an inode are looked for after a restart.
///
/// An inode truncated more often than this between two checkpoints is read from its beginning.
const INCARNATIONS_MAX: u32 = 64;

/// How many generations are remembered whose file is not there.
///
/// More than rotators keep: a folder that could not be read for a while shows them all again.
pub(super) const ORPHANS_MAX: usize = 32;

impl Source {
    /// Takes in the files that a look showed at `seen_ns`, oldest first, the live one last.
    ///
    /// Files already known are found by identity, whatever they are called now; a copy of one is
    /// found by what it says. A new file is opened at once, so that it can be read even if its name
    /// is gone a moment later. `start_at` only concerns files of which nothing is known.
    pub fn reconcile(
        &mut self,
        fs: &dyn Fs,
        files: &[SeenFile],
        seen_ns: u64,
        start_at: StartAt,
        now_ns: u64,
    ) {
        let is_first = self.generations.is_empty();
        self.note_files(files.len());
        for generation in &mut self.generations {
            generation.is_gone = true;
            generation.see_copies(files);
        }
        // Those that are known by identity come first: others may be copies of them.
        let mut new: Vec<usize> = Vec::new();
        for (place, file) in files.iter().enumerate() {
            if let Some(index) = self.index_of(file).or_else(|| self.copied_up(file)) {
                self.generations[index].see(file, seen_ns);
            } else if let Some((incarnation, position)) = self.take_orphan(file) {
                let generation = Generation::resumed(file, incarnation, position);
                self.insert(fs, generation, files, place);
            } else {
                new.push(place);
            }
        }
        // The live file first: others may be copies of it.
        if new.last().is_some_and(|place| place + 1 == files.len()) {
            new.rotate_right(1);
        }
        if !new.is_empty() {
            self.prove_all(fs, now_ns);
        }
        for place in new {
            // A cut that was noticed with the file before may have made it the carrier of what was cut.
            if let Some(index) = self.index_of(&files[place]) {
                self.generations[index].see(&files[place], seen_ns);
                continue;
            }
            self.take_in(fs, files, place, (start_at, is_first), now_ns);
        }
        if is_first {
            self.expect_newest(files, now_ns);
        }
        self.put_live_last(files.last());
        self.generations.iter_mut().for_each(|it| it.set_gone(it.is_gone, now_ns));
        if is_mutant("closed_when_its_name_is_gone") {
            self.generations.retain(|it| !it.is_gone);
        }
        match (files.is_empty(), self.gone_since_ns) {
            (true, None) => self.gone_since_ns = Some(now_ns),
            (false, _) => self.gone_since_ns = None,
            (true, Some(_)) => {}
        }
        self.drop_finished(now_ns);
        self.forget_copies(files);
        self.forget_old_orphans();
    }

    /// Takes in a file that is not known by identity.
    fn take_in(
        &mut self,
        fs: &dyn Fs,
        files: &[SeenFile],
        place: usize,
        (start_at, is_first): (StartAt, bool),
        now_ns: u64,
    ) {
        let file = &mut files[place].clone();
        if self.is_packed_unproven(file, files) || self.is_known_copy(fs, file, files, now_ns) {
            return;
        }
        let generation = match self.classify(fs, file, None, files, now_ns) {
            Ok(what) => self.generation_of(fs, file, what, is_first),
            // What cannot be read now is looked at again when it is its turn.
            Err(_) => {
                let proof = match is_first {
                    _ if is_mutant("unreadable_new_file_is_no_copy") => Proof::Known,
                    true => Proof::WantedSinceStart,
                    false => Proof::Wanted,
                };
                Some(Generation { proof, ..Generation::new(file, 0) })
            }
        };
        let Some(mut generation) = generation else { return };
        if generation.is_new() && start_at == StartAt::End {
            generation = Generation::left_out(fs, file);
        }
        self.insert(fs, generation, files, place);
    }

    /// Puts a generation behind those of the files before its own, and before that of the live file.
    ///
    /// A new one comes behind what is being read.
    fn insert(
        &mut self,
        fs: &dyn Fs,
        mut generation: Generation,
        files: &[SeenFile],
        place: usize,
    ) {
        let from = if generation.is_new() { self.insert_from() } else { 0 };
        generation.inflaters = Arc::clone(&self.inflaters);
        let newest_known = files[..place].iter().filter_map(|it| self.index_of(it)).max();
        let is_live = place + 1 == files.len();
        let live = self.live(files).filter(|_| !is_live).unwrap_or(self.generations.len());
        let mut index = newest_known.map_or(0, |index| index + 1).max(from).min(live);
        if is_mutant("generations_in_order_of_discovery") {
            index = self.generations.len();
        }
        // Most chains have one generation, and there may be very many chains.
        self.generations.reserve_exact(1);
        self.generations.insert(index, generation);
        // What cannot be opened now is tried again when it is its turn.
        let generation = &mut self.generations[index];
        let is_done = generation.done_since_ns.is_some();
        if !is_done && self.open_max > 0 && generation.open(fs).is_ok() {
            self.open_max -= 1;
        }
    }

    /// Where a file goes on that was read before the start, and which incarnation of its inode it was.
    fn take_orphan(&mut self, file: &SeenFile) -> Option<(u32, Position)> {
        let is_lazy = is_mutant("rotated_while_down_read_again");
        if self.orphans.is_empty() || is_packed(&file.path) || is_lazy {
            return None;
        }
        keys_of(file).rev().find_map(|(incarnation, key)| {
            let at = self.orphans.iter().position(|it| it.generation == key)?;
            Some((incarnation, self.orphans.remove(at)))
        })
    }

    /// What was read before the start of a file that this is a copy of.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn orphan_in(
        &self,
        file: &dyn LogFile,
        head: &[u8],
        files: &[SeenFile],
    ) -> io::Result<Option<Position>> {
        // Of one of which nothing was read, all is read anyway.
        for orphan in self.orphans.iter().filter(|it| it.offset > 0 && it.original().is_none()) {
            // A copy is made of a file that stays. Without it, few bytes are those that any other begins with.
            let is_there = files.iter().any(|it| is_of(it, orphan.generation))
                || is_mutant("few_bytes_tell_of_what_is_gone");
            let size = if is_there { orphan.offset } else { u64::MAX };
            if holds(file, head, orphan, size)? {
                return Ok(Some(*orphan));
            }
        }
        Ok(None)
    }

    /// Files that are never seen again are not remembered for ever.
    fn forget_old_orphans(&mut self) {
        let too_many = self.orphans.len().saturating_sub(ORPHANS_MAX);
        let old = self.orphans.drain(..too_many);
        self.forgotten.extend(old.map(|it| (self.cursor, it.generation)));
    }

    /// The generation that was read last before the start should be there. If it is not, then what
    /// was not read of it is missing, and whatever came between it and the oldest file.
    fn expect_newest(&mut self, files: &[SeenFile], now_ns: u64) {
        let Some(newest) = self.newest_before else { return };
        // What the file held before it was cut is as it is; what it holds now is read.
        let is_cut = !is_mutant("cut_taken_for_gone") && files.iter().any(|it| is_of(it, newest));
        if !is_cut && self.orphans.iter().any(|it| it.generation == newest) {
            let is_rotated = files.len() > 1;
            let reason =
                if is_rotated { GapReason::RotatedBeforeRead } else { GapReason::RemovedUnread };
            self.vanished = Some(Vanished { generation: newest, reason, since_ns: now_ns });
        }
    }

    /// A file that is the live one again, such as one that a link leads to again, comes last again:
    /// what took its place meanwhile has no name any more, and is read to its end before.
    fn put_live_last(&mut self, live: Option<&SeenFile>) {
        let Some(index) = live.and_then(|live| self.index_of(live)) else { return };
        let is_back = self.generations[index].gone_since_ns.is_some();
        let took_its_place =
            |it: &Generation| it.is_gone && it.path == self.generations[index].path;
        if is_back && self.generations[index + 1..].iter().all(took_its_place) {
            let mut generation = self.generations.remove(index);
            generation.done_since_ns = None;
            self.generations.push(generation);
        }
    }

    /// New generations are never put before what is being read.
    fn insert_from(&self) -> usize {
        let reading = self.generations.iter().rposition(|it| it.offset > 0 || it.is_gone);
        reading.map_or(0, |index| index + 1)
    }

    /// Lets go of generations that have no name, were read to the end, and were watched long enough.
    ///
    /// One that lives on elsewhere, since a link leads to another file now, may grow for ever and is
    /// not read for ever; should the link lead to it again, it goes on where it was.
    pub(super) fn drop_finished(&mut self, now_ns: u64) {
        let is_hasty = is_mutant("late_writes_not_waited_for");
        let late_writes_ns = if is_hasty { 0 } else { self.spec.options.late_writes_ns };
        let is_over = self.generations.iter().all(|it| it.is_gone);
        // One that cannot be looked into yet may hold what was read of another: that must be known then.
        let may_turn_up = self.has_unproven();
        let (forgotten, orphans) = (&mut self.forgotten, &mut self.orphans);
        let cursor = self.cursor;
        self.generations.retain_mut(|it| {
            let is_past =
                |since_ns: Option<u64>| since_ns.is_some_and(|it| now_ns >= it + late_writes_ns);
            let is_watched = is_past(it.done_since_ns);
            let is_left = it.is_linked && is_past(it.gone_since_ns) && !is_over;
            let is_owed = it.owed.is_some_and(|owed| it.offset < owed) || it.missed_before > 0;
            if !it.is_gone || !(is_watched || is_left) || is_owed {
                return true;
            }
            // The last look: what was written since the one before is still read.
            let stat = it.file.as_ref().and_then(|file| file.stat().ok());
            let mut is_cut = false;
            let links = stat.map(|stat| {
                it.size = it.size.max(stat.size);
                // It may have been cut, too, and written anew.
                is_cut = it.carrier == Carrier::Original && stat.size < it.offset;
                stat.links
            });
            let owed = match links {
                Some(1..) if is_left => *it.owed.get_or_insert(it.size),
                _ if is_watched => it.size,
                _ => return true,
            };
            let is_finished = it.offset >= owed && !is_cut || is_mutant("purged_with_unread_bytes");
            // A look in the middle of a renaming shows a file under none of its names, and the next one does.
            let is_hidden = it.gone_since_ns.is_some_and(|it| now_ns < it + COPY_NS);
            let may_come_back = is_hidden && !matches!(links, Some(1..));
            if is_finished && (may_turn_up || may_come_back) {
                it.file = None;
                return true;
            }
            match links {
                _ if !is_finished => {}
                Some(1..) => orphans.push(it.position()),
                // However late its copy turns up, it is not read again.
                _ if matches!(it.carrier, Carrier::Lost(_)) => orphans.push(it.position()),
                _ => forgotten.push((cursor, it.key)),
            }
            !is_finished
        });
    }
}

/// Whether a generation is what a file holds, or held before it was cut.
fn is_of(file: &SeenFile, generation: u64) -> bool {
    keys_of(file).any(|(_, key)| key == generation)
}

/// The keys that an inode's content may have, by incarnation.
fn keys_of(file: &SeenFile) -> impl DoubleEndedIterator<Item = (u32, u64)> {
    let id = file.stat.id;
    (0..INCARNATIONS_MAX).map(move |it| (it, generation_key(id, it)))
}
