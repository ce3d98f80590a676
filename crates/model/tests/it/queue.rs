//! The embedded queue: nothing is acknowledged before it is safe, a failed sync acknowledges nothing,
//! and nobody waits for ever. Segments are real files; what is safe is known to the disk alone.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::Receiver;
use flow::{
    Acked, Clock, Codec, Context, ContextId, Encoding, Ledger, Marks, Payload, PayloadHeader, Sink,
    SinkError, SourceId, Span, Ticket, ack_channel,
};
use model::sink::queue::{Disk, Queue, QueueOptions, QueueSink, SystemDisk};
use model::sync::{Condvar, Mutex, MutexGuard, thread};
use tempfile::{TempDir, tempdir, tempdir_in};

use crate::{in_orders_with, join_all};

/// Interruptions in the models of the queue, which have some hundred steps each.
const INTERRUPTIONS: usize = 2;

/// A clock that stands still: in the model, limits of time are over at once or never.
#[derive(Debug)]
struct StillClock;

impl Clock for StillClock {
    fn monotonic_ns(&self) -> u64 {
        1
    }

    fn unix_ns(&self) -> i64 {
        1_000_000_000_000
    }
}

/// A deadline that this clock never reaches.
const DEADLINE_NS: u64 = u64::MAX;

/// Real files, of which a sync makes safe what was written before it began; or fails.
#[derive(Debug, Default)]
struct ModelDisk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Payloads written, and how many of them are safe.
    written: usize,
    safe: usize,
    fails: bool,
    is_cut: bool,
}

impl ModelDisk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits until so many payloads are safe; for ever, if nobody syncs.
    fn wait_safe(&self, payloads: usize) {
        let mut state = self.lock();
        while state.safe < payloads {
            state = self.changed.wait(state).unwrap();
        }
    }
}

impl Disk for ModelDisk {
    fn write(&self, file: &File, offset: u64, head: &[u8], block: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        assert!(!state.is_cut, "written behind the cut");
        // A segment's header has no block.
        state.written += usize::from(!block.is_empty());
        SystemDisk.write(file, offset, head, block)
    }

    fn cut(&self, file: &File, bytes: u64) -> io::Result<()> {
        self.lock().is_cut = true;
        SystemDisk.cut(file, bytes)
    }

