//! A spool that is opened late: what it holds goes before all that is read meanwhile, and comes once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flow::{
    AckSender, Acked, Clock, Codec, ContextId, Ledger, Payload, ReadBack, Sink, SinkError, Spool,
    ack_channel,
};
use sink::late::{Arrival, Arrived, LateSink, MakeSink, Opening};
use sink::queue::{Queue, QueueReadBack, SystemDisk};
use sink::spool::{HeldFor, LateEnds, LateSpool, OpenedSpool, SharedReadBack, SpoolStore, Storage};
use tempfile::tempdir;

use super::{BYTES, LATER_NS, Life, delivered, much, reach, whole};
use crate::fixture::*;

mod lives;

/// A shipper's ends, whose spool cannot be opened before it may.
struct LateLife {
    queue: Arc<Queue>,
    late: Arc<LateSpool>,
    ends: LateEnds,
    may_open: Arc<AtomicBool>,
    sink_may_come: Arc<AtomicBool>,
    hear: Box<dyn Fn() -> Vec<Acked>>,
    ledger: Arc<Ledger>,
    now_ns: u64,
}

impl LateLife {
    fn begin(dir: &Path) -> LateLife {
        LateLife::with(dir, true)
    }

    /// … and whose sink is not there before it may come either.
    fn begin_without_sink(dir: &Path) -> LateLife {
        LateLife::with(dir, false)
    }

    fn with(dir: &Path, has_sink: bool) -> LateLife {
        let (queue, _) = open_lazily(&dir.join("sink"), options());
        let clock: Arc<dyn Clock> = StillClock::new();
        let read_back = || Box::new(QueueReadBack::of(&queue).unwrap());
        let of_sink = has_sink.then(|| SharedReadBack::new(read_back()));
        let may_open = Arc::new(AtomicBool::new(false));
        let open = {
            let (dir, clock) = (dir.join("spool"), Arc::clone(&clock));
            let may_open = Arc::clone(&may_open);
            move || -> Result<OpenedSpool, String> {
                if !may_open.load(Ordering::Relaxed) {
                    return Err("a read-only file system".to_owned());
                }
                let mut of_sink = of_sink.clone().map(|it| -> Box<dyn ReadBack> { Box::new(it) });
                let storage = Storage::on(Arc::new(SystemDisk));
                let (out, room) = (Arc::from("out"), much());
                SpoolStore::open_on(&dir, &out, &room, 1, &clock, &mut of_sink, storage)
                    .map_err(|it| it.to_string())
            }
        };
        let held_for = HeldFor::by_survey(&dir.join("spool"));
        let late = LateSpool::new("closed".to_owned(), held_for, Arc::new(open), Opening::Here);
        let (acks, acked) = ack_channel();
        let sink_may_come = Arc::new(AtomicBool::new(has_sink));
        let arrival = arrival(&queue, &sink_may_come);
        let own = Arc::clone(&queue);
        let make = |make_late: fn(Arc<Arrival>, AckSender, bool) -> LateSink| {
            let (own, arrival) = (Arc::clone(&own), Arc::clone(&arrival));
            move |acks| -> Box<dyn Sink> {
                match has_sink {
                    true => Box::new(sink(&own, &acks)),
                    false => Box::new(make_late(Arc::clone(&arrival), acks, false)),
                }
            }
        };
        let (drain, direct) = (make(LateSink::draining), make(LateSink::new));
        let of = (0, false);
        let ends = LateEnds::new(&late, of, clock, acks, (&drain, &direct));
        let hear = Box::new(move || acked.try_iter().flatten().collect());
        let ledger = Arc::new(Ledger::default());
        LateLife { queue, late, ends, may_open, sink_may_come, hear, ledger, now_ns: 0 }
    }

    fn payload_of(&self, tenant: &str, context: u128, begin: u64, end: u64) -> Payload {
        let part = |it| part(context, it * BYTES, (it + 1) * BYTES);
        let parts: Vec<Part> = (begin..end).map(part).collect();
        payload_of(tenant, &self.ledger, Codec::None, &parts)
    }

    /// Payloads of the tenant that has something in the spool.
    fn payload(&self, begin: u64, end: u64) -> Payload {
        self.payload_of("shop", 1, begin, end)
    }

    fn tend(&mut self) {
        self.now_ns += LATER_NS;
        self.ends.spool.tend(self.now_ns).unwrap();
        self.ends.direct.tend(self.now_ns);
        self.ends.drain.tend(self.now_ns);
    }

