//! Store: one volume, as files of a tmpfs.
//!
//! ```text
//! tree/      what applications see
//! logs/      what the agent collects: hard links to the same files
//! orphans/   what applications removed and still have open, by number of node
//! new/       what is being made
//! ```
//!
//! A file that an application makes has a name in both folders. Under `logs` it has the name of its live file as long
//! as it is that, and then, whatever applications do, the name of an older generation of it (`names`): until the
//! agent has acknowledged all of it and no application can see it. So the agent collects a volume as it
//! collects any folder, and rotation, removal and truncation lose nothing. A truncation gives the node new, empty
//! content; the old one goes on as an older generation.
//!
//! All that outlives the daemon lies in these folders: opening a store that was in use goes on with it. Errors are those
//! that applications see. Any thread may call; requests for one node come one after the other, as the kernel sends them.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, Statx, StatxFlags};
use rustix::io::Errno;

use crate::meter::Meter;

mod attr;
mod backing;
mod change;
mod content;
mod dropping;
mod load;
mod names;
mod new;
mod place;
mod release;
mod tree;

pub use attr::{Attr, Changes, FileKind};
pub use backing::Backed;
pub use change::Maker;
pub use content::{Missing, Order, Written};
pub use load::LoadError;
pub use names::{NAME_BYTES_MAX, Selection};
pub use place::make_top;
pub use release::{Room, Until};
pub use tree::{NodeId, ROOT};

use content::Content;
use tree::{Kind, Tree};

/// What is kept of what the agent has acknowledged.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// For readers at the end of each file, in bytes.
    pub keep_bytes: u64,
    /// How long a file that no application sees any more keeps its name for the agent: discovery must have seen it
    /// under that name before it goes, or it takes it for a rotation that it missed.
    pub linger: Duration,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention { keep_bytes: 1 << 20, linger: Duration::from_secs(10) }
    }
}

/// One volume.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    selection: Selection,
    retention: Retention,
    meter: Arc<Meter>,
    /// The kernel may write to files by itself.
    passes: AtomicBool,
    /// Who takes memory ahead of those who write past us.
    ahead: OnceLock<Thread>,
    /// Somebody may have begun to write past us since that was looked at.
    has_begun: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    tree: Tree,
    /// By key.
    contents: HashMap<u64, Held>,
    /// Keys of contents that no application can reach, and since when.
    unseen: HashMap<u64, u64>,
    /// What the next older generation has in its name.
    stamp: u64,
    /// Number of the next file that is made.
    made: u64,
    /// Keys of contents to which the kernel may be writing by itself.
    appended: BTreeSet<u64>,
    /// Numbers of backings that nobody needs any more.
    closed: Vec<u32>,
}

/// A content, and who has it.
#[derive(Debug)]
struct Held {
    content: Arc<Content>,
    /// Its name below `logs`; `None` if it is not collected.
    log: Option<LogName>,
}

#[derive(Debug, Clone)]
struct LogName {
    path: PathBuf,
    /// It has the name of a live file, and not of an older generation.
    is_live: bool,
}

impl Store {
    /// What it does, in numbers.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds a name in a directory, and counts that the caller knows the node.
    ///
    /// # Errors
    /// `ENOENT` if there is none.
    pub fn lookup(&self, parent: NodeId, name: &OsStr) -> Result<Attr, Errno> {
        let mut inner = self.inner();
        let id = inner.tree.lookup(parent, name)?;
        let attr = self.attr_of(&inner, id)?;
        inner.tree.get_mut(id)?.lookups += 1;
        Ok(attr)
    }

    /// The caller knows the node so many times less. One without a name is gone with the last.
    pub fn forget(&self, id: NodeId, lookups: u64) {
        let mut inner = self.inner();
        let Ok(node) = inner.tree.get_mut(id) else { return };
        node.lookups = node.lookups.saturating_sub(lookups);
        // Of one that is older than the daemon nobody counted: an inode that is removed is forgotten at once.
        if node.is_orphan && (node.lookups == 0 || node.is_loaded) {
            self.remove_orphan(&mut inner, id);
        }
    }

    /// Whoever had files open has not any more: nodes without a name are gone.
    pub fn forget_all(&self) {
        let mut inner = self.inner();
        self.forget_backings(&mut inner);
        for id in inner.tree.orphans() {
            self.remove_orphan(&mut inner, id);
        }
    }

