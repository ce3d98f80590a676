//! View: the world as the pipeline sees it, through its own traits. Notes what the pipeline was told.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io;
use std::ops::Range;
use std::path::Path;

use flow::HEAD_BYTES_MAX;
use pipeline::fs::{FileKind, Fs, LogFile, Stat};

use super::{State, World};
use crate::EPOCH_UNIX_NS;

/// An open descriptor of the agent's.
#[derive(Debug)]
struct Handle {
    world: World,
    index: usize,
    /// It was asked once what it is.
    is_identified: Cell<bool>,
}

impl World {
    /// Whether anything goes wrong for the agent now.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        let faults = &self.lock().faults;
        faults.open.is_some() || faults.read.is_some() || faults.short.is_some()
    }
}

impl Fs for World {
    fn list(&self, dir: &Path, each: &mut dyn FnMut(&OsStr)) -> io::Result<()> {
        let state = self.lock();
        if !state.directories.contains_key(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.names_in(dir).iter().for_each(|name| each(name));
        Ok(())
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let mut state = self.lock();
        if let Some(directory) = state.directories.get(path) {
            let modified_ns = unix_ns(directory.modified_ns);
            let (id, kind) = (directory.id, FileKind::Directory);
            return Ok(Stat { id, kind, size: 0, modified_ns, links: 1, is_linked: false });
        }
        let index = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(state.tell(index))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let mut state = self.lock();
        if state.directories.contains_key(path) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let index = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        if let Some(kind) = state.faults.open {
            return Err(kind.into());
        }
        state.files[index].handles += 1;
        Ok(Box::new(Handle { world: self.clone(), index, is_identified: Cell::new(false) }))
    }
}

impl LogFile for Handle {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.world.lock();
        if let Some(kind) = state.faults.read {
            return Err(kind.into());
        }
        let short = state.faults.short.unwrap_or(usize::MAX);
        let file = &mut state.files[self.index];
        let life = file.now_mut();
        let from = usize::try_from(offset).map_or(life.bytes.len(), |it| it.min(life.bytes.len()));
        let bytes = &life.bytes[from..];
        let count = bytes.len().min(buffer.len()).min(short);
        buffer[..count].copy_from_slice(&bytes[..count]);
        // NULs may not be written yet: they tell nothing.
        let tells = buffer[..count.min(HEAD_BYTES_MAX)].iter().any(|byte| *byte != 0);
        life.is_met |= offset == 0 && tells && count < short;
        // Who looks at how a file begins asks what it is, not how much it holds.
        if offset > 0 || buffer.len() > HEAD_BYTES_MAX {
            life.tell((from + count) as u64);
        }
        Ok(count)
    }

    fn hole_from(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        Ok(self.world.lock().files[self.index].now().hole_from(offset))
    }

    fn stat(&self) -> io::Result<Stat> {
        let mut state = self.world.lock();
        // The first question is which file it is: a name may lead to another one by now, and then the
        // answer says nothing of the one that was looked for.
        if self.is_identified.replace(true) {
            return Ok(state.tell(self.index));
        }
        Ok(state.stat(self.index))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let (mut state, now_ns) = self.world.change();
        state.closed(self.index, now_ns);
    }
}

impl State {
    /// Tells the pipeline of a file, and notes what.
    fn tell(&mut self, index: usize) -> Stat {
        let life = self.files[index].now_mut();
        life.tell(life.len());
        self.stat(index)
    }

    fn stat(&mut self, index: usize) -> Stat {
        let file = &mut self.files[index];
        let (id, links, modified_ns) = (file.id, file.links, unix_ns(file.modified_ns));
        let size = file.now_mut().len();
        Stat { id, kind: FileKind::Regular, size, modified_ns, links, is_linked: false }
    }
}

/// The wall clock's time at a time of the world's.
pub(super) fn unix_ns(at_ns: u64) -> i64 {
    EPOCH_UNIX_NS.saturating_add_unsigned(at_ns)
}
