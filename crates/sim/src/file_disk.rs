//! File disk: real files below a folder, by way of the few calls with which the embedded queue, and so a spool,
//! changes them. Each call may fail, be short or be the last; all writes fail while it is full; and a power cut takes
//! what was not synced.
//!
//! Files are real, as the queue opens, lists, reads and removes them by itself. What is safe of each is kept here, by
//! inode, as it was when it was last synced, and the names as they were when their folder was.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sink::queue::{Disk, SystemDisk};

use crate::DiskFault;

/// errno(3), all Linux architectures.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// The names in a folder, and the inodes that they lead to.
type Names = BTreeMap<OsString, u64>;

/// A disk. Clones are the same one.
#[derive(Debug, Clone)]
pub struct FileDisk {
    root: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// By inode. Held open, so that no other file gets its number.
    files: HashMap<u64, Content>,
    /// By inode, how many bytes a power cut would have left at some time, whatever became of the file then.
    was_safe: HashMap<u64, u64>,
    /// By folder: the names that a power cut leaves.
    safe_names: BTreeMap<PathBuf, Names>,
    steps: u64,
    /// The fault of the step with that number.
    fault: Option<(u64, DiskFault)>,
    is_full: bool,
    is_dead: bool,
    /// Where the last write went, and where it ended.
    last_write: Option<(u64, u64)>,
    /// Something was written since a sync was asked for last.
    is_unsynced: bool,
}

#[derive(Debug)]
struct Content {
    file: File,
    safe: Vec<u8>,
}

impl FileDisk {
    /// The disk below `root`, of which the names that are there are safe.
    #[must_use]
    pub fn new(root: &Path) -> FileDisk {
        let mut state = State::default();
        state.note_names(root);
        FileDisk { root: root.to_owned(), state: Arc::new(Mutex::new(state)) }
    }

    /// The step after so many others has a fault.
    pub fn fail_after(&self, steps: u64, fault: DiskFault) {
        let mut state = self.lock();
        state.fault = Some((state.steps + steps, fault));
    }

    /// Nothing can be written to it from now on, or again.
    pub fn set_full(&self, is_full: bool) {
        self.lock().is_full = is_full;
    }

    /// Whether the process died at a step.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.lock().is_dead
    }

    /// Another process has it now.
    pub fn revive(&self) {
        let mut state = self.lock();
        (state.is_dead, state.fault) = (false, None);
    }

    /// Where the last write ended, by inode and offset.
    #[must_use]
    pub fn last_write(&self) -> Option<(u64, u64)> {
        self.lock().last_write
    }

    /// Whether anything was written since this was asked last.
    #[must_use]
    pub fn take_unsynced(&self) -> bool {
        std::mem::take(&mut self.lock().is_unsynced)
    }

    /// Whether a power cut would leave the first so many bytes of that inode, or would have before it was removed.
    #[must_use]
    pub fn was_safe(&self, (inode, end): (u64, u64)) -> bool {
        self.lock().was_safe.get(&inode).is_some_and(|it| *it >= end)
    }

    /// The power is cut: of each file the first `torn` bytes are left that were written since it was last synced, and
    /// the others not; and so are names, if they are `kept`.
    ///
    /// # Panics
    /// If the real disk fails.
    pub fn cut_power(&self, torn: usize, kept: bool) {
        let mut state = self.lock();
        let mut left: Vec<(PathBuf, Option<Vec<u8>>)> = Vec::new();
        state.list(&self.root, torn, kept, &mut left);
        for entry in fs::read_dir(&self.root).expect("the real disk") {
            let path = entry.expect("the real disk").path();
            let removed =
                if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            removed.expect("the real disk");
        }
        *state = State { steps: state.steps, is_full: state.is_full, ..State::default() };
        for (path, content) in left {
            let Some(safe) = content else {
                fs::create_dir(&path).expect("the real disk");
                continue;
            };
            fs::write(&path, &safe).expect("the real disk");
            let file = File::open(&path).expect("the real disk");
            let inode = file.metadata().expect("the real disk").ino();
            state.files.insert(inode, Content { file, safe });
        }
        // What is left is what a power cut leaves again.
        state.note_names(&self.root);
        state.note_safe(&self.root);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of `bytes` a step does, and how it ends.
    fn step(&self, bytes: usize) -> (usize, io::Result<()>) {
        let mut state = self.lock();
        if state.is_dead {
            return (0, Err(io::Error::other("the process is dead")));
        }
        let number = state.steps;
        state.steps += 1;
        let errno = io::Error::from_raw_os_error;
        let (done, outcome) = match state.fault.filter(|(at, _)| *at == number).map(|it| it.1) {
            None if state.is_full && bytes > 0 => (0, Err(errno(ENOSPC))),
            None => (bytes, Ok(())),
            Some(DiskFault::Fails(io::ErrorKind::StorageFull)) => (0, Err(errno(ENOSPC))),
            Some(DiskFault::Fails(_)) => (0, Err(errno(EIO))),
            Some(DiskFault::Short(done)) => (done, Err(errno(ENOSPC))),
            Some(DiskFault::Dies(done)) => {
                state.is_dead = true;
                (done, Err(io::Error::other("the process died")))
            }
        };
        (done.min(bytes), outcome)
    }
}

