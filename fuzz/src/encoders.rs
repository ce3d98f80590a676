//! Encoders: a section of any records, written as OTLP and as JSON lines, and read back three ways: by
//! our decoder, by another library for OTLP, and by another parser for JSON.

use std::sync::Arc;

use flow::{
    Attribute, Chunk, Content, Context, ContextId, Encode, Encoding, Gap, GapReason, Marks, Record,
    RecordFlags, Section, Span, Stream,
};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message as _;
use sink::decode::{DecodedRecord, cursors, decode};
use sink::json_lines::JsonLinesEncoder;
use sink::otlp::OtlpEncoder;

use crate::input::Input;

const CHUNK_BYTES: usize = 64 << 10;
const OBSERVED_UNIX_NS: i64 = 1_795_000_000_123_456_789;
const STREAMS: [RecordFlags; 3] = [RecordFlags::NONE, RecordFlags::STDOUT, RecordFlags::STDERR];

/// One input: where the section begins, an attribute, and its records.
///
/// # Panics
/// If what is read back is not what was written.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte();
    let begin = input.u64() >> (1 + how % 63);
    let attribute = String::from_utf8_lossy(input.piece()).into_owned();
    let content = if how >> 6 == 3 { gap(input) } else { records(input) };
    let section = Section {
        context: Arc::new(Context {
            id: ContextId::of(&[b"file", attribute.as_bytes()]),
            tenant: Arc::from("shop"),
            attributes: vec![
                Attribute::text("k8s.pod.name", attribute),
                Attribute::int("k8s.container.restart_count", -3),
            ],
        }),
        epoch: 3,
        span: Span::new(begin, begin.saturating_add(CHUNK_BYTES as u64)),
        marks: Marks::NONE,
        observed_unix_ns: OBSERVED_UNIX_NS,
        is_divisible: false,
        content,
    };
    let otlp = encoded(&mut OtlpEncoder::new(), &section);
    let json = encoded(&mut JsonLinesEncoder::new(), &section);
    if let Content::Records { chunk, .. } = &section.content {
        assert_decodes(Encoding::OtlpProto, &otlp, &section, chunk);
        assert_decodes(Encoding::JsonLines, &json, &section, chunk);
        assert_otlp(&otlp, &section, chunk);
        assert_json(&json, &section, chunk);
    } else {
        for (encoding, payload) in [(Encoding::OtlpProto, otlp), (Encoding::JsonLines, json)] {
            assert_gap(encoding, &payload, &section);
        }
    }
}

/// Records whose bodies lie in the chunk or beside it, with any flags and times.
fn records(mut input: Input<'_>) -> Content {
    let mut chunk = Chunk::new(CHUNK_BYTES);
    let (mut cursor, mut at) = (0, 0);
    while !input.is_empty() {
        let (kind, oddities) = (input.byte(), input.byte());
        let body = input.piece();
        if at + body.len() >= CHUNK_BYTES {
            break;
        }
        let named = RecordFlags::NAMED.into_iter().enumerate();
        let odd = named.filter(|(bit, _)| oddities >> bit & 1 == 1 && kind & 4 == 4);
        let mut flags = odd.fold(RecordFlags::NONE, |flags, (_, (flag, _))| flags.with(flag));
        flags = flags.with(STREAMS[usize::from(kind & 3) % STREAMS.len()]);
        let (_, side, records) = chunk.parts_mut();
        let start = if kind & 8 == 8 {
            flags = flags.with(RecordFlags::SIDE);
            side.extend_from_slice(body);
            side.len() - body.len()
        } else {
            at
        };
        let time_unix_ns = match kind >> 4 {
            0 => 0,
            1 => i64::MAX,
            2 => i64::MIN,
            3 => -1,
            _ => OBSERVED_UNIX_NS + i64::from(kind) * 1_000_003,
        };
        let (start, len) = (u32::try_from(start), u32::try_from(body.len()));
        let (start, len) = (start.expect("in a chunk"), len.expect("a piece"));
        records.push(Record { time_unix_ns, start, len, cursor, flags });
        if kind & 8 == 0 {
            chunk.data_mut()[at..at + body.len()].copy_from_slice(body);
            // A line end, but not where a part is cut.
            at += body.len() + usize::from(kind & 4 == 0);
        }
        cursor += len + 1 + u32::from(oddities);
    }
    Content::Records { chunk, filtered: 0 }
}

fn gap(mut input: Input<'_>) -> Content {
    Content::Gap(Gap { reason: GapReason::ALL[input.below(GapReason::ALL.len())] })
}

/// What the encoder appends to what is there.
fn encoded(encoder: &mut dyn Encode, section: &Section) -> Vec<u8> {
    const BEFORE: &[u8] = b"before";
    let mut out = BEFORE.to_vec();
    encoder.encode(section, &mut out);
    assert!(out.starts_with(BEFORE));
    out.split_off(BEFORE.len())
}

/// The flags that a reader is told of.
fn named(flags: RecordFlags) -> RecordFlags {
    let named = RecordFlags::NAMED.into_iter().filter(|(flag, _)| flags.has(*flag));
    named.fold(RecordFlags::NONE, |flags, (flag, _)| flags.with(flag))
}

