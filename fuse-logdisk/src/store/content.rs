//! Content: the bytes of one inode of the store, of which only some are still kept.
//!
//! ```text
//! 0        4 KiB            released                 acknowledged      size
//! │ kept    │ given back     │ kept for readers       │ not delivered   │
//! ```
//!
//! The first page stays, since the agent knows a file by it.

use std::fs::File;
use std::io::IoSlice;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::FallocateFlags;
use rustix::io::{Errno, ReadWriteFlags};

use crate::meter::Meter;

mod gone;
pub use gone::Missing;

use super::names::Class;
use gone::Gone;

/// Unit in which memory is given back, in bytes: a page.
const PAGE_BYTES: u64 = 4096;
/// What stays of the beginning, in bytes: more than the KiB by which the agent knows a file.
const HEAD_BYTES: u64 = PAGE_BYTES;
/// Least memory that is taken ahead of a writer that writes past us, in bytes.
const AHEAD_BYTES_MIN: u64 = 256 << 10;
/// So many times what it wrote since the last look.
const AHEAD_FACTOR: u64 = 8;

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is in the store.
    Done,
    /// The bytes before it are not there yet. Nothing was stored.
    Early,
    /// There is no room for all of it. It may be written again as a whole.
    Full,
}

/// What may stand before a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Writes come as the application makes them: what it leaves out is a hole.
    AsWritten,
    /// Writes come as the kernel sends pages, in any order: what is missing before is still to come.
    AnyOrder,
    /// The writer appends, and so may others, of whom nobody told the kernel: it goes to the end.
    AtEnd,
}

/// The bytes of one inode.
#[derive(Debug)]
pub(super) struct Content {
    /// What the agent calls it.
    pub(super) key: u64,
    class: Class,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// While it is open.
    file: Option<Arc<File>>,
    size: u64,
    acknowledged: u64,
    gone: Gone,
    /// What is not acknowledged before here was let go.
    dropped: u64,
    /// What applications see begins here: what stands before was cut off for them.
    base: u64,
    /// Memory is taken up to here, if that is behind the end.
    allocated: u64,
}

impl Content {
    pub(super) fn new(key: u64, size: u64, class: Class) -> Content {
        let state = State {
            file: None,
            size,
            acknowledged: 0,
            gone: Gone::default(),
            dropped: 0,
            base: 0,
            allocated: 0,
        };
        Content { key, class, state: Mutex::new(state) }
    }