impl Disk for FileDisk {
    fn write(&self, file: &File, offset: u64, head: &[u8], block: &[u8]) -> io::Result<()> {
        let bytes = head.len() + block.len();
        let (done, outcome) = self.step(bytes);
        let of_head = done.min(head.len());
        SystemDisk.write(file, offset, &head[..of_head], &block[..done - of_head])?;
        let (inode, own) = (file.metadata()?.ino(), again(file)?);
        let mut state = self.lock();
        if offset == 0 {
            state.was_safe.remove(&inode);
        }
        let known = state.files.entry(inode);
        known.or_insert_with(|| Content { file: own, safe: Vec::new() });
        state.last_write = Some((inode, offset + bytes as u64));
        state.is_unsynced = true;
        outcome
    }

    fn cut(&self, file: &File, bytes: u64) -> io::Result<()> {
        self.step(0).1?;
        SystemDisk.cut(file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.step(0).1?;
        let inode = file.metadata()?.ino();
        let own = again(file)?;
        let safe = content(&own)?;
        let mut state = self.lock();
        state.files.insert(inode, Content { file: own, safe });
        state.note_safe(&self.root);
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step(0).1?;
        let names = names(folder)?;
        let mut state = self.lock();
        state.safe_names.insert(folder.to_owned(), names);
        state.note_safe(&self.root);
        state.forget_unreachable();
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(0).1?;
        SystemDisk.rename(from, to)
    }
}

impl State {
    /// Whether the names of all folders on the way to this one are safe.
    fn is_reached(&self, root: &Path, folder: &Path) -> bool {
        folder == root
            || folder.parent().zip(folder.file_name()).is_some_and(|(above, name)| {
                let is_named = self.safe_names.get(above).is_some_and(|it| it.contains_key(name));
                is_named && self.is_reached(root, above)
            })
    }

    /// What a power cut leaves below a folder: folders before what is in them, with the content of files.
    fn list(
        &self,
        folder: &Path,
        torn: usize,
        kept: bool,
        left: &mut Vec<(PathBuf, Option<Vec<u8>>)>,
    ) {
        let now = names(folder).unwrap_or_default();
        let safe = self.safe_names.get(folder).cloned().unwrap_or_default();
        for (name, inode) in if kept { now } else { safe } {
            let path = folder.join(name);
            // No folder of a spool is ever removed.
            if path.is_dir() {
                left.push((path.clone(), None));
                self.list(&path, torn, kept, left);
                continue;
            }
            let known = self.files.get(&inode);
            let mut bytes = known.map_or(Vec::new(), |it| it.safe.clone());
            let now = known.map_or(Vec::new(), |it| content(&it.file).unwrap_or_default());
            bytes.extend(now.into_iter().skip(bytes.len()).take(torn));
            left.push((path, Some(bytes)));
        }
    }

    /// All names below a folder are safe.
    fn note_names(&mut self, folder: &Path) {
        let names = names(folder).unwrap_or_default();
        for name in names.keys() {
            let path = folder.join(name);
            if path.is_dir() {
                self.note_names(&path);
            }
        }
        self.safe_names.insert(folder.to_owned(), names);
    }

    /// What a power cut would leave now counts as safe.
    fn note_safe(&mut self, root: &Path) {
        for (folder, names) in &self.safe_names {
            if !self.is_reached(root, folder) {
                continue;
            }
            for inode in names.values() {
                let Some(content) = self.files.get(inode) else { continue };
                let bytes = self.was_safe.entry(*inode).or_default();
                *bytes = (content.safe.len() as u64).max(*bytes);
            }
        }
    }

    fn forget_unreachable(&mut self) {
        let safe_names = &self.safe_names;
        self.files.retain(|inode, it| {
            let has_name = it.file.metadata().is_ok_and(|it| it.nlink() > 0);
            has_name || safe_names.values().any(|names| names.values().any(|it| it == inode))
        });
    }
}

fn names(folder: &Path) -> io::Result<Names> {
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.file_name(), entry.metadata()?.ino()))
    };
    fs::read_dir(folder)?.map(entry).collect()
}

/// Opens a file once more, to be read, whether or not it has a name.
fn again(file: &File) -> io::Result<File> {
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn content(file: &File) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.metadata()?.len()).expect("a small file");
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
