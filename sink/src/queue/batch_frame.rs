//! Batch frame: one payload: a row per section in the header part, then the compressed block.

use std::ops::Range;

use flow::{
    Codec, ContextId, Encoding, GapReason, HEAD_BYTES_MAX, Head, Marks, PLACE_BYTES_MAX, Payload,
    PayloadHeader, Place, Position, Span, Streams,
};

use super::context_frame::check_context;
use super::format::{Fields, Malformed, Put, len_u32};
use super::limits::{
    BATCH_SECTIONS_MAX, BLOCK_BYTES_MAX, BLOCK_RAW_BYTES_MAX, HEADER_PART_BYTES_MAX,
    SECTION_POSITIONS_MAX,
};
use super::segment::check_tenant;

/// Bytes of the header part before the rows.
const BATCH_FIXED_BYTES: usize = 16;
/// Bytes of a row before its positions.
const ROW_BYTES: usize = 64;
/// Bytes of one position.
pub(super) const POSITION_BYTES: usize = 40;

const MARK_FIRST: u8 = 1;
const MARK_LAST: u8 = 2;

/// What stands before the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchHead {
    pub(super) encoding: Encoding,
    pub(super) codec: Codec,
    pub(super) raw_bytes: u32,
}

/// One section, its context not looked up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) context: ContextId,
    pub(super) epoch: u32,
    pub(super) span: Span,
    pub(super) marks: Marks,
    pub(super) records: u32,
    pub(super) filtered: u32,
    pub(super) gap: Option<GapReason>,
    pub(super) observed_unix_ns: i64,
    pub(super) positions: Vec<Position>,
    pub(super) range: Range<u32>,
}

/// A payload that the format has no room for, or that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("payload of tenant {tenant:?}: {why}")]
pub(super) struct PayloadError {
    tenant: String,
    why: String,
}

/// Checks all that a reader will check, so that nothing is written that cannot be read.
pub(super) fn check_payload(payload: &Payload) -> Result<(), PayloadError> {
    let (sections, tickets) = (payload.headers.len(), payload.tickets.len());
    if tickets != sections {
        let why = format!("{tickets} tickets for {sections} sections: a defect");
        return Err(PayloadError { tenant: payload.tenant.to_string(), why });
    }
    check_content(payload)
}

/// As [`check_payload`], whatever the tickets.
pub(super) fn check_content(payload: &Payload) -> Result<(), PayloadError> {
    let error = |why: String| PayloadError { tenant: payload.tenant.to_string(), why };
    check_tenant(&payload.tenant).map_err(|bad| error(bad.to_string()))?;
    check_block(payload).map_err(error)?;
    let sections = payload.headers.len();
    if !(1..=BATCH_SECTIONS_MAX).contains(&sections) {
        let limit = BATCH_SECTIONS_MAX;
        return Err(error(format!("{sections} sections: want 1 to {limit}; send smaller batches")));
    }
    let mut bytes = BATCH_FIXED_BYTES;
    for header in &payload.headers {
        check_section(header, payload.raw_bytes).map_err(error)?;
        bytes += ROW_BYTES + header.positions.len() * POSITION_BYTES;
    }
    if bytes > HEADER_PART_BYTES_MAX as usize {
        let limit = HEADER_PART_BYTES_MAX;
        return Err(error(format!("{bytes} bytes of headers: want {limit}; send smaller batches")));
    }
    Ok(())
}

fn check_block(payload: &Payload) -> Result<(), String> {
    let (raw, stored) = (payload.raw_bytes, payload.block.len());
    if raw > BLOCK_RAW_BYTES_MAX || stored > BLOCK_BYTES_MAX as usize {
        let limit = BLOCK_RAW_BYTES_MAX;
        return Err(format!("a block of {raw} bytes: want at most {limit}; send smaller batches"));
    }
    if payload.codec == Codec::None && stored != raw as usize {
        return Err(format!("an uncompressed block of {stored} bytes said to be {raw}: a defect"));
    }
    Ok(())
}

fn check_section(header: &PayloadHeader, raw_bytes: u32) -> Result<(), String> {
    let context = header.context.id;
    check_context(&header.context).map_err(|why| format!("context {context}: {why}"))?;
    if header.range.start > header.range.end || header.range.end > raw_bytes {
        return Err(format!("context {context}: a range outside of the block: a defect"));
    }
    if header.span.begin > header.span.end {
        return Err(format!("context {context}: a span that ends before it begins: a defect"));
    }
    if header.positions.len() > SECTION_POSITIONS_MAX {
        let positions = header.positions.len();
        return Err(format!("context {context}: {positions} positions: a span too long"));
    }
    Ok(())
}

/// Appends the header part of `payload`, which was checked before.
pub(super) fn encode_batch(payload: &Payload, out: &mut Vec<u8>) {
    out.put_u8(payload.encoding.code());
    out.put_u8(payload.codec.code());
    out.put_u16(0);
    out.put_u32(payload.raw_bytes);
    out.put_u32(len_u32(payload.headers.len()));
    out.put_u32(0);
    for header in &payload.headers {
        encode_row(header, out);
    }
}

