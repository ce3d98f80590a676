//! Rest: a payload without what its sink has.

use bytes::Bytes;
use flow::{Codec, Payload, Ticket};

use crate::queue::Fetched;
use crate::spool::{Part, cut, part, sections};

/// Parts the payload, by section owed from a cursor on or not at all: what is owed, and the tickets of what is not.
pub(super) fn split(
    mut payload: Payload,
    owed: &[Option<u64>],
    is_by_section: bool,
) -> (Payload, Vec<Ticket>) {
    let permit = payload.permit.take();
    let tickets = std::mem::take(&mut payload.tickets);
    let part = |(section, from): (usize, &Option<u64>)| {
        let section = u32::try_from(section).expect("a payload has few sections");
        Some(Part { section, from: (*from)?, is_first: false })
    };
    let mut parts: Vec<Part> = owed.iter().enumerate().filter_map(part).collect();
    let before = payload.headers.clone();
    let begin = |it: &Part| before[it.section as usize].span.begin;
    let mut rest = if parts.iter().all(|it| it.from == begin(it)) {
        without(payload, &parts)
    } else {
        match cut(payload, &parts, is_by_section) {
            Ok(rest) => rest,
            Err((payload, why)) => {
                tracing::error!(why, "not cut: some of it is delivered twice");
                parts.iter_mut().for_each(|it| it.from = begin(it));
                without(*payload, &parts)
            }
        }
    };
    let mut had = Vec::new();
    let (mut parts, mut headers) = (parts.iter().peekable(), rest.headers.iter());
    for (section, ticket) in (0..).zip(tickets) {
        let Some(part) = parts.next_if(|it| it.section == section) else {
            had.push(ticket);
            continue;
        };
        let (whole, kept) = (&before[part.section as usize], headers.next());
        if part.from == whole.span.begin {
            rest.tickets.push(ticket);
            continue;
        }
        let records = whole.records.saturating_sub(kept.map_or(0, |it| it.records));
        // A line may go on there, or have been divided: it is no place to go on.
        let [first, second] = ticket.split(part.from, records, None);
        had.push(first);
        rest.tickets.push(second);
    }
    rest.permit = permit;
    (rest, had)
}

/// Whole sections, in the block that they share with others.
fn without(payload: Payload, parts: &[Part]) -> Payload {
    let headers = parts.iter().map(|it| payload.headers[it.section as usize].clone()).collect();
    Payload { headers, ..payload }
}

/// Sections of which a sink has some records. Gives the payload back if it cannot be read.
fn cut(
    payload: Payload,
    parts: &[Part],
    is_by_section: bool,
) -> Result<Payload, (Box<Payload>, String)> {
    let Payload { tenant, encoding, codec, raw_bytes, block, headers, .. } = payload;
    let block = Bytes::from(block);
    let mut raw = headers.clone();
    let raw_bytes_known = if is_by_section && codec != Codec::None {
        sections::to_raw(&mut raw, &block)
    } else {
        Ok(raw_bytes)
    };
    let back = |why| {
        let (tenant, block) = (tenant.clone(), Vec::from(block.clone()));
        let (headers, tickets, permit) = (headers.clone(), Vec::new(), None);
        let it = Payload { tenant, encoding, codec, raw_bytes, block, headers, tickets, permit };
        (Box::new(it), why)
    };
    let raw_bytes = raw_bytes_known.map_err(back)?;
    let fetched = Fetched { encoding, codec, raw_bytes, block: block.clone(), headers: raw };
    if !cut::is_due(&fetched, parts) {
        return Ok(part::payload(&tenant, fetched, Some(parts)));
    }
    let rest = cut::cut(&fetched, parts).map_err(back)?;
    Ok(part::payload(&tenant, rest, None))
}
