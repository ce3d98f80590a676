//! Broker: one process of Apache Kafka, at its ports and in its folder, however often it is started.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::home::Home;
use crate::properties;
use crate::proxy::Proxy;
use test_kit::{Deadline, wait_until};

/// Longest wait for a broker to be ready, or to end when asked to. It takes a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// What a broker logs when it takes requests and is known to its controller.
const READY: &str = "Kafka Server started";
/// Lines of a broker's log that an error shows.
const LOG_LINES_SHOWN: usize = 15;

/// A broker, running or not.
#[derive(Debug)]
pub struct Broker {
    node: u32,
    home: Home,
    folder: PathBuf,
    proxy: Proxy,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    properties: BTreeMap<String, String>,
    process: Option<Child>,
    starts: u32,
}

impl Broker {
    pub(crate) fn new(
        node: u32,
        home: Home,
        folder: PathBuf,
        proxy: Proxy,
        properties: BTreeMap<String, String>,
    ) -> Broker {
        let state = Mutex::new(State { properties, process: None, starts: 0 });
        Broker { node, home, folder, proxy, state }
    }

    /// Its number, from 1.
    #[must_use]
    pub fn node(&self) -> u32 {
        self.node
    }

    /// What stands before its listener [`crate::Listener::Proxied`].
    #[must_use]
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Where its logs lie: a folder `TOPIC-PARTITION` for each partition.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What it printed since it was last started.
    ///
    /// # Errors
    ///
    /// If it was never started.
    pub fn log(&self) -> Result<String> {
        let path = self.log_file(self.lock().starts);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// Sets a property that holds from the next start on.
    pub fn set(&self, key: &str, value: &str) {
        self.lock().properties.insert(key.to_owned(), value.to_owned());
    }

    /// Prepares its folder, and gives each of `users` its SCRAM passwords.
    pub(crate) fn format(&self, cluster: &str, scram: &[String]) -> Result<()> {
        let file = self.write_properties(&self.lock())?;
        let file = file.display().to_string();
        let mut arguments = vec!["format", "--cluster-id", cluster, "--config", &file];
        for credential in scram {
            arguments.extend(["--add-scram", credential]);
        }
        self.home.tool("kafka.tools.StorageTool", &arguments, PATIENCE).map(drop)
    }

    /// Starts it, and returns when it is ready.
    ///
    /// # Errors
    ///
    /// If it runs already, or does not come up; with the end of its log. More than half of a
    /// cluster's brokers must be up for one to come up.
    pub fn start(&self) -> Result<()> {
        self.launch()?;
        self.wait_ready()
    }

    /// Starts it, and does not wait.
    ///
    /// # Errors
    ///
    /// If it runs already, or there is no Java.
    pub fn launch(&self) -> Result<()> {
        let mut state = self.lock();
        ensure!(state.process.is_none(), "broker {}: it runs already", self.node);
        let file = self.write_properties(&state)?;
        state.starts += 1;
        let log = File::create(self.log_file(state.starts))?;
        let command = self.home.broker(&file);
        state.process =
            Some(test_kit::start(&command, Stdio::from(log.try_clone()?), Stdio::from(log))?);
        Ok(())
    }

    /// Waits until it takes requests.
    ///
    /// # Errors
    ///
    /// With the end of its log, if it ends or does not come up.
    pub fn wait_ready(&self) -> Result<()> {
        let deadline = Deadline::after(PATIENCE);
        let ready = wait_until("start of a broker", PATIENCE, || {
            let log = self.log()?;
            if log.contains(READY) {
                return Ok(true);
            }
            if let Some(process) = &mut self.lock().process
                && process.try_wait()?.is_some()
            {
                return Ok(false);
            }
            bail!("its log does not say {READY:?}, {:?} before the end", deadline.left());
        });
        if let Ok(true) = ready {
            return Ok(());
        }
        let log = self.log()?;
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n");
        bail!("broker {}: did not come up; the end of its log:\n{end}", self.node);
    }

    /// Kills it (SIGKILL).
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn kill(&self) -> Result<()> {
        let mut process = self.take()?;
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits for that: it hands its partitions over before.
    ///
    /// # Errors
    ///
    /// If it does not run, or does not end; then it was killed.
    pub fn stop(&self) -> Result<()> {
        let mut process = self.take()?;
        kill_process(Pid::from_child(&process), Signal::TERM)?;
        let ended = wait_until("end of a broker", PATIENCE, || {
            process.try_wait()?.context("it still runs").map(drop)
        });
        if ended.is_err() {
            process.kill()?;
            process.wait()?;
        }
        ended
    }

    /// Stops it where it is (SIGSTOP): its connections stay, and nothing is answered.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after [`Broker::pause`] (SIGCONT).
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Whether there is a process, paused or not.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.lock().process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// The number of its process.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn process(&self) -> Result<u32> {
        let state = self.lock();
        Ok(state.process.as_ref().context("it does not run")?.id())
    }

    /// Its memory in RAM, in bytes.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process()?))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib << 10)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let state = self.lock();
        let process = state.process.as_ref().context("it does not run")?;
        Ok(kill_process(Pid::from_child(process), signal)?)
    }

    fn take(&self) -> Result<Child> {
        self.lock().process.take().with_context(|| format!("broker {}: it does not run", self.node))
    }

    /// A test that failed while it held the lock left nothing half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_file(&self, start: u32) -> PathBuf {
        self.folder.join(format!("start-{start}.log"))
    }

    fn write_properties(&self, state: &State) -> Result<PathBuf> {
        let file: &Path = &self.folder.join("server.properties");
        fs::write(file, properties::text(&state.properties))?;
        Ok(file.to_path_buf())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.is_running()
            && let Err(error) = self.kill()
        {
            eprintln!("broker {}: not killed: {error:#}", self.node);
        }
    }
}
