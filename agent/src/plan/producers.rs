//! Producers: the clients of Kafka sinks, from one data plane to the next.
//!
//! A sink that is the same in the next plane goes on with its producer, if the last plane ended in good order: then
//! the checkpoint has all that the topics have, so there is nothing to read back, and no connection is made. After any
//! other end the producer is let go, and the sink is opened as at a start.

use std::collections::HashMap;
use std::sync::Arc;

use sink::kafka::{KafkaConfig, KafkaProducer};

/// Producers, by the names of their sinks.
#[derive(Debug, Default)]
pub(crate) struct Producers(HashMap<String, Arc<KafkaProducer>>);

impl Producers {
    /// The producer of a sink that has this configuration. Any other of that name is let go: what it keeps on the disk
    /// is for one alone.
    pub(super) fn take(&mut self, sink: &str, config: &KafkaConfig) -> Option<Arc<KafkaProducer>> {
        self.0.remove(sink).filter(|it| it.config() == config && it.is_at_rest())
    }

    /// The plane has it.
    pub(super) fn keep(&mut self, sink: &str, producer: Arc<KafkaProducer>) {
        self.0.insert(sink.to_owned(), producer);
    }
}
