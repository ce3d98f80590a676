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
    taken: Vec<String>,
}

#[derive(Debug)]
struct FakeSink(Arc<Mutex<World>>);

impl Sink for FakeSink {
    fn submit(&mut self, payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>> {
        let mut world = self.0.lock().unwrap();
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
    let (world, clock) = (Arc::new(Mutex::new(World::default())), Arc::new(HandClock::default()));
    let (new_lanes, receiver) = bounded(10);
    let mut lanes = Vec::new();
    for tenant in tenants {
        let (sender, payloads) = bounded(10);
        new_lanes
            .send(LaneReceiver { tenant: Arc::from(*tenant), payloads, state: Arc::default() })
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
