//! In flight: a payload on its way to the broker, and what became of each of its messages.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flow::{AckSender, Payload, PayloadHeader, Ticket, is_mutant};
use rdkafka::types::RDKafkaErrorCode;

use super::lanes::Lanes;

/// One message of a payload: what librdkafka carries along, and gives back with its report.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) batch: Arc<Batch>,
    /// Which of its sections.
    pub(super) section: usize,
}

/// A payload on its way.
#[derive(Debug)]
pub(super) struct Batch {
    /// Its place among those of the sink.
    pub(super) number: u64,
    pub(super) tenant: Arc<str>,
    /// Bytes that it takes of its lane's room.
    pub(super) bytes: usize,
    pub(super) lanes: Arc<Lanes>,
    acks: AckSender,
    outcome: Mutex<Outcome>,
}

/// What became of a payload's messages.
#[derive(Debug)]
struct Outcome {
    payload: Payload,
    /// By section; taken when it was delivered.
    tickets: Vec<Option<Ticket>>,
    /// Reports to come; one more while they are still being sent.
    outstanding: usize,
    /// Where those are that the broker stored: topic, partition, offset.
    stored: Vec<(Arc<str>, i32, i64)>,
    acked: Vec<Ticket>,
    rejected: Option<String>,
}

/// All reports of a payload are there.
#[derive(Debug)]
pub(super) struct Reported {
    pub(super) payload: Payload,
    /// What was not delivered, by section.
    pub(super) tickets: Vec<Option<Ticket>>,
    pub(super) stored: Vec<(Arc<str>, i32, i64)>,
    /// Why the broker did not take all.
    pub(super) rejected: Option<String>,
}

/// What a failed message means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The broker did not store it, and may take it later.
    Rejected,
    /// The broker may have stored it: only the topic knows.
    Unknown,
}

impl Failure {
    pub(super) fn of(code: Option<RDKafkaErrorCode>) -> Failure {
        use RDKafkaErrorCode as Code;
        match code {
            Some(
                Code::MessageSizeTooLarge
                | Code::MessageBatchTooLarge
                | Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::UnknownTopicOrPartition
                | Code::InvalidTopic
                | Code::PolicyViolation
                | Code::QueueFull,
            ) => Failure::Rejected,
            _ if is_mutant("unknown_outcome_sent_again") => Failure::Rejected,
            _ => Failure::Unknown,
        }
    }
}

impl Batch {
    /// A payload of which nothing was sent yet. One report more than there are messages is awaited, so that
    /// it is not done with before [`Batch::send`] has sent all.
    pub(super) fn new(
        number: u64,
        payload: Payload,
        tickets: Vec<Option<Ticket>>,
        lanes: Arc<Lanes>,
        acks: AckSender,
    ) -> Batch {
        let (tenant, bytes) = (Arc::clone(&payload.tenant), payload.block.len());
        let outcome = Outcome {
            payload,
            tickets,
            outstanding: 1,
            stored: Vec::new(),
            acked: Vec::new(),
            rejected: None,
        };
        Batch { number, tenant, bytes, lanes, acks, outcome: Mutex::new(outcome) }
    }

    /// Sends what was not delivered, in order, until one is refused.
    pub(super) fn send(
        self: &Arc<Batch>,
        mut send: impl FnMut(&Payload, usize, Box<Sent>) -> Result<(), String>,
    ) -> Option<Reported> {
        let sections = self.lock().tickets.len();
        for section in 0..sections {
            let mut outcome = self.lock();
            if outcome.tickets[section].is_none() {
                continue;
            }
            if says_nothing(&outcome.payload.headers[section]) {
                let ticket = outcome.tickets[section].take();
                outcome.acked.extend(ticket);
                continue;
            }
            outcome.outstanding += 1;
            let sent = Box::new(Sent { batch: Arc::clone(self), section });
            if let Err(why) = send(&outcome.payload, section, sent) {
                outcome.outstanding -= 1;
                if is_mutant("full_client_drops") {
                    std::mem::forget(outcome.tickets[section].take());
                    continue;
                }
                outcome.rejected.get_or_insert(why);
                break;
            }
            if is_mutant("sending_counted_as_delivery") {
                let ticket = outcome.tickets[section].take();
                outcome.acked.extend(ticket);
            }
        }
        self.finish_one(self.lock())
    }

    /// The broker stored a section.
    pub(super) fn delivered(&self, section: usize, at: (Arc<str>, i32, i64)) -> Option<Reported> {
        let mut outcome = self.lock();
        let ticket = outcome.tickets[section].take();
        outcome.acked.extend(ticket);
        outcome.stored.push(at);
        self.finish_one(outcome)
    }

    /// The broker did not store a section.
    pub(super) fn refused(&self, why: String) -> Option<Reported> {
        let mut outcome = self.lock();
        outcome.rejected.get_or_insert(why);
        self.finish_one(outcome)
    }

    fn finish_one(&self, mut outcome: MutexGuard<'_, Outcome>) -> Option<Reported> {
        outcome.outstanding -= 1;
        if outcome.outstanding > 0 {
            return None;
        }
        if outcome.rejected.is_some() && is_mutant("failure_counted_as_delivery") {
            let tickets = std::mem::take(&mut outcome.tickets);
            outcome.acked.extend(tickets.into_iter().flatten());
        }
        if outcome.rejected.is_some() && is_mutant("partial_ack_skips_the_rest") {
            outcome.rejected = None;
        }
        let acked = std::mem::take(&mut outcome.acked);
        let reported = Reported {
            payload: std::mem::replace(&mut outcome.payload, nothing(&self.tenant)),
            tickets: std::mem::take(&mut outcome.tickets),
            stored: std::mem::take(&mut outcome.stored),
            rejected: outcome.rejected.take(),
        };
        drop(outcome);
        if !acked.is_empty() {
            self.acks.complete(acked);
        }
        Some(reported)
    }

    fn lock(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nobody would miss a message of that section.
fn says_nothing(header: &PayloadHeader) -> bool {
    header.span.is_empty() && header.gap.is_none() && !header.marks.last
}

/// What stands in place of a payload that was handed on.
fn nothing(tenant: &Arc<str>) -> Payload {
    Payload {
        tenant: Arc::clone(tenant),
        encoding: flow::Encoding::JsonLines,
        codec: flow::Codec::None,
        raw_bytes: 0,
        block: Vec::new(),
        headers: Vec::new(),
        tickets: Vec::new(),
        permit: None,
    }
}

#[cfg(test)]
mod tests;
