//! Short: copies that end before what was read of their original, which was written to between copying and
//! cutting.
//!
//! All that they hold was read. But the bytes before the offset, by which a copy is known, are not in them. So
//! one is known by its beginning if this agent saw that the original was cut; and the offset moves to its end,
//! by which the next agent knows it. And the queue is told of copies that were seen while the original was there:
//! whoever starts after the cut knows them.

use std::io;

use flow::{HEAD_BYTES_MAX, Head, PLACE_BYTES_MAX, Place, Position, is_mutant};

use super::carrier::is_packed;
use super::classify::{NewFile, open};
use super::content::{has_place, head_of, read_full, written};
use super::generation::Generation;
use super::identity::copy_key;
use super::{Carrier, SeenFile, Source, generation_key};
use crate::fs::{Fs, LogFile, Stat};

impl Source {
    /// What a file is that can only be a copy that lacks what was read last: of a generation of which it was seen to be one, or
    /// of one that was cut while this agent looked: it begins with the same KiB, is no longer than what was read, and younger
    /// than the original.
    ///
    /// A shorter beginning may be one that each content of a file has, such as the names of columns.
    pub(super) fn lacking(
        &self,
        opened: &dyn LogFile,
        file: &SeenFile,
        head: &[u8],
    ) -> Option<NewFile> {
        let is_lost = |it: &Generation| matches!(it.carrier, Carrier::Lost(_));
        let is_seen = |it: &Generation| {
            let begins_so = usize::from(it.head.len) == HEAD_BYTES_MAX && it.head.matches(head);
            it.is_checked && begins_so && self.is_original_older(it, file)
        };
        let is_it = |it: &Generation| {
            let is_short = file.stat.size < it.offset;
            is_lost(it) && is_short && (self.is_told_copy(opened, file, it.key) || is_seen(it))
        };
        if is_mutant("short_copy_is_no_copy") {
            return None;
        }
        if let Some(index) = self.generations.iter().rposition(is_it) {
            return Some(NewFile::CarrierOf(index));
        }
        let is_it = |it: &&Position| {
            file.stat.size < it.offset && self.is_told_copy(opened, file, it.generation)
        };
        self.orphans.iter().find(is_it).map(|it| NewFile::Resumed(*it))
    }

    /// Whether the queue was told that a file is a copy of that generation, and it still is. One of few bytes may have been
    /// anybody's if it has grown since.
    fn is_told_copy(&self, file: &dyn LogFile, seen: &SeenFile, original: u64) -> bool {
        let key = copy_key(seen.stat.id, original);
        let told = self.orphans.iter().find(|it| it.generation == key && it.original().is_some());
        told.is_some_and(|it| {
            let is_long = it.offset == seen.stat.size || it.offset >= HEAD_BYTES_MAX as u64;
            is_long && has_place(file, it).unwrap_or(false)
        })
    }

    /// Puts which files are copies in front of a section's positions, if the queue was not told: what is read from here on
    /// may not be in them.
    pub(super) fn tell_copies(&mut self, fs: &dyn Fs, positions: &mut Vec<Position>) {
        for generation in &self.generations {
            for copy in &generation.copies {
                let (key, bytes) = (copy_key(copy.stat.id, generation.key), copy.stat.size);
                let is_told = |it: &Position| it.generation == key && it.offset == bytes;
                let is_plain = bytes > 0 && !is_packed(&copy.path);
                if !is_plain || self.orphans.iter().any(is_told) || is_mutant("copy_not_told") {
                    continue;
                }
                // One that cannot be read is told of with what is read next.
                let Ok(end) = open(fs, copy).and_then(|it| place_at(&*it, bytes)) else { continue };
                let position = Position::of_copy(key, generation.key, bytes, end);
                self.orphans.retain(|it| it.generation != key);
                self.orphans.insert(0, position);
                positions.insert(0, position);
            }
        }
    }

    /// Forgets which files are copies that are not there any more.
    pub(super) fn forget_copies(&mut self, files: &[SeenFile]) {
        let (cursor, forgotten) = (self.cursor, &mut self.forgotten);
        self.orphans.retain(|it| {
            let Some(original) = it.original() else { return true };
            let is_it = |file: &SeenFile| copy_key(file.stat.id, original) == it.generation;
            let is_there = files.iter().any(is_it);
            if !is_there {
                forgotten.push((cursor, it.generation));
            }
            is_there
        });
    }

    /// Whether the inode that a generation was cut in is older than a file.
    fn is_original_older(&self, cut: &Generation, file: &SeenFile) -> bool {
        let is_its = |it: &&Generation| generation_key(it.id, cut.incarnation) == cut.key;
        self.generations.iter().find(is_its).is_some_and(|it| it.may_be_older_than(file))
    }

    /// A copy was read to its end. If more was read of its original, what is known of that moves to the end of
    /// the copy: a restart finds it by what it says there.
    ///
    /// # Errors
    /// If the copy cannot be read.
    pub(super) fn move_to_end_of_copy(
        &mut self,
        fs: &dyn Fs,
        index: usize,
        stat: Stat,
    ) -> io::Result<()> {
        let generation = &mut self.generations[index];
        let is_short = stat.size < generation.offset && stat.size > 0;
        if !is_short || is_packed(&generation.path) || is_mutant("position_not_in_its_copy") {
            return Ok(());
        }
        let file = generation.open(fs)?;
        let (head, place) = (head_of(file)?, place_at(file, stat.size)?);
        generation.head = Head::of(written(&head));
        generation.skip_to(stat.size);
        generation.place = place;
        let position = generation.position();
        self.moved.push((self.cursor, position));
        Ok(())
    }
}

/// What stands just before an offset.
fn place_at(file: &dyn LogFile, offset: u64) -> io::Result<Place> {
    let mut bytes = [0; PLACE_BYTES_MAX];
    let begin = offset.saturating_sub(PLACE_BYTES_MAX as u64);
    let wanted = usize::try_from(offset - begin).unwrap_or(PLACE_BYTES_MAX);
    let len = read_full(file, &mut bytes[..wanted], begin)?;
    Ok(Place::of(&bytes[..len]))
}
