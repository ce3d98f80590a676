//! Sections made for tests: by hand, or arbitrary ones by proptest.

use std::sync::Arc;

use flow::{
    Attribute, Chunk, Content, Context, ContextId, Gap, GapReason, Ledger, Marks, Position, Record,
    RecordFlags, Section, SourceId, Span, Ticket, attribute,
};
use proptest::prelude::*;

const CHUNK_BYTES: usize = 64 << 10;
pub(crate) const OBSERVED_UNIX_NS: i64 = 1_795_000_000_123_456_789;

/// A record to be: what it says, not where it lies.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) body: Vec<u8>,
    pub(crate) time_unix_ns: i64,
    pub(crate) flags: RecordFlags,
    /// Bytes of the source between the line before and this one, beside that one's body.
    pub(crate) skip: u32,
}

impl Line {
    pub(crate) fn plain(body: impl Into<Vec<u8>>) -> Line {
        Line { body: body.into(), time_unix_ns: 0, flags: RecordFlags::NONE, skip: 1 }
    }
}

pub(crate) fn context() -> Arc<Context> {
    Arc::new(Context {
        id: ContextId::of(&[b"pod", b"", b"uid", b"web", b"0"]),
        tenant: Arc::from("shop"),
        attributes: vec![
            Attribute::text(attribute::K8S_NAMESPACE_NAME, "shop"),
            Attribute::text(attribute::K8S_POD_NAME, "web-\"0\" ü"),
            Attribute::int(attribute::K8S_CONTAINER_RESTART_COUNT, -3),
            Attribute::text("empty", ""),
            Attribute::text("long", "x".repeat(300)),
        ],
    })
}

pub(crate) fn ticket(span: Span, ledger: &Arc<Ledger>) -> Ticket {
    let positions = vec![Position { generation: 1, offset: span.end, ..Position::default() }];
    let acked = flow::Acked {
        source: SourceId(1),
        span,
        positions,
        records: 0,
        filtered_bytes: 0,
        gap: None,
        is_inner: false,
        seen_ns: 0,
    };
    Ticket::new(acked, Arc::clone(ledger))
}

fn section(span: Span, content: Content) -> Section {
    Section {
        context: context(),
        epoch: 3,
        span,
        marks: Marks::NONE,
        observed_unix_ns: OBSERVED_UNIX_NS,
        is_divisible: false,
        content,
    }
}

/// The section that `lines` make from cursor `begin` on.
pub(crate) fn records(begin: u64, lines: &[Line]) -> Section {
    let mut chunk = Chunk::new(CHUNK_BYTES);
    let mut cursor = 0;
    let mut at = 0;
    for line in lines {
        let len = u32::try_from(line.body.len()).unwrap();
        let start = if line.flags.has(RecordFlags::SIDE) {
            chunk.side().len()
        } else {
            let start = at;
            chunk.data_mut()[start..start + line.body.len()].copy_from_slice(&line.body);
            // A line end, but not where a part is cut.
            at = start + line.body.len();
            if !line.flags.has(RecordFlags::PART) {
                chunk.data_mut()[at] = b'\n';
                at += 1;
            }
            start
        };
        let (_, side, records) = chunk.parts_mut();
        if line.flags.has(RecordFlags::SIDE) {
            side.extend_from_slice(&line.body);
        }
        records.push(Record {
            time_unix_ns: line.time_unix_ns,
            start: u32::try_from(start).unwrap(),
            len,
            cursor,
            flags: line.flags,
        });
        cursor += len + line.skip;
    }
    let span = Span::new(begin, begin.saturating_add(u64::from(cursor)));
    section(span, Content::Records { chunk, filtered: 0 })
}

pub(crate) fn gap(span: Span, reason: GapReason) -> Section {
    section(span, Content::Gap(Gap { reason }))
}

pub(crate) fn end(at: u64) -> Section {
    section(Span::new(at, at), Content::End)
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[ -~]{0,40}".prop_map(String::into_bytes),
        2 => any::<String>().prop_map(String::into_bytes),
        2 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => (120_usize..140).prop_map(|len| vec![b'a'; len]),
        1 => (16_370_usize..16_390).prop_map(|len| vec![b'b'; len]),
        // A character cut in two, as parts are.
        1 => (1_usize..4, 0_usize..4).prop_map(|(from, to)| {
            let text = "𝄞x𝄞".as_bytes();
            text[from..text.len() - to].to_vec()
        }),
    ]
}

fn flags() -> impl Strategy<Value = RecordFlags> {
    let streams = [RecordFlags::NONE, RecordFlags::STDOUT, RecordFlags::STDERR];
    let sets = (0..streams.len(), any::<bool>(), any::<bool>(), any::<[bool; 5]>());
    sets.prop_map(move |(stream, side, is_odd, named)| {
        let mut flags = streams[stream];
        if side {
            flags = flags.with(RecordFlags::SIDE);
        }
        for ((flag, _), set) in RecordFlags::NAMED.into_iter().zip(named) {
            if is_odd && set {
                flags = flags.with(flag);
            }
        }
        flags
    })
}

/// Arbitrary lines: any bytes, flags and streams.
pub(crate) fn lines() -> impl Strategy<Value = Vec<Line>> {
    let time = prop_oneof![
        Just(0_i64),
        1_i64..i64::MAX,
        i64::MIN..0,
        Just(i64::MIN),
        Just(i64::MAX),
        Just(1_795_000_000_000_000_001)
    ];
    let line = (body(), time, flags(), 1_u32..100)
        .prop_map(|(body, time_unix_ns, flags, skip)| Line { body, time_unix_ns, flags, skip });
    let lines = proptest::collection::vec(line, 0..20);
    lines.prop_filter("the bodies fit the chunk", |lines| {
        lines.iter().map(|line| line.body.len() + 1).sum::<usize>() <= CHUNK_BYTES
    })
}

/// Arbitrary first cursors, at all lengths of their varints.
pub(crate) fn begins() -> impl Strategy<Value = u64> {
    (0_u32..63).prop_flat_map(|bits| 0..1_u64 << bits)
}
