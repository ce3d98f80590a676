//! Kafka sink: a shipper's way to the producer that all shippers of a sink share.

use std::sync::Arc;
use std::time::Duration;

use flow::{AckSender, KeepCopy, Payload, Refused, Sink, SinkError};

use super::in_flight::Batch;
use super::lanes::{Admitted, Lanes};
use super::producer::KafkaProducer;

/// Time between two looks at the file of offsets, and at the client, in nanoseconds.
const ADVANCE_NS: u64 = 1_000_000_000;
/// Longest wait for a report at shutdown before all is looked at again.
const FLUSH_WAIT: Duration = Duration::from_millis(50);

/// Hands payloads of one shipper to Kafka.
#[derive(Debug)]
pub struct KafkaSink {
    producer: Arc<KafkaProducer>,
    lanes: Arc<Lanes>,
    acks: AckSender,
    next_advance_ns: u64,
}

impl KafkaSink {
    /// A sink that completes tickets through `acks`.
    #[must_use]
    pub fn new(producer: Arc<KafkaProducer>, acks: AckSender) -> KafkaSink {
        let lanes = Arc::new(Lanes::default());
        KafkaSink { producer, lanes, acks, next_advance_ns: 0 }
    }

    fn send(&mut self, batch: &Arc<Batch>) {
        // Most sections of a batch go to the same topic.
        let mut topic = String::new();
        let reported = batch.send(|batch, message, sent| {
            let header = &batch.payload.headers[batch.messages[message].section];
            self.producer.topic(header, batch.number, &mut topic)?;
            self.producer.send(&topic, (batch, message), sent)
        });
        if let Some(reported) = reported {
            self.producer.shared.reported(batch, reported);
        }
    }

    /// Sends what waits, if it is time.
    fn send_waiting(&mut self, now_ns: u64) {
        for batch in self.lanes.due(now_ns) {
            self.send(&batch);
        }
    }

    fn now_ns(&self) -> u64 {
        self.producer.shared.clock.monotonic_ns()
    }
}

impl Sink for KafkaSink {
    fn submit(&mut self, mut payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>> {
        if let Some(why) = self.producer.shared.broken() {
            return Err(Box::new(Refused { payload, why: SinkError::Broken(why) }));
        }
        let room = self.producer.config.in_flight_bytes_max;
        let admitted = match self.lanes.admit(&payload.tenant, payload.block.len(), room) {
            Ok(admitted) => admitted,
            Err(why) => return Err(Box::new(Refused { payload, why })),
        };
        if let Some(permit) = &mut payload.permit {
            // librdkafka has a copy.
            permit.resize(2 * payload.block.len());
        }
        let tickets = std::mem::take(&mut payload.tickets).into_iter().map(Some).collect();
        let (lanes, acks) = (Arc::clone(&self.lanes), self.acks.clone());
        let number = self.producer.shared.offsets().admit();
        let batch = Arc::new(Batch::new(number, payload, tickets, lanes, acks));
        if admitted == Admitted::OneByOne {
            self.lanes.queue(batch);
            self.send_waiting(self.now_ns());
        } else {
            self.lanes.begin(&batch);
            self.send(&batch);
        }
        Ok(None)
    }

    fn tend(&mut self, now_ns: u64) -> Option<u64> {
        self.send_waiting(now_ns);
        if now_ns >= self.next_advance_ns {
            self.next_advance_ns = now_ns + ADVANCE_NS;
            self.producer.advance(self.acks.stored_ns());
            self.producer.keep_asking();
        }
        Some(self.lanes.due_ns(now_ns).unwrap_or(u64::MAX).min(self.next_advance_ns))
    }

    fn flush(&mut self, deadline_ns: u64) -> Result<(), SinkError> {
        loop {
            if let Some(why) = self.producer.shared.broken() {
                return Err(SinkError::Broken(why));
            }
            if self.lanes.is_empty() {
                return Ok(());
            }
            let now_ns = self.now_ns();
            if now_ns >= deadline_ns {
                return Err(SinkError::Retry("the brokers did not answer in time".to_owned()));
            }
            self.send_waiting(now_ns);
            self.lanes.wait(FLUSH_WAIT);
        }
    }

    fn is_clear(&self, tenant: &str) -> bool {
        self.lanes.is_clear(tenant)
    }

    fn copy_unacknowledged(&self, tenant: &str, keep: &mut KeepCopy<'_>) -> bool {
        self.lanes.unacknowledged(tenant).iter().all(|it| it.copy(keep))
    }

    fn health(&self) -> Result<(), SinkError> {
        self.producer.shared.broken().map_or(Ok(()), |why| Err(SinkError::Broken(why)))
    }
}

impl Drop for KafkaSink {
    fn drop(&mut self) {
        self.lanes.close();
    }
}
