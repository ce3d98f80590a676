//! Reads `ExportLogsServiceRequest`: four levels down to the records, without recursion.
//!
//! Field numbers are those of the OTLP protocol. A field with another wire type than the protocol
//! gives it is skipped like an unknown one.

use std::borrow::Cow;

use flow::{Attribute, RecordFlags, Stream, attribute};

use super::wire::{Field, Message, Wire};
use super::{DecodeError, DecodedGap, DecodedRecord, flags_of, reason_of, stream_of};

/// Values that our attributes and bodies have.
#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Bytes(&'a [u8]),
    Int(u64),
    Other,
}

/// Calls `each` with every record of `payload`, in order.
pub(super) fn each_record<'a>(
    payload: &'a [u8],
    mut each: impl FnMut(DecodedRecord<'a>),
) -> Result<(), DecodeError> {
    let mut number = 0;
    Message::new(payload).each_field(|field| {
        let Field { number: 1, wire: Wire::Bytes(resource_logs) } = field else { return Ok(()) };
        resource_logs.each_field(|field| {
            let Field { number: 2, wire: Wire::Bytes(scope_logs) } = field else { return Ok(()) };
            let stream = stream_of_scope_logs(scope_logs)?;
            scope_logs.each_field(|field| {
                let Field { number: 2, wire: Wire::Bytes(record) } = field else { return Ok(()) };
                each(read_record(record, stream, number)?);
                number += 1;
                Ok(())
            })
        })
    })
}

/// The attributes of the first resource.
pub(super) fn attributes(payload: &[u8]) -> Result<Vec<Attribute>, DecodeError> {
    let mut attributes = Vec::new();
    let mut is_first = true;
    Message::new(payload).each_field(|field| {
        let Field { number: 1, wire: Wire::Bytes(resource_logs) } = field else { return Ok(()) };
        if !std::mem::take(&mut is_first) {
            return Ok(());
        }
        resource_logs.each_field(|field| {
            let Field { number: 1, wire: Wire::Bytes(resource) } = field else { return Ok(()) };
            resource.each_field(|field| {
                let Field { number: 1, wire: Wire::Bytes(attribute) } = field else {
                    return Ok(());
                };
                let (key, value) = read_attribute(attribute)?;
                let key = String::from_utf8_lossy(key).into_owned();
                match value {
                    Value::Bytes(text) => {
                        attributes.push(Attribute::text(key, String::from_utf8_lossy(text)));
                    }
                    Value::Int(number) => {
                        attributes.push(Attribute::int(key, number.cast_signed()));
                    }
                    Value::Other => {}
                }
                Ok(())
            })
        })
    })?;
    Ok(attributes)
}

/// The stream of a `ScopeLogs`; its scope may stand behind its records.
fn stream_of_scope_logs(scope_logs: Message<'_>) -> Result<Option<Stream>, DecodeError> {
    let mut stream = None;
    scope_logs.each_field(|field| {
        let Field { number: 1, wire: Wire::Bytes(scope) } = field else { return Ok(()) };
        scope.each_field(|field| {
            let Field { number: 3, wire: Wire::Bytes(attribute) } = field else { return Ok(()) };
            let (key, value) = read_attribute(attribute)?;
            if let (true, Value::Bytes(name)) = (key == attribute::LOG_IOSTREAM.as_bytes(), value) {
                stream = stream_of(name);
            }
            Ok(())
        })
    })?;
    Ok(stream)
}

fn read_record(
    message: Message<'_>,
    stream: Option<Stream>,
    number: usize,
) -> Result<DecodedRecord<'_>, DecodeError> {
    let mut record = DecodedRecord {
        cursor: 0,
        time_unix_ns: None,
        observed_unix_ns: None,
        stream,
        flags: RecordFlags::NONE,
        body: Cow::Borrowed(&[]),
        gap: None,
    };
    let mut cursor = None;
    let (mut gap_reason, mut gap_bytes) = (None, None);
    message.each_field(|field| {
        match field {
            // 0 is "unknown" in both time fields.
            Field { number: 1, wire: Wire::Fixed64(time) } => {
                record.time_unix_ns = (time != 0).then_some(time.cast_signed());
            }
            Field { number: 11, wire: Wire::Fixed64(time) } => {
                record.observed_unix_ns = (time != 0).then_some(time.cast_signed());
            }
            Field { number: 5, wire: Wire::Bytes(body) } => {
                if let Value::Bytes(body) = read_value(body)? {
                    record.body = Cow::Borrowed(body);
                }
            }
            Field { number: 6, wire: Wire::Bytes(attribute) } => {
                let (key, value) = read_attribute(attribute)?;
                match (std::str::from_utf8(key), value) {
                    (Ok(attribute::LOG_CURSOR), Value::Int(number)) => cursor = Some(number),
                    (Ok(attribute::LOG_FLAGS), Value::Bytes(names)) => {
                        record.flags = flags_of(names);
                    }
                    (Ok(attribute::LOG_GAP_REASON), Value::Bytes(name)) => {
                        gap_reason = reason_of(name);
                    }
                    (Ok(attribute::LOG_GAP_BYTES), Value::Int(bytes)) => gap_bytes = Some(bytes),
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    record.cursor = cursor.ok_or(DecodeError::NoCursor { record: number })?;
    record.gap = gap_bytes.map(|bytes| DecodedGap { reason: gap_reason, bytes });
    Ok(record)
}

/// Key and value of a `KeyValue`.
fn read_attribute(message: Message<'_>) -> Result<(&[u8], Value<'_>), DecodeError> {
    let (mut key, mut value): (&[u8], _) = (&[], Value::Other);
    message.each_field(|field| {
        match field {
            Field { number: 1, wire: Wire::Bytes(text) } => key = text.bytes(),
            Field { number: 2, wire: Wire::Bytes(any) } => value = read_value(any)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((key, value))
}

/// The value of an `AnyValue`: the last one set, as protobuf has it.
fn read_value(message: Message<'_>) -> Result<Value<'_>, DecodeError> {
    let mut value = Value::Other;
    message.each_field(|field| {
        value = match field {
            Field { number: 1 | 7, wire: Wire::Bytes(bytes) } => Value::Bytes(bytes.bytes()),
            Field { number: 3, wire: Wire::Varint(number) } => Value::Int(number),
            Field { number: 2..=6, .. } => Value::Other,
            _ => value,
        };
        Ok(())
    })?;
    Ok(value)
}