    /// The sink comes.
    fn come(&mut self) {
        self.sink_may_come.store(true, Ordering::Relaxed);
        (0..10).for_each(|_| self.tend());
    }

    fn open(&mut self) {
        self.may_open.store(true, Ordering::Relaxed);
        (0..10).for_each(|_| self.tend());
        assert!(self.late.store().is_some(), "{}", self.late.why());
    }

    fn drain_all(&mut self) {
        for _ in 0..100 {
            while let Some(payload) = self.ends.spool.next("shop") {
                self.ends.drain.submit(payload).unwrap();
            }
            self.queue.flush(far_deadline()).unwrap();
            self.tend();
        }
        assert!(!self.ends.spool.holds("shop"));
    }

    /// Up to where all is acknowledged.
    fn acked(&self) -> Vec<(u64, u64)> {
        self.queue.flush(far_deadline()).unwrap();
        let own = (self.hear)().into_iter();
        own.map(|it| (it.span.begin / BYTES, it.span.end / BYTES)).collect()
    }
}

/// A sink that is not there before it may come.
fn arrival(queue: &Arc<Queue>, may_come: &Arc<AtomicBool>) -> Arc<Arrival> {
    let (queue, may_come) = (Arc::clone(queue), Arc::clone(may_come));
    let open = move || {
        if !may_come.load(Ordering::Relaxed) {
            return Err("nobody answers".to_owned());
        }
        let read_back: Box<dyn ReadBack> = Box::new(QueueReadBack::of(&queue).unwrap());
        let own = Arc::clone(&queue);
        let make: MakeSink = Arc::new(move |acks| Box::new(sink(&own, &acks)));
        Ok(Arrived { make, read_back: Some(read_back) })
    };
    Arrival::new("nobody answers".to_owned(), Arc::new(open), Opening::Here)
}

/// The spool of the last life holds payloads 1 to 3 behind one that the sink has.
fn left_by_the_last_life(dir: &Path) {
    let mut life = whole(dir);
    let first: Payload = life.payload(0);
    life.direct.submit(first).unwrap();
    life.queue.flush(far_deadline()).unwrap();
    (1..4).for_each(|it| life.keep(it).unwrap());
    life.end.flush(far_deadline()).unwrap();
    let Life { .. } = life;
}

