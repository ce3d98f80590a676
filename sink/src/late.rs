//! Late: a sink that is not there when the data plane starts, and comes later.
//!
//! Until it comes it refuses, so that payloads wait in memory, files, or the spool, as before any sink that takes
//! nothing. It is opened on a thread of its own, again and again. What a queue holds is only known then, while
//! files were read on from the checkpoint: so of each payload is left out, and acknowledged, what the queue has of
//! it ([`Had`]). The sink's own notes of what was acknowledged stay as they are until a plane starts with it.

mod arrival;
mod had;
mod rest;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use flow::{
    AckSender, ContextId, KeepCopy, Payload, PayloadHeader, Refused, Sink, SinkError, StoredMark,
    is_mutant,
};

pub use arrival::{Arrival, Arrived, MakeSink, OpenSink};
pub(crate) use had::Had;

/// One shipper's way to a sink that may come late.
#[derive(Debug)]
pub struct LateSink {
    arrival: Arc<Arrival>,
    acks: AckSender,
    /// Its payloads are compressed section by section.
    is_by_section: bool,
    /// The sink itself, once it is there.
    sink: Option<Box<dyn Sink>>,
    known: HashMap<ContextId, Known>,
}

/// What the queue has of a context.
#[derive(Debug, Default)]
struct Known {
    had: Option<Had>,
    /// Of another epoch than the queue's something was left out, and nothing sent yet.
    is_beheaded: bool,
}

impl LateSink {
    /// A sink that completes tickets through `acks`.
    #[must_use]
    pub fn new(arrival: Arc<Arrival>, acks: AckSender, is_by_section: bool) -> LateSink {
        LateSink { arrival, acks, is_by_section, sink: None, known: HashMap::new() }
    }

    /// By section, from which cursor on the sink does not have it; none if it has all of it.
    fn owed(&mut self, headers: &[PayloadHeader]) -> Vec<Option<u64>> {
        let mut owed = |header: &PayloadHeader| {
            let known = match self.known.entry(header.context.id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(free) => {
                    let had = self.arrival.had(header.context.id);
                    free.insert(Known { had, is_beheaded: false })
                }
            };
            let had = known.had.as_ref()?;
            let owed = had.owed(header);
            known.is_beheaded |= had.epoch() != header.epoch && owed != Some(header.span.begin);
            Some(owed)
        };
        headers.iter().map(|it| owed(it).unwrap_or(Some(it.span.begin))).collect()
    }

    /// What the sink does not have of the payload; the rest is acknowledged.
    fn leave_out(&mut self, payload: Payload) -> Payload {
        let owed = self.owed(&payload.headers);
        let mut sections = payload.headers.iter().zip(&owed);
        let is_whole = sections.all(|(it, owed)| *owed == Some(it.span.begin));
        let mut payload = payload;
        if !is_whole && !is_mutant("late_sink_sent_what_it_has") {
            let (rest, had) = rest::split(payload, &owed, self.is_by_section);
            self.acks.complete(had);
            payload = rest;
        }
        for header in &mut payload.headers {
            // The first that the queue gets of this epoch.
            let known = self.known.get(&header.context.id);
            header.marks.first |= known.is_some_and(|it| it.is_beheaded);
        }
        payload
    }

    /// The sink took sections of these contexts.
    fn sent(&mut self, contexts: &[ContextId]) {
        for context in contexts {
            if let Some(known) = self.known.get_mut(context) {
                known.is_beheaded = false;
            }
        }
    }
}

impl Sink for LateSink {
    fn submit(&mut self, payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>> {
        if self.sink.is_none() {
            let why = SinkError::Retry(self.arrival.why());
            return Err(Box::new(Refused { payload, why }));
        }
        let payload = self.leave_out(payload);
        if payload.headers.is_empty() {
            return Ok(Some(payload.block));
        }
        let beheaded = |it: &PayloadHeader| {
            let id = it.context.id;
            self.known.get(&id).is_some_and(|it| it.is_beheaded).then_some(id)
        };
        let begun: Vec<ContextId> = payload.headers.iter().filter_map(beheaded).collect();
        let Some(sink) = &mut self.sink else { unreachable!("it was there") };
        let spent = sink.submit(payload)?;
        self.sent(&begun);
        Ok(spent)
    }

    fn tend(&mut self, now_ns: u64) -> Option<u64> {
        if self.sink.is_none() {
            // Nothing of this life is stored for the sink: what it holds is asked of it again at the next start.
            let acks = self.acks.clone().beside(StoredMark::default());
            self.sink = self.arrival.make(acks);
        }
        match &mut self.sink {
            Some(sink) => sink.tend(now_ns),
            None => Some(self.arrival.tend(now_ns)),
        }
    }

    fn flush(&mut self, deadline_ns: u64) -> Result<(), SinkError> {
        self.sink.as_mut().map_or(Ok(()), |it| it.flush(deadline_ns))
    }

    fn health(&self) -> Result<(), SinkError> {
        self.sink.as_ref().map_or(Ok(()), |it| it.health())
    }

    fn is_clear(&self, tenant: &str) -> bool {
        self.sink.as_ref().is_none_or(|it| it.is_clear(tenant))
    }

    fn copy_unacknowledged(&self, tenant: &str, keep: &mut KeepCopy<'_>) -> bool {
        self.sink.as_ref().is_none_or(|it| it.copy_unacknowledged(tenant, keep))
    }
}

impl Drop for LateSink {
    fn drop(&mut self) {
        self.arrival.leave();
    }
}

#[cfg(test)]
mod tests;
