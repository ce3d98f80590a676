//! Cut: what a sink does not have of sections that it took in parts, as when a broker refuses large messages.
//!
//! Of sections with many records in one payload; those by record are cut where they lie.

use flow::{Codec, Content, Gap, Marks, PayloadHeader, Section, Span};

use super::entries::Part;
use crate::compress::decompress;
use crate::encode;
use crate::kafka::divide::{Line, content, cut_inside, lines_of};
use crate::queue::Fetched;

/// Whether the sink has the first part of any of the sections.
pub(crate) fn is_due(fetched: &Fetched, parts: &[Part]) -> bool {
    let is_cut = |it: &Part| {
        fetched.headers.get(it.section as usize).is_some_and(|header| it.from > header.span.begin)
    };
    !fetched.encoding.is_by_record() && parts.iter().any(is_cut)
}

/// The frame with no more than `parts`, each from where on it is owed; not compressed.
///
/// # Errors
/// If what is in the frame cannot be read.
pub(crate) fn cut(fetched: &Fetched, parts: &[Part]) -> Result<Fetched, String> {
    let mut raw = Vec::new();
    decompress(fetched.codec, &fetched.block, fetched.raw_bytes as usize, &mut raw)
        .map_err(|error| error.to_string())?;
    let (mut block, mut headers) = (Vec::new(), Vec::with_capacity(parts.len()));
    for part in parts {
        let Some(header) = fetched.headers.get(part.section as usize).cloned() else { continue };
        let value = raw.get(header.in_block()).ok_or("a section outside of its block")?;
        let start = block.len();
        let header = if part.from > header.span.begin {
            put(fetched, header, value, part.from, &mut block)?
        } else {
            block.extend_from_slice(value);
            header
        };
        let header = part.marked(header);
        let place = |at: usize| u32::try_from(at).map_err(|_| "a block too large".to_owned());
        headers.push(PayloadHeader { range: place(start)?..place(block.len())?, ..header });
    }
    let raw_bytes = u32::try_from(block.len()).map_err(|_| "a block too large".to_owned())?;
    let encoding = fetched.encoding;
    Ok(Fetched { encoding, codec: Codec::None, raw_bytes, block: block.into(), headers })
}

/// Appends what of a section begins at `from` or behind.
fn put(
    fetched: &Fetched,
    header: PayloadHeader,
    value: &[u8],
    from: u64,
    block: &mut Vec<u8>,
) -> Result<PayloadHeader, String> {
    let span = Span::new(from, header.span.end);
    let mut header =
        PayloadHeader { span, marks: Marks { first: false, ..header.marks }, ..header };
    let content = if let Some(reason) = header.gap {
        Content::Gap(Gap { reason })
    } else {
        let lines = lines_of(fetched.encoding, value).map_err(|error| error.to_string())?;
        let rest = behind(lines, span);
        header.records = u32::try_from(rest.len()).expect("a section holds fewer records");
        content(&rest, span).ok_or("a section too large")?
    };
    let section = Section {
        context: header.context.clone(),
        epoch: header.epoch,
        span,
        marks: header.marks,
        observed_unix_ns: header.observed_unix_ns,
        is_divisible: false,
        content,
    };
    encode::make(fetched.encoding).encode(&section, block);
    Ok(header)
}

