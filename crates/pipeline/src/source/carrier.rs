//! Carrier: what holds a generation's bytes now, when it is not the file they were written to.
//!
//! Rotators copy and cut (`copytruncate`), and compress. Such a file is new by inode and by name, and
//! holds what was read already in part; [`super::classify`] finds that out. What a copy still has and
//! the original has not is read from it.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use flow::{GapReason, HEAD_BYTES_MAX, is_mutant};

use super::classify::open;
use super::content::{head_of, holds, is_beginning_of};
use super::generation::Generation;
use super::look::{Look, Turn};
use super::{Missing, SeenFile, Source};
use crate::fs::{Defect, Fs, GZIP_SUFFIX, LogFile, Printable, Stat};

/// How long a copy of a file that was cut may turn up: longer than scans are apart.
pub(super) const COPY_NS: u64 = 2_000_000_000;

/// How long a compressed file may be incomplete without growing: its writer has gone.
pub(super) const INCOMPLETE_NS: u64 = 10_000_000_000;

/// What holds a generation's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// The file they were written to.
    Original,
    /// A copy, perhaps a compressed one. It may grow while it is made; nobody cuts it.
    Copy,
    /// Nothing known, since that time: the original was cut. A copy may turn up.
    Lost(u64),
}

/// Whether a file is compressed. Its name tells.
pub(super) fn is_packed(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(GZIP_SUFFIX.as_bytes())
}

impl Source {
    /// The live file, if this compressed one is a copy of it: who copies it may leave the cut to somebody else.
    /// Only such a file is inflated to its end, one with the live file's first KiB.
    ///
    /// # Errors
    /// As `pread`; `Interrupted` and `WouldBlock` if there is more to inflate.
    pub(super) fn is_packed_copy(
        &self,
        fs: &dyn Fs,
        file: &SeenFile,
        packed: &dyn LogFile,
        files: &[SeenFile],
    ) -> io::Result<Option<usize>> {
        let live = self.live(files).filter(|it| self.generations[*it].may_be_copied_by(file));
        let Some(live) = live else { return Ok(None) };
        // Shorter ones may be what each start of a program writes.
        if packed.stat()?.size < HEAD_BYTES_MAX as u64 {
            return Ok(None);
        }
        let original = open(fs, &self.generations[live].seen())?;
        Ok(is_beginning_of(packed, &*original)?.then_some(live))
    }
}

impl Generation {
    /// A look showed these files: copies may have other names now, or none, or be compressed.
    pub(super) fn see_copies(&mut self, files: &[SeenFile]) {
        self.copies.retain_mut(|copy| {
            let Some(file) = files.iter().find(|it| it.stat.id == copy.stat.id) else {
                return false;
            };
            copy.path.clone_from(&file.path);
            copy.packed = file.packed.or(copy.packed);
            true
        });
    }

    /// It was cut: takes the copy that has its bytes now, the youngest that holds what was read, or else
    /// the youngest that was seen to say the same as far as it went.
    ///
    /// What remains is of no use, but for empty files, which say nothing: those are given back.
    pub(super) fn take_copy(&mut self, fs: &dyn Fs) -> (Option<SeenFile>, Vec<SeenFile>) {
        let is_empty = |it: &SeenFile| it.stat.size == 0;
        let of_read = self.copies.iter().rposition(|it| self.is_held_by(fs, it).unwrap_or(false));
        let of_equal = || self.copies.iter().rposition(|it| !is_empty(it));
        let carrier = of_read.or_else(of_equal).map(|index| self.copies.remove(index));
        let (unknown, copies) = self.copies.drain(..).partition(is_empty);
        self.copies = copies;
        (carrier, unknown)
    }

    fn is_held_by(&self, fs: &dyn Fs, copy: &SeenFile) -> io::Result<bool> {
        let opened = open(fs, copy)?;
        holds(&*opened, &head_of(&*opened)?, &self.position(), self.size)
    }

    /// Whether it is compressed, and what is held open is not the file from before, which was removed: its writer may
    /// not know.
    pub(super) fn holds_packed(&self) -> bool {
        let is_removed = |file: &dyn LogFile| file.stat().is_ok_and(|stat| stat.id != self.id);
        is_packed(&self.path) && !self.file.as_deref().is_some_and(is_removed)
    }

    /// A read brought nothing: a whole compressed file has ended, and is done with even if its descriptor,
    /// which knows that, is closed before the next look.
    pub(super) fn note_packed_end(&mut self, now_ns: u64) {
        let is_whole = self.file.as_ref().is_some_and(|file| file.defect().is_none());
        if is_packed(&self.path) && is_whole {
            self.done_since_ns.get_or_insert(now_ns);
            self.size = self.offset;
        }
    }
}

/// What was cut before it was read may be in a copy; after a while, nothing is.
pub(super) fn lost(generation: &mut Generation, since_ns: u64, now_ns: u64) -> Turn {
    let until_ns = since_ns + COPY_NS;
    if now_ns < until_ns {
        return Turn::Later(until_ns);
    }
    let bytes = generation.size.saturating_sub(generation.offset);
    // The offset stays: a copy that turns up later all the same is read from there.
    generation.size = generation.offset;
    generation.tail = None;
    generation.done_since_ns = Some(now_ns);
    if bytes == 0 || is_mutant("truncation_not_declared") {
        return Turn::Done;
    }
    Turn::Act(Look::Gap(Missing::new(GapReason::Truncated, bytes)))
}

/// A copy was read to its end; what to do if that is not the end of what it is a copy of.
pub(super) fn end_of_copy(generation: &mut Generation, stat: Stat, now_ns: u64) -> Option<Turn> {
    let path = Printable(&generation.path);
    let Some(defect) = generation.file.as_ref().and_then(|file| file.defect()) else {
        // What was written between copying and cutting is in neither.
        let is_packed = is_packed(&generation.path);
        let seen = if is_packed { 0 } else { generation.size };
        let bytes = seen.saturating_sub(generation.offset.max(stat.size));
        // The offset stays within the copy, which must be found again after a restart.
        generation.size = generation.offset;
        generation.done_since_ns.get_or_insert(now_ns);
        // Others have their turn to inflate.
        if generation.holds_packed() {
            generation.file = None;
        }
        let missing = Missing::new(GapReason::Truncated, bytes);
        return (bytes > 0).then_some(Turn::Act(Look::Gap(missing)));
    };
    let since_ns = *generation.defect_since_ns.get_or_insert(now_ns);
    let until_ns = since_ns + INCOMPLETE_NS;
    if defect == Defect::Cut && now_ns < until_ns {
        return Some(Turn::Wait(Some(until_ns)));
    }
    tracing::warn!(%path, ?defect, "compressed file ends too early; the rest is unreadable");
    generation.skip_to(generation.offset);
    generation.done_since_ns.get_or_insert(now_ns);
    generation.file = None;
    // How much is missing, nobody can know.
    Some(Turn::Act(Look::Gap(Missing::new(GapReason::Unreadable, 0))))
}
