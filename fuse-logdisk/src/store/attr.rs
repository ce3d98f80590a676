//! Attr: what `stat` says of a node, and what may be changed of it.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Mode, Statx, Timespec, Timestamps};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use super::tree::{Kind, Node};
use super::{NodeId, Store};

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

impl FileKind {
    pub(super) fn of(kind: &Kind) -> FileKind {
        match kind {
            Kind::File(_) => FileKind::File,
            Kind::Directory { .. } => FileKind::Directory,
            Kind::Symlink => FileKind::Symlink,
        }
    }
}

/// Attributes of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr {
    /// Which node.
    pub id: NodeId,
    /// What it is.
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u16,
    /// Number of names that applications see.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes, with what is not kept any more.
    pub size: u64,
    /// Memory that it takes, in units of 512 bytes.
    pub blocks: u64,
    /// Last read.
    pub accessed: SystemTime,
    /// Last write.
    pub modified: SystemTime,
    /// Last change of these attributes.
    pub changed: SystemTime,
}

impl Attr {
    pub(super) fn new(id: NodeId, node: &Node, stat: &Statx) -> Attr {
        let kind = FileKind::of(&node.kind);
        Attr {
            id,
            kind,
            mode: stat.stx_mode & 0o7777,
            // The agent's name is no application's business.
            links: match kind {
                FileKind::Directory => stat.stx_nlink,
                FileKind::File | FileKind::Symlink => u32::from(!node.is_orphan),
            },
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            size: stat.stx_size,
            blocks: stat.stx_blocks,
            accessed: time(stat.stx_atime.tv_sec, stat.stx_atime.tv_nsec),
            modified: time(stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            changed: time(stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
        }
    }
}

fn time(seconds: i64, nanoseconds: u32) -> SystemTime {
    let fraction = Duration::from_nanos(u64::from(nanoseconds));
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let second = if seconds < 0 { SystemTime::UNIX_EPOCH.checked_sub(whole) } else { None };
    second.unwrap_or(SystemTime::UNIX_EPOCH + if seconds < 0 { Duration::ZERO } else { whole })
        + fraction
}

/// What is to be changed of a node.
#[derive(Debug, Clone, Copy, Default)]
pub struct Changes {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Length in bytes.
    pub size: Option<u64>,
    /// The length is that of opening the file to write it anew (`O_TRUNC`).
    pub is_opened: bool,
    /// Last read.
    pub accessed: Option<Timespec>,
    /// Last write.
    pub modified: Option<Timespec>,
}

impl Store {
    /// Changes attributes, the length first.
    ///
    /// # Errors
    /// As `ftruncate`, `chown`, `chmod` and `utimensat`.
    pub fn change(&self, id: NodeId, changes: &Changes) -> Result<Attr, Errno> {
        let mut inner = self.inner();
        if let Some(size) = changes.size {
            self.resize(&mut inner, id, size, changes.is_opened)?;
        }
        let path = self.place(&inner, id)?;
        if changes.uid.is_some() || changes.gid.is_some() {
            own(&path, changes.uid, changes.gid)?;
        }
        if let Some(mode) = changes.mode {
            rustix::fs::chmod(&path, Mode::from_raw_mode(mode & 0o7777))?;
        }
        if changes.accessed.is_some() || changes.modified.is_some() {
            let omit = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
            let times = Timestamps {
                last_access: changes.accessed.unwrap_or(omit),
                last_modification: changes.modified.unwrap_or(omit),
            };
            rustix::fs::utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        self.attr_of(&inner, id)
    }
}

/// Gives a file to an owner and a group.
pub(super) fn own(path: &Path, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
    let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
    rustix::fs::chownat(CWD, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
}
