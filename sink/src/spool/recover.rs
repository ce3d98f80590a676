//! Recover: what a spool owes after a restart: all that it holds, but for what was noted as acknowledged or
//! released, and what the sink says that it has.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use flow::{ContextId, Marks, PayloadHeader, PersistedSpan, Span, is_mutant};

use super::SpoolError;
use super::entries::{Entries, Entry, Part};
use super::lost::lost_header;
use super::positions::{Owed, Positions};
use super::read_back::SpoolReadBack;
use crate::late::Had;
use crate::queue::{self, BatchFrame, FrameId, Problem, Queue, QueueReader};

/// How far a context is known to be owed or acknowledged.
struct Reach {
    epoch: u32,
    end: u64,
    /// What the sink has of it.
    of_sink: Vec<PersistedSpan>,
    /// The same by its generations.
    had: Option<Had>,
    /// Something of this epoch was left out that the sink has in another, and nothing was owed since.
    is_beheaded: bool,
}

impl Reach {
    /// From where on the section is owed; none if the sink has it, or it is kept twice.
    fn owed(&mut self, header: &PayloadHeader) -> Option<u64> {
        let from = header.span.begin.max(self.end);
        let from = match &self.had {
            // What was read without asking the sink: its cursors are not ours.
            Some(had) if had.epoch() != header.epoch || had.contradicts(header) => {
                had.owed(header).map_or(header.span.end, |it| it.max(from))
            }
            _ => self.behind_sink(header.epoch, from, |it| it.counts_for(header.section())),
        };
        self.is_beheaded |= from > header.span.begin && self.is_other(header.epoch);
        self.end = self.end.max(header.span.end);
        (from < header.span.end).then_some(from)
    }

    fn is_other(&self, epoch: u32) -> bool {
        self.had.as_ref().is_some_and(|it| it.epoch() != epoch)
    }

    /// What is missing before the section, of what the sink does not have.
    fn hole(&self, header: &PayloadHeader) -> Option<Span> {
        if self.end == 0 || self.epoch != header.epoch {
            return None;
        }
        let from = self.behind_sink(header.epoch, self.end, |_| true);
        (from < header.span.begin).then(|| Span::new(from, header.span.begin))
    }

    /// Behind what counts of what the sink has from there on.
    fn behind_sink(
        &self,
        epoch: u32,
        mut from: u64,
        counts: impl Fn(&PersistedSpan) -> bool,
    ) -> u64 {
        for persisted in self.of_sink.iter().filter(|it| it.epoch == epoch && counts(it)) {
            let is_known = persisted.span.begin <= from && persisted.span.end > from;
            if is_known && !is_mutant("spool_drained_over_what_the_sink_has") {
                from = persisted.span.end;
            }
        }
        from
    }
}

/// Goes over the whole spool, before anything is appended.
///
/// # Errors
/// If it cannot be listed. What is damaged is said and left out.
pub(super) fn recover(
    queue: &Queue,
    positions: &Positions,
    shards: usize,
    read_back: &mut SpoolReadBack,
) -> Result<BTreeMap<Arc<str>, Entries>, SpoolError> {
    let reader = QueueReader::open(queue.dir())?;
    let mut tenants = BTreeMap::new();
    for stats in queue.stats() {
        let tenant = stats.tenant;
        // Its segments may have been removed by hand: then sequences begin anew.
        let is_anew = stats.segments == 0;
        let owed = if is_anew { Owed::default() } else { positions.of(&tenant) };
        let mut gaps = gaps(&reader, &tenant, &owed)?;
        let mut entries = Entries::default();
        entries.begin_at(owed.from);
        let mut recovered =
            Recovered { shards, entries, reached: HashMap::new(), is_damaged: false, read_back };
        for frame in reader.scan(&tenant)? {
            match frame {
                Ok(frame) => {
                    while let Some((place, gaps)) = gaps.pop_front_if(|it| it.0 <= frame.id()) {
                        recovered.take(&gaps, Some(place));
                    }
                    if frame.id() < owed.from {
                        recovered.read_back(&frame);
                    } else if owed.has(&frame) && !owed.is_of_gaps(frame.id()) {
                        recovered.take(&frame, None);
                    }
                }
                // Released, and said so.
                Err(Problem::Removed { .. }) if !owed.released.is_empty() => {}
                Err(problem) => {
                    tracing::error!(%problem, "the spool has lost what it kept: a gap");
                    recovered.is_damaged = true;
                    if let Some((sequence, offsets)) = problem.skipped() {
                        let known = |context| recovered.entries.contexts.get(&context).cloned();
                        let lost = queue.sections_at(&tenant, sequence, offsets, known);
                        recovered.take_lost(lost, owed.from);
                    }
                }
            }
        }
        gaps.into_iter().for_each(|(place, gaps)| recovered.take(&gaps, Some(place)));
        tenants.insert(tenant, recovered.entries);
    }
    Ok(tenants)
}

