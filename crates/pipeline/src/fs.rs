//! The file system as the pipeline sees it: open, read at, stat, list.
//!
//! Called per chunk or per look, never per record. Each LogConfig has a file system of its own, that
//! ends where its [`Reach`] ends. [`HostFs`] is the real one; the simulator has its own.

use std::ffi::OsStr;
use std::fmt::{self, Debug, Display};
use std::io;
use std::ops::Range;
use std::path::Path;

mod beneath;
mod gzip;
mod host;
mod inside;
mod printable;
mod reach;
mod tree;
pub mod volume;
pub use gzip::{Defect, GZIP_SUFFIX, GzipFile, Inflaters};
pub use host::HostFs;
pub use inside::{InsideFs, Trees};
pub use printable::Printable;
pub use reach::{Reach, Refusal};
pub(crate) use tree::Resolved;
pub use tree::{Access, ContainerTree, TreeMount};

/// What kind of thing a path leads to. Only regular files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A block or character device.
    Device,
    /// Anything else.
    Other,
}

impl Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileKind::Regular => "a regular file",
            FileKind::Directory => "a directory",
            FileKind::Fifo => "a FIFO",
            FileKind::Socket => "a socket",
            FileKind::Device => "a device",
            FileKind::Other => "of an unknown kind",
        })
    }
}

/// What makes a file the same file, whatever it is called now.
///
/// Inode numbers are reused at once on ext4, so the birth time stands beside them. Where a file
/// system has no birth time, `birth_ns` is 0 and the head of the file must tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Birth time, nanoseconds since 1970; 0 if unknown.
    pub birth_ns: i64,
}

impl FileId {
    /// Of no file.
    pub const NONE: FileId = FileId { device: 0, inode: 0, birth_ns: 0 };
}

/// What the file system says of a file now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Identity.
    pub id: FileId,
    /// Kind.
    pub kind: FileKind,
    /// Length in bytes.
    pub size: u64,
    /// Last modification, nanoseconds since 1970.
    pub modified_ns: i64,
    /// Number of names; 0 once it is unlinked.
    pub links: u64,
    /// A symbolic link led to it: a watch of the directory that was looked at does not hear of it.
    pub is_linked: bool,
}

/// A file system, as far as one LogConfig reaches.
///
/// Errors of what lies beyond hold a [`Refusal`]. None tells content of files.
pub trait Fs: Send + Sync + Debug {
    /// Calls `each` with the name of every entry of `dir` but `.` and `..`.
    ///
    /// # Errors
    /// As `opendir` and `readdir`; a refusal if it leads beyond the reach.
    fn list(&self, dir: &Path, each: &mut dyn FnMut(&OsStr)) -> io::Result<()>;

    /// What `path` leads to, links followed.
    ///
    /// # Errors
    /// As `statx`; a refusal if it leads beyond the reach.
    fn stat(&self, path: &Path) -> io::Result<Stat>;

    /// Opens a regular file for reading; opens nothing else, not for a moment.
    ///
    /// # Errors
    /// As `open`; a refusal if it is not a regular file, or leads beyond the reach.
    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;

    /// Attributes of all files of the log disk that has `path`, keys and values; `None` elsewhere.
    fn volume_context(&self, _path: &Path) -> Option<Vec<(String, String)>> {
        None
    }
}

/// An open file.
pub trait LogFile: Send + Debug {
    /// Reads at `offset` until `buffer` is full or the end is reached; returns the bytes read.
    ///
    /// # Errors
    /// As `pread`, if nothing was read before.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// What the file system says of the open file now.
    ///
    /// # Errors
    /// As `statx`.
    fn stat(&self) -> io::Result<Stat>;

    /// Why the content ends where it was last read, if it should not.
    fn defect(&self) -> Option<Defect> {
        None
    }

    /// The first hole that ends behind `offset`, in blocks of the file system, from `offset` on.
    ///
    /// `None` if all is stored, or if nobody can tell.
    ///
    /// # Errors
    /// As `lseek`.
    fn hole_from(&self, _offset: u64) -> io::Result<Option<Range<u64>>> {
        Ok(None)
    }

    /// How full the file system is that has it; `None` if nobody can tell.
    fn room(&self) -> Option<Room> {
        None
    }
}

/// How full a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What it can hold, in bytes.
    pub size_bytes: u64,
    /// What it holds, in bytes.
    pub used_bytes: u64,
}
