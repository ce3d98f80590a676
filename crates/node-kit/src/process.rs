//! Process: a program that is killed and started again, each time with a log of its own.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use test_kit::wait_until;

/// Longest wait for a program to be ready, or to end when asked to: some seconds on an idle machine, and for a kubelet more
/// than 90 on two cores with a load of 30.
const PATIENCE: Duration = Duration::from_secs(240);
/// Lines of a log that an error shows.
const LOG_LINES_SHOWN: usize = 15;

/// A program, running or not. It ends with this, or with our process, however that ends.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    logs: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    child: Option<Child>,
    starts: u32,
}

impl Process {
    /// One that is not started yet, with its logs in `logs`.
    pub(crate) fn new(name: &'static str, logs: PathBuf) -> Process {
        Process { name, logs, state: Mutex::default() }
    }

    /// Starts it, and returns once `look` finds it ready.
    ///
    /// # Errors
    ///
    /// If it runs already, is not there, or does not get ready; with the end of its log.
    pub(crate) fn start(
        &self,
        command: &Command,
        mut look: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let mut state = self.lock();
        ensure!(state.child.is_none(), "{}: it runs already", self.name);
        state.starts += 1;
        let log = File::create(self.log_file(state.starts))?;
        let started = test_kit::start(command, Stdio::from(log.try_clone()?), Stdio::from(log));
        state.child = Some(started.with_context(|| self.name)?);
        drop(state);
        let ready = wait_until("start", PATIENCE, || match self.ended()? {
            Some(how) => Ok(Err(how)),
            None => look().map(Ok),
        });
        let why = match ready {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(how)) => how,
            Err(error) => format!("{error:#}"),
        };
        // A kubelet says so ten times a second, and why before.
        let log = self.end_of_log(|line| !line.contains("Error getting the current node"));
        bail!("{}: {why}; the end of its log:\n{log}", self.name);
    }

    /// Kills it (SIGKILL).
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub(crate) fn kill(&self) -> Result<()> {
        let mut child = self.take()?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Asks it to end (SIGTERM), and waits for that.
    ///
    /// # Errors
    ///
    /// If it does not run, or does not end; then it was killed.
    pub(crate) fn stop(&self) -> Result<()> {
        let mut child = self.take()?;
        kill_process(Pid::from_child(&child), Signal::TERM)?;
        let ended =
            wait_until("end", PATIENCE, || child.try_wait()?.context("it still runs").map(drop));
        if ended.is_err() {
            child.kill()?;
            child.wait()?;
        }
        ended.with_context(|| self.name)
    }

    /// What it printed since it was last started.
    ///
    /// # Errors
    ///
    /// If it was never started.
    pub(crate) fn log(&self) -> Result<String> {
        let path = self.log_file(self.lock().starts);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// The last of those lines of its log that are `wanted`.
    pub(crate) fn end_of_log(&self, wanted: impl Fn(&str) -> bool) -> String {
        let log = self.log().unwrap_or_else(|error| format!("{error:#}"));
        let lines: Vec<&str> = log.lines().filter(|line| wanted(line)).collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }

    fn ended(&self) -> Result<Option<String>> {
        let mut state = self.lock();
        let child = state.child.as_mut().context("it was killed meanwhile")?;
        Ok(child.try_wait()?.map(|status| format!("it ended: {status}")))
    }

    fn take(&self) -> Result<Child> {
        self.lock().child.take().with_context(|| format!("{}: it does not run", self.name))
    }

    /// A test that failed while it held the lock left nothing half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_file(&self, start: u32) -> PathBuf {
        self.logs.join(format!("{}-{start}.log", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended, or was never started, is no failure.
        drop(self.kill());
    }
}
