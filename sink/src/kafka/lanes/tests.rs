//! What is sent next, without a broker.

use flow::{Clock, SystemClock};

use super::*;
use crate::payload_kit::Payloads;

const ROOM: usize = 1 << 20;

fn batch(payloads: &Payloads, lanes: &Arc<Lanes>, number: u64) -> Arc<Batch> {
    let mut payload = payloads.lines("a line\n");
    let tickets = std::mem::take(&mut payload.tickets).into_iter().map(Some).collect();
    Arc::new(Batch::new(number, payload, tickets, Arc::clone(lanes), payloads.acks.clone()))
}

/// None if the lane is busy.
fn admit(lanes: &Lanes, batch: &Batch) -> Option<Admitted> {
    match lanes.admit(&batch.tenant, batch.bytes, ROOM) {
        Ok(admitted) => Some(admitted),
        Err(SinkError::Busy) => None,
        Err(why) => panic!("{why}"),
    }
}

#[test]
fn what_waits_is_sent_before_what_comes_though_the_limit_is_lifted() {
    let (payloads, lanes) = (Payloads::new(), Arc::<Lanes>::default());
    let [waits, comes] = [1, 2].map(|number| batch(&payloads, &lanes, number));
    lanes.lock().entry(Arc::clone(&waits.tenant)).or_default().limit.too_large(ROOM);
    assert_eq!(admit(&lanes, &waits), Some(Admitted::OneByOne));
    lanes.queue(Arc::clone(&waits));
    lanes.lock().get_mut(&waits.tenant).unwrap().limit = Limit::default();
    assert_eq!(admit(&lanes, &comes), None);
    let due: Vec<u64> = lanes.due(0).iter().map(|it| it.number).collect();
    assert_eq!(due, [1]);
    assert_eq!(admit(&lanes, &comes), Some(Admitted::AtOnce));
}

#[test]
fn a_lane_that_only_waits_is_waited_for_without_spinning() {
    let (payloads, lanes) = (Payloads::new(), Arc::<Lanes>::default());
    let rejected = batch(&payloads, &lanes, 1);
    assert_eq!(admit(&lanes, &rejected), Some(Admitted::AtOnce));
    let rejection = Rejection { why: "no right".to_owned(), is_too_large: false };
    assert!(!lanes.done(&rejected, Some(rejection), 0));
    assert!(lanes.due(AGAIN_NS - 1).is_empty(), "not yet");
    // Nothing reports, so only the time ends it.
    let started = SystemClock.monotonic_ns();
    lanes.wait(Duration::from_millis(20));
    assert!(SystemClock.monotonic_ns() - started >= 19_000_000);
    assert_eq!(lanes.due(AGAIN_NS).len(), 1);
}