    /// Attributes of a node.
    ///
    /// # Errors
    /// As `stat`.
    pub fn attr(&self, id: NodeId) -> Result<Attr, Errno> {
        self.attr_of(&self.inner(), id)
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// As `readlink`.
    pub fn read_link(&self, id: NodeId) -> Result<Vec<u8>, Errno> {
        let inner = self.inner();
        let target = rustix::fs::readlink(self.place(&inner, id)?, Vec::new())?;
        Ok(target.into_bytes())
    }

    /// Tells the entries of a directory after `after`, until `take` has enough. What is made or removed meanwhile
    /// disturbs no other entry.
    ///
    /// # Errors
    /// `ENOTDIR`.
    pub fn list(
        &self,
        id: NodeId,
        after: NodeId,
        mut take: impl FnMut(NodeId, &OsStr, FileKind) -> bool,
    ) -> Result<(), Errno> {
        let inner = self.inner();
        for (id, node) in inner.tree.list(id, after)? {
            if !take(id, &node.name, FileKind::of(&node.kind)) {
                break;
            }
        }
        Ok(())
    }

    /// The directory that a directory is in.
    ///
    /// # Errors
    /// `ESTALE` if it is gone.
    pub fn parent(&self, id: NodeId) -> Result<NodeId, Errno> {
        Ok(self.inner().tree.get(id)?.parent)
    }

    /// The file is opened once more.
    ///
    /// # Errors
    /// As `open`.
    pub fn open(&self, id: NodeId) -> Result<(), Errno> {
        let mut inner = self.inner();
        inner.tree.file_mut(id)?.opens += 1;
        self.file_of(&inner, id).map(drop)
    }

    /// The file is open once less.
    pub fn close(&self, id: NodeId) {
        let mut inner = self.inner();
        let Ok(file) = inner.tree.file_mut(id) else { return };
        file.opens = file.opens.saturating_sub(1);
        let (key, is_open) = (file.key, file.opens > 0);
        if !is_open {
            self.end_appending(&mut inner, id);
        }
        if let Some(held) = inner.contents.get(&key).filter(|_| !is_open) {
            held.content.close();
        }
    }

    /// Reads; shorter than asked only at the end of the file. What is not in memory any more reads as NUL, and is told.
    ///
    /// # Errors
    /// As `pread`.
    pub fn read(
        &self,
        id: NodeId,
        offset: u64,
        into: &mut [u8],
    ) -> Result<(usize, Option<Missing>), Errno> {
        let (content, file) = self.file_of(&self.inner(), id)?;
        let len = content.read(&file, offset, into)?;
        // Asked behind: what was given back meanwhile is told, too.
        Ok((len, content.missing(offset, len as u64)))
    }

    /// Writes all of `data`, or says why not.
    ///
    /// # Errors
    /// As `pwrite`, but for `ENOSPC`, which is [`Written::Full`].
    pub fn write(
        &self,
        id: NodeId,
        offset: u64,
        data: &[u8],
        order: Order,
    ) -> Result<Written, Errno> {
        let (content, file) = self.file_of(&self.inner(), id)?;
        let written = content.write(&file, data, offset, order, &self.meter)?;
        if content.is_copy() {
            content.release(self.retention.keep_bytes, || Err(Errno::BADF), &self.meter)?;
        }
        Ok(written)
    }

    /// Content and open file of a node.
    fn file_of(&self, inner: &Inner, id: NodeId) -> Result<(Arc<Content>, Arc<File>), Errno> {
        let Kind::File(node) = &inner.tree.get(id)?.kind else { return Err(Errno::ISDIR) };
        let held = inner.contents.get(&node.key).ok_or(Errno::STALE)?;
        let content = Arc::clone(&held.content);
        // By the agent's name: its watch of that folder hears of what is done by way of it alone.
        let file = content.file(|| match &held.log {
            Some(log) => open(&self.in_logs(&log.path)),
            None => open(&self.place(inner, id)?),
        })?;
        if self.passes() {
            content.measure(&file, &self.meter)?;
        }
        Ok((content, file))
    }

    fn attr_of(&self, inner: &Inner, id: NodeId) -> Result<Attr, Errno> {
        let node = inner.tree.get(id)?;
        let mut attr = Attr::new(id, node, &stat(&self.place(inner, id)?)?);
        if let Kind::File(file) = &node.kind {
            let base = inner.contents.get(&file.key).map_or(0, |it| it.content.base());
            attr.size = attr.size.saturating_sub(base);
        }
        Ok(attr)
    }
}

/// Opens a file of the store.
fn open(path: &Path) -> Result<File, Errno> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOATIME;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

fn stat(path: &Path) -> Result<Statx, Errno> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, wanted)
}

/// Renames, and replaces nothing.
fn rename_new(from: &Path, to: &Path) -> Result<(), Errno> {
    rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
}

/// The last part of a path, which has one.
fn file_name(path: &Path) -> OsString {
    path.file_name().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
