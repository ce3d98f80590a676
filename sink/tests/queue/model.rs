//! Any history of writing, opening again, cutting and flushing agrees with a plain list.

use std::sync::Arc;

use flow::{Codec, ContextId, Ledger, ReadBack, Sink, Span, ack_channel};
use proptest::prelude::*;
use sink::queue::{QueueOptions, QueueReadBack, QueueReader, RecoveryNote};
use tempfile::tempdir;

use crate::fixture::*;

const CODECS: [Codec; 3] = [Codec::None, Codec::Zstd, Codec::Lz4];

#[derive(Debug, Clone)]
enum Step {
    /// Append a batch of these contexts, each with so many bytes.
    Append(Vec<(u128, u64)>, usize),
    Flush,
    /// End the writer and begin another.
    Reopen,
    /// As a crash does: end the writer, and take up to so many bytes off the newest segment.
    Crash(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let part = (0u128..4, 0u64..200);
    prop_oneof![
        6 => (prop::collection::vec(part, 1..5), 0usize..3).prop_map(|(parts, codec)| {
            Step::Append(parts, codec)
        }),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        1 => (0u64..600).prop_map(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_queue_agrees_with_a_list(
        steps in prop::collection::vec(step(), 1..40),
        segment_bytes in 200u64..5000,
    ) {
        let dir = tempdir().unwrap();
        let small = QueueOptions { segment_bytes, ..options() };
        let (acks, acked) = ack_channel();
        let ledger = Arc::new(Ledger::default());
        let mut queue = Some(open_lazily(dir.path(), small.clone()).0);
        // Batches in queue order, each a list of sections.
        let mut model: Vec<Vec<(u128, Span)>> = Vec::new();
        let mut ends = [0u64; 4];
        let mut appended = 0;
        for step in steps {
            let open = queue.as_ref().unwrap();
            match step {
                Step::Append(parts, codec) => {
                    let mut sections = Vec::new();
                    for (number, bytes) in parts {
                        let end = &mut ends[usize::try_from(number).unwrap()];
                        sections.push(part(number, *end, *end + bytes));
                        *end += bytes;
                    }
                    model.push(sections.iter().map(|it| (it.context.id.0, it.span)).collect());
                    appended += sections.len();
                    let payload = payload(&ledger, CODECS[codec], &sections);
                    sink(open, &acks).submit(payload).unwrap();
                }
                Step::Flush => open.flush(far_deadline()).unwrap(),
                Step::Reopen => {
                    drop(queue.take());
                    let (open, recovery) = open_lazily(dir.path(), small.clone());
                    prop_assert!(recovery.is_clean(), "{recovery}");
                    queue = Some(open);
                }
                Step::Crash(bytes) => {
                    drop(queue.take());
                    cut_newest(dir.path(), bytes);
                    let (open, recovery) = open_lazily(dir.path(), small.clone());
                    for note in &recovery.notes {
                        prop_assert!(matches!(note, RecoveryNote::Cut { .. }), "{note}");
                    }
                    queue = Some(open);
                    // What is left is a prefix; its length is for the queue to say.
                    let left = spans_by_batch(dir.path());
                    prop_assert!(model.starts_with(&left), "{left:?} of {model:?}");
                    model = left;
                    ends = [0; 4];
                    for (number, span) in model.iter().flatten() {
                        ends[usize::try_from(*number).unwrap()] = span.end;
                    }
                }
            }
            prop_assert_eq!(&spans_by_batch(dir.path()), &model);
        }
        let open = queue.as_ref().unwrap();
        open.flush(far_deadline()).unwrap();
        let done = acked.try_iter().flatten().count() as u64;
        prop_assert_eq!(done + ledger.dropped(), appended as u64);
        check_lookups(dir.path(), &model, &ends)?;
        let mut read_back = QueueReadBack::of(open).unwrap();
        for (number, end) in ends.iter().enumerate() {
            let persisted = read_back.persisted(ContextId(number as u128));
            let got: Vec<Span> = persisted.iter().map(|it| it.span).collect();
            if *end > 0 {
                prop_assert_eq!(got, vec![Span::new(0, *end)]);
            } else {
                prop_assert!(got.iter().all(Span::is_empty));
            }
        }
    }
}

fn check_lookups(
    dir: &std::path::Path,
    model: &[Vec<(u128, Span)>],
    ends: &[u64],
) -> Result<(), TestCaseError> {
    let Ok(reader) = QueueReader::open(dir) else { return Ok(()) };
    let mut problems = Vec::new();
    for (number, end) in ends.iter().enumerate() {
        let number = number as u128;
        let covers = |cursor: u64| {
            let all = model.iter().flatten();
            all.filter(|(id, _)| *id == number)
                .find(|(_, span)| span.begin <= cursor && cursor < span.end)
                .map(|(_, span)| *span)
        };
        for cursor in (0..=*end).step_by(37) {
            let found = match reader.find("shop", ContextId(number), 0, cursor, &mut problems) {
                Ok(found) => found,
                // Nothing was ever written.
                Err(_) => return Ok(()),
            };
            let span = found.as_ref().map(|it| it.entry.header.span);
            prop_assert_eq!(span, covers(cursor));
            if let Some(found) = found {
                prop_assert_eq!(&found.body().unwrap()[..], &body(number, span.unwrap())[..]);
            }
        }
    }
    prop_assert_eq!(problems, vec![]);
    Ok(())
}

fn spans_by_batch(dir: &std::path::Path) -> Vec<Vec<(u128, Span)>> {
    if !dir.join("shop").try_exists().unwrap() {
        return Vec::new();
    }
    let (batches, problems) = read_all(dir, "shop");
    assert_eq!(problems, []);
    batches.iter().for_each(assert_bodies);
    batches.iter().map(|batch| spans(std::slice::from_ref(batch))).collect()
}

fn cut_newest(dir: &std::path::Path, bytes: u64) {
    if !dir.join("shop").try_exists().unwrap() {
        return;
    }
    let Some(path) = segments(dir, "shop").pop() else { return };
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let len = file.metadata().unwrap().len();
    file.set_len(len.saturating_sub(bytes)).unwrap();
}
