//! Read-back: what the queue already holds of each context, for the agent's start.
//!
//! Built in one pass over the indices of sealed segments and the frame headers of the others; blocks
//! are left alone. Spans that follow each other are one, so it is as large as the number of contexts
//! and of interruptions, not of sections. It is a picture of the moment and dropped after start.

use std::collections::HashMap;

use flow::{ContextId, PersistedSpan, Position, ReadBack, Span};

use super::Queue;
use super::index::IndexEntry;
use super::lookup::Order;
use super::problem::Problem;
use super::reader::{QueueReader, ReadError};
use crate::spans;

/// What a queue held when it was opened.
#[derive(Debug, Default)]
pub struct QueueReadBack {
    contexts: HashMap<ContextId, Vec<PersistedSpan>>,
    problems: Vec<Problem>,
}

impl QueueReadBack {
    /// Goes over the whole queue, which is open for writing: only then is all that is found safe too.
    ///
    /// To be called before the first payload is appended.
    ///
    /// # Errors
    /// If the queue's folder cannot be read.
    pub fn of(queue: &Queue) -> Result<QueueReadBack, ReadError> {
        let reader = QueueReader::open(queue.dir())?;
        let mut read_back = QueueReadBack::default();
        let mut problems = Vec::new();
        for tenant in reader.tenants()? {
            reader.each_index(&tenant, Order::OldestFirst, &mut problems, |indexed, _| {
                let mut entries: Vec<&IndexEntry> = indexed.index.entries.iter().collect();
                entries.sort_unstable_by_key(|it| (it.frame_offset, it.number));
                for it in entries {
                    let context = indexed.index.context_of(it);
                    read_back.add(context, it.epoch, it.span, indexed.index.positions(it));
                }
                true
            })?;
        }
        read_back.problems = problems;
        Ok(read_back)
    }

    /// What could not be read; spans in there are not told of, and will be read again.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The next section of `context` in queue order.
    fn add(&mut self, context: ContextId, epoch: u32, span: Span, positions: &[Position]) {
        spans::add(self.contexts.entry(context).or_default(), epoch, span, positions, false);
    }
}

impl ReadBack for QueueReadBack {
    fn persisted(&mut self, context: ContextId) -> Vec<PersistedSpan> {
        self.contexts.get(&context).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_follow_each_other_are_one() {
        let mut read_back = QueueReadBack::default();
        let at = |generation, offset| Position { generation, offset, ..Position::default() };
        let context = ContextId(1);
        read_back.add(context, 0, Span::new(0, 10), &[at(1, 10)]);
        read_back.add(context, 0, Span::new(10, 20), &[at(1, 15), at(2, 5)]);
        read_back.add(context, 0, Span::new(20, 20), &[]);
        read_back.add(context, 0, Span::new(30, 40), &[at(2, 25)]);
        read_back.add(context, 1, Span::new(40, 50), &[at(3, 10)]);
        let spans = read_back.persisted(context);
        let span = |epoch, begin, end, positions| PersistedSpan {
            epoch,
            span: Span::new(begin, end),
            positions,
            is_inner: false,
        };
        assert_eq!(
            spans,
            [
                span(0, 0, 20, vec![at(1, 15), at(2, 5)]),
                span(0, 30, 40, vec![at(2, 25)]),
                span(1, 40, 50, vec![at(3, 10)]),
            ]
        );
        assert!(read_back.persisted(ContextId(2)).is_empty());
    }
}