#[test]
fn what_a_spool_holds_that_is_opened_late_goes_before_what_is_newer_and_comes_once() {
    let dir = tempdir().unwrap();
    left_by_the_last_life(dir.path());
    let mut life = LateLife::begin(dir.path());
    // Read again from a checkpoint that is behind, and on.
    let payload = life.payload(2, 6);
    let refused = life.ends.direct.submit(payload).unwrap_err();
    assert!(matches!(&refused.why, SinkError::Retry(why) if why.contains("closed")));
    let other = life.payload_of("web", 7, 0, 1);
    life.ends.direct.submit(other).unwrap();
    life.tend();
    assert!(life.ends.spool.keep(refused.payload).is_err(), "nor is it kept");
    assert!(life.late.why().contains("read-only"), "{}", life.late.why());
    life.open();
    assert!(life.ends.spool.holds("shop"));
    // As it is held, what is newer follows or waits.
    let payload = life.payload(2, 6);
    life.ends.spool.keep(payload).unwrap();
    life.drain_all();
    let payload = life.payload(6, 7);
    life.ends.direct.submit(payload).unwrap();
    assert_eq!(life.acked().iter().map(|it| it.1).max(), Some(7));
    drop(life);
    assert_eq!(delivered(dir.path()), [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn what_a_spool_had_that_was_opened_late_is_acknowledged_and_not_sent() {
    let dir = tempdir().unwrap();
    left_by_the_last_life(dir.path());
    let mut life = LateLife::begin(dir.path());
    life.open();
    life.drain_all();
    for (begin, end) in [(0, 2), (2, 3), (3, 5)] {
        let payload = life.payload(begin, end);
        life.ends.direct.submit(payload).unwrap();
    }
    assert_eq!(life.acked(), [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]);
    assert_eq!(life.ledger.dropped(), 0);
    drop(life);
    assert_eq!(delivered(dir.path()), [0, 1, 2, 3, 4]);
    // The next life opens it in time, and finds all where it is.
    let mut life = whole(dir.path());
    assert_eq!(life.resume(), 5);
    life.drain_all().unwrap();
    assert_eq!(delivered(dir.path()), [0, 1, 2, 3, 4]);
}

#[test]
fn a_spool_of_which_nobody_can_tell_what_it_holds_keeps_all_tenants_waiting() {
    let dir = tempdir().unwrap();
    left_by_the_last_life(dir.path());
    std::fs::write(dir.path().join("spool/owed.json"), b"{").unwrap();
    let mut life = LateLife::begin(dir.path());
    assert_eq!(*life.late.held_for(), HeldFor::Anybody);
    let other = life.payload_of("web", 7, 0, 1);
    assert!(life.ends.direct.submit(other).is_err());
    // As the problem says: what the sink has is told by itself.
    std::fs::remove_file(dir.path().join("spool/owed.json")).unwrap();
    life.open();
    let other = life.payload_of("web", 7, 0, 1);
    life.ends.direct.submit(other).unwrap();
    life.drain_all();
    assert_eq!(delivered(dir.path()), [0, 1, 2, 3]);
}

#[test]
fn what_a_sink_and_its_spool_had_that_both_came_late_comes_once() {
    for is_sink_first in [false, true] {
        let dir = tempdir().unwrap();
        left_by_the_last_life(dir.path());
        let mut life = LateLife::begin_without_sink(dir.path());
        let payload = life.payload(0, 2);
        assert!(
            life.ends.direct.submit(payload).is_err(),
            "nothing overtakes what is in the spool"
        );
        if is_sink_first {
            life.come();
            let payload = life.payload(0, 2);
            assert!(life.ends.direct.submit(payload).is_err(), "nor once the sink is there");
            life.open();
        } else {
            life.open();
            let payload = life.ends.spool.next("shop").unwrap();
            let refused = life.ends.drain.submit(payload).unwrap_err();
            life.ends.spool.give_back(refused.payload);
            life.come();
        }
        life.drain_all();
        for (begin, end) in [(0, 2), (2, 3), (3, 5)] {
            let payload = life.payload(begin, end);
            life.ends.direct.submit(payload).unwrap();
        }
        assert_eq!(life.acked().iter().map(|it| it.1).max(), Some(5));
        drop(life);
        assert_eq!(delivered(dir.path()), [0, 1, 2, 3, 4], "the sink first: {is_sink_first}");
    }
}

/// Brokers may have stored what was behind something that they refused; the spool has a copy of both.
#[test]
fn what_a_sink_has_behind_a_hole_is_not_drained_again_when_it_comes_late() {
    for is_late in [false, true] {
        let dir = tempdir().unwrap();
        let mut life = whole(dir.path());
        for it in [0, 2] {
            let payload: Payload = life.payload(it);
            life.direct.submit(payload).unwrap();
        }
        life.queue.flush(far_deadline()).unwrap();
        (1..4).for_each(|it| life.keep(it).unwrap());
        life.end.flush(far_deadline()).unwrap();
        drop(life);
        if is_late {
            let mut life = LateLife::begin_without_sink(dir.path());
            life.open();
            life.come();
            life.drain_all();
            let payload = life.payload(0, 5);
            life.ends.direct.submit(payload).unwrap();
            assert_eq!(life.acked().iter().map(|it| it.1).max(), Some(5));
        } else {
            let mut life = whole(dir.path());
            assert_eq!(life.resume(), 4);
            life.drain_all().unwrap();
            let payload: Payload = life.payload(4);
            life.direct.submit(payload).unwrap();
            life.queue.flush(far_deadline()).unwrap();
        }
        assert_eq!(delivered(dir.path()), [0, 2, 1, 3, 4], "late: {is_late}");
    }
}

/// What had been drained stood before the hole, and what is held behind it: that was read again, kept once more, and drained
/// twice.
#[test]
fn what_a_spool_holds_behind_what_only_its_sink_has_comes_once_if_both_come_late() {
    let dir = tempdir().unwrap();
    let mut life = whole(dir.path());
    life.keep(0).unwrap();
    life.drain_all().unwrap();
    let second: Payload = life.payload(1);
    life.direct.submit(second).unwrap();
    life.queue.flush(far_deadline()).unwrap();
    life.keep(2).unwrap();
    life.end.flush(far_deadline()).unwrap();
    drop(life);
    let mut life = LateLife::begin_without_sink(dir.path());
    life.open();
    // From a checkpoint that is behind.
    let payload = life.payload(0, 4);
    life.ends.spool.keep(payload).unwrap();
    life.come();
    life.drain_all();
    assert_eq!(delivered(dir.path()), [0, 1, 2, 3]);
}