/// The frames of gaps that are owed, in the order of the first ones that they stand for.
fn gaps(
    reader: &QueueReader,
    tenant: &str,
    owed: &Owed,
) -> Result<VecDeque<(FrameId, BatchFrame)>, SpoolError> {
    let mut frames = HashMap::new();
    if !owed.released.is_empty() {
        let listed = reader.scan(tenant)?.flatten().filter(|it| owed.is_of_gaps(it.id()));
        frames.extend(listed.map(|it| (it.id(), it)));
    }
    let mut gaps: VecDeque<_> =
        owed.released.iter().filter_map(|it| Some((it.place, frames.remove(&it.gaps)?))).collect();
    gaps.make_contiguous().sort_by_key(|it| it.0);
    Ok(gaps)
}

/// What is found of a tenant, in order.
struct Recovered<'a> {
    shards: usize,
    entries: Entries,
    reached: HashMap<ContextId, Reach>,
    /// Something was there that cannot be read: what stands before a hole is not known to be delivered.
    is_damaged: bool,
    read_back: &'a mut SpoolReadBack,
}

impl Recovered<'_> {
    fn read_back(&mut self, frame: &BatchFrame) {
        frame.entries.iter().for_each(|it| self.read_back.add(&it.header));
    }

    /// A frame that is owed, but for what the sink has of it; of gaps, in the place of that other.
    fn take(&mut self, frame: &BatchFrame, place: Option<FrameId>) {
        self.entries.encoding = Some(frame.block.encoding());
        let mut by_shard: BTreeMap<usize, Vec<Part>> = BTreeMap::new();
        let (mut marks, mut has_owed) = (Vec::new(), false);
        for (number, entry) in (0..).zip(&frame.entries) {
            let header = &entry.header;
            let shard = self.shard(header);
            let part = |from| Part { section: number, from, is_first: false };
            if header.span.is_empty() {
                self.read_back.add(header);
                marks.push((shard, part(header.span.end)));
                continue;
            }
            self.fill_hole(header, frame.id());
            self.read_back.add(header);
            if let Some(from) = self.reach(header).owed(header) {
                has_owed = true;
                let is_first = std::mem::take(&mut self.reach(header).is_beheaded);
                by_shard.entry(shard).or_default().push(Part { is_first, ..part(from) });
            }
        }
        // What only says that a context begins or ends came with the rest of its frame.
        if has_owed || marks.len() == frame.entries.len() {
            for (shard, part) in marks {
                by_shard.entry(shard).or_default().push(part);
            }
        }
        // A frame is read whole, and its contexts may be described before it.
        let is_read = |section| {
            let mut owed = by_shard.values().flatten();
            !by_shard.is_empty() && !is_mutant("contexts_of_what_is_owed_alone")
                || owed.any(|it| it.section == section)
        };
        for (_, entry) in (0..).zip(&frame.entries).filter(|it| is_read(it.0)) {
            let context = &entry.header.context;
            self.entries.contexts.insert(context.id, Arc::clone(context));
        }
        for (shard, mut parts) in by_shard {
            parts.sort_by_key(|it| it.section);
            let parts = Some(parts.into_boxed_slice());
            let entry = Entry::waiting(frame.id(), frame.block.bytes(), shard);
            self.entries.push(Entry { parts, place, ..entry });
        }
    }

    /// Sections of damaged frames, in order: gaps are owed in their place.
    fn take_lost(&mut self, sections: Vec<queue::Entry>, owed_from: FrameId) {
        for queue::Entry { header, place } in sections {
            self.read_back.add(&header);
            let frame = FrameId { sequence: place.sequence, offset: place.offset };
            if frame < owed_from {
                continue;
            }
            if header.span.is_empty() {
                self.push_lost(header, frame);
            } else if let Some(from) = self.reach(&header).owed(&header) {
                let span = Span::new(from, header.span.end);
                self.push_lost(PayloadHeader { span, ..header }, frame);
            }
        }
    }

    /// What was lost between the last section of the context and this one of `frame`, without a trace.
    fn fill_hole(&mut self, header: &PayloadHeader, frame: FrameId) {
        let hole = self.reach(header).hole(header).filter(|_| self.is_damaged);
        if let Some(span) = hole {
            let (marks, positions) = (Marks::NONE, Vec::new());
            let header = PayloadHeader { span, marks, gap: None, positions, ..header.clone() };
            self.read_back.add(&header);
            self.push_lost(header, frame);
        }
    }

    fn push_lost(&mut self, header: PayloadHeader, frame: FrameId) {
        let (shard, context) = (self.shard(&header), Arc::clone(&header.context));
        self.entries.contexts.insert(context.id, context);
        let lost = Some([lost_header(header)].into());
        self.entries.push(Entry { lost, ..Entry::waiting(frame, 0, shard) });
    }

    fn shard(&self, header: &PayloadHeader) -> usize {
        usize::try_from(header.context.id.0 % self.shards as u128).expect("below their number")
    }

    fn reach(&mut self, header: &PayloadHeader) -> &mut Reach {
        let read_back = &mut *self.read_back;
        let reach = self.reached.entry(header.context.id).or_insert_with(|| {
            let of_sink = read_back.of_sink(header.context.id);
            let had = Had::of(&of_sink);
            Reach { epoch: header.epoch, end: 0, of_sink, had, is_beheaded: false }
        });
        if reach.epoch != header.epoch {
            (reach.epoch, reach.end, reach.is_beheaded) = (header.epoch, 0, false);
        }
        reach
    }
}

#[cfg(test)]
mod tests {
    use flow::{Codec, Encoding};

    use super::*;
    use crate::payload_kit::Payloads;

    /// From where on a section of 100 bytes is owed, of whose first 50 the sink has a part of `section`.
    fn owed_behind_a_part_of(section: Span) -> Option<u64> {
        let mut of_sink = Vec::new();
        let part = (Span::new(0, 50), Some(section));
        PersistedSpan::append_part(&mut of_sink, 0, part, &[], true);
        let payload = Payloads::new().payload(Encoding::Json, Codec::None, &[b'x'; 100]);
        let had = Had::of(&of_sink);
        let mut reach = Reach { epoch: 0, end: 0, of_sink, had, is_beheaded: false };
        reach.owed(&payload.headers[0])
    }

    /// An older life sent parts of a section of its own, which ended inside of a line: its rest was left out.
    #[test]
    fn parts_of_a_section_that_ended_before_are_owed() {
        assert_eq!(owed_behind_a_part_of(Span::new(0, 80)), Some(0));
        assert_eq!(owed_behind_a_part_of(Span::new(0, 100)), Some(50), "the same section");
    }
}
