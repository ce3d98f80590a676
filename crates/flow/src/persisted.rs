//! Persisted: what a queue holds of one context, sections that follow each other as one.
//!
//! So that what is kept is as large as the number of interruptions and of generations, not of sections.

use std::collections::HashMap;

use crate::{Position, Span, Streams, is_mutant};

/// Sections of one context that are already in the queue, without a hole in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistedSpan {
    /// Epoch of the context.
    pub epoch: u32,
    /// Which cursors.
    pub span: Span,
    /// How far each generation was read, in the order in which they were first read of.
    pub positions: Vec<Reached>,
    /// It ends with a part of a section, after which no restart can go on: that has no positions.
    pub is_inner: bool,
    /// A section that cannot be divided, of which this is a part. Nothing, once all of it is here.
    pub part_of: Option<Span>,
    /// Of which streams the next line goes on from what the span ends with.
    pub continued: Streams<bool>,
}

/// How far a generation was read, as the section says that was the last to tell of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Cursor just after that section. A checkpoint at it or beyond knows of all this, and perhaps that
    /// the generation is done with.
    pub cursor: u64,
    /// Where.
    pub position: Position,
    /// That section is a gap of unknown size: the generation is gone.
    pub is_gone: bool,
}

impl PersistedSpan {
    /// The next section of a context in queue order.
    pub fn append(
        spans: &mut Vec<PersistedSpan>,
        epoch: u32,
        span: Span,
        positions: &[Position],
        is_inner: bool,
    ) {
        PersistedSpan::append_part(spans, epoch, (span, None), positions, is_inner);
    }

    /// The same of a part of a section that cannot be divided, if that is given.
    pub fn append_part(
        spans: &mut Vec<PersistedSpan>,
        epoch: u32,
        (span, part_of): (Span, Option<Span>),
        positions: &[Position],
        is_inner: bool,
    ) {
        let is_gone = span.is_empty();
        let reached = |position: &Position| {
            let (cursor, position) = (span.end, *position);
            Reached { cursor, position, is_gone }
        };
        let reached = positions.iter().map(reached);
        if is_inner && !is_mutant("older_end_resumed") {
            PersistedSpan::pass_over(spans, epoch, span);
        }
        let continued = positions.last().map(|it| it.continued);
        match spans.last_mut() {
            // Behind the last place where a restart can go on begins another.
            Some(last)
                if (last.epoch, last.part_of) == (epoch, part_of)
                    && last.span.end == span.begin
                    && (last.is_inner || !is_inner) =>
            {
                last.span.end = span.end;
                last.is_inner = is_inner;
                last.continued = continued.unwrap_or(last.continued);
                reached.for_each(|it| last.reach(it));
            }
            _ => {
                let positions = reached.collect();
                let continued = continued.unwrap_or_default();
                spans.push(PersistedSpan { epoch, span, positions, is_inner, part_of, continued });
            }
        }
        spans.last_mut().into_iter().for_each(PersistedSpan::complete);
    }

    /// What is a whole section is a part of none.
    fn complete(&mut self) {
        self.part_of = self.part_of.filter(|it| *it != self.span);
    }

    /// What counts of what a queue has of a context's epoch, in the order of cursors.
    ///
    /// A section that cannot be divided has lines that lie across others: a record may have bytes that stand behind the
    /// next one. So the parts behind a hole in it do not count, whatever other sections have at the cursors of that hole:
    /// an older life may have sent the first part of such a line alone.
    #[must_use]
    pub fn counted(spans: &[PersistedSpan], epoch: u32) -> Vec<&PersistedSpan> {
        let is_counted = |(at, it): &(usize, &PersistedSpan)| {
            it.epoch == epoch && !spans[at + 1..].iter().any(|later| it.is_overtaken_by(later))
        };
        let mut counted: Vec<_> =
            spans.iter().enumerate().filter(is_counted).map(|it| it.1).collect();
        counted.sort_by_key(|it| (it.span.begin, it.span.end));
        // Up to where each section is there without a hole.
        let mut reached: HashMap<(u64, u64), u64> = HashMap::new();
        counted.retain(|it| {
            let Some(section) = it.part_of else { return true };
            let reach = reached.entry((section.begin, section.end)).or_insert(section.begin);
            let is_behind_hole = it.span.begin > *reach;
            if !is_behind_hole {
                *reach = it.span.end.max(*reach);
            }
            !is_behind_hole || is_mutant("hole_filled_by_another_section")
        });
        counted
    }

    /// What begins inside of what came after it stands behind a hole, and is not what follows there: a later life read on
    /// before it, and the file may hold something else since. So is what begins with a part of a section that came after
    /// it; with a whole one, which may be a copy in a spool, it may be the same. Partitions of a topic have no order
    /// between them: there more than needed may be overtaken, and is sent again.
    fn is_overtaken_by(&self, later: &PersistedSpan) -> bool {
        // What is empty where a part begins is what that follows on.
        let is_with = later.is_inner && !self.span.is_empty();
        let first = later.span.begin + u64::from(!is_with);
        let is_inside = (first..later.span.end).contains(&self.span.begin);
        later.epoch == self.epoch && is_inside && !is_mutant("overtaken_span_counted")
    }

