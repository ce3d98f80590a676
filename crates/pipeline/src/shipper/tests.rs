//! A lane that is refused keeps its order and holds up no other.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use crossbeam::channel::{Sender, bounded};
use flow::{Codec, Encoding, KeepCopy, Refused, Released, Spool};

use super::*;
use crate::limits::{AtLimit, LimitPlan, Rates, TenantLimits};
use crate::test_clock::HandClock;

/// Refuses some tenants; remembers what it took.
#[derive(Debug, Default)]
struct World {
    refused: HashSet<&'static str>,
    is_broken: bool,
    tries: u32,
    taken: Vec<String>,
    /// Took something that it has not acknowledged.
    is_unclear: bool,
    /// Can give copies of that.
    copies: Vec<&'static str>,
}

#[derive(Debug)]
struct FakeSink(Arc<Mutex<World>>);

impl Sink for FakeSink {
    fn submit(&mut self, payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>> {
        let mut world = self.0.lock().unwrap();
        world.tries += 1;
        if world.is_broken {
            let why = SinkError::Broken("gone".to_owned());
            return Err(Box::new(Refused { payload, why }));
        }
        if world.refused.contains(&*payload.tenant) {
            let why = SinkError::Retry("full".to_owned());
            return Err(Box::new(Refused { payload, why }));
        }
        let text = String::from_utf8(payload.block.clone()).unwrap();
        world.taken.push(format!("{}{text}", payload.tenant));
        Ok(Some(payload.block))
    }

    fn flush(&mut self, _deadline_ns: u64) -> Result<(), SinkError> {
        Ok(())
    }

    fn is_clear(&self, _tenant: &str) -> bool {
        !self.0.lock().unwrap().is_unclear
    }

    fn copy_unacknowledged(&self, tenant: &str, keep: &mut KeepCopy<'_>) -> bool {
        let copies = self.0.lock().unwrap().copies.clone();
        let mut kept = copies.iter().map(|text| keep(payload(tenant, text)).is_ok());
        kept.len() > 0 && kept.all(|it| it)
    }
}

/// A spool in memory; what it gives is acknowledged when it is tended to next.
#[derive(Debug, Default)]
struct Kept {
    is_full: bool,
    /// Its oldest may go for what is newer.
    gives: bool,
    /// What it gives is not enough, and it cannot give more.
    fails: bool,
    /// What it gave is acknowledged before it is asked for more.
    is_heard: bool,
    payloads: VecDeque<(Payload, bool)>,
    /// Whose.
    on_its_way: Vec<Arc<str>>,
}

#[derive(Debug)]
struct FakeSpool(Arc<Mutex<Kept>>);

impl FakeSpool {
    fn push(&self, payload: Payload, is_copy: bool) -> Result<(), Box<Refused>> {
        let mut kept = self.0.lock().unwrap();
        if kept.is_full {
            let why = SinkError::Retry("full".to_owned());
            return Err(Box::new(Refused { payload, why }));
        }
        kept.payloads.push_back((payload, is_copy));
        Ok(())
    }
}

impl Spool for FakeSpool {
    fn holds(&self, tenant: &str) -> bool {
        self.tenants().iter().any(|it| **it == *tenant)
    }
    fn keep(&mut self, payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>> {
        self.push(payload, false).map(|()| None)
    }
    fn keep_copy(&mut self, payload: Payload) -> Result<(), Box<Refused>> {
        self.push(payload, true)
    }
    fn make_room(
        &mut self,
        tenant: &str,
        _bytes: u64,
        released: &mut Vec<Released>,
    ) -> Result<(), SinkError> {
        let mut kept = self.0.lock().unwrap();
        released.extend(kept.gives.then(|| (Arc::from(tenant), 7)));
        if kept.fails {
            return Err(SinkError::Retry("no more".to_owned()));
        }
        kept.is_full &= !kept.gives;
        Ok(())
    }
    fn forget_copies(&mut self, _tenant: &str) {
        self.0.lock().unwrap().payloads.retain(|(_, is_copy)| !is_copy);
    }
    fn tenants(&self) -> Vec<Arc<str>> {
        let kept = self.0.lock().unwrap();
        let waiting = kept.payloads.iter().map(|(it, _)| &it.tenant);
        let all: BTreeSet<_> = waiting.chain(&kept.on_its_way).cloned().collect();
        all.into_iter().collect()
    }
    fn next(&mut self, tenant: &str) -> Option<Payload> {
        let mut kept = self.0.lock().unwrap();
        let first = kept.payloads.iter().position(|(it, _)| *it.tenant == *tenant)?;
        let (payload, is_copy) = kept.payloads.remove(first)?;
        assert!(!is_copy);
        if !kept.is_heard {
            kept.on_its_way.push(Arc::clone(&payload.tenant));
        }
        Some(payload)
    }
    fn give_back(&mut self, payload: Payload) {
        let mut kept = self.0.lock().unwrap();
        kept.on_its_way.pop();
        kept.payloads.push_front((payload, false));
    }
    fn tend(&mut self, _now_ns: u64) -> Result<(), SinkError> {
        self.0.lock().unwrap().on_its_way.clear();
        Ok(())
    }
    fn due_ns(&self, now_ns: u64) -> Option<u64> {
        (!self.0.lock().unwrap().on_its_way.is_empty()).then_some(now_ns + 20_000_000)
    }
    fn flush(&mut self, _deadline_ns: u64) -> Result<(), SinkError> {
        Ok(())
    }
}

fn payload(tenant: &str, text: &str) -> Payload {
    Payload {
        tenant: Arc::from(tenant),
        encoding: Encoding::JsonLines,
        codec: Codec::None,
        raw_bytes: u32::try_from(text.len()).unwrap(),
        block: text.as_bytes().to_vec(),
        headers: Vec::new(),
        tickets: Vec::new(),
        permit: None,
    }
}

struct Bed {
    shipper: Shipper,
    world: Arc<Mutex<World>>,
    clock: Arc<HandClock>,
    lanes: Vec<Sender<Payload>>,
    kept: Arc<Mutex<Kept>>,
    meter: Arc<Meter>,
}

fn bed(tenants: &[&str]) -> Bed {
    bed_of(&tenants.iter().map(|it| (*it, 100)).collect::<Vec<_>>(), false)
}

fn bed_with_spool(tenants: &[&str]) -> Bed {
    bed_of(&tenants.iter().map(|it| (*it, 100)).collect::<Vec<_>>(), true)
}

/// Tenants with these weights.
fn bed_of(tenants: &[(&str, u32)], with_spool: bool) -> Bed {
    let (world, clock) = (Arc::new(Mutex::new(World::default())), Arc::new(HandClock::default()));
    let (new_lanes, receiver) = bounded(10);
    let mut lanes = Vec::new();
    for (tenant, weight) in tenants {
        let (sender, payloads) = bounded(10);
        new_lanes
            .send(LaneReceiver {
                tenant: Arc::from(*tenant),
                weight: *weight,
                payloads,
                state: Arc::default(),
            })
            .unwrap();
        lanes.push(sender);
    }
    let sink = || Box::new(FakeSink(Arc::clone(&world)));
    let (kept, all) = (Arc::<Mutex<Kept>>::default(), Arc::new(Meter::default()));
    let spool = SpoolParts {
        spool: Box::new(FakeSpool(Arc::clone(&kept))),
        sink: sink(),
        pace: DrainPace::new(1_000_000_000),
    };
    let parts = ShipperParts {
        sink: sink(),
        retry: RetryPolicy { first_ns: 100, max_ns: 1000 },
        spool: with_spool.then_some(spool),
    };
    let (meter, buffers) = (Arc::default(), Arc::new(Buffers::new(1 << 20)));
    let shipper =
        Shipper::new(Arc::from("sink"), parts, receiver, clock.clone(), meter, Vec::new(), buffers)
            .watching(Arc::clone(&all));
    Bed { shipper, world, clock, lanes, kept, meter: all }
}

impl Bed {
    fn push(&self, lane: usize, tenant: &str, text: &str) {
        let payload = payload(tenant, text);
        self.lanes[lane].send(payload).unwrap();
    }

