//! Divide: smaller batches of one that is more than its topic takes at once.
//!
//! First between messages, then between records, then inside of a record, as long lines are; what is left of
//! a record that no broker takes at all is a declared gap. Parts are sent one after the other, and each
//! says which cursors it has.

use std::borrow::Cow;

use flow::{
    CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, Chunk, Codec, Content, Encoding, Gap, GapReason, Marks,
    Payload, PayloadHeader, Record, RecordFlags, Section, Span, Ticket,
};

use super::in_flight::Batch;
use super::limit::LIMIT_BYTES_MIN;
use super::message::Message;
use super::topic_message::VALUE_BYTES_MAX;
use crate::compress::{DecompressError, LEVEL_DEFAULT, decompress_within};
use crate::decode::{DecodeError, DecodedRecord, decode};
use crate::{by_record, compress, encode};

/// Two batches with what of `batch`, of which nothing is on its way, is not delivered. The first must be
/// delivered before the second is sent. None if there is nothing smaller.
pub(super) fn divide(batch: &Batch) -> Option<[Batch; 2]> {
    let rest = batch.undelivered();
    let halves = match rest.as_slice() {
        [] => return None,
        [message] => halves_of_message(batch, &batch.messages[*message])?,
        _ => halves_of_messages(batch, &rest),
    };
    Some(halves.map(|it| it.into_batch(batch)))
}

/// A gap in the place of the message that is left of `batch`, of which nothing is on its way; none if it is
/// one.
pub(super) fn declare(batch: &Batch) -> Option<Batch> {
    let message = &batch.messages[*batch.undelivered().first()?];
    let header = header_of(batch, message);
    if header.gap.is_some() {
        return None;
    }
    let reason = GapReason::OverLong;
    let header = PayloadHeader { gap: Some(reason), records: 0, ..header };
    let value = value(batch, &header, Content::Gap(Gap { reason }))?;
    let mut ticket = batch.take_ticket(message.section);
    // By record, the ticket is about the whole section.
    if let Some(ticket) = &mut ticket
        && !batch.payload.encoding.is_by_record()
    {
        ticket.declare(reason);
    }
    let mut gap = Rest::default();
    gap.push(header, &value, ticket);
    Some(gap.into_batch(batch))
}

/// What is sent of a section: encoded, and compressed as the values of `of` are; none if that fails.
fn value(of: &Batch, header: &PayloadHeader, content: Content) -> Option<Vec<u8>> {
    let section = Section {
        context: header.context.clone(),
        epoch: header.epoch,
        span: header.span,
        marks: header.marks,
        observed_unix_ns: header.observed_unix_ns,
        is_divisible: header.is_divisible,
        content,
    };
    let mut raw = Vec::new();
    encode::make(of.payload.encoding).encode(&section, &mut raw);
    if raw.is_empty() {
        return Some(raw);
    }
    let mut value = Vec::new();
    let compressed = compress::make(of.payload.codec, LEVEL_DEFAULT).compress(&raw, &mut value);
    compressed.inspect_err(|error| tracing::error!(%error, "it is not made smaller")).ok()?;
    Some(value)
}

/// What becomes a batch.
#[derive(Default)]
struct Rest {
    block: Vec<u8>,
    headers: Vec<PayloadHeader>,
    tickets: Vec<Option<Ticket>>,
}

impl Rest {
    /// Adds what was encoded before.
    fn put(&mut self, header: PayloadHeader, ticket: Option<Ticket>, begin: usize) {
        let range = offset(begin)..offset(self.block.len());
        self.headers.push(PayloadHeader { range, ..header });
        self.tickets.push(ticket);
    }

    fn push(&mut self, header: PayloadHeader, value: &[u8], ticket: Option<Ticket>) {
        let begin = self.block.len();
        self.block.extend_from_slice(value);
        self.put(header, ticket, begin);
    }

    fn into_batch(self, of: &Batch) -> Batch {
        let payload = Payload {
            tenant: of.tenant.clone(),
            encoding: of.payload.encoding,
            codec: of.payload.codec,
            raw_bytes: offset(self.block.len()),
            block: self.block,
            headers: self.headers,
            tickets: Vec::new(),
            permit: None,
        };
        Batch::new(of.number, payload, self.tickets, of.lanes.clone(), of.acks.clone())
    }
}

fn offset(len: usize) -> u32 {
    u32::try_from(len).expect("a batch is far below 4 GiB")
}

