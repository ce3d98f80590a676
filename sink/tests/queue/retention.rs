//! Retention: whole sealed segments go, the oldest first, and readers are told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flow::{Codec, Ledger, Sink, ack_channel};
use sink::queue::audit::{Audit, Head};
use sink::queue::{Problem, Queue, QueueOptions, QueueReader};
use tempfile::tempdir;

use crate::fixture::*;

fn fill(queue: &Arc<Queue>, steps: std::ops::Range<u64>, observed_unix_ns: i64) {
    let (acks, _acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    let mut sink = sink(queue, &acks);
    for step in steps {
        let mut part = part(1, step * 1000, step * 1000 + 1000);
        part.observed_unix_ns = observed_unix_ns;
        sink.submit(payload(&ledger, Codec::None, &[part])).unwrap();
    }
}

#[test]
fn bytes_beyond_the_limit_go_oldest_first() {
    let dir = tempdir().unwrap();
    let small = QueueOptions { segment_bytes: 5_000, retain_bytes: 20_000, ..options() };
    let (queue, _) = open_lazily(dir.path(), small.clone());
    let reader = {
        fill(&queue, 0..1, 0);
        QueueReader::open(dir.path()).unwrap()
    };
    assert_eq!(reader.first_sequence("shop").unwrap(), 0);
    let mut early = reader.scan("shop").unwrap();
    assert!(early.next().unwrap().is_ok());
    fill(&queue, 1..60, 0);
    let stats = &queue.stats()[0];
    assert!(stats.bytes <= 20_000 + 5_000, "{stats:?}");
    let first = reader.first_sequence("shop").unwrap();
    assert!(first > 0);
    let paths = segments(dir.path(), "shop");
    assert_eq!(stats.segments, paths.len());

    // Who has a segment open reads it to its end, and is told what it missed behind it.
    let items: Vec<_> = early.collect();
    let removed = items.iter().position(|item| item.is_err()).unwrap();
    assert!(removed > 0, "the rest of its first segment comes first");
    let told = items[removed].as_ref().unwrap_err();
    assert!(
        matches!(told, Problem::Removed { first: 1, last, .. } if *last == first - 1),
        "{told}"
    );
    assert_eq!(items.iter().filter(|item| item.is_err()).count(), 1);

    // An audit tells trimmed from lost.
    let mut audit = Audit::new(first);
    for item in reader.scan("shop").unwrap() {
        audit.observe_batch(&item.unwrap(), None);
    }
    let report = audit.finish();
    assert!(report.is_clean());
    assert_eq!(report.contexts[0].head, Head::Trimmed);

    // A smaller limit takes effect at opening.
    drop(queue);
    let smaller = QueueOptions { retain_bytes: 8_000, ..small };
    let (queue, recovery) = open_lazily(dir.path(), smaller);
    assert!(recovery.removed > 0 && recovery.bytes <= 8_000, "{recovery}");
    assert_eq!(queue.stats()[0].segments, segments(dir.path(), "shop").len());
    let (batches, problems) = read_all(dir.path(), "shop");
    assert_eq!(problems, []);
    assert_eq!(spans(&batches).last().unwrap().1.end, 60_000);
}

#[test]
fn old_segments_go_by_the_time_of_their_newest_section() {
    const HOUR_NS: i64 = 3_600_000_000_000;
    let dir = tempdir().unwrap();
    let day = Duration::from_hours(24);
    let small = QueueOptions { segment_bytes: 5_000, retain_age: day, ..options() };
    let clock = StillClock::new();
    let start = clock.0.load(Ordering::SeqCst);
    let (queue, _) = Queue::open(dir.path(), small.clone(), Arc::clone(&clock) as _).unwrap();
    fill(&queue, 0..20, start);
    clock.0.store(start + 12 * HOUR_NS, Ordering::SeqCst);
    fill(&queue, 20..40, start + 12 * HOUR_NS);
    let before = segments(dir.path(), "shop").len();
    assert!(before > 8);
    clock.0.store(start + 25 * HOUR_NS, Ordering::SeqCst);
    fill(&queue, 40..50, start + 25 * HOUR_NS);
    let (batches, _) = read_all(dir.path(), "shop");
    let oldest = batches[0].entries[0].header.observed_unix_ns;
    let begin = spans(&batches)[0].1.begin;
    assert!(begin <= 20_000 && begin > 15_000, "{begin}");
    assert!(oldest >= start);
    drop(queue);
    clock.0.store(start + 100 * HOUR_NS, Ordering::SeqCst);
    let (queue, recovery) = Queue::open(dir.path(), small, Arc::clone(&clock) as _).unwrap();
    assert!(recovery.removed > 0);
    // The segment that is appended to stays, however old.
    assert_eq!(queue.stats()[0].segments, 1);
    assert_eq!(spans(&read_all(dir.path(), "shop").0).last().unwrap().1.end, 50_000);
}
