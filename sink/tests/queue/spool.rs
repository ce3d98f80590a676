//! The spool between a shipper and its sink: what is kept comes out once, in order, whatever fails and
//! whenever the process dies.

use std::path::Path;
use std::sync::Arc;

use flow::{
    Clock, Codec, ContextId, Ledger, Payload, PersistedSpan, ReadBack, Sink, SinkError, Spool,
    ack_channel,
};
use sink::queue::{Disk, Queue, QueueReadBack, QueueSink, SystemDisk};
use sink::spool::{SpoolEnd, SpoolReadBack, SpoolRoom, SpoolStore, Storage, survey};
use tempfile::tempdir;

use crate::every_step::{OneFault, all_faults};
use crate::fixture::*;

mod damaged;
mod full;
mod late;
mod priority;

/// Payloads, and the bytes of each.
const PAYLOADS: u64 = 8;
const BYTES: u64 = 60;
/// Longer than the spool waits between two notes, in nanoseconds.
const LATER_NS: u64 = 1_000_000_000;

type Hear = Box<dyn Fn() -> Vec<flow::Acked>>;

/// One life of a shipper with a queue for its sink, and a spool.
struct Life {
    queue: Arc<Queue>,
    store: Arc<SpoolStore>,
    end: SpoolEnd,
    direct: QueueSink,
    drain: QueueSink,
    read_back: SpoolReadBack,
    hear: Hear,
    ledger: Arc<Ledger>,
    now_ns: u64,
}

impl Life {
    fn begin(dir: &Path, room: &Arc<SpoolRoom>, disk: Arc<dyn Disk>) -> Option<Life> {
        Life::of("out", dir, room, disk)
    }

    /// With a sink of that name.
    fn of(name: &str, dir: &Path, room: &Arc<SpoolRoom>, disk: Arc<dyn Disk>) -> Option<Life> {
        let (queue, _) = open_lazily(&dir.join("sink"), options());
        let clock: Arc<dyn Clock> = StillClock::new();
        let of_sink = QueueReadBack::of(&queue).unwrap();
        let mut of_sink: Option<Box<dyn ReadBack>> = Some(Box::new(of_sink));
        let opened = SpoolStore::open_on(
            &dir.join("spool"),
            &Arc::from(name),
            room,
            1,
            &clock,
            &mut of_sink,
            Storage::on(disk),
        );
        let (store, read_back) = opened.ok()?;
        let (acks, acked) = ack_channel();
        let (end, drained) = SpoolEnd::new(Arc::clone(&store), 0, clock, acks.clone());
        let (direct, drain) = (sink(&queue, &acks), sink(&queue, &drained));
        let hear = Box::new(move || acked.try_iter().flatten().collect());
        let ledger = Arc::new(Ledger::default());
        Some(Life { queue, store, end, direct, drain, read_back, hear, ledger, now_ns: LATER_NS })
    }

    fn payload(&self, number: u64) -> Payload {
        let begin = number * BYTES;
        payload(&self.ledger, Codec::None, &[part(1, begin, begin + BYTES)])
    }

    /// The first payload that neither sink nor spool has.
    fn resume(&mut self) -> u64 {
        reach(&self.read_back.persisted(ContextId(1))) / BYTES
    }

    fn keep(&mut self, number: u64) -> Result<(), SinkError> {
        let payload = self.payload(number);
        self.end.keep(payload).map(drop).map_err(|refused| refused.why)
    }

    /// Gives the sink what comes next; whether there was something.
    fn drain_one(&mut self) -> bool {
        let Some(payload) = self.end.next("shop") else { return false };
        self.drain.submit(payload).unwrap();
        true
    }

    /// The sink acknowledges what it has, and the spool notes it.
    fn note(&mut self) -> Result<(), SinkError> {
        self.queue.flush(far_deadline()).unwrap();
        self.now_ns += LATER_NS;
        self.end.tend(self.now_ns)
    }

    fn drain_all(&mut self) -> Result<(), SinkError> {
        while self.end.holds("shop") {
            while self.drain_one() {}
            self.note()?;
        }
        self.note()
    }

    fn acked(&self) -> u64 {
        (self.hear)().iter().map(|it| it.span.end).max().unwrap_or(0) / BYTES
    }
}

/// How far spans go without a hole.
fn reach(spans: &[PersistedSpan]) -> u64 {
    let mut spans: Vec<_> = spans.iter().map(|it| (it.span.begin, it.span.end)).collect();
    spans.sort_unstable();
    spans
        .iter()
        .fold(0, |reach, (begin, end)| if *begin <= reach { reach.max(*end) } else { reach })
}

fn much() -> Arc<SpoolRoom> {
    SpoolRoom::new(1 << 20, 1 << 20)
}

fn whole(dir: &Path) -> Life {
    Life::begin(dir, &much(), Arc::new(SystemDisk)).unwrap()
}

