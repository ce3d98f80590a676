//! The machine's file system, by system calls.

use std::ffi::OsStr;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, SeekFrom, Statx, StatxFlags};
use rustix::io::Errno;

use super::beneath::Beneath;
use super::{FileId, FileKind, Fs, LogFile, Reach, Refusal, Room, Stat, volume};

/// The real file system, as far as a reach goes.
#[derive(Debug)]
pub struct HostFs {
    beneath: Beneath,
    /// The directory that was looked at last. What is in it is looked at from here: that is one
    /// short call instead of three, and nothing on the way can change. Scans look at each directory
    /// before they look at what is in it, so this is never older than a scan.
    last: Mutex<Option<(PathBuf, Arc<OwnedFd>)>>,
}

#[derive(Debug)]
struct HostFile {
    fd: OwnedFd,
}

/// To look at something without opening it.
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
pub(super) const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
pub(super) const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

impl HostFs {
    /// The file system within `reach`.
    #[must_use]
    pub fn new(reach: Reach) -> HostFs {
        HostFs { beneath: Beneath::new(reach), last: Mutex::default() }
    }

    /// What is at `path`, if it lies in the directory that was looked at last, and is neither a link
    /// nor a directory itself.
    fn stat_in_last(&self, path: &Path) -> Option<Stat> {
        let directory = {
            let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let (last_path, fd) = last.as_ref()?;
            (path.parent()? == last_path).then(|| Arc::clone(fd))?
        };
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let statx = rustix::fs::statx(&*directory, path.file_name()?, flags, WANTED).ok()?;
        let is_end = !matches!(file_type(&statx), FileType::Symlink | FileType::Directory);
        is_end.then(|| convert(&statx))
    }
}

impl Fs for HostFs {
    fn list(&self, dir: &Path, each: &mut dyn FnMut(&OsStr)) -> io::Result<()> {
        list(self.beneath.open(dir, LIST)?, each)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        if let Some(stat) = self.stat_in_last(path) {
            return Ok(stat);
        }
        let (fd, is_linked) = self.beneath.open_and_tell(path, LOOK)?;
        let stat = Stat { is_linked, ..stat_of(&fd)? };
        if stat.kind == FileKind::Directory {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some((path.to_path_buf(), Arc::new(fd)));
        }
        Ok(stat)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        // To open a device may already do something, so the first look does not open.
        let found = self.beneath.open(path, LOOK)?;
        open_found(&found, || self.beneath.open(path, READ))
    }

    fn volume_context(&self, path: &Path) -> Option<Vec<(String, String)>> {
        let folders = path.ancestors().skip(1);
        let logs = folders.filter(|it| it.file_name() == Some(OsStr::new(volume::LOGS)));
        let mut told = logs.filter_map(|it| volume::of(self.beneath.open_way(it, LIST).ok()?));
        told.next()
    }
}

/// Calls `each` with the name of every entry of an open directory but `.` and `..`.
pub(super) fn list(directory: OwnedFd, each: &mut dyn FnMut(&OsStr)) -> io::Result<()> {
    for entry in Dir::new(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            each(OsStr::from_bytes(name));
        }
    }
    Ok(())
}

/// Opens for reading what was looked at, if it is a regular file; `again` opens its path, where there is no other way.
pub(super) fn open_found(
    found: &OwnedFd,
    again: impl FnOnce() -> io::Result<OwnedFd>,
) -> io::Result<Box<dyn LogFile>> {
    refuse_irregular(found)?;
    let way = format!("/proc/self/fd/{}", found.as_raw_fd());
    // This opens what was looked at, wherever its name may lead by now.
    let fd = match rustix::fs::open(&*way, READ, Mode::empty()) {
        Ok(fd) => fd,
        Err(error) if rustix::fs::readlink(&*way, Vec::new()).is_ok() => return Err(error.into()),
        // There is no /proc. What has the name now may be something else: it is looked at again.
        Err(_) => again()?,
    };
    refuse_irregular(&fd)?;
    Ok(Box::new(HostFile { fd }))
}

fn refuse_irregular(fd: &OwnedFd) -> io::Result<()> {
    match stat_of(fd)?.kind {
        FileKind::Regular => Ok(()),
        kind => Err(Refusal::Kind(kind).into()),
    }
}

pub(super) fn stat_of(fd: impl AsFd) -> io::Result<Stat> {
    Ok(convert(&rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, WANTED)?))
}

fn file_type(statx: &Statx) -> FileType {
    FileType::from_raw_mode(u32::from(statx.stx_mode))
}

impl LogFile for HostFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match rustix::io::pread(&self.fd, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                // What came before the error is delivered; the error comes again by itself.
                Err(_) if filled > 0 => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(filled)
    }

    fn stat(&self) -> io::Result<Stat> {
        stat_of(&self.fd)
    }

    fn hole_from(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let size = self.stat()?.size;
        let begin = match rustix::fs::seek(&self.fd, SeekFrom::Hole(offset)) {
            Ok(begin) => begin,
            // Beyond the end, or a file system that does not know of holes.
            Err(Errno::NXIO | Errno::INVAL | Errno::OPNOTSUPP) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // The end of a file counts as a hole.
        if begin >= size {
            return Ok(None);
        }
        let end = match rustix::fs::seek(&self.fd, SeekFrom::Data(begin)) {
            Ok(end) => end,
            Err(Errno::NXIO) => size,
            Err(error) => return Err(error.into()),
        };
        // Written in between, it is none.
        Ok((begin < end).then_some(begin..end))
    }

    fn room(&self) -> Option<Room> {
        let of = rustix::fs::fstatvfs(&self.fd).ok()?;
        let used_blocks = of.f_blocks.saturating_sub(of.f_bfree);
        let bytes = |blocks: u64| blocks.saturating_mul(of.f_frsize);
        Some(Room { size_bytes: bytes(of.f_blocks), used_bytes: bytes(used_blocks) })
    }
}

const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

fn convert(statx: &Statx) -> Stat {
    let nanoseconds =
        |seconds: i64, fraction: u32| seconds.saturating_mul(1_000_000_000) + i64::from(fraction);
    let has_birth = statx.stx_mask & StatxFlags::BTIME.bits() != 0;
    let kind = match file_type(statx) {
        FileType::RegularFile => FileKind::Regular,
        FileType::Directory => FileKind::Directory,
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        FileType::BlockDevice | FileType::CharacterDevice => FileKind::Device,
        FileType::Symlink | FileType::Unknown => FileKind::Other,
    };
    Stat {
        id: FileId {
            device: rustix::fs::makedev(statx.stx_dev_major, statx.stx_dev_minor),
            inode: statx.stx_ino,
            birth_ns: if has_birth {
                nanoseconds(statx.stx_btime.tv_sec, statx.stx_btime.tv_nsec)
            } else {
                0
            },
        },
        kind,
        size: statx.stx_size,
        modified_ns: nanoseconds(statx.stx_mtime.tv_sec, statx.stx_mtime.tv_nsec),
        links: u64::from(statx.stx_nlink),
        is_linked: false,
    }
}

#[cfg(test)]
mod tests;
