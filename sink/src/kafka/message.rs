//! Message: what one message of Kafka holds: a section, or a record of one.

use std::ops::Range;

use flow::{Marks, Payload, PayloadHeader, RecordFlags, Span, Streams};

use crate::by_record::frames;

/// One message of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// Which of the payload's sections.
    pub(super) section: usize,
    /// Which cursors.
    pub(super) span: Span,
    pub(super) records: u32,
    pub(super) marks: Marks,
    /// Of a record alone: stream and oddities, which its bytes do not tell.
    pub(super) flags: RecordFlags,
    /// What its value is, in the payload's block; compressed as that is.
    pub(super) range: Range<usize>,
    /// Time that the record carries, nanoseconds since 1970; 0 if it carries none, or it is no record alone.
    pub(super) time_unix_ns: i64,
    /// A line goes on behind it, of whatever stream: no restart can go on there.
    pub(super) is_followed: bool,
}

/// The messages of a payload, in order. A section that nobody would miss is none.
pub(super) fn messages(payload: &Payload) -> Vec<Message> {
    let is_by_record = payload.encoding.is_by_record();
    let mut messages = Vec::with_capacity(payload.headers.len());
    for (section, header) in payload.headers.iter().enumerate() {
        let first = messages.len();
        if is_by_record {
            records(payload, section, header, &mut messages);
        }
        let says_something = !header.span.is_empty() || header.gap.is_some() || header.marks.last;
        if messages.len() == first && says_something {
            messages.push(whole(section, header, is_by_record));
        }
    }
    messages
}

/// The section as one message; by record, one without any.
pub(super) fn whole(section: usize, header: &PayloadHeader, is_by_record: bool) -> Message {
    Message {
        section,
        span: header.span,
        records: if is_by_record { 0 } else { header.records },
        marks: header.marks,
        flags: RecordFlags::NONE,
        range: if is_by_record { 0..0 } else { header.in_block() },
        time_unix_ns: 0,
        is_followed: false,
    }
}

/// A message for each record of the section: from where it begins to where the next does.
fn records(payload: &Payload, section: usize, header: &PayloadHeader, into: &mut Vec<Message>) {
    let first = into.len();
    for frame in frames(&payload.block, header.in_block()) {
        let is_first = into.len() == first;
        if let Some(before) = into[first..].last_mut() {
            before.span.end = frame.cursor;
            before.marks.last = false;
        }
        let begin = if is_first { header.span.begin } else { frame.cursor };
        into.push(Message {
            section,
            span: Span::new(begin, header.span.end),
            records: u32::from(header.gap.is_none()),
            marks: Marks { first: header.marks.first && is_first, last: header.marks.last },
            flags: frame.flags,
            range: frame.range,
            time_unix_ns: frame.time_unix_ns,
            is_followed: false,
        });
    }
    note_followed(&mut into[first..], header.continued());
}

/// Tells the messages of a section behind which a line goes on.
fn note_followed(messages: &mut [Message], mut continued: Streams<bool>) {
    for at in (1..messages.len()).rev() {
        let behind = messages[at].flags;
        continued = continued.before(behind);
        let is_followed = behind.has(RecordFlags::CONTINUED) || continued != Streams::default();
        messages[at - 1].is_followed = is_followed;
    }
}
