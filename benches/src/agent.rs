//! Agent: the real `logferry` as a child process, and what it used until it ended.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::agent_config::{AgentConfig, InputConfig, OutputConfig};
use crate::clocks::{SECOND_NS, monotonic_ns};
use crate::exposition::{Exposition, fetch};
use crate::process::{Memory, cpu_ns, memory};

/// Metric that says how many bytes of the source the sink has acknowledged.
const DELIVERED_BYTES: &str = "logferry_delivered_bytes_total";
/// Metric that says how many bytes of the source are not read.
const LAG_BYTES: &str = "logferry_lag_bytes";
/// Metric that says how many records the sink has acknowledged.
const DELIVERED_RECORDS: &str = "logferry_delivered_records_total";

/// Shortest time between two looks at a delivery: fine enough for runs of a second.
const POLL_MIN: Duration = Duration::from_millis(10);
/// Longest: an answer takes half a millisecond of the agent's CPU, which is measured.
const POLL_MAX: Duration = Duration::from_millis(100);
/// Time between two looks at a process that is ending.
const END_POLL: Duration = Duration::from_millis(2);
/// A delivery that makes no progress for this long has failed.
const STALL_NS: u64 = 30 * SECOND_NS;
/// An agent that has not ended this long after SIGTERM has failed.
const END_NS: u64 = 60 * SECOND_NS;
/// Exit code of an agent that has not delivered all that it has read.
const BEHIND: i32 = 4;
/// Lines of the agent's log that an error shows.
const LOG_LINES: usize = 15;

/// A running agent; killed when dropped.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    metrics: SocketAddr,
    log: PathBuf,
    start_ns: u64,
    peak_bytes: u64,
}

/// What was delivered when a wait was over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delivery {
    /// Time since the agent's start, in nanoseconds.
    pub elapsed_ns: u64,
    /// Bytes of the source.
    pub bytes: u64,
    /// Records, if the agent counts them.
    pub records: Option<u64>,
}

/// What an agent used from start to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// CPU of the whole process, user and system, in nanoseconds.
    pub cpu_ns: u64,
    /// Highest resident memory seen.
    pub peak_bytes: u64,
}

/// Folders and command of one agent's run, below a scratch folder of its own.
#[derive(Debug, Clone)]
pub struct Bench {
    /// Path of the `logferry` binary.
    pub logferry: PathBuf,
    /// Folder for state, queue, configuration and log; emptied before each run.
    pub folder: PathBuf,
}

impl Bench {
    /// Folder that the embedded queue writes to.
    #[must_use]
    pub fn queue(&self) -> PathBuf {
        self.folder.join("queue")
    }

    /// The queue, or nowhere.
    #[must_use]
    pub fn output(&self, to_queue: bool) -> OutputConfig {
        if to_queue { OutputConfig::Queue(self.queue()) } else { OutputConfig::Blackhole }
    }

    /// The configuration for this input and output, as it would be started now.
    #[must_use]
    pub fn config(
        &self,
        input: InputConfig,
        output: OutputConfig,
        listen: SocketAddr,
    ) -> AgentConfig {
        AgentConfig { state: self.folder.join("state"), listen, input, output }
    }

    /// Starts an agent with nothing in its state and queue.
    ///
    /// # Errors
    /// If folders or process cannot be made.
    pub fn start(&self, input: &InputConfig, to_queue: bool) -> anyhow::Result<Agent> {
        self.start_into(input, self.output(to_queue))
    }

    /// Starts an agent that delivers to `output`, with nothing in its state and queue.
    ///
    /// # Errors
    /// If folders or process cannot be made.
    pub fn start_into(&self, input: &InputConfig, output: OutputConfig) -> anyhow::Result<Agent> {
        self.clear()?;
        self.start_again(input, output)
    }

    /// Starts an agent with what the last one left in its state and queue.
    ///
    /// # Errors
    /// If folders or process cannot be made.
    pub fn start_again(&self, input: &InputConfig, output: OutputConfig) -> anyhow::Result<Agent> {
        self.spawn(|listen| self.config(input.clone(), output, listen).to_yaml())
    }

    /// Starts an agent by the configuration that `yaml` makes for the address it listens at, with nothing in its
    /// state and queue.
    ///
    /// # Errors
    /// If folders or process cannot be made.
    pub fn start_by(&self, yaml: impl FnOnce(SocketAddr) -> String) -> anyhow::Result<Agent> {
        self.clear()?;
        self.spawn(yaml)
    }

    fn clear(&self) -> anyhow::Result<()> {
        if self.folder.try_exists()? {
            fs::remove_dir_all(&self.folder)?;
        }
        Ok(())
    }

