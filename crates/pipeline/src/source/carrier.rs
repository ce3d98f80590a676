//! Carrier: what holds a generation's bytes now, when it is not the file they were written to.
//!
//! Rotators copy and cut (`copytruncate`), and compress. Such a file is new by inode and by name, and
//! holds what was read already in part. It is found out by its content: by its head, and by what
//! stands before the offset. What a copy still has and the original has not is read from it.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use flow::{GapReason, HEAD_BYTES_MAX, Head, PLACE_BYTES_MAX, Position, is_mutant};

use super::generation::Generation;
use super::look::{Look, Turn};
use super::{Missing, SeenFile, Source};
use crate::fs::{Defect, Fs, GZIP_SUFFIX, GzipFile, LogFile, Printable, Stat};

/// How long a copy of a file that was cut may turn up: longer than scans are apart.
pub(super) const COPY_NS: u64 = 2_000_000_000;

/// How long a compressed file may be incomplete without growing: its writer has gone.
pub(super) const INCOMPLETE_NS: u64 = 10_000_000_000;

/// How many bytes of a file's beginning tell it from others at least: a time stamp and some words.
const HEAD_BYTES_MIN: u64 = PLACE_BYTES_MAX as u64;

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

/// What a file that is new to a source turned out to be.
pub(super) enum NewFile {
    /// A generation of its own.
    Generation,
    /// The carrier of this generation from now on.
    CarrierOf(usize),
    /// A copy of this generation, whose original is still there.
    CopyOf(usize),
    /// A compressed generation of which this was read before the start.
    Resumed(Position),
    /// Compressed, and older than what was read before the start: it was read too.
    ReadBefore,
}

/// Whether a file is compressed. Its name tells.
pub(super) fn is_packed(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(GZIP_SUFFIX.as_bytes())
}

/// How much at the end of a copy is compared with the original, in bytes.
const COMPARED_BYTES: usize = 4096;

impl Source {
    /// Finds out what a file is that no generation has.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn classify(
        &self,
        fs: &dyn Fs,
        file: &SeenFile,
        files: &[SeenFile],
    ) -> io::Result<NewFile> {
        if is_packed(&file.path) {
            return self.classify_packed(fs, file, files);
        }
        let is_live = files.last().is_some_and(|live| live.stat.id == file.stat.id);
        if is_live {
            return Ok(NewFile::Generation);
        }
        let opened = fs.open(&file.path)?;
        if opened.stat()?.id != file.stat.id {
            // It has another name by now: the next look at the directory tells which.
            return Ok(NewFile::Generation);
        }
        let head = head_of(&*opened)?;
        let is_same = |it: &Position, size| holds(&*opened, &head, it, size);
        let lost = self.generations.iter().position(|it| {
            matches!(it.carrier, Carrier::Lost(_)) && is_same(&it.position(), it.size)
        });
        if let Some(index) = lost {
            return Ok(NewFile::CarrierOf(index));
        }
        // Of one of which nothing was read, all is read anyway.
        let was_read = |it: &&Position| it.offset > 0 && is_same(it, it.offset);
        if let Some(orphan) = self.orphans.iter().find(was_read) {
            return Ok(NewFile::Resumed(*orphan));
        }
        let live = files.last().and_then(|live| self.index_of(live));
        let copied = live.filter(|index| is_copy(fs, file, &self.generations[*index]));
        Ok(copied.map_or(NewFile::Generation, NewFile::CopyOf))
    }

    fn classify_packed(
        &self,
        fs: &dyn Fs,
        file: &SeenFile,
        files: &[SeenFile],
    ) -> io::Result<NewFile> {
        let packed = GzipFile::new(fs.open(&file.path)?, 0, Arc::default());
        let head = head_of(&packed)?;
        let bytes = packed.stat()?.size;
        let is_same = |it: &Position| tells(it.head, it.offset) && it.head.matches(&head);
        let is_lost = |it: &Generation| files.iter().all(|file| file.stat.id != it.id);
        let unpacked = file.path.with_extension("");
        let candidates = || {
            let all = self.generations.iter().enumerate();
            // Of one that was never open, or is empty, there is no fingerprint; its length must do.
            let is_fresh = |it: &Generation| {
                let is_unknown = it.file.is_none() || it.size == 0 && head.is_empty();
                it.offset == 0 && it.head.is_empty() && is_unknown && it.size <= bytes
            };
            let begins_so = |it: &Generation| begins_with(it, &head);
            all.filter(move |(_, it)| is_lost(it) && (is_fresh(it) || begins_so(it)))
        };
        let by_name = candidates().find(|(_, it)| it.path == unpacked);
        if let Some((index, _)) = by_name.or_else(|| candidates().next()) {
            return Ok(NewFile::CarrierOf(index));
        }
        if let Some(orphan) = self.orphans.iter().find(|it| is_same(it)) {
            return Ok(NewFile::Resumed(*orphan));
        }
        // Generations are read in order. What comes before one that was read, was.
        let later = files.iter().skip_while(|it| it.stat.id != file.stat.id).skip(1);
        let is_before_read = later
            .filter_map(|it| self.index_of(it))
            .any(|index| self.generations[index].offset > 0);
        Ok(if is_before_read { NewFile::ReadBefore } else { NewFile::Generation })
    }

    /// The generation whose bytes this file holds, by identity.
    pub(super) fn index_of(&self, file: &SeenFile) -> Option<usize> {
        let is_it = |it: &Generation| {
            let (own, seen) = (it.id, file.stat.id);
            own == seen || own.inode == seen.inode && is_mutant("identity_by_inode_only")
        };
        self.generations.iter().position(is_it)
    }
}

