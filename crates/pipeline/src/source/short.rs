//! Short: copies that end before what was read of their original, which was written to between copying and
//! cutting.
//!
//! All that they hold was read. But the bytes before the offset, by which a copy is known, are not in them. So
//! one is known by its beginning if this agent saw that the original was cut; and the offset moves to its end,
//! by which the next agent knows it.

use std::io;

use flow::{HEAD_BYTES_MAX, Head, PLACE_BYTES_MAX, Place, is_mutant};

use super::carrier::is_packed;
use super::content::{head_of, read_full, written};
use super::generation::Generation;
use super::{Carrier, SeenFile, Source, generation_key};
use crate::fs::{Fs, Stat};

impl Source {
    /// The generation, cut while this agent looked, of which a file can only be a copy that lacks what was read
    /// last: it begins with the same KiB, is no longer than what was read, and younger than the original.
    ///
    /// A shorter beginning may be one that each content of a file has, such as the names of columns.
    pub(super) fn lacking(&self, file: &SeenFile, head: &[u8]) -> Option<usize> {
        let is_it = |it: &Generation| {
            let is_cut = matches!(it.carrier, Carrier::Lost(_)) && it.is_checked;
            let is_short = file.stat.size < it.offset;
            let begins_so = usize::from(it.head.len) == HEAD_BYTES_MAX && it.head.matches(head);
            is_cut && is_short && begins_so && self.is_original_older(it, file)
        };
        let is_any = !is_mutant("short_copy_is_no_copy");
        self.generations.iter().rposition(is_it).filter(|_| is_any)
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
        let head = head_of(file)?;
        let mut bytes = [0; PLACE_BYTES_MAX];
        let begin = stat.size.saturating_sub(PLACE_BYTES_MAX as u64);
        let len = read_full(file, &mut bytes, begin)?;
        generation.head = Head::of(written(&head));
        generation.skip_to(stat.size);
        generation.place = Place::of(&bytes[..len]);
        let position = generation.position();
        self.moved.push((self.cursor, position));
        Ok(())
    }
}
