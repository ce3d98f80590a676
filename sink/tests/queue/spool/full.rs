//! A full spool: a tenant's oldest payloads become gaps, which come out in their place, whatever fails.

use std::path::Path;
use std::sync::Arc;

use flow::{Codec, GapReason, Released, Sink, SinkError, Span, Spool};
use sink::queue::{Disk, SystemDisk};
use sink::spool::{SpoolRoom, TenantRooms};
use tempfile::tempdir;

use super::{BYTES, Life, whole};
use crate::every_step::{ENOSPC, Fault, OneFault, all_faults};
use crate::fixture::*;

/// Room for a tenant: segments have 512 bytes, with a payload or two in each.
const ROOM: u64 = 4 << 10;
/// Payloads: several times what there is room for.
const MANY: u64 = 40;
/// Payloads, where each step of a disk has its turn.
const FEW: u64 = 6;

pub(super) fn life(dir: &Path, disk: Arc<dyn Disk>) -> Life {
    Life::begin(dir, &SpoolRoom::new(1 << 20, ROOM), disk).unwrap()
}

/// Bytes that were let go.
pub(super) fn sum(released: Vec<Released>) -> u64 {
    released.into_iter().map(|(_, bytes)| bytes).sum()
}

/// Keeps a payload, at the cost of the oldest; returns how many bytes went.
fn press(life: &mut Life, number: u64) -> u64 {
    if life.keep(number).is_ok() {
        return 0;
    }
    let released = sum(make_room(life, "shop", 2 * BYTES));
    life.keep(number).unwrap();
    released
}

/// What is let go for so many bytes more of a tenant.
pub(super) fn make_room(life: &mut Life, tenant: &str, bytes: u64) -> Vec<Released> {
    let mut released = Vec::new();
    life.end.make_room(tenant, bytes, &mut released).unwrap();
    released
}

/// What the sink has of the context, in its order.
pub(super) fn arrived(dir: &Path, context: u128) -> Vec<(Span, Option<GapReason>)> {
    let (batches, problems) = read_all(&dir.join("sink"), "shop");
    assert!(problems.is_empty(), "{problems:?}");
    let entries = batches.iter().flat_map(|it| &it.entries);
    let of_context = entries.filter(|it| it.header.context.id.0 == context);
    of_context.map(|it| (it.header.span, it.header.gap)).collect()
}

/// All of it arrived, in order and without overlap; returns the bytes of gaps.
fn assert_tiled(dir: &Path, payloads: u64, told: &str) -> u64 {
    let (mut end, mut missing) = (0, 0);
    for (span, gap) in arrived(dir, 1) {
        assert_eq!(span.begin, end, "{told}");
        end = span.end;
        if let Some(reason) = gap {
            assert_eq!(reason, GapReason::SpoolFull);
            missing += span.bytes();
        }
    }
    assert_eq!(end, payloads * BYTES, "{told}");
    missing
}

#[test]
fn the_oldest_is_let_go_and_declared_to_the_byte() {
    let dir = tempdir().unwrap();
    let mut life = life(dir.path(), Arc::new(SystemDisk));
    let mut released = 0;
    for number in 0..MANY {
        released += press(&mut life, number);
        // Beside what is kept, a gap and the head of a segment.
        let bytes = life.store.stats()[0].bytes;
        assert!(bytes <= ROOM + 700, "{bytes}");
    }
    life.end.flush(far_deadline()).unwrap();
    assert_eq!(life.acked(), MANY);
    life.drain_all().unwrap();
    assert!(released > MANY / 2 * BYTES, "{released}");
    assert_eq!(assert_tiled(dir.path(), MANY, ""), released);
    assert_eq!(arrived(dir.path(), 1)[0].0, Span::new(0, released), "one gap");
}

#[test]
fn what_is_on_its_way_is_never_let_go() {
    let dir = tempdir().unwrap();
    let mut life = life(dir.path(), Arc::new(SystemDisk));
    (0..6).for_each(|it| life.keep(it).unwrap());
    let on_their_way = [life.end.next("shop").unwrap(), life.end.next("shop").unwrap()];
    let released: u64 = (6..MANY).map(|it| press(&mut life, it)).sum();
    // The sink takes its time.
    for payload in on_their_way {
        life.drain.submit(payload).unwrap();
    }
    life.drain_all().unwrap();
    assert_eq!(assert_tiled(dir.path(), MANY, ""), released);
    let of_sent = [(Span::new(0, BYTES), None), (Span::new(BYTES, 2 * BYTES), None)];
    assert_eq!(arrived(dir.path(), 1)[..2], of_sent);
}

