//! Readers while the queue is written: nothing is missed, nothing is read twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use flow::{Codec, Ledger, Sink, Span, ack_channel};
use sink::queue::{Problem, Queue, QueueOptions, QueueReader};
use tempfile::tempdir;

use crate::fixture::*;

#[test]
fn a_scan_goes_on_with_what_is_appended() {
    let dir = tempdir().unwrap();
    let (queue, _) = open(dir.path());
    let (acks, _acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    let mut sink = sink(&queue, &acks);
    sink.submit(payload(&ledger, Codec::None, &[part(1, 0, 10)])).unwrap();
    let mut scan = QueueReader::open(dir.path()).unwrap().scan("shop").unwrap();
    assert!(scan.next().unwrap().is_ok());
    assert!(scan.next().is_none());
    sink.submit(payload(&ledger, Codec::None, &[part(1, 10, 20)])).unwrap();
    let batch = scan.next().unwrap().unwrap();
    assert_eq!(batch.entries[0].header.span, Span::new(10, 20));
    assert!(scan.next().is_none());
    assert_eq!(scan.unread_bytes(), 0);
}

#[test]
fn a_scan_goes_on_with_a_segment_that_was_begun_again() {
    let dir = tempdir().unwrap();
    let disk = Arc::new(FailingDisk::default());
    let opened = Queue::open_on(dir.path(), options(), StillClock::new(), Arc::clone(&disk) as _);
    let (queue, _) = opened.unwrap();
    let (acks, _acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    let mut shipper = sink(&queue, &acks);
    shipper.submit(payload(&ledger, Codec::None, &[part(1, 0, 10)])).unwrap();
    let mut scan = QueueReader::open(dir.path()).unwrap().scan("shop").unwrap();
    assert!(scan.next().unwrap().is_ok());
    assert!(scan.next().is_none());
    // It cannot be made safe, is taken back, and comes again.
    disk.fail_sync.store(true, Ordering::SeqCst);
    assert!(shipper.flush(far_deadline()).is_err());
    drop((queue, shipper));
    let (queue, _) = open(dir.path());
    let mut shipper = sink(&queue, &acks);
    shipper.submit(payload(&ledger, Codec::None, &[part(1, 0, 10)])).unwrap();
    assert!(matches!(scan.next(), Some(Err(Problem::CutBack { .. }))));
    let batch = scan.next().unwrap().unwrap();
    assert_eq!(batch.entries[0].header.span, Span::new(0, 10));
    assert!(scan.next().is_none());
}

#[test]
fn readers_see_every_batch_once_while_writers_write() {
    const WRITERS: u32 = 2;
    const STEPS: u64 = 300;
    // With a segment for each batch, readers are mostly between two of them.
    for segment_bytes in [1, 20_000] {
        write_and_follow(WRITERS, STEPS, segment_bytes);
    }
}

fn write_and_follow(writers: u32, steps: u64, segment_bytes: u64) {
    let dir = tempdir().unwrap();
    let small = QueueOptions {
        segment_bytes,
        sync_interval: std::time::Duration::from_millis(1),
        ..options()
    };
    let (queue, _) = Queue::open(dir.path(), small, StillClock::new()).unwrap();
    let (acks, acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    sink(&queue, &acks).submit(payload(&ledger, Codec::None, &[part(9, 0, 1)])).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..writers)
            .map(|number| {
                let (mut sink, ledger) = (sink(&queue, &acks), Arc::clone(&ledger));
                scope.spawn(move || {
                    for step in 0..steps {
                        let part = part(u128::from(number), step * 500, step * 500 + 500);
                        sink.submit(payload(&ledger, Codec::Lz4, &[part])).unwrap();
                    }
                    sink.flush(far_deadline()).unwrap();
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| follow(dir.path(), &done, writers, steps));
        }
        for thread in threads {
            thread.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(acked.try_iter().flatten().count() as u64, steps * u64::from(writers) + 1);
    assert_eq!(ledger.dropped(), 0);
}

fn follow(dir: &std::path::Path, done: &AtomicBool, writers: u32, steps: u64) {
    let mut scan = QueueReader::open(dir).unwrap().scan("shop").unwrap();
    let mut ends = vec![0; usize::try_from(writers).unwrap()];
    loop {
        let was_done = done.load(Ordering::SeqCst);
        for item in &mut scan {
            let batch = item.unwrap();
            assert_bodies(&batch);
            let header = &batch.entries[0].header;
            let Some(end) = ends.get_mut(usize::try_from(header.context.id.0).unwrap()) else {
                continue;
            };
            assert_eq!(header.span.begin, *end);
            *end = header.span.end;
        }
        if was_done {
            break;
        }
        thread::yield_now();
    }
    assert!(ends.iter().all(|end| *end == steps * 500), "{ends:?}");
}
