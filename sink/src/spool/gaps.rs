//! Gaps: what stands in the place of sections that are not delivered after all.

use std::collections::HashMap;
use std::sync::Arc;

use flow::{
    Codec, Content, ContextId, Encoding, Gap, GapReason, Payload, PayloadHeader, Position, Section,
};

use crate::encode;
use crate::queue::limits::{BATCH_SECTIONS_MAX, SECTION_POSITIONS_MAX};

/// Positions in one payload: beside as many sections as there may be, they fit into a frame's header.
const POSITIONS_MAX: usize = 64 << 10;

/// Sections that become gaps, in their order. Those that follow each other, and are missing for the same
/// reason, are one. What was a gap before stays what it was, and so do marks.
#[derive(Debug)]
pub(super) struct Gaps {
    reason: GapReason,
    headers: Vec<PayloadHeader>,
    /// The last one of each context.
    last: HashMap<ContextId, usize>,
    positions: usize,
    /// Bytes of the sources that are missing only now.
    pub(super) bytes: u64,
}

impl Gaps {
    pub(super) fn new(reason: GapReason) -> Gaps {
        let (headers, last) = (Vec::new(), HashMap::new());
        Gaps { reason, headers, last, positions: 0, bytes: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }

    /// Whether those are not too many for one payload with what is there.
    pub(super) fn has_room_for(&self, headers: &[PayloadHeader]) -> bool {
        let positions: usize = headers.iter().map(|it| it.positions.len()).sum();
        self.headers.len() + headers.len() <= BATCH_SECTIONS_MAX
            && self.positions + positions <= POSITIONS_MAX
    }

    pub(super) fn add(&mut self, mut header: PayloadHeader) {
        if header.gap.is_none() && !header.span.is_empty() {
            header.gap = Some(self.reason);
            self.bytes += header.span.bytes();
        }
        (header.records, header.filtered, header.range) = (0, 0, 0..0);
        header.is_divisible = false;
        self.positions += header.positions.len();
        let context = header.context.id;
        let last = self.last.get(&context).and_then(|it| self.headers.get_mut(*it));
        if let Some(last) = last.filter(|it| is_continued(it, &header)) {
            last.span.end = header.span.end;
            last.marks.first |= header.marks.first;
            last.marks.last |= header.marks.last;
            let continued = header.positions.last().map(|it| it.continued);
            for position in header.positions {
                replace(&mut last.positions, position);
            }
            if let Some((last, continued)) = last.positions.last_mut().zip(continued) {
                last.continued = continued;
            }
            return;
        }
        self.last.insert(context, self.headers.len());
        self.headers.push(header);
    }

    /// Gaps of what was lost, in its order.
    pub(super) fn of_lost(headers: &[PayloadHeader]) -> Gaps {
        let mut gaps = Gaps::new(GapReason::Unreadable);
        headers.iter().for_each(|it| gaps.add(it.clone()));
        gaps
    }

    /// The payload, without tickets.
    pub(super) fn payload(self, tenant: &Arc<str>, encoding: Encoding) -> Payload {
        let mut encoder = encode::make(encoding);
        let (mut block, mut headers) = (Vec::new(), self.headers);
        let len = |block: &Vec<u8>| u32::try_from(block.len()).expect("gaps are short");
        for header in &mut headers {
            let content = header.gap.map_or(Content::End, |reason| Content::Gap(Gap { reason }));
            let section = Section {
                context: Arc::clone(&header.context),
                epoch: header.epoch,
                span: header.span,
                marks: header.marks,
                observed_unix_ns: header.observed_unix_ns,
                is_divisible: false,
                content,
            };
            let start = len(&block);
            encoder.encode(&section, &mut block);
            header.range = start..len(&block);
        }
        Payload {
            tenant: Arc::clone(tenant),
            encoding,
            codec: Codec::None,
            raw_bytes: len(&block),
            block,
            headers,
            tickets: Vec::new(),
            permit: None,
        }
    }
}

/// The later position of a generation counts. What tells of copies stays in front: the last is where the gap ends.
fn replace(positions: &mut Vec<Position>, later: Position) {
    match positions.iter_mut().find(|known| known.generation == later.generation) {
        Some(known) => *known = later,
        None if later.original().is_some() => positions.insert(0, later),
        None => positions.push(later),
    }
}

/// Whether the gap goes on with what follows: the same one, or no more than a mark.
fn is_continued(last: &PayloadHeader, next: &PayloadHeader) -> bool {
    let is_same = last.gap == next.gap && !next.span.is_empty();
    let is_mark = next.gap.is_none() && next.span.is_empty();
    last.gap.is_some()
        && !last.span.is_empty()
        && (is_same || is_mark)
        && last.epoch == next.epoch
        && last.span.end == next.span.begin
        && last.positions.len() + next.positions.len() <= SECTION_POSITIONS_MAX
}

#[cfg(test)]
mod tests {
    use flow::{Marks, Place, Position, Span};

    use super::*;
    use crate::section_kit;

    fn header(begin: u64, end: u64, gap: Option<GapReason>) -> PayloadHeader {
        let position = Position { generation: 1, offset: end, ..Position::default() };
        PayloadHeader {
            context: section_kit::context(),
            epoch: 3,
            span: Span::new(begin, end),
            marks: Marks { first: begin == 0, last: false },
            records: 2,
            filtered: 1,
            gap,
            observed_unix_ns: 7,
            positions: vec![position],
            is_divisible: true,
            part_of: None,
            is_inner: false,
            range: 5..9,
        }
    }

    #[test]
    fn sections_that_follow_each_other_are_one_gap_and_older_gaps_stay() {
        let mut gaps = Gaps::new(GapReason::SpoolFull);
        gaps.add(header(0, 10, None));
        gaps.add(header(10, 25, Some(GapReason::SpoolFull)));
        gaps.add(header(25, 25, None));
        gaps.add(header(25, 30, Some(GapReason::Truncated)));
        gaps.add(header(30, 30, Some(GapReason::Unreadable)));
        gaps.add(header(30, 40, None));
        gaps.add(header(50, 60, None));
        assert_eq!(gaps.bytes, 30, "ten of them were a gap of that reason before");
        let payload = gaps.payload(&Arc::from("shop"), Encoding::JsonLines);
        let got: Vec<_> = payload.headers.iter().map(|it| (it.span, it.gap.unwrap())).collect();
        let want = [
            (Span::new(0, 25), GapReason::SpoolFull),
            (Span::new(25, 30), GapReason::Truncated),
            (Span::new(30, 30), GapReason::Unreadable),
            (Span::new(30, 40), GapReason::SpoolFull),
            (Span::new(50, 60), GapReason::SpoolFull),
        ];
        assert_eq!(got, want);
        assert!(payload.headers[0].marks.first && payload.headers[0].positions[0].offset == 25);
        let text = String::from_utf8(payload.block).unwrap();
        assert_eq!(text.lines().count(), 5);
        assert!(text.lines().next().unwrap().contains("spool_full"), "{text}");
    }

    #[test]
    fn what_tells_of_a_copy_stays_before_where_the_gap_ends() {
        let copy = Position::of_copy(9, 1, 10, Place::default());
        let mut gaps = Gaps::new(GapReason::SpoolFull);
        gaps.add(header(0, 10, None));
        let next = header(10, 20, None);
        let end = next.positions[0];
        gaps.add(PayloadHeader { positions: vec![copy, end], ..next });
        let payload = gaps.payload(&Arc::from("shop"), Encoding::JsonLines);
        assert_eq!(payload.headers[0].positions, [copy, end]);
        assert_eq!(payload.headers[0].own_positions(), [end]);
    }
}
