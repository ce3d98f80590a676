//! Topics are made, grown and removed.

use kafka_kit::Access;
use rdkafka::error::RDKafkaErrorCode as Code;

use crate::producer::Producer;
use crate::shared::cluster;

#[test]
fn a_topic_is_made_grown_removed_and_made_again() {
    let cluster = cluster();
    cluster.create_topic("topics", 2, 1, &[("retention.ms", "3600000")]).unwrap();
    assert!(cluster.create_topic("topics", 2, 1, &[]).is_err(), "it is there");
    let ends = |count: i32| (0..count).map(|partition| (partition, 0)).collect();
    assert_eq!(cluster.end_offsets("topics").unwrap(), ends(2));
    cluster.grow_topic("topics", 5).unwrap();
    assert_eq!(cluster.end_offsets("topics").unwrap(), ends(5));
    assert_eq!(cluster.leader("topics", 4).unwrap(), Some(1));

    let producer = Producer::new(&cluster.client(&Access::Plain));
    assert_eq!(producer.deliver("topics", b"first"), Ok(0));
    assert_eq!(producer.deliver("topics", b"second"), Ok(1));
    cluster.delete_topic("topics").unwrap();
    assert!(cluster.delete_topic("topics").is_err(), "it is gone");
    let mut config = cluster.client(&Access::Plain);
    config.set("topic.metadata.propagation.max.ms", "500");
    let gone = Producer::new(&config).deliver("topics", b"third");
    assert!(matches!(gone, Err(Code::UnknownTopic | Code::UnknownTopicOrPartition)), "{gone:?}");

    cluster.create_topic("topics", 1, 1, &[]).unwrap();
    let producer = Producer::new(&cluster.client(&Access::Plain));
    assert_eq!(producer.deliver("topics", b"first of another topic"), Ok(0));
}
