//! Kafka sink: a shipper's way to the producer that all shippers of a sink share.

use std::sync::Arc;
use std::time::Duration;

use flow::{AckSender, Payload, Refused, Sink, SinkError, Ticket};

use super::in_flight::Batch;
use super::lanes::{Full, Lanes};
use super::producer::KafkaProducer;

/// Time between two looks at the file of offsets, in nanoseconds.
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
        let lanes = Arc::new(Lanes::new(Arc::clone(&producer.shared.holes)));
        KafkaSink { producer, lanes, acks, next_advance_ns: 0 }
    }

    fn send(&self, number: u64, payload: Payload, tickets: Vec<Option<Ticket>>) {
        let (lanes, acks) = (Arc::clone(&self.lanes), self.acks.clone());
        let batch = Arc::new(Batch::new(number, payload, tickets, lanes, acks));
        let reported =
            batch.send(|payload, section, sent| self.producer.send(payload, section, sent));
        if let Some(reported) = reported {
            self.producer.shared.done(&batch, reported);
        }
    }

    /// Sends again what was rejected, if it is time.
    fn send_again(&self, now_ns: u64) {
        for it in self.lanes.due(now_ns) {
            self.send(it.number, it.payload, it.tickets);
        }
    }
}

impl Sink for KafkaSink {
    fn submit(&mut self, mut payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>> {
        if let Some(why) = self.producer.shared.broken() {
            return Err(Box::new(Refused { payload, why: SinkError::Broken(why) }));
        }
        let room = self.producer.config.in_flight_bytes_max;
        if let Err(full) = self.lanes.admit(&payload.tenant, payload.block.len(), room) {
            let why = match full {
                Full::Busy => SinkError::Busy,
                Full::Rejected(why) => SinkError::Retry(why),
            };
            return Err(Box::new(Refused { payload, why }));
        }
        let number = self.producer.shared.offsets().admit();
        if let Some(permit) = &mut payload.permit {
            // librdkafka has a copy.
            permit.resize(2 * payload.block.len());
        }
        let tickets = std::mem::take(&mut payload.tickets).into_iter().map(Some).collect();
        self.send(number, payload, tickets);
        Ok(None)
    }

    fn tend(&mut self, now_ns: u64) -> Option<u64> {
        self.send_again(now_ns);
        if now_ns >= self.next_advance_ns {
            self.next_advance_ns = now_ns + ADVANCE_NS;
            self.producer.advance(self.acks.stored_ns());
        }
        Some(self.lanes.due_ns().unwrap_or(u64::MAX).min(self.next_advance_ns))
    }

    fn flush(&mut self, deadline_ns: u64) -> Result<(), SinkError> {
        loop {
            if let Some(why) = self.producer.shared.broken() {
                return Err(SinkError::Broken(why));
            }
            if self.lanes.is_empty() {
                return Ok(());
            }
            let now_ns = self.producer.shared.clock.monotonic_ns();
            if now_ns >= deadline_ns {
                return Err(SinkError::Retry("the brokers did not answer in time".to_owned()));
            }
            self.send_again(now_ns);
            self.lanes.wait(FLUSH_WAIT);
            if self.lanes.due_ns().is_some() {
                std::thread::sleep(FLUSH_WAIT);
            }
        }
    }

    fn health(&self) -> Result<(), SinkError> {
        self.producer.shared.broken().map_or(Ok(()), |why| Err(SinkError::Broken(why)))
    }
}
