//! Reads JSON lines. What the JSON parser says is not passed on, as it quotes what it read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use flow::Attribute;
use serde::Deserialize;
use serde_json::Value;
use serde_json::error::Category;

use super::{DecodeError, DecodedGap, DecodedRecord, flags_of, reason_of, stream_of};
use crate::json_lines::base64::from_base64;
use crate::json_lines::time;

/// What belongs to a record, and is no attribute of its context.
const RECORD_FIELDS: [&str; 9] = [
    "time",
    "severity",
    "body",
    "body.base64",
    "log.cursor",
    "log.iostream",
    "log.flags",
    "log.gap.reason",
    "log.gap.bytes",
];

/// The fields of a line that make a record; context attributes are skipped.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    time: Cow<'a, str>,
    #[serde(borrow, default)]
    body: Cow<'a, str>,
    #[serde(rename = "body.base64")]
    body_base64: Option<String>,
    #[serde(rename = "log.cursor")]
    cursor: Option<u64>,
    #[serde(rename = "log.iostream", borrow, default)]
    stream: Cow<'a, str>,
    #[serde(rename = "log.flags", borrow, default)]
    flags: Cow<'a, str>,
    #[serde(rename = "log.gap.reason", borrow, default)]
    gap_reason: Cow<'a, str>,
    #[serde(rename = "log.gap.bytes")]
    gap_bytes: Option<u64>,
}

/// All that an audit needs of a line.
#[derive(Debug, Deserialize)]
struct CursorLine {
    #[serde(rename = "log.cursor")]
    cursor: Option<u64>,
}

/// Calls `each` with every record of `payload`, in order.
pub(super) fn each_record<'a>(
    payload: &'a [u8],
    mut each: impl FnMut(DecodedRecord<'a>),
) -> Result<(), DecodeError> {
    each_line(payload, |number, line: Line<'a>| {
        each(read_record(number, line)?);
        Ok(())
    })
}

/// Calls `each` with every cursor of `payload`, in order.
pub(super) fn each_cursor(payload: &[u8], mut each: impl FnMut(u64)) -> Result<(), DecodeError> {
    each_line(payload, |number, line: CursorLine| {
        each(line.cursor.ok_or(DecodeError::NoCursor { record: number })?);
        Ok(())
    })
}

/// The fields of the first line that are not the record's own.
pub(super) fn attributes(payload: &[u8]) -> Result<Vec<Attribute>, DecodeError> {
    let first = payload.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut attributes = Vec::new();
    each_line(first, |_, line: BTreeMap<String, Value>| {
        let own = line.into_iter().filter(|(key, _)| !RECORD_FIELDS.contains(&key.as_str()));
        attributes.extend(own.filter_map(|(key, value)| match value {
            Value::String(text) => Some(Attribute::text(key, text)),
            Value::Number(number) => Some(Attribute::int(key, number.as_i64()?)),
            _ => None,
        }));
        Ok(())
    })?;
    Ok(attributes)
}

fn each_line<'a, T: Deserialize<'a>>(
    payload: &'a [u8],
    mut each: impl FnMut(usize, T) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let lines = payload.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    for (number, line) in lines.enumerate() {
        let parsed = serde_json::from_slice(line).map_err(|error| {
            let why = match error.classify() {
                Category::Eof => "cut off inside a value",
                Category::Syntax | Category::Io => "not JSON",
                Category::Data => "not an object with the fields of a record",
            };
            DecodeError::Json { line: number + 1, column: error.column(), why }
        })?;
        each(number, parsed)?;
    }
    Ok(())
}

fn read_record(number: usize, line: Line<'_>) -> Result<DecodedRecord<'_>, DecodeError> {
    let cursor = line.cursor.ok_or(DecodeError::NoCursor { record: number })?;
    let body = match (line.body_base64, line.body) {
        (Some(text), _) => {
            let bytes = from_base64(text.as_bytes()).ok_or(DecodeError::Json {
                line: number + 1,
                column: 0,
                why: "body.base64 is not base64",
            })?;
            Cow::Owned(bytes)
        }
        (None, Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
        (None, Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
    };
    let reason = reason_of(line.gap_reason.as_bytes());
    Ok(DecodedRecord {
        cursor,
        time_unix_ns: time::parse(&line.time),
        observed_unix_ns: None,
        stream: stream_of(line.stream.as_bytes()),
        flags: flags_of(line.flags.as_bytes()),
        body,
        gap: line.gap_bytes.map(|bytes| DecodedGap { reason, bytes }),
    })
}