    fn spawn(&self, yaml: impl FnOnce(SocketAddr) -> String) -> anyhow::Result<Agent> {
        for folder in [self.folder.join("state"), self.queue()] {
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        let metrics = free_address()?;
        let config = self.folder.join("logferry.yaml");
        fs::write(&config, yaml(metrics))?;
        let log = self.folder.join("logferry.log");
        let log_file = File::create(&log)?;
        let start_ns = monotonic_ns();
        let child = Command::new(&self.logferry)
            .args(["run", "-f"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log_file.try_clone()?)
            .stderr(log_file)
            .spawn()
            .with_context(|| format!("{}: cannot be started", self.logferry.display()))?;
        Ok(Agent { child, metrics, log, start_ns, peak_bytes: 0 })
    }
}

impl Agent {
    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory now, which is remembered for the peak.
    ///
    /// # Errors
    /// If the agent has ended.
    pub fn memory(&mut self) -> anyhow::Result<Memory> {
        let Ok(memory) = memory(self.pid()) else { return Err(self.failure("has ended")) };
        self.peak_bytes = self.peak_bytes.max(memory.peak_bytes);
        Ok(memory)
    }

    /// Its metrics now.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn metrics(&self) -> anyhow::Result<Exposition> {
        fetch(self.metrics).map_err(|error| self.failure(&format!("gives no metrics: {error}")))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// If it has ended.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Waits until `bytes` of the source are delivered.
    ///
    /// # Errors
    /// If the agent ends, or stops making progress.
    pub fn wait_delivered(&mut self, bytes: u64) -> anyhow::Result<Delivery> {
        self.wait(bytes, f64::INFINITY)
    }

    /// Waits until `bytes` of the source are delivered, and as far as the agent knows there are no more.
    ///
    /// # Errors
    /// If the agent ends, or stops making progress.
    pub fn wait_caught_up(&mut self, bytes: u64) -> anyhow::Result<Delivery> {
        self.wait(bytes, 0.0)
    }

    fn wait(&mut self, bytes: u64, lag_bytes_max: f64) -> anyhow::Result<Delivery> {
        let mut best = 0;
        let mut progress_ns = monotonic_ns();
        let mut first = None;
        loop {
            let now_ns = monotonic_ns();
            let mut pause = POLL_MIN;
            // Until it listens there are no metrics; that is no failure yet.
            if let Ok(metrics) = fetch(self.metrics) {
                let delivered = whole(metrics.sum(DELIVERED_BYTES)).unwrap_or(0);
                let lag_bytes = metrics.sum(LAG_BYTES).unwrap_or(0.0);
                if delivered >= bytes && lag_bytes <= lag_bytes_max {
                    self.memory()?;
                    let records = whole(metrics.sum(DELIVERED_RECORDS));
                    let elapsed_ns = now_ns - self.start_ns;
                    return Ok(Delivery { elapsed_ns, bytes: delivered, records });
                }
                let &mut (from, from_ns) = first.get_or_insert((delivered, now_ns));
                pause = pause_of(
                    delivered.saturating_sub(from),
                    bytes.saturating_sub(delivered),
                    now_ns - from_ns,
                );
                if delivered > best {
                    (best, progress_ns) = (delivered, now_ns);
                }
            }
            self.memory()?;
            if now_ns - progress_ns > STALL_NS {
                let what = format!("delivered {best} of {bytes} bytes and makes no progress");
                return Err(self.failure(&what));
            }
            std::thread::sleep(pause);
        }
    }

    /// Ends the agent by SIGTERM and says what it used.
    ///
    /// # Errors
    /// If it does not end in time, or not by itself and well.
    pub fn stop(self) -> anyhow::Result<Usage> {
        self.end(&[0])
    }

    /// The same, of an agent that has read what it need not deliver before it ends.
    ///
    /// # Errors
    /// If it does not end in time, or not by itself.
    pub fn stop_behind(self) -> anyhow::Result<Usage> {
        self.end(&[0, BEHIND])
    }

    fn end(mut self, codes: &[i32]) -> anyhow::Result<Usage> {
        let pid = Pid::from_child(&self.child);
        self.memory()?;
        kill_process(pid, Signal::TERM)?;
        let asked_ns = monotonic_ns();
        // Not reaped yet, so that the kernel still knows what it used.
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while waitid(WaitId::Pid(pid), ended)?.is_none() {
            if let Ok(memory) = memory(self.child.id()) {
                self.peak_bytes = self.peak_bytes.max(memory.peak_bytes);
            }
            if monotonic_ns() - asked_ns > END_NS {
                return Err(self.failure("does not end at SIGTERM"));
            }
            std::thread::sleep(END_POLL);
        }
        let cpu_ns = cpu_ns(self.child.id())?;
        let status = self.child.wait()?;
        if !status.code().is_some_and(|code| codes.contains(&code)) {
            return Err(self.failure(&format!("ended with {status}")));
        }
        Ok(Usage { cpu_ns, peak_bytes: self.peak_bytes })
    }

    /// An error that shows the end of the agent's log.
    fn failure(&self, what: &str) -> anyhow::Error {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let shown = &lines[lines.len().saturating_sub(LOG_LINES)..];
        anyhow::anyhow!("agent {what}; the end of its log:\n{}", shown.join("\n"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Already reaped after `stop`; then both do nothing.
        if let Ok(None) = self.child.try_wait()
            && let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop))
        {
            eprintln!("agent {}: cannot be ended: {error}", self.pid());
        }
    }
}

/// Bytes of all files below `folder`.
///
/// # Errors
/// If it cannot be read.
pub fn folder_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(sum)
}

/// Time until the next look: a quarter of what the rest takes at the speed so far.
fn pause_of(done: u64, left: u64, elapsed_ns: u64) -> Duration {
    let rest_ns = elapsed_ns.saturating_mul(left) / done.max(1);
    Duration::from_nanos(rest_ns / 4).clamp(POLL_MIN, POLL_MAX)
}

/// What `logferry --version` prints.
///
/// # Errors
/// If it cannot be run.
pub fn version(logferry: &Path) -> anyhow::Result<String> {
    let output = Command::new(logferry).arg("--version").stdin(Stdio::null()).output();
    let output = output.with_context(|| {
        format!("{}: cannot be started; build it or give --logferry", logferry.display())
    })?;
    ensure!(output.status.success(), "{} --version: {}", logferry.display(), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// An address that nobody listens at. Somebody might before the agent does; then it says so.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}

/// A counter as a whole number; metrics are floating point by format only.
fn whole(value: Option<f64>) -> Option<u64> {
    let value = value?;
    if !(0.0..9e15).contains(&value) {
        return None;
    }
    format!("{value:.0}").parse().ok()
}

#[cfg(test)]
mod tests;
