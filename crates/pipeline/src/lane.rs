//! Lane: the bounded hand-over from readers to one shipper, for one tenant and one sink.
//!
//! Readers push, the shipper pops. A full lane refuses the batch and hands it back; it never blocks
//! and never drops. Order and retry are the shipper's business. Lanes come to be when a tenant's
//! first source does: the directory gives readers the sending end and the shipper the other.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use flow::{ContextId, Payload, is_mutant};

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::channel::{Receiver, Sender, TrySendError, bounded};
use crate::sync::{Mutex, MutexGuard, Unparker};

/// Payloads that may wait in a lane.
///
/// 2: one that the shipper takes next and one that the reader just made; more would only move
/// bytes from files to memory.
const LANE_PAYLOADS_MAX: usize = 2;

/// What tells lanes apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LaneKey {
    /// Whose payloads.
    pub tenant: Arc<str>,
    /// Which of the plan's sinks.
    pub sink: usize,
    /// Which of the sink's shippers.
    pub shard: usize,
}

/// What the shipper says of a lane: whether its payloads are taken.
#[derive(Debug, Default)]
pub struct LaneState {
    /// Monotonic time of the first refusal in a row; 0 if there is none.
    refused_since_ns: AtomicU64,
}

impl LaneState {
    /// Since when payloads are refused, if they are.
    #[must_use]
    pub fn refused_since_ns(&self) -> Option<u64> {
        Some(self.refused_since_ns.load(Ordering::Relaxed)).filter(|since_ns| *since_ns > 0)
    }

    /// The first refusal in a row.
    pub fn refused(&self, now_ns: u64) {
        self.refused_since_ns.store(now_ns.max(1), Ordering::Relaxed);
    }

    /// Payloads are taken again.
    pub fn taken(&self) {
        self.refused_since_ns.store(0, Ordering::Relaxed);
    }
}

/// The reader's end.
#[derive(Debug, Clone)]
pub struct LaneSender {
    payloads: Sender<Payload>,
    /// Whether they are taken.
    pub state: Arc<LaneState>,
    shipper: Unparker,
}

impl LaneSender {
    /// Hands the payload over, or back.
    ///
    /// # Errors
    /// If the lane is full.
    pub fn try_push(&self, payload: Payload) -> Result<(), Box<Payload>> {
        let is_too_early = is_mutant("shipper_woken_before_the_push");
        if is_too_early {
            self.shipper.unpark();
        }
        match self.payloads.try_send(payload) {
            Ok(()) if is_too_early => Ok(()),
            Ok(()) => {
                self.shipper.unpark();
                Ok(())
            }
            Err(_) if is_mutant("full_lane_drops") => Ok(()),
            Err(TrySendError::Full(payload) | TrySendError::Disconnected(payload)) => {
                Err(Box::new(payload))
            }
        }
    }
}

/// The shipper's end.
#[derive(Debug)]
pub struct LaneReceiver {
    /// Whose payloads.
    pub tenant: Arc<str>,
    /// The tenant's share of the sink beside others; at least 1.
    pub weight: u32,
    /// The payloads, in order.
    pub payloads: Receiver<Payload>,
    /// Tells the readers whether they are taken.
    pub state: Arc<LaneState>,
}

/// Where a new lane is announced to its shipper.
#[derive(Debug, Clone)]
pub struct ShipperDoor {
    /// Takes the receiving end.
    pub lanes: Sender<LaneReceiver>,
    /// Wakes the shipper.
    pub unparker: Unparker,
}

/// All lanes, and how to make one.
#[derive(Debug)]
pub struct LaneDirectory {
    /// By sink, then by shard.
    doors: Vec<Vec<ShipperDoor>>,
    lanes: Mutex<HashMap<LaneKey, LaneSender>>,
    /// Of tenants that have another than the usual one.
    weights: HashMap<Arc<str>, u32>,
}

/// A tenant's weight if nothing else is said.
pub const WEIGHT_USUAL: u32 = 100;

impl LaneDirectory {
    /// A directory over the shippers of each sink.
    #[must_use]
    pub fn new(doors: Vec<Vec<ShipperDoor>>) -> LaneDirectory {
        LaneDirectory { doors, lanes: Mutex::new(HashMap::new()), weights: HashMap::new() }
    }

    /// The same, for tenants with these weights.
    #[must_use]
    pub fn weighing(self, weights: HashMap<Arc<str>, u32>) -> LaneDirectory {
        LaneDirectory { weights, ..self }
    }

    /// The key of the lane for a context: always the same shard, so that a context stays in order.
    #[must_use]
    pub fn key(&self, tenant: &Arc<str>, sink: usize, context: ContextId) -> LaneKey {
        let shards = self.doors[sink].len() as u128;
        let shard = usize::try_from(context.0 % shards).expect("below the number of shippers");
        LaneKey { tenant: Arc::clone(tenant), sink, shard }
    }

    /// The lane, made if it is not there yet.
    pub fn open(&self, key: &LaneKey) -> LaneSender {
        let mut lanes = self.lock();
        if let Some(lane) = lanes.get(key) {
            return lane.clone();
        }
        if is_mutant("lane_made_after_the_look") {
            drop(lanes);
            lanes = self.lock();
        }
        let door = &self.doors[key.sink][key.shard];
        let (sender, payloads) = bounded(LANE_PAYLOADS_MAX);
        let state = Arc::new(LaneState::default());
        let tenant = Arc::clone(&key.tenant);
        let weight = self.weights.get(&tenant).copied().unwrap_or(WEIGHT_USUAL);
        let receiver = LaneReceiver { tenant, weight, payloads, state: Arc::clone(&state) };
        // A shipper that has ended leaves the lane without a taker: it fills, and refuses.
        drop(door.lanes.send(receiver));
        let lane = LaneSender { payloads: sender, state, shipper: door.unparker.clone() };
        lanes.insert(key.clone(), lane.clone());
        lane
    }

    /// All lanes, and since when the sink refuses their payloads, if it does.
    #[must_use]
    pub fn states(&self) -> Vec<(LaneKey, Option<u64>)> {
        let lanes = self.lock();
        lanes.iter().map(|(key, it)| (key.clone(), it.state.refused_since_ns())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LaneKey, LaneSender>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
