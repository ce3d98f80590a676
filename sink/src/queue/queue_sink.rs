//! Queue sink: a shipper's way into the embedded queue.
//!
//! One per shipper thread; all of them share the queue. A payload is written before `submit` returns
//! and acknowledged once the sync thread has made it safe.

use std::sync::Arc;

use flow::{AckSender, Payload, Refused, Sink, SinkError};

use super::Queue;

/// Hands payloads of one shipper to a queue.
#[derive(Debug)]
pub struct QueueSink {
    queue: Arc<Queue>,
    acks: AckSender,
}

impl QueueSink {
    /// A sink into `queue` that completes tickets through `acks`.
    #[must_use]
    pub fn new(queue: Arc<Queue>, acks: AckSender) -> QueueSink {
        QueueSink { queue, acks }
    }
}

impl Sink for QueueSink {
    fn submit(&mut self, payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>> {
        self.queue.append(payload, &self.acks).map(Some)
    }

    fn flush(&mut self, deadline_ns: u64) -> Result<(), SinkError> {
        self.queue.flush(deadline_ns)
    }

    fn health(&self) -> Result<(), SinkError> {
        self.queue.health()
    }

    fn is_clear(&self, tenant: &str) -> bool {
        self.queue.is_synced(tenant)
    }
}
