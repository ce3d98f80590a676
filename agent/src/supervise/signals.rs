//! Signals: what the system may tell the agent.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Sent when a file would outgrow RLIMIT_FSIZE (signal(7), all Linux architectures but mips).
const SIGXFSZ: i32 = 25;

/// What the system may tell the agent.
#[derive(Debug)]
pub(crate) struct Signals {
    pub(super) terminate: Signal,
    pub(super) interrupt: Signal,
    /// Look at the configuration now.
    pub(super) hangup: Signal,
    /// Heard and ignored: a limit on file sizes is an error of a write, to be retried, and no
    /// reason to die.
    _file_size: Signal,
}

impl Signals {
    /// Hears signals from now on; within a tokio runtime.
    pub(crate) fn listen() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            _file_size: signal(SignalKind::from_raw(SIGXFSZ))?,
        })
    }

    /// Returns once one of them says stop.
    pub(super) async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
