//! Rule: which request a fault is for, and what becomes of it.

use std::time::Duration;

use super::garble::Garble;

/// Kinds of requests, by Kafka's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum Api {
    /// Batches for partitions.
    Produce = 0,
    /// What a consumer asks for.
    Fetch = 1,
    /// At which time or end which offset is.
    ListOffsets = 2,
    /// Which brokers, topics and leaders there are.
    Metadata = 3,
    /// What the broker understands; the first request of each connection.
    ApiVersions = 18,
    /// A session for an idempotent or transactional producer.
    InitProducerId = 22,
    /// A partition becomes part of a transaction.
    AddPartitionsToTxn = 24,
    /// A transaction is committed or aborted.
    EndTxn = 26,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed. The broker never sees the request.
    CutBefore,
    /// The broker does what it is asked and answers; then the connection is closed, without the answer.
    CutAfter,
    /// The broker does what it is asked and answers. The client never sees the answer; the connection goes on.
    DropResponse,
    /// The answer comes so much later, and all behind it.
    Delay(Duration),
    /// From this request on nothing passes in either direction, and nothing is closed.
    BlackHole,
    /// The broker's end is closed before the request, and the client does not hear of it.
    HalfOpen,
    /// The answer to a Produce request says that this partition failed with this code of Kafka's. The broker has
    /// done what it was asked. Only answers that name the partition count.
    ErrorCode {
        /// The topic.
        topic: String,
        /// Its partition.
        partition: i32,
        /// Such as 45, `OUT_OF_ORDER_SEQUENCE_NUMBER`.
        code: i16,
    },
    /// The same, but the broker has not stored what was for the partition: its checksum was spoiled on the way.
    Refuse {
        /// The topic.
        topic: String,
        /// Its partition.
        partition: i32,
        /// What is said instead of `CORRUPT_MESSAGE`.
        code: i16,
    },
    /// The broker does what it is asked, and its answer is not what arrives.
    Garble(Garble),
}

/// What becomes of all connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Line {
    /// All passes.
    #[default]
    Pass,
    /// What is connected is cut, and whoever comes is sent away.
    Refuse,
    /// Connections are there and silent, in both directions. What waits goes on when all passes again.
    Silent,
    /// Every answer comes so much later.
    Slow(Duration),
}

/// A fault, and the requests that it is for.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(crate) api: Api,
    pub(crate) fault: Fault,
    pub(crate) skip: u64,
    pub(crate) times: u64,
}

impl Rule {
    /// The next request of this kind.
    #[must_use]
    pub fn new(api: Api, fault: Fault) -> Rule {
        Rule { api, fault, skip: 0, times: 1 }
    }

    /// The next Produce answer that is about a partition says that it failed.
    #[must_use]
    pub fn error_code(topic: &str, partition: i32, code: i16) -> Rule {
        Rule::new(Api::Produce, Fault::ErrorCode { topic: topic.to_owned(), partition, code })
    }

    /// The next Produce request that is about a partition is refused with this code, and nothing of it stored there.
    #[must_use]
    pub fn refused(topic: &str, partition: i32, code: i16) -> Rule {
        Rule::new(Api::Produce, Fault::Refuse { topic: topic.to_owned(), partition, code })
    }

    /// Not the next, but the `nth` from now, counted from 1.
    ///
    /// # Panics
    ///
    /// If it is 0.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Rule {
        self.skip = nth.checked_sub(1).expect("counted from 1");
        self
    }

    /// Not once, but so often in a row.
    #[must_use]
    pub fn times(mut self, times: u64) -> Rule {
        self.times = times;
        self
    }

    /// Whether it is for a partition, and not for a whole request.
    pub(crate) fn is_of_partition(&self) -> bool {
        matches!(self.fault, Fault::ErrorCode { .. } | Fault::Refuse { .. })
    }

    /// Counts one more that the rule is about: whether it is its turn.
    pub(crate) fn meets(&mut self) -> bool {
        if let Some(skip) = self.skip.checked_sub(1) {
            self.skip = skip;
            return false;
        }
        let Some(times) = self.times.checked_sub(1) else { return false };
        self.times = times;
        true
    }
}