    fn sync(&self, _file: &File) -> io::Result<()> {
        let before = self.lock().written;
        let mut state = self.lock();
        if state.fails {
            return Err(io::Error::from_raw_os_error(5));
        }
        state.safe = state.safe.max(before);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// A payload of one section with one byte, of a context of its own.
fn payload(number: u128, ledger: &Arc<Ledger>) -> Payload {
    let span = Span::new(0, 1);
    let tenant: Arc<str> = Arc::from("shop");
    let id = ContextId(number);
    let context = Context { id, tenant: Arc::clone(&tenant), attributes: Vec::new() };
    let header = PayloadHeader {
        context: Arc::new(context),
        epoch: 1,
        span,
        marks: Marks { first: true, last: false },
        records: 1,
        filtered: 0,
        gap: None,
        observed_unix_ns: 1,
        positions: Vec::new(),
        is_divisible: false,
        part_of: None,
        is_inner: false,
        range: 0..1,
    };
    let acked = Acked {
        source: SourceId(u32::try_from(number).unwrap()),
        span,
        positions: Vec::new(),
        records: 1,
        filtered_bytes: 0,
        gap: None,
        is_inner: false,
        seen_ns: 0,
    };
    Payload {
        tenant,
        encoding: Encoding::OtlpProto,
        codec: Codec::None,
        raw_bytes: 1,
        block: vec![b'x'],
        headers: vec![header],
        tickets: vec![Ticket::new(acked, Arc::clone(ledger))],
        permit: None,
    }
}

/// A queue in a folder of its own, and what is known of it.
struct Bed {
    queue: Arc<Queue>,
    disk: Arc<ModelDisk>,
    ledger: Arc<Ledger>,
    acks: flow::AckSender,
    acked: Receiver<Vec<Acked>>,
    _folder: TempDir,
}

impl Bed {
    /// A queue that syncs what was written at once, or only when it is asked to.
    fn new(is_eager: bool) -> Bed {
        // In memory where there is such a place: thousands of queues are made.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempdir_in(memory) } else { tempdir() }.unwrap();
        let disk = Arc::new(ModelDisk::default());
        let interval = if is_eager { Duration::ZERO } else { Duration::from_secs(1) };
        let options = QueueOptions { sync_interval: interval, ..QueueOptions::default() };
        let as_disk: Arc<dyn Disk> = Arc::<ModelDisk>::clone(&disk);
        let opened = Queue::open_on(folder.path(), options, Arc::new(StillClock), as_disk);
        let (acks, acked) = ack_channel();
        let ledger = Arc::new(Ledger::default());
        Bed { queue: opened.unwrap().0, disk, ledger, acks, acked, _folder: folder }
    }

    fn sink(&self) -> QueueSink {
        QueueSink::new(Arc::clone(&self.queue), self.acks.clone())
    }

    /// Submits a payload on a thread of its own; tells whether the queue took it.
    fn submits(&self, number: u128) -> thread::JoinHandle<bool> {
        let (mut sink, ledger) = (self.sink(), Arc::clone(&self.ledger));
        thread::spawn(move || match sink.submit(payload(number, &ledger)) {
            Ok(_) => true,
            Err(refused) => {
                assert!(matches!(refused.why, SinkError::Broken(_)), "{}", refused.why);
                false
            }
        })
    }

    /// Acknowledgements that came since the last look, of which none may be unsafe.
    fn look(&self, seen: usize) -> usize {
        // Under the disk's lock: nothing becomes safe between the two looks.
        let state = self.disk.lock();
        let seen = seen + self.acked.try_iter().map(|group| group.len()).sum::<usize>();
        assert!(seen <= state.safe, "{seen} acknowledged, {} safe", state.safe);
        seen
    }

    /// Drops the queue, which ends its thread; tells what was acknowledged, and what dropped.
    fn end(self) -> (usize, u64) {
        let seen = self.look(0);
        drop(self.queue);
        (seen + self.acked.try_iter().flatten().count(), self.ledger.dropped())
    }
}

#[test]
fn nothing_is_acknowledged_before_its_sync_and_all_of_it_after() {
    in_orders_with(INTERRUPTIONS, || {
        let bed = Bed::new(true);
        let submitter = bed.submits(1);
        let mut seen = bed.look(0);
        assert!(submitter.join().unwrap());
        seen = bed.look(seen);
        bed.disk.wait_safe(1);
        seen = bed.look(seen);
        bed.sink().flush(DEADLINE_NS).unwrap();
        assert_eq!(bed.look(seen), 1);
        assert_eq!(bed.end(), (0, 0));
    });
}

#[test]
fn what_two_shippers_of_a_new_tenant_wrote_is_safe_after_a_flush() {
    in_orders_with(INTERRUPTIONS, || {
        let bed = Bed::new(false);
        assert_eq!(join_all([bed.submits(1), bed.submits(2)]), [true, true]);
        bed.sink().flush(DEADLINE_NS).unwrap();
        assert_eq!(bed.end(), (2, 0));
    });
}

#[test]
fn two_that_flush_at_once_both_come_to_an_end() {
    in_orders_with(INTERRUPTIONS, || {
        let bed = Bed::new(false);
        let flushes = [1, 2].map(|number| {
            let (mut sink, ledger) = (bed.sink(), Arc::clone(&bed.ledger));
            let disk = Arc::clone(&bed.disk);
            thread::spawn(move || {
                sink.submit(payload(number, &ledger)).unwrap();
                sink.flush(DEADLINE_NS).unwrap();
                assert!(disk.lock().safe > 0, "its own payload at least");
            })
        });
        join_all(flushes);
        assert_eq!(bed.end(), (2, 0));
    });
}

#[test]
fn a_failed_sync_acknowledges_nothing_and_nobody_writes_behind_the_cut() {
    in_orders_with(INTERRUPTIONS, || {
        let bed = Bed::new(true);
        bed.disk.lock().fails = true;
        let taken = join_all([bed.submits(1), bed.submits(2)]);
        assert!(taken.contains(&true), "the first is written before anything is synced");
        assert!(matches!(bed.sink().flush(DEADLINE_NS), Err(SinkError::Broken(_))));
        assert!(bed.queue.health().is_err());
        assert_eq!(bed.end(), (0, 2));
    });
}

#[test]
fn a_queue_that_is_dropped_with_payloads_waiting_ends_and_says_what_became_of_each() {
    in_orders_with(INTERRUPTIONS, || {
        let bed = Bed::new(true);
        assert_eq!(join_all([bed.submits(1), bed.submits(2)]), [true, true]);
        let disk = Arc::clone(&bed.disk);
        let (acked, dropped) = bed.end();
        assert_eq!(acked as u64 + dropped, 2);
        assert!(acked <= disk.lock().safe);
    });
}
