//! Syncs: `fsync` calls that return when the queue has what was written before them.
//!
//! A call waits here, and no thread does. What it waits for is what the agent's checkpoint says of the file's bytes at
//! that time. What waits when the daemon is killed was not answered, and is sent again to the next one.

use std::thread::Thread;
use std::time::Duration;

use flow::{Clock, SystemClock};
use fuser::{Errno, ReplyEmpty};

use crate::store::{NodeId, Store, Until};
use crate::waiting::Waiting;

/// Most calls that wait at once: one for each thread of applications.
const CALLS_MAX: usize = 16 << 10;

/// The calls of one volume that wait.
#[derive(Debug)]
pub struct Syncs {
    /// How long they wait until they fail (`ETIMEDOUT`); `None` if none waits.
    longest: Option<Duration>,
    waiting: Waiting<Vec<Call>>,
}

#[derive(Debug)]
struct Call {
    until: Until,
    since_ns: u64,
    reply: ReplyEmpty,
}

impl Syncs {
    /// None waits. With `longest`, calls wait for the queue so long; without, they return at once.
    #[must_use]
    pub fn new(longest: Option<Duration>) -> Syncs {
        Syncs { longest, waiting: Waiting::default() }
    }

    /// This thread calls [`Syncs::tick`], and is woken when there is need of it.
    pub fn ticked_by(&self, thread: Thread) {
        self.waiting.answered_by(thread);
    }

    /// How many calls wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Answers a call, or keeps it until the queue has what the file holds now.
    pub(crate) fn sync(&self, store: &Store, node: NodeId, reply: ReplyEmpty) {
        if self.longest.is_none() {
            // What was written is in the store, which is as safe as it gets.
            return reply.ok();
        }
        let until = match store.until_delivered(node) {
            Ok(Some(until)) if !store.is_delivered(&until) => until,
            Ok(_) => return reply.ok(),
            Err(error) => return reply.error(Errno::from_i32(error.raw_os_error())),
        };
        let mut waiting = self.waiting.lock();
        if waiting.len() >= CALLS_MAX {
            drop(waiting);
            store.meter().late_syncs.add(1);
            return reply.error(Errno::ENOBUFS);
        }
        waiting.push(Call { until, since_ns: SystemClock.monotonic_ns(), reply });
        self.waiting.counted(waiting.len());
    }

    /// Answers those whose bytes the queue has by now, and those that have waited too long.
    pub fn tick(&self, store: &Store) {
        if self.is_empty() {
            return;
        }
        let longest_ns = self.longest.unwrap_or_default().as_nanos();
        let now_ns = SystemClock.monotonic_ns();
        let mut waiting = self.waiting.lock();
        for call in std::mem::take(&mut *waiting) {
            if store.is_delivered(&call.until) {
                call.reply.ok();
            } else if u128::from(now_ns.saturating_sub(call.since_ns)) >= longest_ns {
                store.meter().late_syncs.add(1);
                call.reply.error(Errno::ETIMEDOUT);
            } else {
                waiting.push(call);
            }
        }
        self.waiting.counted(waiting.len());
    }
}