#[test]
fn copies_of_what_is_on_its_way_stay_over_any_death() {
    for is_delivered in [false, true] {
        let dir = tempdir().unwrap();
        let mut life = life(dir.path(), Arc::new(SystemDisk));
        let copy = life.payload(0);
        if is_delivered {
            let payload = life.payload(0);
            life.direct.submit(payload).unwrap();
        }
        life.end.keep_copy(copy).unwrap();
        let released: u64 = (1..MANY).map(|it| press(&mut life, it)).sum();
        life.end.flush(far_deadline()).unwrap();
        drop(life);
        let mut life = self::life(dir.path(), Arc::new(SystemDisk));
        assert_eq!(life.resume(), MANY);
        life.drain_all().unwrap();
        let told = format!("delivered: {is_delivered}");
        assert_eq!(assert_tiled(dir.path(), MANY, &told), released, "{told}");
        assert_eq!(arrived(dir.path(), 1)[0], (Span::new(0, BYTES), None), "{told}");
    }
}

#[test]
fn no_other_tenant_gives_anything() {
    let dir = tempdir().unwrap();
    // Together they fill it.
    let room = SpoolRoom::new(5600, ROOM);
    let mut life = Life::begin(dir.path(), &room, Arc::new(SystemDisk)).unwrap();
    let quiet = |life: &Life, number: u64| {
        let part = part(2, number * BYTES, (number + 1) * BYTES);
        payload_of("quiet", &life.ledger, Codec::None, &[part])
    };
    for number in 0..2 {
        let payload = quiet(&life, number);
        life.end.keep(payload).unwrap();
    }
    let quiet_bytes = life.store.stats()[0].bytes;
    let released: u64 = (0..MANY).map(|it| press(&mut life, it)).sum();
    assert!(released > 0);
    let stats = life.store.stats();
    assert_eq!((&*stats[0].tenant, stats[0].owed, stats[0].bytes), ("quiet", 2, quiet_bytes));
    // That one has less: it gives nothing for more of its own, and neither does the other.
    let mut number = 2;
    while life.end.keep(quiet(&life, number)).is_ok() {
        number += 1;
    }
    let owed = life.store.stats()[1].owed;
    assert_eq!(make_room(&mut life, "quiet", BYTES), []);
    assert_eq!(life.store.stats()[1].owed, owed);
}

#[test]
fn a_tenant_of_lower_priority_gives_its_oldest_for_a_higher_one_and_it_is_declared_to_the_byte() {
    let dir = tempdir().unwrap();
    let priorities = [(Arc::from("quiet"), 900)].into();
    let tenants = TenantRooms { priorities, ..TenantRooms::default() };
    let room = SpoolRoom::with_tenants(5600, 5600, tenants);
    let mut life = Life::begin(dir.path(), &room, Arc::new(SystemDisk)).unwrap();
    // It asks in the spool of another sink.
    let other = tempdir().unwrap();
    let mut urgent = Life::of("other", other.path(), &room, Arc::new(SystemDisk)).unwrap();
    let mut number = 0;
    while life.keep(number).is_ok() {
        number += 1;
    }
    let part = part(2, 0, BYTES);
    let payload = payload_of("quiet", &urgent.ledger, Codec::None, &[part]);
    let refused = urgent.end.keep(payload).unwrap_err();
    let released = make_room(&mut urgent, "quiet", BYTES);
    assert!(!released.is_empty() && released.iter().all(|(it, _)| **it == *"shop"));
    urgent.end.keep(refused.payload).unwrap();
    urgent.end.flush(far_deadline()).unwrap();
    life.end.flush(far_deadline()).unwrap();
    life.drain_all().unwrap();
    assert_eq!(assert_tiled(dir.path(), number, ""), sum(released));
    assert_eq!(urgent.store.stats()[0].owed, 1);
}

#[test]
fn several_contexts_in_one_payload_have_a_gap_each() {
    let dir = tempdir().unwrap();
    let mut life = life(dir.path(), Arc::new(SystemDisk));
    let mut released = 0;
    for number in 0..MANY {
        let [begin, end] = [number * BYTES, (number + 1) * BYTES];
        let parts = [part(1, begin, end), part(7, 2 * begin, 2 * end)];
        while life.end.keep(payload(&life.ledger, Codec::None, &parts)).is_err() {
            released += sum(make_room(&mut life, "shop", 5 * BYTES));
        }
    }
    life.end.flush(far_deadline()).unwrap();
    drop(life);
    let mut life = self::life(dir.path(), Arc::new(SystemDisk));
    life.drain_all().unwrap();
    let missing = assert_tiled(dir.path(), MANY, "");
    assert_eq!(released, 3 * missing);
    assert_eq!(arrived(dir.path(), 7)[0], (Span::new(0, 2 * missing), Some(GapReason::SpoolFull)));
}

