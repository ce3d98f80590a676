//! Located: sections are found by the file that they were read from, whatever their context.

use std::ops::Range;
use std::sync::Arc;

use flow::{Codec, Ledger, Sink, ack_channel};
use sink::queue::{Glimpses, Queue, QueueOptions, QueueReader, bytes_of};
use tempfile::tempdir;

use crate::fixture::*;

const GENERATION: u64 = 9;

fn fill(queue: &Arc<Queue>, steps: Range<u64>) {
    let (acks, _acked) = ack_channel();
    let ledger = Arc::new(Ledger::default());
    let mut sink = sink(queue, &acks);
    for step in steps {
        let parts = [part(1, step * 1000, step * 1000 + 1000)];
        sink.submit(payload(&ledger, Codec::None, &parts)).unwrap();
    }
}

/// Their offsets, ascending, by the way of the indices and of the bodies.
fn located(reader: &QueueReader, range: Range<u64>, glimpses: &mut Glimpses) -> Vec<Range<u64>> {
    let mut problems = Vec::new();
    let of = (GENERATION, &range);
    let found = reader.of_generation("shop", of, glimpses, &mut problems, &|| false).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    let mut ranges: Vec<_> = found.iter().map(|it| it.range.clone()).collect();
    for it in &found {
        let section = reader.section_at("shop", it.place, &mut Vec::new()).unwrap().unwrap();
        let header = &section.entry.header;
        let expected = Some((GENERATION, it.range.clone()));
        assert_eq!(bytes_of(header.span, &header.positions), expected);
        assert_eq!(section.body().unwrap(), body(1, header.span));
    }
    ranges.sort_by_key(|it| it.start);
    ranges
}

/// The same by reading all.
fn scanned(reader: &QueueReader, range: &Range<u64>) -> Vec<Range<u64>> {
    let batches = reader.scan("shop").unwrap();
    let entries = batches.flat_map(|it| it.unwrap().entries);
    let ranges = entries.map(|it| bytes_of(it.header.span, &it.header.positions).unwrap().1);
    ranges.filter(|it| it.start < range.end && range.start < it.end).collect()
}

#[test]
fn sections_of_a_file_are_found_in_sealed_segments_and_in_the_one_that_is_written() {
    let dir = tempdir().unwrap();
    let small = QueueOptions { segment_bytes: 5_000, retain_bytes: 30_000, ..options() };
    let (queue, _) = open_lazily(dir.path(), small);
    let reader = QueueReader::open(dir.path()).unwrap();
    let mut glimpses = Glimpses::default();
    for step in 0..60 {
        fill(&queue, step..step + 1);
        let end = step * 1000 + 1000;
        for range in [0..end, end - 1..end, end / 2..end / 2 + 1, end..end + 1] {
            let found = located(&reader, range.clone(), &mut glimpses);
            assert_eq!(found, scanned(&reader, &range), "{range:?} of {end}");
            assert_eq!(found, located(&reader, range.clone(), &mut Glimpses::default()));
        }
    }
    assert!(reader.first_sequence("shop").unwrap() > 0, "retention had nothing to do");
    let of = (GENERATION + 1, &(0..u64::MAX));
    let other = reader.of_generation("shop", of, &mut glimpses, &mut Vec::new(), &|| false);
    assert_eq!(other.unwrap(), [], "another file");
    let of = (GENERATION, &(0..u64::MAX));
    let mut fresh = Glimpses::default();
    let none = reader.of_generation("shop", of, &mut fresh, &mut Vec::new(), &|| true).unwrap();
    assert_eq!(none, [], "nobody wants to know any more");
}

#[test]
fn a_section_that_retention_has_removed_is_none() {
    let dir = tempdir().unwrap();
    let small = QueueOptions { segment_bytes: 5_000, retain_bytes: 20_000, ..options() };
    let (queue, _) = open_lazily(dir.path(), small);
    let reader = QueueReader::open(dir.path()).unwrap();
    fill(&queue, 0..1);
    let of = (GENERATION, &(0..1));
    let mut glimpses = Glimpses::default();
    let found = reader.of_generation("shop", of, &mut glimpses, &mut Vec::new(), &|| false);
    let place = found.unwrap()[0].place;
    assert!(reader.section_at("shop", place, &mut Vec::new()).unwrap().is_some());
    fill(&queue, 1..60);
    assert!(reader.section_at("shop", place, &mut Vec::new()).unwrap().is_none());
}