/// Between messages, where about half of the bytes are.
fn halves_of_messages(batch: &Batch, rest: &[usize]) -> [Rest; 2] {
    let bytes = |it: &usize| batch.messages[*it].range.len();
    let all: usize = rest.iter().map(bytes).sum();
    let mut before = 0;
    let cut = rest.iter().position(|it| {
        before += bytes(it);
        2 * before >= all
    });
    let cut = (cut.unwrap_or(0) + 1).min(rest.len() - 1);
    let (first, second) = rest.split_at(cut);
    // A section of which both have a part is complete with the second.
    let second = some_messages(batch, second);
    [some_messages(batch, first), second]
}

/// The messages, each as a section of its own.
fn some_messages(batch: &Batch, messages: &[usize]) -> Rest {
    let mut rest = Rest::default();
    for (at, number) in messages.iter().enumerate() {
        let message = &batch.messages[*number];
        let next = messages.get(at + 1).map(|it| batch.messages[*it].section);
        let goes_on = next.is_some_and(|it| batch.have_one_ticket(message.section, it));
        let ticket = if goes_on { None } else { batch.take_ticket(message.section) };
        let header = header_of(batch, message);
        let body = &batch.payload.block[message.range.clone()];
        let begin = rest.block.len();
        if !batch.payload.encoding.is_by_record() {
            rest.block.extend_from_slice(body);
        } else if header.records > 0 || header.gap.is_some() {
            let cursor = message.span.begin;
            by_record::put(&mut rest.block, cursor, message.time_unix_ns, message.flags, body);
        }
        rest.put(header, ticket, begin);
    }
    rest
}

/// The header of the message's section, for the message alone.
fn header_of(batch: &Batch, message: &Message) -> PayloadHeader {
    let header = &batch.payload.headers[message.section];
    let positions = header.positions_at(message.span.end).filter(|_| !message.is_followed);
    PayloadHeader {
        span: message.span,
        part_of: header.section_of(message.span),
        marks: message.marks,
        records: message.records,
        is_inner: positions.is_none(),
        positions: positions.unwrap_or_default(),
        ..header.clone()
    }
}

/// A record out of a payload.
#[derive(Clone)]
pub(crate) struct Line<'a> {
    pub(crate) cursor: u64,
    time_unix_ns: i64,
    flags: RecordFlags,
    body: Cow<'a, [u8]>,
}

/// The records of a section's uncompressed `value`.
pub(crate) fn lines_of(encoding: Encoding, value: &[u8]) -> Result<Vec<Line<'_>>, DecodeError> {
    Ok(decode(encoding, value)?.into_iter().map(Line::from).collect())
}

impl<'a> From<DecodedRecord<'a>> for Line<'a> {
    fn from(it: DecodedRecord<'a>) -> Line<'a> {
        Line {
            cursor: it.cursor,
            time_unix_ns: it.time_unix_ns.unwrap_or(0),
            flags: it.flags.with(it.stream.map_or(RecordFlags::NONE, RecordFlags::from)),
            body: it.body,
        }
    }
}

/// A message's value before compression.
fn opened<'a>(batch: &'a Batch, message: &Message) -> Result<Cow<'a, [u8]>, DecompressError> {
    let (value, codec) = batch.value(message);
    if codec == Codec::None {
        return Ok(Cow::Borrowed(value));
    }
    let mut raw = Vec::new();
    decompress_within(codec, value, VALUE_BYTES_MAX, &mut raw)?;
    Ok(Cow::Owned(raw))
}

/// The records of a message with that value.
fn lines<'a>(
    batch: &Batch,
    message: &Message,
    value: &'a [u8],
) -> Result<Vec<Line<'a>>, DecodeError> {
    if batch.payload.encoding == Encoding::Raw {
        let (cursor, time_unix_ns) = (message.span.begin, message.time_unix_ns);
        let body = Cow::Borrowed(value);
        return Ok(vec![Line { cursor, time_unix_ns, flags: message.flags, body }]);
    }
    lines_of(batch.payload.encoding, value)
}

