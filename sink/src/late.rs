//! Late: a sink that is not there when the data plane starts, and comes later.
//!
//! Until it comes it refuses, so that payloads wait in memory, files, or the spool, as before any sink that takes
//! nothing. It is opened on a thread of its own, again and again. What a queue holds is only known then, while
//! files were read on from the checkpoint: so of each payload is left out, and acknowledged, what the queue has of
//! it ([`Had`]). The sink's own notes of what was acknowledged stay as they are until a plane starts with it.

mod arrival;
mod had;
mod leave_out;
mod rest;

use std::sync::Arc;

use flow::{AckSender, KeepCopy, Payload, Refused, Sink, SinkError, StoredMark};

pub use arrival::{Arrival, Arrived, MakeSink, Open, OpenSink, Opening};
pub(crate) use had::Had;
pub(crate) use leave_out::LeaveOut;

/// One shipper's way to a sink that may come late.
#[derive(Debug)]
pub struct LateSink {
    arrival: Arc<Arrival>,
    acks: AckSender,
    /// The sink itself, once it is there.
    sink: Option<Box<dyn Sink>>,
    leave_out: LeaveOut,
}

impl LateSink {
    /// A sink that completes tickets through `acks`; its payloads may be compressed section by section.
    #[must_use]
    pub fn new(arrival: Arc<Arrival>, acks: AckSender, is_by_section: bool) -> LateSink {
        LateSink { arrival, acks, sink: None, leave_out: LeaveOut::new(is_by_section) }
    }

    /// The same, for what comes out of a spool.
    #[must_use]
    pub fn draining(arrival: Arc<Arrival>, acks: AckSender, is_by_section: bool) -> LateSink {
        LateSink { arrival, acks, sink: None, leave_out: LeaveOut::draining(is_by_section) }
    }
}

impl Sink for LateSink {
    fn submit(&mut self, payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>> {
        if self.sink.is_none() {
            let why = SinkError::Retry(self.arrival.why());
            return Err(Box::new(Refused { payload, why }));
        }
        let had = |context| self.arrival.had(context);
        let payload = self.leave_out.apply(payload, &self.acks, had);
        if payload.headers.is_empty() {
            return Ok(Some(payload.block));
        }
        let begun = self.leave_out.begun(&payload);
        let Some(sink) = &mut self.sink else { unreachable!("it was there") };
        let spent = sink.submit(payload)?;
        self.leave_out.sent(&begun);
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
