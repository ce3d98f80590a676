//! What is left out of payloads once the sink has come, and what is not.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

use flow::{
    Acked, Codec, ContextId, Encoding, Ledger, Marks, PayloadHeader, PersistedSpan, Position,
    ReadBack, SourceId, Span, Ticket, ack_channel,
};

use super::*;
use crate::decode::decode;
use crate::section_kit::{self, Line};
use crate::{compress, encode};

/// What an epoch of the queue has of the test's context.
#[derive(Debug)]
struct Told(Vec<PersistedSpan>);

impl ReadBack for Told {
    fn persisted(&mut self, _context: ContextId) -> Vec<PersistedSpan> {
        self.0.clone()
    }
}

type Taken = Arc<Mutex<Vec<Payload>>>;

/// Takes all, once it is told to; acknowledges nothing.
#[derive(Debug)]
struct Keeper(Taken);

impl Sink for Keeper {
    fn submit(&mut self, payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>> {
        self.0.lock().unwrap().push(payload);
        Ok(None)
    }
    fn flush(&mut self, _deadline_ns: u64) -> Result<(), SinkError> {
        Ok(())
    }
}

fn at(generation: u64, offset: u64) -> Position {
    Position { generation, offset, ..Position::default() }
}

/// A queue that has `[0, end)` of generation 1.
fn told(epoch: u32, end: u64) -> Vec<PersistedSpan> {
    let mut spans = Vec::new();
    PersistedSpan::append(&mut spans, epoch, Span::new(0, end), &[at(1, end)], false);
    spans
}

/// A sink whose queue has that, and what it takes.
fn late(has: Vec<PersistedSpan>, acks: AckSender) -> (LateSink, Taken) {
    let taken = Taken::default();
    let kept = Arc::clone(&taken);
    let (has, tries) = (Mutex::new(has), AtomicU64::new(0));
    let open: OpenSink = Arc::new(move || {
        if tries.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err("away still".to_owned());
        }
        let (kept, told) = (Arc::clone(&kept), std::mem::take(&mut *has.lock().unwrap()));
        let make: MakeSink = Arc::new(move |_| Box::new(Keeper(Arc::clone(&kept))));
        Ok(Arrived { make, read_back: Some(Box::new(Told(told))) })
    });
    let arrival = Arrival::new("away".to_owned(), open, Opening::Local);
    let mut sink = LateSink::new(Arc::clone(&arrival), acks, false);
    assert!(matches!(sink.submit(empty()), Err(it) if it.why.to_string() == "away"));
    let mut now_ns = 0;
    while sink.sink.is_none() {
        now_ns = sink.tend(now_ns).unwrap_or(now_ns);
        sleep(Duration::from_millis(1));
        assert!(now_ns < 20_000_000_000, "{}", arrival.why());
    }
    assert!(arrival.is_there());
    (sink, taken)
}

fn empty() -> Payload {
    let (tenant, encoding, codec) = (Arc::from("shop"), Encoding::JsonLines, Codec::None);
    let (block, headers, tickets) = (Vec::new(), Vec::new(), Vec::new());
    Payload { tenant, encoding, codec, raw_bytes: 0, block, headers, tickets, permit: None }
}

/// Ten lines from cursor `begin` on, which are 10 bytes each, at the same offset of `generation`.
fn lines(epoch: u32, begin: u64, generation: u64, shift: u64, ledger: &Arc<Ledger>) -> Payload {
    let lines: Vec<Line> =
        (0..10).map(|it| Line::plain(format!("{:09}", begin + it * 10))).collect();
    let section = section_kit::records(begin, &lines);
    let mut raw = Vec::new();
    encode::make(Encoding::JsonLines).encode(&section, &mut raw);
    let mut block = Vec::new();
    compress::make(Codec::Zstd, 1).compress(&raw, &mut block).unwrap();
    let raw_bytes = u32::try_from(raw.len()).unwrap();
    let span = section.span;
    assert_eq!(span, Span::new(begin, begin + 100));
    let positions = vec![at(generation, span.end - shift)];
    let header = PayloadHeader {
        context: Arc::clone(&section.context),
        epoch,
        span,
        marks: Marks { first: begin == 0, last: false },
        records: 10,
        filtered: 0,
        gap: None,
        observed_unix_ns: 0,
        positions: positions.clone(),
        is_divisible: true,
        part_of: None,
        is_inner: false,
        range: 0..raw_bytes,
    };
    let acked = Acked {
        source: SourceId(1),
        span,
        positions,
        is_inner: false,
        records: 10,
        filtered_bytes: 0,
        gap: None,
        seen_ns: 0,
    };
    let tickets = vec![Ticket::new(acked, Arc::clone(ledger))];
    Payload { codec: Codec::Zstd, raw_bytes, block, headers: vec![header], tickets, ..empty() }
}

/// What the sink was given.
#[derive(Debug, Default, PartialEq, Eq)]
struct Went {
    /// Spans, and whether each is marked as the first.
    spans: Vec<(u64, u64, bool)>,
    cursors: Vec<u64>,
}

