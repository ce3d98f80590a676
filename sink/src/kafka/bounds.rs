//! Bounds: which offsets there are of a topic's partitions.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode as Code;

/// What is there of a partition now: offsets from `first` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The first that retention has left.
    pub first: i64,
    /// The one that the next message gets.
    pub end: i64,
}

/// What is there of a topic now, by partition.
pub(super) type Partitions = BTreeMap<i32, Bounds>;

/// Asks for the bounds of a topic, or why the topic cannot be read; each answer may take `answer_max`.
///
/// # Errors
/// If the brokers do not answer, or refuse.
pub(super) fn of<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    answer_max: Duration,
) -> Result<Result<Partitions, Code>, ClientError> {
    let metadata = client.fetch_metadata(Some(topic), answer_max)?;
    let found = metadata.topics().iter().find(|it| it.name() == topic);
    if let Some(error) = found.and_then(|it| it.error()) {
        return Ok(Err(error.into()));
    }
    let mut partitions = Partitions::new();
    for partition in found.map(|it| it.partitions()).unwrap_or_default() {
        let id = partition.id();
        let (first, end) = client.fetch_watermarks(topic, id, answer_max)?;
        partitions.insert(id, Bounds { first, end });
    }
    Ok(Ok(partitions))
}

/// Whether a partition's broker has lost it, or has not got it yet: it will have a leader in a moment. The client does not
/// know one that its last metadata named without a leader.
pub(super) fn is_without_leader(error: &ClientError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(Code::NotLeaderForPartition | Code::LeaderNotAvailable | Code::UnknownPartition)
    )
}