/// The lines in the span; of one that it begins in, what a division that ended there had left.
fn behind(mut lines: Vec<Line<'_>>, span: Span) -> Vec<Line<'_>> {
    let at = lines.partition_point(|it| it.cursor < span.begin);
    let rest = lines.split_off(at);
    let end = rest.first().map_or(span.end, |it| it.cursor);
    let mut inside = match lines.pop() {
        Some(line) if end > span.begin => rest_of(line, end, span.begin),
        _ => Vec::new(),
    };
    inside.extend(rest);
    inside
}

/// What is left of a line up to `end` that was divided again and again until a part began at `from`; nothing if it
/// was not: then `from` is behind it.
fn rest_of(mut line: Line<'_>, end: u64, from: u64) -> Vec<Line<'_>> {
    let Some(second) = cut_inside(&mut line, end) else { return Vec::new() };
    match second.cursor.cmp(&from) {
        std::cmp::Ordering::Equal => vec![second],
        std::cmp::Ordering::Less => rest_of(second, end, from),
        std::cmp::Ordering::Greater => {
            let mut rest = rest_of(line, second.cursor, from);
            if !rest.is_empty() {
                rest.push(second);
            }
            rest
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use flow::{Encoding, RecordFlags};

    use super::*;
    use crate::compress;
    use crate::decode::decode;
    use crate::section_kit::{self, Line as KitLine};

    /// A frame of one section with those lines.
    fn fetched(encoding: Encoding, lines: &[KitLine]) -> Fetched {
        let section = section_kit::records(100, lines);
        let mut raw = Vec::new();
        encode::make(encoding).encode(&section, &mut raw);
        let mut block = Vec::new();
        compress::make(Codec::Zstd, 1).compress(&raw, &mut block).unwrap();
        let raw_bytes = u32::try_from(raw.len()).unwrap();
        let header = PayloadHeader {
            context: Arc::clone(&section.context),
            epoch: section.epoch,
            span: section.span,
            marks: Marks { first: true, last: true },
            records: u32::try_from(lines.len()).unwrap(),
            filtered: 0,
            gap: None,
            observed_unix_ns: section.observed_unix_ns,
            positions: Vec::new(),
            is_divisible: false,
            part_of: None,
            is_inner: false,
            range: 0..raw_bytes,
        };
        let (codec, block) = (Codec::Zstd, Bytes::from(block));
        Fetched { encoding, codec, raw_bytes, block, headers: vec![header] }
    }

    /// The cursors and bodies of what is owed from `from` on.
    fn owed(fetched: Fetched, from: u64) -> Vec<(u64, Vec<u8>, RecordFlags)> {
        let end = fetched.headers[0].span.end;
        let cut = cut(&fetched, &[Part { section: 0, from, is_first: false }]).unwrap();
        let header = &cut.headers[0];
        assert_eq!((header.span, header.marks.first), (Span::new(from, end), false));
        let records = decode(cut.encoding, &cut.block[header.in_block()]).unwrap();
        assert_eq!(header.records as usize, records.len());
        records.into_iter().map(|it| (it.cursor, it.body.into_owned(), it.flags)).collect()
    }

    #[test]
    fn a_section_is_cut_before_any_of_its_records() {
        for encoding in [Encoding::OtlpProto, Encoding::JsonLines] {
            let lines: Vec<KitLine> =
                (0..9).map(|it| KitLine::plain(format!("line {it}"))).collect();
            let whole = decode_all(&fetched(encoding, &lines));
            for first in 1..9 {
                let got = owed(fetched(encoding, &lines), whole[first].0);
                assert_eq!(got, whole[first..], "{encoding}");
            }
        }
    }

    #[test]
    fn a_long_line_is_cut_where_it_was_divided() {
        let text: String =
            (0..50_000).map(|it| char::from(b'a' + u8::try_from(it % 26).unwrap())).collect();
        let lines =
            [KitLine::plain("before"), KitLine::plain(text.clone()), KitLine::plain("behind")];
        let whole = decode_all(&fetched(Encoding::OtlpProto, &lines));
        let (begin, end) = (whole[1].0, whole[2].0);
        // Halves, and halves of the second.
        let half = begin + (end - begin) / 2;
        let quarter = half + (end - half) / 2;
        for (from, at) in [(half, 25_000), (quarter, 37_500)] {
            let got = owed(fetched(Encoding::OtlpProto, &lines), from);
            assert_eq!(got.len(), 2);
            assert!(got[0].0 == from && got[0].1 == text.as_bytes()[at..], "{from}");
            assert!(got[0].2.has(RecordFlags::CONTINUED));
            assert_eq!(got[1], whole[2]);
        }
    }

    fn decode_all(fetched: &Fetched) -> Vec<(u64, Vec<u8>, RecordFlags)> {
        let mut raw = Vec::new();
        decompress(fetched.codec, &fetched.block, fetched.raw_bytes as usize, &mut raw).unwrap();
        let records = decode(fetched.encoding, &raw).unwrap();
        records.into_iter().map(|it| (it.cursor, it.body.into_owned(), it.flags)).collect()
    }
}
