//! Each line, read by `serde_json`, against the object that the obvious encoder makes.

use flow::{GapReason, Span};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::section_kit;

fn lines_of(section: &Section) -> Vec<Value> {
    let mut out = b"before".to_vec();
    JsonLinesEncoder::new().encode(section, &mut out);
    let text = std::str::from_utf8(&out[b"before".len()..]).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn with_shared(section: &Section, own: Value) -> Value {
    let Value::Object(mut fields) = own else { panic!("{own}") };
    for fact in &section.context.attributes {
        let value = match &fact.value {
            AttributeValue::Text(text) => json!(text),
            AttributeValue::Int(number) => json!(number),
        };
        fields.insert(fact.key.to_string(), value);
    }
    fields.insert("log.context.id".to_owned(), json!(section.context.id.to_string()));
    fields.insert("log.epoch".to_owned(), json!(section.epoch));
    Value::Object(fields)
}

fn obvious_line(section: &Section, chunk: &Chunk, record: &flow::Record) -> Value {
    let mut fields = Map::new();
    let time =
        if record.time_unix_ns == 0 { section.observed_unix_ns } else { record.time_unix_ns };
    let time = std::str::from_utf8(TimeText::new().render(time)).unwrap().to_owned();
    fields.insert("time".to_owned(), json!(time));
    let body = chunk.body(record);
    fields.insert("body".to_owned(), json!(String::from_utf8_lossy(body)));
    if std::str::from_utf8(body).is_err() {
        let mut text = Vec::new();
        put_base64(&mut text, body);
        fields.insert("body.base64".to_owned(), json!(String::from_utf8(text).unwrap()));
    }
    let cursor = section.span.begin + u64::from(record.cursor);
    fields.insert("log.cursor".to_owned(), json!(cursor));
    if let Some(stream) = record.flags.stream() {
        fields.insert("log.iostream".to_owned(), json!(stream.name()));
    }
    let is_text = std::str::from_utf8(body).is_ok();
    let flags = record.flags.with(if is_text { RecordFlags::NONE } else { RecordFlags::BINARY });
    let names = RecordFlags::NAMED.iter().filter(|(flag, _)| flags.has(*flag));
    let names: Vec<&str> = names.map(|(_, name)| *name).collect();
    if !names.is_empty() {
        fields.insert("log.flags".to_owned(), json!(names.join(",")));
    }
    with_shared(section, Value::Object(fields))
}

proptest! {
    #[test]
    fn any_section_reads_back_as_what_the_obvious_encoder_makes(
        begin in section_kit::begins(), lines in section_kit::lines(),
    ) {
        let section = section_kit::records(begin, &lines);
        let Content::Records { chunk, .. } = &section.content else { unreachable!() };
        let want: Vec<Value> = chunk
            .records()
            .iter()
            .map(|record| obvious_line(&section, chunk, record))
            .collect();
        prop_assert_eq!(lines_of(&section), want);
    }
}

#[test]
fn a_gap_is_one_warning_that_names_range_and_reason() {
    for reason in GapReason::ALL {
        let section = section_kit::gap(Span::new(100, 350), reason);
        let want = json!({
            "time": "2026-11-18T11:06:40.123456789Z",
            "body": format!("gap: {reason}: bytes 100 to 350 of the source were not delivered"),
            "severity": "WARN",
            "log.cursor": 100,
            "log.gap.reason": reason.name(),
            "log.gap.bytes": 250,
        });
        assert_eq!(lines_of(&section), [with_shared(&section, want)]);
    }
}

#[test]
fn an_empty_section_writes_nothing() {
    for section in [section_kit::end(7), section_kit::records(7, &[])] {
        assert!(lines_of(&section).is_empty());
    }
}

#[test]
fn an_attribute_called_like_a_field_does_not_double_the_key() {
    let mut section = section_kit::records(7, &[section_kit::Line::plain("x")]);
    let mut context = flow::Context::clone(&section.context);
    context.attributes = RECORD_KEYS.map(|key| flow::Attribute::text(key, "evil")).to_vec();
    section.context = context.into();
    let mut out = Vec::new();
    JsonLinesEncoder::new().encode(&section, &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(!text.contains("evil"), "{text}");
    assert_eq!(text.matches("log.cursor").count(), 1);
}