/// Between the records of a message, or inside of the only one.
fn halves_of_message(batch: &Batch, message: &Message) -> Option<[Rest; 2]> {
    let header = header_of(batch, message);
    if header.gap.is_some() {
        return None;
    }
    let opened = opened(batch, message).inspect_err(|it| unreadable(it)).ok()?;
    let mut first = lines(batch, message, &opened).inspect_err(|it| unreadable(it)).ok()?;
    let second = match first.len() {
        0 => return None,
        1 => vec![cut_inside(&mut first[0], header.span.end)?],
        _ => cut_between(&mut first),
    };
    let cursor = second[0].cursor;
    if cursor <= header.span.begin || cursor >= header.span.end {
        return None;
    }
    let is_followed = header.goes_on_before(second.iter().map(|it| it.flags));
    let positions = header.positions_at(cursor).filter(|_| !is_followed);
    let records = u32::try_from(first.len()).expect("a chunk holds fewer records");
    let spans = [Span::new(header.span.begin, cursor), Span::new(cursor, header.span.end)];
    let before = PayloadHeader {
        span: spans[0],
        part_of: header.section_of(spans[0]),
        marks: Marks { last: false, ..header.marks },
        records,
        is_inner: positions.is_none(),
        positions: positions.clone().unwrap_or_default(),
        ..header.clone()
    };
    let behind = PayloadHeader {
        span: spans[1],
        part_of: header.section_of(spans[1]),
        marks: Marks { first: false, ..header.marks },
        records: u32::try_from(second.len()).expect("a chunk holds fewer records"),
        ..header
    };
    let values = [
        value(batch, &before, content(&first, before.span)?)?,
        value(batch, &behind, content(&second, behind.span)?)?,
    ];
    // From here on nothing fails: the halves have what the message had.
    let tickets = match batch.take_ticket(message.section) {
        Some(ticket) if !batch.payload.encoding.is_by_record() => {
            ticket.split(cursor, records, positions).map(Some)
        }
        whole => [None, whole],
    };
    let mut halves = [Rest::default(), Rest::default()];
    let parts = [before, behind].into_iter().zip(values).zip(tickets);
    for (half, ((header, value), ticket)) in halves.iter_mut().zip(parts) {
        half.push(header, &value, ticket);
    }
    Some(halves)
}

fn unreadable(error: &dyn std::error::Error) {
    tracing::error!(%error, "a payload of our own cannot be read");
}

/// Leaves about half of the bytes in `lines`, and returns the others.
fn cut_between<'a>(lines: &mut Vec<Line<'a>>) -> Vec<Line<'a>> {
    let all: usize = lines.iter().map(|it| it.body.len()).sum();
    let mut before = 0;
    let cut = lines.iter().position(|it| {
        before += it.body.len();
        2 * before >= all
    });
    let cut = (cut.unwrap_or(0) + 1).min(lines.len() - 1);
    lines.split_off(cut)
}

/// Leaves half of the line in `line`, and returns the other; none if it is too short for that.
pub(crate) fn cut_inside<'a>(line: &mut Line<'a>, end: u64) -> Option<Line<'a>> {
    if line.body.len() <= LIMIT_BYTES_MIN {
        return None;
    }
    let half = line.body.len() / 2;
    // Not inside of a character.
    let half = match std::str::from_utf8(&line.body) {
        Ok(text) => text.floor_char_boundary(half),
        Err(_) => half,
    };
    let (before, behind) = (line.body[..half].to_vec(), line.body[half..].to_vec());
    // Its cursor is one of the line's own; nobody can go on there anyway.
    let cursor = line.cursor + (end - line.cursor) / 2;
    let second = Line {
        cursor,
        flags: line.flags.with(RecordFlags::CONTINUED),
        body: Cow::Owned(behind),
        ..*line
    };
    line.flags = line.flags.with(RecordFlags::PART);
    line.body = Cow::Owned(before);
    Some(second)
}

pub(crate) fn content(lines: &[Line<'_>], span: Span) -> Option<Content> {
    let bytes = lines.iter().map(|it| it.body.len()).sum::<usize>().max(CHUNK_BYTES_MIN);
    let mut chunk = Chunk::new(Some(bytes).filter(|it| *it <= CHUNK_BYTES_MAX)?);
    let mut start = 0;
    let mut records = Vec::with_capacity(lines.len());
    for line in lines {
        let end = start + line.body.len();
        chunk.data_mut()[start..end].copy_from_slice(&line.body);
        records.push(Record {
            time_unix_ns: line.time_unix_ns,
            start: offset(start),
            len: offset(line.body.len()),
            cursor: u32::try_from(line.cursor - span.begin).ok()?,
            flags: line.flags,
        });
        start = end;
    }
    *chunk.parts_mut().2 = records;
    Some(Content::Records { chunk, filtered: 0 })
}

#[cfg(test)]
mod tests;
