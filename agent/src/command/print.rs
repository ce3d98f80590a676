//! Prints records, for people and for scripts.
//!
//! Log content comes from anybody: for a terminal, control bytes are made visible, so that no record
//! can move the cursor, change colours or worse. JSON has the exact bytes.

use std::fmt::Write as _;
use std::io::{self, Write};

use flow::{AttributeValue, Context, RecordFlags};
use jiff::Timestamp;
use sink::decode::DecodedRecord;

use crate::cli::Output;

/// Prints one record.
pub(super) fn record(
    out: &mut impl Write,
    output: Output,
    context: &Context,
    epoch: u32,
    record: &DecodedRecord<'_>,
) -> io::Result<()> {
    match output {
        Output::Text => text(out, context, record),
        Output::Json => json(out, context, epoch, record),
    }
}

fn text(out: &mut impl Write, context: &Context, record: &DecodedRecord<'_>) -> io::Result<()> {
    let time = time_of(record).map_or_else(String::new, |it| it.to_string());
    let stream = record.stream.map_or("-", flow::Stream::name);
    writeln!(out, "{time} {context} {stream} {}", visible(&record.body))
}

fn json(
    out: &mut impl Write,
    context: &Context,
    epoch: u32,
    record: &DecodedRecord<'_>,
) -> io::Result<()> {
    let mut object = serde_json::Map::new();
    let mut put = |key: &str, value: serde_json::Value| object.insert(key.to_owned(), value);
    if let Some(time) = time_of(record) {
        put("time", time.to_string().into());
    }
    put("body", String::from_utf8_lossy(&record.body).into());
    if std::str::from_utf8(&record.body).is_err() {
        put("body.bytes", record.body.to_vec().into());
    }
    put(flow::attribute::LOG_CURSOR, record.cursor.into());
    if let Some(stream) = record.stream {
        put(flow::attribute::LOG_IOSTREAM, stream.name().into());
    }
    let flags = RecordFlags::NAMED.iter().filter(|(flag, _)| record.flags.has(*flag));
    let names: Vec<&str> = flags.map(|(_, name)| *name).collect();
    if !names.is_empty() {
        put(flow::attribute::LOG_FLAGS, names.join(",").into());
    }
    if let Some(gap) = record.gap {
        let reason = gap.reason.map_or("unknown", flow::GapReason::name);
        put(flow::attribute::LOG_GAP_REASON, reason.into());
        put(flow::attribute::LOG_GAP_BYTES, gap.bytes.into());
    }
    for attribute in &context.attributes {
        put(
            &attribute.key,
            match &attribute.value {
                AttributeValue::Text(text) => text.clone().into(),
                AttributeValue::Int(number) => (*number).into(),
            },
        );
    }
    put("tenant", (*context.tenant).into());
    put(flow::attribute::LOG_CONTEXT_ID, context.id.to_string().into());
    put(flow::attribute::LOG_EPOCH, epoch.into());
    writeln!(out, "{}", serde_json::Value::Object(object))
}

fn time_of(record: &DecodedRecord<'_>) -> Option<Timestamp> {
    let unix_ns = record.time_unix_ns.or(record.observed_unix_ns)?;
    Timestamp::from_nanosecond(i128::from(unix_ns)).ok()
}

/// Text with control bytes and bytes that are not UTF-8 as `\xNN`.
fn visible(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() && character != '\t' {
                // Formatting into a String cannot fail.
                let _infallible = write!(text, "\\x{:02x}", u32::from(character));
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            let _infallible = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_never_told_anything_by_a_record() {
        assert_eq!(
            visible(b"\x1b[31mred\x07\tok \xff\xc3\xa9"),
            "\\x1b[31mred\\x07\tok \\xff\u{e9}"
        );
        assert_eq!(visible("\u{9b}31m".as_bytes()), "\\x9b31m");
    }
}
