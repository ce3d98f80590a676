//! Backing: files of the store that the kernel writes to by itself, and what must be known of them all the same.
//!
//! Whoever opened a file for nothing but appending appends to the store's file, and nobody asks us. All
//! others come to us as ever, so that only we know where that begins which they see. Nothing is cut while somebody may
//! be appending: the content goes on, and what applications see of it begins later.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Thread;

use rustix::io::Errno;

use super::content::Content;
use super::load::Mark;
use super::tree::Kind;
use super::{Held, Inner, NodeId, Store, open};
use crate::meter::Meter;

/// Most memory that is taken ahead of one writer, in bytes.
const AHEAD_BYTES_MAX: u64 = 32 << 20;
/// No more than this part of what is free.
const AHEAD_PART: u64 = 8;

/// What the kernel writes to by itself for a node, for as long as it knows the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backing {
    /// The kernel's number of the open file.
    pub(super) number: u32,
    /// Key of the content that it is.
    pub(super) key: u64,
}

/// How a file with a backing is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backed {
    /// The kernel's number of the open file: one for all that have the node open.
    pub number: u32,
    /// It is what the node holds now: who only appends needs nobody.
    pub is_current: bool,
}

impl Store {
    /// The kernel may write to files by itself from now on.
    pub fn let_pass(&self) {
        self.passes.store(true, Ordering::Release);
    }

