//! In flight: a payload on its way to the brokers, and what became of each of its messages.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flow::{AckSender, Codec, KeepCopy, Payload, Ticket, is_mutant};
use rdkafka::types::RDKafkaErrorCode;

use super::lanes::Lanes;
use super::message::{Message, messages};

/// One message: what librdkafka carries along, and gives back with its report.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) batch: Arc<Batch>,
    /// Which of its messages.
    pub(super) message: usize,
}

/// A payload on its way.
#[derive(Debug)]
pub(super) struct Batch {
    /// Its payload's place among those of the sink.
    pub(super) number: u64,
    pub(super) tenant: Arc<str>,
    /// Bytes that it takes of its lane's room.
    pub(super) bytes: usize,
    pub(super) payload: Payload,
    pub(super) messages: Vec<Message>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) acks: AckSender,
    /// By section, the one that has its ticket: of what was divided into sections, the last.
    ticket_of: Vec<usize>,
    state: Mutex<State>,
}

/// What became of its messages.
#[derive(Debug)]
struct State {
    /// By message.
    is_delivered: Vec<bool>,
    /// By section: messages that are not delivered yet, of those that its ticket is about.
    left: Vec<usize>,
    /// By section; taken when all that it is about was delivered. None where another batch has it, or a later section.
    tickets: Vec<Option<Ticket>>,
    /// Reports to come; one more while messages are still being sent.
    outstanding: usize,
    reported: Reported,
}

/// What all reports of a batch come to.
#[derive(Debug, Default)]
pub(super) struct Reported {
    /// Of sections that were delivered.
    pub(super) acked: Vec<Ticket>,
    /// The last offset in each partition.
    pub(super) stored: Vec<(Arc<str>, i32, i64)>,
    /// Why the brokers did not take all.
    pub(super) rejection: Option<Rejection>,
}

/// Why the brokers did not take a message, which they surely did not store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejection {
    pub(super) why: String,
    /// It, or the messages that it was sent with, are more than the topic takes at once.
    pub(super) is_too_large: bool,
}

/// What a failed message means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The broker did not store it, and may take it later.
    Rejected,
    /// The broker did not store it, and takes less at once.
    TooLarge,
    /// The broker may have stored it: only the topic knows.
    Unknown,
}

impl Failure {
    pub(super) fn of(code: Option<RDKafkaErrorCode>) -> Failure {
        use RDKafkaErrorCode as Code;
        match code {
            Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge) => Failure::TooLarge,
            Some(
                Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::UnknownTopicOrPartition
                | Code::InvalidTopic
                | Code::InvalidTimestamp
                | Code::PolicyViolation
                | Code::QueueFull,
            ) => Failure::Rejected,
            _ if is_mutant("unknown_outcome_sent_again") => Failure::Rejected,
            _ => Failure::Unknown,
        }
    }
}

impl Batch {
    /// A payload of which nothing was sent yet; by section, the tickets that are to be completed with it.
    pub(super) fn new(
        number: u64,
        payload: Payload,
        tickets: Vec<Option<Ticket>>,
        lanes: Arc<Lanes>,
        acks: AckSender,
    ) -> Batch {
        let messages = messages(&payload);
        let ticket_of = ticket_of(&tickets, payload.encoding.is_by_record());
        let mut left = vec![0; payload.headers.len()];
        messages.iter().for_each(|it| left[ticket_of[it.section]] += 1);
        let mut state = State {
            is_delivered: vec![false; messages.len()],
            left,
            tickets,
            outstanding: 0,
            reported: Reported::default(),
        };
        for (left, ticket) in state.left.iter().zip(&mut state.tickets) {
            if *left == 0 {
                state.reported.acked.extend(ticket.take());
            }
        }
        Batch {
            number,
            tenant: Arc::clone(&payload.tenant),
            bytes: payload.block.len(),
            payload,
            messages,
            lanes,
            acks,
            ticket_of,
            state: Mutex::new(state),
        }
    }

    /// Sends what was not delivered, in order, until one is refused. Returns what all reports come to if
    /// they are there already.
    pub(super) fn send(
        self: &Arc<Batch>,
        mut send: impl FnMut(&Batch, usize, Box<Sent>) -> Result<(), Rejection>,
    ) -> Option<Reported> {
        // One report more than there are messages, so that it is not done with before all are sent.
        self.lock().outstanding = 1;
        for message in self.undelivered() {
            self.lock().outstanding += 1;
            let sent = Box::new(Sent { batch: Arc::clone(self), message });
            if let Err(rejection) = send(self, message, sent) {
                let mut state = self.lock();
                state.outstanding -= 1;
                if is_mutant("full_client_drops") {
                    let section = self.messages[message].section;
                    std::mem::forget(state.tickets[section].take());
                    continue;
                }
                state.reported.rejection.get_or_insert(rejection);
                break;
            }
            if is_mutant("sending_counted_as_delivery") {
                let mut state = self.lock();
                let ticket = state.tickets[self.messages[message].section].take();
                state.reported.acked.extend(ticket);
            }
        }
        self.finish_one(self.lock())
    }

