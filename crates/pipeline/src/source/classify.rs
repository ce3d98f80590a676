//! Classify: what a file is that is new to a chain: of its own, or another's copy.
//!
//! It is found out by its content: by its head, and by what stands before the offset. A copy is compared
//! with what it may be a copy of, and that may be cut at any time: so the live file is looked at first,
//! and what it held before is looked for, too.
//!
//! All this is done when a file is new to a chain, and not else.

use std::io;
use std::sync::Arc;

use flow::{HEAD_BYTES_MAX, Head, Position, is_mutant};

use super::carrier::{Carrier, is_packed};
use super::content::{head_of, holds, is_beginning_of, tells, written};
use super::generation::Generation;
use super::{SeenFile, Source};
use crate::discovery::rotation;
use crate::fs::{Fs, GzipFile, LogFile, Printable};

/// Whether it is known what a file is: of its own, or another's copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It is.
    Known,
    /// Its content could not be looked at when it turned up.
    Wanted,
    /// … with the first look since the start.
    WantedSinceStart,
}

/// What a file that is new to a source turned out to be.
pub(super) enum NewFile {
    /// A generation of its own, which begins so, as far as it was looked into.
    Generation(Head),
    /// The carrier of this generation from now on.
    CarrierOf(usize),
    /// A copy of this generation, whose original is still there.
    CopyOf(usize),
    /// A compressed generation of which this was read before the start.
    Resumed(Position),
    /// Compressed, and older than what was read before the start: it was read too.
    ReadBefore,
}

impl Source {
    /// Finds out what a file is that no generation has; `own` is it, if it is open. Who looks into it sees
    /// how long it is by now, and `file` says so afterwards.
    ///
    /// # Errors
    /// If it or the live file cannot be read, or has another name by now; `WouldBlock` if the live file
    /// was cut meanwhile.
    pub(super) fn classify(
        &mut self,
        fs: &dyn Fs,
        file: &mut SeenFile,
        own: Option<&dyn LogFile>,
        files: &[SeenFile],
        now_ns: u64,
    ) -> io::Result<NewFile> {
        let is_packed = is_packed(&file.path);
        // Its name tells: of a chain whose live file is gone the last one may be a copy.
        let is_last = files.last().is_some_and(|live| live.stat.id == file.stat.id);
        if is_last && !rotation::is_rotated(&file.path) {
            return Ok(NewFile::Generation(Head::default()));
        }
        let opened = if own.is_none() { Some(open(fs, file)?) } else { None };
        let Some(opened) = own.or(opened.as_deref()) else {
            return Ok(NewFile::Generation(Head::default()));
        };
        let may_be_copy = |it: usize| self.generations[it].may_be_copied_by(file);
        let may_be_copy = self.live(files).is_some_and(may_be_copy);
        if may_be_copy || is_packed {
            self.check_live(fs, files, now_ns)?;
        }
        self.check_renamed(fs, file, files, now_ns)?;
        if is_packed {
            return self.classify_packed(fs, file, opened, files);
        }
        file.stat.size = file.stat.size.max(opened.stat()?.size);
        let head = head_of(opened)?;
        for (index, it) in self.generations.iter().enumerate() {
            let is_lost = matches!(it.carrier, Carrier::Lost(_));
            // Of one that has neither name nor descriptor a copy may be all that is left.
            let is_closed = it.is_gone && it.file.is_none();
            let is_out_of_reach = is_closed && !is_lost && !it.is_given_up();
            // A copy is of one of few: what was read tells enough.
            let size = match may_be_copy {
                _ if is_out_of_reach => u64::MAX,
                true => it.offset,
                false => it.size,
            };
            if (is_lost || is_out_of_reach) && holds(opened, &head, &it.position(), size)? {
                return Ok(NewFile::CarrierOf(index));
            }
        }
        if let Some(position) = self.orphan_in(opened, &head, files)? {
            return Ok(NewFile::Resumed(position));
        }
        if let Some(live) = self.live(files).filter(|_| may_be_copy) {
            if is_beginning_of(opened, &*open(fs, &self.generations[live].seen())?)? {
                return Ok(NewFile::CopyOf(live));
            }
            if self.check_live(fs, files, now_ns)? {
                return Err(io::Error::new(io::ErrorKind::WouldBlock, "the live file was cut"));
            }
        }
        // Should it be cut before it is read, that is seen by its beginning.
        let generation = NewFile::Generation(Head::of(written(&head)));
        Ok(self.lacking(opened, file, &head).unwrap_or(generation))
    }

