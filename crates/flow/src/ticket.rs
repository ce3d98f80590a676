//! Ticket: the duty to say what became of a span.
//!
//! A ticket travels with its section to the sink and is completed *by value*, by [`AckSender`].
//! Silence never acknowledges: a ticket that is merely dropped leaves its span un-acked and is
//! counted, and the control plane reads the span again from the last checkpoint.

use std::sync::Arc;

use super::budget::Permit;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::channel::{Receiver, Sender, bounded};
use crate::{GapReason, Position, Span, is_mutant};

/// Number of a source within one life of the data plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// Counts the tickets that were dropped instead of completed.
#[derive(Debug, Default)]
pub struct Ledger {
    dropped: AtomicU64,
}

impl Ledger {
    /// Tickets dropped so far: anything but 0 means that spans must be read again.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Acquire)
    }
}

/// What a completed ticket tells the ack tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acked {
    /// Whose span.
    pub source: SourceId,
    /// Which cursors.
    pub span: Span,
    /// Where the file system's side stands after the span; one per generation touched.
    pub positions: Vec<Position>,
    /// A part of a section after which no restart can go on: it has no positions.
    pub is_inner: bool,
    /// Records delivered.
    pub records: u32,
    /// Bytes of the span that a filter left out.
    pub filtered_bytes: u64,
    /// Set if the span is a declared gap.
    pub gap: Option<GapReason>,
    /// Monotonic time at which the span's bytes were first seen, for the latency histogram.
    pub seen_ns: u64,
}

/// The duty to complete one span.
#[derive(Debug)]
pub struct Ticket {
    /// `None` once completed.
    duty: Option<Acked>,
    ledger: Arc<Ledger>,
    /// Pays for the span's bytes until all of it is acknowledged; shared by its parts.
    permit: Option<Arc<Permit>>,
}

impl Ticket {
    /// A ticket for what `acked` describes.
    #[must_use]
    pub fn new(acked: Acked, ledger: Arc<Ledger>) -> Ticket {
        Ticket { duty: Some(acked), ledger, permit: None }
    }

    /// The same, with a permit that is given back once its span is acknowledged.
    #[must_use]
    pub fn paying(self, permit: Permit) -> Ticket {
        let mut ticket = self;
        ticket.permit = Some(Arc::new(permit));
        ticket
    }

    /// Two tickets for two parts of the span, the first up to `cursor` with `records` records; `positions` are
    /// those there, `None` if no restart can go on there.
    ///
    /// # Panics
    /// If `cursor` is not inside of the span.
    #[must_use]
    pub fn split(
        mut self,
        cursor: u64,
        records: u32,
        positions: Option<Vec<Position>>,
    ) -> [Ticket; 2] {
        let Some(second) = self.duty.take() else { unreachable!("completed by value") };
        assert!(second.span.begin < cursor && cursor < second.span.end, "{cursor}");
        let first = Acked {
            span: Span::new(second.span.begin, cursor),
            is_inner: positions.is_none(),
            positions: positions.unwrap_or_default(),
            records,
            filtered_bytes: 0,
            ..second.clone()
        };
        let second = Acked {
            span: Span::new(cursor, second.span.end),
            records: second.records.saturating_sub(records),
            ..second
        };
        let part = |duty| {
            let (ledger, permit) = (Arc::clone(&self.ledger), self.permit.clone());
            Ticket { duty: Some(duty), ledger, permit }
        };
        [first, second].map(part)
    }

    /// Its span is delivered as a declared gap.
    pub fn declare(&mut self, reason: GapReason) {
        if let Some(duty) = &mut self.duty {
            duty.gap = Some(reason);
            duty.records = 0;
        }
    }

