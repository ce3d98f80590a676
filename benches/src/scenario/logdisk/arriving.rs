//! Arriving: from each write to the moment when its line is where the agent reads.

use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{anyhow, ensure};

use super::super::isolation::latency::{Mark, latencies, quantile};
use super::LINE_BYTES;
use super::writing::append_to;
use crate::clocks::{SECOND_NS, monotonic_ns};
use crate::log_disk::LogDisk;

/// Lines.
const LINES: u64 = 15_000;
/// Bytes of them all.
const ALL_BYTES: u64 = LINES * LINE_BYTES as u64;
/// Time between two of them.
const STEP_NS: u64 = 200_000;
/// Time between two looks: what a look misses is as much too much.
const LOOK: Duration = Duration::from_micros(200);
/// What was written has to arrive so long after the first line.
const PATIENCE_NS: u64 = 60 * SECOND_NS;

/// How long most lines take, in nanoseconds.
pub(super) fn p99_ns(disk: &LogDisk) -> anyhow::Result<Option<u64>> {
    let written = AtomicU64::new(0);
    let mut file = append_to(&disk.target().join("paced.log"))?;
    let seen = disk.logs().join("paced.log");
    let begin_ns = monotonic_ns();
    let (marks, arrived) = thread::scope(|scope| {
        let writer = scope.spawn(|| -> anyhow::Result<Vec<Mark>> {
            let mut line = vec![b'x'; LINE_BYTES - 1];
            line.push(b'\n');
            let mut marks = Vec::new();
            for number in 1..=LINES {
                wait_for(begin_ns + number * STEP_NS);
                file.write_all(&line)?;
                let bytes = number * LINE_BYTES as u64;
                marks.push(Mark { at_ns: monotonic_ns(), bytes });
                written.store(bytes, Ordering::Release);
            }
            Ok(marks)
        });
        let mut arrived = Vec::new();
        let mut bytes = 0;
        while bytes < ALL_BYTES {
            let now = fs::metadata(&seen).map_or(0, |it| it.len());
            let at_ns = monotonic_ns();
            if now > bytes {
                arrived.push(Mark { at_ns, bytes: now });
                bytes = now;
            }
            let is_dead = writer.is_finished() && written.load(Ordering::Acquire) < ALL_BYTES;
            ensure!(!is_dead && at_ns - begin_ns < PATIENCE_NS, "{bytes} bytes arrived");
            thread::sleep(LOOK);
        }
        let marks = writer.join().map_err(|_| anyhow!("the writer panicked"))??;
        anyhow::Ok((marks, arrived))
    })?;
    Ok(quantile(&latencies(&marks, &arrived), 0.99))
}

/// Sleeps until then.
pub(super) fn wait_for(at_ns: u64) {
    let left_ns = at_ns.saturating_sub(monotonic_ns());
    if left_ns > 0 {
        thread::sleep(Duration::from_nanos(left_ns));
    }
}