    fn classify_packed(
        &self,
        fs: &dyn Fs,
        file: &SeenFile,
        packed: &dyn LogFile,
        files: &[SeenFile],
    ) -> io::Result<NewFile> {
        let head = head_of(packed)?;
        let bytes = packed.stat()?.size;
        let unpacked = file.path.with_extension("");
        let find = |is_it: &dyn Fn(&Generation) -> bool| {
            let is_it = |it: &Generation| is_left(it, files) && is_it(it);
            let by_name = self.generations.iter().position(|it| it.path == unpacked && is_it(it));
            by_name.or_else(|| self.generations.iter().position(is_it))
        };
        let is_lost = |it: &Generation| matches!(it.carrier, Carrier::Lost(_));
        let begins_so = |it: &Generation| begins_with(it, &head, it.path == unpacked);
        let may_be_of = |it: &Generation| it.proof == Proof::Known && !is_lost(it);
        // One beside which it stood is what it is made of, however little is known of that.
        let is_seen = |it: &Generation| it.packed == Some(file.stat.id) && it.head.matches(&head);
        let of = find(&|it| may_be_of(it) && is_seen(it));
        let of = of.or_else(|| find(&|it| may_be_of(it) && begins_so(it)));
        let of = of.or_else(|| find(&|it| is_lost(it) && begins_so(it)));
        if let Some(index) = of {
            return Ok(NewFile::CarrierOf(index));
        }
        if let Some(live) = self.is_packed_copy(fs, file, packed, files)? {
            return Ok(NewFile::CopyOf(live));
        }
        let is_same = |it: &&Position| tells(it.head, it.offset) && it.head.matches(&head);
        if let Some(orphan) = self.orphans.iter().find(is_same) {
            return Ok(NewFile::Resumed(*orphan));
        }
        // Of one that was never open, or is empty, there is little of a fingerprint or none; its length must
        // do. One that was cut is no matter then: all is read anyway.
        let is_fresh = |it: &Generation| {
            let is_unknown = it.file.is_none() || it.size == 0 && head.is_empty();
            let is_candidate = is_unknown && !is_lost(it) && it.size <= bytes;
            it.offset == 0 && it.head.matches(&head) && is_candidate
        };
        if let Some(index) = find(&is_fresh) {
            return Ok(NewFile::CarrierOf(index));
        }
        Ok(self.passed_or_read(file, files, head.is_empty()))
    }

    /// Whether this is the compressed form of one that left before it was looked into: it is looked into
    /// then in its place. Their names, or that nothing else has left, must tell.
    pub(super) fn is_packed_unproven(&mut self, file: &SeenFile, files: &[SeenFile]) -> bool {
        if !is_packed(&file.path) || self.generations.iter().all(|it| it.proof == Proof::Known) {
            return false;
        }
        let unpacked = file.path.with_extension("");
        let left = || self.generations.iter().enumerate().filter(|(_, it)| is_left(it, files));
        let unproven = || left().filter(|(_, it)| it.proof != Proof::Known);
        let by_name = unproven().find(|(_, it)| it.path == unpacked);
        let is_named = left().any(|(_, it)| it.path == unpacked);
        // One that is held open can be looked into itself.
        let closed = || unproven().find(|(_, it)| it.file.is_none() && !is_named);
        let Some((index, _)) = by_name.or_else(closed) else { return false };
        self.generations[index].carry_on_in(file);
        self.generations[index].file = None;
        true
    }

    /// The generation that the live file holds, if it is the file that this was written to.
    pub(super) fn live(&self, files: &[SeenFile]) -> Option<usize> {
        let index = files.last().and_then(|live| self.index_of(live))?;
        let live = &self.generations[index];
        let is_it = live.carrier == Carrier::Original && live.proof == Proof::Known;
        is_it.then_some(index)
    }

