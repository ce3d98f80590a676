//! Finds the topic that a reading command means.

use sink::kafka::TopicReader;

use crate::cli::Place;
use crate::exit::Failure;

/// Opens the topic for reading, if it is one that is meant.
pub(super) fn open(place: &Place) -> Option<Result<TopicReader, Failure>> {
    let (brokers, topic) = (place.kafka.as_deref()?, place.topic.as_deref()?);
    let reader = TopicReader::open(brokers, topic, &place.properties);
    Some(reader.map_err(Failure::unusable))
}

/// Says what could not be read: what follows it is whole.
pub(super) fn warn(damaged: &str) {
    eprintln!("logferry: {damaged}");
}
