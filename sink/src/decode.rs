//! Decoder: one section's payload back into records, for `tail`, `context` and `audit`.
//!
//! Not on the way of a log line. It reads what the encoders of this crate write, in any field
//! order and with unknown fields skipped, and takes any bytes without panic: queues outlive
//! versions and disks rot. Bodies are borrowed from the payload where its form allows.

mod json_lines;
mod otlp;
mod wire;

use std::borrow::Cow;

use flow::{Attribute, Encoding, GapReason, RecordFlags, Stream, attribute};

/// One record as a reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedRecord<'a> {
    /// Cursor of its first byte in the life of its context.
    pub cursor: u64,
    /// Time the line carries, nanoseconds since 1970. JSON lines have one time only: this one.
    pub time_unix_ns: Option<i64>,
    /// Time at which it was read, nanoseconds since 1970.
    pub observed_unix_ns: Option<i64>,
    /// The stream, where the format tells it.
    pub stream: Option<Stream>,
    /// Those of [`RecordFlags::NAMED`] that the record carries.
    pub flags: RecordFlags,
    /// The exact bytes of the line; of a gap, the sentence about it.
    pub body: Cow<'a, [u8]>,
    /// Set if this record declares a gap.
    pub gap: Option<DecodedGap>,
}

/// A declared gap as a reader sees it; it begins at its record's cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodedGap {
    /// Why the bytes are missing; `None` for a reason of a later version.
    pub reason: Option<GapReason>,
    /// Length in bytes of the source.
    pub bytes: u64,
}

/// Why a payload could not be read. None of these shows what the payload says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not protobuf, or not of our messages.
    #[error("otlp payload: byte {at}: {why}; the payload is damaged or of another kind")]
    Wire {
        /// Offset in the payload.
        at: usize,
        /// What is wrong there.
        why: &'static str,
    },
    /// Not an object with our fields.
    #[error("json payload: line {line}: column {column}: {why}; the payload is damaged or foreign")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1; 0 for the line as a whole.
        column: usize,
        /// What is wrong there.
        why: &'static str,
    },
    /// A record without `log.cursor`.
    #[error("record {record} has no log.cursor; it was not written by logferry")]
    NoCursor {
        /// Number of the record in the payload, from 0.
        record: usize,
    },
}

/// The records of one section's uncompressed `payload`, in order; none of an empty one.
///
/// # Errors
/// At the first thing that is not as it should be.
pub fn decode(encoding: Encoding, payload: &[u8]) -> Result<Vec<DecodedRecord<'_>>, DecodeError> {
    let mut records = Vec::new();
    match encoding {
        Encoding::OtlpProto => otlp::each_record(payload, |record| records.push(record))?,
        Encoding::JsonLines | Encoding::Json => {
            json_lines::each_record(payload, |record| records.push(record))?;
        }
        Encoding::Raw => return Err(DecodeError::NoCursor { record: 0 }),
    }
    Ok(records)
}

/// Only the cursors of the records of one section's uncompressed `payload`, in order.
///
/// # Errors
/// At the first thing that is not as it should be.
pub fn cursors(encoding: Encoding, payload: &[u8]) -> Result<Vec<u64>, DecodeError> {
    let mut cursors = Vec::new();
    match encoding {
        Encoding::OtlpProto => otlp::each_record(payload, |record| cursors.push(record.cursor))?,
        Encoding::JsonLines | Encoding::Json => {
            json_lines::each_cursor(payload, |cursor| cursors.push(cursor))?;
        }
        Encoding::Raw => return Err(DecodeError::NoCursor { record: 0 }),
    }
    Ok(cursors)
}

/// The attributes of the context that stand in a section's uncompressed `payload`; none in an empty one.
///
/// # Errors
/// At the first thing that is not as it should be.
pub fn attributes(encoding: Encoding, payload: &[u8]) -> Result<Vec<Attribute>, DecodeError> {
    let mut attributes = match encoding {
        Encoding::OtlpProto => otlp::attributes(payload)?,
        Encoding::JsonLines | Encoding::Json => json_lines::attributes(payload)?,
        Encoding::Raw => Vec::new(),
    };
    attributes.retain(|it| it.key != attribute::LOG_CONTEXT_ID && it.key != attribute::LOG_EPOCH);
    Ok(attributes)
}

/// The flags called `names`, comma-separated; names of a later version are left out.
fn flags_of(names: &[u8]) -> RecordFlags {
    let mut flags = RecordFlags::NONE;
    for name in names.split(|&byte| byte == b',') {
        for (flag, known) in RecordFlags::NAMED {
            if name == known.as_bytes() {
                flags = flags.with(flag);
            }
        }
    }
    flags
}

fn stream_of(name: &[u8]) -> Option<Stream> {
    Stream::BOTH.into_iter().find(|stream| stream.name().as_bytes() == name)
}

fn reason_of(name: &[u8]) -> Option<GapReason> {
    GapReason::ALL.into_iter().find(|reason| reason.name().as_bytes() == name)
}

#[cfg(test)]
mod tests;
