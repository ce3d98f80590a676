//! What is framed and encoded as the agent does it is restored to the byte, or not at all.

use std::sync::Arc;

use flow::{
    Chunk, Content, Context, ContextId, Encoding, Marks, Position, RecordFlags, Section, Span,
};
use pipeline::frame::group::{self, OpenGroups};
use pipeline::frame::multiline::{Multiline, Rule};
use pipeline::frame::{ByteOrder, Carry, Format, FrameOptions, Output, Streams, Tail};
use proptest::prelude::*;

use super::*;

/// How a file is read.
#[derive(Debug, Clone)]
struct Way {
    format: Format,
    multiline: Option<Multiline>,
    encoding: Encoding,
    line_bytes_max: u32,
    /// Bytes that each read sees more, and whether it delivers what has no end yet.
    reads: Vec<(usize, bool)>,
}

/// A section, and where it was in the file.
struct Made {
    header: PayloadHeader,
    body: Vec<u8>,
    range: Range<u64>,
}

impl Made {
    fn restore(&self, encoding: Encoding) -> Result<Vec<u8>, &'static str> {
        let records = sink::decode::decode(encoding, &self.body).expect("as it was encoded");
        super::restore(&self.header, &self.range, &records, Counts::LeftOut)
    }
}

/// The sections that reading a file makes, all of it.
fn sections(file: &[u8], way: &Way) -> Vec<Made> {
    let context =
        Arc::new(Context { id: ContextId(7), tenant: Arc::from("shop"), attributes: Vec::new() });
    let mut encoder = sink::encode::make(way.encoding);
    let (mut at, mut visible) = (0, 0);
    let (mut carry, mut states) = (Carry::default(), Streams::default());
    let mut made = Vec::new();
    let mut reads = way.reads.iter().cycle();
    let mut is_last = false;
    while at < file.len() {
        let (more, delivers) = *reads.next().expect("there are some");
        visible = (visible.max(at) + more).min(file.len());
        let mut chunk = Chunk::new(64 << 10);
        let filled = visible - at;
        chunk.data_mut()[..filled].copy_from_slice(&file[at..visible]);
        let tail = if delivers || is_last { Tail::Deliver } else { Tail::Wait };
        is_last = visible == file.len();
        let (data, side, records) = chunk.parts_mut();
        let options = FrameOptions {
            line_bytes_max: way.line_bytes_max,
            tail,
            skip: RecordFlags::NONE,
            at_start: at == 0,
        };
        let mut output = Output { side, records };
        let framed = match &way.multiline {
            None => way.format.frame(&data[..filled], &options, &mut carry, &mut output),
            Some(multiline) => {
                let grouping = (multiline, OpenGroups::Wait);
                let known = (&mut carry, &mut states);
                group::frame(way.format, &data[..filled], &options, grouping, known, &mut output)
                    .framed
            }
        };
        if framed.consumed == 0 {
            continue;
        }
        let end = at + framed.consumed;
        let (range, place) = (at as u64..end as u64, Place::of(&file[at..end]));
        let section = Section {
            context: Arc::clone(&context),
            epoch: 1,
            // Cursors begin elsewhere than the file does.
            span: Span::new(1_000_000 + range.start, 1_000_000 + range.end),
            marks: Marks::NONE,
            observed_unix_ns: 1,
            is_divisible: false,
            content: Content::Records { chunk, filtered: framed.filtered },
        };
        let mut body = Vec::new();
        encoder.encode(&section, &mut body);
        let header = PayloadHeader {
            context: Arc::clone(&context),
            epoch: 1,
            span: section.span,
            marks: Marks::NONE,
            records: u32::try_from(section.records().len()).expect("few"),
            filtered: framed.filtered,
            gap: None,
            observed_unix_ns: 1,
            positions: vec![Position {
                generation: 7,
                offset: range.end,
                place,
                ..Position::default()
            }],
            is_divisible: false,
            part_of: None,
            is_inner: false,
            range: 0..0,
        };
        made.push(Made { header, body, range });
        at = end;
    }
    made
}

fn plain(reads: &[(usize, bool)]) -> Way {
    let (format, encoding) = (Format::Plain, Encoding::OtlpProto);
    let reads = reads.to_vec();
    Way { format, multiline: None, encoding, line_bytes_max: 1000, reads }
}

/// Indented lines belong to the one before.
fn grouped() -> Option<Multiline> {
    Some(Multiline { rule: Rule::Java, timeout_ns: 1, lines_max: 100, bytes_max: 10_000 })
}

/// What comes back of a file as a whole; `None` for sections that do not.
fn restored(file: &[u8], way: &Way) -> Vec<Option<Vec<u8>>> {
    let made = sections(file, way);
    assert_eq!(made.iter().map(|it| it.range.end).max(), Some(file.len() as u64));
    made.iter().map(|it| it.restore(way.encoding).ok()).collect()
}

#[test]
fn lines_come_back_with_the_ends_they_had() {
    let files: [&[u8]; 6] = [
        b"one\ntwo\n\nfour\n",
        b"one\r\ntwo\n\r\n\nfour\r\r\n",
        b"\xef\xbb\xbfmarked\nnot\n",
        b"\xff\xfe not text\n\x01\n",
        b"without an end",
        b"0123456789abcdef0123456789abcdef long\n",
    ];
    for file in files {
        for encoding in [Encoding::OtlpProto, Encoding::JsonLines] {
            let way = Way { encoding, ..plain(&[(1000, false)]) };
            assert_eq!(restored(file, &way), [Some(file.to_vec())], "{encoding}: {file:?}");
            let way = Way { line_bytes_max: 16, ..way };
            assert_eq!(restored(file, &way), [Some(file.to_vec())], "in parts: {file:?}");
        }
    }
}

