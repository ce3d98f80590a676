//! Read-back: what the queue already holds of each context, for the agent's start.
//!
//! Built in one pass over the indices of sealed segments and the frame headers of the others; blocks
//! are left alone. Spans that follow each other are one, so it is as large as the number of contexts,
//! interruptions and generations, not of sections. It is a picture of the moment and dropped after start.

use std::collections::HashMap;

use flow::{ContextId, PersistedSpan, ReadBack};

use super::Queue;
use super::index::IndexEntry;
use super::lookup::Order;
use super::problem::Problem;
use super::reader::{QueueReader, ReadError};

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
                    let spans = read_back.contexts.entry(context).or_default();
                    let positions = indexed.index.positions(it);
                    PersistedSpan::append(spans, it.epoch, it.span, positions, false);
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
}

impl ReadBack for QueueReadBack {
    fn persisted(&mut self, context: ContextId) -> Vec<PersistedSpan> {
        self.contexts.get(&context).cloned().unwrap_or_default()
    }

    fn forget(&mut self, context: ContextId) -> bool {
        self.contexts.remove(&context);
        true
    }
}