    /// Whether a file is known as a copy. It and what it is a copy of are compared anew when it has grown:
    /// what was copied of it before may have been anybody's.
    pub(super) fn is_known_copy(
        &mut self,
        fs: &dyn Fs,
        file: &SeenFile,
        files: &[SeenFile],
        now_ns: u64,
    ) -> bool {
        let is_it = |it: &SeenFile| it.stat.id == file.stat.id;
        let of = self.generations.iter().position(|it| it.copies.iter().any(is_it));
        let Some(index) = of else { return false };
        let is_live = self.live(files) == Some(index);
        let was_empty = |it: &SeenFile| is_it(it) && it.stat.size == 0;
        let was_empty = self.generations[index].copies.iter().any(was_empty);
        let is_grown = |it: &SeenFile| is_it(it) && it.stat.size != file.stat.size;
        let is_grown = self.generations[index].copies.iter().any(is_grown);
        if !is_live || !is_grown {
            return true;
        }
        match self.check_live(fs, files, now_ns) {
            // That settles what it is, by what it was when it was compared last.
            Ok(true) => return true,
            Err(_) if !was_empty => return true,
            _ => {}
        }
        self.generations[index].copies.retain(|it| !is_it(it));
        false
    }

    /// What a new file is read as; nothing, if it only holds the bytes of another generation.
    ///
    /// Only before the start something can have been read of it that is not remembered.
    pub(super) fn generation_of(
        &mut self,
        fs: &dyn Fs,
        file: &SeenFile,
        what: NewFile,
        is_start: bool,
    ) -> Option<Generation> {
        match what {
            NewFile::CarrierOf(index) => {
                let generation = &mut self.generations[index];
                generation.carry_on_in(file);
                // What was written to it after it was looked at last is in its compressed form alone.
                if is_packed(&file.path) && !ends_at(fs, file, generation.offset).unwrap_or(false) {
                    generation.done_since_ns = None;
                }
            }
            NewFile::CopyOf(index) => self.generations[index].copies.push(file.clone()),
            NewFile::Resumed(position) => {
                self.orphans.retain(|it| it.generation != position.generation);
                return Some(Generation::resumed_in_copy(file, position));
            }
            NewFile::ReadBefore if is_start => {
                let path = Printable(&file.path);
                tracing::info!(%path, "older than what was read before: taken as read");
                return Some(Generation::read_before(file));
            }
            NewFile::Generation(head) => {
                return Some(Generation { head, ..Generation::new(file, 0) });
            }
            NewFile::ReadBefore => return Some(Generation::new(file, 0)),
        }
        None
    }

    /// Whether there are files that could not be looked into yet.
    pub(super) fn has_unproven(&self) -> bool {
        self.generations.iter().any(|it| it.proof != Proof::Known && !it.is_gone)
    }

    /// Finds out what those files are that could not be looked into when they turned up, as far as is
    /// possible now: they may hold what others miss.
    pub(super) fn prove_all(&mut self, fs: &dyn Fs, now_ns: u64) {
        let wanted = || self.generations.iter().filter(|it| it.proof != Proof::Known);
        let packed = wanted().filter(|it| is_packed(&it.path));
        // Compressed ones may be made of others.
        let others = wanted().filter(|it| !is_packed(&it.path));
        let keys: Vec<u64> = others.chain(packed).map(|it| it.key).collect();
        for key in keys {
            if let Some(index) = self.generations.iter().position(|it| it.key == key) {
                // Those that cannot be read yet are told of when it is their turn.
                drop(self.prove(fs, index, now_ns));
            }
        }
    }

