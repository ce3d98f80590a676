//! Disk: the few calls by which the queue and its like change files, so that tests can let each of them fail.
//!
//! Reading is not among them: what is read is checked by checksums, whatever it comes from.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, IoSlice};
use std::path::Path;

use rustix::io::Errno;

/// How the queue, and the small files beside it, are written and synced.
pub trait Disk: Send + Sync + Debug {
    /// Writes `head` and `block` one after the other at `offset`, both whole.
    ///
    /// # Errors
    /// If not all was written; how much was is unknown.
    fn write(&self, file: &File, offset: u64, head: &[u8], block: &[u8]) -> io::Result<()>;

    /// Cuts the file to `bytes`.
    ///
    /// # Errors
    /// If the file may still be longer.
    fn cut(&self, file: &File, bytes: u64) -> io::Result<()>;

    /// Makes all bytes of the file safe from a power cut.
    ///
    /// # Errors
    /// If it is unknown what is safe; the same file must not be synced again.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Makes the names in a folder safe from a power cut.
    ///
    /// # Errors
    /// If it is unknown which names are safe.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Gives a file another's name, in whose place it is then.
    ///
    /// # Errors
    /// As rename(2).
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }
}

/// The machine's disks: pwritev(2), ftruncate(2), fdatasync(2), fsync(2).
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn write(&self, file: &File, offset: u64, head: &[u8], block: &[u8]) -> io::Result<()> {
        let (mut head, mut block, mut offset) = (head, block, offset);
        while !head.is_empty() || !block.is_empty() {
            let parts = [IoSlice::new(head), IoSlice::new(block)];
            let wrote = match rustix::io::pwritev(file, &parts, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(wrote) => wrote,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let of_head = wrote.min(head.len());
            head = &head[of_head..];
            block = &block[wrote - of_head..];
            offset += wrote as u64;
        }
        Ok(())
    }

    fn cut(&self, file: &File, bytes: u64) -> io::Result<()> {
        file.set_len(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}