#[test]
fn what_becomes_of_gaps_over_a_death_at_any_moment() {
    // Kept, given to the sink after that, and noted, by then.
    for kept in (10..MANY).step_by(5) {
        for given in 0..4 {
            for is_noted in [false, true] {
                let dir = tempdir().unwrap();
                let mut life = life(dir.path(), Arc::new(SystemDisk));
                let _: u64 = (0..kept).map(|it| press(&mut life, it)).sum();
                life.end.flush(far_deadline()).unwrap();
                (0..given).for_each(|_| assert!(life.drain_one()));
                if is_noted {
                    life.note().unwrap();
                }
                let _: u64 = (kept..kept + 6).map(|it| press(&mut life, it)).sum();
                life.end.flush(far_deadline()).unwrap();
                drop(life);
                let mut life = whole(dir.path());
                assert_eq!(life.resume(), kept + 6);
                life.drain_all().unwrap();
                let told = format!("{kept} kept, {given} given, noted: {is_noted}");
                assert_tiled(dir.path(), kept + 6, &told);
            }
        }
    }
}

/// Keeps all, in the face of one fault, and drains it; begins anew whenever something breaks.
fn press_and_drain(dir: &Path, fault: Option<(u64, Fault)>) -> u64 {
    let faulty = OneFault::new(fault);
    for number in 0..4 {
        let disk = if number == 0 { Arc::clone(&faulty) } else { OneFault::new(None) };
        let room = SpoolRoom::new(1 << 20, ROOM / 2);
        let Some(mut life) = Life::begin(dir, &room, disk) else { continue };
        let (mut next, mut tries) = (life.resume(), 0);
        while next < FEW && tries < 4 {
            let kept = life.keep(next).is_ok() || {
                let made = life.end.make_room("shop", 2 * BYTES, &mut Vec::new());
                made.is_ok() && life.keep(next).is_ok()
            };
            (next, tries) = if kept { (next + 1, 0) } else { (next, tries + 1) };
        }
        let is_safe = life.end.flush(far_deadline()).is_ok();
        if next == FEW && is_safe && life.drain_all().is_ok() {
            return faulty.steps();
        }
    }
    panic!("it never ends");
}

#[test]
fn every_step_of_a_release_may_fail_or_be_the_last() {
    let clean = tempdir().unwrap();
    let steps = press_and_drain(clean.path(), None);
    assert!(steps > 50, "{steps} steps");
    for fault in all_faults() {
        for step in 0..steps {
            let dir = tempdir().unwrap();
            press_and_drain(dir.path(), Some((step, fault)));
            assert_tiled(dir.path(), FEW, &format!("{fault:?} at step {step} of {steps}"));
        }
    }
}

#[test]
fn what_is_let_go_before_a_release_fails_is_told() {
    let fill = |disk: Arc<OneFault>, dir: &Path| {
        let mut life = life(dir, disk);
        let kept = (0..MANY).take_while(|it| life.keep(*it).is_ok()).count() as u64;
        (life, kept)
    };
    let room = |life: &mut Life, released: &mut Vec<Released>| {
        life.end.make_room("shop", ROOM / 2, released)
    };
    let (clean, faultless) = (tempdir().unwrap(), OneFault::new(None));
    let (mut life, _) = fill(Arc::clone(&faultless), clean.path());
    let (first, mut released) = (faultless.steps(), Vec::new());
    room(&mut life, &mut released).unwrap();
    assert!(released.len() > 2, "{released:?}");
    let mut failed_behind_a_release = 0;
    for step in first..faultless.steps() {
        let dir = tempdir().unwrap();
        let (mut life, kept) = fill(OneFault::new(Some((step, Fault::Fails(ENOSPC)))), dir.path());
        let mut released = Vec::new();
        match room(&mut life, &mut released) {
            Ok(()) => {}
            // Of a failed sync nothing is known: the plane starts anew.
            Err(SinkError::Broken(_)) => continue,
            Err(_) => failed_behind_a_release += usize::from(!released.is_empty()),
        }
        life.end.flush(far_deadline()).unwrap();
        life.drain_all().unwrap();
        let told = format!("step {step}");
        assert_eq!(assert_tiled(dir.path(), kept, &told), sum(released), "{told}");
    }
    assert!(failed_behind_a_release > 2, "{failed_behind_a_release} steps");
}