/// Whether a generation begins as `head` does, as far as is known.
fn begins_with(generation: &Generation, head: &[u8]) -> bool {
    let mut known = generation.head;
    if let (true, Some(file)) = (known.is_empty(), &generation.file) {
        // Nothing was read of it yet, and can be.
        known = head_of(&**file).map_or(known, |bytes| Head::of(&bytes));
    }
    tells(known, generation.size) && known.matches(head)
}

/// Whether the head of content of that length tells it from others: one of few bytes does not, unless
/// there were no more.
fn tells(head: Head, size: u64) -> bool {
    let is_long = u64::from(head.len) >= size.min(HEAD_BYTES_MIN);
    !head.is_empty() && (is_long || is_mutant("copy_found_by_its_first_byte"))
}

/// Whether a file that begins with `head` holds what was read up to that position of content of that
/// length.
fn holds(file: &dyn LogFile, head: &[u8], position: &Position, size: u64) -> bool {
    let is_known = tells(position.head, size) && position.head.matches(head);
    is_known && has_place(file, position)
}

/// Whether `file` is a copy of the live one: it says what was read of that, or what that says now up to
/// where it ends. The live file may have been cut already, and the copy not be whole yet.
///
/// A file that was renamed is older than the live one that took its place; a copy is younger. Where
/// files have no time of birth, it must be long enough for its content to tell.
pub(super) fn is_copy(fs: &dyn Fs, file: &SeenFile, live: &Generation) -> bool {
    let is_younger = file.stat.id.birth_ns > live.id.birth_ns;
    let is_timeless = live.id.birth_ns == 0 && file.stat.size >= HEAD_BYTES_MAX as u64;
    if live.is_gone || live.carrier != Carrier::Original || !(is_younger || is_timeless) {
        return false;
    }
    let says_the_same = || -> io::Result<bool> {
        let (copy, source) = (fs.open(&file.path)?, fs.open(&live.path)?);
        if source.stat()?.id != live.id || copy.stat()?.id != file.stat.id {
            return Ok(false);
        }
        if holds(&*copy, &head_of(&*copy)?, &live.position(), live.size) {
            return Ok(true);
        }
        let (copied, now) = (copy.stat()?.size, source.stat()?.size);
        // One that says more than the live file does is a copy of it only if that was cut. What was read
        // before would tell, above; where nothing was, its length must do.
        let is_unread = live.offset == 0 && live.copy.is_none();
        let most = if is_unread { now.max(live.size) } else { now };
        if copied > most && !is_mutant("anything_is_a_copy_of_an_empty_file") {
            return Ok(false);
        }
        let bytes = copied.min(now);
        let begin = bytes.min(HEAD_BYTES_MAX as u64);
        let end = bytes.saturating_sub(COMPARED_BYTES as u64);
        Ok(is_equal(&*copy, &*source, 0, begin)? && is_equal(&*copy, &*source, end, bytes)?)
    };
    // One that cannot be read now is looked at again as the generation that it may be.
    says_the_same().unwrap_or(false)
}

