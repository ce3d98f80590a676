//! Load: goes on with a store that another daemon left, however it ended.

use std::collections::{BTreeSet, HashMap};
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use flow::{Clock, SystemClock};
use pipeline::fs::FileId;
use pipeline::source::generation_key;
use rustix::fs::Statx;
use rustix::io::Errno;

use super::backing::Backing;
use super::content::Content;
use super::names::Class;
use super::place::{LOGS, NEW, ORPHANS, TREE};
use super::tree::{FileNode, Kind, Tree};
use super::{Inner, LogName, NodeId, ROOT, Retention, Selection, Store, file_name, names, stat};
use crate::meter::Meter;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}; the volume's folder must be a tmpfs that logdisk alone writes to", .path.display())]
pub struct LoadError {
    path: PathBuf,
    source: io::Error,
}

impl LoadError {
    fn at<E: Into<io::Error>>(path: &Path) -> impl FnOnce(E) -> LoadError {
        let path = path.to_path_buf();
        move |error| LoadError { path, source: error.into() }
    }
}

/// What is remembered with a file.
pub(super) struct Mark {
    /// Its node, if that is older than the file.
    pub(super) id: NodeId,
    pub(super) class: Class,
    /// Where that begins which applications see.
    pub(super) base: u64,
    /// What the kernel writes to by itself for the node.
    pub(super) backing: Option<Backing>,
}

impl Mark {
    pub(super) const NAME: &'static str = "trusted.logdisk";
    const BYTES: usize = 29;

    pub(super) fn new(id: NodeId, class: Class) -> Mark {
        Mark { id, class, base: 0, backing: None }
    }

    pub(super) fn bytes(&self) -> [u8; Mark::BYTES] {
        let mut bytes = [0; Mark::BYTES];
        bytes[..8].copy_from_slice(&self.id.0.to_le_bytes());
        bytes[8] = match self.class {
            Class::Copy => 0,
            Class::Log => 1,
            Class::Other => 2,
        };
        bytes[9..17].copy_from_slice(&self.base.to_le_bytes());
        if let Some(backing) = self.backing {
            bytes[17..21].copy_from_slice(&backing.number.to_le_bytes());
            bytes[21..].copy_from_slice(&backing.key.to_le_bytes());
        }
        bytes
    }

    /// That of a file which may have none.
    fn of(path: &Path, is: &Statx) -> Result<Mark, Errno> {
        let mut bytes = [0; Mark::BYTES];
        match rustix::fs::getxattr(path, Mark::NAME, &mut bytes) {
            Ok(Mark::BYTES) => {
                let long = |from: usize| {
                    u64::from_le_bytes(bytes[from..from + 8].try_into().unwrap_or_default())
                };
                // The kernel gives no number 0.
                let number = u32::from_le_bytes(bytes[17..21].try_into().unwrap_or_default());
                let backing = (number > 0).then_some(Backing { number, key: long(21) });
                let class = match bytes[8] {
                    0 => Class::Copy,
                    2 => Class::Other,
                    _ => Class::Log,
                };
                Ok(Mark { id: NodeId(long(0)), class, base: long(9), backing })
            }
            Ok(_) => Err(Errno::INVAL),
            Err(Errno::NODATA) => Ok(Mark::new(NodeId(is.stx_ino), Class::Log)),
            Err(error) => Err(error),
        }
    }
}

/// What the agent calls a file of the store. Nothing is ever cut, so that there is one incarnation.
pub(super) fn key_of(is: &Statx) -> u64 {
    let birth = &is.stx_btime;
    let birth_ns = birth.tv_sec.saturating_mul(1_000_000_000) + i64::from(birth.tv_nsec);
    generation_key(FileId { device: 0, inode: is.stx_ino, birth_ns }, 0)
}

