//! Topics: made, removed and grown by librdkafka's admin client, in milliseconds; Kafka's own takes a second.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use futures_executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication, TopicResult,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::client::Access;
use crate::cluster::Cluster;
use test_kit::{wait_until, when};

/// Longest wait for the cluster to do what it is told, and for all brokers to have heard of it.
const PATIENCE: Duration = Duration::from_secs(30);

impl Cluster {
    /// Makes a topic, and returns when every partition has a leader.
    ///
    /// # Errors
    ///
    /// If it is there, or the cluster has too few brokers.
    pub fn create_topic(
        &self,
        topic: &str,
        partitions: i32,
        replicas: i32,
        properties: &[(&str, &str)],
    ) -> Result<()> {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replicas));
        for (key, value) in properties {
            new = new.set(key, value);
        }
        let admin = self.admin()?;
        done(block_on(admin.create_topics([&new], &options())))?;
        self.wait_for_partitions(&admin, topic, partitions)
    }

    /// Removes a topic, and returns when no broker knows it any more.
    ///
    /// # Errors
    ///
    /// If it is not there.
    pub fn delete_topic(&self, topic: &str) -> Result<()> {
        let admin = self.admin()?;
        done(block_on(admin.delete_topics(&[topic], &options())))?;
        wait_until(topic, PATIENCE, || when(leaders(&admin, topic)?.is_empty(), "there").map(drop))
    }

    /// Grows a topic to `partitions`, and returns when every one has a leader.
    ///
    /// # Errors
    ///
    /// If it has as many or more.
    pub fn grow_topic(&self, topic: &str, partitions: i32) -> Result<()> {
        let admin = self.admin()?;
        let count = usize::try_from(partitions)?;
        done(block_on(admin.create_partitions([&NewPartitions::new(topic, count)], &options())))?;
        self.wait_for_partitions(&admin, topic, partitions)
    }

    /// Removes what comes before an offset of a partition, as retention does.
    ///
    /// # Errors
    ///
    /// If the partition has no such offset.
    pub fn trim_topic(&self, topic: &str, partition: i32, first: i64) -> Result<()> {
        let admin = self.admin()?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(first))?;
        let trimmed = block_on(admin.delete_records(&list, &options()))?;
        for it in trimmed.elements() {
            it.error().with_context(|| format!("{topic}, partition {partition}"))?;
        }
        Ok(())
    }

    /// The broker that leads a partition now; `None` if there is none.
    ///
    /// # Errors
    ///
    /// If no broker answers, or there is no such partition.
    pub fn leader(&self, topic: &str, partition: i32) -> Result<Option<u32>> {
        let admin = self.admin()?;
        let leaders = leaders(&admin, topic)?;
        let leader = leaders.get(usize::try_from(partition)?).context("no such partition")?;
        // -1 stands for none.
        Ok(u32::try_from(*leader).ok())
    }

    fn wait_for_partitions(&self, admin: &Admin, topic: &str, partitions: i32) -> Result<()> {
        let count = usize::try_from(partitions)?;
        wait_until(topic, PATIENCE, || {
            let leaders = leaders(admin, topic)?;
            when(leaders.len() == count && leaders.iter().all(|it| *it > 0), leaders).map(drop)
        })?;
        // The brokers hear of it one after the other; whichever a client asks is to know it.
        for broker in self.brokers().iter().filter(|it| it.is_running()) {
            let own = self.plain_address(broker.node());
            let admin = admin_of(ClientConfig::new().set("bootstrap.servers", own))?;
            wait_until(topic, PATIENCE, || {
                let leaders = leaders(&admin, topic)?;
                when(leaders.len() == count && leaders.iter().all(|it| *it > 0), leaders).map(drop)
            })?;
        }
        Ok(())
    }

    fn admin(&self) -> Result<Admin> {
        admin_of(&self.client(&Access::Plain))
    }
}

type Admin = AdminClient<DefaultClientContext>;

fn admin_of(config: &ClientConfig) -> Result<Admin> {
    Ok(config.create()?)
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE))
}

/// The one result of an order for one topic.
fn done(results: Result<Vec<TopicResult>, KafkaError>) -> Result<()> {
    let results = results?;
    ensure!(results.len() == 1, "one topic was asked for, and answered were {results:?}");
    for result in results {
        result.map_err(|(topic, code)| anyhow!("{topic}: {code}"))?;
    }
    Ok(())
}

/// The leaders of the partitions of a topic, by their numbers; none if it is not there.
fn leaders(admin: &Admin, topic: &str) -> Result<Vec<i32>> {
    let metadata = admin.inner().fetch_metadata(Some(topic), PATIENCE)?;
    let Some(found) = metadata.topics().iter().find(|it| it.name() == topic) else {
        bail!("{topic}: the broker's answer does not name it");
    };
    let mut partitions: Vec<_> =
        found.partitions().iter().map(|it| (it.id(), it.leader())).collect();
    partitions.sort_unstable();
    Ok(partitions.into_iter().map(|(_, leader)| leader).collect())
}