#[test]
fn the_end_of_a_line_that_was_delivered_before_it_comes_back() {
    for file in [&b"one\ntwo\nthree\n"[..], b"one\ntwo\r\nthree\n"] {
        let restored = restored(file, &plain(&[(6, false), (1, true), (100, false)]));
        assert_eq!(restored.into_iter().map(Option::unwrap).collect::<Vec<_>>().concat(), file);
    }
}

/// Both files make the very same records: `a`, and what belongs to it.
#[test]
fn a_group_of_lines_whose_ends_are_not_known_does_not_come_back() {
    let way = Way { multiline: grouped(), ..plain(&[(1000, false)]) };
    let (one, other) = (b"a\r\n 1\n 2\nb\n", b"a\n 1\r\n 2\nb\n");
    let bodies =
        |file: &[u8]| sections(file, &way).into_iter().map(|it| it.body).collect::<Vec<_>>();
    assert_eq!(bodies(one), bodies(other));
    for file in [one, other] {
        assert!(restored(file, &way).contains(&None), "a guess");
    }
    for file in [&b"a\n 1\n 2\nb\n"[..], b"a\r\n 1\r\n 2\r\nb\r\n"] {
        let restored = restored(file, &way);
        assert_eq!(restored.into_iter().map(Option::unwrap).collect::<Vec<_>>().concat(), file);
    }
}

/// Its lines are as long as UTF-8 with a newline would be, and end as that does behind the last NUL.
#[test]
fn another_encoding_does_not_come_back() {
    let mut file = Vec::new();
    for unit in "中中\0\n中\n".encode_utf16() {
        file.extend_from_slice(&unit.to_be_bytes());
    }
    let way = Way { format: Format::Utf16(ByteOrder::Big), ..plain(&[(1000, false)]) };
    assert_eq!(restored(&file, &way), [None]);
    let cri = b"2026-01-02T03:04:05.000000006Z stdout F hello\n";
    let way = Way { format: Format::Cri, ..plain(&[(1000, false)]) };
    assert_eq!(restored(cri, &way), [None]);
}

#[test]
fn what_is_not_there_as_a_whole_does_not_come_back() {
    let way = plain(&[(1000, false)]);
    let whole = || sections(b"one\ntwo\n", &way).remove(0);
    assert!(whole().restore(way.encoding).is_ok());
    let mut filtered = whole();
    filtered.header.filtered = 1;
    let mut missing = whole();
    missing.header.records += 1;
    let mut gap = whole();
    gap.header.gap = Some(flow::GapReason::SparseHole);
    let mut other = whole();
    other.header.positions[0].place = Place::of(b"one\ntwa\n");
    let mut unknown = whole();
    unknown.header.positions[0].place = Place::default();
    let mut two_files = whole();
    two_files.header.positions.push(two_files.header.positions[0]);
    for it in [filtered, missing, gap, other, unknown, two_files] {
        assert!(it.restore(way.encoding).is_err(), "{:?}", it.header);
    }
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "[a-z \r]{0,20}".prop_map(String::into_bytes),
        1 => "[ -~]{60,90}".prop_map(String::into_bytes),
        1 => any::<String>().prop_map(String::into_bytes),
        1 => "[中é\u{0}]{0,5}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..30),
        1 => Just(b"2026-01-02T03:04:05.000000006Z stdout F hello".to_vec()),
        1 => Just(br#"{"log":"hello\n","stream":"stdout","time":"2026-01-02T03:04:05.6Z"}"#.to_vec()),
    ]
}

fn file() -> impl Strategy<Value = Vec<u8>> {
    let end = prop_oneof![6 => Just("\n"), 3 => Just("\r\n"), 1 => Just("")];
    let lines = proptest::collection::vec((line(), end), 1..20);
    (lines, 0..3_u8).prop_map(|(lines, wide)| {
        let bytes: Vec<u8> =
            lines.into_iter().flat_map(|(line, end)| [line, end.into()].concat()).collect();
        let units = String::from_utf8_lossy(&bytes).into_owned();
        match wide {
            0 => bytes,
            1 => units.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            _ => units.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        }
    })
}

fn way() -> impl Strategy<Value = Way> {
    let formats = [
        Format::Plain,
        Format::Plain,
        Format::Utf16(ByteOrder::Big),
        Format::Utf16(ByteOrder::Little),
        Format::Cri,
        Format::Docker,
    ];
    let reads = proptest::collection::vec((1_usize..200, prop::bool::weighted(0.2)), 1..10);
    (0..formats.len(), any::<bool>(), any::<bool>(), prop_oneof![Just(16_u32), Just(1000)], reads)
        .prop_map(move |(format, is_grouped, is_json, line_bytes_max, reads)| Way {
            format: formats[format],
            multiline: is_grouped.then(grouped).flatten(),
            encoding: if is_json { Encoding::JsonLines } else { Encoding::OtlpProto },
            line_bytes_max,
            reads,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// However a file is read, and as whatever: what comes back is what stood there.
    #[test]
    fn nothing_else_comes_back(file in file(), way in way()) {
        for it in sections(&file, &way) {
            let [begin, end] = [it.range.start, it.range.end].map(|at| usize::try_from(at).unwrap());
            let is_plain = way.format == Format::Plain && way.multiline.is_none();
            let has_nul = file[begin..end][(end - begin).saturating_sub(PLACE_BYTES_MAX)..].contains(&0);
            match it.restore(way.encoding) {
                Ok(bytes) => prop_assert_eq!(&bytes[..], &file[begin..end]),
                Err(why) => prop_assert!(!is_plain || has_nul, "{}: {:?}", why, &file[begin..end]),
            }
        }
    }
}
