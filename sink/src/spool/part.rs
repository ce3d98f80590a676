//! Part: a payload of what is owed of a frame.

use std::sync::Arc;

use flow::{Marks, Payload, PayloadHeader, Span};

use super::entries::Part;
use crate::by_record;
use crate::queue::Fetched;

impl Part {
    /// The section's header, marked as the sink has to see it.
    pub(super) fn marked(&self, header: PayloadHeader) -> PayloadHeader {
        let first = header.marks.first || self.is_first;
        PayloadHeader { marks: Marks { first, ..header.marks }, ..header }
    }
}

/// The payload of `parts` of a frame, or of all of it, without tickets.
pub(crate) fn payload(tenant: &Arc<str>, fetched: Fetched, parts: Option<&[Part]>) -> Payload {
    let block = Vec::from(fetched.block);
    let headers = match parts {
        None => fetched.headers,
        Some(parts) => {
            let part = |it: &Part| {
                let header = fetched.headers.get(it.section as usize).cloned()?;
                let is_cut = it.from > header.span.begin;
                let can_be_cut = is_cut && fetched.encoding.is_by_record();
                Some(it.marked(if can_be_cut { cut(&block, header, it.from) } else { header }))
            };
            parts.iter().filter_map(part).collect()
        }
    };
    Payload {
        tenant: Arc::clone(tenant),
        encoding: fetched.encoding,
        codec: fetched.codec,
        raw_bytes: fetched.raw_bytes,
        block,
        tickets: Vec::new(),
        headers,
        permit: None,
    }
}

/// The sections of `parts` of a frame, or of all of it, each from where on it is owed. What they cover counts, not
/// what is in them.
pub(super) fn headers(headers: Vec<PayloadHeader>, parts: Option<&[Part]>) -> Vec<PayloadHeader> {
    let Some(parts) = parts else { return headers };
    let part = |it: &Part| {
        let header = headers.get(it.section as usize)?.clone();
        let begin = header.span.begin.max(it.from).min(header.span.end);
        Some(PayloadHeader { span: Span::new(begin, header.span.end), ..header })
    };
    parts.iter().filter_map(part).collect()
}

/// What of a section by record begins at `from` or behind.
fn cut(block: &[u8], header: PayloadHeader, from: u64) -> PayloadHeader {
    let (mut start, mut left_out) = (header.range.end, 0);
    let mut at = header.range.start;
    for frame in by_record::frames(block, header.in_block()) {
        if frame.cursor >= from {
            start = at;
            break;
        }
        left_out += 1;
        at = u32::try_from(frame.range.end).expect("inside of the block");
    }
    PayloadHeader {
        span: Span::new(from, header.span.end),
        records: header.records.saturating_sub(left_out),
        range: start..header.range.end,
        ..header
    }
}
