//! Parked: writes that cannot be stored yet, with their unanswered requests.
//!
//! A write waits here, and no thread does: for the bytes before it, which the kernel sends at the same time, or for
//! room, which the agent's acknowledgements make. Both have a deadline. What waits when the daemon is killed was not
//! answered, and is sent again to the next one.

use std::thread::Thread;
use std::time::Duration;

use flow::{Clock, SystemClock};
use fuser::{Errno, ReplyWrite};

use crate::store::{NodeId, Order, Store, Written};
use crate::waiting::Waiting;

/// How long the bytes before a write are waited for: what comes later than that was never written.
const EARLY_NS: u64 = 200_000_000;
/// Most that waits at once, in bytes: with the daemon's buffers it stays a small part of a volume's budget.
const BYTES_MAX: usize = 32 << 20;

/// What becomes of writes when the volume's budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// They wait so long, and fail then (`ENOSPC`).
    Block(Duration),
    /// They fail at once (`ENOSPC`).
    Fail,
    /// The oldest bytes that are not delivered are let go for them; if there are none, they fail (`ENOSPC`).
    DropOldest,
}

/// The writes of one volume that wait.
#[derive(Debug)]
pub struct Parked {
    when_full: WhenFull,
    waiting: Waiting<Writes>,
}

#[derive(Debug, Default)]
struct Writes {
    all: Vec<Write>,
    bytes: usize,
}

#[derive(Debug)]
struct Write {
    node: NodeId,
    offset: u64,
    data: Box<[u8]>,
    order: Order,
    why: Written,
    since_ns: u64,
    reply: ReplyWrite,
}

impl Parked {
    /// Nothing waits.
    #[must_use]
    pub fn new(when_full: WhenFull) -> Parked {
        Parked { when_full, waiting: Waiting::default() }
    }

    /// This thread calls [`Parked::tick`], and is woken when there is need of it.
    pub fn ticked_by(&self, thread: Thread) {
        self.waiting.answered_by(thread);
    }

    /// How many writes wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes, and makes room for that where it may.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub(crate) fn write(
        &self,
        store: &Store,
        node: NodeId,
        offset: u64,
        data: &[u8],
        order: Order,
    ) -> Result<Written, rustix::io::Errno> {
        loop {
            let written = store.write(node, offset, data, order)?;
            let drops = written == Written::Full && self.when_full == WhenFull::DropOldest;
            if !drops || store.drop_oldest(data.len() as u64)? == 0 {
                return Ok(written);
            }
        }
    }

    /// Keeps a write that the store did not take, or answers it if it may not wait.
    pub(crate) fn park(
        &self,
        store: &Store,
        node: NodeId,
        offset: u64,
        data: &[u8],
        (order, why): (Order, Written),
        reply: ReplyWrite,
    ) {
        let meter = store.meter();
        if why == Written::Full {
            if !matches!(self.when_full, WhenFull::Block(_)) {
                meter.full_writes.add(1);
                return reply.error(Errno::ENOSPC);
            }
            meter.blocked_writes.add(1);
        } else {
            meter.early_writes.add(1);
        }
        let mut waiting = self.waiting.lock();
        if waiting.bytes + data.len() > BYTES_MAX {
            meter.full_writes.add(1);
            return reply.error(Errno::ENOSPC);
        }
        waiting.bytes += data.len();
        let since_ns = SystemClock.monotonic_ns();
        waiting.all.push(Write { node, offset, data: data.into(), order, why, since_ns, reply });
        self.waiting.counted(waiting.all.len());
        drop(waiting);
        // What it waits for may have come before it was parked.
        if why == Written::Early {
            self.stored(store, node);
        }
    }

    /// Something of the node was stored: what waited for that goes on.
    pub(crate) fn stored(&self, store: &Store, node: NodeId) {
        if !self.is_empty() {
            self.retry(store, |it| it.node == node && it.why == Written::Early);
        }
    }

    /// Tries all again, and answers those that have waited too long.
    pub fn tick(&self, store: &Store) {
        if !self.is_empty() {
            self.retry(store, |_| true);
        }
    }

    fn retry(&self, store: &Store, is_meant: impl Fn(&Write) -> bool) {
        let now_ns = SystemClock.monotonic_ns();
        let mut waiting = self.waiting.lock();
        // In the order of the file, one opens the way for the next.
        waiting.all.sort_by_key(|it| (it.node, it.offset));
        let (meant, others): (Vec<Write>, Vec<Write>) =
            std::mem::take(&mut waiting.all).into_iter().partition(is_meant);
        waiting.all = others;
        for write in meant {
            if let Some(write) = self.again(store, write, now_ns) {
                waiting.all.push(write);
            }
        }
        waiting.bytes = waiting.all.iter().map(|it| it.data.len()).sum();
        self.waiting.counted(waiting.all.len());
    }

    /// Tries a write again; returns it if it is to wait on.
    fn again(&self, store: &Store, mut write: Write, now_ns: u64) -> Option<Write> {
        let waited_ns = now_ns.saturating_sub(write.since_ns);
        let is_late = write.why == Written::Full || waited_ns >= EARLY_NS;
        let order = match write.order {
            Order::AnyOrder if is_late => Order::AsWritten,
            order => order,
        };
        match self.write(store, write.node, write.offset, &write.data, order) {
            Ok(Written::Done) => {
                if write.why == Written::Full {
                    store.meter().blocked_ms.add(waited_ns / 1_000_000);
                }
                write.reply.written(u32::try_from(write.data.len()).unwrap_or(u32::MAX));
                None
            }
            Ok(why) => {
                let is_over = match self.when_full {
                    WhenFull::Fail | WhenFull::DropOldest => true,
                    WhenFull::Block(longest) => u128::from(waited_ns) >= longest.as_nanos(),
                };
                if why == Written::Full && is_over {
                    store.meter().blocked_ms.add(waited_ns / 1_000_000);
                    store.meter().full_writes.add(1);
                    write.reply.error(Errno::ENOSPC);
                    return None;
                }
                write.why = why;
                Some(write)
            }
            Err(error) => {
                write.reply.error(Errno::from_i32(error.raw_os_error()));
                None
            }
        }
    }
}
