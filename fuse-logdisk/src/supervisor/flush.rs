//! Flush: has the kernel hand over what applications wrote into the page cache, every few milliseconds.
//!
//! Left alone, it would wait for seconds. This uses the own mount, and so hangs when nobody answers, and cannot be killed
//! then: it is a process of its own, which has nothing of the connection. One that had would keep it open when the
//! supervisor is killed, and applications would wait for ever.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use flow::{Clock, SystemClock};

/// A flush that took longer than this had something to do, in nanoseconds.
const BUSY_NS: u64 = 100_000;
/// Idle, it is asked so many times less often, step by step.
const IDLE_PERIODS_MAX: u32 = 5;
/// Pause before another is started after one that ended.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The process, and the thread that keeps it; told to end when dropped, which waits for nothing.
#[derive(Debug)]
pub(super) struct Flusher {
    line: Arc<Mutex<Line>>,
}

/// What ends the process when it is closed.
#[derive(Debug)]
enum Line {
    /// To the process, if one is there.
    Open(Option<ChildStdin>),
    Closed,
}

impl Flusher {
    /// Starts `command`, which is to call [`flush`], and starts it again whenever it ends.
    pub(super) fn start(command: &[OsString]) -> io::Result<Flusher> {
        let line = Arc::new(Mutex::new(Line::Open(None)));
        let (command, ours) = (command.to_vec(), Arc::clone(&line));
        thread::Builder::new().name("ld-flush".to_owned()).spawn(move || {
            if let Err(error) = keep(&command, &ours) {
                tracing::error!(%error, "what applications write is handed over late from now on");
            }
        })?;
        Ok(Flusher { line })
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = Line::Closed;
    }
}

fn keep(command: &[OsString], line: &Mutex<Line>) -> io::Result<()> {
    let is_open = || matches!(*line.lock().unwrap_or_else(PoisonError::into_inner), Line::Open(_));
    while is_open() {
        let mut child = spawn(command)?;
        if let Line::Open(pipe) = &mut *line.lock().unwrap_or_else(PoisonError::into_inner) {
            *pipe = child.stdin.take();
        }
        // If it was closed meanwhile, this closes the pipe.
        drop(child.stdin.take());
        let status = child.wait()?;
        if is_open() {
            tracing::warn!(%status, "nobody asks the page cache; starting another process");
            thread::sleep(RESTART_PAUSE);
        }
    }
    Ok(())
}

fn spawn(command: &[OsString]) -> io::Result<Child> {
    let [program, arguments @ ..] = command else { return Err(io::ErrorKind::InvalidInput.into()) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null());
    // Ctrl-C is for the supervisor.
    command.process_group(0).spawn()
}

/// Asks the page cache for what was written below `target`, until standard input is at its end; does not return then.
///
/// # Errors
/// If there is no such mount any more.
pub fn flush(target: &Path, period: Duration) -> io::Result<()> {
    thread::Builder::new().name("ld-line".to_owned()).spawn(|| {
        // Nothing is ever written to it.
        drop(io::stdin().read(&mut [0]));
        std::process::exit(0);
    })?;
    let top = File::open(target)?;
    let mut periods = 1;
    loop {
        thread::sleep(period * periods);
        let begin_ns = SystemClock.monotonic_ns();
        match rustix::fs::syncfs(&top) {
            // Somebody else's write failed for want of room, and is told so.
            Ok(()) | Err(rustix::io::Errno::NOSPC | rustix::io::Errno::IO) => {}
            Err(error) => return Err(error.into()),
        }
        let is_busy = SystemClock.monotonic_ns() - begin_ns > BUSY_NS;
        periods = if is_busy { 1 } else { (periods + 1).min(IDLE_PERIODS_MAX) };
    }
}
