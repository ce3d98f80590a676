//! Read-back: what the topics already hold that the checkpoint does not know of, for the agent's start.
//!
//! From the offsets kept at the last checkpoint to the ends, by the headers alone. What other agents wrote
//! there meanwhile is passed over.

use std::collections::HashMap;
use std::time::Duration;

use flow::{Clock, ContextId, PersistedSpan, ReadBack, ToldSince, is_mutant};
use rdkafka::message::Message;

use super::brokers::{Brokers, Headers, KeepOffsets};
use super::config::KafkaConfig;
use super::header::{Header, is_of};
use super::offset_file::OffsetFile;
use super::offsets::{self, Offsets};
use super::producer::KafkaError;
use super::scan::{Scan, Window};

/// What the topics held when the agent started.
#[derive(Debug, Default)]
pub struct KafkaReadBack {
    contexts: HashMap<ContextId, Vec<OfPartition>>,
    /// What it does not tell of is in a checkpoint.
    is_behind_checkpoint: bool,
}

/// What a partition holds of a context, in its order. Between partitions there is none.
#[derive(Debug)]
struct OfPartition {
    topic: String,
    partition: i32,
    spans: Vec<PersistedSpan>,
}

impl KafkaReadBack {
    /// Reads back what the sink with that configuration wrote last; each answer of the brokers may take `answer_max`.
    ///
    /// # Errors
    /// If the brokers do not answer: without their answer, what is read now may be a double.
    pub fn of(
        config: &KafkaConfig,
        clock: &dyn Clock,
        answer_max: Duration,
    ) -> Result<KafkaReadBack, KafkaError> {
        let offsets = KafkaReadBack::offsets(config, OffsetFile::at(&config.offsets))?;
        let mut read_back = KafkaReadBack::behind(&offsets);
        let Some(topic) = offsets.stored().keys().next() else { return Ok(read_back) };
        let new_scan = || Ok(Scan::new(&config.consumer())?.answered_within(answer_max));
        if must_settle(&offsets) {
            // From when the brokers answer.
            drop(new_scan()?.bounds(topic)?);
            std::thread::sleep(config.settle);
        }
        let mut scan: Scan = new_scan()?;
        scan.plan(offsets.stored())?;
        let agent = offsets.agent();
        let is_all = scan.read(config.read_back_bytes_max, clock, |message| {
            let Some(headers) = message.headers().filter(|it| is_of(*it, &agent)) else { return };
            if let Ok(header) = Header::decode(headers) {
                read_back.take(message.topic(), message.partition(), header);
            }
        })?;
        say(is_all);
        Ok(read_back)
    }

    /// The same from `brokers`, with the offsets that `keeper` has.
    ///
    /// # Errors
    /// If the brokers do not answer.
    pub fn over(
        brokers: &dyn Brokers,
        keeper: Box<dyn KeepOffsets>,
        config: &KafkaConfig,
    ) -> Result<KafkaReadBack, KafkaError> {
        let failed = |why| KafkaError::Brokers {
            brokers: config.brokers.clone(),
            what: "reading".to_owned(),
            why,
        };
        let offsets = KafkaReadBack::offsets(config, keeper)?;
        let mut read_back = KafkaReadBack::behind(&offsets);
        for topic in offsets.stored().keys() {
            // As the first plan does: without an answer, there is nothing to wait for.
            brokers.bounds(topic).map(drop).map_err(failed)?;
        }
        if must_settle(&offsets) {
            brokers.settle(config.settle);
        }
        let (agent, mut is_all) = (offsets.agent(), true);
        for (topic, stored) in offsets.stored() {
            let bounds = brokers.bounds(topic).map_err(failed)?.unwrap_or_default();
            for (partition, bounds) in bounds {
                let from = offsets::start(stored.get(&partition).copied(), bounds);
                let mut bytes = 0;
                let mut each = |headers: &Headers, value_bytes: u64| {
                    bytes += value_bytes;
                    if let Some(header) = headers.decode_of(&agent) {
                        read_back.take(topic, partition, header);
                    }
                    is_all &= bytes <= config.read_back_bytes_max;
                    bytes <= config.read_back_bytes_max
                };
                let window = Window { partition, from, to: bounds.end };
                brokers.read(topic, window, &mut each).map_err(failed)?;
            }
        }
        say(is_all);
        Ok(read_back)
    }

    fn offsets(config: &KafkaConfig, keeper: Box<dyn KeepOffsets>) -> Result<Offsets, KafkaError> {
        let failed = |source| KafkaError::Offsets { path: config.offsets.clone(), source };
        Offsets::open(keeper).map_err(failed)
    }

    /// Topics that the sink has written to, as it noted them before the first message.
    ///
    /// # Errors
    /// If its notes cannot be read.
    pub fn topics(config: &KafkaConfig) -> Result<Vec<String>, KafkaError> {
        let offsets = KafkaReadBack::offsets(config, OffsetFile::at(&config.offsets))?;
        Ok(offsets.stored().keys().cloned().collect())
    }

    /// Knows nothing yet.
    fn behind(offsets: &Offsets) -> KafkaReadBack {
        KafkaReadBack { contexts: HashMap::new(), is_behind_checkpoint: offsets.has_advanced() }
    }

    /// The next message of a partition.
    fn take(&mut self, topic: &str, partition: i32, header: Header) {
        let Header { context, epoch, span, part_of, positions, .. } = header;
        let places = self.contexts.entry(context.id).or_default();
        let is_it = |it: &OfPartition| it.partition == partition && it.topic == topic;
        let at = places.iter().position(is_it).unwrap_or_else(|| {
            places.push(OfPartition { topic: topic.to_owned(), partition, spans: Vec::new() });
            places.len() - 1
        });
        let (spans, is_inner) = (&mut places[at].spans, positions.is_none());
        let positions = positions.unwrap_or_default();
        PersistedSpan::append_part(spans, epoch, (span, part_of), &positions, is_inner);
    }
}

/// Whether requests of the last life may be with the brokers still.
fn must_settle(offsets: &Offsets) -> bool {
    !offsets.is_clean() && !is_mutant("requests_of_the_dead_not_awaited")
}

fn say(is_all: bool) {
    if !is_all {
        tracing::error!("more to read back than readBack allows; doubles are possible");
    }
}

impl ReadBack for KafkaReadBack {
    fn persisted(&mut self, context: ContextId) -> Vec<PersistedSpan> {
        let places = self.contexts.get(&context).into_iter().flatten();
        places.flat_map(|it| it.spans.iter().cloned()).collect()
    }

    fn told_since(&self) -> ToldSince {
        if self.is_behind_checkpoint { ToldSince::Checkpoint } else { ToldSince::Ever }
    }

    fn passing(&self) -> Vec<ContextId> {
        self.contexts.keys().copied().collect()
    }

    fn forget(&mut self, context: ContextId) -> bool {
        self.contexts.remove(&context);
        true
    }
}