    /// The positions just after the span, which the queue stores beside it.
    #[must_use]
    pub fn positions(&self) -> &[Position] {
        self.duty.as_ref().map_or(&[], |duty| &duty.positions)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.duty.is_some() && !is_mutant("dropped_ticket_is_delivered") {
            self.ledger.dropped.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// Where completed tickets go.
#[derive(Debug, Clone)]
pub struct AckSender {
    acked: Sender<Vec<Acked>>,
    stored: StoredMark,
    /// Of those who acknowledge beside it.
    others: Option<StoredMark>,
}

/// Up to when acknowledgements are in a stored checkpoint. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct StoredMark(Arc<AtomicU64>);

impl StoredMark {
    /// All tickets completed before `at_ns` of the monotonic clock are in a stored checkpoint.
    pub fn set(&self, at_ns: u64) {
        self.0.fetch_max(at_ns, Ordering::AcqRel);
    }
}

/// How many groups of acks may wait for the ack tracker.
///
/// A group is one payload. The tracker only ever adds to a map, so this is room for a pause while
/// it writes a checkpoint, not a working store.
const ACK_GROUPS_MAX: usize = 4096;

/// A channel from sinks to the ack tracker.
#[must_use]
pub fn ack_channel() -> (AckSender, Receiver<Vec<Acked>>) {
    let (acked, receiver) = bounded(ACK_GROUPS_MAX);
    (AckSender { acked, stored: StoredMark::default(), others: None }, receiver)
}

impl AckSender {
    /// What the ack tracker sets.
    #[must_use]
    pub fn stored_mark(&self) -> StoredMark {
        self.stored.clone()
    }

    /// Tickets completed before this time of the monotonic clock are in a stored checkpoint; 0 if none is.
    #[must_use]
    pub fn stored_ns(&self) -> u64 {
        let others_ns = self.others.as_ref().map_or(u64::MAX, |it| it.0.load(Ordering::Acquire));
        self.stored.0.load(Ordering::Acquire).min(others_ns)
    }

    /// As it is, for a sink that others acknowledge through too: what counts as stored is what both say.
    #[must_use]
    pub fn beside(self, others: StoredMark) -> AckSender {
        AckSender { others: Some(others), ..self }
    }

    /// Says that every span of `tickets` is safely in the queue.
    pub fn complete(&self, tickets: Vec<Ticket>) {
        let ledger = tickets.first().map(|ticket| Arc::clone(&ticket.ledger));
        let acked: Vec<Acked> =
            tickets.into_iter().filter_map(|mut ticket| ticket.duty.take()).collect();
        let Err(unheard) = self.acked.send(acked) else { return };
        // Nobody listens any more: the data plane is going down, and the spans stay un-acked.
        if let Some(ledger) = ledger
            && !is_mutant("unheard_ticket_not_counted")
        {
            ledger.dropped.fetch_add(unheard.0.len() as u64, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Budget, NodeBudget};

    fn ticket(ledger: &Arc<Ledger>) -> Ticket {
        let acked = Acked {
            source: SourceId(7),
            span: Span::new(0, 10),
            positions: vec![Position { generation: 1, offset: 10, ..Position::default() }],
            is_inner: false,
            records: 1,
            filtered_bytes: 0,
            gap: None,
            seen_ns: 0,
        };
        Ticket::new(acked, Arc::clone(ledger))
    }

    #[test]
    fn a_permit_is_given_back_when_both_parts_are_acknowledged() {
        let ledger = Arc::new(Ledger::default());
        let (sender, _receiver) = ack_channel();
        let window = Budget::new(NodeBudget::new(0), 10, 10);
        let ticket = ticket(&ledger).paying(window.try_acquire(10).unwrap());
        let [first, second] = ticket.split(4, 1, None);
        sender.complete(vec![first]);
        assert_eq!(window.used(), 10);
        sender.complete(vec![second]);
        assert_eq!(window.used(), 0);
    }

    #[test]
    fn a_completed_ticket_arrives() {
        let ledger = Arc::new(Ledger::default());
        let (sender, receiver) = ack_channel();
        sender.complete(vec![ticket(&ledger)]);
        assert_eq!(receiver.recv().unwrap()[0].span, Span::new(0, 10));
        assert_eq!(ledger.dropped(), 0);
    }

    #[test]
    fn a_ticket_that_is_split_is_complete_when_both_are() {
        let ledger = Arc::new(Ledger::default());
        let (sender, receiver) = ack_channel();
        let [first, mut second] = ticket(&ledger).split(4, 1, None);
        second.declare(GapReason::OverLong);
        sender.complete(vec![first, second]);
        let acked = receiver.recv().unwrap();
        assert_eq!([acked[0].span, acked[1].span], [Span::new(0, 4), Span::new(4, 10)]);
        assert_eq!([acked[0].is_inner, acked[1].is_inner], [true, false]);
        assert_eq!([acked[0].positions.len(), acked[1].positions.len()], [0, 1]);
        assert_eq!([acked[0].gap, acked[1].gap], [None, Some(GapReason::OverLong)]);
        assert_eq!([acked[0].records, acked[1].records], [1, 0]);
        assert_eq!(ledger.dropped(), 0);
        drop(ticket(&ledger).split(4, 1, None));
        assert_eq!(ledger.dropped(), 2);
    }

    #[test]
    fn tickets_of_many_threads_arrive_once_each() {
        const THREADS: usize = 3;
        const GROUPS: usize = 5;
        let ledger = Arc::new(Ledger::default());
        let (sender, receiver) = ack_channel();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                let (sender, ledger) = (sender.clone(), Arc::clone(&ledger));
                scope.spawn(move || {
                    for _ in 0..GROUPS {
                        sender.complete(vec![ticket(&ledger), ticket(&ledger)]);
                        drop(ticket(&ledger));
                    }
                });
            }
            drop(sender);
            assert_eq!(receiver.iter().flatten().count(), 2 * THREADS * GROUPS);
        });
        assert_eq!(ledger.dropped(), (THREADS * GROUPS) as u64);
    }

    #[test]
    fn a_dropped_ticket_is_counted_and_never_acknowledged() {
        let ledger = Arc::new(Ledger::default());
        let (sender, receiver) = ack_channel();
        drop(ticket(&ledger));
        assert_eq!(ledger.dropped(), 1);
        assert!(receiver.try_recv().is_err());
        drop(receiver);
        sender.complete(vec![ticket(&ledger)]);
        assert_eq!(ledger.dropped(), 2);
    }
}
