//! What becomes of tickets while messages are on their way, without a broker.

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::kafka::lanes::{Full, Lanes};
use crate::payload_kit::Payloads;

const NOW_NS: u64 = 1_000_000_000;

/// A payload of two sections, of which nothing was sent.
fn batch(payloads: &Payloads, lanes: &Arc<Lanes>) -> Arc<Batch> {
    let (mut payload, other) = (payloads.lines("one\n"), payloads.lines("two\n"));
    payload.headers.extend(other.headers);
    payload.tickets.extend(other.tickets);
    let tickets = std::mem::take(&mut payload.tickets).into_iter().map(Some).collect();
    Arc::new(Batch::new(1, payload, tickets, Arc::clone(lanes), payloads.acks.clone()))
}

fn lanes() -> (Arc<Lanes>, Arc<AtomicUsize>) {
    let holes = Arc::new(AtomicUsize::new(0));
    (Arc::new(Lanes::new(Arc::clone(&holes))), holes)
}

fn at(offset: i64) -> (Arc<str>, i32, i64) {
    (Arc::from("logs"), 0, offset)
}

fn has_ticket(reported: &Reported) -> Vec<bool> {
    reported.tickets.iter().map(Option::is_some).collect()
}

#[test]
fn a_section_is_acknowledged_by_its_report_and_not_by_its_sending() {
    let payloads = Payloads::new();
    let batch = batch(&payloads, &lanes().0);
    let mut sent = Vec::new();
    let reported = batch.send(|_, section, _| {
        sent.push(section);
        Ok(())
    });
    assert!(reported.is_none(), "no report is there");
    assert_eq!((sent, payloads.acked()), (vec![0, 1], 0));
    assert!(batch.delivered(1, at(7)).is_none());
    let reported = batch.delivered(0, at(8)).expect("all reports are there");
    assert_eq!((reported.stored, reported.rejected), (vec![at(7), at(8)], None));
    assert_eq!(payloads.acked(), 2);
}

#[test]
fn what_was_refused_keeps_its_ticket_and_what_was_stored_is_acknowledged() {
    let payloads = Payloads::new();
    let batch = batch(&payloads, &lanes().0);
    assert!(batch.send(|_, _, _| Ok(())).is_none());
    assert!(batch.refused("no right".to_owned()).is_none());
    let reported = batch.delivered(0, at(7)).expect("all reports are there");
    assert_eq!(reported.rejected.as_deref(), Some("no right"));
    assert_eq!((has_ticket(&reported), payloads.acked()), (vec![false, true], 1));
    assert_eq!(payloads.dropped(), 0);
}

#[test]
fn what_the_client_has_no_room_for_is_kept() {
    let payloads = Payloads::new();
    let batch = batch(&payloads, &lanes().0);
    let send = |_: &Payload, section: usize, _: Box<Sent>| {
        if section == 0 { Ok(()) } else { Err("its queue is full".to_owned()) }
    };
    assert!(batch.send(send).is_none());
    let reported = batch.delivered(0, at(7)).expect("all reports are there");
    assert_eq!(reported.rejected.as_deref(), Some("its queue is full"));
    assert_eq!((has_ticket(&reported), payloads.acked()), (vec![false, true], 1));
}

#[test]
fn only_what_the_broker_surely_did_not_store_may_be_sent_again() {
    use RDKafkaErrorCode as Code;
    let refused =
        [Code::TopicAuthorizationFailed, Code::MessageSizeTooLarge, Code::UnknownTopicOrPartition];
    for code in refused {
        assert_eq!(Failure::of(Some(code)), Failure::Rejected, "{code:?}");
    }
    let unknown = [
        Code::MessageTimedOut,
        Code::RequestTimedOut,
        Code::NotEnoughReplicasAfterAppend,
        Code::OutOfOrderSequenceNumber,
        Code::InvalidProducerEpoch,
        Code::ProducerFenced,
        Code::PurgeQueue,
        Code::PurgeInflight,
        Code::Underflow,
        Code::Fatal,
    ];
    for code in unknown.map(Some).into_iter().chain([None]) {
        assert_eq!(Failure::of(code), Failure::Unknown, "{code:?}");
    }
}

#[test]
fn a_tenant_of_whom_something_was_rejected_sends_it_again_before_anything_else() {
    let payloads = Payloads::new();
    let (lanes, holes) = lanes();
    let admit = |tenant: &str| lanes.admit(&Arc::from(tenant), 10, 100);
    admit("shop").expect("there is room");
    let batch = batch(&payloads, &lanes);
    assert!(batch.send(|_, _, _| Ok(())).is_none());
    assert!(batch.delivered(0, at(7)).is_none());
    let reported = batch.refused("no right".to_owned()).expect("all reports are there");
    lanes.done(&batch, reported, NOW_NS);
    assert!(matches!(admit("shop"), Err(Full::Rejected(why)) if why == "no right"));
    assert!(admit("bank").is_ok(), "another tenant goes on");
    assert_eq!(holes.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert!(lanes.due(NOW_NS).is_empty(), "not at once");
    let due = lanes.due(2 * NOW_NS);
    let tickets: Vec<bool> = due[0].tickets.iter().map(Option::is_some).collect();
    assert_eq!((due.len(), due[0].number, tickets), (1, 1, vec![false, true]));
}
