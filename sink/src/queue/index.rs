//! Index: all entries of one segment, sorted by context, epoch and begin.
//!
//! Gathered by the writer while it appends, and written as the last frame when the segment is sealed.
//! Of a segment that is not sealed, readers gather it by walking frames. It holds positions too, so
//! that a restart learns all it needs from the indices alone.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use flow::{Context, ContextId, GapReason, Marks, PayloadHeader, Position, Span};

use super::batch_frame::{
    POSITION_BYTES, Row, decode_gap, decode_marks, decode_position, decode_span, encode_position,
    marks_code,
};
use super::format::{Fields, Malformed, Put, len_u32};
use super::limits::{BATCH_SECTIONS_MAX, SEGMENT_ENTRIES_MAX, SEGMENT_POSITIONS_MAX};
use super::scan::{Entry, Place};

/// Bytes of a context in the index.
const CONTEXT_ROW_BYTES: usize = 24;
/// Bytes of an entry in the index.
const ENTRY_BYTES: usize = 48;
/// Length of the header part, in bytes.
const INDEX_FIXED_BYTES: usize = 32;
/// Most entries that a well-formed index has: what a writer may gather before it seals.
const INDEX_ENTRIES_MAX: usize = SEGMENT_ENTRIES_MAX + BATCH_SECTIONS_MAX;
/// Most positions that a well-formed index has.
const INDEX_POSITIONS_MAX: usize = 2 * SEGMENT_POSITIONS_MAX;

/// What the header part tells without reading the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexHead {
    contexts: u32,
    entries: u32,
    positions: u32,
    /// Earliest and latest time at which anything in the segment was read from its source,
    /// nanoseconds since 1970. Of a segment without entries, `i64::MAX` and `i64::MIN`.
    pub(super) first_observed_unix_ns: i64,
    pub(super) last_observed_unix_ns: i64,
}

impl IndexHead {
    pub(super) fn decode(header_part: &[u8]) -> Result<IndexHead, Malformed> {
        let mut fields = Fields::new(header_part);
        let head = IndexHead {
            contexts: fields.u32()?,
            entries: fields.u32()?,
            positions: fields.u32()?,
            first_observed_unix_ns: {
                fields.zero(4, "reserved")?;
                fields.i64()?
            },
            last_observed_unix_ns: fields.i64()?,
        };
        fields.end()?;
        let holds = head.contexts as usize <= INDEX_ENTRIES_MAX
            && head.entries as usize <= INDEX_ENTRIES_MAX
            && head.positions as usize <= INDEX_POSITIONS_MAX;
        if holds { Ok(head) } else { Err(Malformed::Field("counts")) }
    }
}

/// One section in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexEntry {
    /// Number of the context in [`SegmentIndex::contexts`].
    pub(super) context: u32,
    pub(super) epoch: u32,
    pub(super) span: Span,
    /// Offset of the batch frame in the segment.
    pub(super) frame_offset: u64,
    /// Number of the section in its batch.
    pub(super) number: u32,
    pub(super) records: u32,
    first_position: u32,
    positions: u16,
    /// Code of its marks.
    marks: u8,
    pub(super) gap: Option<GapReason>,
}

/// All entries of one segment.
#[derive(Debug, Default)]
pub(super) struct SegmentIndex {
    /// Contexts, and the offset of the frame that describes each. Sorted by id once sealed.
    pub(super) contexts: Vec<(ContextId, u64)>,
    pub(super) entries: Vec<IndexEntry>,
    positions: Vec<Position>,
    /// Earliest and latest time of reading, nanoseconds since 1970.
    observed: Option<(i64, i64)>,
    /// Number of each context; only of use while gathering.
    numbers: HashMap<ContextId, u32>,
}

/// What the index needs of a section, wherever it comes from.
pub(super) struct Gathered<'a> {
    pub(super) context: ContextId,
    pub(super) epoch: u32,
    pub(super) span: Span,
    pub(super) records: u32,
    pub(super) marks: Marks,
    pub(super) gap: Option<GapReason>,
    pub(super) observed_unix_ns: i64,
    pub(super) positions: &'a [Position],
}

impl<'a> From<&'a Row> for Gathered<'a> {
    fn from(row: &'a Row) -> Gathered<'a> {
        Gathered {
            context: row.context,
            epoch: row.epoch,
            span: row.span,
            records: row.records,
            marks: row.marks,
            gap: row.gap,
            observed_unix_ns: row.observed_unix_ns,
            positions: &row.positions,
        }
    }
}

