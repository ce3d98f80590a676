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

/// How long the bytes before a write are waited for: what comes later than that was never written. Time in which any write
/// of the volume waits for room does not count: the kernel sends so many at once, and holds back all others until then.
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

/// Who is told what became of a write.
pub trait Answer {
    /// So many bytes are stored: all.
    fn written(self, bytes: u32);
    /// It failed.
    fn failed(self, error: Errno);
}

impl Answer for ReplyWrite {
    fn written(self, bytes: u32) {
        ReplyWrite::written(self, bytes);
    }

    fn failed(self, error: Errno) {
        self.error(error);
    }
}

/// The writes of one volume that wait.
#[derive(Debug)]
pub struct Parked<R = ReplyWrite> {
    when_full: WhenFull,
    waiting: Waiting<Writes<R>>,
}

#[derive(Debug)]
struct Writes<R> {
    all: Vec<Write<R>>,
    bytes: usize,
    /// When one of them waited for room, at last.
    full_ns: u64,
}

impl<R> Default for Writes<R> {
    fn default() -> Writes<R> {
        Writes { all: Vec::new(), bytes: 0, full_ns: 0 }
    }
}

#[derive(Debug)]
struct Write<R> {
    node: NodeId,
    offset: u64,
    data: Box<[u8]>,
    order: Order,
    why: Written,
    since_ns: u64,
    reply: R,
}

impl<R: Answer> Parked<R> {
    /// Nothing waits.
    #[must_use]
    pub fn new(when_full: WhenFull) -> Parked<R> {
        Parked { when_full, waiting: Waiting::default() }
    }