fn names(flags: RecordFlags) -> String {
    let named = RecordFlags::NAMED.into_iter().filter(|(flag, _)| flags.has(*flag));
    named.map(|(_, name)| name).collect::<Vec<_>>().join(",")
}

/// Our decoder.
fn assert_decodes(encoding: Encoding, payload: &[u8], section: &Section, chunk: &Chunk) {
    let decoded = decode(encoding, payload).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(decoded.len(), chunk.records().len());
    let is_otlp = encoding == Encoding::OtlpProto;
    for (got, record) in decoded.iter().zip(chunk.records()) {
        let body = chunk.body(record);
        let is_text = is_otlp || std::str::from_utf8(body).is_ok();
        let binary = if is_text { RecordFlags::NONE } else { RecordFlags::BINARY };
        // OTLP's times begin in 1970.
        let has_time = if is_otlp { record.time_unix_ns > 0 } else { record.time_unix_ns != 0 };
        let time = if has_time { record.time_unix_ns } else { OBSERVED_UNIX_NS };
        assert_eq!(got.cursor, section.span.begin + u64::from(record.cursor));
        assert_eq!(got.time_unix_ns.or(got.observed_unix_ns), Some(time));
        assert_eq!((got.stream, got.gap), (record.flags.stream(), None));
        assert_eq!(got.flags, named(record.flags.with(binary)));
        assert_eq!(&got.body[..], body);
    }
    let want: Vec<u64> = decoded.iter().map(|it| it.cursor).collect();
    assert_eq!(cursors(encoding, payload), Ok(want));
}

fn assert_gap(encoding: Encoding, payload: &[u8], section: &Section) {
    let decoded = decode(encoding, payload).unwrap_or_else(|why| panic!("{why}"));
    let [DecodedRecord { cursor, gap: Some(gap), .. }] = &decoded[..] else {
        panic!("{decoded:?}")
    };
    let Content::Gap(Gap { reason }) = section.content else { unreachable!("a gap was written") };
    assert_eq!((*cursor, gap.bytes), (section.span.begin, section.span.bytes()));
    assert_eq!(gap.reason, Some(reason));
}

/// Another library's view.
fn assert_otlp(payload: &[u8], section: &Section, chunk: &Chunk) {
    let request = ExportLogsServiceRequest::decode(payload).unwrap_or_else(|why| panic!("{why}"));
    let scopes = request.resource_logs.iter().flat_map(|it| &it.scope_logs);
    let records = scopes.flat_map(|scope| {
        let attributes = scope.scope.as_ref().map(|it| &it.attributes[..]).unwrap_or_default();
        let stream = value(attributes, "log.iostream").cloned();
        scope.log_records.iter().map(move |it| (stream.clone(), it))
    });
    let records: Vec<_> = records.collect();
    assert_eq!(records.len(), chunk.records().len());
    for ((stream, got), record) in records.into_iter().zip(chunk.records()) {
        let body = chunk.body(record);
        let want = match std::str::from_utf8(body) {
            Ok(text) => Value::StringValue(text.to_owned()),
            Err(_) => Value::BytesValue(body.to_vec()),
        };
        assert_eq!(got.body, Some(AnyValue { value: Some(want) }));
        let text = |it: Stream| Value::StringValue(it.name().to_owned());
        assert_eq!(stream, record.flags.stream().map(text));
        let cursor = section.span.begin + u64::from(record.cursor);
        assert_eq!(
            value(&got.attributes, "log.cursor"),
            Some(&Value::IntValue(cursor.cast_signed()))
        );
        let flags = Some(names(record.flags)).filter(|it| !it.is_empty()).map(Value::StringValue);
        assert_eq!(value(&got.attributes, "log.flags"), flags.as_ref());
    }
    for resource in request.resource_logs.iter().filter_map(|it| it.resource.as_ref()) {
        let id = Value::StringValue(section.context.id.to_string());
        assert_eq!(value(&resource.attributes, "log.context.id"), Some(&id));
        let pod = section.context.text("k8s.pod.name").map(|it| Value::StringValue(it.to_owned()));
        assert_eq!(value(&resource.attributes, "k8s.pod.name"), pod.as_ref());
    }
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let mut found = attributes.iter().filter(|it| it.key == key);
    let value = found.next()?.value.as_ref()?.value.as_ref();
    assert!(found.next().is_none(), "{key} twice");
    value
}

/// Another parser's view.
fn assert_json(payload: &[u8], section: &Section, chunk: &Chunk) {
    let text = std::str::from_utf8(payload).expect("JSON is UTF-8");
    assert_eq!(text.lines().count(), chunk.records().len());
    for (line, record) in text.lines().zip(chunk.records()) {
        let value: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}"));
        let body = String::from_utf8_lossy(chunk.body(record));
        assert_eq!(value["body"].as_str(), Some(&*body));
        let cursor = section.span.begin + u64::from(record.cursor);
        assert_eq!(value["log.cursor"].as_u64(), Some(cursor));
        assert_eq!(value["k8s.pod.name"].as_str(), section.context.text("k8s.pod.name"));
    }
}