/// Whether a file is where it was seen, and says something.
pub(super) fn is_still_there(fs: &dyn Fs, file: &SeenFile) -> bool {
    let now = fs.open(&file.path).and_then(|file| file.stat());
    now.is_ok_and(|now| now.id == file.stat.id && now.size > 0)
}

fn is_equal(one: &dyn LogFile, other: &dyn LogFile, begin: u64, end: u64) -> io::Result<bool> {
    let len = usize::try_from(end - begin).unwrap_or(COMPARED_BYTES).min(COMPARED_BYTES);
    let (mut left, mut right) = ([0; COMPARED_BYTES], [0; COMPARED_BYTES]);
    one.read_at(&mut left[..len], begin)?;
    other.read_at(&mut right[..len], begin)?;
    Ok(left[..len] == right[..len])
}

fn head_of(file: &dyn LogFile) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD_BYTES_MAX];
    let len = file.read_at(&mut head, 0)?;
    head.truncate(len);
    Ok(head)
}

/// Whether what was read up to that position stands in the file before its offset.
fn has_place(file: &dyn LogFile, position: &Position) -> bool {
    let len = usize::from(position.place.len);
    let mut bytes = [0; PLACE_BYTES_MAX];
    let begin = position.offset.saturating_sub(len as u64);
    // Behind what was declared missing nothing is known: a copy ends before.
    let is_long_enough = len == 0 || file.stat().is_ok_and(|stat| stat.size >= position.offset);
    let read = file.read_at(&mut bytes[..len], begin).unwrap_or(0);
    is_long_enough && position.place.matches(&bytes[..read])
}

/// What was cut before it was read may be in a copy; after a while, nothing is.
pub(super) fn lost(generation: &mut Generation, since_ns: u64, now_ns: u64) -> Turn {
    let until_ns = since_ns + COPY_NS;
    if now_ns < until_ns {
        return Turn::Later(until_ns);
    }
    let bytes = generation.size.saturating_sub(generation.offset);
    generation.skip_to(generation.size);
    generation.done_since_ns = Some(now_ns);
    if bytes == 0 || is_mutant("truncation_not_declared") {
        return Turn::Done;
    }
    Turn::Act(Look::Gap(Missing { reason: GapReason::Truncated, bytes }))
}

/// A copy was read to its end; what to do if that is not the end of what it is a copy of.
pub(super) fn end_of_copy(generation: &mut Generation, stat: Stat, now_ns: u64) -> Option<Turn> {
    let path = Printable(&generation.path);
    let Some(defect) = generation.file.as_ref().and_then(|file| file.defect()) else {
        // What was written between copying and cutting is in neither.
        let is_packed = is_packed(&generation.path);
        let seen = if is_packed { 0 } else { generation.size };
        let bytes = seen.saturating_sub(generation.offset.max(stat.size));
        generation.skip_to(seen.max(generation.offset));
        generation.done_since_ns.get_or_insert(now_ns);
        if is_packed {
            generation.file = None;
        }
        let missing = Missing { reason: GapReason::Truncated, bytes };
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
    Some(Turn::Act(Look::Gap(Missing { reason: GapReason::Unreadable, bytes: 0 })))
}
