//! Lanes: full ones hand back, order is kept, both ends wake each other, and a key has one lane.

use std::sync::Arc;

use flow::{Codec, ContextId, Encoding, Payload};
use model::pipeline::doorbell::Doorbell;
use model::pipeline::lane::{LaneDirectory, LaneReceiver, LaneSender, ShipperDoor};
use model::sync::channel::{Receiver, bounded};
use model::sync::{Parker, thread};

use crate::{in_orders_with, join_all};

/// Lanes that may wait for their shipper; more than these tests make.
const NEW_LANES_MAX: usize = 4;

/// A payload that is known by its number.
fn payload(number: u32) -> Payload {
    Payload {
        tenant: Arc::from("shop"),
        encoding: Encoding::OtlpProto,
        codec: Codec::None,
        raw_bytes: number,
        block: Vec::new(),
        headers: Vec::new(),
        tickets: Vec::new(),
        permit: None,
    }
}

/// A directory with one shipper, which `shipper` wakes.
fn directory(shipper: &Parker) -> (LaneDirectory, Receiver<LaneReceiver>) {
    let (lanes, new_lanes) = bounded(NEW_LANES_MAX);
    let door = ShipperDoor { lanes, unparker: shipper.unparker().clone() };
    (LaneDirectory::new(vec![vec![door]]), new_lanes)
}

fn open(directory: &LaneDirectory) -> LaneSender {
    directory.open(&directory.key(&Arc::from("shop"), 0, ContextId(1)))
}

#[test]
fn a_lane_keeps_the_order_and_its_ends_wake_each_other() {
    const PAYLOADS: u32 = 3;
    in_orders_with(3, || {
        let (reader, shipper) = (Parker::new(), Parker::new());
        let bell = Doorbell::new(reader.unparker().clone());
        let (directory, new_lanes) = directory(&shipper);
        let reading = {
            let bell = bell.clone();
            thread::spawn(move || {
                let lane = open(&directory);
                for number in 0..PAYLOADS {
                    let mut held = payload(number);
                    while let Err(refused) = lane.try_push(held) {
                        assert_eq!(refused.raw_bytes, number, "handed back whole");
                        held = *refused;
                        if !bell.listen() {
                            reader.park();
                        }
                    }
                }
            })
        };
        let (mut lanes, mut shipped) = (Vec::new(), Vec::new());
        while shipped.len() < PAYLOADS as usize {
            lanes.extend(new_lanes.try_recv());
            match lanes.first().map(|lane| lane.payloads.try_recv()) {
                Some(Ok(payload)) => {
                    shipped.push(payload.raw_bytes);
                    bell.ring();
                }
                _ => shipper.park(),
            }
        }
        reading.join().unwrap();
        assert_eq!(shipped, [0, 1, 2]);
    });
}

#[test]
fn two_readers_that_open_a_new_lane_get_the_same() {
    in_orders_with(3, || {
        let shipper = Parker::new();
        let (directory, new_lanes) = directory(&shipper);
        let directory = Arc::new(directory);
        let readers = [0, 1].map(|number| {
            let directory = Arc::clone(&directory);
            thread::spawn(move || open(&directory).try_push(payload(number)).is_ok())
        });
        assert_eq!(join_all(readers), [true, true]);
        let lane = new_lanes.try_recv().expect("one lane is announced");
        assert!(new_lanes.try_recv().is_err(), "and no other");
        let mut numbers = [0, 1].map(|_| lane.payloads.try_recv().unwrap().raw_bytes);
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1]);
    });
}

#[test]
fn a_lane_whose_shipper_ended_hands_every_payload_back() {
    in_orders_with(3, || {
        let shipper = Parker::new();
        let (directory, new_lanes) = directory(&shipper);
        let ending = thread::spawn(move || drop(new_lanes));
        let lane = open(&directory);
        let refused = (0..4).filter_map(|number| lane.try_push(payload(number)).err());
        let refused: Vec<u32> = refused.map(|payload| payload.raw_bytes).collect();
        assert!(refused.ends_with(&[2, 3]), "two at most are taken: {refused:?}");
        ending.join().unwrap();
        assert_eq!(lane.try_push(payload(9)).unwrap_err().raw_bytes, 9);
    });
}
