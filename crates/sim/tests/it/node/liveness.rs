//! Liveness: how soon a node has caught up, once the last fault is over (I7).
//!
//! Lag must be zero within 1.5 × backlog / peak rate. Here the peak rate is what a node without any fault
//! brings from the file to its acknowledgement in a round, in which each stage has a turn ([`peak`]); the
//! backlog is what is acknowledged until the lag is zero. To it come the rounds that a generation takes
//! whatever its length, and the pauses that have names: they are slept through, and are no rounds.

use std::path::Path;
use std::sync::OnceLock;

use pipeline::frame::Format;
use pipeline::shipper::Shipper;
use sim::World;

use super::{Limits, Node, Plan, Queue, STAGES, Stage, directory};
use crate::bed::{CHUNK_BYTES, FLUSH_NS};

/// How much longer than at the peak rate it may take.
const FACTOR: f64 = 1.5;
/// Rounds of a start: the first scan, its news, the first look and what comes of it.
const ROUNDS_OF_START: u64 = 8;
/// Rounds of a generation, whatever its length: what is behind it is read in a turn of its own.
const ROUNDS_OF_GENERATION: u64 = 1;
/// Pieces that are refused one after the other: of the longest line, at the smallest limit.
const PAUSES: u64 = 64;
/// Longest pause before a file that could not be read is tried again (`source.rs`).
const BACK_OFF_MAX_NS: u64 = 5_000_000_000;
/// How long a copy of what was cut may turn up (`source/carrier.rs`): for all generations at once.
const COPY_NS: u64 = 2_000_000_000;
/// How far apart scans are.
const SCAN_NS: u64 = 1_000_000_000;
/// The backlog that the peak rate is measured with, in chunks.
const PEAK_CHUNKS: usize = 64;

/// How long it took.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    /// Rounds in which there was something to do.
    rounds: u64,
    waited_ns: u64,
}

/// Bytes that a node without any fault brings from file to acknowledgement in a round.
fn peak() -> f64 {
    static PEAK: OnceLock<f64> = OnceLock::new();
    *PEAK.get_or_init(|| {
        let limits = Limits { open_files_max: 2, pinned_bytes_max: u64::MAX };
        let mut node = Node::new(Format::Plain, Plan::of_two(limits), None);
        let (world, folder) = (node.worlds[0].clone(), directory(0));
        world.make_directory(&folder);
        let writer = world.open_writer(&folder.join(Path::new("a.log"))).expect("a folder");
        writer.append(
            &b"one line of the backlog that the peak rate is measured with\n"
                .repeat(PEAK_CHUNKS * CHUNK_BYTES / 60),
        );
        let mut taken = Taken::default();
        while !node.has_caught_up() {
            node.step(&mut taken).expect("nothing fails");
        }
        let bytes = node.accounted();
        assert!(bytes > 0, "it was measured before anything was read");
        precise(bytes) / precise(taken.rounds)
    })
}

impl Node {
    /// Ticks everything until the lag is zero.
    ///
    /// # Errors
    /// If that takes too long, or something else is wrong.
    pub(super) fn catch_up(&mut self) -> Result<(), String> {
        let before = self.accounted();
        let lives = |it: &World| it.files().iter().map(|it| it.lives.len() as u64).sum::<u64>();
        let generations: u64 = self.worlds.iter().map(lives).sum();
        // A line that never ends is waited for in each generation.
        let wait_max_ns = BACK_OFF_MAX_NS + COPY_NS + generations * FLUSH_NS;
        // What Kafka refused is asked for all the time until its pause is over.
        // What is too large is refused, and pauses, once for each piece that it is divided into.
        let paused = PAUSES * self.queues[0].pause_max_ns() / self.queues[0].round_ns();
        let fixed = ROUNDS_OF_START + generations * ROUNDS_OF_GENERATION + paused;
        let mut taken = Taken::default();
        while !self.has_caught_up() {
            self.step(&mut taken)?;
            let backlog = self.accounted().saturating_sub(before);
            let rounds_max = FACTOR * precise(backlog) / peak() + precise(fixed);
            if precise(taken.rounds) > rounds_max || taken.waited_ns > wait_max_ns {
                return Err(format!(
                    "I7: {taken:?}, and not caught up: {backlog} bytes of {generations} generations at \
                     {:.0} bytes a round",
                    peak()
                ));
            }
        }
        Ok(())
    }

    /// A round; where nobody has anything to do in it, time passes until somebody has.
    fn step(&mut self, taken: &mut Taken) -> Result<(), String> {
        if self.round()? {
            taken.rounds += 1;
            self.clock.advance(self.queues[0].round_ns());
            return Ok(());
        }
        let now_ns = self.clock.now_ns();
        let due_ns = self.due_ns().unwrap_or(u64::MAX);
        let pause_ns = due_ns.saturating_sub(now_ns).clamp(self.queues[0].round_ns(), SCAN_NS);
        taken.waited_ns += pause_ns;
        self.clock.advance(pause_ns);
        Ok(())
    }

    /// Each stage has a turn; returns whether there is more to do.
    pub(super) fn round(&mut self) -> Result<bool, String> {
        if self.plane.is_some() {
            self.queues.iter().for_each(Queue::settle_all);
        }
        let mut is_busy = false;
        for stage in STAGES {
            is_busy |= self.tick(stage);
        }
        self.look()?;
        Ok(is_busy)
    }

    /// Whether all that is known of is read and acknowledged, and what is known is not older than this call.
    fn has_caught_up(&mut self) -> bool {
        if self.plane.is_none() {
            return false;
        }
        self.tick(Stage::Discovery);
        self.tick(Stage::Reader);
        let meters = self.meter.tenants();
        let is_acked = meters.iter().all(|(_, it)| it.oldest_unacked_ns().is_none());
        let is_read = meters.iter().all(|(_, it)| it.lag_bytes.get() == 0);
        let is_empty = |plane: &super::Plane| plane.shippers.iter().all(Shipper::is_empty);
        is_read && is_acked && self.plane.as_ref().is_some_and(is_empty)
    }

    /// Bytes that were delivered or declared, ever.
    fn accounted(&self) -> u64 {
        self.meter.tenants().iter().map(|(_, it)| it.accounted_bytes()).sum()
    }
}

/// As a number to calculate with.
fn precise(number: u64) -> f64 {
    f64::from(u32::try_from(number).expect("schedules are short"))
}
