//! Config: how the sink under test is set up.

use std::path::PathBuf;
use std::time::Duration;

use flow::Encoding;
use sink::kafka::{Compression, KafkaConfig};

/// Bytes of payloads that a lane may have on their way: some payloads.
const IN_FLIGHT_BYTES_MAX: usize = 64 << 10;

/// What schedules vary of a Kafka sink.
#[derive(Debug, Clone, Copy)]
pub struct KafkaSetting {
    /// How records are written.
    pub encoding: Encoding,
    /// All tenants have one topic.
    pub is_shared: bool,
}

impl KafkaSetting {
    pub(super) fn config(self) -> KafkaConfig {
        let topic = if self.is_shared { "logs" } else { "logs-${tenant}" };
        KafkaConfig {
            brokers: "in memory".to_owned(),
            topic: topic.parse().expect("a topic"),
            compression: Compression::None,
            in_flight_bytes_max: IN_FLIGHT_BYTES_MAX,
            offsets: PathBuf::from("in memory"),
            settle: Duration::from_secs(2),
            read_back_bytes_max: u64::MAX,
            client_id: "sim".to_owned(),
            security: Vec::new(),
        }
    }
}