    /// Whether a write waits for room, and does not fail at once.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        matches!(self.when_full, WhenFull::Block(_))
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
        reply: R,
    ) {
        let meter = store.meter();
        if why == Written::Full {
            if !self.may_wait() {
                meter.full_writes.add(1);
                return reply.failed(Errno::ENOSPC);
            }
            meter.blocked_writes.add(1);
        } else {
            meter.early_writes.add(1);
        }
        let mut waiting = self.waiting.lock();
        if waiting.bytes + data.len() > BYTES_MAX {
            meter.full_writes.add(1);
            return reply.failed(Errno::ENOSPC);
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

    fn retry(&self, store: &Store, is_meant: impl Fn(&Write<R>) -> bool) {
        let now_ns = SystemClock.monotonic_ns();
        let mut waiting = self.waiting.lock();
        // In the order of the file, one opens the way for the next.
        waiting.all.sort_by_key(|it| (it.node, it.offset));
        if waiting.all.iter().any(|it| it.why == Written::Full) {
            waiting.full_ns = now_ns;
        }
        let full_ns = waiting.full_ns;
        let (meant, others): (Vec<Write<R>>, Vec<Write<R>>) =
            std::mem::take(&mut waiting.all).into_iter().partition(is_meant);
        waiting.all = others;
        // The node of which a write waits on: what stands behind that is not stored before it, however late it is.
        let mut stuck = None;
        for write in meant {
            let is_behind = stuck == Some(write.node);
            let is_in_time = now_ns.saturating_sub(write.since_ns.max(full_ns)) < EARLY_NS;
            let must_wait = is_behind || (write.why == Written::Early && is_in_time);
            if let Some(write) = self.again(store, write, now_ns, must_wait) {
                stuck = Some(write.node);
                waiting.all.push(write);
            }
        }
        waiting.bytes = waiting.all.iter().map(|it| it.data.len()).sum();
        self.waiting.counted(waiting.all.len());
    }

    /// Tries a write again; returns it if it is to wait on, as it must for what stands before it if that is not there.
    fn again(
        &self,
        store: &Store,
        mut write: Write<R>,
        now_ns: u64,
        must_wait: bool,
    ) -> Option<Write<R>> {
        // Of one that waited for others before, that counts too: those behind a write that fails fail with it.
        let waited_ns = now_ns.saturating_sub(write.since_ns);
        let order = match write.order {
            Order::AnyOrder if !must_wait => Order::AsWritten,
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
                if write.why == Written::Early && why == Written::Full {
                    store.meter().blocked_writes.add(1);
                }
                let is_over = match self.when_full {
                    WhenFull::Fail | WhenFull::DropOldest => true,
                    WhenFull::Block(longest) => u128::from(waited_ns) >= longest.as_nanos(),
                };
                if why == Written::Full && is_over {
                    store.meter().blocked_ms.add(waited_ns / 1_000_000);
                    store.meter().full_writes.add(1);
                    write.reply.failed(Errno::ENOSPC);
                    return None;
                }
                write.why = why;
                Some(write)
            }
            Err(error) => {
                write.reply.failed(Errno::from_i32(error.raw_os_error()));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs::File;
    use std::io::Write as _;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::store::{Maker, ROOT, Retention, Selection};

    /// Tells the end of a write to a test.
    struct Told(Arc<std::sync::Mutex<Vec<u32>>>);

    impl Answer for Told {
        fn written(self, bytes: u32) {
            self.0.lock().unwrap().push(bytes);
        }

        fn failed(self, error: Errno) {
            panic!("{error:?}");
        }
    }

    fn store_with_a_file(folder: &Path) -> (Store, NodeId) {
        let (selection, retention) = (Selection::default(), Retention::default());
        let store = Store::open_at(folder, selection, retention, Arc::default()).unwrap();
        let maker = Maker { uid: 0, gid: 0 };
        let node = store.create(ROOT, OsStr::new("app.log"), 0o644, maker).unwrap().id;
        store.open(node).unwrap();
        (store, node)
    }

    /// Whoever reads meanwhile, as the agent does, would take the room between for a hole, and deliver that.
    #[test]
    fn what_stands_behind_a_write_that_waits_is_not_stored_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let (store, node) = store_with_a_file(folder.path());
        let parked: Parked<Told> = Parked::new(WhenFull::Fail);
        let told = Arc::default();
        let park = |offset: u64, bytes: usize| {
            let why = (Order::AnyOrder, Written::Early);
            parked.park(&store, node, offset, &vec![b'x'; bytes], why, Told(Arc::clone(&told)));
        };
        park(300, 30);
        // The one behind is late by now, and the one before it is not.
        std::thread::sleep(Duration::from_nanos(EARLY_NS));
        park(100, 200);
        parked.tick(&store);
        let early = (store.attr(node).unwrap().size, told.lock().unwrap().clone());
        let (none, all) = ((0, vec![]), (330, vec![200, 30]));
        assert!(early == none || early == all, "{early:?}");
        std::thread::sleep(Duration::from_nanos(EARLY_NS));
        parked.tick(&store);
        assert_eq!((store.attr(node).unwrap().size, told.lock().unwrap().clone()), all);
    }

    /// Where there is no room.
    mod real_mount {
        use super::*;
        use crate::mounting::{detach, mount_tmpfs};

        const PAGE: usize = 4096;

        /// Runs a test with a volume of few pages, and a file of it.
        fn in_a_small_volume(test: impl FnOnce(&Path, &Store, NodeId)) {
            let folder = tempfile::tempdir().unwrap();
            mount_tmpfs(folder.path(), 16 * PAGE as u64).unwrap();
            let (store, node) = store_with_a_file(folder.path());
            test(folder.path(), &store, node);
            drop(store);
            detach(folder.path()).unwrap();
        }

        /// Takes all the room there is.
        fn fill(folder: &Path) {
            let mut ballast = File::create(folder.join("ballast")).unwrap();
            while ballast.write_all(&[b'x'; PAGE]).is_ok() {}
        }

        #[test]
        fn a_write_that_waits_for_others_and_then_for_room_is_counted() {
            in_a_small_volume(|folder, store, node| {
                let parked: Parked<Told> = Parked::new(WhenFull::Block(Duration::from_secs(60)));
                fill(folder);
                let why = (Order::AnyOrder, Written::Early);
                parked.park(store, node, PAGE as u64, &[b'x'; PAGE], why, Told(Arc::default()));
                std::thread::sleep(Duration::from_nanos(EARLY_NS));
                parked.tick(store);
                parked.tick(store);
                assert_eq!(parked.len(), 1);
                assert_eq!(store.meter().blocked_writes.get(), 1);
            });
        }

        /// The kernel sends no more than so many writes at once: what stands before those that wait comes later.
        #[test]
        fn what_comes_before_a_write_is_waited_for_as_long_as_others_wait_for_room() {
            in_a_small_volume(|folder, store, node| {
                let parked: Parked<Told> = Parked::new(WhenFull::Block(Duration::from_secs(60)));
                fill(folder);
                let told = Arc::default();
                let park = |offset: usize, why| {
                    let why = (Order::AnyOrder, why);
                    let data = [b'x'; PAGE];
                    parked.park(store, node, offset as u64, &data, why, Told(Arc::clone(&told)));
                };
                park(0, Written::Full);
                park(2 * PAGE, Written::Early);
                std::thread::sleep(Duration::from_nanos(EARLY_NS));
                parked.tick(store);
                std::fs::remove_file(folder.join("ballast")).unwrap();
                parked.tick(store);
                assert_eq!(store.attr(node).unwrap().size, PAGE as u64, "no hole");
                park(PAGE, Written::Early);
                assert_eq!(store.attr(node).unwrap().size, 3 * PAGE as u64);
                assert_eq!(told.lock().unwrap().len(), 3);
            });
        }
    }
}
