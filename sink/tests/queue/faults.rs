//! Disks that fail: nothing is acknowledged that is not safe, and nothing is lost or doubled.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flow::{Codec, Ledger, ReadBack, Sink, SinkError, Span, ack_channel};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use sink::queue::audit::Audit;
use sink::queue::{OpenError, Queue, QueueOptions, QueueReadBack, limits};
use tempfile::tempdir;

use crate::fixture::*;

const ENOSPC: i64 = 28;
const EROFS: i64 = 30;

fn open_failing(dir: &Path, options: QueueOptions) -> (Arc<Queue>, Arc<FailingDisk>) {
    let disk = Arc::new(FailingDisk::default());
    let (queue, _) =
        Queue::open_on(dir, options, StillClock::new(), Arc::clone(&disk) as _).unwrap();
    (queue, disk)
}

#[test]
fn a_ticket_is_never_completed_before_the_sync() {
    let dir = tempdir().unwrap();
    let eager = QueueOptions { sync_interval: std::time::Duration::ZERO, ..options() };
    let (queue, disk) = open_failing(dir.path(), eager);
    let (acks, acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    let mut sink = sink(&queue, &acks);
    let gate = disk.gate.lock().unwrap();
    sink.submit(payload(&ledger, Codec::None, &[part(1, 0, 10)])).unwrap();
    let deadline = flow::Clock::monotonic_ns(&flow::SystemClock) + 50_000_000;
    assert!(matches!(sink.flush(deadline), Err(SinkError::Retry(_))), "the sync cannot end");
    assert!(acked.try_recv().is_err());
    let syncs = disk.syncs.load(Ordering::SeqCst);
    drop(gate);
    assert_eq!(acked.recv().unwrap()[0].span, Span::new(0, 10));
    assert!(disk.syncs.load(Ordering::SeqCst) > syncs);
}

#[test]
fn what_is_written_during_a_sync_waits_for_the_next() {
    let dir = tempdir().unwrap();
    let (queue, disk) = open_failing(dir.path(), options());
    let (acks, acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    let mut first = sink(&queue, &acks);
    let mut second = sink(&queue, &acks);
    first.submit(payload(&ledger, Codec::None, &[part(1, 0, 10)])).unwrap();
    std::thread::scope(|scope| {
        let gate = disk.gate.lock().unwrap();
        let flushing = scope.spawn(move || first.flush(far_deadline()).unwrap());
        while queue.stats()[0].unsynced_bytes == 0 {}
        // The round has begun once its tickets are taken; it cannot end before the gate opens.
        std::thread::sleep(std::time::Duration::from_millis(20));
        second.submit(payload(&ledger, Codec::None, &[part(1, 10, 20)])).unwrap();
        drop(gate);
        flushing.join().unwrap();
    });
    let done: Vec<Span> = acked.try_iter().flatten().map(|it| it.span).collect();
    assert_eq!(done[0], Span::new(0, 10));
    second.flush(far_deadline()).unwrap();
    assert_eq!(done.len() + acked.try_iter().flatten().count(), 2);
    assert_eq!(queue.stats()[0].unsynced_bytes, 0);
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_what_was_unsafe_is_gone() {
    for fail_folder in [false, true] {
        let dir = tempdir().unwrap();
        let small = QueueOptions { segment_bytes: 600, ..options() };
        let (queue, disk) = open_failing(dir.path(), small.clone());
        let (acks, acked) = ack_channel();
        let ledger = Arc::new(Ledger::default());
        let mut shipper = sink(&queue, &acks);
        shipper.submit(payload(&ledger, Codec::None, &[part(1, 0, 10)])).unwrap();
        shipper.flush(far_deadline()).unwrap();
        assert_eq!(acked.try_iter().flatten().count(), 1);
        for step in 1..6 {
            let next = part(1, step * 10, step * 10 + 10);
            shipper.submit(payload(&ledger, Codec::None, &[next])).unwrap();
        }
        if fail_folder { &disk.fail_folder_sync } else { &disk.fail_sync }
            .store(true, Ordering::SeqCst);
        assert!(matches!(shipper.flush(far_deadline()), Err(SinkError::Broken(_))));
        assert!(matches!(shipper.health(), Err(SinkError::Broken(_))));
        let refused =
            shipper.submit(payload(&ledger, Codec::None, &[part(1, 60, 70)])).unwrap_err();
        assert!(matches!(refused.why, SinkError::Broken(_)));
        // The disk is well again, but nobody asks the same file twice.
        disk.fail_sync.store(false, Ordering::SeqCst);
        disk.fail_folder_sync.store(false, Ordering::SeqCst);
        let syncs = disk.syncs.load(Ordering::SeqCst);
        assert!(shipper.flush(far_deadline()).is_err());
        drop((queue, shipper));
        assert_eq!(disk.syncs.load(Ordering::SeqCst), syncs);
        assert_eq!(acked.try_iter().flatten().count(), 0);
        assert_eq!(ledger.dropped(), 5);
        drop(refused);

        let (queue, recovery) = Queue::open(dir.path(), small, StillClock::new()).unwrap();
        let mut read_back = QueueReadBack::of(&queue).unwrap();
        let persisted = read_back.persisted(context(1).id);
        assert_eq!(persisted.len(), 1, "{recovery}");
        assert_eq!(persisted[0].span, Span::new(0, 10), "{recovery}");
        let mut shipper = sink(&queue, &acks);
        for step in 1..6 {
            let next = part(1, step * 10, step * 10 + 10);
            shipper.submit(payload(&ledger, Codec::None, &[next])).unwrap();
        }
        shipper.flush(far_deadline()).unwrap();
        assert_clean(dir.path(), 60);
    }
}

#[test]
fn a_sink_is_busy_when_too_much_is_unsynced_and_then_goes_on() {
    const STEP_BYTES: u64 = 6 << 20;
    let dir = tempdir().unwrap();
    let (queue, disk) = open_failing(dir.path(), options());
    let (acks, acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    let mut sink = sink(&queue, &acks);
    let gate = disk.gate.lock().unwrap();
    let mut step = 0;
    let refused = loop {
        let next = part(1, step * STEP_BYTES, (step + 1) * STEP_BYTES);
        match sink.submit(payload(&ledger, Codec::None, &[next])) {
            Ok(_) => step += 1,
            Err(refused) => break refused,
        }
        assert!(queue.stats()[0].unsynced_bytes <= limits::UNSYNCED_BYTES_MAX);
    };
    assert!(matches!(refused.why, SinkError::Busy), "{}", refused.why);
    drop(gate);
    // Nobody flushes and the interval is a minute, but so much does not wait for it.
    assert_eq!(acked.recv().unwrap()[0].span.begin, 0);
    sink.flush(far_deadline()).unwrap();
    sink.submit(refused.payload).unwrap();
    sink.flush(far_deadline()).unwrap();
    assert_clean(dir.path(), (step + 1) * STEP_BYTES);
}

/// The audit of tenant `shop` finds one context, all of it, once.
fn assert_clean(dir: &Path, end: u64) {
    let (batches, problems) = read_all(dir, "shop");
    assert_eq!(problems, []);
    let mut audit = Audit::new(0);
    for batch in &batches {
        assert_bodies(batch);
        audit.observe_batch(batch, None);
    }
    let report = audit.finish();
    assert!(report.is_clean(), "{:#}", report.to_json());
    assert_eq!(report.contexts[0].covered, Some(Span::new(0, end)));
}

#[test]
fn a_failed_write_is_cut_back_and_can_be_tried_again() {
    let dir = tempdir().unwrap();
    let small = QueueOptions { segment_bytes: 800, ..options() };
    let (queue, disk) = open_failing(dir.path(), small);
    let (acks, acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    let mut sink = sink(&queue, &acks);
    // Fails at creating, at appending and at sealing.
    for step in 0..20 {
        let mut next = payload(&ledger, Codec::None, &[part(1, step * 30, step * 30 + 30)]);
        disk.fail_write.store(ENOSPC, Ordering::SeqCst);
        for _ in 0..2 {
            let refused = sink.submit(next).unwrap_err();
            let SinkError::Retry(why) = &refused.why else { panic!("{}", refused.why) };
            assert!(why.contains("No space left") && why.contains(".seg"), "{why}");
            assert_eq!(refused.payload.tickets.len(), 1);
            next = refused.payload;
            let paths = segments(dir.path(), "shop");
            let on_disk: u64 = paths.iter().map(|path| path.metadata().unwrap().len()).sum();
            assert_eq!(queue.stats()[0].bytes, on_disk, "cut back");
        }
        disk.fail_write.store(0, Ordering::SeqCst);
        sink.submit(next).unwrap();
    }
    sink.flush(far_deadline()).unwrap();
    assert_eq!(acked.try_iter().flatten().count(), 20);
    assert_eq!(ledger.dropped(), 0);
    assert!(segments(dir.path(), "shop").len() > 2);
    assert_clean(dir.path(), 600);
}

#[test]
fn a_write_that_cannot_be_cut_back_breaks_the_queue() {
    let dir = tempdir().unwrap();
    let (queue, disk) = open_failing(dir.path(), options());
    let (acks, acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    let mut shipper = sink(&queue, &acks);
    shipper.submit(payload(&ledger, Codec::None, &[part(1, 0, 10)])).unwrap();
    disk.fail_write.store(ENOSPC, Ordering::SeqCst);
    disk.fail_cut.store(true, Ordering::SeqCst);
    let refused = shipper.submit(payload(&ledger, Codec::None, &[part(1, 10, 20)])).unwrap_err();
    assert!(matches!(refused.why, SinkError::Broken(_)), "{}", refused.why);
    assert!(shipper.health().is_err());
    assert!(shipper.flush(far_deadline()).is_err());
    drop((queue, shipper));
    assert!(acked.try_recv().is_err());
    let (queue, recovery) = open(dir.path());
    assert!(!recovery.is_clean());
    sink(&queue, &acks).submit(refused.payload).unwrap();
    assert_clean(dir.path(), 20);
}

#[test]
fn an_error_that_does_not_pass_breaks_the_queue() {
    let dir = tempdir().unwrap();
    let (queue, disk) = open_failing(dir.path(), options());
    let (acks, _acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    disk.fail_write.store(EROFS, Ordering::SeqCst);
    let refused =
        sink(&queue, &acks).submit(payload(&ledger, Codec::None, &[part(1, 0, 10)])).unwrap_err();
    assert!(matches!(refused.why, SinkError::Broken(_)), "{}", refused.why);
}

#[test]
fn a_queue_that_cannot_be_synced_cannot_be_opened() {
    let dir = tempdir().unwrap();
    let (queue, _) = open(dir.path());
    let (acks, _acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    sink(&queue, &acks).submit(payload(&ledger, Codec::None, &[part(1, 0, 10)])).unwrap();
    drop(queue);
    let disk = Arc::new(FailingDisk::default());
    disk.fail_sync.store(true, Ordering::SeqCst);
    let opened = Queue::open_on(dir.path(), options(), StillClock::new(), disk);
    assert!(matches!(opened, Err(OpenError::Io { .. })), "{opened:?}");
}

/// A file system of its own; unmounted when dropped. By system calls, not by `mount(8)`: between fork and exec
/// a child would hold the locks of the queues that other tests have just closed.
struct SmallDisk<'a>(&'a Path);

impl SmallDisk<'_> {
    fn mount(path: &Path) -> SmallDisk<'_> {
        mount("tmpfs", path, "tmpfs", MountFlags::empty(), c"size=1m")
            .expect("this test needs the right to mount a tmpfs");
        SmallDisk(path)
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = unmount(self.0, UnmountFlags::DETACH);
        assert!(unmounted.is_ok() || std::thread::panicking());
    }
}

#[test]
fn a_full_disk_loses_and_doubles_nothing() {
    const STEPS: u64 = 150;
    const STEP_BYTES: u64 = 20_000;
    let dir = tempdir().unwrap();
    let _disk = SmallDisk::mount(dir.path());
    let small = QueueOptions { segment_bytes: 100_000, ..options() };
    let (queue, _) = Queue::open(dir.path(), small.clone(), StillClock::new()).unwrap();
    let (acks, acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    let mut shipper = sink(&queue, &acks);
    let mut audit = Audit::new(0);
    let (mut refusals, mut read) = (0, 0);
    for step in 0..STEPS {
        let span = part(1, step * STEP_BYTES, (step + 1) * STEP_BYTES);
        let mut next = payload(&ledger, Codec::None, &[span]);
        while let Err(refused) = shipper.submit(next) {
            let SinkError::Retry(why) = &refused.why else { panic!("{}", refused.why) };
            assert!(why.contains("No space left on device"), "{why}");
            refusals += 1;
            assert!(refusals < 100, "space was freed, and still: {why}");
            shipper.flush(far_deadline()).unwrap();
            // Move what is sealed out of the way, as a consumer would.
            let (batches, problems) = read_all(dir.path(), "shop");
            assert_eq!(problems, []);
            let paths = segments(dir.path(), "shop");
            let (_active, sealed) = paths.split_last().unwrap();
            let last = sealed.last().expect("a disk of 1 MiB holds several segments");
            let last = last.file_stem().unwrap().to_str().unwrap();
            let last = u64::from_str_radix(last, 16).unwrap();
            for batch in batches.iter().filter(|it| it.entries[0].place.sequence <= last) {
                assert_bodies(batch);
                audit.observe_batch(batch, None);
                read += 1;
            }
            sealed.iter().for_each(|path| std::fs::remove_file(path).unwrap());
            next = refused.payload;
        }
    }
    shipper.flush(far_deadline()).unwrap();
    assert!(refusals >= 2, "{refusals}");
    assert_eq!(acked.try_iter().flatten().count() as u64, STEPS);
    assert_eq!(ledger.dropped(), 0);
    let (batches, problems) = read_all(dir.path(), "shop");
    assert_eq!(problems, []);
    for batch in &batches {
        assert_bodies(batch);
        audit.observe_batch(batch, None);
        read += 1;
    }
    assert_eq!(read, STEPS);
    let report = audit.finish();
    assert!(report.is_clean(), "{:#}", report.to_json());
    assert_eq!(report.contexts[0].covered, Some(Span::new(0, STEPS * STEP_BYTES)));
    drop((queue, shipper));
    let (_, recovery) = Queue::open(dir.path(), small, StillClock::new()).unwrap();
    assert!(recovery.is_clean(), "{recovery}");
}
