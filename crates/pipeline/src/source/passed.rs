//! Passed: generations that were empty when a later one was begun.
//!
//! Their writers may write to them all the same, late. A rotator may compress them then, while no agent
//! runs, and nothing of that file tells what it was made of. So the queue is told of them, too: beside
//! one of these, a compressed file that nobody knows is not taken for one that was read.

use flow::{Head, Position, is_mutant};

use super::carrier::is_packed;
use super::classify::NewFile;
use super::generation::Generation;
use super::reconcile::ORPHANS_MAX;
use super::{Carrier, SeenFile, Source, generation_key};

impl Source {
    /// Puts those before `index` in front of the positions of a section that begins it: so it stays the newest
    /// that is known.
    pub(super) fn tell_passed(&self, index: usize, positions: &mut Vec<Position>) {
        let is_passed = |it: &&Generation| it.offset == 0 && it.carrier == Carrier::Original;
        let passed = self.generations[..index].iter().rev().filter(is_passed);
        let passed = passed.take(ORPHANS_MAX).map(Generation::position);
        if !is_mutant("empty_generation_not_told") {
            passed.for_each(|it| positions.insert(0, it));
        }
    }

    /// What a compressed file is that nobody knows.
    ///
    /// Generations are read in order: what comes before one that was read, was, but for those that were empty.
    /// It is made of one of these if it came after the next one.
    pub(super) fn passed_or_read(
        &self,
        packed: &SeenFile,
        files: &[SeenFile],
        is_empty: bool,
    ) -> NewFile {
        let later = files.iter().skip_while(|it| it.stat.id != packed.stat.id).skip(1);
        let mut later = later.filter_map(|it| Some(&self.generations[self.index_of(it)?]));
        let Some(next) = later.find(|it| it.offset > 0) else {
            return NewFile::Generation(Head::default());
        };
        let is_original = next.carrier == Carrier::Original;
        let is_older = is_original && packed.stat.id.birth_ns < next.id.birth_ns;
        // Of a compressed file that was left out at the first start nothing else is known.
        let is_own = |of: &SeenFile, it: &Position| generation_key(of.stat.id, 0) == it.generation;
        let is_left_out = self.orphans.iter().any(|it| is_own(packed, it));
        let is_passed = |it: &&Position| {
            let is_packed = |of: &SeenFile| is_packed(&of.path) && is_own(of, it);
            it.offset == 0 && !files.iter().any(is_packed)
        };
        let may_be_passed = !is_empty && !is_older && !is_left_out;
        let passed = self.orphans.iter().filter(|_| may_be_passed).find(is_passed);
        passed.map_or(NewFile::ReadBefore, |it| NewFile::Resumed(*it))
    }
}
