//! The format does not drift: a fixed input makes the bytes that are committed beside this file.

use std::path::Path;
use std::sync::Arc;

use flow::{
    Attribute, Clock, Codec, Context, ContextId, GapReason, Head, Ledger, Marks, Place, Position,
    Sink, Span, ack_channel, checksum,
};
use sink::queue::{FORMAT_VERSION, Queue, QueueOptions, QueueReader};
use tempfile::tempdir;

use crate::fixture::*;

/// Checksum of `v1.seg`. A change of this number is a change of the format: see "Versions" in
/// `docs/FORMAT.md` before you make one.
const GOLDEN_CHECKSUM: u64 = 0x5166_ed55_d908_9586;

/// Both clocks stand still, so the segment's stamp is the same in each run.
#[derive(Debug)]
struct FrozenClock;

impl Clock for FrozenClock {
    fn monotonic_ns(&self) -> u64 {
        42
    }

    fn unix_ns(&self) -> i64 {
        1_000_000_000_000
    }
}

fn golden_path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/queue/v1.seg")
}

fn second_position() -> Position {
    let (head, place) = (Head::of(b"first line"), Place::of(b"last line"));
    Position { generation: u64::MAX, offset: 1, head, place, ..Position::default() }
}

/// Writes the golden segment, and one more payload so that it is sealed.
fn write(dir: &Path) {
    let small = QueueOptions { segment_bytes: 1, ..options() };
    let (queue, _) = Queue::open(dir, small, Arc::new(FrozenClock)).unwrap();
    let (acks, _acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    let mut sink = sink(&queue, &acks);
    let late = Arc::new(Context {
        id: ContextId(0x0123_4567_89ab_cdef_0011_2233_4455_6677),
        tenant: Arc::from("shop"),
        attributes: vec![Attribute::text("log.file.path", "/var/log/ü"), Attribute::int("n", -1)],
    });
    let mut gap = part(1, 100, 300);
    gap.context = late;
    gap.epoch = 7;
    gap.marks = Marks { first: true, last: true };
    gap.gap = Some(GapReason::Truncated);
    let mut golden = payload(&ledger, Codec::None, &[part(2, 0, 40), gap, part(2, 40, 40)]);
    golden.headers[0].filtered = 3;
    golden.headers[0].positions.push(second_position());
    sink.submit(golden).unwrap();
    sink.submit(payload(&ledger, Codec::None, &[part(1, 0, 1)])).unwrap();
}

#[test]
fn a_fixed_input_makes_the_committed_bytes() {
    let dir = tempdir().unwrap();
    write(dir.path());
    let made = std::fs::read(&segments(dir.path(), "shop")[0]).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden_path(), &made).unwrap();
    }
    let golden = std::fs::read(golden_path()).unwrap();
    assert!(made == golden, "the format has changed");
    assert_eq!(checksum(&golden), GOLDEN_CHECKSUM, "0x{:016x}", checksum(&golden));
    assert_eq!(FORMAT_VERSION, 1);
}

#[test]
fn the_committed_bytes_are_read() {
    let dir = tempdir().unwrap();
    std::fs::create_dir(dir.path().join("shop")).unwrap();
    std::fs::copy(golden_path(), dir.path().join("shop/0000000000000000.seg")).unwrap();
    let (batches, problems) = read_all(dir.path(), "shop");
    assert_eq!(problems, []);
    let [batch] = &batches[..] else { panic!("{} batches", batches.len()) };
    assert_bodies(batch);
    let headers: Vec<_> = batch.entries.iter().map(|entry| &entry.header).collect();
    assert_eq!(*headers[0].context, *context(2));
    assert_eq!((headers[0].span, headers[0].filtered), (Span::new(0, 40), 3));
    assert_eq!(headers[0].positions[1], second_position());
    assert_eq!((headers[1].epoch, headers[1].gap), (7, Some(GapReason::Truncated)));
    assert_eq!(headers[1].marks, Marks { first: true, last: true });
    assert_eq!(headers[1].context.text("log.file.path"), Some("/var/log/ü"));
    assert!(headers[2].span.is_empty());
    let reader = QueueReader::open(dir.path()).unwrap();
    let mut problems = Vec::new();
    assert_eq!(reader.contexts("shop", &mut problems).unwrap().len(), 2);
    assert_eq!(problems, []);
}
