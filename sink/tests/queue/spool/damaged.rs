//! What the disk has spoiled in a spool becomes a gap, is said once, and holds nothing up.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use flow::{GapReason, SinkError, Spool};
use sink::queue::QueueReader;
use sink::spool::SpoolRoom;
use tempfile::tempdir;

use super::full::{arrived, life, make_room, sum};
use super::{BYTES, Life, PAYLOADS, whole};
use crate::every_step::OneFault;
use crate::fixture::*;

/// Where a kept payload lies: its segment's sequence, offset, and end.
fn place_of(dir: &Path, number: u64) -> (u64, u64, u64) {
    let reader = QueueReader::open(&dir.join("spool/queue")).unwrap();
    let frames: Vec<_> = reader.scan("shop").unwrap().map(|it| it.unwrap()).collect();
    let at = |frame: &sink::queue::BatchFrame| frame.entries[0].header.span.begin / BYTES == number;
    let frame = frames.iter().find(|it| at(it)).unwrap();
    let header = &frame.entries[0].header;
    let id = frame.id();
    // The frame's head, its header part with one section and one position, and the block.
    let bytes = 56 + 16 + 64 + 32 + u64::from(header.range.end);
    (id.sequence, id.offset, id.offset + bytes)
}

fn flip(dir: &Path, sequence: u64, offset: u64) {
    let path = dir.join(format!("spool/queue/shop/{sequence:016x}.seg"));
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x55], offset).unwrap();
}

/// All arrived but for that payload, in whose place is a gap.
fn assert_gap_of(dir: &Path, number: u64, told: &str) {
    for (at, (span, gap)) in (0..).zip(arrived(dir, 1)) {
        assert_eq!((span.begin, span.end), (at * BYTES, (at + 1) * BYTES), "{told}");
        assert_eq!(gap, (at == number).then_some(GapReason::Unreadable), "{told}");
    }
    assert_eq!(arrived(dir, 1).len() as u64, PAYLOADS, "{told}");
}

/// A spool with segments of some payloads, all of them kept.
fn kept(dir: &Path, room_bytes: u64) -> Life {
    let room = SpoolRoom::new(1 << 20, room_bytes);
    let mut life = Life::begin(dir, &room, OneFault::new(None)).unwrap();
    (0..PAYLOADS).for_each(|it| life.keep(it).unwrap());
    life.end.flush(far_deadline()).unwrap();
    life
}

#[test]
fn a_spoiled_payload_becomes_a_gap_whichever_byte_it_is() {
    // In the segment that is written to, and in sealed ones; found while it is drained, and at a start.
    for (room_bytes, number) in [(1 << 20, 3), (8 << 10, 3), (8 << 10, 0)] {
        for is_anew in [false, true] {
            let probe = tempdir().unwrap();
            drop(kept(probe.path(), room_bytes));
            let (sequence, begin, end) = place_of(probe.path(), number);
            for offset in (begin..end).step_by(5) {
                let dir = tempdir().unwrap();
                let mut life = kept(dir.path(), room_bytes);
                flip(dir.path(), sequence, offset);
                if is_anew {
                    drop(life);
                    life = whole(dir.path());
                }
                assert_eq!(life.resume(), if is_anew { PAYLOADS } else { 0 });
                life.drain_all().unwrap();
                let told = format!("byte {} of {number}, anew: {is_anew}", offset - begin);
                assert_gap_of(dir.path(), number, &told);
            }
        }
    }
}

#[test]
fn what_neither_header_nor_index_tells_of_is_known_by_its_neighbours() {
    let dir = tempdir().unwrap();
    let mut life = kept(dir.path(), 8 << 10);
    let (sequence, begin, _) = place_of(dir.path(), 3);
    let path = dir.path().join(format!("spool/queue/shop/{sequence:016x}.seg"));
    let bytes = std::fs::metadata(path).unwrap().len();
    flip(dir.path(), sequence, begin + 20);
    flip(dir.path(), sequence, bytes - 20);
    // Everything is stopped, and started again.
    let error = life.drain_all().unwrap_err();
    assert!(matches!(error, SinkError::Broken(_)), "{error}");
    drop(life);
    let mut life = whole(dir.path());
    assert_eq!(life.resume(), PAYLOADS);
    life.drain_all().unwrap();
    assert_gap_of(dir.path(), 3, "");
}

#[test]
fn a_segment_that_is_gone_becomes_a_gap() {
    let dir = tempdir().unwrap();
    drop(kept(dir.path(), 8 << 10));
    let (sequence, ..) = place_of(dir.path(), 3);
    std::fs::remove_file(dir.path().join(format!("spool/queue/shop/{sequence:016x}.seg"))).unwrap();
    let mut life = whole(dir.path());
    life.drain_all().unwrap();
    let (mut end, mut missing) = (0, 0);
    for (span, gap) in arrived(dir.path(), 1) {
        assert_eq!(span.begin, end);
        end = span.end;
        missing += gap.map_or(0, |_| span.bytes());
    }
    assert_eq!(end, PAYLOADS * BYTES);
    assert!((BYTES..4 * BYTES).contains(&missing), "{missing}");
}

#[test]
fn a_spoiled_payload_is_let_go_with_its_segment() {
    let dir = tempdir().unwrap();
    let mut life = life(dir.path(), OneFault::new(None));
    let fitting = (0..100).take_while(|it| life.keep(*it).is_ok()).count() as u64;
    let (sequence, begin, _) = place_of(dir.path(), 0);
    flip(dir.path(), sequence, begin + 60);
    let released = sum(make_room(&mut life, "shop", 2 * BYTES));
    life.keep(fitting).unwrap();
    life.drain_all().unwrap();
    let arrived = arrived(dir.path(), 1);
    let gaps: u64 = arrived.iter().filter(|(_, gap)| gap.is_some()).map(|it| it.0.bytes()).sum();
    assert!(gaps >= BYTES && gaps - released <= BYTES, "{gaps} {released}");
    assert!(arrived.windows(2).all(|it| it[0].0.end == it[1].0.begin), "{arrived:?}");
}
