//! World: a file system in memory that keeps everything ever written to it.
//!
//! Actors change it by its own methods and through [`Writer`]s, which hold a file open whatever its
//! name; the pipeline sees it through [`pipeline::fs::Fs`]. Inode numbers are used again at once, as on
//! ext4. What the pipeline was told, and when it lost its last way to a file, is noted: that is how
//! much of what is gone it owes an account of.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipeline::fs::FileId;

use crate::SimClock;

mod disk;
mod file;
mod view;
mod writer;

pub use file::{End, File, Life, Lost};
pub use writer::Writer;

/// A file system. Clones are the same one.
#[derive(Debug, Clone)]
pub struct World {
    clock: Arc<SimClock>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// All there ever were, in the order of their creation.
    files: Vec<File>,
    /// By path, its place in `files`.
    names: BTreeMap<PathBuf, usize>,
    directories: BTreeMap<PathBuf, Directory>,
    /// Inode numbers that are free again.
    free: BTreeSet<u64>,
    last_inode: u64,
    faults: Faults,
    is_dying: bool,
}

#[derive(Debug, Clone, Copy)]
struct Directory {
    id: FileId,
    modified_ns: u64,
}

/// What goes wrong for the agent, until it is taken back.
#[derive(Debug, Clone, Default)]
struct Faults {
    /// Opening by name fails so.
    open: Option<io::ErrorKind>,
    /// Reading fails so.
    read: Option<io::ErrorKind>,
    /// A read brings at most so many bytes, as one does that meets an error later on.
    short: Option<usize>,
}

impl World {
    /// An empty one.
    #[must_use]
    pub fn new() -> World {
        World { clock: Arc::default(), state: Arc::default() }
    }

    /// An empty one, at the same time as others.
    #[must_use]
    pub fn with_clock(clock: Arc<SimClock>) -> World {
        World { clock, state: Arc::default() }
    }

    /// Its time.
    #[must_use]
    pub fn clock(&self) -> Arc<SimClock> {
        Arc::clone(&self.clock)
    }

    /// All files there ever were, in the order of their creation.
    #[must_use]
    pub fn files(&self) -> Vec<File> {
        self.lock().files.clone()
    }

    /// How many descriptors the agent has, but for files that no name leads to.
    #[must_use]
    pub fn open_files(&self) -> u64 {
        let state = self.lock();
        state.files.iter().filter(|it| it.links > 0).map(|it| it.handles as u64).sum()
    }

    /// How many descriptors the agent has of files that no name leads to, and how many bytes of the disk these keep.
    #[must_use]
    pub fn pinned(&self) -> (u64, u64) {
        let state = self.lock();
        let pinned = state.files.iter().filter(|it| it.links == 0 && it.handles > 0);
        pinned.fold((0, 0), |(handles, bytes), it| {
            (handles + it.handles as u64, bytes + it.now().len())
        })
    }

    /// The names in `directory` now.
    #[must_use]
    pub fn names(&self, directory: &Path) -> Vec<OsString> {
        self.lock().names_in(directory)
    }

    /// Makes a directory and those above it.
    pub fn make_directory(&self, path: &Path) {
        let (mut state, now_ns) = self.change();
        let missing: Vec<PathBuf> = path
            .ancestors()
            .filter(|it| !state.directories.contains_key(*it))
            .map(Path::to_path_buf)
            .collect();
        for directory in missing {
            let id = state.new_id(now_ns);
            state.directories.insert(directory.clone(), Directory { id, modified_ns: now_ns });
            state.touch_parent(&directory, now_ns);
        }
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// If it is not there, or not empty.
    pub fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let (mut state, now_ns) = self.change();
        if !state.names_in(path).is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let directory = state.directories.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.free.insert(directory.id.inode);
        state.touch_parent(path, now_ns);
        Ok(())
    }

    /// Opens for appending; creates the file if it is not there.
    ///
    /// # Errors
    /// If there is no such directory.
    pub fn open_writer(&self, path: &Path) -> io::Result<Writer> {
        let (mut state, now_ns) = self.change();
        let index = match state.names.get(path) {
            Some(index) => *index,
            None => state.create(path, now_ns)?,
        };
        state.files[index].writers += 1;
        Ok(Writer::new(self, index))
    }