fn encode_row(header: &PayloadHeader, out: &mut Vec<u8>) {
    out.put_u128(header.context.id.0);
    out.put_u32(header.epoch);
    out.put_u64(header.span.begin);
    out.put_u64(header.span.end);
    out.put_u8(marks_code(header.marks));
    out.put_u8(header.gap.map_or(0, GapReason::code));
    out.put_u16(u16::try_from(header.positions.len()).expect("checked before"));
    out.put_u32(header.records);
    out.put_u32(header.filtered);
    out.put_i64(header.observed_unix_ns);
    out.put_u32(header.range.start);
    out.put_u32(header.range.end);
    for position in &header.positions {
        encode_position(position, out);
    }
}

/// Reads what [`encode_batch`] wrote.
pub(super) fn decode_batch(header_part: &[u8]) -> Result<(BatchHead, Vec<Row>), Malformed> {
    let mut fields = Fields::new(header_part);
    let encoding = Encoding::from_code(fields.u8()?).ok_or(Malformed::Field("encoding"))?;
    let codec = Codec::from_code(fields.u8()?).ok_or(Malformed::Field("codec"))?;
    fields.zero(2, "reserved")?;
    let raw_bytes = fields.u32()?;
    if raw_bytes > BLOCK_RAW_BYTES_MAX {
        return Err(Malformed::Field("raw bytes"));
    }
    let sections = fields.u32()? as usize;
    if !(1..=BATCH_SECTIONS_MAX).contains(&sections) {
        return Err(Malformed::Field("sections"));
    }
    fields.zero(4, "reserved")?;
    let mut rows = Vec::with_capacity(sections);
    for _ in 0..sections {
        rows.push(decode_row(&mut fields, raw_bytes)?);
    }
    fields.end()?;
    Ok((BatchHead { encoding, codec, raw_bytes }, rows))
}

fn decode_row(fields: &mut Fields<'_>, raw_bytes: u32) -> Result<Row, Malformed> {
    let context = ContextId(fields.u128()?);
    let epoch = fields.u32()?;
    let span = decode_span(fields)?;
    let marks = decode_marks(fields.u8()?)?;
    let gap = decode_gap(fields.u8()?)?;
    let positions = usize::from(fields.u16()?);
    let records = fields.u32()?;
    let filtered = fields.u32()?;
    let observed_unix_ns = fields.i64()?;
    let range = fields.u32()?..fields.u32()?;
    if range.start > range.end || range.end > raw_bytes {
        return Err(Malformed::Field("range"));
    }
    if positions > SECTION_POSITIONS_MAX {
        return Err(Malformed::Field("positions"));
    }
    let positions =
        (0..positions).map(|_| decode_position(fields)).collect::<Result<Vec<_>, _>>()?;
    Ok(Row {
        context,
        epoch,
        span,
        marks,
        records,
        filtered,
        gap,
        observed_unix_ns,
        positions,
        range,
    })
}

/// The marks as they stand in files.
pub(super) fn marks_code(marks: Marks) -> u8 {
    u8::from(marks.first) * MARK_FIRST + u8::from(marks.last) * MARK_LAST
}

/// The marks with this code.
pub(super) fn decode_marks(code: u8) -> Result<Marks, Malformed> {
    if code > MARK_FIRST + MARK_LAST {
        return Err(Malformed::Field("marks"));
    }
    Ok(Marks { first: code & MARK_FIRST != 0, last: code & MARK_LAST != 0 })
}

/// The reason with this code, or none for 0.
pub(super) fn decode_gap(code: u8) -> Result<Option<GapReason>, Malformed> {
    if code == 0 {
        return Ok(None);
    }
    GapReason::from_code(code).map(Some).ok_or(Malformed::Field("gap reason"))
}

/// A span that does not end before it begins.
pub(super) fn decode_span(fields: &mut Fields<'_>) -> Result<Span, Malformed> {
    let (begin, end) = (fields.u64()?, fields.u64()?);
    if begin > end {
        return Err(Malformed::Field("span"));
    }
    Ok(Span::new(begin, end))
}

pub(super) fn encode_position(position: &Position, out: &mut Vec<u8>) {
    out.put_u64(position.generation);
    out.put_u64(position.offset);
    out.put_u64(position.head.hash);
    out.put_u16(position.head.len);
    out.put_u8(position.place.len);
    out.put_u8(position.continued.bits());
    out.put_u32(position.place.hash);
    out.put_u64(position.place.hole);
}

pub(super) fn decode_position(fields: &mut Fields<'_>) -> Result<Position, Malformed> {
    let (generation, offset) = (fields.u64()?, fields.u64()?);
    let hash = fields.u64()?;
    let head = Head { len: fields.u16()?, hash };
    let len = fields.u8()?;
    let continued = Streams::from_bits(fields.u8()?).ok_or(Malformed::Field("continued"))?;
    let place = Place { len, hash: fields.u32()?, hole: fields.u64()? };
    if usize::from(head.len) > HEAD_BYTES_MAX || usize::from(place.len) > PLACE_BYTES_MAX {
        return Err(Malformed::Field("fingerprint"));
    }
    Ok(Position { generation, offset, head, place, continued })
}
