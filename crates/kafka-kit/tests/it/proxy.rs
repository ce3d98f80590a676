//! Every fault of the proxy, seen by an idempotent producer, and what the broker holds afterwards.

use std::time::Duration;

use kafka_kit::{Access, Api, Cluster, Fault, Garble, Isolation, Line, Rule};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::producer::Producer as _;

use crate::producer::Producer;

/// Longest wait for a rule to have its turn.
const PATIENCE: Duration = Duration::from_secs(30);
/// Idle time in which something would have come if anything came.
const QUIET: Duration = Duration::from_millis(700);

/// A broker, and one producer that comes to it by the proxy.
struct Bed {
    cluster: Cluster,
    producer: Producer,
    sent: usize,
}

impl Bed {
    fn new() -> Bed {
        let cluster = Cluster::builder().start().unwrap();
        cluster.create_topic("proxy", 2, 1, &[]).unwrap();
        let producer = Producer::new(&cluster.client(&Access::Proxied));
        let mut bed = Bed { cluster, producer, sent: 0 };
        bed.deliver();
        bed
    }

    fn proxy(&self) -> &kafka_kit::Proxy {
        self.cluster.broker(1).proxy()
    }

    fn send(&mut self) {
        self.producer.send("proxy", self.sent, format!("line {}", self.sent).as_bytes());
        self.sent += 1;
    }

    /// The next record arrives, at the next offset.
    fn deliver(&mut self) {
        self.send();
        self.delivered();
    }

    fn delivered(&self) {
        let number = self.sent - 1;
        let offset = i64::try_from(number).unwrap();
        assert_eq!(self.producer.reports(1), [(number, Ok(offset))]);
    }

    /// Adds a rule for the next Produce request, sends a record, and waits until the rule had its turn.
    fn meet(&mut self, fault: Fault) {
        let fired = self.proxy().fired();
        self.proxy().add(Rule::new(Api::Produce, fault));
        self.send();
        self.proxy().wait_fired(fired + 1, PATIENCE).unwrap();
    }

    fn stored(&self) -> i64 {
        self.cluster.end_offsets("proxy").unwrap()[&0]
    }
}

/// One test, since a broker takes longer to start than each of these faults to be seen.
#[test]
fn an_idempotent_producer_delivers_once_through_every_fault() {
    let mut bed = Bed::new();
    cut_before_and_after(&mut bed);
    dropped_answer(&mut bed);
    delay(&mut bed);
    black_hole_and_half_open(&mut bed);
    silent_line(&mut bed);
    refused_line(&mut bed);
    the_nth_request(&mut bed);
    refused(&mut bed);
    garbled(&mut bed);

    assert_eq!(bed.proxy().problems(), [""; 0]);
    let read = bed.cluster.consume("proxy", 0, Isolation::Committed).unwrap();
    let read: Vec<String> =
        read.into_iter().map(|it| String::from_utf8(it.value.unwrap()).unwrap()).collect();
    let lines: Vec<String> = (0..bed.sent).map(|number| format!("line {number}")).collect();
    assert_eq!(read, lines);
    error_codes(&mut bed);
}

fn cut_before_and_after(bed: &mut Bed) {
    bed.meet(Fault::CutBefore);
    bed.delivered();
    let asked = bed.proxy().requests(Api::Produce);
    bed.meet(Fault::CutAfter);
    bed.delivered();
    // It was asked a second time for what it had stored already.
    assert_eq!(bed.proxy().requests(Api::Produce), asked + 2);
    assert_eq!(bed.stored(), i64::try_from(bed.sent).unwrap());
}

fn dropped_answer(bed: &mut Bed) {
    bed.meet(Fault::DropResponse);
    assert_eq!(bed.stored(), i64::try_from(bed.sent).unwrap(), "stored, though nobody was told");
    bed.delivered();
}

fn delay(bed: &mut Bed) {
    bed.meet(Fault::Delay(QUIET * 2));
    assert_eq!(bed.producer.reports_within(QUIET), 0);
    bed.delivered();
    bed.proxy().set_line(Line::Slow(QUIET));
    bed.send();
    assert_eq!(bed.producer.reports_within(QUIET / 2), 0);
    bed.delivered();
    bed.proxy().clear();
}

fn black_hole_and_half_open(bed: &mut Bed) {
    for fault in [Fault::BlackHole, Fault::HalfOpen] {
        let before = bed.stored();
        bed.meet(fault);
        assert_eq!(bed.stored(), before, "it never came to the broker");
        // The client gives up on the connection after its `request.timeout.ms`, and makes another.
        bed.delivered();
    }
}