    /// Whether the kernel may write to files by itself.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.passes.load(Ordering::Acquire)
    }

    /// The backing of a node that is being opened. With `wants_one`, one that has none is given that which `make` makes of
    /// its file, if it is collected.
    ///
    /// # Errors
    /// As `open`, and what `make` says.
    pub fn backing(
        &self,
        id: NodeId,
        wants_one: bool,
        make: impl FnOnce(&File) -> io::Result<u32>,
    ) -> Result<Option<Backed>, Errno> {
        let mut inner = self.inner();
        let node = inner.tree.file_mut(id)?;
        let key = node.key;
        if let Some(Backing { number, key: of }) = node.backing {
            let is_current = of == key;
            if wants_one && is_current {
                self.begin_appending(&mut inner, key);
            }
            return Ok(Some(Backed { number, is_current }));
        }
        if !wants_one {
            return Ok(None);
        }
        let (content, file) = self.file_of(&inner, id)?;
        if !content.is_log() {
            return Ok(None);
        }
        let number =
            make(&file).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        inner.tree.file_mut(id)?.backing = Some(Backing { number, key });
        self.remember(&inner, id)?;
        self.begin_appending(&mut inner, key);
        content.take_ahead(&file, self.ahead_bytes_max()?, &self.meter)?;
        Ok(Some(Backed { number, is_current: true }))
    }

    /// Whether the kernel writes to the node by itself, or did.
    #[must_use]
    pub fn is_backed(&self, id: NodeId) -> bool {
        self.inner().tree.file_mut(id).is_ok_and(|it| it.backing.is_some())
    }

    /// Numbers of backings that nobody needs any more, told once.
    #[must_use]
    pub fn closed_backings(&self) -> Vec<u32> {
        std::mem::take(&mut self.inner().closed)
    }

    /// Looks what was written past us, and takes memory ahead of who writes, so that it is ours and not theirs. Says how
    /// many files were looked at, and whether anything was written, or somebody may have begun to.
    ///
    /// # Errors
    /// As `fallocate`.
    pub fn take_ahead(&self) -> Result<(usize, bool), Errno> {
        let is_busy = self.has_begun.swap(false, Ordering::Relaxed);
        let appended = self.appended();
        let written = self.take_ahead_in(&appended);
        self.give_back_closed(&appended);
        Ok((appended.len(), written? || is_busy))
    }

    /// What somebody may be writing to past us, and where it is.
    pub(super) fn appended(&self) -> Vec<(Arc<Content>, PathBuf)> {
        let inner = self.inner();
        let held = inner.appended.iter().filter_map(|key| inner.contents.get(key));
        held.filter_map(|it| Some((it.content.clone(), it.log.as_ref()?.path.clone()))).collect()
    }

    /// Says whether anything was written.
    pub(super) fn take_ahead_in(
        &self,
        appended: &[(Arc<Content>, PathBuf)],
    ) -> Result<bool, Errno> {
        let largest_bytes = self.ahead_bytes_max()?;
        let mut is_written = false;
        for (content, path) in appended {
            match content.file(|| open(&self.in_logs(path))) {
                Ok(file) => is_written |= content.take_ahead(&file, largest_bytes, &self.meter)?,
                // It has another name in this moment.
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(is_written)
    }

    /// Whoever had one of these open may have closed it since: what was taken ahead then nobody else gives back.
    pub(super) fn give_back_closed(&self, appended: &[(Arc<Content>, PathBuf)]) {
        let inner = self.inner();
        let closed = appended.iter().filter(|it| !inner.appended.contains(&it.0.key));
        for held in closed.filter_map(|it| inner.contents.get(&it.0.key)) {
            self.settle(held);
            held.content.close();
        }
    }

    /// This thread calls [`Store::take_ahead`], and is woken when somebody may begin to write past us.
    pub fn taken_ahead_by(&self, thread: Thread) {
        drop(self.ahead.set(thread));
    }

    /// Whether anybody may be writing past us.
    #[must_use]
    pub fn is_passed_by(&self) -> bool {
        !self.inner().appended.is_empty()
    }

    fn begin_appending(&self, inner: &mut Inner, key: u64) {
        inner.appended.insert(key);
        self.has_begun.store(true, Ordering::Relaxed);
        self.ahead.get().into_iter().for_each(Thread::unpark);
    }

    fn ahead_bytes_max(&self) -> Result<u64, Errno> {
        let room = self.room()?;
        let free_bytes = room.budget_bytes.saturating_sub(room.held_bytes);
        Ok((free_bytes / AHEAD_PART).min(AHEAD_BYTES_MAX))
    }

    /// Nobody has the node open any more, as far as we know.
    pub(super) fn end_appending(&self, inner: &mut Inner, id: NodeId) {
        let Ok(node) = inner.tree.get(id) else { return };
        let Kind::File(file) = &node.kind else { return };
        // Of one that is older than the daemon nobody counted.
        let Some(backing) = file.backing.filter(|_| !node.is_loaded) else { return };
        let is_current = backing.key == file.key;
        inner.appended.remove(&backing.key);
        if is_current {
            if let Some(held) = inner.contents.get(&backing.key) {
                self.settle(held);
            }
            return;
        }
        self.unsee(inner, backing.key);
        inner.closed.push(backing.number);
        if let Ok(file) = inner.tree.file_mut(id) {
            file.backing = None;
        }
        if let Err(error) = self.remember(inner, id) {
            tracing::warn!(%error, node = id.0, "cannot be marked");
        }
    }

    /// Learns of what was written past us, and gives back what was taken ahead. Nobody may be writing past us.
    pub(super) fn settle(&self, held: &Held) {
        self.look_at(held, Content::give_back_ahead);
    }

    /// Learns of what was written past us.
    pub(super) fn measure(&self, held: &Held) {
        self.look_at(held, Content::measure);
    }

    fn look_at(&self, held: &Held, look: impl Fn(&Content, &File, &Meter) -> Result<(), Errno>) {
        let Some(log) = held.log.as_ref().filter(|_| self.passes()) else { return };
        let file = held.content.file(|| open(&self.in_logs(&log.path)));
        let looked = file.and_then(|it| look(&held.content, &it, &self.meter));
        if let Err(error) = looked {
            tracing::warn!(%error, log = %log.path.display(), "cannot be looked at");
        }
    }

    /// A new mount: the numbers were those of another.
    pub(super) fn forget_backings(&self, inner: &mut Inner) {
        for id in inner.tree.backed() {
            let Ok(file) = inner.tree.file_mut(id) else { continue };
            let (key, before) = (file.key, file.backing.take());
            if let Some(before) = before.filter(|it| it.key != key) {
                self.unsee(inner, before.key);
            }
            if let Err(error) = self.remember(inner, id) {
                tracing::warn!(%error, node = id.0, "cannot be marked");
            }
        }
        inner.appended.clear();
    }

    /// Writes to a node's file what the next daemon must know of it.
    pub(super) fn remember(&self, inner: &Inner, id: NodeId) -> Result<(), Errno> {
        let Kind::File(file) = &inner.tree.get(id)?.kind else { return Ok(()) };
        let held = inner.contents.get(&file.key).ok_or(Errno::STALE)?;
        let base = held.content.base();
        let mark = Mark { id, class: held.content.class(), base, backing: file.backing };
        mark.set(&self.place(inner, id)?)
    }
}
