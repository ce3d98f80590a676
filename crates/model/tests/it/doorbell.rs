//! A reader that waits for room is woken, whatever comes in between; and so is who sleeps by a door.

use std::sync::Arc;

use model::pipeline::doorbell::Doorbell;
use model::pipeline::reader::Ask;
use model::pipeline::reader::door::DiscoveryDoor;
use model::sync::atomic::{AtomicUsize, Ordering};
use model::sync::{Parker, thread};

use crate::{in_every_order, in_orders_with, join_all};

/// The reader's side: looks, says that it waits, looks again, sleeps.
fn wait_for_room(bell: &Doorbell, parker: &Parker, has_room: impl Fn() -> bool) {
    while !has_room() {
        if bell.listen() {
            continue;
        }
        parker.park();
    }
}

/// What it looks at orders nothing by itself: the bell alone must.
#[test]
fn a_reader_that_waits_for_room_is_always_woken() {
    in_every_order(|| {
        let parker = Parker::new();
        let bell = Doorbell::new(parker.unparker().clone());
        let room = Arc::new(AtomicUsize::new(0));
        let shipper = {
            let (bell, room) = (bell.clone(), Arc::clone(&room));
            thread::spawn(move || {
                room.store(1, Ordering::Relaxed);
                bell.ring();
            })
        };
        wait_for_room(&bell, &parker, || room.load(Ordering::Relaxed) == 1);
        shipper.join().unwrap();
    });
}

#[test]
fn a_reader_that_waits_for_two_shippers_hears_the_later_one() {
    in_orders_with(3, || {
        let parker = Parker::new();
        let bell = Doorbell::new(parker.unparker().clone());
        let room = Arc::new(AtomicUsize::new(0));
        let shippers = [(); 2].map(|()| {
            let (bell, room) = (bell.clone(), Arc::clone(&room));
            thread::spawn(move || {
                room.fetch_add(1, Ordering::Relaxed);
                bell.ring();
            })
        });
        wait_for_room(&bell, &parker, || room.load(Ordering::Relaxed) == 2);
        join_all(shippers);
    });
}

#[test]
fn a_question_is_heard_by_a_discovery_that_goes_to_sleep() {
    in_orders_with(3, || {
        let parker = Parker::new();
        let (door, asked) = DiscoveryDoor::new(parker.unparker().clone());
        let readers = [1, 2].map(|number| {
            let door = door.clone();
            thread::spawn(move || door.ask(Ask(number)))
        });
        let mut sum = 0;
        while sum < 3 {
            match asked.try_recv() {
                Ok(Ask(number)) => sum += number,
                Err(_) => parker.park(),
            }
        }
        join_all(readers);
        assert_eq!(sum, 3);
        assert!(asked.try_recv().is_err());
    });
}