impl Store {
    /// Opens the store in `folder`, with all that is in it.
    ///
    /// # Errors
    /// If the folder cannot be read or written.
    pub fn open_at(
        folder: &Path,
        selection: Selection,
        retention: Retention,
        meter: Arc<Meter>,
    ) -> Result<Store, LoadError> {
        for name in [TREE, LOGS, ORPHANS, NEW] {
            let path = folder.join(name);
            std::fs::create_dir_all(&path).map_err(LoadError::at(&path))?;
            if name != TREE {
                // Folders of applications may be closed to others, and here are their files in open ones.
                let closed = Permissions::from_mode(0o700);
                std::fs::set_permissions(&path, closed).map_err(LoadError::at(&path))?;
            }
        }
        let inner = Inner {
            tree: Tree::new(),
            contents: HashMap::new(),
            unseen: HashMap::new(),
            stamp: 0,
            made: 0,
            appended: BTreeSet::new(),
            closed: Vec::new(),
        };
        let (folder, inner) = (folder.to_path_buf(), Mutex::new(inner));
        let passes = AtomicBool::new(false);
        let (ahead, has_begun) = (OnceLock::new(), AtomicBool::new(false));
        let store = Store { folder, selection, retention, meter, passes, ahead, has_begun, inner };
        store.load()?;
        Ok(store)
    }

