//! Missing: what is declared as a gap, before it has cursors, and where the chain stands after it.

use flow::{GapReason, Position, Span};

use super::{Carrier, Generation, Source};
use crate::frame::Streams;

/// A declared gap, before it has cursors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// Why.
    pub reason: GapReason,
    /// How many bytes; 0 if nobody knows.
    pub bytes: u64,
    /// Of which generation.
    pub of: MissingOf,
}

/// Which generation something is missing of. Its position stands in the queue with the gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingOf {
    /// The one that the last look was at.
    Current,
    /// One that was being read before the start, and has no file now.
    Gone(Position),
    /// One that no look ever showed.
    Unseen,
}

impl Missing {
    /// Of the generation that the last look was at.
    pub(crate) fn new(reason: GapReason, bytes: u64) -> Missing {
        Missing { reason, bytes, of: MissingOf::Current }
    }
}

impl Source {
    /// The span of a gap, and where the generations stand after it that it is of.
    ///
    /// One of unknown size tells those who start later that its generation is not to be missed again.
    pub fn gap(&mut self, missing: &Missing) -> (Span, Vec<Position>) {
        let mut positions = match missing.of {
            MissingOf::Current => self.positions_of_gap(),
            MissingOf::Gone(position) => vec![position],
            MissingOf::Unseen => Vec::new(),
        };
        // What comes next does not belong to what came before the gap.
        self.states = Streams::default();
        self.tell_continued(&mut positions);
        (self.advance(missing.bytes), positions)
    }

    fn positions_of_gap(&self) -> Vec<Position> {
        let of_gap = self.generations.get(self.current);
        // A restart must know that what the inode of a cut generation holds now is another one.
        let is_lost = of_gap.is_some_and(|it| matches!(it.carrier, Carrier::Lost(_)));
        let incarnation = of_gap.filter(|_| is_lost).map(|it| it.incarnation + 1);
        let next = self
            .generations
            .iter()
            .skip(self.current + 1)
            .find(|it| Some(it.incarnation) == incarnation);
        of_gap.into_iter().chain(next).map(Generation::position).collect()
    }
}
