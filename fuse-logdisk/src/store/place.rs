//! Place: where in the store's folder a file lies, and the names that the agent has for it.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::{Clock, SystemClock};
use rustix::io::Errno;

use super::content::Content;
use super::tree::{Kind, NodeId};
use super::{Held, Inner, LogName, Store, file_name, names, rename_new};

/// What applications see.
pub(super) const TREE: &str = "tree";
/// What the agent collects.
pub(super) const LOGS: &str = "logs";
/// What is removed and open.
pub(super) const ORPHANS: &str = "orphans";
/// What is being made.
pub(super) const NEW: &str = "new";

/// Makes the top folder that applications see, in a volume that has none yet.
///
/// # Errors
/// As `mkdir`.
pub fn make_top(folder: &Path, permissions: u32) -> io::Result<()> {
    let top = folder.join(TREE);
    match std::fs::create_dir(&top) {
        Ok(()) => std::fs::set_permissions(&top, Permissions::from_mode(permissions)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

impl Store {
    /// The folder that the agent is to collect.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.folder.join(LOGS)
    }

    /// What applications call a node, for people; its number, if it has no name any more.
    #[must_use]
    pub fn name_of(&self, id: NodeId) -> PathBuf {
        let path = self.inner().tree.path(id);
        path.unwrap_or_else(|_| PathBuf::from(format!("{:016x}", id.0)))
    }

    /// Where a node lies.
    pub(super) fn place(&self, inner: &Inner, id: NodeId) -> Result<PathBuf, Errno> {
        if inner.tree.get(id)?.is_orphan {
            return Ok(self.orphan(id));
        }
        Ok(self.in_tree(&inner.tree.path(id)?))
    }

    pub(super) fn in_tree(&self, path: &Path) -> PathBuf {
        join(&self.folder.join(TREE), path)
    }

    pub(super) fn in_logs(&self, path: &Path) -> PathBuf {
        join(&self.logs(), path)
    }

    pub(super) fn orphan(&self, id: NodeId) -> PathBuf {
        self.folder.join(ORPHANS).join(format!("{:016x}", id.0))
    }

    /// Gives `from`, a file of the store, a name below `logs`.
    pub(super) fn link_log(&self, from: &Path, path: &Path) -> Result<(), Errno> {
        let to = self.in_logs(path);
        let linked = rustix::fs::link(from, &to);
        if linked != Err(Errno::NOENT) {
            return linked;
        }
        let parent = to.parent().ok_or(Errno::NOENT)?;
        std::fs::create_dir_all(parent)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        rustix::fs::link(from, &to)
    }

    /// The content leaves the place of the live file: its name below `logs` becomes that of an older generation.
    pub(super) fn retire(&self, inner: &mut Inner, key: u64) -> Result<(), Errno> {
        let Some(held) = inner.contents.get_mut(&key) else { return Ok(()) };
        let Some(log) = held.log.as_mut().filter(|it| it.is_live) else { return Ok(()) };
        let path = loop {
            inner.stamp += 1;
            let path = log.path.with_file_name(names::retired(&file_name(&log.path), inner.stamp));
            let to = self.in_logs(&path);
            match rename_new(&self.in_logs(&log.path), &to) {
                Ok(()) => break path,
                // An application chose the very name.
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        };
        *log = LogName { path, is_live: false };
        Ok(())
    }

    /// The file was renamed from `before` to `after` for applications.
    ///
    /// What was written belongs to the name that it was written under. One that was not written to has not chosen yet.
    pub(super) fn moved(
        &self,
        inner: &mut Inner,
        id: NodeId,
        before: &Path,
        after: &Path,
    ) -> Result<(), Errno> {
        let Kind::File(file) = &inner.tree.get(id)?.kind else { return Ok(()) };
        // What was written to an open one may still lie in the page cache.
        let (key, is_open) = (file.key, file.opens > 0);
        let Some(held) = inner.contents.get_mut(&key) else { return Ok(()) };
        let Some(log) = held.log.as_mut() else { return Ok(()) };
        if !log.is_live || log.path != before {
            return Ok(());
        }
        let from = self.in_logs(&log.path);
        // An application may have chosen the very name that an older generation has.
        let is_unwritten = held.content.size() == 0 && !is_open;
        if is_unwritten && self.link_log(&from, after).is_ok() {
            rustix::fs::unlink(&from)?;
            log.path = after.to_path_buf();
            self.remove_empty(before);
            return Ok(());
        }
        self.retire(inner, key)
    }

    /// Removes folders below `logs` in which nothing is left, and that applications do not have any more.
    pub(super) fn remove_empty(&self, path: &Path) {
        for folder in path.ancestors().skip(1).filter(|it| *it != Path::new("")) {
            let is_in_use = self.in_tree(folder).try_exists().unwrap_or(true);
            // It fails unless it is empty.
            if is_in_use || std::fs::remove_dir(self.in_logs(folder)).is_err() {
                return;
            }
        }
    }

    /// Nobody but the agent has the content any more.
    pub(super) fn unsee(&self, inner: &mut Inner, key: u64) {
        inner.appended.remove(&key);
        let Some(held) = inner.contents.get(&key) else { return };
        self.settle(held);
        held.content.close();
        if held.log.is_some() {
            inner.unseen.insert(key, SystemClock.monotonic_ns());
        } else {
            inner.contents.remove(&key);
        }
    }

    /// A node that has no name is not known to anybody any more.
    pub(super) fn remove_orphan(&self, inner: &mut Inner, id: NodeId) {
        let Some(node) = inner.tree.remove(id) else { return };
        if let Err(error) = rustix::fs::unlink(self.orphan(id)) {
            tracing::warn!(%error, node = id.0, "a removed file stays in memory");
        }
        if let Kind::File(file) = node.kind {
            if let Some(backing) = file.backing {
                inner.closed.push(backing.number);
                self.unsee(inner, backing.key);
            }
            self.unsee(inner, file.key);
        }
    }
}

impl Inner {
    /// Whether a file of that name is in the directory.
    pub(super) fn has_file(&self, parent: NodeId, name: &OsStr) -> bool {
        let node = self.tree.lookup(parent, name).and_then(|id| self.tree.get(id));
        node.is_ok_and(|it| matches!(it.kind, Kind::File(_)))
    }

    pub(super) fn hold(&mut self, content: Content, log: Option<LogName>) {
        self.contents.insert(content.key, Held { content: Arc::new(content), log });
    }
}

/// As `Path::join`, but nothing is appended for an empty path.
fn join(folder: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { folder.to_path_buf() } else { folder.join(path) }
}
