//! Had: what a queue turns out to have of a context, when sections come that were read without knowing it.
//!
//! Cursors do not tell it alone: who reads on from a checkpoint may meet generations in another order (a late write,
//! one that is gone), and begins another epoch where the checkpoint knows nothing. But a generation and an offset
//! in it are the same bytes for ever, and sections carry them. What is in doubt is owed: a double can be seen, and
//! what is left out wrongly is lost.

use flow::{PayloadHeader, PersistedSpan, Position, Reached, Span, is_mutant};

/// What a queue has of a context in its last epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Had {
    /// Without what is a part of a section of which the rest is not there.
    of_all: Cover,
    /// By the end of such a section, with its parts.
    of_parts: Vec<(u64, Cover)>,
}

/// What counts of it for one section, without a hole where nothing else is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Cover {
    epoch: u32,
    /// First cursor that it does not have.
    end: u64,
    /// How far each generation is there.
    reached: Vec<Reached>,
    /// Behind the last of these, parts of a section are there.
    is_inner: bool,
    /// All cursors that it has, also behind holes, which are between these.
    runs: Vec<Span>,
}

impl Had {
    /// What these spans come to; none if there are none.
    pub(crate) fn of(spans: &[PersistedSpan]) -> Option<Had> {
        Had::up_to(spans, false)
    }

    /// The same of a spool whose sink cannot be asked. It is handed nothing behind what is neither in it nor acknowledged
    /// by its sink: what lies between its spans, that has.
    pub(crate) fn of_spool_alone(spans: &[PersistedSpan]) -> Option<Had> {
        Had::up_to(spans, !is_mutant("late_spool_doubts_what_its_sink_has"))
    }

    fn up_to(spans: &[PersistedSpan], is_over_holes: bool) -> Option<Had> {
        let epoch = spans.iter().map(|it| it.epoch).max()?;
        let counted = PersistedSpan::counted(spans, epoch);
        let mut sections: Vec<Span> = counted.iter().filter_map(|it| it.part_of).collect();
        sections.dedup_by_key(|it| it.end);
        let with = |section: Span| {
            let spans = counted.iter().copied().filter(|it| it.counts_for(section));
            Cover::of(epoch, &spans.collect::<Vec<_>>(), is_over_holes)
        };
        let of_parts = sections.into_iter().map(|it| (it.end, with(it))).collect();
        // No section is empty.
        Some(Had { of_all: with(Span::new(0, 0)), of_parts })
    }

    /// The queue's last epoch of the context.
    pub(crate) fn epoch(&self) -> u32 {
        self.of_all.epoch
    }

    /// From which cursor on the section is owed; none if the queue has all of it.
    pub(crate) fn owed(&self, header: &PayloadHeader) -> Option<u64> {
        self.cover(header).owed(header)
    }

    /// The same of a section that comes out of a spool. It was read by the life that sent what stands behind a hole, so
    /// that the same cursors are the same bytes there too, and only the hole is owed: as if the spool had been opened with
    /// its sink there.
    pub(crate) fn owed_by_spool(&self, header: &PayloadHeader) -> Option<u64> {
        let span = header.span;
        let cover = self.cover(header);
        if span.is_empty() || header.epoch != cover.epoch || cover.contradicts(header) {
            return cover.owed(header);
        }
        let begun = cover.runs.partition_point(|it| it.begin <= span.begin);
        let last = begun.checked_sub(1).map(|it| cover.runs[it]);
        let from = last.map_or(span.begin, |it| it.end.max(span.begin));
        (from < span.end).then_some(from)
    }

    /// Whether the queue has other bytes than these at the cursors of the section.
    pub(crate) fn contradicts(&self, header: &PayloadHeader) -> bool {
        self.cover(header).contradicts(header)
    }

    fn cover(&self, header: &PayloadHeader) -> &Cover {
        let own = self.of_parts.iter().find(|it| it.0 == header.section().end);
        own.map_or(&self.of_all, |it| &it.1)
    }
}

