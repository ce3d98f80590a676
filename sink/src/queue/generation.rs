//! Generation: finds sections by the file that they were read from, for a log disk that wants its bytes back.
//!
//! Nobody knows of an old file in which context it was, so that its key is looked for in the positions of all sections. What
//! a sealed segment has is remembered in short, so that the next question looks only where there is something.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use flow::{Position, Span, own_positions};

use super::batch_frame::decode_batch;
use super::frame::FrameKind;
use super::load::{Target, open_or_problem, read_section, unreadable};
use super::lookup::Found;
use super::problem::Problem;
use super::reader::{QueueReader, ReadError};
use super::scan::Place;
use super::walk::{Blocks, SegmentFile, Step};

/// Largest index that is read as a whole, in bytes: some twelve thousand sections. The frame headers of a segment
/// with a larger one are walked, which takes longer and no memory.
const INDEX_BYTES_MAX: u64 = 1 << 20;
/// Generations of segments that are remembered, in number: 32 bytes each.
const GLIMPSES_MAX: usize = 16 << 10;

/// A section by its bytes' place in the file that they were read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Offsets in the generation.
    pub range: Range<u64>,
    /// Where it is in the queue.
    pub place: Place,
}

/// What sealed segments have, by tenant and sequence: of which generations, and which offsets of them at most.
#[derive(Debug, Default)]
pub struct Glimpses {
    segments: HashMap<(Arc<str>, u64), Box<[Glimpse]>>,
    count: usize,
}

/// A generation, and which offsets of it are in a segment at most.
type Glimpse = (u64, Range<u64>);

impl Glimpses {
    /// Whether a segment may have something of that.
    fn may_have(&self, of: &(Arc<str>, u64), generation: u64, range: &Range<u64>) -> bool {
        self.segments.get(of).is_none_or(|known| {
            let is_it = |it: &Glimpse| it.0 == generation && meet(&it.1, range);
            known.iter().any(is_it)
        })
    }

    fn keep(&mut self, of: (Arc<str>, u64), seen: HashMap<u64, Range<u64>>) {
        if self.count + seen.len() > GLIMPSES_MAX {
            (self.segments, self.count) = (HashMap::new(), 0);
        }
        self.count += seen.len();
        if let Some(before) = self.segments.insert(of, seen.into_iter().collect()) {
            self.count -= before.len();
        }
    }
}

impl QueueReader {
    /// Sections of a tenant with bytes of that range of a generation, records or gaps, in no order. Those that are of
    /// more than one generation are left out. Looks no further once `is_enough`.
    ///
    /// What could not be read is added to `problems`.
    ///
    /// # Errors
    /// If the queue holds nothing of the tenant, or its folder cannot be listed.
    pub fn of_generation(
        &self,
        tenant: &str,
        (generation, range): (u64, &Range<u64>),
        glimpses: &mut Glimpses,
        problems: &mut Vec<Problem>,
        is_enough: &dyn Fn() -> bool,
    ) -> Result<Vec<Located>, ReadError> {
        let folder = self.folder(tenant)?;
        let tenant: Arc<str> = Arc::from(tenant);
        let mut found = Vec::new();
        for sequence in self.sequences(&tenant)? {
            let of = (Arc::clone(&tenant), sequence);
            if !glimpses.may_have(&of, generation, range) {
                continue;
            }
            if is_enough() {
                break;
            }
            let Some(segment) = open_or_problem(&folder, sequence, problems) else { continue };
            let mut seen: HashMap<u64, Range<u64>> = HashMap::new();
            let looked = each_section(&segment, &mut |place, span, positions| {
                let Some((of, bytes)) = bytes_of(span, positions) else { return };
                let known = seen.entry(of).or_insert_with(|| bytes.clone());
                *known = known.start.min(bytes.start)..known.end.max(bytes.end);
                if of == generation && meet(&bytes, range) {
                    found.push(Located { range: bytes, place });
                }
            });
            match looked {
                // It never changes again.
                Ok(true) => glimpses.keep(of, seen),
                Ok(false) => {}
                Err(error) => unreadable(&segment.path, &error, problems),
            }
        }
        Ok(found)
    }

    /// A section that was located; none if retention has removed it.
    ///
    /// # Errors
    /// If the queue holds nothing of the tenant.
    pub fn section_at(
        &self,
        tenant: &str,
        place: Place,
        problems: &mut Vec<Problem>,
    ) -> Result<Option<Found>, ReadError> {
        let folder = self.folder(tenant)?;
        let segment = open_or_problem(&folder, place.sequence, problems);
        let target = Target { place, context_offset: 0 };
        Ok(segment.and_then(|it| read_section(&it, tenant, &target, problems)))
    }
}

/// Which bytes of which generation a section is of, if it is of one alone.
#[must_use]
pub fn bytes_of(span: Span, positions: &[Position]) -> Option<(u64, Range<u64>)> {
    let [end] = own_positions(positions) else { return None };
    let begin = end.offset.checked_sub(span.bytes())?;
    (!span.is_empty()).then_some((end.generation, begin..end.offset))
}

fn meet(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

/// Calls `each` with the sections of a segment; says whether it is sealed.
fn each_section(
    segment: &Arc<SegmentFile>,
    each: &mut dyn FnMut(Place, Span, &[Position]),
) -> io::Result<bool> {
    let sequence = segment.sequence;
    let trailer = segment.trailer()?;
    if let Some(trailer) = trailer.as_ref().filter(|it| it.index_bytes <= INDEX_BYTES_MAX)
        && let Ok((_, index)) = segment.index(trailer)?
    {
        for it in &index.entries {
            let place = Place { sequence, offset: it.frame_offset, number: it.number };
            each(place, it.span, index.positions(it));
        }
        return Ok(true);
    }
    let (mut walk, _) = segment.walk(Blocks::Skipped)?;
    loop {
        match walk.step()? {
            Step::Frame(frame) if frame.kind == FrameKind::Index => break,
            Step::Frame(frame) if frame.kind == FrameKind::Batch => {
                let Ok((_, rows)) = decode_batch(&frame.header_part) else { continue };
                for (number, row) in (0..).zip(rows) {
                    let place = Place { sequence, offset: frame.offset, number };
                    each(place, row.span, &row.positions);
                }
            }
            Step::Frame(_) => {}
            // What is damaged is not found, and whoever misses it is told so.
            Step::Bad { next: Some(next), .. } => walk.stand_at(next),
            Step::Bad { next: None, .. } | Step::End | Step::Shrunk { .. } => break,
        }
    }
    Ok(trailer.is_some())
}
