//! Absent sinks: those that were not there when the data plane started, and spools that could not be opened then.
//!
//! The plane reads for them as for any other, and gives them what they do not have once they come. Then it starts
//! anew with them: what their queues tell has to be in the checkpoint before their own notes may move on. Removed
//! files that are held open are gone with a plane, so they are read first.

use std::collections::HashMap;
use std::sync::Arc;

use pipeline::meter::Meter;
use sink::spool::LateSpool;

use crate::plan::Absent;

/// The absent sinks and spools of the data plane that runs.
#[derive(Debug, Default)]
pub(super) struct AbsentSinks {
    sinks: Vec<Absent>,
    spools: Vec<Arc<LateSpool>>,
}

impl AbsentSinks {
    /// A data plane has started without these.
    pub(super) fn are(&mut self, sinks: Vec<Absent>, spools: Vec<Arc<LateSpool>>) {
        *self = AbsentSinks { sinks, spools };
    }

    /// The plane ends. Returns those that are away still, by name, and why.
    pub(super) fn take_away(&mut self) -> HashMap<String, String> {
        let AbsentSinks { sinks, .. } = std::mem::take(self);
        let absent = sinks.into_iter().filter(|it| !it.arrival.is_there());
        absent.map(|it| (it.name, it.arrival.why())).collect()
    }

    /// Whether one of them has come, and no removed file waits to be read.
    pub(super) fn is_one_back(&self, meter: &Meter) -> bool {
        let is_pinned = || meter.tenants().iter().any(|(_, it)| it.pinned_bytes.get() > 0);
        let is_sink_back = self.sinks.iter().any(|it| it.arrival.is_there());
        (is_sink_back || self.spools.iter().any(|it| it.store().is_some())) && !is_pinned()
    }
}