    fn at(&mut self, now_ns: u64) -> Vec<String> {
        self.clock.0.store(now_ns, Ordering::Relaxed);
        self.run().0
    }

    fn refuse(&self, tenant: &'static str, is_refused: bool) {
        let refused = &mut self.world.lock().unwrap().refused;
        if is_refused {
            refused.insert(tenant)
        } else {
            refused.remove(tenant)
        };
    }

    fn risk(&self, bytes: u64) {
        self.meter.tenant(&Arc::from("a")).risk_bytes.set(bytes);
    }

    fn kept(&self) -> Vec<String> {
        let kept = self.kept.lock().unwrap();
        let text = |it: &(Payload, bool)| String::from_utf8(it.0.block.clone()).unwrap();
        kept.payloads.iter().map(text).collect()
    }

    /// Ticks until the shipper is idle; returns what was taken meanwhile, and when it wants to wake.
    fn run(&mut self) -> (Vec<String>, Option<u64>) {
        loop {
            if let Tick::Idle(wake_ns) = self.shipper.tick() {
                return (std::mem::take(&mut self.world.lock().unwrap().taken), wake_ns);
            }
        }
    }
}

#[test]
fn a_refused_lane_keeps_its_order_and_holds_up_no_other() {
    let mut bed = bed(&["a", "b"]);
    bed.world.lock().unwrap().refused.insert("a");
    for text in ["1", "2", "3"] {
        bed.push(0, "a", text);
        bed.push(1, "b", text);
    }
    let (taken, wake_ns) = bed.run();
    assert_eq!(taken, ["b1", "b2", "b3"]);
    assert_eq!(wake_ns, Some(100));
    bed.clock.0.store(99, Ordering::Relaxed);
    assert_eq!(bed.run(), (vec![], Some(100)));
    bed.clock.0.store(100, Ordering::Relaxed);
    assert_eq!(bed.run(), (vec![], Some(300)), "refused again: twice the pause");
    bed.world.lock().unwrap().refused.clear();
    bed.clock.0.store(300, Ordering::Relaxed);
    assert_eq!(bed.run(), (vec!["a1".to_owned(), "a2".to_owned(), "a3".to_owned()], None));
    assert!(bed.shipper.is_empty());
}

#[test]
fn a_shipper_that_ends_leaves_no_lane_behind_that_is_tried_again() {
    let mut bed = bed(&["a", "b"]);
    bed.refuse("a", true);
    bed.push(0, "a", "1");
    bed.push(1, "b", "1");
    bed.run();
    let meter = Arc::clone(&bed.shipper.meter);
    assert_eq!(meter.lanes_retrying.get(), 1);
    drop(bed);
    assert_eq!(meter.lanes_retrying.get(), 0);
}

#[test]
fn a_broken_sink_is_said_and_nothing_more_is_submitted() {
    let mut bed = bed(&["a"]);
    bed.world.lock().unwrap().is_broken = true;
    bed.push(0, "a", "1");
    bed.push(0, "a", "2");
    bed.run();
    assert_eq!(bed.shipper.broken(), Some("gone"));
    bed.world.lock().unwrap().is_broken = false;
    assert_eq!(bed.run(), (vec![], None));
}

#[test]
fn lanes_share_a_slow_sink_by_weight() {
    let tenants = [("a", 300), ("b", 100), ("c", 100)];
    let mut bed = bed_of(&tenants, false);
    // Payloads of different size; no lane is ever empty.
    let texts = ["x".repeat(1000), "x".repeat(90), "x".repeat(777)];
    let mut sent = [0_usize; 3];
    for _ in 0..3000 {
        for (lane, (tenant, _)) in tenants.iter().enumerate() {
            while bed.lanes[lane].len() < 8 {
                bed.push(lane, tenant, &texts[lane]);
            }
        }
        bed.shipper.tick();
        for text in std::mem::take(&mut bed.world.lock().unwrap().taken) {
            sent[usize::from(text.as_bytes()[0] - b'a')] += text.len() - 1;
        }
    }
    let near = |one: usize, other: usize| one.abs_diff(other) * 100 <= other;
    assert!(near(sent[0], 3 * sent[1]) && near(sent[1], sent[2]), "{sent:?}");
}

#[test]
fn a_lane_that_was_quiet_gets_its_turn_and_not_all_of_them() {
    let mut bed = bed(&["a", "b"]);
    let large = "x".repeat(1 << 20);
    for _ in 0..50 {
        bed.push(0, "a", &large);
        bed.run();
    }
    for _ in 0..10 {
        bed.push(0, "a", &large);
        bed.push(1, "b", &large);
    }
    let (taken, _) = bed.run();
    assert!(taken[0].starts_with('b'), "it has sent less");
    let first = taken[..10].iter().filter(|it| it.starts_with('b')).count();
    assert!((5..=8).contains(&first), "{first} of the first ten");
    assert_eq!(taken.len(), 20);
}

#[test]
fn a_lane_that_is_refused_for_long_probes_with_one_payload() {
    let mut bed = bed(&["a"]);
    bed.world.lock().unwrap().refused.insert("a");
    (0..5).for_each(|_| bed.push(0, "a", "1"));
    for now_ns in 0..100_000 {
        bed.clock.0.store(now_ns, Ordering::Relaxed);
        bed.run();
    }
    // Pauses of 100, 200, 400, 800, and 1000 from then on.
    let tries = bed.world.lock().unwrap().tries;
    assert!((100..=105).contains(&tries), "{tries}");
    let state = Arc::clone(&bed.shipper.lanes[0].receiver.state);
    assert_eq!(state.refused_since_ns(), Some(1));
    bed.world.lock().unwrap().refused.clear();
    bed.clock.0.store(200_000, Ordering::Relaxed);
    assert_eq!(bed.run().0.len(), 5, "once one is taken, all are");
    assert_eq!(state.refused_since_ns(), None);
}

const SECOND_NS: u64 = 1_000_000_000;

#[test]
fn a_refused_lane_goes_to_the_spool_only_after_a_second_and_only_at_risk() {
    let mut bed = bed_with_spool(&["a", "b"]);
    bed.refuse("a", true);
    bed.push(0, "a", "1");
    bed.push(0, "a", "2");
    bed.push(1, "b", "1");
    assert_eq!(bed.at(5), ["b1"]);
    bed.risk(100);
    bed.at(SECOND_NS - 1);
    assert!(bed.kept().is_empty(), "refused for less than a second");
    bed.risk(0);
    bed.at(2 * SECOND_NS);
    assert!(bed.kept().is_empty(), "nothing is at risk");
    bed.risk(100);
    bed.at(3 * SECOND_NS);
    assert_eq!(bed.kept(), ["1", "2"]);
    assert!(bed.shipper.is_empty());
}

#[test]
fn nothing_newer_overtakes_what_is_in_the_spool() {
    let mut bed = bed_with_spool(&["a"]);
    bed.refuse("a", true);
    bed.world.lock().unwrap().is_unclear = true;
    bed.world.lock().unwrap().copies = vec!["0"];
    bed.push(0, "a", "1");
    bed.at(5);
    bed.risk(100);
    bed.at(2 * SECOND_NS);
    bed.risk(0);
    // Two may have been read while they were at risk.
    ["2", "3", "4"].iter().for_each(|it| bed.push(0, "a", it));
    bed.at(3 * SECOND_NS);
    assert_eq!(bed.kept(), ["0", "1", "2", "3"], "what is not at risk waits in the files");
    bed.refuse("a", false);
    assert!(bed.at(5 * SECOND_NS).is_empty(), "the older has to go first, and may not yet");
    bed.world.lock().unwrap().is_unclear = false;
    let taken: Vec<String> = (6..9).flat_map(|it| bed.at(it * SECOND_NS)).collect();
    assert_eq!(taken, ["a1", "a2", "a3", "a4"]);
    assert!(bed.kept().is_empty() && bed.shipper.is_empty());
}

#[test]
fn what_is_on_its_way_is_copied_into_the_spool_before_what_follows() {
    let mut bed = bed_with_spool(&["a"]);
    bed.refuse("a", true);
    bed.world.lock().unwrap().is_unclear = true;
    bed.risk(100);
    bed.push(0, "a", "2");
    bed.at(5);
    bed.at(2 * SECOND_NS);
    assert!(bed.kept().is_empty(), "a hole would stand before it");
    bed.world.lock().unwrap().copies = vec!["1"];
    bed.at(3 * SECOND_NS);
    assert_eq!(bed.kept(), ["1", "2"]);
    bed.refuse("a", false);
    assert!(bed.at(5 * SECOND_NS).is_empty(), "the sink still delivers what there is a copy of");
    bed.world.lock().unwrap().is_unclear = false;
    assert_eq!(bed.at(6 * SECOND_NS), ["a2"]);
}

#[test]
fn a_full_spool_leaves_the_lane_waiting_for_its_sink() {
    let mut bed = bed_with_spool(&["a"]);
    bed.refuse("a", true);
    bed.kept.lock().unwrap().is_full = true;
    bed.risk(100);
    bed.push(0, "a", "1");
    bed.at(5);
    bed.at(2 * SECOND_NS);
    assert!(bed.kept().is_empty() && !bed.shipper.is_empty());
    bed.refuse("a", false);
    assert_eq!(bed.at(3 * SECOND_NS), ["a1"]);
}

#[test]
fn a_full_spool_gives_its_oldest_only_for_what_cannot_wait() {
    let mut bed = bed_with_spool(&["a"]);
    bed.refuse("a", true);
    let fill = |bed: &Bed| {
        (bed.kept.lock().unwrap().is_full, bed.kept.lock().unwrap().gives) = (true, true)
    };
    fill(&bed);
    bed.push(0, "a", "1");
    bed.at(5);
    bed.risk(100);
    bed.at(2 * SECOND_NS);
    assert_eq!(bed.kept(), ["1"]);
    let released = || bed.meter.tenant(&Arc::from("a")).released_bytes.get();
    assert_eq!(released(), 7);
    bed.risk(0);
    // Those that may have been read while they were at risk; then what a stop finds.
    (2..5).for_each(|_| bed.push(0, "a", "more"));
    bed.at(4 * SECOND_NS);
    fill(&bed);
    bed.shipper.stop();
    bed.at(6 * SECOND_NS);
    assert!(bed.kept.lock().unwrap().is_full && !bed.shipper.is_empty());
}

#[test]
fn what_a_spool_let_go_of_before_it_failed_is_counted() {
    let mut bed = bed_with_spool(&["a"]);
    bed.refuse("a", true);
    *bed.kept.lock().unwrap() = Kept { is_full: true, gives: true, fails: true, ..Kept::default() };
    bed.push(0, "a", "1");
    bed.at(5);
    bed.risk(100);
    bed.at(2 * SECOND_NS);
    assert!(bed.kept().is_empty() && !bed.shipper.is_empty(), "it waits in its file");
    assert_eq!(bed.meter.tenant(&Arc::from("a")).released_bytes.get(), 7);
}

#[test]
fn a_stop_hands_to_the_spool_what_its_sink_does_not_take() {
    let mut bed = bed_with_spool(&["a"]);
    bed.refuse("a", true);
    bed.push(0, "a", "1");
    bed.at(5);
    bed.at(2 * SECOND_NS);
    assert!(!bed.shipper.is_empty());
    bed.shipper.stop();
    bed.at(3 * SECOND_NS);
    assert_eq!(bed.kept(), ["1"]);
    assert!(bed.shipper.is_empty());
}

#[test]
fn a_tenant_read_beyond_its_limit_goes_by_way_of_the_spool() {
    let mut bed = bed_with_spool(&["a", "b"]);
    let rates = Rates { bytes_per_second: Some(10), records_per_second: None, burst_ns: SECOND_NS };
    let limits = TenantLimits { rates, at_limit: AtLimit::Spool, ..TenantLimits::default() };
    let tenants = [(Arc::from("a"), limits)].into();
    let plan = LimitPlan { tenants, ..LimitPlan::default() };
    bed.shipper = bed.shipper.charging(Arc::new(Limits::new(plan, 0)));
    bed.push(0, "a", "1");
    assert_eq!(bed.at(1), ["a1"], "nothing was read beyond it");
    bed.meter.tenant(&Arc::from("a")).over_limit_bytes.set(20);
    bed.push(0, "a", "2");
    bed.push(1, "b", "1");
    assert_eq!(bed.at(2), ["b1"]);
    bed.meter.tenant(&Arc::from("a")).over_limit_bytes.set(0);
    bed.push(0, "a", "3");
    assert!(bed.at(3).is_empty());
    assert_eq!(bed.kept(), ["2", "3"], "what follows it, too");
    // A token comes every tenth of a second; what is made here costs nothing.
    assert!(bed.at(SECOND_NS / 11).is_empty());
    let drained: Vec<String> = (1..4).flat_map(|it| bed.at(it * SECOND_NS)).collect();
    assert_eq!(drained, ["a2", "a3"]);
    bed.push(0, "a", "4");
    assert_eq!(bed.at(5 * SECOND_NS), ["a4"], "all of it is drained");
}

#[test]
fn a_spool_is_drained_no_faster_than_it_may() {
    let mut bed = bed_with_spool(&["a"]);
    bed.refuse("a", true);
    let text = "x".repeat(500);
    (0..6).for_each(|_| bed.push(0, "a", &text));
    bed.at(5);
    bed.risk(100);
    bed.at(2 * SECOND_NS);
    assert_eq!(bed.kept().len(), 6);
    bed.refuse("a", false);
    // Half a microsecond each.
    let at = |bed: &mut Bed, ns| bed.at(5 * SECOND_NS + ns).len();
    assert_eq!([0, 400, 500, 900, 1000].map(|ns| at(&mut bed, ns)), [1, 0, 1, 0, 1]);
}

#[test]
fn a_tenant_that_has_much_to_drain_does_not_hold_up_another() {
    let mut bed = bed_of(&[("a", 100), ("b", 300), ("c", 100)], true);
    let weights = [("a", 100), ("b", 300), ("c", 100)];
    let limits = |weight| TenantLimits { weight, ..TenantLimits::default() };
    let tenants = weights.map(|(it, weight)| (Arc::from(it), limits(weight)));
    let plan = LimitPlan { tenants: tenants.into(), ..LimitPlan::default() };
    bed.shipper = bed.shipper.charging(Arc::new(Limits::new(plan, 0)));
    let text = "x".repeat(500);
    for (number, tenant) in [(40, "a"), (40, "b"), (3, "c")] {
        let kept = (0..number).map(|_| (payload(tenant, &text), false));
        bed.kept.lock().unwrap().payloads.extend(kept);
    }
    // The pace lets one go each half of a microsecond.
    let mut sent = String::new();
    for number in 0..25 {
        let taken = bed.at(SECOND_NS + number * 500);
        sent.extend(taken.iter().filter_map(|it| it.chars().next()));
    }
    let count = |tenant| sent.matches(tenant).count();
    assert_eq!((sent.len(), count('c')), (25, 3), "{sent}");
    let (one, three) = (count('a'), count('b'));
    assert!((5..=6).contains(&one) && (16..=17).contains(&three), "{sent}");
    assert!(sent[..5].contains('c'), "{sent}");
}

#[test]
fn a_shipper_sleeps_until_something_of_the_spool_may_be_drained() {
    let mut bed = bed_with_spool(&["a"]);
    let kept = (payload("a", &"x".repeat(100_000_000)), false);
    let next = (payload("a", "2"), false);
    bed.kept.lock().unwrap().payloads.extend([kept, next]);
    bed.kept.lock().unwrap().is_heard = true;
    let (taken, wake_ns) = bed.run();
    // A tenth of a second's worth at the pace of all spools.
    assert_eq!((taken.len(), wake_ns), (1, Some(100_000_000)));
    bed.clock.0.store(100_000_000, Ordering::Relaxed);
    assert_eq!(bed.run(), (vec!["a2".to_owned()], None), "all of it is drained");
}

/// A tenant that is read beyond its limit, with a spool that has no room.
fn beyond_its_limit_without_room() -> Bed {
    let mut bed = bed_with_spool(&["a"]);
    let rates = Rates { bytes_per_second: Some(10), records_per_second: None, burst_ns: SECOND_NS };
    let limits = TenantLimits { rates, at_limit: AtLimit::Spool, ..TenantLimits::default() };
    let plan = LimitPlan { tenants: [(Arc::from("a"), limits)].into(), ..LimitPlan::default() };
    bed.shipper = bed.shipper.charging(Arc::new(Limits::new(plan, 0)));
    bed.meter.tenant(&Arc::from("a")).over_limit_bytes.set(20);
    bed.kept.lock().unwrap().is_full = true;
    bed.push(0, "a", "1");
    bed
}

#[test]
fn what_a_spool_has_no_room_for_goes_to_its_sink_once_its_limit_lets_it() {
    let mut bed = beyond_its_limit_without_room();
    assert!(bed.at(1).is_empty(), "there are no tokens");
    assert_eq!(bed.at(SECOND_NS / 2), ["a1"]);
    assert!(bed.kept().is_empty() && bed.shipper.is_empty());
}

#[test]
fn a_lane_that_waits_for_its_spool_keeps_no_core_busy() {
    let mut bed = beyond_its_limit_without_room();
    bed.clock.0.store(1, Ordering::Relaxed);
    let (taken, wake_ns) = bed.run();
    assert!(taken.is_empty() && wake_ns.is_some_and(|it| it > 1_000_000), "{wake_ns:?}");
}