    fn load(&self) -> Result<(), LoadError> {
        let mut inner = self.inner();
        for name in list(&self.folder.join(NEW))? {
            let path = self.folder.join(NEW).join(name);
            let removed = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir(&path));
            removed.map_err(LoadError::at(&path))?;
        }
        let mut logs = self.logs_by_key(&mut inner)?;
        self.load_orphans(&mut inner, &mut logs)?;
        self.load_directory(&mut inner, &mut logs, ROOT, Path::new(""))?;
        let now_ns = SystemClock.monotonic_ns();
        // What is left was removed, or is of a file that was not made to the end.
        for (key, (path, size)) in logs {
            let place = self.in_logs(&path);
            let content = Content::new(key, size, Class::Log).known(&place);
            let content = content.map_err(LoadError::at(&place))?;
            inner.hold(content, Some(LogName { path, is_live: false }));
            if !inner.appended.contains(&key) {
                inner.unseen.insert(key, now_ns);
            }
            self.retire_strayed(&mut inner, key)?;
        }
        inner.tree.set_loaded();
        Ok(())
    }

    /// All files below `logs`: path and size.
    fn logs_by_key(&self, inner: &mut Inner) -> Result<HashMap<u64, (PathBuf, u64)>, LoadError> {
        let (mut logs, mut folders) = (HashMap::new(), vec![PathBuf::new()]);
        while let Some(folder) = folders.pop() {
            for name in list(&self.in_logs(&folder))? {
                let path = folder.join(&name);
                let is = stat(&self.in_logs(&path)).map_err(LoadError::at(&path))?;
                if is_directory(&is) {
                    folders.push(path);
                    continue;
                }
                inner.stamp = inner.stamp.max(names::stamp(&name).unwrap_or(0));
                logs.insert(key_of(&is), (path, is.stx_size));
            }
        }
        Ok(logs)
    }

    fn load_orphans(
        &self,
        inner: &mut Inner,
        logs: &mut HashMap<u64, (PathBuf, u64)>,
    ) -> Result<(), LoadError> {
        for name in list(&self.folder.join(ORPHANS))? {
            let path = self.folder.join(ORPHANS).join(&name);
            let is = stat(&path).map_err(LoadError::at(&path))?;
            let number = name.to_str().and_then(|it| u64::from_str_radix(it, 16).ok());
            let Some(id) = number.map(NodeId).filter(|_| is_file(&is)) else {
                // A link that nobody reads any more, or no file of ours.
                std::fs::remove_file(&path).map_err(LoadError::at(&path))?;
                continue;
            };
            let key = key_of(&is);
            let mark = Mark::of(&path, &is).map_err(LoadError::at(&path))?;
            inner.appended.extend(mark.backing.map(|it| it.key));
            let file = FileNode { key, opens: 0, backing: mark.backing };
            inner.tree.insert_orphan(id, Kind::File(file));
            let log = logs.remove(&key).map(|(path, _)| LogName { path, is_live: false });
            let class = class_of(&mark, log.as_ref());
            let content = Content::resumed(key, is.stx_size, class, mark.base).known(&path);
            inner.hold(content.map_err(LoadError::at(&path))?, log);
            if class == Class::Log {
                self.retire_strayed(inner, key)?;
            }
        }
        Ok(())
    }

    fn load_directory(
        &self,
        inner: &mut Inner,
        logs: &mut HashMap<u64, (PathBuf, u64)>,
        id: NodeId,
        folder: &Path,
    ) -> Result<(), LoadError> {
        let mut folders = vec![(id, folder.to_path_buf())];
        while let Some((parent, folder)) = folders.pop() {
            for name in list(&self.in_tree(&folder))? {
                let path = folder.join(&name);
                let place = self.in_tree(&path);
                let is = stat(&place).map_err(LoadError::at(&place))?;
                if is_directory(&is) {
                    let id = NodeId(is.stx_ino);
                    inner.tree.insert(parent, &name, id, Kind::directory());
                    folders.push((id, path));
                } else if is_file(&is) {
                    let mark = Mark::of(&place, &is).map_err(LoadError::at(&place))?;
                    let key = key_of(&is);
                    inner.appended.extend(mark.backing.map(|it| it.key));
                    let file = FileNode { key, opens: 0, backing: mark.backing };
                    inner.tree.insert(parent, &name, mark.id, Kind::File(file));
                    let log = match logs.remove(&key) {
                        Some((log, _)) => Some(LogName { is_live: log == path, path: log }),
                        None if mark.class == Class::Log => {
                            Some(self.link_again(inner, &place, &path)?)
                        }
                        None => None,
                    };
                    let is_strayed = log.as_ref().is_some_and(|it| !it.is_live);
                    let class = class_of(&mark, log.as_ref());
                    let content = Content::resumed(key, is.stx_size, class, mark.base);
                    let content = content.known(&place).map_err(LoadError::at(&place))?;
                    inner.hold(content, log);
                    if is_strayed {
                        self.retire_strayed(inner, key)?;
                    }
                } else {
                    inner.tree.insert(parent, &name, NodeId(is.stx_ino), Kind::Symlink);
                }
            }
        }
        Ok(())
    }

    /// Gives a file that has none its name for the agent.
    fn link_again(
        &self,
        inner: &mut Inner,
        place: &Path,
        path: &Path,
    ) -> Result<LogName, LoadError> {
        let live = LogName { path: path.to_path_buf(), is_live: true };
        match self.link_log(place, path) {
            Ok(()) => return Ok(live),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(LoadError::at(place)(error)),
        }
        inner.stamp += 1;
        let path = path.with_file_name(names::retired(&file_name(path), inner.stamp));
        self.link_log(place, &path).map_err(LoadError::at(place))?;
        Ok(LogName { path, is_live: false })
    }

    /// One that is no live file and still has the name of one, after a crash, gets the name of an older generation.
    fn retire_strayed(&self, inner: &mut Inner, key: u64) -> Result<(), LoadError> {
        let Some(log) = inner.contents.get_mut(&key).and_then(|it| it.log.as_mut()) else {
            return Ok(());
        };
        if names::stamp(&file_name(&log.path)).is_some() {
            return Ok(());
        }
        log.is_live = true;
        let path = self.in_logs(&log.path);
        self.retire(inner, key).map_err(LoadError::at(&path))
    }
}

fn list(folder: &Path) -> Result<Vec<std::ffi::OsString>, LoadError> {
    let entries = std::fs::read_dir(folder).map_err(LoadError::at(folder))?;
    let names: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.file_name())).collect();
    names.map_err(LoadError::at(folder))
}

/// What a file is: one without a name for the agent is no log, whatever it was.
fn class_of(mark: &Mark, log: Option<&LogName>) -> Class {
    match (log, mark.class) {
        (Some(_), _) => Class::Log,
        (None, Class::Other) => Class::Other,
        (None, Class::Copy | Class::Log) => Class::Copy,
    }
}

fn is_directory(is: &Statx) -> bool {
    rustix::fs::FileType::from_raw_mode(u32::from(is.stx_mode)).is_dir()
}

fn is_file(is: &Statx) -> bool {
    rustix::fs::FileType::from_raw_mode(u32::from(is.stx_mode)).is_file()
}
