//! Broker: the real Kafka that schedules with Kafka share, and what befalls it.
//!
//! It is one for all, since it takes longer to start than a schedule to run: what befalls it befalls all that
//! run. It is never away for long, and there while it is asked what it holds.

use std::sync::{LazyLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use kafka_kit::{Api, Cluster, Fault, Isolation, Line, Listener, Rule};
use serde_json::Value;

use super::dice::Dice;
use crate::kafka;
use crate::kit::{Run, now_ns, sleep_ms};

/// Whoever writes to it kills or stops it; whoever asks it something reads.
static BROKER: LazyLock<RwLock<Shared>> = LazyLock::new(|| {
    // A killed one is not let in again before its session is over, which would be 9 s; one that is stopped for 2 s keeps it.
    let builder = Cluster::builder().set("broker.session.timeout.ms", "5000");
    RwLock::new(Shared { cluster: builder.start().expect("Kafka starts"), begun_ns: 0 })
});
/// How long a broker lives at least, in nanoseconds: schedules that kill it one after another leave agents no time to
/// get to it.
const LIFE_NS_MIN: u64 = 15_000_000_000;

struct Shared {
    cluster: Cluster,
    /// When it was started after it was killed last, by the monotonic clock.
    begun_ns: u64,
}

/// The topics of a schedule: one for each tenant, with one partition, so that it has an order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Topics {
    seed: u64,
}

impl Topics {
    /// Makes them.
    pub(super) fn new(seed: u64, tenants: &[&str]) -> Topics {
        let topics = Topics { seed };
        for tenant in tenants {
            broker().cluster.create_topic(&topics.name(tenant), 1, 1, &[]).expect("can be made");
        }
        topics
    }

    fn name(self, tenant: &str) -> String {
        format!("chaos-{}-{tenant}", self.seed)
    }

    /// What a `LogSink` of a tenant says of it.
    pub(super) fn fields(self, tenant: &str) -> String {
        let (brokers, topic) = (broker().cluster.addresses(Listener::Proxied), self.name(tenant));
        format!("  kafka: {{brokers: ['{brokers}'], topic: '{topic}'}}\n  encoding: json_lines\n")
    }

    /// All records of a tenant, in the order of the topic, by Kafka's own consumer.
    pub(super) fn records(self, tenant: &str) -> Vec<Value> {
        let (shared, topic) = (broker(), self.name(tenant));
        let broker = &shared.cluster;
        let end = broker.end_offsets(&topic).expect("the topic is there")[&0];
        let messages = broker.consume_count(&topic, 0, Isolation::Uncommitted, end);
        let values = messages.expect("can be read").into_iter().filter_map(|it| it.value);
        let text = values.flatten().collect::<Vec<u8>>();
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).expect("an object")).collect()
    }

    /// `logferry audit` of a tenant's topic.
    pub(super) fn audit(self, tenant: &str) -> Run {
        kafka::audit(&broker().cluster, &self.name(tenant))
    }

    /// The broker is there, and stays so, while something is done.
    pub(super) fn in_peace<T>(self, done: impl FnOnce() -> T) -> T {
        let _broker = broker();
        done()
    }

    /// Something befalls the broker, or the way to it.
    pub(super) fn strike(self, dice: &mut Dice) -> &'static str {
        let rest_ms = dice.roll(400);
        let kind = dice.roll(9);
        if kind < 3 {
            let mut shared = BROKER.write().unwrap_or_else(PoisonError::into_inner);
            let broker = shared.cluster.broker(1);
            if kind == 0 && now_ns() >= shared.begun_ns + LIFE_NS_MIN {
                broker.kill().expect("it runs");
                sleep_ms(rest_ms);
                broker.start().expect("Kafka starts");
                shared.begun_ns = now_ns();
                return "has its broker killed";
            }
            broker.pause().expect("it runs");
            sleep_ms(5 * rest_ms);
            broker.resume().expect("it runs");
            return "has its broker stopped for a while";
        }
        let shared = broker();
        let proxy = shared.cluster.broker(1).proxy();
        let nth = 1 + dice.roll(3);
        match kind {
            3 | 4 => {
                proxy.add(Rule::new(Api::Produce, Fault::CutAfter).nth(nth));
                "will not hear an acknowledgement"
            }
            5 => {
                proxy.add(Rule::new(Api::Produce, Fault::CutBefore).nth(nth));
                "is cut off before a request"
            }
            6 => {
                // NOT_LEADER_OR_FOLLOWER, and nothing is stored.
                for tenant in super::stream::TENANTS {
                    proxy.add(Rule::refused(&self.name(tenant), 0, 6).nth(nth));
                }
                "is told that its broker does not lead"
            }
            7 => {
                proxy.add(Rule::new(Api::Produce, Fault::Delay(Duration::from_millis(rest_ms))));
                "hears late"
            }
            _ => {
                proxy.set_line(if nth == 1 { Line::Refuse } else { Line::Silent });
                sleep_ms(rest_ms);
                proxy.set_line(Line::Pass);
                "has no line to its broker"
            }
        }
    }
}

fn broker() -> RwLockReadGuard<'static, Shared> {
    BROKER.read().unwrap_or_else(PoisonError::into_inner)
}
