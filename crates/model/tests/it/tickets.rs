//! Tickets: each is acknowledged once or counted as dropped, and never both.

use std::sync::Arc;

use flow::Span;
use model::sync::thread;
use model::vocabulary::ticket::{Acked, Ledger, SourceId, Ticket, ack_channel};

use crate::{in_orders_with, join_all};

/// The ticket whose span begins at `begin`.
fn ticket(begin: u64, ledger: &Arc<Ledger>) -> Ticket {
    let acked = Acked {
        source: SourceId(1),
        span: Span::new(begin, begin + 1),
        positions: Vec::new(),
        records: 1,
        filtered_bytes: 0,
        gap: None,
        is_inner: false,
        seen_ns: 0,
    };
    Ticket::new(acked, Arc::clone(ledger))
}

#[test]
fn each_ticket_is_acknowledged_once_or_counted_as_dropped() {
    in_orders_with(3, || {
        let ledger = Arc::new(Ledger::default());
        let (sender, receiver) = ack_channel();
        let sinks = [0, 10].map(|begin| {
            let (sender, ledger) = (sender.clone(), Arc::clone(&ledger));
            thread::spawn(move || {
                let dropped = ticket(begin, &ledger);
                sender.complete(vec![ticket(begin + 1, &ledger), ticket(begin + 2, &ledger)]);
                drop(dropped);
            })
        });
        drop(sender);
        let mut acked = Vec::new();
        while let Ok(group) = receiver.recv() {
            acked.extend(group.iter().map(|it| it.span.begin));
        }
        join_all(sinks);
        assert_eq!(ledger.dropped(), 2);
        acked.sort_unstable();
        assert_eq!(acked, [1, 2, 11, 12]);
    });
}

/// What was sent and not received when the receiver went is neither: nobody acknowledges it either.
#[test]
fn a_receiver_that_goes_away_acknowledges_nothing_that_is_counted_as_dropped() {
    in_orders_with(3, || {
        let ledger = Arc::new(Ledger::default());
        let (sender, receiver) = ack_channel();
        let sinks = [0, 10].map(|begin| {
            let (sender, ledger) = (sender.clone(), Arc::clone(&ledger));
            thread::spawn(move || sender.complete(vec![ticket(begin, &ledger)]))
        });
        let acked = receiver.try_recv().map_or(0, |group| group.len() as u64);
        drop(receiver);
        join_all(sinks);
        assert!(acked + ledger.dropped() <= 2);
        let before = ledger.dropped();
        sender.complete(vec![ticket(20, &ledger), ticket(21, &ledger)]);
        assert_eq!(ledger.dropped(), before + 2, "nobody listens, and that is known");
    });
}