/// What the sink has, as numbers of payloads.
fn delivered(dir: &Path) -> Vec<u64> {
    let (batches, problems) = read_all(&dir.join("sink"), "shop");
    assert!(problems.is_empty(), "{problems:?}");
    batches.iter().for_each(assert_bodies);
    spans(&batches).iter().map(|(_, it)| it.begin / BYTES).collect()
}

#[test]
fn what_is_kept_is_acknowledged_once_it_is_safe_and_drained_in_order() {
    let dir = tempdir().unwrap();
    let mut life = whole(dir.path());
    assert!(!life.end.holds("shop"));
    (0..PAYLOADS).for_each(|it| life.keep(it).unwrap());
    life.end.flush(far_deadline()).unwrap();
    assert_eq!(life.acked(), PAYLOADS);
    assert!(life.end.holds("shop") && !life.end.holds("other"));
    assert_eq!(life.store.stats()[0].owed as u64, PAYLOADS);
    life.drain_all().unwrap();
    assert!(!life.end.holds("shop") && life.end.tenants().is_empty());
    assert_eq!(delivered(dir.path()), Vec::from_iter(0..PAYLOADS));
    assert_eq!(life.ledger.dropped(), 0);
}

#[test]
fn what_the_sink_refuses_is_given_again_first() {
    let dir = tempdir().unwrap();
    let mut life = whole(dir.path());
    (0..3).for_each(|it| life.keep(it).unwrap());
    let first = life.end.next("shop").unwrap();
    life.end.give_back(first);
    life.drain_all().unwrap();
    assert_eq!(delivered(dir.path()), [0, 1, 2]);
}

#[test]
fn a_death_at_any_moment_loses_and_doubles_nothing() {
    // Kept, given to the sink, acknowledged by it, and noted, by then.
    for kept in 1..=4 {
        for given in 0..=kept {
            for is_noted in [false, true] {
                let dir = tempdir().unwrap();
                let mut life = whole(dir.path());
                (0..kept).for_each(|it| life.keep(it).unwrap());
                life.end.flush(far_deadline()).unwrap();
                for _ in 0..given {
                    if !life.drain_one() {
                        life.note().unwrap();
                        assert!(life.drain_one());
                    }
                }
                if is_noted {
                    life.note().unwrap();
                }
                drop(life);
                let mut life = whole(dir.path());
                assert_eq!(life.resume(), kept, "goes on behind what is kept");
                life.keep(kept).unwrap();
                life.drain_all().unwrap();
                let told = format!("{kept} kept, {given} given, noted: {is_noted}");
                assert_eq!(delivered(dir.path()), Vec::from_iter(0..=kept), "{told}");
            }
        }
    }
}

#[test]
fn what_the_sink_took_and_lost_before_its_ack_is_drained_again() {
    let dir = tempdir().unwrap();
    let mut life = whole(dir.path());
    (0..4).for_each(|it| life.keep(it).unwrap());
    life.end.flush(far_deadline()).unwrap();
    // A sink that has it in memory, and dies.
    let taken = [life.end.next("shop").unwrap(), life.end.next("shop").unwrap()];
    life.note().unwrap();
    drop(life);
    drop(taken);
    let mut life = whole(dir.path());
    life.drain_all().unwrap();
    assert_eq!(delivered(dir.path()), [0, 1, 2, 3]);
}

#[test]
fn what_is_kept_can_be_surveyed_while_it_is_in_use() {
    let dir = tempdir().unwrap();
    let mut life = whole(dir.path());
    (0..4).for_each(|it| life.keep(it).unwrap());
    life.end.flush(far_deadline()).unwrap();
    assert!(life.drain_one());
    life.note().unwrap();
    let held = survey(&dir.path().join("spool")).unwrap();
    let [it] = &held[..] else { panic!("{held:?}") };
    assert_eq!((&*it.tenant, it.payloads, it.problems), ("shop", 3, 0));
    assert_eq!(it.oldest_unix_ns, Some(1_000_000_000_000));
    assert_eq!(it.disk_bytes, life.store.stats()[0].bytes);
    assert!(survey(dir.path()).unwrap().is_empty(), "no spool");
}

/// Keeps all payloads, drains half of them in between, then the rest; begins anew whenever something breaks.
fn keep_and_drain_all(dir: &Path, fault: Option<(u64, crate::every_step::Fault)>) -> u64 {
    let faulty = OneFault::new(fault);
    // Segments of 1 KiB.
    let (mut steps, room) = (0, SpoolRoom::new(1 << 20, 8 << 10));
    for number in 0..6 {
        let disk = if number == 0 { Arc::clone(&faulty) } else { OneFault::new(None) };
        let Some(mut life) = Life::begin(dir, &room, Arc::clone(&disk) as _) else { continue };
        let is_done = live(&mut life);
        let safe = life.acked();
        drop(life);
        steps = steps.max(disk.steps());
        let mut life = Life::begin(dir, &room, OneFault::new(None)).unwrap();
        assert!(life.resume() >= safe, "{safe} were acknowledged, {} are there", life.resume());
        drop(life);
        if is_done {
            return steps;
        }
    }
    panic!("it never ends");
}

