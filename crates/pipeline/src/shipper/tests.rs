//! A lane that is refused keeps its order and holds up no other.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::channel::{Sender, bounded};
use flow::{Codec, Encoding, Refused};

use super::*;

#[derive(Debug, Default)]
struct HandClock(AtomicU64);

impl Clock for HandClock {
    fn monotonic_ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    fn unix_ns(&self) -> i64 {
        0
    }
}

/// Refuses some tenants; remembers what it took.
#[derive(Debug, Default)]
struct World {
    refused: HashSet<&'static str>,
    is_broken: bool,
    tries: u32,
    taken: Vec<String>,
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
}

struct Bed {
    shipper: Shipper,
    world: Arc<Mutex<World>>,
    clock: Arc<HandClock>,
    lanes: Vec<Sender<Payload>>,
}

fn bed(tenants: &[&str]) -> Bed {
    bed_of(&tenants.iter().map(|it| (*it, 100)).collect::<Vec<_>>())
}

/// Tenants with these weights.
fn bed_of(tenants: &[(&str, u32)]) -> Bed {
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
    let parts = ShipperParts {
        sink: Box::new(FakeSink(Arc::clone(&world))),
        retry: RetryPolicy { first_ns: 100, max_ns: 1000 },
    };
    let (meter, buffers) = (Arc::default(), Arc::new(Buffers::new(1 << 20)));
    let shipper =
        Shipper::new(Arc::from("sink"), parts, receiver, clock.clone(), meter, Vec::new(), buffers);
    Bed { shipper, world, clock, lanes }
}

impl Bed {
    fn push(&self, lane: usize, tenant: &str, text: &str) {
        let payload = Payload {
            tenant: Arc::from(tenant),
            encoding: Encoding::JsonLines,
            codec: Codec::None,
            raw_bytes: u32::try_from(text.len()).unwrap(),
            block: text.as_bytes().to_vec(),
            headers: Vec::new(),
            tickets: Vec::new(),
            permit: None,
        };
        self.lanes[lane].send(payload).unwrap();
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
    let mut bed = bed_of(&tenants);
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
