//! Disk: holes that are declared, and what a power cut left of a file.

use flow::{HEAD_BYTES_MAX, PLACE_BYTES_MAX, Position};

use super::{Check, Delivery, File};
use crate::order;

/// How far a life that a power cut left goes on in the next one that an agent was told of, for all that an agent can
/// know: where only NULs were, other bytes may have been filled in, and what it knows the file by ends before them.
pub(super) fn filled(file: &File, index: usize) -> u64 {
    let life = &file.lives[index];
    let next = file.lives[index + 1..].iter().find(|it| it.told_ever > 0);
    let Some(next) = next.filter(|_| life.is_left) else { return 0 };
    let differs = life.bytes.iter().zip(&next.bytes).find(|(old, new)| old != new);
    if differs.is_none_or(|(old, _)| *old == 0) { life.len().min(next.len()) } else { 0 }
}

impl Check {
    /// A file of which a power cut has left no less than was delivered is gone on with, and one of which it left
    /// less is read from its beginning: which of the two the length of the span tells.
    pub(super) fn go_on_in_what_is_left(&mut self, delivery: &Delivery, to: Position) {
        let Some(number) = self.by_key.get(&to.generation).copied() else { return };
        let last = self.files[number].life_at(delivery.at_ns);
        for index in 1..=last {
            if let Some(read) = self.left_and_read(number, index)
                && (index < last || to.offset.checked_sub(read) == Some(delivery.span.bytes()))
            {
                self.go_on(number, index, read);
            }
        }
        // An agent that has begun since it read them does not know what it read.
        let has_begun = self.sources[number] != Some(delivery.source);
        let filled = if has_begun { self.filled_and_read(number, last) } else { None };
        if let Some((before, read)) =
            filled.or_else(|| self.alike_and_read(number, last, delivery.at_ns))
            && to.offset.checked_sub(read) == Some(delivery.span.bytes())
        {
            self.read[number][last] = read;
            self.roots[number][last] = self.roots[number][before];
        }
    }

    /// Which life before this one a power cut had left, and how much had been delivered of it, if nothing but NULs of
    /// that are other bytes now: a writer may have filled them in, for all that an agent can know that has begun
    /// since, and then it goes on.
    fn filled_and_read(&self, number: usize, index: usize) -> Option<(usize, u64)> {
        let lives = &self.files[number].lives;
        let before = (0..index).rev().find(|it| lives[*it].told_ever > 0)?;
        let read = self.read_of(number, before);
        let range = ..super::index(read);
        let (old, new) = (lives[before].bytes.get(range)?, lives[index].bytes.get(range)?);
        let is_filled = old != new && old.iter().zip(new).all(|(old, new)| [*new, 0].contains(old));
        let is_unread = self.read[number][index] == 0;
        (lives[before].is_left && is_unread && is_filled).then_some((before, read))
    }

    /// Which life before this one an agent was told of, and how much had been delivered of it, if the first KiB and the
    /// 64 bytes before that are the same in this one, and it is no shorter than that was told to be: then nothing tells
    /// that the file was cut. As no two lines have 64 bytes in common, these are NULs.
    fn alike_and_read(&self, number: usize, index: usize, at_ns: u64) -> Option<(usize, u64)> {
        let lives = &self.files[number].lives;
        let before = (0..index).rev().find(|it| lives[*it].told_ever > 0)?;
        let (old, new, read) = (&lives[before], &lives[index], self.read_of(number, before));
        let end = super::index(read);
        let is_same = |range: std::ops::Range<usize>| {
            let (old, new) = (old.bytes.get(range.clone()), new.bytes.get(range));
            old.is_some() && old == new
        };
        let is_alike = is_same(0..end.min(HEAD_BYTES_MAX))
            && is_same(end.saturating_sub(PLACE_BYTES_MAX)..end)
            && new.len_at(at_ns) >= old.told_ever;
        let is_unread = self.read[number][index] == 0;
        (is_unread && read > 0 && is_alike).then_some((before, read))
    }

    /// Nothing more is read of an older file that a power cut left as far as it had been read; that it is gone on with
    /// shows when a younger one is. From then on it must not be read from its beginning.
    pub(super) fn go_on_in_older_ones(&mut self, number: usize, at_ns: u64) {
        for older in 0..number {
            let last = self.files[older].lives.len() - 1;
            if self.read[older][last] >= order::due(&self.files, older, at_ns) {
                continue;
            }
            for index in 1..=last {
                if let Some(read) = self.left_and_read(older, index) {
                    self.go_on(older, index, read);
                }
            }
        }
    }

    fn go_on(&mut self, number: usize, index: usize, read: u64) {
        self.read[number][index] = read;
        self.roots[number][index] = self.roots[number][index - 1];
    }

    /// How much was delivered of a life, or of the one that it is left of.
    pub(super) fn read_of(&self, number: usize, index: usize) -> u64 {
        let left = if index > 0 { self.left_and_read(number, index) } else { None };
        left.unwrap_or(self.read[number][index])
    }

    /// Whether a power cut left NULs where bytes had been delivered of the life before: to an agent that has not looked
    /// into them, all of it may be anew.
    pub(super) fn is_replaced(&self, number: usize, index: usize) -> bool {
        let lives = &self.files[number].lives;
        let before = index.checked_sub(1).filter(|_| lives[index].is_left);
        let kept = |before: usize| lives[before].end.map_or(0, |end| end.kept);
        before.is_some_and(|it| kept(it) < self.read_of(number, it))
    }

    /// How much had been delivered of the life before, if this one is what is left of it, holds as much, or NULs in its
    /// place, and nothing was read of it.
    fn left_and_read(&self, number: usize, index: usize) -> Option<u64> {
        let (life, before) =
            (&self.files[number].lives[index], &self.files[number].lives[index - 1]);
        let (read, own) = (self.read_of(number, index - 1), self.read[number][index]);
        let kept = before.end.map_or(0, |end| end.kept);
        let lost = life.bytes.get(super::index(kept)..super::index(read.max(kept)));
        let is_held = lost.is_some_and(|lost| lost.iter().all(|byte| *byte == 0));
        (life.is_left && own == 0 && is_held).then_some(read)
    }

    /// Nobody wrote these bytes, and the file system says that some of them are a hole.
    pub(super) fn hole(&mut self, delivery: &Delivery) -> Result<(), String> {
        let runs = self.runs_of(delivery)?;
        for run in &runs {
            let file = &self.files[run.place.0];
            let life = &file.lives[file.life_at(delivery.at_ns)];
            let is_hole = life.hole_from(run.offset).is_some_and(|it| it.start < run.end());
            if !is_hole || run.bytes.iter().any(|byte| *byte != 0) {
                return Err(format!("no hole at {} of file {:?}", run.offset, run.place));
            }
        }
        let bytes = delivery.span.bytes();
        self.verdict.bytes -= bytes;
        self.verdict.gap_bytes += bytes;
        self.holes += 1;
        Ok(())
    }
}
