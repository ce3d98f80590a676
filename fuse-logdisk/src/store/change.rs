//! Change: makes, renames, removes and cuts what applications see.
//!
//! Each of these can be asked for again after a crash in the middle of it: a step that is done is found done.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, XattrFlags};
use rustix::io::Errno;

use super::attr::own;
use super::content::Content;
use super::load::{Mark, key_of};
use super::names::Class;
use super::tree::{FileNode, Kind};
use super::{Attr, Inner, LogName, NAME_BYTES_MAX, NodeId, Store, names, stat};

/// Mode bit of directories whose files have the directory's group.
const SET_GROUP: u16 = 0o2000;
/// How much is copied at once, in bytes.
const COPY_BYTES: usize = 64 << 10;

/// Who makes something.
#[derive(Debug, Clone, Copy)]
pub struct Maker {
    /// Owner of what is made.
    pub uid: u32,
    /// Its group, unless the directory says otherwise.
    pub gid: u32,
}

impl Store {
    /// Makes a file.
    ///
    /// # Errors
    /// `EEXIST` if the name is taken, `ENAMETOOLONG`, and as `open`.
    pub fn create(
        &self,
        parent: NodeId,
        name: &OsStr,
        mode: u32,
        maker: Maker,
    ) -> Result<Attr, Errno> {
        let mut inner = self.inner();
        let path = self.free(&inner, parent, name)?;
        let class = self.selection.class(name, |base| inner.has_file(parent, base));
        let (new, file) = self.make(&mut inner)?;
        own(&new, Some(maker.uid), Some(self.group(&inner, parent, maker)?))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o7777))?;
        let is = stat(&new)?;
        let id = NodeId(is.stx_ino);
        if class != Class::Log {
            Mark::new(id, class).set(&new)?;
        }
        let is_log = class == Class::Log;
        let log = is_log.then(|| LogName { path: path.clone(), is_live: true });
        if let Some(log) = &log {
            self.make_way(&mut inner, &log.path)?;
            self.link_log(&new, &log.path)?;
        }
        rustix::fs::rename(&*new, self.in_tree(&path))?;
        let key = key_of(&is);
        inner.hold(Content::new(key, 0, class), log);
        inner.tree.insert(parent, name, id, Kind::File(FileNode { key, opens: 0, backing: None }));
        inner.tree.get_mut(id)?.lookups += 1;
        self.attr_of(&inner, id)
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// `EEXIST` if the name is taken, `ENAMETOOLONG`, and as `mkdir`.
    pub fn make_directory(
        &self,
        parent: NodeId,
        name: &OsStr,
        mode: u32,
        maker: Maker,
    ) -> Result<Attr, Errno> {
        let mut inner = self.inner();
        let path = self.in_tree(&self.free(&inner, parent, name)?);
        let new = self.next_new(&mut inner);
        rustix::fs::mkdir(&*new, Mode::RWXU)?;
        own(&new, Some(maker.uid), Some(self.group(&inner, parent, maker)?))?;
        let above = stat(&self.place(&inner, parent)?)?.stx_mode & SET_GROUP;
        rustix::fs::chmod(&*new, Mode::from_raw_mode(mode & 0o7777 | u32::from(above)))?;
        rustix::fs::rename(&*new, &path)?;
        self.enter(&mut inner, parent, name, &path, Kind::directory())
    }

    /// Makes a symbolic link. The agent does not see it, and so follows it nowhere.
    ///
    /// # Errors
    /// `EEXIST` if the name is taken, `ENAMETOOLONG`, and as `symlink`.
    pub fn make_link(
        &self,
        parent: NodeId,
        name: &OsStr,
        target: &Path,
        maker: Maker,
    ) -> Result<Attr, Errno> {
        let mut inner = self.inner();
        let path = self.in_tree(&self.free(&inner, parent, name)?);
        let new = self.next_new(&mut inner);
        rustix::fs::symlink(target, &*new)?;
        own(&new, Some(maker.uid), Some(self.group(&inner, parent, maker)?))?;
        rustix::fs::rename(&*new, &path)?;
        self.enter(&mut inner, parent, name, &path, Kind::Symlink)
    }

    /// Removes a file or a symbolic link. Who has it open goes on with it.
    ///
    /// # Errors
    /// `EISDIR` if it is a directory, and as `unlink`.
    pub fn remove(&self, parent: NodeId, name: &OsStr) -> Result<(), Errno> {
        let mut inner = self.inner();
        let id = inner.tree.lookup(parent, name)?;
        self.unlink(&mut inner, id)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `ENOTEMPTY` if it is not, and as `rmdir`.
    pub fn remove_directory(&self, parent: NodeId, name: &OsStr) -> Result<(), Errno> {
        let mut inner = self.inner();
        let id = inner.tree.lookup(parent, name)?;
        self.remove_empty_directory(&mut inner, id)
    }

    /// Renames; what has the new name is removed, unless `is_new` forbids that.
    ///
    /// # Errors
    /// As `rename`.
    pub fn rename(
        &self,
        parent: NodeId,
        name: &OsStr,
        new_parent: NodeId,
        new_name: &OsStr,
        is_new: bool,
    ) -> Result<(), Errno> {
        let mut inner = self.inner();
        let id = inner.tree.lookup(parent, name)?;
        check_name(new_name)?;
        if inner.tree.get(new_parent)?.is_orphan {
            return Err(Errno::NOENT);
        }
        if inner.tree.is_within(new_parent, id) {
            return Err(Errno::INVAL);
        }
        match inner.tree.lookup(new_parent, new_name) {
            Ok(other) if other == id => return Ok(()),
            Ok(_) if is_new => return Err(Errno::EXIST),
            Ok(other) => self.replace(&mut inner, id, other)?,
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
        let before = inner.tree.path(id)?;
        let after = self.free(&inner, new_parent, new_name)?;
        rustix::fs::rename(self.in_tree(&before), self.in_tree(&after))?;
        let files = inner.tree.files_within(id);
        for file in files {
            let place = inner.tree.path(file)?;
            let below = place.strip_prefix(&before).unwrap_or_else(|_| Path::new(""));
            let (from, to) = if file == id {
                (before.clone(), after.clone())
            } else {
                (before.join(below), after.join(below))
            };
            self.moved(&mut inner, file, &from, &to)?;
        }
        inner.tree.rename(id, new_parent, new_name);
        self.remove_empty(&before);
        Ok(())
    }

    /// Room ahead costs nothing here: only a length may change.
    ///
    /// # Errors
    /// As `ftruncate`.
    pub fn lengthen(&self, id: NodeId, size: u64) -> Result<(), Errno> {
        let inner = self.inner();
        let (content, file) = self.file_of(&inner, id)?;
        content.lengthen(&file, size)
    }

    /// Gives a file another length.
    pub(super) fn resize(
        &self,
        inner: &mut Inner,
        id: NodeId,
        size: u64,
        is_opened: bool,
    ) -> Result<(), Errno> {
        let (content, file) = self.file_of(inner, id)?;
        if size >= content.seen_bytes() {
            return content.lengthen(&file, size);
        }
        let held = inner.contents.get(&content.key).ok_or(Errno::STALE)?;
        let log = held.log.clone();
        let backing = inner.tree.file_mut(id)?.backing;
        let is_backed = backing.is_some_and(|it| it.key == content.key);
        match log {
            None => content.cut(&file, size),
            // Whoever opens a rotated file to write it anew writes a copy.
            Some(log) if is_opened && !log.is_live && !self.is_log_name(inner, id)? => {
                self.renew(inner, id, &content, &file, None, size)
            }
            // Who appends past us goes on to do so.
            Some(_) if is_backed && size == 0 => {
                content.begin_anew();
                self.remember(inner, id)
            }
            Some(log) => self.renew(inner, id, &content, &file, Some(&log), size),
        }
    }

    /// Whether a file made now under the name of that node would be a log.
    fn is_log_name(&self, inner: &Inner, id: NodeId) -> Result<bool, Errno> {
        let node = inner.tree.get(id)?;
        let class = self.selection.class(&node.name, |base| inner.has_file(node.parent, base));
        Ok(node.is_orphan || class == Class::Log)
    }

    /// Gives a node new content, with the first `size` bytes of the old one; that one is an older generation now.
    fn renew(
        &self,
        inner: &mut Inner,
        id: NodeId,
        old: &Content,
        old_file: &File,
        log: Option<&LogName>,
        size: u64,
    ) -> Result<(), Errno> {
        let place = self.place(inner, id)?;
        let is = stat(&place)?;
        let (new, file) = self.make(inner)?;
        own(&new, Some(is.stx_uid), Some(is.stx_gid))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(u32::from(is.stx_mode & 0o7777)))?;
        let backing = inner.tree.file_mut(id)?.backing;
        // What a log is cut to is one, or else a copy of another.
        let class = if log.is_some() { Class::Log } else { Class::Copy };
        Mark { backing, ..Mark::new(id, class) }.set(&new)?;
        copy(old, old_file, &file, size)?;
        let new_log = match log {
            Some(log) if log.is_live => {
                self.retire(inner, old.key)?;
                Some(log.clone())
            }
            Some(log) => {
                inner.stamp += 1;
                let name = names::retired(log.path.file_name().unwrap_or_default(), inner.stamp);
                Some(LogName { path: log.path.with_file_name(name), is_live: false })
            }
            None => None,
        };
        if let Some(log) = &new_log {
            self.link_log(&new, &log.path)?;
        }
        rustix::fs::rename(&*new, &place)?;
        let is = stat(&place)?;
        let content = Content::new(key_of(&is), size, class);
        content.begins_with(&file, old, size);
        inner.tree.file_mut(id)?.key = content.key;
        inner.hold(content, new_log);
        if !inner.appended.contains(&old.key) {
            self.unsee(inner, old.key);
        }
        Ok(())
    }

    /// Path of a name that may be given now.
    fn free(&self, inner: &Inner, parent: NodeId, name: &OsStr) -> Result<PathBuf, Errno> {
        check_name(name)?;
        if inner.tree.get(parent)?.is_orphan {
            return Err(Errno::NOENT);
        }
        if inner.tree.lookup(parent, name).is_ok() {
            return Err(Errno::EXIST);
        }
        Ok(inner.tree.path(parent)?.join(name))
    }

    /// Whoever has the name below `logs` that a new file is to have gets another: a file that an application chose to
    /// call like an older generation of another.
    fn make_way(&self, inner: &mut Inner, path: &Path) -> Result<(), Errno> {
        let has_it = |log: &LogName| log.path == path;
        let in_the_way = self.in_logs(path).try_exists().unwrap_or(false);
        if !in_the_way {
            return Ok(());
        }
        let held = inner.contents.values_mut();
        let mut logs = held.filter_map(|it| Some((it.content.key, it.log.as_mut()?)));
        let Some((key, log)) = logs.find(|(_, log)| has_it(log)) else { return Ok(()) };
        log.is_live = true;
        self.retire(inner, key)
    }

    fn group(&self, inner: &Inner, parent: NodeId, maker: Maker) -> Result<u32, Errno> {
        let parent = stat(&self.place(inner, parent)?)?;
        Ok(if parent.stx_mode & SET_GROUP != 0 { parent.stx_gid } else { maker.gid })
    }

    fn enter(
        &self,
        inner: &mut Inner,
        parent: NodeId,
        name: &OsStr,
        path: &Path,
        kind: Kind,
    ) -> Result<Attr, Errno> {
        let id = NodeId(stat(path)?.stx_ino);
        inner.tree.insert(parent, name, id, kind);
        inner.tree.get_mut(id)?.lookups += 1;
        self.attr_of(inner, id)
    }

    fn replace(&self, inner: &mut Inner, id: NodeId, other: NodeId) -> Result<(), Errno> {
        let is_directory =
            |id| Ok::<_, Errno>(matches!(inner.tree.get(id)?.kind, Kind::Directory { .. }));
        match (is_directory(id)?, is_directory(other)?) {
            (true, false) => Err(Errno::NOTDIR),
            (false, true) => Err(Errno::ISDIR),
            (true, true) => self.remove_empty_directory(inner, other),
            (false, false) => self.unlink(inner, other),
        }
    }

    fn unlink(&self, inner: &mut Inner, id: NodeId) -> Result<(), Errno> {
        let path = inner.tree.path(id)?;
        let key = match &inner.tree.get(id)?.kind {
            Kind::Directory { .. } => return Err(Errno::ISDIR),
            Kind::File(file) => Some(file.key),
            Kind::Symlink => None,
        };
        rustix::fs::rename(self.in_tree(&path), self.orphan(id))?;
        inner.tree.detach(id);
        if let Some(key) = key {
            self.retire(inner, key)?;
        }
        let node = inner.tree.get(id)?;
        if node.lookups == 0 && !node.is_loaded {
            self.remove_orphan(inner, id);
        }
        Ok(())
    }

    fn remove_empty_directory(&self, inner: &mut Inner, id: NodeId) -> Result<(), Errno> {
        if !inner.tree.names(id)?.is_empty() {
            return Err(Errno::NOTEMPTY);
        }
        let path = inner.tree.path(id)?;
        rustix::fs::rmdir(self.in_tree(&path))?;
        inner.tree.detach(id);
        inner.tree.remove(id);
        self.remove_empty(&path.join("gone"));
        Ok(())
    }
}

impl Mark {
    /// Writes it to a file.
    pub(super) fn set(&self, path: &Path) -> Result<(), Errno> {
        rustix::fs::setxattr(path, Mark::NAME, &self.bytes(), XattrFlags::empty())
    }
}

fn check_name(name: &OsStr) -> Result<(), Errno> {
    if name.len() > NAME_BYTES_MAX { Err(Errno::NAMETOOLONG) } else { Ok(()) }
}

/// Copies the first `size` bytes that are kept.
fn copy(old: &Content, from: &File, to: &File, size: u64) -> Result<(), Errno> {
    let mut piece = vec![0; COPY_BYTES];
    let mut at = 0;
    while at < size {
        let wanted = usize::try_from(size - at).map_or(COPY_BYTES, |it| it.min(COPY_BYTES));
        let len = old.read(from, at, &mut piece[..wanted])?;
        if len == 0 {
            break;
        }
        if piece[..len].iter().any(|it| *it != 0) {
            to.write_all_at(&piece[..len], at)
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        }
        at += len as u64;
    }
    rustix::fs::ftruncate(to, size)
}
