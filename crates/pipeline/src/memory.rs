//! Memory: what is known of contexts that are not being read, from checkpoint, queue and closed
//! sources.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flow::{ContextId, ReadBack, SourceId, ToldSince};

use crate::checkpoint::Entry;
use crate::source::Known;

/// Remembers contexts. One per data plane, asked once per source that begins.
#[derive(Debug)]
pub struct Memory {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    known: HashMap<ContextId, Remembered>,
    /// By sink: what its queue holds.
    read_backs: Vec<Option<Box<dyn ReadBack>>>,
    /// There is a checkpoint, and it is whole.
    is_whole: bool,
}

/// What is known of a context.
#[derive(Debug)]
struct Remembered {
    known: Known,
    /// The source that it is left by; `None` of an earlier life.
    source: Option<SourceId>,
}

// As many bytes as the checkpoint's bound of contexts that ended counts.
const _: () = assert!(size_of::<(ContextId, Remembered)>() == 64);

impl Inner {
    fn take(&mut self, context: ContextId) -> Option<Known> {
        let taken = self.known.remove(&context);
        // After the start there are few: sources that ended.
        if self.known.len() < self.known.capacity() / 8 {
            self.known.shrink_to_fit();
        }
        taken.map(|it| it.known)
    }

    /// Whether no queue tells of the context, from now on: what it told at the start is older than what is forgotten.
    fn silence(&mut self, context: ContextId) -> bool {
        let told = self.read_backs.iter_mut().flatten();
        let mut telling = told.filter_map(|it| (!it.persisted(context).is_empty()).then_some(it));
        match (telling.next(), telling.next()) {
            (None, _) => true,
            (Some(one), None) => one.forget(context),
            (Some(_), Some(_)) => false,
        }
    }

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
        let known = entries
            .into_iter()
            .map(|it| (it.context, Remembered { known: it.known, source: None }))
            .collect();
        Memory { inner: Mutex::new(Inner { known, read_backs, is_whole }) }
    }

    /// Where the context goes on, if it was ever seen.
    #[must_use]
    pub fn recall(&self, context: ContextId, sink: usize) -> Option<Known> {
        let mut inner = self.lock();
        let known = inner.take(context);
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
                let before = inner.known.get(&context).map(|it| it.known.clone());
                let Some(now) = inner.resume(context, sink, before.clone()) else { continue };
                if before.as_ref() != Some(&now) {
                    let remembered = Remembered { known: now.clone(), source: None };
                    inner.known.insert(context, remembered);
                    news.push((context, now));
                }
            }
        }
        news
    }

    /// Whether there is a generation of which it is known how far it was read: a life before was not done with it.
    #[must_use]
    pub fn is_begun(&self, context: ContextId) -> bool {
        self.lock().known.get(&context).is_some_and(|it| !it.known.generations.is_empty())
    }

    /// A source was closed: its context may come back.
    pub fn keep(&self, context: ContextId, mut known: Known, source: SourceId) {
        known.generations.shrink_to_fit();
        self.lock().known.insert(context, Remembered { known, source: Some(source) });
    }

    /// Forgets a context, if it is as `source` left it, or an earlier life; returns whether it did.
    ///
    /// For the checkpoint, which forgets it too. A context that is being read is not here, and one that was left
    /// by a later source may have something un-acknowledged: neither is forgotten.
    #[must_use]
    pub fn forget(&self, context: ContextId, source: Option<SourceId>) -> bool {
        let mut inner = self.lock();
        let is_it = inner.known.get(&context).is_some_and(|it| it.source == source);
        let is_forgotten = is_it && inner.silence(context);
        if is_forgotten {
            inner.take(context);
        }
        is_forgotten
    }

    /// Forgets what earlier lives left, and `has` does not have.
    pub fn retain_loaded(&self, has: impl Fn(ContextId) -> bool) {
        self.lock().known.retain(|context, it| it.source.is_some() || has(*context));
    }

    /// How many contexts are known and not being read.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().known.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
        Entry::new(ContextId(context), known)
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

    #[test]
    fn only_what_is_as_a_source_left_it_is_forgotten() {
        let known = || Known { cursor: 9, is_new: false, ..Known::new(1) };
        let memory = Memory::new(vec![entry(1, 10)], false, Vec::new());
        let (first, later) = (Some(SourceId(1)), Some(SourceId(2)));
        memory.keep(ContextId(2), known(), SourceId(2));
        assert!(!memory.forget(ContextId(2), first), "it was read again since");
        assert!(!memory.forget(ContextId(3), None), "it is being read");
        assert!(!memory.forget(ContextId(1), later));
        assert_eq!(memory.len(), 2);
        assert!(memory.forget(ContextId(2), later) && memory.forget(ContextId(1), None));
        assert!(memory.is_empty());
        assert_eq!(memory.recall(ContextId(2), 0), None);
    }

    #[test]
    fn what_a_queue_goes_on_to_tell_of_is_not_forgotten() {
        let memory = Memory::new(vec![entry(1, 50)], false, vec![Some(Box::new(Told))]);
        assert!(!memory.forget(ContextId(1), None), "it would go on at 10");
        assert_eq!(memory.recall(ContextId(1), 0).unwrap().cursor, 50);
    }

    #[test]
    fn what_the_checkpoint_does_not_have_of_earlier_lives_is_let_go() {
        let memory = Memory::new(vec![entry(1, 10), entry(2, 20)], false, Vec::new());
        memory.keep(ContextId(3), Known::new(1), SourceId(0));
        memory.retain_loaded(|it| it == ContextId(2));
        assert_eq!(memory.recall(ContextId(1), 0), None);
        assert_eq!(memory.len(), 2);
    }
}