fn live(life: &mut Life) -> bool {
    let (mut next, mut tries) = (life.resume(), 0);
    while next < PAYLOADS {
        match life.keep(next) {
            Ok(()) => next += 1,
            Err(SinkError::Broken(_)) => return false,
            Err(_) if tries > 3 => return false,
            Err(_) => tries += 1,
        }
        let has_failed = next % 2 == 0 && life.end.flush(far_deadline()).is_err();
        if has_failed || next == PAYLOADS / 2 && life.drain_all().is_err() {
            return false;
        }
    }
    life.end.flush(far_deadline()).is_ok() && life.drain_all().is_ok()
}

#[test]
fn every_step_of_the_spools_disk_may_fail_or_be_the_last() {
    let clean = tempdir().unwrap();
    let steps = keep_and_drain_all(clean.path(), None);
    assert!(steps > 20, "{steps} steps");
    for fault in all_faults() {
        for step in 0..steps {
            let dir = tempdir().unwrap();
            keep_and_drain_all(dir.path(), Some((step, fault)));
            let told = format!("{fault:?} at step {step} of {steps}");
            assert_eq!(delivered(dir.path()), Vec::from_iter(0..PAYLOADS), "{told}");
        }
    }
}

#[test]
fn a_copy_is_let_go_once_the_sink_has_what_it_is_a_copy_of() {
    let dir = tempdir().unwrap();
    let mut life = whole(dir.path());
    let on_its_way = life.payload(0);
    life.direct.submit(on_its_way).unwrap();
    assert!(!life.direct.is_clear("shop"));
    let copy = life.payload(0);
    life.end.keep_copy(copy).unwrap();
    life.keep(1).unwrap();
    assert!(!life.drain_one(), "nothing goes before what is on its way");
    life.queue.flush(far_deadline()).unwrap();
    assert!(life.direct.is_clear("shop"));
    life.end.forget_copies("shop");
    life.drain_all().unwrap();
    assert_eq!(delivered(dir.path()), [0, 1]);
}

#[test]
fn a_copy_of_what_the_sink_never_had_is_drained_after_a_death() {
    for had in [false, true] {
        let dir = tempdir().unwrap();
        let mut life = whole(dir.path());
        if had {
            let on_its_way = life.payload(0);
            life.direct.submit(on_its_way).unwrap();
        }
        for _ in 0..2 {
            // Twice, as after a disk that was full in between.
            let copy = life.payload(0);
            life.end.keep_copy(copy).unwrap();
        }
        life.keep(1).unwrap();
        life.end.flush(far_deadline()).unwrap();
        drop(life);
        let mut life = whole(dir.path());
        assert_eq!(life.resume(), 2);
        life.drain_all().unwrap();
        assert_eq!(delivered(dir.path()), [0, 1], "had: {had}");
    }
}

#[test]
fn a_tenant_without_room_is_refused_and_others_are_not() {
    let dir = tempdir().unwrap();
    let room = SpoolRoom::new(100_000, 2_000);
    let mut life = Life::begin(dir.path(), &room, Arc::new(SystemDisk)).unwrap();
    let kept = (0..100).take_while(|it| life.keep(*it).is_ok()).count();
    assert!((2..20).contains(&kept), "{kept}");
    let other = payload_of("other", &life.ledger, Codec::None, &[part(2, 0, BYTES)]);
    life.end.keep(other).unwrap();
    assert_eq!(life.end.tenants().len(), 2);
    life.drain_all().unwrap();
    for _ in 0..3 {
        life.end.flush(far_deadline()).unwrap();
        life.note().unwrap();
    }
    life.keep(kept as u64).expect("what is drained makes room");
}

#[test]
fn what_is_drained_gives_back_its_disk() {
    let dir = tempdir().unwrap();
    let mut life = Life::begin(dir.path(), &SpoolRoom::new(1 << 30, 1 << 30), Arc::new(SystemDisk));
    let life = life.as_mut().unwrap();
    let part = |number: u64| part(1, number << 18, (number + 1) << 18);
    for number in 0..40 {
        let payload = payload(&life.ledger, Codec::None, &[part(number)]);
        life.end.keep(payload).unwrap();
    }
    assert!(life.store.stats()[0].bytes > 10 << 20);
    life.drain_all().unwrap();
    for _ in 0..3 {
        life.end.flush(far_deadline()).unwrap();
        life.note().unwrap();
    }
    assert!(life.store.stats()[0].bytes < 64 << 10, "{:?}", life.store.stats());
    life.keep(0).unwrap();
    life.end.flush(far_deadline()).unwrap();
}
