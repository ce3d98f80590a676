//! Three brokers: leaders that move, replicas that are missing.

use std::time::Duration;

use kafka_kit::{Access, Cluster, Isolation, wait_until};
use rdkafka::error::RDKafkaErrorCode as Code;

use crate::producer::Producer;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_partition_outlives_its_leader_and_wants_its_replicas() {
    let cluster = Cluster::builder().brokers(3).set("min.insync.replicas", "2").start().unwrap();
    cluster.create_topic("leaders", 1, 3, &[]).unwrap();
    let producer = Producer::new(&cluster.client(&Access::Proxied));
    assert_eq!(producer.deliver("leaders", b"to the first leader"), Ok(0));

    let first = cluster.leader("leaders", 0).unwrap().unwrap();
    cluster.broker(first).kill().unwrap();
    producer.send("leaders", 1, b"to the second leader");
    assert_eq!(producer.reports(1), [(1, Ok(1))]);
    let second = cluster.leader("leaders", 0).unwrap().unwrap();
    assert_ne!(first, second);

    cluster.broker(first).start().unwrap();
    wait_until("the same batches on all brokers", PATIENCE, || {
        let own = cluster.dump(second, "leaders", 0)?;
        for node in 1..=3 {
            anyhow::ensure!(
                cluster.dump(node, "leaders", 0)? == own,
                "other ones on broker {node}"
            );
        }
        Ok(())
    })
    .unwrap();

    // The two that do not lead: what is left is one replica, and one controller of three.
    for node in (1..=3).filter(|node| *node != second) {
        cluster.broker(node).pause().unwrap();
    }
    let mut config = cluster.client(&Access::Proxied);
    config.set("message.timeout.ms", "4000");
    let lonely = Producer::new(&config);
    lonely.send("leaders", 0, b"not safe");
    let report = lonely.reports(1);
    assert!(matches!(report[0].1, Err(Code::MessageTimedOut)), "{report:?}");
    for node in (1..=3).filter(|node| *node != second) {
        cluster.broker(node).resume().unwrap();
    }
    let last = wait_until("a delivery to all replicas", PATIENCE, || {
        Ok(producer.deliver("leaders", b"safe again")?)
    })
    .unwrap();
    let read = cluster.consume("leaders", 0, Isolation::Committed).unwrap();
    assert_eq!(read.last().unwrap().offset, last);
    assert_eq!(read.last().unwrap().value.as_deref(), Some(&b"safe again"[..]));
}