fn went(taken: &Taken) -> Went {
    let mut went = Went::default();
    for payload in taken.lock().unwrap().iter() {
        let mut raw = Vec::new();
        let raw_bytes = payload.raw_bytes as usize;
        compress::decompress(payload.codec, &payload.block, raw_bytes, &mut raw).unwrap();
        assert_eq!(payload.headers.len(), payload.tickets.len());
        for header in &payload.headers {
            let records = decode(Encoding::JsonLines, &raw[header.in_block()]).unwrap();
            assert_eq!(records.len(), header.records as usize);
            went.cursors.extend(records.iter().map(|it| it.cursor));
            went.spans.push((header.span.begin, header.span.end, header.marks.first));
        }
    }
    went
}

/// What goes of sections, by epoch, first cursor, generation, and how much smaller offsets are than cursors; and
/// which spans are acknowledged at once.
fn deliver(has: Vec<PersistedSpan>, sections: &[(u32, u64, u64, u64)]) -> (Went, Vec<(u64, u64)>) {
    let (acks, acked) = ack_channel();
    let ledger = Arc::default();
    let (mut sink, taken) = late(has, acks);
    for (epoch, begin, generation, shift) in sections {
        sink.submit(lines(*epoch, *begin, *generation, *shift, &ledger)).unwrap();
    }
    assert_eq!(ledger.dropped(), 0);
    let acked = acked.try_iter().flatten().map(|it| (it.span.begin, it.span.end)).collect();
    (went(&taken), acked)
}

#[test]
fn what_the_queue_has_is_left_out_to_the_record_and_acknowledged() {
    let sections = [(7, 0, 1, 0), (7, 100, 1, 0), (7, 200, 1, 0)];
    let (went, acked) = deliver(told(7, 140), &sections);
    assert_eq!(went.spans, [(140, 200, false), (200, 300, false)]);
    assert_eq!(went.cursors, (14..30).map(|it| it * 10).collect::<Vec<_>>());
    assert_eq!(acked, [(0, 100), (100, 140)]);
}

#[test]
fn an_epoch_that_was_begun_anew_leaves_out_the_same_bytes_and_begins_behind_them() {
    let sections = [(9, 0, 1, 0), (9, 100, 1, 0), (9, 200, 1, 0)];
    let (went, _) = deliver(told(7, 140), &sections);
    assert_eq!(went.spans, [(140, 200, true), (200, 300, false)]);
    let (went, _) = deliver(told(7, 200), &sections);
    assert_eq!(went.spans, [(200, 300, true)]);
}

#[test]
fn other_bytes_at_the_same_cursors_are_not_left_out() {
    // A generation that the queue does not know stands where it has another.
    let (went, acked) = deliver(told(7, 140), &[(7, 0, 2, 0), (7, 100, 2, 0)]);
    assert_eq!(went.spans, [(0, 100, true), (100, 200, false)]);
    assert!(acked.is_empty());
    // Bytes before it are missing here: the same offset is another cursor.
    let (went, _) = deliver(told(7, 240), &[(7, 100, 1, 0), (7, 200, 1, 60)]);
    assert_eq!(went.spans, []);
    let (went, _) = deliver(told(7, 140), &[(7, 200, 1, 100), (7, 300, 1, 100)]);
    assert_eq!(went.spans, [(240, 300, false), (300, 400, false)]);
}

#[test]
fn a_context_that_the_queue_does_not_know_goes_whole() {
    let (went, acked) = deliver(Vec::new(), &[(7, 0, 1, 0)]);
    assert_eq!((went.spans, acked), (vec![(0, 100, true)], vec![]));
}

#[test]
fn parts_of_a_section_that_the_queue_has_are_left_out_too() {
    let mut has = told(7, 140);
    PersistedSpan::append(&mut has, 7, Span::new(140, 170), &[], true);
    let (went, _) = deliver(has, &[(7, 100, 1, 0)]);
    assert_eq!(went.spans, [(170, 200, false)]);
}

/// An older life sent parts of a section of its own, which ended inside of a line: its rest was left out.
#[test]
fn parts_of_a_section_that_ended_before_are_not_left_out() {
    let has = |section_end| {
        let mut has = told(7, 100);
        let part_of = Some(Span::new(100, section_end));
        PersistedSpan::append_part(&mut has, 7, (Span::new(100, 150), part_of), &[], true);
        has
    };
    let (went, _) = deliver(has(180), &[(7, 100, 1, 0)]);
    assert_eq!(went.spans, [(100, 200, false)]);
    let (went, _) = deliver(has(200), &[(7, 100, 1, 0)]);
    assert_eq!(went.spans, [(150, 200, false)], "the same section");
}

#[test]
fn a_checkpoint_does_not_end_where_a_sink_has_part_of_a_section() {
    // A line that was divided: its parts have cursors where no line begins.
    let mut has = told(7, 140);
    PersistedSpan::append(&mut has, 7, Span::new(140, 175), &[], true);
    let (acks, acked) = ack_channel();
    let (mut sink, _taken) = late(has, acks);
    sink.submit(lines(7, 100, 1, 0, &Arc::default())).unwrap();
    let acked: Vec<_> =
        acked.try_iter().flatten().map(|it| (it.span, it.positions, it.is_inner)).collect();
    assert_eq!(acked, [(Span::new(100, 175), vec![], true)]);
}
