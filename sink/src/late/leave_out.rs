//! Leave out: of payloads that were read without knowing what their sink, or its spool, has of them, that is left out and
//! acknowledged.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use flow::{AckSender, ContextId, Payload, PayloadHeader, is_mutant};

use super::{Had, rest};

/// What is had of the contexts of one shipper.
#[derive(Debug)]
pub(crate) struct LeaveOut {
    /// Payloads are compressed section by section.
    is_by_section: bool,
    /// Payloads come out of a spool.
    is_draining: bool,
    known: HashMap<ContextId, Known>,
}

/// What is had of a context.
#[derive(Debug)]
struct Known {
    had: Option<Had>,
    /// Of another epoch than that which is had something was left out, and nothing sent yet.
    is_beheaded: bool,
}

impl LeaveOut {
    pub(crate) fn new(is_by_section: bool) -> LeaveOut {
        LeaveOut { is_by_section, is_draining: false, known: HashMap::new() }
    }

    /// For payloads that come out of a spool.
    pub(crate) fn draining(is_by_section: bool) -> LeaveOut {
        LeaveOut { is_draining: true, ..LeaveOut::new(is_by_section) }
    }

    /// What is owed of the payload; the rest is acknowledged. `had` tells of contexts that were not met before.
    pub(crate) fn apply(
        &mut self,
        payload: Payload,
        acks: &AckSender,
        had: impl Fn(ContextId) -> Option<Had>,
    ) -> Payload {
        let owed = self.owed(&payload.headers, had);
        let mut sections = payload.headers.iter().zip(&owed);
        let is_whole = sections.all(|(it, owed)| *owed == Some(it.span.begin));
        let mut payload = payload;
        if !is_whole && !is_mutant("late_sink_sent_what_it_has") {
            let (rest, had) = rest::split(payload, &owed, self.is_by_section);
            acks.complete(had);
            payload = rest;
        }
        for header in &mut payload.headers {
            // The first that the queue gets of this epoch.
            let known = self.known.get(&header.context.id);
            header.marks.first |= known.is_some_and(|it| it.is_beheaded);
        }
        payload
    }

    /// Contexts of which the payload is the first that is sent of its epoch, though not the first of it.
    pub(crate) fn begun(&self, payload: &Payload) -> Vec<ContextId> {
        let beheaded = |it: &PayloadHeader| {
            let id = it.context.id;
            self.known.get(&id).is_some_and(|it| it.is_beheaded).then_some(id)
        };
        payload.headers.iter().filter_map(beheaded).collect()
    }

    /// Sections of these contexts were taken.
    pub(crate) fn sent(&mut self, contexts: &[ContextId]) {
        for context in contexts {
            if let Some(known) = self.known.get_mut(context) {
                known.is_beheaded = false;
            }
        }
    }

    /// By section, from which cursor on it is not had; none if all of it is.
    fn owed(
        &mut self,
        headers: &[PayloadHeader],
        had: impl Fn(ContextId) -> Option<Had>,
    ) -> Vec<Option<u64>> {
        let is_draining = self.is_draining;
        let mut owed = |header: &PayloadHeader| {
            let known = match self.known.entry(header.context.id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(free) => {
                    let had = had(header.context.id);
                    free.insert(Known { had, is_beheaded: false })
                }
            };
            let had = known.had.as_ref()?;
            let owed = if is_draining { had.owed_by_spool(header) } else { had.owed(header) };
            known.is_beheaded |= had.epoch() != header.epoch && owed != Some(header.span.begin);
            Some(owed)
        };
        headers.iter().map(|it| owed(it).unwrap_or(Some(it.span.begin))).collect()
    }
}
