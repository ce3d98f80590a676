//! Supervised: the process that keeps one volume mounted (`logdisk mount`), seen from the driver.
//!
//! It ends with the driver, and what it had goes to the holder until the next driver starts another in its place.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use flow::{Clock, SystemClock, nanoseconds};
use rustix::process::{Pid, Signal, kill_process};
use tonic::Status;

use crate::mounting::{self, FUSE_TYPE};

/// Longest that a mount may take.
const START: Duration = Duration::from_secs(20);
/// Longest that its end may take: applications that are still there have a moment of it.
const END: Duration = Duration::from_secs(10);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// A supervisor that was started.
#[derive(Debug)]
pub(super) struct Supervised {
    process: Child,
    /// It said that applications can write. That something is mounted says nothing: it may be dead, and about to be replaced.
    is_ready: bool,
    /// When it was started.
    pub(super) since_ns: u64,
}

impl Supervised {
    /// Starts one; to be called by a thread that lives as long as the driver.
    pub(super) fn start(arguments: &[OsString]) -> io::Result<Supervised> {
        let mut command = Command::new(std::env::current_exe()?);
        // Ctrl-C is for the driver.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.arg("mount").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let process = command.spawn()?;
        if let Some(output) = &process.stdout {
            rustix::io::ioctl_fionbio(output, true)?;
        }
        Ok(Supervised { process, is_ready: false, since_ns: SystemClock.monotonic_ns() })
    }

    /// Whether applications can write.
    pub(super) fn is_ready(&mut self) -> bool {
        if let Some(output) = self.process.stdout.as_mut().filter(|_| !self.is_ready) {
            self.is_ready = output.read(&mut [0; 16]).is_ok_and(|count| count > 0);
        }
        self.is_ready && self.ended().is_none()
    }

    /// Its status, if it has ended.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Waits until applications can write at `target`.
    pub(super) async fn mounted(&mut self, target: &Path) -> Result<(), Status> {
        let deadline_ns = self.since_ns + nanoseconds(START);
        loop {
            if let Some(status) = self.ended() {
                return Err(Status::internal(format!(
                    "{}: cannot be mounted ({status}); the driver's log says why",
                    target.display()
                )));
            }
            if self.is_ready() {
                return Ok(());
            }
            if SystemClock.monotonic_ns() > deadline_ns {
                return Err(Status::deadline_exceeded(format!(
                    "{}: not mounted within {} s; the driver's log says why",
                    target.display(),
                    START.as_secs()
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends the mount, and returns when nothing is mounted any more.
    pub(super) async fn stop(mut self) {
        if self.ended().is_none()
            && let Err(error) = kill_process(Pid::from_child(&self.process), Signal::TERM)
        {
            tracing::error!(%error, "a supervisor cannot be told to end");
        }
        let deadline_ns = SystemClock.monotonic_ns() + nanoseconds(END);
        while self.ended().is_none() {
            if SystemClock.monotonic_ns() > deadline_ns {
                tracing::error!("a supervisor does not end; killing it");
                drop(self.process.kill());
                drop(self.process.wait());
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Whether a log disk is mounted there; nothing behind the path is asked.
pub(super) fn is_mounted(target: &Path) -> io::Result<bool> {
    let mounts = match mounting::resolve(target) {
        Ok(target) => mounting::mounted_at(&target)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(mounts.iter().any(|it| it.kind == FUSE_TYPE))
}