    /// Finds out what a generation's file is, which could not be looked into when it turned up, before
    /// anything is read of it.
    ///
    /// # Errors
    /// As [`Source::classify`]; then it is tried again when it is its turn.
    pub(super) fn prove(&mut self, fs: &dyn Fs, index: usize, now_ns: u64) -> io::Result<()> {
        let named = self.generations.iter().filter(|it| !it.is_gone);
        let mut files: Vec<SeenFile> = named.map(Generation::seen).collect();
        files.sort_by(|one, other| rotation::by_age(&one.path, &other.path));
        let stat = self.generations[index].open(fs)?.stat()?;
        let mut wanted = self.generations.remove(index);
        let mut file = SeenFile { path: wanted.path.clone(), stat, packed: wanted.packed };
        let live_index = self.live(&files);
        let live = live_index.map(|live| self.generations[live].key);
        // One that already comes behind the live file is younger than what that holds since it was cut.
        let is_behind = live_index.is_some_and(|live| live < index);
        // A cut that is noticed meanwhile moves all behind it.
        let next = self.generations.get(index).map(|it| it.key);
        let place = |source: &Source| {
            let next = source.generations.iter().position(|it| Some(it.key) == next);
            next.unwrap_or(source.generations.len())
        };
        let what = match self.classify(fs, &mut file, wanted.file.as_deref(), &files, now_ns) {
            Ok(what) => what,
            Err(error) => {
                self.generations.insert(place(self), wanted);
                return Err(error);
            }
        };
        let is_start = wanted.proof == Proof::WantedSinceStart;
        if let (NewFile::CarrierOf(of), false) = (&what, is_packed(&file.path)) {
            self.generations[*of].file = wanted.file.take();
        }
        if let Some(proven) = self.generation_of(fs, &file, what, is_start) {
            let is_at_begin = proven.offset == 0 || !is_packed(&file.path);
            let generation = Generation {
                file: wanted.file.take().filter(|_| is_at_begin),
                is_gone: wanted.is_gone,
                gone_since_ns: wanted.gone_since_ns,
                missed_before: wanted.missed_before,
                inflaters: wanted.inflaters,
                ..proven
            };
            // It stays where it is, but for a cut that was just noticed: what was cut is older.
            let cut = self.live(&files).filter(|now| Some(self.generations[*now].key) != live);
            let cut = cut.filter(|_| !is_behind);
            self.generations.insert(cut.unwrap_or_else(|| place(self)), generation);
        } else {
            let next = place(self);
            let next = self.generations.get_mut(next);
            next.into_iter().for_each(|it| it.missed_before += wanted.missed_before);
        }
        Ok(())
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

/// Whether a generation begins as `head` does, as far as is known. Of one that was cut, or that has its name,
/// what was read tells enough.
fn begins_with(generation: &Generation, head: &[u8], is_named: bool) -> bool {
    let mut known = generation.head;
    if let (true, Some(file)) = (known.is_empty(), &generation.file) {
        // Nothing was read of it yet, and can be.
        known = head_of(&**file).map_or(known, |bytes| Head::of(&bytes));
    }
    let is_likely = is_named || matches!(generation.carrier, Carrier::Lost(_));
    let size = if is_likely { generation.offset } else { generation.size };
    tells(known, size) && known.matches(head)
}

/// Whether its file is not there any more.
fn is_left(generation: &Generation, files: &[SeenFile]) -> bool {
    files.iter().all(|file| file.stat.id != generation.id)
}

impl Generation {
    /// Whether that file may be a copy of it.
    ///
    /// A file that was renamed is older than the live one that took its place; a copy is younger. Where
    /// files have no time of birth, it must be long enough for its content to tell.
    pub(super) fn may_be_copied_by(&self, file: &SeenFile) -> bool {
        !self.is_gone && self.may_be_older_than(file)
    }

    /// As [`Generation::may_be_copied_by`], whatever became of its name.
    pub(super) fn may_be_older_than(&self, file: &SeenFile) -> bool {
        let is_younger = file.stat.id.birth_ns > self.id.birth_ns;
        let is_timeless = self.id.birth_ns == 0 && file.stat.size >= HEAD_BYTES_MAX as u64;
        is_younger || is_timeless
    }
}

/// Opens a file that was seen.
pub(super) fn open(fs: &dyn Fs, file: &SeenFile) -> io::Result<Box<dyn LogFile>> {
    let opened = fs.open(&file.path)?;
    if opened.stat()?.id != file.stat.id {
        return Err(io::Error::new(io::ErrorKind::NotFound, "it has another name by now"));
    }
    if is_packed(&file.path) {
        return Ok(Box::new(GzipFile::new(opened, 0, Arc::default())));
    }
    Ok(opened)
}

/// Whether a compressed file says of itself that so many bytes are in it (RFC 1952: `ISIZE`, the last four
/// bytes). One of several members says so of the last; then it is inflated once more.
fn ends_at(fs: &dyn Fs, file: &SeenFile, offset: u64) -> io::Result<bool> {
    let packed = fs.open(&file.path)?;
    let mut len = [0; 4];
    let begin = packed.stat()?.size.saturating_sub(len.len() as u64);
    let read = packed.read_at(&mut len, begin)?;
    Ok(read == len.len() && u64::from(u32::from_le_bytes(len)) == offset & u64::from(u32::MAX))
}
