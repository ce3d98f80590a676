//! Recall: reads of bytes that are not in memory any more, and come back from the queue.
//!
//! The agent has them, and is asked for them (`flow::RecallQuestion`); nothing is kept here, but the kernel keeps what it was
//! given as long as it has room. No thread that answers the kernel waits for that: such a read waits here, and threads of its
//! own (`ld-recall`), which are there as long as there is work, ask for it. A read fails (`EIO`) if its bytes are not
//! known to the byte, or nobody says so in time: nobody is ever given others.

mod agent;
mod caller;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use flow::{Clock, RecallQuestion, SystemClock};
use fuser::{Errno, ReplyData};

use crate::store::{Missing, NodeId, Store};
use crate::waiting::Waiting;
use agent::{Agent, NotRecalled};

/// Threads that ask.
const THREADS_MAX: usize = 2;
/// Most reads that wait at once; more fail.
const READS_MAX: usize = 64;
/// The same while answers do not come. What is read ahead is among the requests of which the kernel sends 16 at once, and so is
/// what the page cache writes: not all of them may wait.
const READS_SLOW_MAX: usize = 8;
/// Answers do not come if a read has waited for its turn so long.
const SLOW_NS: u64 = 1_000_000_000;
/// At most so often a failure is spoken of.
const FAILURE_NS: u64 = 1_000_000_000;

/// The reads of one volume that wait.
#[derive(Debug)]
pub struct Recalls {
    store: Arc<Store>,
    /// Who is asked; nobody if what is given back is to read as NUL.
    agent: Option<Agent>,
    waiting: Waiting<Reads>,
    failures: Mutex<Failures>,
}

#[derive(Debug, Default)]
struct Reads {
    queued: VecDeque<Read>,
    /// How many are being asked for: one by each thread.
    asked: usize,
}

#[derive(Debug)]
struct Read {
    node: NodeId,
    offset: u64,
    bytes: u32,
    /// The thread that reads, as far as it can be seen from here.
    caller: u32,
    since_ns: u64,
    reply: ReplyData,
}

/// What was said of failures.
#[derive(Debug, Default)]
struct Failures {
    said_ns: Option<u64>,
    unsaid: u64,
}

impl Recalls {
    /// None waits. With `longest`, the agent with this state directory is asked, and waited for so long.
    #[must_use]
    pub fn new(store: Arc<Store>, agent: Option<(&Path, Duration)>) -> Recalls {
        let agent = agent.map(|(directory, longest)| Agent::new(directory, longest));
        Recalls { store, agent, waiting: Waiting::default(), failures: Mutex::default() }
    }

    /// This thread calls [`Recalls::tick`], and is woken when there is need of it.
    pub fn ticked_by(&self, thread: Thread) {
        self.waiting.answered_by(thread);
    }

    /// How many reads wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Answers a read, or has it wait for what is not in memory.
    pub(crate) fn read(
        self: &Arc<Recalls>,
        node: NodeId,
        offset: u64,
        bytes: u32,
        caller: u32,
        reply: ReplyData,
    ) {
        let mut buffer = vec![0; bytes as usize];
        match self.store.read(node, offset, &mut buffer) {
            Ok((len, missing)) if missing.is_none() || self.agent.is_none() => {
                return reply.data(&buffer[..len]);
            }
            Ok(_) => {}
            Err(error) => return reply.error(errno(error)),
        }
        // It is read again once it is its turn: so what waits takes no memory.
        drop(buffer);
        let read = Read { node, offset, bytes, caller, since_ns: now_ns(), reply };
        let mut reads = self.waiting.lock();
        if reads.queued.len() + reads.asked >= self.most(&reads, now_ns()) {
            drop(reads);
            return self.too_many(read);
        }
        reads.queued.push_back(read);
        if reads.asked < THREADS_MAX {
            let recalls = Arc::clone(self);
            let ask = move || recalls.ask_all();
            match thread::Builder::new().name("ld-recall".to_owned()).spawn(ask) {
                Ok(_) => reads.asked += 1,
                // Another one takes it, or the next read starts one; it is late at last.
                Err(error) => tracing::warn!(%error, "no thread for what is to be read back"),
            }
        }
        self.waiting.counted(reads.queued.len() + reads.asked);
    }

