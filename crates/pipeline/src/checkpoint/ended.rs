//! Ended: contexts whose files are gone, and which of them are forgotten when they take too much memory.
//!
//! Whoever makes many files of ever new names leaves a context of each behind. They are kept for files that come
//! back, and so that they are never more than a named part of the agent's memory, the tenant with most of them
//! loses its oldest first. The order is made when it is needed: each time an eighth of them goes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use flow::{ContextId, SourceId};

use super::Stored;
use crate::source::Known;

/// What a context takes, in bytes, in the checkpoint's table, in memory's and in the one of those that ended.
///
/// 384: rows of 65, 65 and 33 bytes, in tables that have just doubled (16/7 of the rows that are in use).
const CONTEXT_BYTES: usize = 384;
/// What each generation that is known of it takes beside, in bytes: 56 and what the allocator adds, twice.
const GENERATION_BYTES: usize = 128;
// The rows that this counts.
const _: () = assert!(size_of::<(ContextId, Stored)>() == 64);
const _: () = assert!(size_of::<(ContextId, Row)>() == 32);
/// When there are too many, so much goes at once: one part in so many.
const GOES_AT_ONCE: usize = 8;
/// Stands for all tenants of earlier lives, as numbers of tenants are of one life.
const EARLIER: u32 = u32::MAX;

/// How a context ended: its files are gone, and all that was read of them is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct End {
    /// Number of its tenant in this life; `None` of an earlier life.
    pub tenant: Option<u32>,
    /// Its last source in this life; `None` if it had none.
    pub source: Option<SourceId>,
}

/// Contexts that ended.
#[derive(Debug)]
pub(super) struct Ended {
    contexts: HashMap<ContextId, Row>,
    bytes: usize,
    max_bytes: usize,
    /// Beyond this some are forgotten: more than the most if some of them may not be.
    sweep_bytes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    tenant: u32,
    bytes: u32,
    source: Option<SourceId>,
}

impl Default for Ended {
    fn default() -> Ended {
        Ended { contexts: HashMap::new(), bytes: 0, max_bytes: usize::MAX, sweep_bytes: usize::MAX }
    }
}

impl Ended {
    /// They may take so much.
    pub(super) fn limit(&mut self, max_bytes: usize) {
        (self.max_bytes, self.sweep_bytes) = (max_bytes, max_bytes);
    }

    /// A context is as it is said here: ended, or not.
    pub(super) fn set(&mut self, context: ContextId, known: &Known, end: Option<End>) {
        self.remove(context);
        let Some(End { tenant, source }) = end else { return };
        let bytes = CONTEXT_BYTES + known.generations.len() * GENERATION_BYTES;
        self.bytes += bytes;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.contexts.insert(context, Row { tenant: tenant.unwrap_or(EARLIER), bytes, source });
    }

    pub(super) fn remove(&mut self, context: ContextId) {
        if let Some(row) = self.contexts.remove(&context) {
            self.bytes -= row.bytes as usize;
        }
    }

    pub(super) fn has(&self, context: ContextId) -> bool {
        self.contexts.contains_key(&context)
    }

    /// Its last source in this life.
    pub(super) fn source(&self, context: ContextId) -> Option<SourceId> {
        self.contexts.get(&context).and_then(|it| it.source)
    }

    /// What they take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets the oldest of the tenants that have most if they take too much; not those that `may_forget` refuses,
    /// which is asked once of each.
    pub(super) fn sweep(
        &mut self,
        stored: &mut HashMap<ContextId, Stored>,
        mut may_forget: impl FnMut(ContextId, Option<SourceId>, &Known) -> bool,
    ) {
        if self.bytes <= self.sweep_bytes {
            return;
        }
        let keep_bytes = self.max_bytes - self.max_bytes / GOES_AT_ONCE;
        let mut tenants: BTreeMap<u32, (usize, Vec<(i64, ContextId)>)> = BTreeMap::new();
        for (context, row) in &self.contexts {
            let Some(stored) = stored.get(context) else { continue };
            let (bytes, contexts) = tenants.entry(row.tenant).or_default();
            *bytes += row.bytes as usize;
            contexts.push((stored.updated_unix_seconds, *context));
        }
        // The oldest stand last.
        for (_, contexts) in tenants.values_mut() {
            contexts.sort_unstable_by_key(|it| Reverse((it.0, it.1.0)));
        }
        let mut most: BinaryHeap<(usize, u32)> =
            tenants.iter().map(|(tenant, (bytes, _))| (*bytes, *tenant)).collect();
        while self.bytes > keep_bytes
            && let Some((bytes, tenant)) = most.pop()
        {
            let oldest = tenants.get_mut(&tenant).and_then(|(_, contexts)| contexts.pop());
            let Some((_, context)) = oldest else { continue };
            let Some(row) = self.contexts.get(&context).copied() else { continue };
            most.push((bytes - row.bytes as usize, tenant));
            let known = stored.get(&context).map(|it| &it.known);
            if known.is_some_and(|known| may_forget(context, row.source, known)) {
                stored.remove(&context);
                self.remove(context);
            }
        }
        self.sweep_bytes = self.max_bytes.max(self.bytes + self.max_bytes / GOES_AT_ONCE);
    }
}

#[cfg(test)]
mod tests;