fn silent_line(bed: &mut Bed) {
    bed.proxy().set_line(Line::Silent);
    bed.send();
    assert_eq!(bed.producer.reports_within(QUIET), 0);
    bed.proxy().set_line(Line::Pass);
    bed.delivered();
}

fn refused_line(bed: &mut Bed) {
    bed.proxy().set_line(Line::Refuse);
    bed.send();
    bed.producer.wait_error(Code::AllBrokersDown);
    assert_eq!(bed.producer.reports_within(QUIET), 0);
    bed.proxy().set_line(Line::Pass);
    bed.delivered();
}

fn the_nth_request(bed: &mut Bed) {
    let fired = bed.proxy().fired();
    bed.proxy().add(Rule::new(Api::Produce, Fault::CutBefore).nth(3).times(2));
    bed.deliver();
    bed.deliver();
    assert_eq!(bed.proxy().fired(), fired);
    bed.deliver();
    assert_eq!(bed.proxy().fired(), fired + 2, "cut, and cut again when it came back");
}

/// Of a partition that is refused nothing is stored; of the others all is.
fn refused(bed: &mut Bed) {
    let fired = bed.proxy().fired();
    bed.proxy().add(Rule::refused("proxy", 1, 29));
    bed.deliver();
    assert_eq!(bed.proxy().fired(), fired, "a request that is not about partition 1");
    // NOT_LEADER_OR_FOLLOWER: asked again, and stored then.
    bed.proxy().add(Rule::refused("proxy", 0, 6));
    bed.deliver();
    let stored = bed.stored();
    // POLICY_VIOLATION: not asked again.
    bed.proxy().add(Rule::refused("proxy", 0, 44));
    bed.send();
    assert_eq!(bed.producer.reports(1)[0].1, Err(Code::PolicyViolation));
    assert_eq!(bed.stored(), stored);
    assert_eq!(bed.proxy().fired(), fired + 2);
    bed.sent -= 1;
}

fn garbled(bed: &mut Bed) {
    for garble in [Garble::Number, Garble::Length, Garble::Half] {
        bed.meet(Fault::Garble(garble));
        // What is no answer at all to librdkafka is asked for again; what it begins to understand is not.
        let (number, outcome) = bed.producer.reports(1)[0];
        assert_eq!(number, bed.sent - 1);
        let offset = i64::try_from(number).unwrap();
        let is_known = [Ok(offset), Err(Code::BadMessage), Err(Code::Underflow)].contains(&outcome);
        assert!(is_known, "{garble:?}: {outcome:?}");
        assert_eq!(bed.stored(), i64::try_from(bed.sent).unwrap(), "stored, whatever arrived");
    }
}

/// The last one, since it ends the producer.
fn error_codes(bed: &mut Bed) {
    let fired = bed.proxy().fired();
    // About another partition: it waits for an answer that names it.
    bed.proxy().add(Rule::error_code("proxy", 1, 3));
    bed.deliver();
    assert_eq!(bed.proxy().fired(), fired);
    // NOT_LEADER_OR_FOLLOWER: asked again, and the broker knows that it has it.
    bed.proxy().add(Rule::error_code("proxy", 0, 6));
    bed.deliver();
    assert_eq!(bed.proxy().fired(), fired + 1);
    // TOPIC_AUTHORIZATION_FAILED: not asked again.
    bed.proxy().add(Rule::error_code("proxy", 0, 29));
    bed.send();
    let reports = bed.producer.reports(1);
    assert_eq!(reports[0].1, Err(Code::TopicAuthorizationFailed));
    assert_eq!(bed.stored(), i64::try_from(bed.sent).unwrap(), "stored, whatever the code says");
    // OUT_OF_ORDER_SEQUENCE_NUMBER ends an idempotent producer, INVALID_PRODUCER_EPOCH does not.
    for (code, told, is_fatal) in
        [(45, Code::OutOfOrderSequenceNumber, true), (47, Code::InvalidProducerEpoch, false)]
    {
        let producer = Producer::new(&bed.cluster.client(&Access::Proxied));
        producer.deliver("proxy", b"before").unwrap();
        bed.proxy().add(Rule::error_code("proxy", 0, code));
        assert_eq!(producer.deliver("proxy", b"refused, and stored"), Err(told));
        assert_eq!(producer.inner().client().fatal_error().is_some(), is_fatal, "code {code}");
    }
    assert_eq!(bed.proxy().problems(), [""; 0]);
}
