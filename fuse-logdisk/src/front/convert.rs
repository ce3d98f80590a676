//! Convert: between what the kernel and fuser say, and what the store says.

use std::ffi::OsStr;
use std::time::SystemTime;

use fuser::{
    Errno, FileAttr, FileType, Generation, INodeNo, ReplyEmpty, ReplyEntry, Request, TimeOrNow,
};
use rustix::fs::Timespec;

use super::{BLOCK_BYTES, Front, TTL};
use crate::store::{Attr, FileKind, Maker};

/// Set in the number of a request that was given to a daemon before this one, too (`FUSE_UNIQUE_RESEND`, linux/fuse.h).
const RESENT: u64 = 1 << 63;

pub(super) fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_i32(error.raw_os_error())
}

pub(super) fn maker(request: &Request) -> Maker {
    Maker { uid: request.uid(), gid: request.gid() }
}

/// Whether a daemon before this one may have done it already.
fn is_resent(request: &Request) -> bool {
    request.unique().0 & RESENT != 0
}

pub(super) fn file_type(kind: FileKind) -> FileType {
    match kind {
        FileKind::File => FileType::RegularFile,
        FileKind::Directory => FileType::Directory,
        FileKind::Symlink => FileType::Symlink,
    }
}

pub(super) fn file_attr(attr: &Attr) -> FileAttr {
    FileAttr {
        ino: INodeNo(attr.id.0),
        size: attr.size,
        blocks: attr.blocks,
        atime: attr.accessed,
        mtime: attr.modified,
        ctime: attr.changed,
        crtime: SystemTime::UNIX_EPOCH,
        kind: file_type(attr.kind),
        perm: attr.mode,
        nlink: attr.links,
        uid: attr.uid,
        gid: attr.gid,
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

pub(super) fn timespec(time: TimeOrNow) -> Timespec {
    match time {
        TimeOrNow::Now => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
        TimeOrNow::SpecificTime(time) => {
            let (is_before, distance) = match time.duration_since(SystemTime::UNIX_EPOCH) {
                Ok(after) => (false, after),
                Err(before) => (true, before.duration()),
            };
            let seconds = i64::try_from(distance.as_secs()).unwrap_or(i64::MAX);
            let fraction = i64::from(distance.subsec_nanos());
            if is_before && fraction > 0 {
                Timespec { tv_sec: -seconds - 1, tv_nsec: 1_000_000_000 - fraction }
            } else if is_before {
                Timespec { tv_sec: -seconds, tv_nsec: 0 }
            } else {
                Timespec { tv_sec: seconds, tv_nsec: fraction }
            }
        }
    }
}

pub(super) fn entry(reply: ReplyEntry, made: Result<Attr, rustix::io::Errno>) {
    match made {
        Ok(attr) => reply.entry(&TTL, &file_attr(&attr), Generation(0)),
        Err(error) => reply.error(errno(error)),
    }
}

pub(super) fn empty(reply: ReplyEmpty, done: Result<(), rustix::io::Errno>) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(errno(error)),
    }
}

impl Front {
    /// What a daemon before this one has made already is found, and not there by surprise.
    pub(super) fn or_there(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        made: Result<Attr, rustix::io::Errno>,
    ) -> Result<Attr, rustix::io::Errno> {
        match made {
            Err(rustix::io::Errno::EXIST) if is_resent(request) => {
                self.store.lookup(self.node(parent), name)
            }
            made => made,
        }
    }
}

/// What a daemon before this one has removed or renamed already is done.
pub(super) fn or_gone(
    request: &Request,
    done: Result<(), rustix::io::Errno>,
) -> Result<(), rustix::io::Errno> {
    match done {
        Err(rustix::io::Errno::NOENT) if is_resent(request) => Ok(()),
        done => done,
    }
}
