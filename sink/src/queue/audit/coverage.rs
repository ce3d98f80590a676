//! Coverage: which cursors of one context and epoch were seen.

use flow::Span;

/// Most holes that are kept open to be filled in late.
///
/// Holes come from what a crash lost and a restart read again: a few. Beyond this, the oldest hole is
/// closed and counted as lost for good.
pub(super) const HOLES_MAX: usize = 1024;

/// A set of cursors, as ranges that neither touch nor overlap, ascending.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    ranges: Vec<Span>,
    /// Bytes of holes that were closed because there were too many.
    closed: u64,
    is_coarse: bool,
}

impl Coverage {
    /// Adds the cursors of `span`, and returns how many of them were there before.
    pub(super) fn cover(&mut self, span: Span) -> u64 {
        if span.is_empty() {
            return 0;
        }
        // All that touches or overlaps the span becomes one range with it.
        let from = self.ranges.partition_point(|range| range.end < span.begin);
        let to = self.ranges.partition_point(|range| range.begin <= span.end);
        let mut merged = span;
        let mut overlap = 0;
        for range in &self.ranges[from..to] {
            let begin = range.begin.max(span.begin);
            let end = range.end.min(span.end);
            overlap += end.saturating_sub(begin);
            merged = Span::new(merged.begin.min(range.begin), merged.end.max(range.end));
        }
        if to == from + 1 {
            self.ranges[from] = merged;
        } else {
            self.ranges.splice(from..to, [merged]);
        }
        if self.ranges.len() > HOLES_MAX + 1 {
            self.close_oldest_hole();
        }
        overlap
    }

    fn close_oldest_hole(&mut self) {
        let first = self.ranges.remove(0);
        self.closed += self.ranges[0].begin - first.end;
        self.ranges[0].begin = first.begin;
        self.is_coarse = true;
    }

    /// Bytes between the first cursor and the last that were never seen.
    pub(super) fn holes(&self) -> u64 {
        let open: u64 = self.ranges.windows(2).map(|pair| pair[1].begin - pair[0].end).sum();
        open + self.closed
    }

    /// Whether holes were closed, so that filling them counts as doubling.
    pub(super) fn is_coarse(&self) -> bool {
        self.is_coarse
    }

    pub(super) fn begin(&self) -> Option<u64> {
        self.ranges.first().map(|range| range.begin)
    }

    pub(super) fn end(&self) -> Option<u64> {
        self.ranges.last().map(|range| range.end)
    }

    /// From the first cursor to the last.
    pub(super) fn span(&self) -> Option<Span> {
        Some(Span::new(self.begin()?, self.end()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn coverage_agrees_with_a_set_of_bytes(
            spans in prop::collection::vec((0u64..200, 0u64..30), 0..40),
        ) {
            let mut coverage = Coverage::default();
            let mut model = [false; 256];
            for (begin, bytes) in spans {
                let cells = &mut model[usize::try_from(begin).unwrap()..][..usize::try_from(bytes).unwrap()];
                let overlap = cells.iter().filter(|seen| **seen).count() as u64;
                cells.fill(true);
                prop_assert_eq!(coverage.cover(Span::new(begin, begin + bytes)), overlap);
                let first = model.iter().position(|seen| *seen);
                let last = model.iter().rposition(|seen| *seen);
                prop_assert_eq!(coverage.begin(), first.map(|at| at as u64));
                prop_assert_eq!(coverage.end(), last.map(|at| at as u64 + 1));
                let holes = first.map_or(0, |first| {
                    model[first..=last.unwrap()].iter().filter(|seen| !**seen).count()
                });
                prop_assert_eq!(coverage.holes(), holes as u64);
            }
        }
    }

    #[test]
    fn holes_are_bounded_and_stay_counted() {
        let mut coverage = Coverage::default();
        let ranges = 2 * HOLES_MAX as u64;
        for number in 0..ranges {
            coverage.cover(Span::new(number * 10, number * 10 + 7));
        }
        assert_eq!(coverage.ranges.len(), HOLES_MAX + 1);
        assert_eq!(coverage.holes(), (ranges - 1) * 3);
        assert!(coverage.is_coarse());
    }
}
