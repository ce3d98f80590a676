//! Lane: the bounded hand-over from readers to one shipper, for one tenant and one sink.
//!
//! Readers push, the shipper pops. A full lane refuses the batch and hands it back; it never blocks
//! and never drops. Order and retry are the shipper's business. Lanes come to be when a tenant's
//! first source does: the directory gives readers the sending end and the shipper the other.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use flow::{ContextId, Payload, is_mutant};

use crate::sync::channel::{Receiver, Sender, TrySendError, bounded};
use crate::sync::{Mutex, MutexGuard, Unparker};

/// Payloads that may wait in a lane.
///
/// 2: one that the shipper takes next and one that the reader just made; more would only move
/// bytes from files to memory.
pub(crate) const LANE_PAYLOADS_MAX: usize = 2;

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

/// The reader's end.
#[derive(Debug, Clone)]
pub struct LaneSender {
    payloads: Sender<Payload>,
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
    /// The payloads, in order.
    pub payloads: Receiver<Payload>,
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
}

impl LaneDirectory {
    /// A directory over the shippers of each sink.
    #[must_use]
    pub fn new(doors: Vec<Vec<ShipperDoor>>) -> LaneDirectory {
        LaneDirectory { doors, lanes: Mutex::new(HashMap::new()) }
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
        let receiver = LaneReceiver { tenant: Arc::clone(&key.tenant), payloads };
        // A shipper that has ended leaves the lane without a taker: it fills, and refuses.
        drop(door.lanes.send(receiver));
        let lane = LaneSender { payloads: sender, shipper: door.unparker.clone() };
        lanes.insert(key.clone(), lane.clone());
        lane
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LaneKey, LaneSender>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
