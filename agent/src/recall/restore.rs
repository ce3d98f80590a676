//! Restore: the very bytes of a file that a section was read from, or why they are not known.
//!
//! Records say their bodies and where they begin; what lies between is line ends, and nothing else, unless something was left
//! out or made another. Where more than one text could have become the same records, nothing is restored. What is
//! restored is held against the fingerprint that the reader took of the file itself, at the section's end.

use std::ops::Range;

use flow::{PLACE_BYTES_MAX, PayloadHeader, Place, RecordFlags};
use memchr::memchr_iter;
use sink::decode::DecodedRecord;

/// UTF-8's byte order mark, which is no part of the first record.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why it is not restored what may have been left out.
const UNCOUNTED: &str = "it may have lines with carriage returns, or lines that were left out";

/// What a section's header says of records that a filter left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    /// How many they are.
    LeftOut,
    /// Nothing, as in a topic. A line that ends with a carriage return looks as one does behind which an empty line was
    /// left out.
    KeptAlone,
}

/// The bytes of a section that lies at `range` of its generation.
///
/// # Errors
/// Says why they are not exactly known.
pub(super) fn restore(
    header: &PayloadHeader,
    range: &Range<u64>,
    records: &[DecodedRecord<'_>],
    counts: Counts,
) -> Result<Vec<u8>, &'static str> {
    if let Some(gap) = header.gap {
        return Err(gap.name());
    }
    if header.filtered > 0 {
        return Err("records were left out");
    }
    if header.records as usize != records.len() {
        return Err("not all of its records are there");
    }
    let strange = "its records do not follow each other";
    let len = usize::try_from(header.span.bytes()).map_err(|_| strange)?;
    let mut bytes = Vec::with_capacity(len);
    let first = records.first().map_or(header.span.end, |it| it.cursor);
    bytes.extend_from_slice(match (range.start, first.checked_sub(header.span.begin)) {
        (_, Some(0)) => b"",
        _ if counts == Counts::KeptAlone => return Err(UNCOUNTED),
        (0, Some(3)) => BYTE_ORDER_MARK,
        // The end of a line that was delivered before its end was there.
        (1.., Some(1)) => b"\n",
        (1.., Some(2)) => b"\r\n",
        _ => return Err(strange),
    });
    let ends = records.iter().skip(1).map(|it| it.cursor).chain([header.span.end]);
    for (record, end) in records.iter().zip(ends) {
        let raw_bytes = end.checked_sub(record.cursor).ok_or(strange)?;
        put(record, raw_bytes, counts, &mut bytes)?;
    }
    let [end] = header.own_positions() else { return Err("it is of more than one file") };
    let is_known_by = usize::from(end.place.len) == len.min(PLACE_BYTES_MAX);
    if bytes.len() != len || !is_known_by || Place::of(&bytes) != end.place {
        return Err("its records are not the bytes of the file");
    }
    Ok(bytes)
}

/// Adds the bytes of a record with its line ends: so many in all.
fn put(
    record: &DecodedRecord<'_>,
    raw_bytes: u64,
    counts: Counts,
    bytes: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let body = &*record.body;
    let missing = raw_bytes.checked_sub(body.len() as u64).ok_or("its records overlap")?;
    // A group of lines has those between its lines as newlines alone, whatever they were: each may have lost a
    // carriage return.
    let inner = memchr_iter(b'\n', body).count() as u64;
    let is_open = record.flags.has(RecordFlags::PART.with(RecordFlags::UNTERMINATED));
    match missing {
        0 if is_open => bytes.extend_from_slice(body),
        1 if !is_open => {
            bytes.extend_from_slice(body);
            bytes.push(b'\n');
        }
        _ if !is_open && missing == inner + 2 && counts == Counts::KeptAlone => {
            return Err(UNCOUNTED);
        }
        _ if !is_open && missing == inner + 2 => {
            // All that can be lost is.
            for line in body.split(|it| *it == b'\n') {
                bytes.extend_from_slice(line);
                bytes.extend_from_slice(b"\r\n");
            }
        }
        _ => return Err("its line ends are not known, or what was between its records"),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
