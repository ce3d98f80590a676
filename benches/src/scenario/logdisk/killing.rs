//! Killing: the daemon, again and again, under a writer that must not notice.

use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::anyhow;

use super::arriving::wait_for;
use super::writing::{append_to, wait_for_bytes};
use crate::clocks::monotonic_ns;
use crate::log_disk::LogDisk;

/// How often the daemon is killed.
pub(super) const KILLS: u32 = 20;
/// Time between two kills.
const PAUSE: Duration = Duration::from_millis(100);
/// Time between two lines.
const STEP_NS: u64 = 500_000;

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Killed {
    /// Lines that did not arrive, or not in their place.
    pub(super) lost: usize,
    /// The longest that a write took.
    pub(super) worst_ns: u64,
}

pub(super) fn kill(disk: &LogDisk) -> anyhow::Result<Killed> {
    let is_over = AtomicBool::new(false);
    let mut file = append_to(&disk.target().join("killed.log"))?;
    let (lines, worst_ns) = thread::scope(|scope| {
        let writer = scope.spawn(|| -> anyhow::Result<(Vec<String>, u64)> {
            let (mut lines, mut worst_ns) = (Vec::new(), 0);
            let mut next_ns = monotonic_ns();
            while !is_over.load(Ordering::Acquire) {
                wait_for(next_ns);
                next_ns += STEP_NS;
                let line = format!("line {:010} of a writer that must not notice\n", lines.len());
                let begin_ns = monotonic_ns();
                file.write_all(line.as_bytes())?;
                worst_ns = worst_ns.max(monotonic_ns() - begin_ns);
                lines.push(line);
            }
            Ok((lines, worst_ns))
        });
        let killed = (0..KILLS).try_for_each(|_| {
            thread::sleep(PAUSE);
            disk.kill_daemon()
        });
        is_over.store(true, Ordering::Release);
        let written = writer.join().map_err(|_| anyhow!("the writer panicked"))??;
        killed.map(|()| written)
    })?;
    let log = disk.logs().join("killed.log");
    wait_for_bytes(&log, lines.iter().map(|it| it.len() as u64).sum())?;
    let arrived = fs::read_to_string(&log)?;
    let mut arrived = arrived.split_inclusive('\n');
    let lost = lines.iter().filter(|it| arrived.next() != Some(it)).count();
    Ok(Killed { lost, worst_ns })
}
