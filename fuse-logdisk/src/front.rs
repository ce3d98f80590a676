//! Front: answers the kernel's requests from the store.
//!
//! Requests are answered on fuser's threads. None of these ever opens, asks or closes anything of the own mount: it
//! would wait for itself. A write that cannot be stored yet is [parked](crate::parked), and the thread goes on.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use fuser::{
    Errno, FileHandle, FileType, Filesystem, INodeNo, KernelConfig, LockOwner, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use rustix::fs::FileType as RawType;

use crate::parked::Parked;
use crate::recall::Recalls;
use crate::store::{Changes, NAME_BYTES_MAX, NodeId, Order, ROOT, Store, Written};
use crate::syncs::Syncs;

mod convert;
mod opening;
use convert::{empty, entry, errno, file_attr, file_type, maker, or_gone, timespec};

/// How long the kernel may believe what it was told: only it changes what is there.
const TTL: Duration = Duration::from_secs(3600);
/// Largest write that the kernel sends at once, in bytes: two such a thread are 1 MiB of the daemon's memory.
const WRITE_BYTES_MAX: u32 = 512 << 10;
/// What the volume seems to have, in blocks: 1 PiB of which nothing is ever used up.
const ENDLESS_BLOCKS: u64 = 1 << 38;
/// Size of a block, in bytes.
const BLOCK_BYTES: u32 = 4096;
/// Files that seem to be possible.
const ENDLESS_FILES: u64 = 1 << 40;
/// Only the room is asked for, and not another length (`FALLOC_FL_KEEP_SIZE`).
const KEEP_SIZE: i32 = 1;

/// How writes come from applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Into the page cache, from which they are collected every few milliseconds.
    Writeback,
    /// Each by itself: it is in the store when `write` returns.
    Strict,
    /// Who only appends writes to the store itself, and asks nobody; all others as in [`Mode::Strict`].
    Fast,
}

/// The file system of one volume.
#[derive(Debug)]
pub struct Front {
    store: Arc<Store>,
    parked: Arc<Parked>,
    syncs: Arc<Syncs>,
    recalls: Arc<Recalls>,
    mode: Mode,
    connection: OwnedFd,
    /// It was said that the kernel lets nothing pass.
    has_failed: AtomicBool,
}

impl Front {
    /// The volume of this store.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        parked: Arc<Parked>,
        syncs: Arc<Syncs>,
        recalls: Arc<Recalls>,
        mode: Mode,
        connection: OwnedFd,
    ) -> Front {
        let has_failed = AtomicBool::new(false);
        Front { store, parked, syncs, recalls, mode, connection, has_failed }
    }

    /// The node of a request that is begun with it.
    fn node(&self, ino: INodeNo) -> NodeId {
        self.store.meter().requests.add(1);
        NodeId(ino.0)
    }

    /// Says no to something that no log needs.
    fn refuse(&self, what: &'static str, name: &OsStr) {
        self.store.meter().refused.add(1);
        tracing::debug!(what, ?name, "refused");
    }
}

