//! Chaos: the real agent, real files and real disks under random schedules.
//!
//! Files, containers' logs and links are written, rotated in all the ways there are, compressed, removed and
//! cut; the agent is killed, stopped and configured anew, has few descriptors and little memory; disks are full and lose their power.
//! Afterwards the queues alone must hold every line once and in order, and declare what was destroyed
//! after the agent had seen it; see docs/PROOF.md for the exact rule.
//!
//! Some deliver to a real Kafka, which is killed, stopped and cut off, and whose own consumer tells what came:
//! one in twenty, or all with `CHAOS_KAFKA=all`, or none with `CHAOS_KAFKA=none`.
//!
//! `CHAOS_SCHEDULES` of them, from the seed `CHAOS_SEED` on, one of each kind in turn; a schedule follows
//! from its seed but for the times that the machine takes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::kit::{now_ns, sleep_ms, wait_for};

mod broker;
mod cage;
mod check;
mod destroy;
mod dice;
mod disk;
mod node;
mod plan;
mod power;
mod rotator;
mod schedule;
mod stream;
mod truth;

pub(crate) use cage::Cage;
use check::Outcome;
use schedule::Schedule;

/// Schedules of an ordinary test run: less than two minutes on two cores.
const SCHEDULES: u64 = 300;
/// Schedules at the same time: more than cores, since they wait most of their time.
const AT_ONCE: usize = 8;

/// What was done in all schedules, for the last line.
#[derive(Debug, Default)]
struct Totals {
    lines: AtomicU64,
    kills: AtomicU64,
    /// What befell the broker.
    strikes: AtomicU64,
    power_cuts: AtomicU64,
    power_cuts_of_logs: AtomicU64,
    destroyed: AtomicU64,
    /// … of which the agent had seen all.
    seen: AtomicU64,
    /// Lines that are not in the queue: all of destroyed files.
    missing: AtomicU64,
    /// … and had to be declared.
    owed: AtomicU64,
    gaps: AtomicU64,
    gaps_without_length: AtomicU64,
    /// Holes that were declared.
    holes: AtomicU64,
    /// Files that were seen and closed unread, and then removed.
    closed: AtomicU64,
    again: AtomicU64,
    limited: AtomicU64,
    /// Schedules whose queue is Kafka.
    with_kafka: AtomicU64,
}

impl Totals {
    fn count(&self, outcome: Outcome) {
        let add = |sum: &AtomicU64, count| sum.fetch_add(count, Ordering::Relaxed);
        add(&self.missing, outcome.missing);
        add(&self.owed, outcome.owed);
        add(&self.gaps, outcome.gaps);
        add(&self.gaps_without_length, outcome.unsized_gaps);
        add(&self.again, outcome.again);
        add(&self.holes, outcome.holes);
    }
}

fn count(sum: &AtomicU64) {
    sum.fetch_add(1, Ordering::Relaxed);
}

/// Whether all was as it must be.
fn run(seed: u64, totals: &Totals) -> bool {
    let mut schedule = Schedule::new(seed, totals);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        schedule.run();
        schedule.check();
    }));
    if outcome.is_err() {
        schedule.tell(seed);
    }
    outcome.is_ok()
}

#[test]
fn chaos_loses_and_doubles_nothing_and_declares_what_is_gone() {
    let number = |name: &str| std::env::var(name).ok().and_then(|it| it.parse::<u64>().ok());
    let (seed, count) = (number("CHAOS_SEED").unwrap_or(1), number("CHAOS_SCHEDULES"));
    let end = seed + count.unwrap_or(SCHEDULES);
    let (next, totals) = (AtomicU64::new(seed), Totals::default());
    let failed = Mutex::new(Vec::new());
    let begun_ns = now_ns();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    if !run(seed, &totals) {
                        failed.lock().expect("nobody fails with it").push(seed);
                    }
                }
            });
        }
    });
    let seconds = (now_ns() - begun_ns) / 1_000_000_000;
    let schedules = end - seed;
    let failed = failed.into_inner().expect("nobody fails with it");
    let told = format!("chaos: {schedules} schedules from seed {seed} on, {seconds} s, failed");
    assert!(
        failed.is_empty(),
        "{told} CHAOS_SCHEDULES=1 with CHAOS_SEED each of {failed:?}: {totals:?}"
    );
    eprintln!("{told} none: {totals:?}");
}