    /// The value of a message, and how it is compressed.
    pub(super) fn value(&self, message: &Message) -> (&[u8], Codec) {
        let value = &self.payload.block[message.range.clone()];
        (value, if value.is_empty() { Codec::None } else { self.payload.codec })
    }

    /// Which messages are not delivered.
    pub(super) fn undelivered(&self) -> Vec<usize> {
        let state = self.lock();
        (0..self.messages.len()).filter(|it| !state.is_delivered[*it]).collect()
    }

    /// Takes the ticket that is about a section, for whoever delivers the rest of what it is about.
    pub(super) fn take_ticket(&self, section: usize) -> Option<Ticket> {
        self.lock().tickets[self.ticket_of[section]].take()
    }

    /// Whether the ticket that is about one section is about another, too.
    pub(super) fn have_one_ticket(&self, one: usize, other: usize) -> bool {
        self.ticket_of[one] == self.ticket_of[other]
    }

    /// Offers `keep` a copy of the payload, with the tickets that it has; the messages go on as they are.
    /// Returns whether it was kept.
    pub(super) fn copy(self: &Arc<Batch>, keep: &mut KeepCopy<'_>) -> bool {
        let mut sections = Vec::new();
        let mut tickets = Vec::new();
        for (section, ticket) in self.lock().tickets.iter_mut().enumerate() {
            if let Some(ticket) = ticket.take() {
                sections.push(section);
                tickets.push(ticket);
            }
        }
        let it = &self.payload;
        let copy = Payload {
            tenant: Arc::clone(&it.tenant),
            encoding: it.encoding,
            codec: it.codec,
            raw_bytes: it.raw_bytes,
            block: it.block.clone(),
            headers: it.headers.clone(),
            tickets,
            permit: None,
        };
        let Err(refused) = keep(copy) else { return true };
        let mut state = self.lock();
        let mut delivered = Vec::new();
        for (section, ticket) in sections.into_iter().zip(refused.payload.tickets) {
            // Perhaps the brokers answered meanwhile.
            match state.left[section] {
                0 => delivered.push(ticket),
                _ => state.tickets[section] = Some(ticket),
            }
        }
        drop(state);
        self.acks.complete(delivered);
        false
    }

    /// The broker stored a message.
    pub(super) fn delivered(
        &self,
        message: usize,
        (topic, partition, offset): (&str, i32, i64),
    ) -> Option<Reported> {
        let mut state = self.lock();
        let section = self.ticket_of[self.messages[message].section];
        state.is_delivered[message] = true;
        state.left[section] -= 1;
        if state.left[section] == 0 {
            let ticket = state.tickets[section].take();
            state.reported.acked.extend(ticket);
        }
        let stored = &mut state.reported.stored;
        match stored.iter_mut().find(|it| it.1 == partition && *it.0 == *topic) {
            Some(known) => known.2 = known.2.max(offset),
            None => stored.push((Arc::from(topic), partition, offset)),
        }
        self.finish_one(state)
    }

    /// The broker did not store a message.
    pub(super) fn refused(&self, rejection: Rejection) -> Option<Reported> {
        let mut state = self.lock();
        let known = state.reported.rejection.get_or_insert_with(|| rejection.clone());
        // What is too large is found out only once nothing else keeps it from its topic.
        if known.is_too_large && !rejection.is_too_large {
            *known = rejection;
        }
        self.finish_one(state)
    }

    fn finish_one(&self, mut state: MutexGuard<'_, State>) -> Option<Reported> {
        state.outstanding -= 1;
        if state.outstanding > 0 {
            return None;
        }
        let mut reported = std::mem::take(&mut state.reported);
        if reported.rejection.is_some() && is_mutant("failure_counted_as_delivery") {
            let tickets = std::mem::take(&mut state.tickets);
            reported.acked.extend(tickets.into_iter().flatten());
        }
        if is_mutant("partial_ack_skips_the_rest") {
            reported.rejection = None;
        }
        Some(reported)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By section, the one that has the ticket that is about it: by record, of a section that was divided into one for each
/// message the last has it.
fn ticket_of(tickets: &[Option<Ticket>], is_by_record: bool) -> Vec<usize> {
    let mut of: Vec<usize> = (0..tickets.len()).collect();
    let is_divided = is_by_record && !is_mutant("divided_section_acked_with_its_last_message");
    let mut next = None;
    for (section, ticket) in tickets.iter().enumerate().rev().filter(|_| is_divided) {
        next = ticket.is_some().then_some(section).or(next);
        of[section] = next.unwrap_or(section);
    }
    of
}

#[cfg(test)]
mod tests;
