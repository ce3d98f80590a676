//! Memory: what is known of contexts that are not being read, from checkpoint, queue and closed
//! sources.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flow::{ContextId, ReadBack, ToldSince};

use crate::checkpoint::Entry;
use crate::source::Known;

/// Remembers contexts. One per data plane, asked once per source that begins.
#[derive(Debug)]
pub struct Memory {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    known: HashMap<ContextId, Known>,
    /// By sink: what its queue holds.
    read_backs: Vec<Option<Box<dyn ReadBack>>>,
    /// There is a checkpoint, and it is whole.
    is_whole: bool,
}

impl Inner {
    /// Where the context goes on, which its sink's queue may know better than we do.
    fn resume(&mut self, context: ContextId, sink: usize, known: Option<Known>) -> Option<Known> {
        let Some(read_back) = self.read_backs.get_mut(sink).and_then(Option::as_mut) else {
            return known;
        };
        let from_begin = match read_back.told_since() {
            ToldSince::Retention => false,
            ToldSince::Checkpoint => self.is_whole,
            ToldSince::Ever => true,
        };
        Known::resume(known, &read_back.persisted(context), from_begin)
    }
}

impl Memory {
    /// What the checkpoint, of which nothing is `damaged`, and each sink's queue tell.
    #[must_use]
    pub fn new(
        entries: Vec<Entry>,
        is_damaged: bool,
        read_backs: Vec<Option<Box<dyn ReadBack>>>,
    ) -> Memory {
        let is_whole = !is_damaged && !entries.is_empty();
        let known = entries.into_iter().map(|entry| (entry.context, entry.known)).collect();
        Memory { inner: Mutex::new(Inner { known, read_backs, is_whole }) }
    }

    /// Where the context goes on, if it was ever seen.
    #[must_use]
    pub fn recall(&self, context: ContextId, sink: usize) -> Option<Known> {
        let mut inner = self.lock();
        let known = inner.known.remove(&context);
        // After the start there are few: sources that ended.
        if inner.known.len() < inner.known.capacity() / 8 {
            inner.known.shrink_to_fit();
        }
        inner.resume(context, sink, known)
    }

    /// Takes over what queues tell now and not at the next start; returns what is news, and has to be in the
    /// first checkpoint.
    #[must_use]
    pub fn settle(&self) -> Vec<(ContextId, Known)> {
        let mut inner = self.lock();
        let mut news = Vec::new();
        for sink in 0..inner.read_backs.len() {
            let passing = inner.read_backs[sink].as_ref().map(|it| it.passing());
            for context in passing.unwrap_or_default() {
                let before = inner.known.get(&context).cloned();
                let Some(now) = inner.resume(context, sink, before) else { continue };
                if inner.known.get(&context) != Some(&now) {
                    inner.known.insert(context, now.clone());
                    news.push((context, now));
                }
            }
        }
        news
    }

    /// Whether there is a generation of which it is known how far it was read: a life before was not done with it.
    #[must_use]
    pub fn is_begun(&self, context: ContextId) -> bool {
        self.lock().known.get(&context).is_some_and(|it| !it.generations.is_empty())
    }

    /// A source was closed: its context may come back.
    pub fn keep(&self, context: ContextId, known: Known) {
        self.lock().known.insert(context, known);
    }

    /// What is known stays right even if a thread died while it held the lock.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use flow::{PersistedSpan, Span, Streams};

    use super::*;

    #[derive(Debug)]
    struct Told;

    impl ReadBack for Told {
        fn persisted(&mut self, context: ContextId) -> Vec<PersistedSpan> {
            let end = if context == ContextId(1) { 10 } else { 30 };
            let span = Span::new(0, end);
            let (positions, continued) = (Vec::new(), Streams::default());
            vec![PersistedSpan {
                epoch: 1,
                span,
                positions,
                is_inner: false,
                part_of: None,
                continued,
            }]
        }

        fn passing(&self) -> Vec<ContextId> {
            vec![ContextId(1), ContextId(2), ContextId(3)]
        }
    }

    fn entry(context: u128, cursor: u64) -> Entry {
        let known = Known { cursor, is_new: false, ..Known::new(1) };
        Entry { context: ContextId(context), known, updated_unix_seconds: 0 }
    }

    #[test]
    fn only_what_the_checkpoint_does_not_know_is_news() {
        let entries = vec![entry(1, 10), entry(2, 20), entry(4, 40)];
        let memory = Memory::new(entries, false, vec![None, Some(Box::new(Told))]);
        let mut news = memory.settle();
        news.sort_by_key(|it| it.0.0);
        let news: Vec<_> = news.iter().map(|(context, known)| (context.0, known.cursor)).collect();
        assert_eq!(news, [(2, 30), (3, 30)]);
        assert_eq!(memory.recall(ContextId(3), 0).unwrap().cursor, 30);
        assert_eq!(memory.recall(ContextId(4), 0).unwrap().cursor, 40);
        assert!(memory.settle().iter().all(|it| it.0 == ContextId(3)), "recalled");
    }
}