    /// Gives a file another name; what had that name before loses it.
    ///
    /// # Errors
    /// If `from` is not there, or the directory of `to` is not.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (mut state, now_ns) = self.change();
        state.check_parent(to)?;
        let index = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        if let Some(replaced) = state.names.insert(to.to_path_buf(), index) {
            state.unlinked(replaced, now_ns);
        }
        state.touch_parent(from, now_ns);
        state.touch_parent(to, now_ns);
        Ok(())
    }

    /// Gives a file one more name.
    ///
    /// # Errors
    /// If `from` is not there, or `to` is.
    pub fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (mut state, now_ns) = self.change();
        state.check_parent(to)?;
        let index = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        if state.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.names.insert(to.to_path_buf(), index);
        state.files[index].links += 1;
        state.touch_parent(to, now_ns);
        Ok(())
    }

    /// Takes a name away.
    ///
    /// # Errors
    /// If it is not there.
    pub fn unlink(&self, path: &Path) -> io::Result<()> {
        let (mut state, now_ns) = self.change();
        let index = state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.unlinked(index, now_ns);
        state.touch_parent(path, now_ns);
        Ok(())
    }

    /// What the file of that name holds now.
    ///
    /// # Errors
    /// If it is not there.
    pub fn content(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.lock();
        let index = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(state.files[index].now().bytes.clone())
    }

    /// Which of all files has that name.
    #[must_use]
    pub fn file_number(&self, path: &Path) -> Option<usize> {
        self.lock().names.get(path).copied()
    }

    /// Whether anybody has the file of that name open for writing.
    #[must_use]
    pub fn is_written(&self, path: &Path) -> bool {
        let state = self.lock();
        state.names.get(path).is_some_and(|index| state.files[*index].writers > 0)
    }

    /// From now on the agent cannot open files by name; `None`: it can.
    pub fn refuse_opens(&self, kind: Option<io::ErrorKind>) {
        self.lock().faults.open = kind;
    }

    /// From now on the agent cannot read; `None`: it can.
    pub fn refuse_reads(&self, kind: Option<io::ErrorKind>) {
        self.lock().faults.read = kind;
    }

    /// From now on a read brings at most so many bytes; `None`: all there are.
    pub fn shorten_reads(&self, bytes_max: Option<usize>) {
        self.lock().faults.short = bytes_max;
    }

    /// The agent dies with `agent`, all that holds descriptors: what it was told is forgotten.
    pub fn kill<T>(&self, agent: T) {
        World::kill_in(std::slice::from_ref(self), agent);
    }

    /// As [`World::kill`], of an agent that reads more than one world.
    pub fn kill_in<T>(worlds: &[World], agent: T) {
        worlds.iter().for_each(|it| it.change().0.is_dying = true);
        drop(agent);
        worlds.iter().for_each(World::bury);
    }

    fn bury(&self) {
        let mut state = self.lock();
        state.is_dying = false;
        let at_ns = self.clock.now_ns();
        for lost in state.files.iter_mut().filter_map(|it| it.lost.as_mut()) {
            // What was read of it may not have been safe yet.
            *lost = Lost::Died { at_ns: at_ns.min(lost.at_ns()) };
        }
        for life in state.files.iter_mut().flat_map(|it| &mut it.lives) {
            (life.told, life.is_met) = (0, false);
        }
    }

    /// For a change: nothing else happens at this time.
    fn change(&self) -> (MutexGuard<'_, State>, u64) {
        self.clock.advance(1);
        (self.lock(), self.clock.now_ns())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for World {
    fn default() -> World {
        World::new()
    }
}

impl State {
    fn new_id(&mut self, now_ns: u64) -> FileId {
        let inode = self.free.pop_first().unwrap_or_else(|| {
            self.last_inode += 1;
            self.last_inode
        });
        FileId { device: 1, inode, birth_ns: view::unix_ns(now_ns) }
    }

    fn create(&mut self, path: &Path, now_ns: u64) -> io::Result<usize> {
        self.check_parent(path)?;
        let file = File::new(self.new_id(now_ns), path, now_ns);
        self.files.push(file);
        self.names.insert(path.to_path_buf(), self.files.len() - 1);
        self.touch_parent(path, now_ns);
        Ok(self.files.len() - 1)
    }

    fn check_parent(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().filter(|it| self.directories.contains_key(*it));
        parent.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn touch_parent(&mut self, path: &Path, now_ns: u64) {
        if let Some(parent) = path.parent().and_then(|it| self.directories.get_mut(it)) {
            parent.modified_ns = now_ns;
        }
    }

    fn names_in(&self, directory: &Path) -> Vec<OsString> {
        let paths = self.names.keys().chain(self.directories.keys());
        let own = paths.filter(|it| it.parent() == Some(directory));
        own.filter_map(|it| it.file_name().map(OsString::from)).collect()
    }

    fn unlinked(&mut self, index: usize, now_ns: u64) {
        let file = &mut self.files[index];
        file.links -= 1;
        if file.links == 0 && file.handles == 0 {
            file.lost = Some(Lost::Unheld { at_ns: now_ns });
        }
        self.free_if_unused(index);
    }

    /// The agent closes a descriptor.
    fn closed(&mut self, index: usize, now_ns: u64) {
        let (is_dying, is_readable) = (self.is_dying, self.faults.read.is_none());
        let file = &mut self.files[index];
        file.handles -= 1;
        if file.links == 0 && file.handles == 0 {
            let len = file.now().len();
            file.lost = Some(if is_dying {
                Lost::Died { at_ns: now_ns }
            } else if is_readable {
                Lost::LetGo { at_ns: now_ns, len }
            } else {
                Lost::Unheld { at_ns: now_ns }
            });
        }
        self.free_if_unused(index);
    }

    fn free_if_unused(&mut self, index: usize) {
        let file = &self.files[index];
        if file.links == 0 && file.handles == 0 && file.writers == 0 {
            self.free.insert(file.id.inode);
        }
    }
}
