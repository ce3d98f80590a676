//! What must hold of the structures that threads share, in every order in which threads can meet.
//!
//! The loops of reader and shipper around them are not in the model, as they are the whole data plane:
//! what they do with these structures is repeated here in a few lines, as `plane/threads.rs`,
//! `reader.rs` and `shipper.rs` have it.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

mod budget;
mod buffers;
mod counts;
mod doorbell;
mod lanes;
mod limits;
mod queue;
mod tickets;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::sync::thread::{self, JoinHandle};

/// Steps of one order at most: more would be a loop without an end.
const STEPS_MAX: usize = 20_000;

/// Runs `body` in every order of its threads' steps.
fn in_every_order(body: impl Fn() + Send + Sync + 'static) {
    explore(None, body);
}

/// Runs `body` in every order in which threads are interrupted at most `interruptions` times where they
/// could go on. What they must wait for does not count.
fn in_orders_with(interruptions: usize, body: impl Fn() + Send + Sync + 'static) {
    explore(Some(interruptions), body);
}

fn explore(interruptions: Option<usize>, body: impl Fn() + Send + Sync + 'static) {
    let orders = Arc::new(AtomicU64::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = interruptions;
    builder.max_branches = STEPS_MAX;
    let (body, count) = (Arc::new(body), Arc::clone(&orders));
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        let body = Arc::clone(&body);
        // On a thread of its own, which has the larger stack.
        thread::spawn(move || body()).join().expect("a panic ends the whole model");
    });
    let orders = orders.load(Ordering::Relaxed);
    println!("{orders} orders");
    assert!(orders > 1, "the threads of this model never meet");
}

/// Waits for all threads to end.
fn join_all<T, const COUNT: usize>(threads: [JoinHandle<T>; COUNT]) -> [T; COUNT] {
    threads.map(|thread| thread.join().expect("a panic ends the whole model"))
}