impl<'a> From<&'a PayloadHeader> for Gathered<'a> {
    fn from(header: &'a PayloadHeader) -> Gathered<'a> {
        Gathered {
            context: header.context.id,
            epoch: header.epoch,
            span: header.span,
            records: header.records,
            marks: header.marks,
            gap: header.gap,
            observed_unix_ns: header.observed_unix_ns,
            positions: &header.positions,
        }
    }
}

impl SegmentIndex {
    /// Whether `sections` more with `positions` in all would be too many for one segment.
    pub(super) fn is_full_for(&self, sections: usize, positions: usize) -> bool {
        self.entries.len() + sections > SEGMENT_ENTRIES_MAX
            || self.positions.len() + positions > SEGMENT_POSITIONS_MAX
    }

    /// A context is described at `offset`; returns its number.
    pub(super) fn describe(&mut self, context: ContextId, offset: u64) -> u32 {
        let number = self.number(context);
        self.contexts[number as usize].1 = offset;
        number
    }

    /// Number of a context, while gathering.
    pub(super) fn number_of(&self, context: ContextId) -> Option<u32> {
        self.numbers.get(&context).copied()
    }

    fn number(&mut self, context: ContextId) -> u32 {
        let next = len_u32(self.contexts.len());
        let number = *self.numbers.entry(context).or_insert(next);
        if number == next {
            self.contexts.push((context, 0));
        }
        number
    }

    /// Section `number` of the batch frame at `frame_offset`.
    pub(super) fn gather(&mut self, frame_offset: u64, number: u32, section: &Gathered<'_>) {
        let context = self.number(section.context);
        let first_position = len_u32(self.positions.len());
        self.positions.extend_from_slice(section.positions);
        let at = section.observed_unix_ns;
        let observed = self.observed.get_or_insert((at, at));
        *observed = (observed.0.min(at), observed.1.max(at));
        self.entries.push(IndexEntry {
            context,
            epoch: section.epoch,
            span: section.span,
            frame_offset,
            number,
            records: section.records,
            first_position,
            positions: u16::try_from(section.positions.len()).expect("checked before"),
            marks: marks_code(section.marks),
            gap: section.gap,
        });
    }

    /// Latest time at which anything in the segment was read from its source.
    pub(super) fn last_observed_unix_ns(&self) -> Option<i64> {
        self.observed.map(|(_, last)| last)
    }

    /// Where the file system's side stands after `entry`.
    pub(super) fn positions(&self, entry: &IndexEntry) -> &[Position] {
        let first = entry.first_position as usize;
        &self.positions[first..first + usize::from(entry.positions)]
    }

    /// The sections of frames that begin in `offsets`, in queue order, without where their payloads are.
    pub(super) fn sections(
        &self,
        sequence: u64,
        offsets: &Range<u64>,
        context: impl Fn(ContextId) -> Arc<Context>,
    ) -> Vec<Entry> {
        let section = |it: &IndexEntry| {
            let header = PayloadHeader {
                context: context(self.context_of(it)),
                epoch: it.epoch,
                span: it.span,
                marks: decode_marks(it.marks).unwrap_or_default(),
                records: it.records,
                filtered: 0,
                gap: it.gap,
                observed_unix_ns: self.last_observed_unix_ns().unwrap_or_default(),
                positions: self.positions(it).to_vec(),
                is_divisible: false,
                part_of: None,
                is_inner: false,
                range: 0..0,
            };
            Entry { header, place: Place { sequence, offset: it.frame_offset, number: it.number } }
        };
        let entries = self.entries.iter().filter(|it| offsets.contains(&it.frame_offset));
        let mut sections: Vec<Entry> = entries.map(section).collect();
        sections.sort_unstable_by_key(|it| it.place);
        sections
    }

    /// The id of an entry's context.
    pub(super) fn context_of(&self, entry: &IndexEntry) -> ContextId {
        self.contexts[entry.context as usize].0
    }

