//! Disk: the folder of checkpoint files, as far as the checkpoint must know it.
//!
//! Behind a trait, so that every step to the disk can be made to fail, and the machine be switched off
//! between any two.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::OpenError;

/// Name of the lock file.
const LOCK_NAME: &str = "LOCK";

/// The folder of checkpoint files.
pub trait StateDisk: Send + Debug {
    /// The names in it.
    ///
    /// # Errors
    /// As `readdir`.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Reads a whole file.
    ///
    /// # Errors
    /// As `open` and `read`.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Makes a file, or empties the one that is there.
    ///
    /// # Errors
    /// As `open`.
    fn create(&self, name: &str) -> io::Result<Box<dyn StateFile>>;

    /// Gives a file another name, in place of the one that has it.
    ///
    /// # Errors
    /// As `rename`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As `unlink`.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names safe from a power cut.
    ///
    /// # Errors
    /// If it is unknown which are safe.
    fn sync_names(&self) -> io::Result<()>;

    /// Where a file is, for people.
    fn path(&self, name: &str) -> PathBuf;
}

/// A checkpoint file that is written.
pub trait StateFile: Send + Debug {
    /// Writes all of it.
    ///
    /// # Errors
    /// As `pwrite`; a part may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes it that long.
    ///
    /// # Errors
    /// As `ftruncate`.
    fn cut(&self, bytes: u64) -> io::Result<()>;

    /// Makes content and length safe from a power cut.
    ///
    /// # Errors
    /// If it is unknown what is safe.
    fn sync(&self) -> io::Result<()>;
}

/// A folder of this machine's.
#[derive(Debug)]
pub(super) struct HostState {
    directory: PathBuf,
    /// Held for its lock.
    _lock: File,
}

impl HostState {
    /// Takes the folder for this process alone.
    pub(super) fn open(directory: &Path) -> Result<HostState, OpenError> {
        flow::make_folder(directory).map_err(OpenError::io(directory))?;
        let lock = lock(directory)?;
        Ok(HostState { directory: directory.to_path_buf(), _lock: lock })
    }

    /// A folder that somebody else may have.
    #[cfg(test)]
    pub(super) fn unlocked(directory: &Path) -> HostState {
        let file = File::open(directory).expect("a folder");
        HostState { directory: directory.to_path_buf(), _lock: file }
    }
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join(LOCK_NAME);
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(OpenError::io(&path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked(directory.to_path_buf())),
        Err(error) => Err(OpenError::io(&path)(error.into())),
    }
}

impl StateDisk for HostState {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            // Names that are no text are none of ours.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.path(name))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StateFile>> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(self.path(name));
        Ok(Box::new(file?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl StateFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn cut(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
