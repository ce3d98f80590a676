//! Follow: what a topic gets, as it comes.

use std::collections::BTreeMap;

use flow::Clock;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::{POLL, Scan, is_passing};
use crate::kafka::bounds::{self, Bounds};
use crate::kafka::producer::KafkaError;

/// Rest between two looks for partitions that were added, in nanoseconds.
const LOOK_NS: u64 = 1_000_000_000;

impl Scan {
    /// Reads on from `next`, the next offset of each partition, and from the first one of partitions that are
    /// added, until `each` wants no more. It is called with nothing when there is nothing for now.
    ///
    /// Brokers that are away are waited for. What retention removes before it was read is left out.
    ///
    /// # Errors
    /// If the brokers refuse.
    pub(in crate::kafka) fn follow(
        &mut self,
        topic: &str,
        mut next: BTreeMap<i32, i64>,
        clock: &dyn Clock,
        mut each: impl FnMut(Option<&BorrowedMessage<'_>>) -> bool,
    ) -> Result<(), KafkaError> {
        self.ranges.clear();
        self.assign_from(topic, &next)?;
        let mut look_ns = clock.monotonic_ns() + LOOK_NS;
        loop {
            let is_overtaken = match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    next.insert(message.partition(), message.offset() + 1);
                    if !each(Some(&message)) {
                        return Ok(());
                    }
                    false
                }
                Some(Err(ClientError::MessageConsumption(
                    Code::AutoOffsetReset | Code::OffsetOutOfRange,
                ))) => true,
                Some(Err(ClientError::PartitionEOF(_))) => false,
                Some(Err(error)) if is_passing(&error) => false,
                Some(Err(error)) => return Err(self.failed("reading", &error)),
                None if !each(None) => return Ok(()),
                None => false,
            };
            let now_ns = clock.monotonic_ns();
            if is_overtaken || now_ns >= look_ns {
                look_ns = now_ns + LOOK_NS;
                // Brokers that do not answer now are asked again. A partition without a leader holds up no other.
                let bounds = bounds::of(self.consumer.client(), topic, self.answer_max);
                if let Ok(Ok(bounds)) = bounds
                    && go_on(&mut next, &bounds)
                {
                    self.assign_from(topic, &next)?;
                }
            }
        }
    }

    fn assign_from(&self, topic: &str, next: &BTreeMap<i32, i64>) -> Result<(), KafkaError> {
        let assign = || -> Result<(), ClientError> {
            let mut list = TopicPartitionList::new();
            for (partition, offset) in next {
                list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
            }
            self.consumer.assign(&list)
        };
        assign().map_err(|error| self.failed("offsets", &error))
    }
}

/// Takes partitions that were added, and goes on with what there is of the others; returns whether that
/// changed anything.
fn go_on(next: &mut BTreeMap<i32, i64>, bounds: &BTreeMap<i32, Bounds>) -> bool {
    let mut is_changed = false;
    for (partition, Bounds { first, end }) in bounds {
        let known = next.get(partition).copied();
        // Before the first: retention was quicker. Behind the end: the topic was made anew.
        if known.is_none_or(|it| it < *first || it > *end) {
            next.insert(*partition, *first);
            is_changed = true;
        }
    }
    is_changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn following_goes_on_with_what_there_is() {
        let bounds = |first, end| Bounds { first, end };
        let mut next = BTreeMap::from([(0, 5), (1, 5), (2, 5)]);
        assert!(!go_on(
            &mut next,
            &[(0, bounds(5, 5)), (1, bounds(0, 9)), (2, bounds(0, 5))].into()
        ));
        let now =
            [(0, bounds(7, 9)), (1, bounds(0, 4)), (2, bounds(0, 9)), (3, bounds(2, 4))].into();
        assert!(go_on(&mut next, &now));
        assert_eq!(next, BTreeMap::from([(0, 7), (1, 0), (2, 5), (3, 2)]));
    }
}
