//! Opening: what the kernel is told when a file is opened, by the volume's mode.

use std::io;
use std::sync::atomic::Ordering;

use fuser::{
    BackingId, FileHandle, FopenFlags, Generation, InitFlags, KernelConfig, ReplyCreate, ReplyOpen,
};
use rustix::fs::OFlags;

use super::convert::{errno, file_attr};
use super::{Front, Mode, TTL};
use crate::passthrough;
use crate::store::{Attr, Backed, NodeId};

impl Front {
    /// Agrees with the kernel on what the mode needs, or on another mode.
    pub(super) fn agree(&mut self, config: &mut KernelConfig) -> io::Result<()> {
        if self.mode == Mode::Fast {
            match passthrough::refusal(config.capabilities().bits()) {
                None => self.store.let_pass(),
                Some(why) => {
                    tracing::warn!(why, "no --mode fast here; going on as with --mode writeback");
                    self.mode = Mode::Writeback;
                }
            }
        }
        let wanted = match self.mode {
            Mode::Writeback => InitFlags::FUSE_WRITEBACK_CACHE,
            Mode::Strict => InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP,
            Mode::Fast => InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP | InitFlags::FUSE_PASSTHROUGH,
        };
        if self.mode == Mode::Fast {
            // The store's files lie on a tmpfs, which lies on nothing.
            config.set_max_stack_depth(1).map_err(|_| io::Error::other("no depth is less"))?;
        }
        match config.add_capabilities(wanted) {
            Err(_) if self.mode == Mode::Writeback => {
                Err(io::Error::other("the kernel has no writeback cache for FUSE (3.15)"))
            }
            _ => Ok(()),
        }
    }

    /// Answers that a file is open.
    pub(super) fn opened(&self, id: NodeId, flags: i32, reply: ReplyOpen) {
        let (answer, backed) = match self.how(id, flags) {
            Ok(how) => how,
            Err(error) => {
                self.store.close(id);
                return reply.error(errno(error));
            }
        };
        self.close_backings(|number| wrap_open(&reply, number));
        match backed {
            None => reply.opened(FileHandle(0), answer),
            Some(number) => {
                let backing = wrap_open(&reply, number);
                reply.opened_passthrough(FileHandle(0), answer, &backing);
                // It stays open.
                backing.into_raw();
            }
        }
    }

    /// Answers that a file is made and open.
    pub(super) fn created(&self, attr: &Attr, flags: i32, reply: ReplyCreate) {
        let (answer, backed) = match self.how(attr.id, flags) {
            Ok(how) => how,
            Err(error) => {
                self.store.close(attr.id);
                return reply.error(errno(error));
            }
        };
        self.close_backings(|number| wrap_create(&reply, number));
        let (attr, generation, handle) = (file_attr(attr), Generation(0), FileHandle(0));
        match backed {
            None => reply.created(&TTL, &attr, generation, handle, answer),
            Some(number) => {
                let backing = wrap_create(&reply, number);
                reply.created_passthrough(&TTL, &attr, generation, handle, answer, &backing);
                // It stays open.
                backing.into_raw();
            }
        }
    }

    /// Whether a write that came to us is to go to the end, wherever the kernel takes that to be.
    pub(super) fn appends(&self, id: NodeId, flags: i32) -> bool {
        self.mode == Mode::Fast && of(flags).contains(OFlags::APPEND) && self.store.is_backed(id)
    }

    /// How a file is opened: the kernel's flags, and the number of its backing.
    fn how(&self, id: NodeId, flags: i32) -> Result<(FopenFlags, Option<u32>), rustix::io::Errno> {
        match self.mode {
            Mode::Writeback => return Ok((FopenFlags::FOPEN_KEEP_CACHE, None)),
            Mode::Strict => return Ok((FopenFlags::FOPEN_DIRECT_IO, None)),
            Mode::Fast => {}
        }
        let how = of(flags) & (OFlags::RWMODE | OFlags::APPEND);
        // By a request, it can be made to wait for room.
        let must_wait = self.parked.may_wait() && self.store.is_nearly_full();
        let only_appends = how == OFlags::WRONLY | OFlags::APPEND && !must_wait;
        let wants_one = only_appends && !self.has_failed.load(Ordering::Relaxed);
        let mut failed = None;
        let backed = self.store.backing(id, wants_one, |file| {
            BackingId::create_raw(&self.connection, file).inspect_err(|it| failed = Some(it.kind()))
        });
        if let Some(error) = failed {
            // Whoever has it open already has no backing either.
            if !self.has_failed.swap(true, Ordering::Relaxed) {
                tracing::warn!(%error, "the kernel lets nothing pass; each write comes by itself");
            }
            return Ok((FopenFlags::FOPEN_DIRECT_IO, None));
        }
        Ok(match backed? {
            None => (FopenFlags::FOPEN_DIRECT_IO, None),
            Some(Backed { number, is_current: true }) if only_appends => {
                (FopenFlags::empty(), Some(number))
            }
            // It comes to us all the same; but the kernel wants one backing for all.
            Some(Backed { number, .. }) => (FopenFlags::FOPEN_DIRECT_IO, Some(number)),
        })
    }

    fn close_backings(&self, wrap: impl Fn(u32) -> BackingId) {
        for number in self.store.closed_backings() {
            // Closed with this.
            drop(wrap(number));
        }
    }
}

fn of(flags: i32) -> OFlags {
    OFlags::from_bits_retain(flags.cast_unsigned())
}

fn wrap_open(reply: &ReplyOpen, number: u32) -> BackingId {
    #[expect(unsafe_code, reason = "fuser has no other way to name a backing of an earlier daemon")]
    // SAFETY: the number was given by this connection, and the store closes each only once.
    unsafe {
        reply.wrap_backing(number)
    }
}

fn wrap_create(reply: &ReplyCreate, number: u32) -> BackingId {
    #[expect(unsafe_code, reason = "fuser has no other way to name a backing of an earlier daemon")]
    // SAFETY: as above.
    unsafe {
        reply.wrap_backing(number)
    }
}
