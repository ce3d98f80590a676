//! Cut: how it is found out that a file was cut, and what becomes of what it held.
//!
//! What is in no file any more is looked for in copies, those that are known and those that turn up.

use std::io;

use flow::{GapReason, is_mutant};

use super::classify::Proof;
use super::generation::Generation;
use super::look::{Look, Turn};
use super::{Carrier, Missing, SeenFile, Source, Waiting};
use crate::fs::{Fs, Printable};

impl Source {
    /// Looks whether the live file still holds what is known of it, and returns whether it was cut: what
    /// is in no file any more is looked for in those that are new.
    ///
    /// # Errors
    /// If it cannot be read, or has another name by now.
    pub(super) fn check_live(
        &mut self,
        fs: &dyn Fs,
        files: &[SeenFile],
        now_ns: u64,
    ) -> io::Result<bool> {
        let is_trusted = is_mutant("live_file_not_looked_at_before_its_copy");
        match self.live(files).filter(|_| !is_trusted) {
            Some(index) => self.check_cut(fs, index, now_ns),
            None => Ok(false),
        }
    }

    /// As [`Source::check_live`], of those that this file may be a copy of and that have another name by
    /// now, or none: they may have been cut before that, while nobody looked.
    ///
    /// # Errors
    /// As [`Source::check_live`].
    pub(super) fn check_renamed(
        &mut self,
        fs: &dyn Fs,
        copy: &SeenFile,
        files: &[SeenFile],
        now_ns: u64,
    ) -> io::Result<()> {
        let may_be_cut = |it: &&Generation| {
            let is_original = it.carrier == Carrier::Original && it.proof == Proof::Known;
            let seen = files.iter().find(|file| file.stat.id == it.id).map(|file| file.stat.size);
            let size = match &it.file {
                Some(file) if it.is_gone => file.stat().ok().map(|stat| stat.size),
                _ => seen,
            };
            let is_unknown = !it.is_checked && size.is_some();
            let is_shorter = size.is_some_and(|size| size < it.offset);
            is_original && it.may_be_older_than(copy) && (is_unknown || is_shorter)
        };
        let keys: Vec<u64> = self.generations.iter().filter(may_be_cut).map(|it| it.key).collect();
        for key in keys {
            if let Some(index) = self.generations.iter().position(|it| it.key == key) {
                self.check_cut(fs, index, now_ns)?;
            }
        }
        Ok(())
    }

    /// Looks whether a file was cut, and takes note of it.
    fn check_cut(&mut self, fs: &dyn Fs, index: usize, now_ns: u64) -> io::Result<bool> {
        let generation = &mut self.generations[index];
        let was_open = generation.file.is_some();
        let size = generation.open(fs)?.stat()?.size;
        let is_cut = generation.is_cut(fs, size);
        if !was_open && !matches!(is_cut, Ok(true)) {
            generation.close_if_named();
        }
        if is_cut? {
            self.cut(fs, index, size, now_ns);
            return Ok(true);
        }
        Ok(false)
    }

    /// The file was cut and begun anew under its name.
    pub(super) fn cut(&mut self, fs: &dyn Fs, index: usize, size: u64, now_ns: u64) -> Turn {
        let generation = &mut self.generations[index];
        let path = Printable(&generation.path).to_string();
        if generation.carrier == Carrier::Copy {
            tracing::warn!(path, "no copy of what was read before; the rest is not read from it");
            generation.carrier = Carrier::Lost(now_ns);
            generation.file = None;
            return Turn::Act(Look::Wait(Some(now_ns)));
        }
        let unread = if generation.is_checked { generation.size - generation.offset } else { 0 };
        let (copy, unknown) = generation.take_copy(fs);
        let has_copy = copy.is_some();
        let offset = generation.offset;
        tracing::info!(path, offset, unread, has_copy, "truncated; reading from its beginning");
        let mut next = generation.cut(size, copy.as_ref(), now_ns);
        // What was seen of the new content is told from the next by its head. An error shows again.
        drop(next.is_same(fs));
        self.generations.insert(index + 1, next);
        // What it holds now has not waited yet, though its cursors may be those of what it held.
        self.waiting = Waiting::default();
        for file in unknown {
            // It may be its copy that was not begun then, or one of what comes next.
            let file = Generation { proof: Proof::Wanted, ..Generation::new(&file, 0) };
            self.generations.insert(index + 1, file);
        }
        Turn::Act(Look::Wait(Some(now_ns)))
    }

    /// The file is shorter than it was seen, but not shorter than what was read of it.
    pub(super) fn shrunk(
        &mut self,
        fs: &dyn Fs,
        index: usize,
        size: u64,
        now_ns: u64,
    ) -> io::Result<Turn> {
        let generation = &mut self.generations[index];
        if generation.is_cut(fs, size)? {
            return Ok(self.cut(fs, index, size, now_ns));
        }
        let bytes = generation.size - size;
        generation.size = size;
        generation.tail = None;
        Ok(Turn::Act(Look::Gap(Missing::new(GapReason::Truncated, bytes))))
    }
}
