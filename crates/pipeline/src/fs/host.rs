//! The machine's file system, by system calls.

use std::ffi::OsStr;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, SeekFrom, Statx, StatxFlags};
use rustix::io::Errno;

use super::{FileId, FileKind, Fs, LogFile, Stat};

/// The real file system.
#[derive(Debug, Default, Clone, Copy)]
pub struct HostFs;

#[derive(Debug)]
struct HostFile {
    fd: OwnedFd,
}

impl Fs for HostFs {
    fn list(&self, dir: &Path, each: &mut dyn FnMut(&OsStr)) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(dir, flags, Mode::empty())?;
        for entry in Dir::new(fd)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                each(OsStr::from_bytes(name));
            }
        }
        Ok(())
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        Ok(convert(&rustix::fs::statx(CWD, path, AtFlags::empty(), WANTED)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = HostFile { fd: rustix::fs::open(path, flags, Mode::empty())? };
        if file.stat()?.kind != FileKind::Regular {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Box::new(file))
    }
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
        Ok(convert(&rustix::fs::statx(&self.fd, c"", AtFlags::EMPTY_PATH, WANTED)?))
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
}

const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

fn convert(statx: &Statx) -> Stat {
    let nanoseconds =
        |seconds: i64, fraction: u32| seconds.saturating_mul(1_000_000_000) + i64::from(fraction);
    let has_birth = statx.stx_mask & StatxFlags::BTIME.bits() != 0;
    let kind = match rustix::fs::FileType::from_raw_mode(u32::from(statx.stx_mode)) {
        rustix::fs::FileType::RegularFile => FileKind::Regular,
        rustix::fs::FileType::Directory => FileKind::Directory,
        _ => FileKind::Other,
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
    }
}