    /// Sorts contexts by id and entries by context, epoch, begin, place: the order in files.
    pub(super) fn sort(&mut self) {
        let mut order: Vec<usize> = (0..self.contexts.len()).collect();
        order.sort_unstable_by_key(|number| self.contexts[*number].0);
        let mut new_numbers = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            new_numbers[*old] = len_u32(new);
        }
        self.contexts.sort_unstable_by_key(|(id, _)| *id);
        for entry in &mut self.entries {
            entry.context = new_numbers[entry.context as usize];
        }
        self.entries.sort_unstable_by_key(sort_key);
        self.numbers = HashMap::new();
    }

    /// Makes a sorted index fit for gathering again.
    pub(super) fn renumber(&mut self) {
        let numbers = self.contexts.iter().enumerate();
        self.numbers = numbers.map(|(number, (id, _))| (*id, len_u32(number))).collect();
    }

    /// The entries of `context`; the index is sorted.
    pub(super) fn of_context(&self, context: ContextId) -> &[IndexEntry] {
        let Ok(number) = self.contexts.binary_search_by_key(&context, |(id, _)| *id) else {
            return &[];
        };
        let begin = self.entries.partition_point(|entry| (entry.context as usize) < number);
        let end = self.entries.partition_point(|entry| entry.context as usize <= number);
        &self.entries[begin..end]
    }

    /// Header part and block of the index frame; the index is sorted.
    pub(super) fn encode(&self, header_part: &mut Vec<u8>) -> Vec<u8> {
        header_part.put_u32(len_u32(self.contexts.len()));
        header_part.put_u32(len_u32(self.entries.len()));
        header_part.put_u32(len_u32(self.positions.len()));
        header_part.put_u32(0);
        let observed = self.observed.unwrap_or((i64::MAX, i64::MIN));
        header_part.put_i64(observed.0);
        header_part.put_i64(observed.1);
        let mut block = Vec::with_capacity(
            self.contexts.len() * CONTEXT_ROW_BYTES
                + self.entries.len() * ENTRY_BYTES
                + self.positions.len() * POSITION_BYTES,
        );
        for (id, offset) in &self.contexts {
            block.put_u128(id.0);
            block.put_u64(*offset);
        }
        for entry in &self.entries {
            encode_entry(entry, &mut block);
        }
        for position in &self.positions {
            encode_position(position, &mut block);
        }
        block
    }

    /// Reads what [`SegmentIndex::encode`] wrote.
    pub(super) fn decode(head: &IndexHead, block: &[u8]) -> Result<SegmentIndex, Malformed> {
        let (contexts, entries, positions) =
            (head.contexts as usize, head.entries as usize, head.positions as usize);
        let expected =
            contexts * CONTEXT_ROW_BYTES + entries * ENTRY_BYTES + positions * POSITION_BYTES;
        if block.len() != expected {
            return Err(if block.len() < expected { Malformed::Short } else { Malformed::Long });
        }
        let mut fields = Fields::new(block);
        let contexts = (0..contexts)
            .map(|_| Ok((ContextId(fields.u128()?), fields.u64()?)))
            .collect::<Result<Vec<_>, Malformed>>()?;
        let entries = (0..entries)
            .map(|_| decode_entry(&mut fields, head))
            .collect::<Result<Vec<_>, Malformed>>()?;
        let positions = (0..positions)
            .map(|_| decode_position(&mut fields))
            .collect::<Result<Vec<_>, Malformed>>()?;
        fields.end()?;
        let sorted = contexts.is_sorted_by(|left, right| left.0 < right.0)
            && entries.is_sorted_by_key(sort_key);
        if !sorted {
            return Err(Malformed::Field("order"));
        }
        let observed = (!entries.is_empty())
            .then_some((head.first_observed_unix_ns, head.last_observed_unix_ns));
        Ok(SegmentIndex { contexts, entries, positions, observed, numbers: HashMap::new() })
    }
}

/// What entries are sorted by.
fn sort_key(entry: &IndexEntry) -> (u32, u32, u64, u64, u32) {
    (entry.context, entry.epoch, entry.span.begin, entry.frame_offset, entry.number)
}

fn encode_entry(entry: &IndexEntry, out: &mut Vec<u8>) {
    out.put_u32(entry.context);
    out.put_u32(entry.epoch);
    out.put_u64(entry.span.begin);
    out.put_u64(entry.span.end);
    out.put_u64(entry.frame_offset);
    out.put_u32(entry.number);
    out.put_u32(entry.records);
    out.put_u32(entry.first_position);
    out.put_u16(entry.positions);
    out.put_u8(entry.marks);
    out.put_u8(entry.gap.map_or(0, GapReason::code));
}

fn decode_entry(fields: &mut Fields<'_>, head: &IndexHead) -> Result<IndexEntry, Malformed> {
    let entry = IndexEntry {
        context: fields.u32()?,
        epoch: fields.u32()?,
        span: decode_span(fields)?,
        frame_offset: fields.u64()?,
        number: fields.u32()?,
        records: fields.u32()?,
        first_position: fields.u32()?,
        positions: fields.u16()?,
        marks: marks_code(decode_marks(fields.u8()?)?),
        gap: decode_gap(fields.u8()?)?,
    };
    let positions_end = u64::from(entry.first_position) + u64::from(entry.positions);
    if entry.context >= head.contexts {
        return Err(Malformed::Field("context"));
    }
    if positions_end > u64::from(head.positions) {
        return Err(Malformed::Field("positions"));
    }
    Ok(entry)
}

const _: () = assert!(INDEX_FIXED_BYTES == 4 * 4 + 2 * 8);
