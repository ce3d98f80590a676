//! Memory: what is known of contexts that are not being read, from checkpoint, queue and closed
//! sources.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flow::{ContextId, ReadBack};

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
}

impl Memory {
    /// What the checkpoint and each sink's queue tell.
    #[must_use]
    pub fn new(entries: Vec<Entry>, read_backs: Vec<Option<Box<dyn ReadBack>>>) -> Memory {
        let known = entries.into_iter().map(|entry| (entry.context, entry.known)).collect();
        Memory { inner: Mutex::new(Inner { known, read_backs }) }
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
        let read_back = inner.read_backs.get_mut(sink).and_then(Option::as_mut);
        let persisted = read_back.map(|it| it.persisted(context)).unwrap_or_default();
        Known::resume(known, &persisted)
    }

    /// Takes over what queues tell now and not at the next start; returns what is news, and has to be in the
    /// first checkpoint.
    #[must_use]
    pub fn settle(&self) -> Vec<(ContextId, Known)> {
        let mut inner = self.lock();
        let Inner { known, read_backs } = &mut *inner;
        let mut news = Vec::new();
        for read_back in read_backs.iter_mut().flatten() {
            for context in read_back.passing() {
                let persisted = read_back.persisted(context);
                let Some(now) = Known::resume(known.get(&context).cloned(), &persisted) else {
                    continue;
                };
                if known.get(&context) != Some(&now) {
                    known.insert(context, now.clone());
                    news.push((context, now));
                }
            }
        }
        news
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