    /// Whether it counts for who is to send that section: what is a part of one that ended before may be the begin of a line
    /// of which this one has more.
    #[must_use]
    pub fn counts_for(&self, section: Span) -> bool {
        // Of one that was sent in part, the rest is a section that ends with it.
        let ends_with = |it: Span| it.end == section.end;
        self.part_of.is_none_or(ends_with) || is_mutant("part_of_another_section_left_out")
    }

    /// Where another life ended a section, behind a hole, a later one went on with its own: a restart there would have
    /// what that delivered of a line of which it knows nothing.
    fn pass_over(spans: &mut [PersistedSpan], epoch: u32, inner: Span) {
        let is_passed = |it: &&mut PersistedSpan| {
            it.epoch == epoch && inner.begin < it.span.end && it.span.end <= inner.end
        };
        spans.iter_mut().filter(is_passed).for_each(|it| it.is_inner = true);
    }

    /// The later position of a generation counts.
    fn reach(&mut self, later: Reached) {
        let generation = later.position.generation;
        match self.positions.iter_mut().find(|it| it.position.generation == generation) {
            Some(known) => *known = later,
            None => self.positions.push(later),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(generation: u64, offset: u64) -> Position {
        Position { generation, offset, ..Position::default() }
    }

    fn reached(cursor: u64, generation: u64, offset: u64) -> Reached {
        Reached { cursor, position: at(generation, offset), is_gone: false }
    }

    #[test]
    fn sections_that_follow_each_other_are_one_span_that_says_when_each_position_was_reached() {
        let mut spans = Vec::new();
        let mut add = |epoch, begin, end, positions: &[Position]| {
            PersistedSpan::append(&mut spans, epoch, Span::new(begin, end), positions, false);
        };
        add(0, 0, 10, &[at(1, 10)]);
        add(0, 10, 20, &[at(1, 15), at(2, 5)]);
        add(0, 20, 30, &[at(2, 15)]);
        add(0, 30, 30, &[]);
        add(0, 40, 50, &[at(2, 35)]);
        add(1, 50, 60, &[at(3, 10)]);
        let span = |epoch, begin, end, positions| PersistedSpan {
            epoch,
            span: Span::new(begin, end),
            positions,
            is_inner: false,
            part_of: None,
            continued: Streams::default(),
        };
        let want = [
            span(0, 0, 30, vec![reached(20, 1, 15), reached(30, 2, 15)]),
            span(0, 40, 50, vec![reached(50, 2, 35)]),
            span(1, 50, 60, vec![reached(60, 3, 10)]),
        ];
        assert_eq!(spans, want);
    }

    #[test]
    fn a_part_of_a_section_behind_a_whole_one_begins_another_span_that_the_rest_ends() {
        let mut spans = Vec::new();
        let mut add = |begin, end, positions: &[Position], is_inner| {
            PersistedSpan::append(&mut spans, 0, Span::new(begin, end), positions, is_inner);
        };
        add(0, 10, &[at(1, 10)], false);
        add(10, 20, &[], true);
        add(20, 30, &[at(1, 30)], false);
        let got: Vec<_> = spans.iter().map(|it| (it.span, it.is_inner)).collect();
        assert_eq!(got, [(Span::new(0, 10), false), (Span::new(10, 30), false)]);
        assert_eq!(spans[1].positions, [reached(30, 1, 30)]);
    }

    #[test]
    fn where_a_section_ended_within_a_later_one_no_restart_goes_on() {
        let mut spans = Vec::new();
        let mut add = |begin, end, is_inner| {
            let positions = if is_inner { vec![] } else { vec![at(1, end)] };
            PersistedSpan::append(&mut spans, 0, Span::new(begin, end), &positions, is_inner);
        };
        // The first life's, behind a hole; then the second's, which died inside of its section.
        add(0, 10, false);
        add(20, 30, false);
        add(50, 60, false);
        add(10, 20, true);
        add(20, 30, true);
        add(30, 40, true);
        let got: Vec<_> = spans.iter().map(|it| (it.span, it.is_inner)).collect();
        let want = [((0, 10), false), ((20, 30), true), ((50, 60), false), ((10, 40), true)];
        assert_eq!(got, want.map(|((begin, end), is_inner)| (Span::new(begin, end), is_inner)));
    }

    #[test]
    fn a_part_behind_a_hole_in_its_section_does_not_count_whatever_another_has_there() {
        let mut spans = Vec::new();
        let mut add = |begin, end, section: Option<(u64, u64)>, is_inner| {
            let positions = if is_inner { vec![] } else { vec![at(1, end)] };
            let part_of = section.map(|(begin, end)| Span::new(begin, end));
            let span = (Span::new(begin, end), part_of);
            PersistedSpan::append_part(&mut spans, 0, span, &positions, is_inner);
            let counted = PersistedSpan::counted(&spans, 0);
            counted.iter().map(|it| (it.span.begin, it.span.end)).collect::<Vec<_>>()
        };
        let (first, second) = (Some((0, 20)), Some((0, 40)));
        // A section of the first life's, without its begin, and one that was of it alone.
        assert_eq!(add(10, 20, first, false), []);
        assert_eq!(add(10, 20, None, false), [(10, 20)]);
        // One of the second's, without what is in the middle.
        assert_eq!(add(0, 10, second, true), [(0, 10), (10, 20)]);
        assert_eq!(add(20, 30, second, true), [(0, 10), (10, 20)]);
        assert_eq!(add(30, 40, second, false), [(0, 10), (10, 20)]);
        // That comes behind it, in place of the first life's; and then what follows it.
        assert_eq!(add(10, 20, second, true), [(0, 10), (10, 20), (20, 40)]);
        assert_eq!(add(40, 50, None, false).last(), Some(&(40, 50)));
        assert_eq!(PersistedSpan::counted(&spans, 1), Vec::<&PersistedSpan>::new());
    }

    #[test]
    fn what_begins_with_what_a_later_life_sent_does_not_count_but_what_is_empty_before_it() {
        let mut spans = Vec::new();
        let mut add = |begin, end, is_inner| {
            PersistedSpan::append(&mut spans, 0, Span::new(begin, end), &[], is_inner);
            let counted = PersistedSpan::counted(&spans, 0);
            counted.iter().map(|it| (it.span.begin, it.span.end)).collect::<Vec<_>>()
        };
        // The first life's, behind a hole; then a gap of unknown size, before which nothing is known.
        assert_eq!(add(20, 40, false), [(20, 40)]);
        assert_eq!(add(10, 10, false), [(10, 10), (20, 40)]);
        assert_eq!(add(10, 15, true), [(10, 10), (10, 15), (20, 40)]);
        assert_eq!(add(15, 20, false), [(10, 10), (10, 20), (20, 40)]);
        // The begin of what the second sends in the first one's place.
        assert_eq!(add(20, 30, true), [(10, 10), (10, 20), (20, 30)]);
        // What is empty inside of what came later, too, is where nobody went on.
        let mut spans = Vec::new();
        for (begin, end, is_inner) in [(20, 20, false), (10, 30, true)] {
            PersistedSpan::append(&mut spans, 0, Span::new(begin, end), &[], is_inner);
        }
        let counted = PersistedSpan::counted(&spans, 0);
        assert_eq!(counted.iter().map(|it| it.span).collect::<Vec<_>>(), [Span::new(10, 30)]);
    }

    #[test]
    fn a_section_that_is_there_in_all_its_parts_is_one_with_what_follows_it() {
        let mut spans = Vec::new();
        let section = Some(Span::new(0, 20));
        for (begin, end, part_of) in [(0, 10, section), (10, 20, section), (20, 30, None)] {
            let (span, is_inner) = (Span::new(begin, end), begin == 0);
            PersistedSpan::append_part(&mut spans, 0, (span, part_of), &[], is_inner);
        }
        let got: Vec<_> = spans.iter().map(|it| (it.span, it.part_of, it.is_inner)).collect();
        assert_eq!(got, [(Span::new(0, 30), None, false)]);
    }

    #[test]
    fn what_a_line_goes_on_from_is_told_by_the_last_section() {
        let mut spans = Vec::new();
        let mut add = |begin, end, bits| {
            let continued = Streams::from_bits(bits).unwrap();
            let positions = [at(1, end), Position { continued, ..at(2, end) }];
            PersistedSpan::append(&mut spans, 0, Span::new(begin, end), &positions, false);
            spans[0].continued.bits()
        };
        assert_eq!([add(0, 10, 1), add(10, 20, 3), add(20, 30, 2), add(30, 40, 0)], [1, 3, 2, 0]);
    }

    #[test]
    fn a_gap_of_unknown_size_says_that_its_generation_is_gone_until_more_is_read_of_it() {
        let mut spans = Vec::new();
        let mut add = |begin, end, positions: &[Position]| {
            PersistedSpan::append(&mut spans, 0, Span::new(begin, end), positions, false);
            spans[0].positions.clone()
        };
        add(0, 10, &[at(1, 10)]);
        let gone = add(10, 10, &[at(1, 10)]);
        assert_eq!(gone, [Reached { is_gone: true, ..reached(10, 1, 10) }]);
        assert_eq!(add(10, 20, &[at(1, 20)]), [reached(20, 1, 20)]);
    }
}
