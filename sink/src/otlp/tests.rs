//! The encoder against the obvious one: structs of `opentelemetry-proto`, compared after decoding.

use flow::{AttributeValue, GapReason, RecordFlags, Span};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::section_kit::{self, Line};

fn key_value(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..Default::default()
    }
}

fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

fn int(number: u64) -> Value {
    Value::IntValue(number.cast_signed())
}

fn obvious_resource(section: &Section) -> Resource {
    let mut attributes: Vec<KeyValue> = Vec::new();
    for fact in &section.context.attributes {
        attributes.push(match &fact.value {
            AttributeValue::Text(value) => key_value(&fact.key, text(value)),
            AttributeValue::Int(number) => key_value(&fact.key, Value::IntValue(*number)),
        });
    }
    attributes.push(key_value("log.context.id", text(&section.context.id.to_string())));
    attributes.push(key_value("log.epoch", int(u64::from(section.epoch))));
    Resource { attributes, ..Default::default() }
}

fn obvious_scope(stream: Option<Stream>) -> InstrumentationScope {
    InstrumentationScope {
        name: "logferry".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        attributes: stream
            .map(|stream| key_value("log.iostream", text(stream.name())))
            .into_iter()
            .collect(),
        ..Default::default()
    }
}

fn obvious_record(section: &Section, chunk: &Chunk, record: &flow::Record) -> LogRecord {
    let body = chunk.body(record);
    let value = match std::str::from_utf8(body) {
        Ok(body) => text(body),
        Err(_) => Value::BytesValue(body.to_vec()),
    };
    let mut attributes =
        vec![key_value("log.cursor", int(section.span.begin + u64::from(record.cursor)))];
    let names: Vec<&str> = RecordFlags::NAMED
        .iter()
        .filter(|(flag, _)| record.flags.has(*flag))
        .map(|(_, name)| *name)
        .collect();
    if !names.is_empty() {
        attributes.push(key_value("log.flags", text(&names.join(","))));
    }
    let has_time = record.time_unix_ns > 0;
    let time = if has_time { record.time_unix_ns } else { 0 };
    let observed = if has_time { 0 } else { section.observed_unix_ns };
    LogRecord {
        time_unix_nano: time.cast_unsigned(),
        observed_time_unix_nano: observed.cast_unsigned(),
        body: Some(AnyValue { value: Some(value) }),
        attributes,
        ..Default::default()
    }
}

fn obvious_request(section: &Section) -> ExportLogsServiceRequest {
    let mut scope_logs: Vec<ScopeLogs> = Vec::new();
    let mut stream_before = None;
    if let Content::Records { chunk, .. } = &section.content {
        for record in chunk.records() {
            let stream = record.flags.stream();
            if stream_before != Some(stream) {
                let scope = Some(obvious_scope(stream));
                scope_logs.push(ScopeLogs { scope, ..Default::default() });
            }
            stream_before = Some(stream);
            let run = scope_logs.last_mut().unwrap();
            run.log_records.push(obvious_record(section, chunk, record));
        }
    }
    if scope_logs.is_empty() {
        return ExportLogsServiceRequest::default();
    }
    let resource = Some(obvious_resource(section));
    let resource_logs = ResourceLogs { resource, scope_logs, ..Default::default() };
    ExportLogsServiceRequest { resource_logs: vec![resource_logs] }
}

fn encoded(section: &Section) -> Vec<u8> {
    let mut out = b"before".to_vec();
    OtlpEncoder::new().encode(section, &mut out);
    out.split_off(b"before".len())
}

fn decoded(section: &Section) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest::decode(encoded(section).as_slice()).unwrap()
}

proptest! {
    #[test]
    fn any_section_decodes_to_what_the_obvious_encoder_makes(
        begin in section_kit::begins(), lines in section_kit::lines(),
    ) {
        let section = section_kit::records(begin, &lines);
        prop_assert_eq!(decoded(&section), obvious_request(&section));
    }

    #[test]
    fn the_bound_reserved_for_a_section_holds(
        begin in section_kit::begins(), lines in section_kit::lines(),
    ) {
        let section = section_kit::records(begin, &lines);
        let mut encoder = OtlpEncoder::new();
        let mut out = Vec::with_capacity(encoder.bytes_max(&section));
        let capacity = out.capacity();
        encoder.encode(&section, &mut out);
        prop_assert_eq!(out.capacity(), capacity);
    }
}

#[test]
fn a_gap_is_one_warning_that_names_range_and_reason() {
    for reason in GapReason::ALL {
        let section = section_kit::gap(Span::new(100, 350), reason);
        let want = LogRecord {
            observed_time_unix_nano: section.observed_unix_ns.cast_unsigned(),
            severity_number: SeverityNumber::Warn.into(),
            severity_text: "WARN".to_owned(),
            body: Some(AnyValue {
                value: Some(text(&format!(
                    "gap: {reason}: bytes 100 to 350 of the source were not delivered"
                ))),
            }),
            attributes: vec![
                key_value("log.cursor", int(100)),
                key_value("log.gap.reason", text(reason.name())),
                key_value("log.gap.bytes", int(250)),
            ],
            ..Default::default()
        };
        let request = decoded(&section);
        let [resource_logs] = request.resource_logs.as_slice() else { panic!("{request:?}") };
        assert_eq!(resource_logs.resource, Some(obvious_resource(&section)));
        assert_eq!(resource_logs.scope_logs[0].scope, Some(obvious_scope(None)));
        assert_eq!(resource_logs.scope_logs[0].log_records, [want]);
    }
}

#[test]
fn an_empty_section_writes_nothing() {
    for section in [section_kit::end(7), section_kit::records(7, &[])] {
        assert!(encoded(&section).is_empty());
    }
}

#[test]
fn a_run_of_one_stream_is_one_scope() {
    let line = |flags| Line { flags, ..Line::plain("x") };
    let (out, err) = (RecordFlags::STDOUT, RecordFlags::STDERR);
    let section = section_kit::records(0, &[out, out, err, out].map(line));
    let runs: Vec<usize> = decoded(&section).resource_logs[0]
        .scope_logs
        .iter()
        .map(|scope_logs| scope_logs.log_records.len())
        .collect();
    assert_eq!(runs, [2, 1, 1]);
}

#[test]
fn one_bad_byte_turns_only_its_own_record_into_bytes() {
    let section =
        section_kit::records(0, &[Line::plain("good"), Line::plain(b"b\xffd"), Line::plain("ü")]);
    let request = decoded(&section);
    let values: Vec<_> = request.resource_logs[0].scope_logs[0]
        .log_records
        .iter()
        .map(|record| record.body.clone().unwrap().value.unwrap())
        .collect();
    assert_eq!(values, [text("good"), Value::BytesValue(b"b\xffd".to_vec()), text("ü")]);
}

#[test]
fn a_character_cut_between_two_parts_turns_both_into_bytes() {
    // Together they are valid, so the check of the region alone would not do.
    let part = |body: &[u8], flags| Line { flags, ..Line::plain(body) };
    let lines = [
        Line::plain("before"),
        part(b"x\xF0\x9D", RecordFlags::PART),
        part(b"\x84\x9Ey", RecordFlags::CONTINUED),
        Line::plain("after"),
    ];
    let section = section_kit::records(0, &lines);
    assert_eq!(decoded(&section), obvious_request(&section));
    assert!(encoded(&section).windows(4).any(|window| window == [tag::ANY_BYTES, 3, b'x', 0xF0]));
}
