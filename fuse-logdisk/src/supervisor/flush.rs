//! Flush: has the kernel hand over what applications wrote into the page cache, every few milliseconds.
//!
//! Left alone, it would wait for seconds. This uses the own mount, and so hangs when nobody answers: it has a thread of
//! its own, in a process that answers nothing.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use flow::{Clock, SystemClock};

/// A flush that took longer than this had something to do, in nanoseconds.
const BUSY_NS: u64 = 100_000;
/// Idle, it is asked so many times less often, step by step.
const IDLE_PERIODS_MAX: u32 = 5;

/// The thread; told to end when dropped, which waits for nothing.
#[derive(Debug)]
pub(super) struct Flusher {
    is_over: Arc<AtomicBool>,
}

impl Flusher {
    pub(super) fn start(target: &Path, period: Duration) -> io::Result<Flusher> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (target, ours) = (target.to_path_buf(), Arc::clone(&is_over));
        thread::Builder::new().name("ld-flush".to_owned()).spawn(move || {
            if let Err(error) = run(&target, period, &ours) {
                tracing::error!(%error, "what applications write is handed over late from now on");
            }
        })?;
        Ok(Flusher { is_over })
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
    }
}

fn run(target: &Path, period: Duration, is_over: &AtomicBool) -> io::Result<()> {
    let top = File::open(target)?;
    let mut periods = 1;
    loop {
        thread::sleep(period * periods);
        if is_over.load(Ordering::Acquire) {
            return Ok(());
        }
        let begin_ns = SystemClock.monotonic_ns();
        match rustix::fs::syncfs(&top) {
            // Somebody else's write failed for want of room, and is told so.
            Ok(()) | Err(rustix::io::Errno::NOSPC | rustix::io::Errno::IO) => {}
            Err(_) if is_over.load(Ordering::Acquire) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let is_busy = SystemClock.monotonic_ns() - begin_ns > BUSY_NS;
        periods = if is_busy { 1 } else { (periods + 1).min(IDLE_PERIODS_MAX) };
    }
}
