//! What is written is read, whatever the codec, however many sections, segments and openings.

use std::sync::Arc;

use flow::{Codec, ContextId, GapReason, Ledger, ReadBack, Sink, Span, ack_channel};
use sink::queue::{OpenError, Queue, QueueOptions, QueueReadBack, QueueReader};
use tempfile::tempdir;

use crate::fixture::*;

#[test]
fn every_codec_comes_back_and_tickets_are_completed() {
    let dir = tempdir().unwrap();
    let (queue, recovery) = open(dir.path());
    assert!(recovery.is_clean(), "{recovery}");
    let (acks, acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    let mut sink = sink(&queue, &acks);
    for (number, codec) in [Codec::None, Codec::Zstd, Codec::Lz4].into_iter().enumerate() {
        let begin = number as u64 * 1000;
        let payload = payload(&ledger, codec, &[part(1, begin, begin + 1000)]);
        let len = payload.block.len();
        let spent = sink.submit(payload).unwrap().unwrap();
        assert_eq!(spent.len(), len);
    }
    assert!(acked.try_recv().is_err(), "not synced yet");
    sink.flush(far_deadline()).unwrap();
    let spans_acked: Vec<Span> = acked.try_iter().flatten().map(|it| it.span).collect();
    assert_eq!(spans_acked, [Span::new(0, 1000), Span::new(1000, 2000), Span::new(2000, 3000)]);
    let (batches, problems) = read_all(dir.path(), "shop");
    assert_eq!(problems, []);
    assert_eq!(batches.len(), 3);
    batches.iter().for_each(assert_bodies);
    assert_eq!(*batches[0].entries[0].header.context, *context(1));
    assert_eq!(ledger.dropped(), 0);
}

#[test]
fn many_small_contexts_share_a_block() {
    let dir = tempdir().unwrap();
    let (queue, _) = open(dir.path());
    let (acks, _acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    let mut sink = sink(&queue, &acks);
    let parts: Vec<Part> = (0..3000).map(|number| part(number, 0, 30)).collect();
    sink.submit(payload(&ledger, Codec::Zstd, &parts)).unwrap();
    let parts: Vec<Part> = (0..3000).map(|number| part(number, 30, 40)).collect();
    sink.submit(payload(&ledger, Codec::Zstd, &parts)).unwrap();
    let (batches, problems) = read_all(dir.path(), "shop");
    assert_eq!(problems, []);
    assert_eq!(batches.iter().map(|batch| batch.entries.len()).collect::<Vec<_>>(), [3000, 3000]);
    batches.iter().for_each(assert_bodies);
    for (number, entry) in batches[1].entries.iter().enumerate() {
        assert_eq!(*entry.header.context, *context(number as u128));
    }
    let reader = QueueReader::open(dir.path()).unwrap();
    let mut problems = Vec::new();
    let contexts = reader.contexts("shop", &mut problems).unwrap();
    assert_eq!(contexts.len(), 3000);
    assert!(contexts.iter().all(|it| it.span == Span::new(0, 40) && it.sections == 2));
    assert_eq!(*contexts[7].context, *context(7));
    assert_eq!(problems, []);
}

#[test]
fn a_context_that_is_described_anew_is_read_anew() {
    let dir = tempdir().unwrap();
    let (queue, _) = open(dir.path());
    let (acks, _acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    let mut sink = sink(&queue, &acks);
    let mut renamed = part(1, 10, 20);
    let mut other = (*context(1)).clone();
    other.attributes.push(flow::Attribute::text("label", "new"));
    renamed.context = Arc::new(other);
    sink.submit(payload(&ledger, Codec::None, &[part(1, 0, 10)])).unwrap();
    sink.submit(payload(&ledger, Codec::None, &[renamed])).unwrap();
    let (batches, _) = read_all(dir.path(), "shop");
    assert_eq!(batches[0].entries[0].header.context.text("label"), None);
    assert_eq!(batches[1].entries[0].header.context.text("label"), Some("new"));
}

#[test]
fn segments_are_sealed_and_found_again() {
    let dir = tempdir().unwrap();
    let small = QueueOptions { segment_bytes: 2000, ..options() };
    let (acks, acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    for round in 0..5 {
        let (queue, recovery) = Queue::open(dir.path(), small.clone(), StillClock::new()).unwrap();
        assert!(recovery.is_clean(), "{recovery}");
        let mut sink = sink(&queue, &acks);
        for step in 0..10 {
            let begin = (round * 10 + step) * 100;
            let parts = [part(1, begin, begin + 100), part(2, begin, begin + 100)];
            sink.submit(payload(&ledger, Codec::Lz4, &parts)).unwrap();
        }
        sink.flush(far_deadline()).unwrap();
        let stats = &queue.stats()[0];
        assert_eq!(stats.segments, segments(dir.path(), "shop").len());
        let on_disk = segments(dir.path(), "shop");
        let bytes: u64 = on_disk.iter().map(|path| path.metadata().unwrap().len()).sum();
        assert_eq!((stats.bytes, stats.unsynced_bytes), (bytes, 0));
        assert!(on_disk.iter().all(|path| path.metadata().unwrap().len() < 3000));
    }
    assert_eq!(acked.try_iter().flatten().count(), 100);
    let (batches, problems) = read_all(dir.path(), "shop");
    assert_eq!(problems, []);
    batches.iter().for_each(assert_bodies);
    let got: Vec<u64> = batches.iter().map(|batch| batch.entries[0].header.span.begin).collect();
    assert_eq!(got, (0..50).map(|step| step * 100).collect::<Vec<u64>>());
}

#[test]
fn sections_are_found_by_cursor() {
    let dir = tempdir().unwrap();
    let small = QueueOptions { segment_bytes: 2000, ..options() };
    let (queue, _) = Queue::open(dir.path(), small, StillClock::new()).unwrap();
    let (acks, _acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    let mut sink = sink(&queue, &acks);
    for step in 0..50 {
        let mut gap = part(2, step * 10, step * 10 + 10);
        gap.gap = Some(GapReason::Shed);
        gap.epoch = 3;
        let parts = [part(1, step * 100, step * 100 + 100), gap];
        sink.submit(payload(&ledger, Codec::Zstd, &parts)).unwrap();
    }
    let reader = QueueReader::open(dir.path()).unwrap();
    let mut problems = Vec::new();
    for cursor in [0, 99, 100, 2550, 4999] {
        let found = reader.find("shop", ContextId(1), 0, cursor, &mut problems).unwrap().unwrap();
        let header = &found.entry.header;
        assert_eq!(header.span.begin, cursor / 100 * 100);
        assert_eq!(found.body().unwrap(), body(1, header.span));
        assert_eq!(*header.context, *context(1));
    }
    let gap = reader.find("shop", ContextId(2), 3, 77, &mut problems).unwrap().unwrap();
    assert_eq!(gap.entry.header.gap, Some(GapReason::Shed));
    for (id, epoch, cursor) in [(1, 0, 5000), (1, 1, 0), (2, 0, 77), (3, 0, 0)] {
        let found = reader.find("shop", ContextId(id), epoch, cursor, &mut problems).unwrap();
        assert!(found.is_none(), "{id} {epoch} {cursor}");
    }
    let begins = |cursor, before, after, problems: &mut Vec<_>| -> Vec<u64> {
        let near = (before, after);
        let found = reader.around("shop", ContextId(1), 0, cursor, near, problems).unwrap();
        found.iter().map(|it| it.entry.header.span.begin).collect()
    };
    assert_eq!(begins(2550, 3, 2, &mut problems), [2300, 2400, 2500, 2600, 2700]);
    assert_eq!(begins(50, 3, 1, &mut problems), [0, 100]);
    assert_eq!(begins(9999, 2, 2, &mut problems), [4800, 4900]);
    assert!(begins(2550, 0, 0, &mut problems).is_empty());
    assert_eq!(problems, []);
}

#[test]
fn what_is_there_is_read_back() {
    let dir = tempdir().unwrap();
    let small = QueueOptions { segment_bytes: 1000, ..options() };
    let (queue, _) = Queue::open(dir.path(), small.clone(), StillClock::new()).unwrap();
    let (acks, _acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    let mut shipper = sink(&queue, &acks);
    for step in 0..20 {
        shipper
            .submit(payload(&ledger, Codec::None, &[part(1, step * 50, step * 50 + 50)]))
            .unwrap();
    }
    shipper.submit(payload(&ledger, Codec::None, &[part(1, 2000, 2050)])).unwrap();
    drop((queue, shipper));
    let (queue, _) = Queue::open(dir.path(), small, StillClock::new()).unwrap();
    let mut read_back = QueueReadBack::of(&queue).unwrap();
    assert_eq!(read_back.problems(), []);
    let spans: Vec<(Span, u64)> = read_back
        .persisted(ContextId(1))
        .iter()
        .map(|it| (it.span, it.positions[0].position.offset))
        .collect();
    assert_eq!(spans, [(Span::new(0, 1000), 1000), (Span::new(2000, 2050), 2050)]);
}

#[test]
fn a_second_writer_is_refused_and_told_who_has_it() {
    let dir = tempdir().unwrap();
    let (queue, _) = open(dir.path());
    let error = Queue::open(dir.path(), options(), StillClock::new()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }));
    let text = error.to_string();
    assert!(text.contains(&*dir.path().to_string_lossy()), "{text}");
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    drop(queue);
    open(dir.path());
}

#[test]
fn an_unknown_version_is_refused() {
    let dir = tempdir().unwrap();
    let (queue, _) = open(dir.path());
    let (acks, _acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    sink(&queue, &acks).submit(payload(&ledger, Codec::None, &[part(1, 0, 10)])).unwrap();
    drop(queue);
    let path = &segments(dir.path(), "shop")[0];
    let mut bytes = std::fs::read(path).unwrap();
    bytes[8] = 2;
    let sum = flow::checksum(&bytes[..120]);
    bytes[120..128].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(path, bytes).unwrap();
    // Of another tenant, sorted before, something could be repaired: it is not touched.
    let torn = dir.path().join("a/0000000000000000.seg");
    std::fs::create_dir(dir.path().join("a")).unwrap();
    std::fs::write(&torn, b"torn").unwrap();
    let error = Queue::open(dir.path(), options(), StillClock::new()).unwrap_err();
    assert_eq!(std::fs::read(&torn).unwrap(), b"torn");
    assert!(matches!(error, OpenError::Version { version: 2, .. }), "{error}");
    let (batches, problems) = read_all(dir.path(), "shop");
    assert!(batches.is_empty());
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn what_cannot_be_written_is_given_back_whole() {
    let dir = tempdir().unwrap();
    let (queue, _) = open(dir.path());
    let (acks, _acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    let mut sink = sink(&queue, &acks);
    for tenant in ["..", "", "A", "a/b"] {
        let refused =
            sink.submit(payload_of(tenant, &ledger, Codec::None, &[part(1, 0, 10)])).unwrap_err();
        assert_eq!(refused.payload.tickets.len(), 1);
        assert!(refused.why.to_string().contains("tenant"), "{}", refused.why);
    }
    let mut wrong = payload(&ledger, Codec::None, &[part(1, 0, 10)]);
    wrong.headers[0].range.end = 99;
    assert!(sink.submit(wrong).is_err());
    let entries: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(entries.len(), 1, "only the lock: {entries:?}");
}
