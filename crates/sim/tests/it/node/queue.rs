//! Queue: where a node delivers to: the embedded queue's promises in memory, or the real Kafka sink over
//! brokers in memory.

use std::ops::RangeInclusive;
use std::sync::Arc;

use flow::{AckSender, Clock, Compress, Encode, ReadBack, Sink};
use sim::{KafkaSetting, KafkaStep, Mode, SimKafka, SimQueue, Stored};

/// A queue. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) enum Queue {
    Embedded(SimQueue),
    Kafka(SimKafka),
}

impl Queue {
    pub(crate) fn new(kafka: Option<KafkaSetting>) -> Queue {
        match kafka {
            None => Queue::Embedded(SimQueue::default()),
            Some(setting) => Queue::Kafka(SimKafka::new(setting)),
        }
    }

    pub(super) fn sink(&self, acks: AckSender, clock: Arc<dyn Clock>) -> Option<Box<dyn Sink>> {
        match self {
            Queue::Embedded(queue) => Some(queue.sink(acks)),
            Queue::Kafka(kafka) => kafka.sink(acks, clock).ok(),
        }
    }

    /// A sink for what comes out of a spool. Spools stand before embedded queues alone.
    pub(super) fn draining(&self, acks: AckSender) -> Box<dyn Sink> {
        match self {
            Queue::Embedded(queue) => queue.draining(acks),
            Queue::Kafka(_) => unreachable!("no spool before Kafka"),
        }
    }

    pub(super) fn read_back(&self) -> Option<Box<dyn ReadBack>> {
        match self {
            Queue::Embedded(queue) => Some(queue.read_back()),
            Queue::Kafka(kafka) => kafka.read_back().ok(),
        }
    }

    pub(super) fn encoder(&self) -> Box<dyn Encode> {
        match self {
            Queue::Embedded(queue) => queue.encoder(),
            Queue::Kafka(kafka) => kafka.encoder(),
        }
    }

    pub(super) fn compressor() -> Box<dyn Compress> {
        SimQueue::compressor()
    }

    /// Looks at all that was ever stored, in order.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&[Stored]) -> T) -> T {
        match self {
            Queue::Embedded(queue) => queue.look(look),
            Queue::Kafka(kafka) => kafka.look(look),
        }
    }

    /// What is stored of a tenant, without what it was promised may come again.
    pub(super) fn once(&self, tenant: &str) -> Result<Vec<Stored>, String> {
        match self {
            Queue::Embedded(queue) => Ok(queue.look(|stored| {
                let own = stored.iter().filter(|it| *it.header.context.tenant == *tenant);
                own.cloned().collect()
            })),
            Queue::Kafka(kafka) => kafka.once(tenant),
        }
    }

    /// How often a shipper may have heard that something was refused.
    pub(super) fn refused(&self) -> RangeInclusive<u64> {
        match self {
            Queue::Embedded(queue) => queue.refused()..=queue.refused(),
            // Of a payload that is refused, the shipper hears as often as it asks.
            Queue::Kafka(kafka) => 0..=kafka.refused().saturating_mul(u64::MAX),
        }
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        match self {
            Queue::Embedded(queue) => queue.set_mode(mode),
            Queue::Kafka(kafka) => {
                kafka.set_slow(mode != Mode::Safe);
                kafka.set_refuses(mode == Mode::Refuses);
                kafka.step(KafkaStep::Full(mode == Mode::IsBusy));
                if let Mode::Breaks(messages) = mode {
                    kafka.request(0, messages + 1, sim::Fate::UnknownStored);
                }
            }
        }
    }

    /// Nothing fails any more.
    pub(super) fn lift_faults(&self) {
        match self {
            Queue::Embedded(queue) => queue.set_mode(Mode::Safe),
            Queue::Kafka(kafka) => kafka.lift_faults(),
        }
    }

    /// From now on what is of this tenant is refused; `None`: of nobody.
    pub(crate) fn refuse(&self, tenant: Option<&str>) {
        match self {
            Queue::Embedded(queue) => queue.refuse(tenant),
            Queue::Kafka(kafka) => kafka.refuse(tenant),
        }
    }

    /// Makes so much safe, and says so.
    pub(super) fn settle(&self, count: usize) {
        match self {
            Queue::Embedded(queue) => queue.settle(count),
            Queue::Kafka(kafka) if count == usize::MAX => kafka.answer_all(),
            Queue::Kafka(kafka) => kafka.request(count, count, sim::Fate::Answered),
        }
    }

    /// Makes so much safe, and says nothing.
    pub(crate) fn make_safe(&self, count: usize) {
        match self {
            Queue::Embedded(queue) => queue.make_safe(count),
            Queue::Kafka(kafka) => kafka.request(count, count, sim::Fate::Stored),
        }
    }

    /// Says of something that is safe that it is.
    pub(super) fn acknowledge(&self, number: usize) {
        match self {
            Queue::Embedded(queue) => queue.acknowledge(number),
            Queue::Kafka(kafka) => kafka.step(KafkaStep::Hear(number)),
        }
    }

    pub(super) fn settle_all(&self) {
        match self {
            Queue::Embedded(queue) => queue.settle_all(),
            Queue::Kafka(kafka) => kafka.answer_all(),
        }
    }

    /// What a queue does by itself between two turns of the agent.
    pub(super) fn go_on(&self) {
        if let Queue::Kafka(kafka) = self {
            kafka.answer();
        }
    }

    pub(crate) fn step(&self, step: KafkaStep) {
        if let Queue::Kafka(kafka) = self {
            kafka.step(step);
        }
    }

    /// The agent is killed.
    pub(super) fn die(&self) {
        if let Queue::Kafka(kafka) = self {
            kafka.die();
        }
    }

    /// Who wrote to it is gone.
    pub(super) fn lose(&self, kept: usize, records: usize) {
        match self {
            Queue::Embedded(queue) => queue.lose(kept, records),
            Queue::Kafka(kafka) => kafka.lose(kept),
        }
    }

    /// How long a round of all stages takes: what Kafka refused is sent again a second later.
    pub(super) fn round_ns(&self) -> u64 {
        match self {
            Queue::Embedded(_) => 1_000,
            Queue::Kafka(_) => 2_000_000,
        }
    }

    /// Longest pause before what was refused, or never answered, is sent again.
    pub(super) fn pause_max_ns(&self) -> u64 {
        match self {
            Queue::Embedded(_) => 0,
            Queue::Kafka(_) => 1_000_000_000,
        }
    }

    /// Until when is waited for what is on its way at the end: brokers have answered what they ever will.
    pub(super) fn patience_ns(&self, now_ns: u64) -> u64 {
        match self {
            Queue::Embedded(_) => u64::MAX,
            Queue::Kafka(_) => now_ns,
        }
    }
}
