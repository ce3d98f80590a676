//! Read-back: what a sink holds, and what its spool holds for it: a restart goes on behind both.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flow::{ContextId, PayloadHeader, PersistedSpan, ReadBack, ToldSince};

/// What a sink held, for those who go on behind it and for a spool that is opened later.
#[derive(Debug, Clone)]
pub struct SharedReadBack(Arc<Mutex<Box<dyn ReadBack>>>);

impl SharedReadBack {
    /// What `sink` tells.
    #[must_use]
    pub fn new(sink: Box<dyn ReadBack>) -> SharedReadBack {
        SharedReadBack(Arc::new(Mutex::new(sink)))
    }

    fn lock(&self) -> MutexGuard<'_, Box<dyn ReadBack>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadBack for SharedReadBack {
    fn persisted(&mut self, context: ContextId) -> Vec<PersistedSpan> {
        self.lock().persisted(context)
    }

    fn told_since(&self) -> ToldSince {
        self.lock().told_since()
    }

    fn passing(&self) -> Vec<ContextId> {
        self.lock().passing()
    }
}

/// What a sink and its spool held when they were opened.
#[derive(Debug)]
pub struct SpoolReadBack {
    /// None if it cannot be asked.
    sink: Option<Box<dyn ReadBack>>,
    spool: HashMap<ContextId, Vec<PersistedSpan>>,
}

impl SpoolReadBack {
    pub(super) fn new(sink: Option<Box<dyn ReadBack>>) -> SpoolReadBack {
        SpoolReadBack { sink, spool: HashMap::new() }
    }

    pub(super) fn take_sink(&mut self) -> Option<Box<dyn ReadBack>> {
        self.sink.take()
    }

    /// Whether it tells what the sink has, too.
    pub(crate) fn has_sink(&self) -> bool {
        self.sink.is_some()
    }

    /// The next section of the spool, in its order.
    pub(super) fn add(&mut self, header: &PayloadHeader) {
        // Part of a section, of which the rest comes later.
        let is_inner = header.positions.is_empty() && !header.span.is_empty();
        let spans = self.spool.entry(header.context.id).or_default();
        PersistedSpan::append(spans, header.epoch, header.span, &header.positions, is_inner);
    }

    /// What the sink has of a context, in the order of its cursors.
    pub(super) fn of_sink(&mut self, context: ContextId) -> Vec<PersistedSpan> {
        let mut spans = self.sink.as_mut().map_or(Vec::new(), |it| it.persisted(context));
        spans.sort_by_key(|it| (it.epoch, it.span.begin, it.span.end));
        spans
    }
}

impl ReadBack for SpoolReadBack {
    fn persisted(&mut self, context: ContextId) -> Vec<PersistedSpan> {
        let mut spans = self.sink.as_mut().map_or(Vec::new(), |it| it.persisted(context));
        if let Some(kept) = self.spool.get(&context) {
            spans.extend_from_slice(kept);
        }
        spans
    }

    fn told_since(&self) -> ToldSince {
        self.sink.as_ref().map_or(ToldSince::Retention, |it| it.told_since())
    }

    fn passing(&self) -> Vec<ContextId> {
        // What is drained is let go.
        let mut contexts = self.sink.as_ref().map_or(Vec::new(), |it| it.passing());
        contexts.extend(self.spool.keys());
        contexts
    }
}
