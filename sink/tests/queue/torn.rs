//! What crashes and bad disks leave: torn ends are cut, damage inside is reported and left alone.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use flow::{Codec, Ledger, Sink, Span, ack_channel};
use sink::queue::{
    BatchFrame, Problem, Queue, QueueOptions, QueueReadBack, QueueReader, RecoveryNote,
};
use tempfile::tempdir;

use crate::fixture::*;

/// A queue of one segment with batches of these ends, and where each of them begins in the file.
fn write(dir: &Path, ends: &[u64], is_sealed: bool) -> Vec<u64> {
    let (acks, _acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    let (queue, _) = open(dir);
    let mut shipper = sink(&queue, &acks);
    let mut offsets = Vec::new();
    let mut begin = 0;
    for end in ends {
        offsets.push(queue.stats().first().map_or(0, |it| it.bytes));
        shipper.submit(payload(&ledger, Codec::None, &[part(1, begin, *end)])).unwrap();
        begin = *end;
    }
    if is_sealed {
        drop((queue, shipper));
        let tiny = QueueOptions { segment_bytes: 1, ..options() };
        let (queue, _) = Queue::open(dir, tiny, StillClock::new()).unwrap();
        let next = payload(&ledger, Codec::None, &[part(2, 0, 5)]);
        sink(&queue, &acks).submit(next).unwrap();
    }
    offsets
}

#[test]
fn a_tail_torn_at_any_length_is_cut_reported_and_appended_to() {
    let dir = tempdir().unwrap();
    let offsets = write(dir.path(), &[10, 20, 60], false);
    let path = segments(dir.path(), "shop").remove(0);
    let whole = std::fs::read(&path).unwrap();
    let last = usize::try_from(offsets[2]).unwrap();
    for len in last..whole.len() {
        std::fs::write(&path, &whole[..len]).unwrap();
        let (before, problems) = read_all(dir.path(), "shop");
        assert_eq!((spans(&before).len(), problems.len()), (2, 0), "{len}");
        let (queue, recovery) = open_lazily(dir.path(), options());
        let torn = (len - last) as u64;
        match recovery.notes.as_slice() {
            [] => assert_eq!(torn, 0),
            [RecoveryNote::Cut { segment, offset, bytes, .. }] => {
                assert_eq!((segment, *offset, *bytes), (&path, last as u64, torn));
            }
            other => panic!("{len}: {other:?}"),
        }
        let (acks, acked) = ack_channel();
        let ledger = Arc::new(Ledger::default());
        let mut shipper = sink(&queue, &acks);
        shipper.submit(payload(&ledger, Codec::None, &[part(1, 20, 60)])).unwrap();
        shipper.flush(far_deadline()).unwrap();
        assert_eq!(acked.try_iter().flatten().count(), 1);
        let (batches, problems) = read_all(dir.path(), "shop");
        assert_eq!(problems, []);
        let ends: Vec<u64> = spans(&batches).iter().map(|(_, span)| span.end).collect();
        assert_eq!(ends, [10, 20, 60]);
        batches.iter().for_each(assert_bodies);
    }
}

#[test]
fn a_segment_torn_within_its_header_is_begun_again() {
    let dir = tempdir().unwrap();
    write(dir.path(), &[10], false);
    let path = segments(dir.path(), "shop").remove(0);
    let whole = std::fs::read(&path).unwrap();
    for len in 0..128 {
        std::fs::write(&path, &whole[..len]).unwrap();
        assert_eq!(read_all(dir.path(), "shop").0.len(), 0);
        let (queue, recovery) = open_lazily(dir.path(), options());
        assert!(matches!(recovery.notes[..], [RecoveryNote::Cut { offset: 0, .. }]), "{len}");
        let (acks, _acked) = ack_channel();
        let ledger = Arc::new(Ledger::default());
        sink(&queue, &acks).submit(payload(&ledger, Codec::None, &[part(1, 0, 10)])).unwrap();
        assert_eq!(segments(dir.path(), "shop"), std::slice::from_ref(&path));
        assert_eq!(spans(&read_all(dir.path(), "shop").0), [(1, Span::new(0, 10))]);
    }
}

#[test]
fn damage_inside_is_left_alone_and_a_new_segment_is_begun() {
    let dir = tempdir().unwrap();
    let offsets = write(dir.path(), &[10, 20, 30], false);
    let path = segments(dir.path(), "shop").remove(0);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = usize::try_from(offsets[1]).unwrap();
    bytes[at + 30] ^= 0xff;
    std::fs::write(&path, &bytes).unwrap();
    let (queue, recovery) = open_lazily(dir.path(), options());
    let damaged = (offsets[1], offsets[2] - offsets[1]);
    assert!(
        matches!(&recovery.notes[..], [RecoveryNote::Damaged { offset, bytes, .. }]
            if (*offset, *bytes) == damaged),
        "{recovery}"
    );
    assert!(recovery.to_string().contains("damaged"));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    let (acks, _acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    sink(&queue, &acks).submit(payload(&ledger, Codec::None, &[part(1, 30, 40)])).unwrap();
    assert_eq!(segments(dir.path(), "shop").len(), 2);
    let (batches, problems) = read_all(dir.path(), "shop");
    let ends: Vec<u64> = spans(&batches).iter().map(|(_, span)| span.end).collect();
    assert_eq!(ends, [10, 30, 40]);
    assert!(
        matches!(&problems[..], [Problem::Skipped { offset, bytes, .. }]
            if (*offset, *bytes) == damaged),
        "{problems:?}"
    );
    let mut read_back = QueueReadBack::of(&queue).unwrap();
    let persisted = flow::ReadBack::persisted(&mut read_back, context(1).id);
    let got: Vec<Span> = persisted.iter().map(|it| it.span).collect();
    assert_eq!(got, [Span::new(0, 10), Span::new(20, 40)]);
}

#[test]
fn what_a_tenant_logs_is_never_taken_for_a_frame() {
    let dir = tempdir().unwrap();
    write(dir.path(), &[10], false);
    let path = segments(dir.path(), "shop").remove(0);
    let frames = std::fs::read(&path).unwrap().split_off(128);
    // The tenant knows all of its queue, and logs it once more.
    let (queue, _) = open(dir.path());
    let (acks, _acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    let mut forged = payload(&ledger, Codec::None, &[part(1, 10, 20)]);
    forged.block = [frames.clone(), frames].concat();
    forged.raw_bytes = u32::try_from(forged.block.len()).unwrap();
    let at = queue.stats()[0].bytes;
    let mut shipper = sink(&queue, &acks);
    shipper.submit(forged).unwrap();
    shipper.submit(payload(&ledger, Codec::None, &[part(1, 20, 30)])).unwrap();
    drop((queue, shipper));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[usize::try_from(at).unwrap() + 20] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (batches, problems) = read_all(dir.path(), "shop");
    assert_eq!(spans(&batches), [(1, Span::new(0, 10)), (1, Span::new(20, 30))]);
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn a_lost_index_is_made_again() {
    let dir = tempdir().unwrap();
    write(dir.path(), &[10, 20, 30], true);
    let path = segments(dir.path(), "shop").remove(0);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    let (batches, problems) = read_all(dir.path(), "shop");
    assert_eq!(batches.len(), 4);
    assert!(matches!(&problems[..], [Problem::Index { .. }]), "{problems:?}");
    let (_queue, recovery) = open(dir.path());
    assert!(
        matches!(&recovery.notes[..], [RecoveryNote::Cut { .. }, RecoveryNote::Sealed { .. }]),
        "{recovery}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

/// What a reader made of a queue: batches read with good blocks, and everything that was said.
fn read_carefully(dir: &Path) -> (Vec<BatchFrame>, usize) {
    let reader = QueueReader::open(dir).unwrap();
    let mut scan = reader.scan("shop").unwrap();
    let mut said = 0;
    let mut good = Vec::new();
    for item in &mut scan {
        match item {
            Ok(batch) if batch.block().is_ok() => good.push(batch),
            _ => said += 1,
        }
    }
    said += usize::from(scan.unread_bytes() > 0);
    let mut problems = Vec::new();
    for summary in reader.contexts("shop", &mut problems).unwrap() {
        let (id, epoch) = (summary.context.id, summary.epoch);
        reader.around("shop", id, epoch, 15, (9, 9), &mut problems).unwrap();
    }
    (good, said + problems.len())
}

#[test]
fn every_flipped_bit_is_seen_or_harmless() {
    for is_sealed in [false, true] {
        let dir = tempdir().unwrap();
        write(dir.path(), &[10, 20, 30], is_sealed);
        let path = segments(dir.path(), "shop").remove(0);
        let whole = std::fs::read(&path).unwrap();
        let (good, said) = read_carefully(dir.path());
        assert_eq!(said, 0);
        let all: BTreeSet<String> = good.iter().map(describe).collect();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &flipped).unwrap();
            let (got, said) = read_carefully(dir.path());
            got.iter().for_each(assert_bodies);
            let got: Vec<String> = got.iter().map(describe).collect();
            let is_whole = got.len() == all.len() && got.iter().all(|it| all.contains(it));
            assert!(is_whole || said > 0, "bit {bit} of byte {} is not seen", bit / 8);
            // A batch whose context is damaged is told of without its description.
            assert!(got.iter().all(|it| all.contains(it)) || said > 0, "byte {}", bit / 8);
        }
    }
}

#[test]
fn every_flipped_bit_is_survived_by_an_opening() {
    for is_sealed in [false, true] {
        let dir = tempdir().unwrap();
        write(dir.path(), &[10, 20], is_sealed);
        let path = segments(dir.path(), "shop").remove(0);
        let whole = std::fs::read(&path).unwrap();
        let rest = segments(dir.path(), "shop").split_off(1);
        let rest: Vec<_> = rest.iter().map(|it| (it, std::fs::read(it).unwrap())).collect();
        let batches = read_all(dir.path(), "shop").0.len();
        // At least one bit of each byte.
        for bit in (0..whole.len() * 8).step_by(7) {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &flipped).unwrap();
            for (path, bytes) in &rest {
                std::fs::write(path, bytes).unwrap();
            }
            let (queue, recovery) = open_lazily(dir.path(), options());
            let (acks, _acked) = ack_channel();
            let ledger = Arc::new(Ledger::default());
            let next = payload(&ledger, Codec::None, &[part(3, 0, 10)]);
            sink(&queue, &acks).submit(next).unwrap();
            drop(queue);
            let (got, problems) = read_all(dir.path(), "shop");
            let readable: Vec<_> = got.iter().filter(|it| it.block().is_ok()).collect();
            readable.iter().for_each(|it| assert_bodies(it));
            assert_eq!(spans(&got).last(), Some(&(3, Span::new(0, 10))), "byte {}", bit / 8);
            let is_whole = readable.len() == batches + 1;
            let is_told =
                !recovery.is_clean() || !problems.is_empty() || readable.len() < got.len();
            assert!(is_whole || is_told, "byte {}", bit / 8);
            for path in segments(dir.path(), "shop").iter().skip(1 + rest.len()) {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

fn describe(batch: &BatchFrame) -> String {
    batch.entries.iter().map(|entry| format!("{entry:?}")).collect()
}
