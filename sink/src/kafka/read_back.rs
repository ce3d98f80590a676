//! Read-back: what the topics already hold that the checkpoint does not know of, for the agent's start.
//!
//! From the offsets kept at the last checkpoint to the ends, by the headers alone. What other agents wrote
//! there meanwhile is passed over.

use std::collections::HashMap;

use flow::{Clock, ContextId, PersistedSpan, ReadBack, ToldSince};
use rdkafka::message::Message;

use super::config::KafkaConfig;
use super::header::{Header, is_of};
use super::offsets::Offsets;
use super::producer::KafkaError;
use super::scan::Scan;
use crate::spans;

/// What the topics held when the agent started.
#[derive(Debug, Default)]
pub struct KafkaReadBack {
    contexts: HashMap<ContextId, Vec<PersistedSpan>>,
    /// What it does not tell of is in a checkpoint.
    is_behind_checkpoint: bool,
}

impl KafkaReadBack {
    /// Reads back what the sink with that configuration wrote last.
    ///
    /// # Errors
    /// If the brokers do not answer: without their answer, what is read now may be a double.
    pub fn of(config: &KafkaConfig, clock: &dyn Clock) -> Result<KafkaReadBack, KafkaError> {
        let offsets = Offsets::open(&config.offsets)
            .map_err(|source| KafkaError::Offsets { path: config.offsets.clone(), source })?;
        let is_behind_checkpoint = offsets.has_advanced();
        let mut read_back = KafkaReadBack { is_behind_checkpoint, ..KafkaReadBack::default() };
        let Some(topic) = offsets.stored().keys().next() else { return Ok(read_back) };
        if !offsets.is_clean() {
            // Requests of the last life may be with the brokers still, from when these answer.
            drop(Scan::new(&config.consumer())?.bounds(topic)?);
            std::thread::sleep(config.settle);
        }
        let mut scan = Scan::plan(&config.consumer(), offsets.stored())?;
        let agent = offsets.agent();
        let is_all = scan.read(config.read_back_bytes_max, clock, |message| {
            let Some(headers) = message.headers().filter(|it| is_of(*it, &agent)) else { return };
            let Ok(header) = Header::decode(headers) else { return };
            let Header { context, epoch, span, positions, .. } = header;
            let spans = read_back.contexts.entry(context.id).or_default();
            let is_inner = positions.is_none();
            spans::add(spans, epoch, span, &positions.unwrap_or_default(), is_inner);
        })?;
        if !is_all {
            tracing::error!("more to read back than readBack allows; doubles are possible");
        }
        Ok(read_back)
    }
}

impl ReadBack for KafkaReadBack {
    fn persisted(&mut self, context: ContextId) -> Vec<PersistedSpan> {
        self.contexts.get(&context).cloned().unwrap_or_default()
    }

    fn told_since(&self) -> ToldSince {
        if self.is_behind_checkpoint { ToldSince::Checkpoint } else { ToldSince::Ever }
    }

    fn passing(&self) -> Vec<ContextId> {
        self.contexts.keys().copied().collect()
    }
}