/// What is not here fuser answers with `ENOSYS`, and the kernel does not ask again: `flush`, since it writes back before
/// anyway, `access`, since it checks permissions itself, and extended attributes, which it would ask for before every write.
impl Filesystem for Front {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        self.agree(config)?;
        if let Err(largest) = config.set_max_write(WRITE_BYTES_MAX) {
            tracing::warn!(largest, "smaller writes than wanted");
        }
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(reply, self.store.lookup(self.node(parent), name));
    }

    fn forget(&self, _request: &Request, ino: INodeNo, lookups: u64) {
        self.store.forget(self.node(ino), lookups);
    }

    fn getattr(&self, _request: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.store.attr(self.node(ino)) {
            Ok(attr) => reply.attr(&TTL, &file_attr(&attr)),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn setattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let (accessed, modified) = (atime.map(timespec), mtime.map(timespec));
        let is_opened = fh.is_none();
        let changes = Changes { mode, uid, gid, size, is_opened, accessed, modified };
        match self.store.change(self.node(ino), &changes) {
            Ok(attr) => reply.attr(&TTL, &file_attr(&attr)),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn readlink(&self, _request: &Request, ino: INodeNo, reply: ReplyData) {
        match self.store.read_link(self.node(ino)) {
            Ok(target) => reply.data(&target),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        if !RawType::from_raw_mode(mode).is_file() {
            self.refuse("a pipe, socket or device", name);
            return reply.error(Errno::EPERM);
        }
        let made = self.store.create(self.node(parent), name, mode, maker(request));
        entry(reply, self.or_there(request, parent, name, made));
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let made = self.store.make_directory(self.node(parent), name, mode, maker(request));
        entry(reply, self.or_there(request, parent, name, made));
    }

    fn symlink(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let made = self.store.make_link(self.node(parent), name, target, maker(request));
        entry(reply, self.or_there(request, parent, name, made));
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, or_gone(request, self.store.remove(self.node(parent), name)));
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, or_gone(request, self.store.remove_directory(self.node(parent), name)));
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if flags.intersects(RenameFlags::RENAME_EXCHANGE | RenameFlags::RENAME_WHITEOUT) {
            self.refuse("an exchange of names", name);
            return reply.error(Errno::EINVAL);
        }
        let is_new = flags.contains(RenameFlags::RENAME_NOREPLACE);
        let done =
            self.store.rename(self.node(parent), name, self.node(new_parent), new_name, is_new);
        empty(reply, or_gone(request, done));
    }

    fn link(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _new_parent: INodeNo,
        new_name: &OsStr,
        reply: ReplyEntry,
    ) {
        // The agent would have to know which of two names the bytes belong to.
        self.refuse("a hard link", new_name);
        reply.error(Errno::EPERM);
    }

    fn open(&self, _request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.store.open(self.node(ino)) {
            Ok(()) => self.opened(NodeId(ino.0), flags.0, reply),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.store.create(self.node(parent), name, mode, maker(request));
        let opened = self.or_there(request, parent, name, made).and_then(|attr| {
            self.store.open(attr.id)?;
            Ok(attr)
        });
        match opened {
            Ok(attr) => self.created(&attr, flags, reply),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn read(
        &self,
        request: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.recalls.read(self.node(ino), offset, size, request.pid(), reply);
    }

    fn write(
        &self,
        _request: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let is_cached = write_flags.contains(WriteFlags::FUSE_WRITE_CACHE);
        let order = match is_cached {
            true => Order::AnyOrder,
            false if self.appends(NodeId(ino.0), flags.0) => Order::AtEnd,
            false => Order::AsWritten,
        };
        match self.parked.write(&self.store, self.node(ino), offset, data, order) {
            Ok(Written::Done) => {
                reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX));
                self.parked.stored(&self.store, NodeId(ino.0));
            }
            Ok(why) => {
                self.parked.park(&self.store, NodeId(ino.0), offset, data, (order, why), reply);
            }
            Err(error) => reply.error(errno(error)),
        }
    }

    fn release(
        &self,
        _request: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.store.close(self.node(ino));
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.syncs.sync(&self.store, self.node(ino), reply);
    }

    fn readdir(
        &self,
        _request: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        // An entry's place is the number of its node, so that it stays when others come and go. No node is
        // below the top's number, so that there is room for the first two.
        let (top, kind) = (self.node(ino), FileType::Directory);
        if offset == 0 && reply.add(ino, 1, kind, ".") {
            return reply.ok();
        }
        let parent = self.store.parent(top).unwrap_or(top);
        if offset <= 1 && reply.add(INodeNo(parent.0), 2, kind, "..") {
            return reply.ok();
        }
        let after = NodeId(offset.saturating_sub(1).max(ROOT.0));
        let listed = self.store.list(top, after, |id, name, kind| {
            !reply.add(INodeNo(id.0), id.0 + 1, file_type(kind), name)
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn statfs(&self, _request: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let names = u32::try_from(NAME_BYTES_MAX).unwrap_or(u32::MAX);
        let (blocks, files) = (ENDLESS_BLOCKS, ENDLESS_FILES);
        reply.statfs(blocks, blocks, blocks, files, files, BLOCK_BYTES, names, BLOCK_BYTES);
    }

    fn setxattr(
        &self,
        _request: &Request,
        _ino: INodeNo,
        name: &OsStr,
        _value: &[u8],
        _flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        self.refuse("an extended attribute", name);
        reply.error(Errno::EOPNOTSUPP);
    }

    fn fallocate(
        &self,
        _request: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        match mode {
            KEEP_SIZE => reply.ok(),
            0 => empty(reply, self.store.lengthen(self.node(ino), offset.saturating_add(length))),
            _ => {
                self.refuse("a hole", OsStr::new(""));
                reply.error(Errno::EOPNOTSUPP);
            }
        }
    }
}