    /// One of which applications see what stands behind `base`.
    pub(super) fn resumed(key: u64, size: u64, class: Class, base: u64) -> Content {
        let content = Content::new(key, size, class);
        content.state().base = base.min(size);
        content
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its file, opened by `open` if it is not.
    pub(super) fn file(
        &self,
        open: impl FnOnce() -> Result<File, Errno>,
    ) -> Result<Arc<File>, Errno> {
        let mut state = self.state();
        if let Some(file) = &state.file {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(open()?);
        state.file = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Nobody has it open: it is opened again when it must.
    pub(super) fn close(&self) {
        self.state().file = None;
    }

    pub(super) fn class(&self) -> Class {
        self.class
    }

    /// Whether the agent collects it.
    pub(super) fn is_log(&self) -> bool {
        self.class == Class::Log
    }

    /// Whether only its end is kept.
    pub(super) fn is_copy(&self) -> bool {
        self.class == Class::Copy
    }

    pub(super) fn size(&self) -> u64 {
        self.state().size
    }

    /// Where that begins which applications see.
    pub(super) fn base(&self) -> u64 {
        self.state().base
    }

    /// Length that applications see.
    pub(super) fn seen_bytes(&self) -> u64 {
        let state = self.state();
        state.size - state.base
    }

    /// Applications see nothing any more of what is there; the agent does.
    pub(super) fn begin_anew(&self) {
        let mut state = self.state();
        state.base = state.size;
    }

    /// Finds out how much was written past us.
    pub(super) fn measure(&self, file: &File, meter: &Meter) -> Result<(), Errno> {
        self.state().measure(file, meter).map(drop)
    }

    /// Takes memory ahead of a writer that writes past us, in proportion to what it wrote since the last call, and
    /// `largest_bytes` at most. Says whether it wrote anything.
    pub(super) fn take_ahead(
        &self,
        file: &File,
        largest_bytes: u64,
        meter: &Meter,
    ) -> Result<bool, Errno> {
        let mut state = self.state();
        let grown = state.measure(file, meter)?;
        let ahead = (grown * AHEAD_FACTOR).max(AHEAD_BYTES_MIN).min(largest_bytes);
        if state.size + ahead / 2 > state.allocated {
            let (begin, end) = (state.allocated.max(state.size), state.size + ahead);
            match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, begin, end - begin) {
                Ok(()) => state.allocated = end,
                // The writer will be told.
                Err(Errno::NOSPC) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(grown > 0)
    }

    /// Gives back what was taken ahead. Nobody may be writing past us.
    pub(super) fn give_back_ahead(&self, file: &File, meter: &Meter) -> Result<(), Errno> {
        let mut state = self.state();
        state.measure(file, meter)?;
        let begin = state.size.next_multiple_of(PAGE_BYTES);
        if let Some(len) = state.allocated.checked_sub(begin).filter(|it| *it > 0) {
            let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            rustix::fs::fallocate(file, punch, begin, len.next_multiple_of(PAGE_BYTES))?;
        }
        state.allocated = 0;
        Ok(())
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.state().acknowledged
    }

    pub(super) fn undelivered_bytes(&self) -> u64 {
        let state = self.state();
        state.size.saturating_sub(state.acknowledged)
    }

    /// Whether anything of it was ever acknowledged.
    pub(super) fn is_known(&self) -> bool {
        self.state().acknowledged > 0
    }

    /// Writes all of `data`; what was released stays so.
    pub(super) fn write(
        &self,
        file: &File,
        data: &[u8],
        offset: u64,
        order: Order,
        meter: &Meter,
    ) -> Result<Written, Errno> {
        let mut state = self.state();
        if order == Order::AtEnd {
            return state.append(file, data, meter);
        }
        let offset = state.base.saturating_add(offset);
        if order == Order::AnyOrder && offset > state.size {
            return Ok(Written::Early);
        }
        let end = offset.checked_add(data.len() as u64).ok_or(Errno::FBIG)?;
        let released = offset.max(HEAD_BYTES)..end.min(state.gone.released);
        // Whoever copies a file copies what was released as NULs: they need no memory either.
        let is_hole = !self.is_log() && offset >= state.size && data.iter().all(|it| *it == 0);
        if is_hole {
            rustix::fs::ftruncate(file, end)?;
            state.size = end;
        } else if released.is_empty() {
            if self.is_log() {
                state.note_overwritten(file, data, offset)?;
            }
            if !state.put(file, data, offset)? {
                return Ok(Written::Full);
            }
        } else {
            meter.overwritten_bytes.add(released.end - released.start);
            let (head, tail) = (split(released.start - offset), split(released.end - offset));
            if self.is_log() {
                state.note_overwritten(file, &data[tail..], released.end)?;
            }
            if !(state.put(file, &data[..head], offset)?
                && state.put(file, &data[tail..], released.end)?)
            {
                return Ok(Written::Full);
            }
        }
        meter.written_bytes.add(data.len() as u64);
        if !self.is_log() {
            // Nobody waits for it.
            state.acknowledged = state.size;
        }
        Ok(Written::Done)
    }

    /// Makes it longer, by NULs that take no room.
    pub(super) fn lengthen(&self, file: &File, size: u64) -> Result<(), Errno> {
        let mut state = self.state();
        let size = state.base.checked_add(size).ok_or(Errno::FBIG)?;
        if size > state.size {
            rustix::fs::ftruncate(file, size)?;
            state.size = size;
        }
        Ok(())
    }

    /// Cuts one that is not collected.
    pub(super) fn cut(&self, file: &File, size: u64) -> Result<(), Errno> {
        let mut state = self.state();
        rustix::fs::ftruncate(file, size)?;
        state.size = size;
        state.gone.released = state.gone.released.min(size);
        state.acknowledged = state.acknowledged.min(size);
        Ok(())
    }

    pub(super) fn read(&self, file: &File, offset: u64, into: &mut [u8]) -> Result<usize, Errno> {
        let offset = offset.saturating_add(self.base());
        let mut len = 0;
        while len < into.len() {
            match rustix::io::pread(file, &mut into[len..], offset + len as u64) {
                Ok(0) => break,
                Ok(more) => len += more,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(len)
    }

    /// Everything up to `offset` is acknowledged for good.
    pub(super) fn acknowledge(&self, offset: u64) {
        let mut state = self.state();
        // What the agent tells of a file that is longer than it is, is of another time.
        if offset <= state.size {
            state.acknowledged = state.acknowledged.max(offset);
        }
    }
}

impl State {
    /// How much was written past us.
    fn measure(&mut self, file: &File, meter: &Meter) -> Result<u64, Errno> {
        let size = u64::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(0);
        let grown = size.saturating_sub(self.size);
        self.size += grown;
        meter.written_bytes.add(grown);
        Ok(grown)
    }

    /// Writes to the end, wherever that is by then.
    fn append(&mut self, file: &File, data: &[u8], meter: &Meter) -> Result<Written, Errno> {
        let mut rest = data;
        while !rest.is_empty() {
            let bytes = [IoSlice::new(rest)];
            match rustix::io::pwritev2(file, &bytes, 0, ReadWriteFlags::APPEND) {
                Err(Errno::NOSPC) | Ok(0) if rest.len() == data.len() => return Ok(Written::Full),
                // What was written of it stays, as on any disk.
                Ok(0) => return Err(Errno::NOSPC),
                Ok(len) => rest = &rest[len..],
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        self.measure(file, meter)?;
        Ok(Written::Done)
    }

    /// Whether there was room for all of it.
    fn put(&mut self, file: &File, data: &[u8], offset: u64) -> Result<bool, Errno> {
        let mut rest = data;
        let mut at = offset;
        while !rest.is_empty() {
            match file.write_at(rest, at) {
                Ok(0) => return Ok(false),
                Ok(len) => {
                    (rest, at) = (&rest[len..], at + len as u64);
                    self.size = self.size.max(at);
                }
                Err(error) => match Errno::from_io_error(&error) {
                    Some(Errno::INTR) => {}
                    Some(Errno::NOSPC) => return Ok(false),
                    Some(errno) => return Err(errno),
                    None => return Err(Errno::IO),
                },
            }
        }
        Ok(true)
    }
}

/// A place within data that lies in memory.
fn split(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