impl Cover {
    /// What these spans come to, which are in the order of cursors.
    fn of(epoch: u32, spans: &[&PersistedSpan], is_over_holes: bool) -> Cover {
        let end = spans.first().map_or(0, |it| it.span.begin);
        let runs = runs(spans.iter().map(|it| it.span));
        let mut cover = Cover { epoch, end, runs, ..Cover::default() };
        // Behind a hole everything is read again, if it is one.
        for it in spans {
            if it.span.begin > cover.end && !is_over_holes {
                break;
            }
            if it.span.end >= cover.end {
                (cover.end, cover.is_inner) = (it.span.end, it.is_inner);
            }
            it.positions.iter().for_each(|it| cover.reach(*it));
        }
        cover
    }

    fn reach(&mut self, later: Reached) {
        let generation = later.position.generation;
        match self.reached.iter_mut().find(|it| it.position.generation == generation) {
            Some(known) => *known = later,
            None => self.reached.push(later),
        }
    }

    fn owed(&self, header: &PayloadHeader) -> Option<u64> {
        let span = header.span;
        if span.is_empty() {
            let is_there = header.epoch == self.epoch && span.begin < self.end;
            return (!is_there).then_some(span.begin);
        }
        let from = match header.own_positions() {
            [at] if header.gap.is_none() => self.owed_of(header, at),
            [] | [_] => self.by_cursor(header),
            all if header.gap.is_none() && all.iter().all(|it| self.has(it)) => span.end,
            _ => self.by_cursor(header),
        };
        (from < span.end).then_some(from)
    }

    /// The same of a section that is all of one generation and ends at `at`.
    fn owed_of(&self, header: &PayloadHeader, at: &Position) -> u64 {
        let span = header.span;
        let Some(there) = self.reached.iter().find(|it| is_of(it, at)) else {
            // Only parts of the generation's first section may be there: they have no positions.
            let is_behind = self.reached.iter().all(|it| it.cursor <= span.begin);
            let may_be_there = self.is_inner && is_behind;
            return if may_be_there { self.by_cursor(header) } else { span.begin };
        };
        let mut offset = there.position.offset;
        let is_last = self.reached.iter().all(|it| it.cursor <= there.cursor);
        // The same cursors as in the queue: so are those of the parts behind.
        let is_same = header.epoch == self.epoch
            && there.cursor.wrapping_sub(offset) == span.end.wrapping_sub(at.offset);
        if self.is_inner && is_last && is_same {
            offset += self.end - there.cursor;
        }
        span.end - at.offset.saturating_sub(offset).min(span.bytes())
    }

    /// By cursors alone, which say nothing in another epoch.
    fn by_cursor(&self, header: &PayloadHeader) -> u64 {
        let span = header.span;
        if header.epoch == self.epoch { self.end.clamp(span.begin, span.end) } else { span.begin }
    }

    fn has(&self, at: &Position) -> bool {
        self.reached.iter().any(|it| is_of(it, at) && it.position.offset >= at.offset)
    }

    fn contradicts(&self, header: &PayloadHeader) -> bool {
        let [at] = header.own_positions() else { return false };
        let Some(there) = self.reached.iter().find(|it| is_of(it, at)) else { return false };
        let theirs = there.cursor.wrapping_sub(there.position.offset);
        header.gap.is_none() && theirs != header.span.end.wrapping_sub(at.offset)
    }
}

/// What spans cover together, by where they begin.
fn runs(sorted: impl Iterator<Item = Span>) -> Vec<Span> {
    let mut runs: Vec<Span> = Vec::new();
    for span in sorted {
        match runs.last_mut().filter(|it| span.begin <= it.end) {
            Some(run) => run.end = run.end.max(span.end),
            None => runs.push(span),
        }
    }
    runs
}

fn is_of(reached: &Reached, at: &Position) -> bool {
    reached.position.generation == at.generation
}
