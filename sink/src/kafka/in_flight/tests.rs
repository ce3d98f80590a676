//! What becomes of tickets while messages are on their way, without a broker.

use flow::SinkError;

use super::*;
use crate::kafka::lanes::{Admitted, Lanes};
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

fn at(offset: i64) -> (&'static str, i32, i64) {
    ("logs", 0, offset)
}

fn no_right() -> Rejection {
    Rejection { why: "no right".to_owned(), is_too_large: false }
}

#[test]
fn a_section_is_acknowledged_by_its_report_and_not_by_its_sending() {
    let payloads = Payloads::new();
    let batch = batch(&payloads, &Arc::default());
    let mut sent = Vec::new();
    let reported = batch.send(|_, section, _| {
        sent.push(section);
        Ok(())
    });
    assert!(reported.is_none(), "no report is there");
    assert_eq!((sent, payloads.acked()), (vec![0, 1], 0));
    assert!(batch.delivered(1, at(7)).is_none());
    let reported = batch.delivered(0, at(8)).expect("all reports are there");
    assert_eq!(reported.stored, [(Arc::from("logs"), 0, 8)]);
    assert_eq!((reported.acked.len(), reported.rejection), (2, None));
    payloads.acks.complete(reported.acked);
    assert_eq!(payloads.acked(), 2);
}

#[test]
fn what_was_refused_keeps_its_ticket_and_what_was_stored_is_acknowledged() {
    let payloads = Payloads::new();
    let batch = batch(&payloads, &Arc::default());
    assert!(batch.send(|_, _, _| Ok(())).is_none());
    assert!(batch.refused(no_right()).is_none());
    let reported = batch.delivered(0, at(7)).expect("all reports are there");
    assert_eq!(reported.rejection, Some(no_right()));
    assert_eq!((reported.acked.len(), batch.undelivered()), (1, vec![1]));
    assert!(batch.take_ticket(1).is_some());
}

#[test]
fn what_the_client_has_no_room_for_is_kept() {
    let payloads = Payloads::new();
    let batch = batch(&payloads, &Arc::default());
    let send = |_: &Batch, message: usize, _: Box<Sent>| {
        if message == 0 { Ok(()) } else { Err(no_right()) }
    };
    assert!(batch.send(send).is_none());
    let reported = batch.delivered(0, at(7)).expect("all reports are there");
    assert_eq!(reported.rejection, Some(no_right()));
    assert_eq!((reported.acked.len(), batch.undelivered()), (1, vec![1]));
    assert!(batch.take_ticket(1).is_some());
}

#[test]
fn only_what_the_broker_surely_did_not_store_may_be_sent_again() {
    use RDKafkaErrorCode as Code;
    for code in
        [Code::TopicAuthorizationFailed, Code::UnknownTopicOrPartition, Code::InvalidTimestamp]
    {
        assert_eq!(Failure::of(Some(code)), Failure::Rejected, "{code:?}");
    }
    assert_eq!(Failure::of(Some(Code::MessageSizeTooLarge)), Failure::TooLarge);
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
    let lanes = Arc::<Lanes>::default();
    let admit = |tenant: &str| lanes.admit(&Arc::from(tenant), 10, 100);
    admit("shop").expect("there is room");
    let batch = batch(&payloads, &lanes);
    assert!(batch.send(|_, _, _| Ok(())).is_none());
    assert!(batch.delivered(0, at(7)).is_none());
    let reported = batch.refused(no_right()).expect("all reports are there");
    assert!(!lanes.done(&batch, reported.rejection, NOW_NS), "not done with");
    assert!(matches!(admit("shop"), Err(SinkError::Retry(why)) if why == "no right"));
    assert!(admit("bank").is_ok(), "another tenant goes on");
    assert!(lanes.due(NOW_NS).is_empty(), "not at once");
    let due = lanes.due(2 * NOW_NS);
    assert_eq!((due.len(), due[0].number, due[0].undelivered()), (1, 1, vec![1]));
}

#[test]
fn d5_what_is_too_large_is_sent_in_parts_one_after_the_other() {
    let payloads = Payloads::new();
    let lanes = Arc::<Lanes>::default();
    let admit = |bytes| lanes.admit(&Arc::from("shop"), bytes, 10_000);
    let lines = |it: usize| {
        let body = "x".repeat(300);
        let line = |at: usize| format!("{{\"body\":\"{body}\",\"log.cursor\":{at}}}\n");
        payloads.lines(&format!("{}{}", line(it), line(it + 1)))
    };
    let (mut payload, other) = (lines(0), lines(700));
    for mut header in other.headers {
        let moved = u32::try_from(payload.block.len()).unwrap();
        header.range = moved..moved + header.range.end;
        payload.headers.push(header);
    }
    payload.block.extend(other.block);
    assert_eq!(admit(payload.block.len()).unwrap(), Admitted::AtOnce);
    let mut tickets = std::mem::take(&mut payload.tickets);
    tickets.extend(other.tickets);
    let tickets = tickets.into_iter().map(Some).collect();
    let whole = Batch::new(1, payload, tickets, Arc::clone(&lanes), payloads.acks.clone());
    let whole = Arc::new(whole);
    assert!(whole.send(|_, _, _| Ok(())).is_none());
    let too_large = || Rejection { why: "too large".to_owned(), is_too_large: true };
    assert!(whole.refused(too_large()).is_none());
    let reported = whole.refused(too_large()).expect("all reports are there");
    assert!(!lanes.done(&whole, reported.rejection, NOW_NS));
    assert!(matches!(admit(10), Err(SinkError::Busy)));
    for number in 0..2 {
        let due = lanes.due(NOW_NS);
        let [half] = due.as_slice() else { panic!("{} at once", due.len()) };
        assert_eq!((half.number, half.messages.len()), (1, 1));
        assert!(half.bytes < whole.bytes / 2 + 10, "{} bytes", half.bytes);
        assert!(lanes.due(NOW_NS).is_empty(), "one after the other");
        assert!(half.send(|_, _, _| Ok(())).is_none());
        let reported = half.delivered(0, at(7)).expect("all reports are there");
        assert_eq!((reported.acked.len(), &reported.rejection), (1, &None));
        assert_eq!(lanes.done(half, reported.rejection, NOW_NS), number == 1);
    }
    assert_eq!(admit(10).unwrap(), Admitted::OneByOne);
}

#[test]
fn what_waits_is_let_go_with_its_sink() {
    let payloads = Payloads::new();
    let lanes = Arc::<Lanes>::default();
    let admit = || lanes.admit(&Arc::from("shop"), 10, 100);
    let [waiting, on_its_way] = [(); 2].map(|()| {
        admit().expect("there is room");
        batch(&payloads, &lanes)
    });
    assert!(!lanes.done(&waiting, Some(no_right()), NOW_NS));
    assert_eq!(Arc::strong_count(&waiting), 2, "the lane has it, too");
    lanes.close();
    assert_eq!(Arc::strong_count(&waiting), 1, "lanes and batch would keep each other");
    // The client reports what it had while it is taken down.
    assert!(!lanes.done(&on_its_way, Some(no_right()), NOW_NS));
    assert_eq!(Arc::strong_count(&on_its_way), 1);
}