    /// Asks for one read after the other, as long as there are any.
    fn ask_all(&self) {
        loop {
            let mut reads = self.waiting.lock();
            let Some(read) = reads.queued.pop_front() else {
                reads.asked -= 1;
                return self.waiting.counted(reads.queued.len() + reads.asked);
            };
            drop(reads);
            let recalled = self.recall(&read);
            match recalled {
                Ok(bytes) => read.reply.data(&bytes),
                Err(error) => read.reply.error(error),
            }
        }
    }

    /// All bytes of a read.
    fn recall(&self, read: &Read) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; read.bytes as usize];
        let (len, missing) = self.store.read(read.node, read.offset, &mut bytes).map_err(errno)?;
        bytes.truncate(len);
        let Some(Missing { key: generation, range, at, lost }) = missing else { return Ok(bytes) };
        if let Some(why) = lost {
            self.fail(read.node, why);
            return Err(Errno::EIO);
        }
        let Some(agent) = &self.agent else { return Ok(bytes) };
        let is_wanted = || !caller::is_interrupted(read.caller);
        if !is_wanted() {
            return Err(Errno::EINTR);
        }
        let question = RecallQuestion { generation, range };
        match agent.recall(&question, agent.deadline_ns(read.since_ns), &is_wanted) {
            Ok(recalled) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX);
                bytes[at..at + recalled.len()].copy_from_slice(&recalled);
                self.store.meter().recalled_bytes.add(recalled.len() as u64);
                Ok(bytes)
            }
            Err(NotRecalled::Unwanted) => Err(Errno::EINTR),
            Err(NotRecalled::Gone(why)) => {
                self.fail(read.node, &why);
                Err(Errno::EIO)
            }
        }
    }

    /// Answers those that wait for their turn and have waited too long, or that nobody wants any more.
    pub fn tick(&self) {
        let Some(agent) = self.agent.as_ref().filter(|_| !self.is_empty()) else { return };
        let now_ns = now_ns();
        let mut reads = self.waiting.lock();
        let (mut late, mut unwanted, mut many) = (Vec::new(), Vec::new(), Vec::new());
        for read in std::mem::take(&mut reads.queued) {
            if caller::is_interrupted(read.caller) {
                unwanted.push(read);
            } else if now_ns >= agent.deadline_ns(read.since_ns) {
                late.push(read);
            } else {
                reads.queued.push_back(read);
            }
        }
        while reads.queued.len() + reads.asked > self.most(&reads, now_ns) {
            many.extend(reads.queued.pop_back());
        }
        self.waiting.counted(reads.queued.len() + reads.asked);
        drop(reads);
        many.into_iter().for_each(|read| self.too_many(read));
        for read in unwanted {
            read.reply.error(Errno::EINTR);
        }
        for read in late {
            self.fail(read.node, "others were read back before it for too long");
            read.reply.error(Errno::EIO);
        }
    }

    /// How many may wait now: at least as many as are being asked for.
    fn most(&self, reads: &Reads, now_ns: u64) -> usize {
        let is_late = |it: &Read| now_ns.saturating_sub(it.since_ns) >= SLOW_NS;
        let is_away = self.agent.as_ref().is_some_and(Agent::is_away);
        let is_slow = is_away || reads.queued.front().is_some_and(is_late);
        if is_slow { READS_SLOW_MAX } else { READS_MAX }
    }

    fn too_many(&self, read: Read) {
        self.fail(read.node, "others wait already, as many as may");
        read.reply.error(Errno::EIO);
    }

    /// Counts a read that failed, and says why, unless that was said a moment ago.
    fn fail(&self, node: NodeId, why: &str) {
        self.store.meter().failed_recalls.add(1);
        let now_ns = now_ns();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.said_ns.is_some_and(|it| now_ns.saturating_sub(it) < FAILURE_NS) {
            failures.unsaid += 1;
            return;
        }
        let unsaid = std::mem::take(&mut failures.unsaid);
        failures.said_ns = Some(now_ns);
        drop(failures);
        let file = self.store.name_of(node);
        tracing::warn!(file = %file.display(), why, unsaid, "cannot be read back: the read fails");
    }
}

fn now_ns() -> u64 {
    SystemClock.monotonic_ns()
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_i32(error.raw_os_error())
}
