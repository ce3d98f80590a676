//! Open ring: the sources that hold descriptors, so that the least recently active are found.
//!
//! A clock rather than a list in order of use: a source that was active since its last turn gets
//! another one. That costs a flag where a list would cost a move for each read.

use std::collections::VecDeque;

use crate::schedule::SourceIndex;

/// The sources that hold descriptors. Each is in it once at most.
#[derive(Debug, Default)]
pub(super) struct OpenRing {
    sources: VecDeque<SourceIndex>,
    /// By source.
    states: Vec<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    is_in: bool,
    is_active: bool,
}

impl OpenRing {
    /// A source holds descriptors, and is active now.
    pub(super) fn touch(&mut self, source: SourceIndex) {
        self.put(source);
        self.states[source].is_active = true;
    }

    /// A source holds descriptors: it comes last, if it is not in yet.
    pub(super) fn put(&mut self, source: SourceIndex) {
        if self.states.len() <= source {
            self.states.resize(source + 1, State::default());
        }
        if !std::mem::replace(&mut self.states[source].is_in, true) {
            self.sources.push_back(source);
        }
    }

    /// Takes out the one that was not active for longest, or the next best.
    pub(super) fn pop(&mut self) -> Option<SourceIndex> {
        for _ in 0..self.sources.len() {
            let source = self.sources.pop_front()?;
            if std::mem::take(&mut self.states[source].is_active) {
                self.sources.push_back(source);
                continue;
            }
            self.states[source].is_in = false;
            return Some(source);
        }
        let source = self.sources.pop_front()?;
        self.states[source].is_in = false;
        Some(source)
    }

    pub(super) fn len(&self) -> usize {
        self.sources.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c10_the_one_that_was_active_gets_another_turn() {
        let mut ring = OpenRing::default();
        (0..3).for_each(|source| ring.put(source));
        ring.touch(0);
        assert_eq!([ring.pop(), ring.pop(), ring.pop()], [Some(1), Some(2), Some(0)]);
        assert_eq!(ring.pop(), None);
        ring.touch(7);
        ring.touch(7);
        assert_eq!((ring.len(), ring.pop(), ring.pop()), (1, Some(7), None));
    }
}
