//! Supervisor: owns the mount of one volume, and the daemon that answers for it.
//!
//! It keeps the connection open when the daemon ends, so that writers wait for the next daemon instead of failing; it
//! kills a daemon that hangs; and it ends the connection when none can be had, so that nobody waits for ever. It never
//! touches the own mount: who may hang there is a process of its own.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use flow::{Clock, SystemClock, nanoseconds};
use rustix::process::{PidfdFlags, Signal};

use crate::daemon::PULSE_BYTES;
use crate::holder::Hold;
use crate::mounting::{self, Connection, FUSE_TYPE};
use crate::passthrough;
use crate::resume;

mod drain;
mod flush;
mod watchdog;

pub use drain::{Drained, Leftover, drain};
use flush::Flusher;
pub use flush::flush;
use watchdog::{Verdict, Watchdog};

/// What is said when applications can write.
const READY: &[u8] = b"mounted\n";
/// How long the first daemon may take until it answers.
const START: Duration = Duration::from_secs(10);
/// So many daemons that ended without a sign of life after each other, and there is no use in another.
const FAILURES_MAX: u32 = 10;
/// Pause before a daemon is started after one that did not work; each further one is as long again.
const FAILURE_PAUSE: Duration = Duration::from_millis(50);
/// How long those who use a mount that ends have until their writes fail.
const END: Duration = Duration::from_millis(1500);
/// Has the C library give back each write that had to wait, instead of keeping the room of all of them.
const TUNABLES: &str = "glibc.malloc.mmap_threshold=131072";
/// Pause between two looks at something that ends.
const LOOK: Duration = Duration::from_millis(10);
/// How often the connection is given to whoever holds it.
const HOLD_AGAIN: Duration = Duration::from_secs(2);
/// Most that the page cache may hold unwritten for one volume, in bytes.
const UNWRITTEN_BYTES_MAX: u64 = 16 << 20;

/// What a supervisor must know.
#[derive(Debug)]
pub struct Options {
    /// Where applications write: an empty folder, which is without links.
    pub target: PathBuf,
    /// The volume's folder, on a tmpfs.
    pub folder: PathBuf,
    /// The program that is to be the daemon, and its arguments.
    pub daemon: Vec<std::ffi::OsString>,
    /// The program that asks the page cache for what is written (see [`flush`]), and its arguments; `None` if
    /// nothing is kept there.
    pub flusher: Option<Vec<std::ffi::OsString>>,
    /// Nothing is kept there either if the kernel can let writes pass.
    pub may_pass: bool,
    /// How long requests may go unanswered until the daemon is killed.
    pub hang: Duration,
    /// Socket of who holds the connection when we are killed; `None` if nobody does.
    pub holder: Option<PathBuf>,
    /// Says on standard output when applications can write.
    pub says_when: bool,
}

/// What happened to the daemon, or to us.
enum Event {
    /// The daemon began so many requests, and keeps so many waiting.
    Pulse {
        requests: u64,
        parked: u64,
    },
    Ended(io::Result<ExitStatus>),
    Stop,
}

/// Mounts, or goes on with the mount of a supervisor that was killed, and keeps it until told to stop by SIGTERM or SIGINT.
/// Nothing is mounted at `target` when this returns.
///
/// # Errors
/// If it cannot be mounted, or no daemon can be kept.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let target = &options.target;
    let (sender, events) = bounded(64);
    forward_signals(sender.clone())?;
    let mut hold = match &options.holder {
        Some(holder) => Some(Hold::new(holder, &options.folder, target)?),
        None => None,
    };
    let before = hold.as_mut().and_then(|it| left_behind(it, options));
    let device = match before {
        Some(device) => device,
        None => mount(options)?,
    };
    let mount = Mount { connection: Connection::of(target)?, target: target.clone() };
    if options.flusher.is_some()
        && let Err(error) = mount.connection.limit_unwritten(UNWRITTEN_BYTES_MAX)
    {
        tracing::warn!(%error, "the kernel's own limit of unwritten bytes is in force");
    }
    let mut kept = Kept {
        options,
        device,
        mount,
        hold,
        hold_ns: 0,
        sender,
        events,
        failures: 0,
        daemon: None,
    };
    kept.have_it_held();
    let outcome = kept.keep();
    kept.end();
    outcome
}

/// The connection of a mount that a supervisor left behind which was killed, if somebody holds it: applications wait there.
fn left_behind(hold: &mut Hold, options: &Options) -> Option<OwnedFd> {
    let is_alive = Connection::of(&options.target).is_ok() && resume::is_begun(&options.folder);
    match hold.held() {
        Ok(Some(device)) if is_alive => {
            tracing::info!(target = %options.target.display(), "going on with a mount that is there");
            return Some(device);
        }
        Ok(None) => {}
        // Of a mount that is gone.
        Ok(Some(_)) => drop(hold.let_go()),
        Err(error) => tracing::warn!(%error, "nobody holds the mount if this process is killed"),
    }
    None
}

/// A new mount.
fn mount(options: &Options) -> anyhow::Result<OwnedFd> {
    repair(&options.target)?;
    resume::forget(&options.folder)?;
    mounting::mount_fuse(&options.target)
        .with_context(|| format!("{}: cannot mount a log disk", options.target.display()))
}

/// Takes away what a supervisor that was killed left behind.
fn repair(target: &Path) -> anyhow::Result<()> {
    let what = "this must be an empty folder where nothing is mounted";
    for mounted in mounting::mounted_at(target)? {
        if mounted.kind != FUSE_TYPE {
            bail!("{}: a {} is mounted there; {what}", target.display(), mounted.kind);
        }
        // The volume's lock is ours, so that nobody answers there.
        tracing::warn!(target = %target.display(), "taking away a mount that was left behind");
        mounting::detach(target)?;
    }
    let mut entries =
        std::fs::read_dir(target).with_context(|| format!("{}: {what}", target.display()))?;
    if entries.next().is_some() {
        bail!("{}: it is not empty: what is in it would be hidden; {what}", target.display());
    }
    Ok(())
}

/// SIGTERM and SIGINT become events.
fn forward_signals(sender: Sender<Event>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("ld-signal".to_owned()).spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let both = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
            let (Ok(mut terminate), Ok(mut interrupt)) = both else { return };
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        });
        // If nobody listens, it is over anyway.
        drop(sender.send(Event::Stop));
    })?;
    Ok(())
}

/// A mount of ours; if it is still there when this is dropped, its connection is ended, and it is taken away.
#[derive(Debug)]
struct Mount {
    target: PathBuf,
    connection: Connection,
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.connection.is_at(&self.target).unwrap_or(false) {
            drop(self.connection.abort());
            drop(mounting::detach(&self.target));
        }
    }
}

/// The mount, and what keeps it.
struct Kept<'a> {
    options: &'a Options,
    device: OwnedFd,
    mount: Mount,
    hold: Option<Hold>,
    /// When it is said again that it is to be held.
    hold_ns: u64,
    sender: Sender<Event>,
    events: Receiver<Event>,
    failures: u32,
    daemon: Option<Daemon>,
}

struct Daemon {
    process: OwnedFd,
    /// It gave a sign of life.
    has_worked: bool,
}

impl Daemon {
    /// Kills it, whatever it does; it has ended when the event says so.
    fn kill(&self) {
        if let Err(error) = rustix::process::pidfd_send_signal(&self.process, Signal::KILL) {
            tracing::debug!(%error, "it has ended in this moment");
        }
    }
}

impl Kept<'_> {
    /// Said again and again: a holder that was started anew has nothing.
    fn have_it_held(&mut self) {
        let now_ns = SystemClock.monotonic_ns();
        let Some(hold) = self.hold.as_mut().filter(|_| now_ns >= self.hold_ns) else { return };
        self.hold_ns = now_ns + nanoseconds(HOLD_AGAIN);
        if let Err(error) = hold.hold(&self.device) {
            tracing::debug!(%error, "nobody holds the mount if this process is killed");
        }
    }

    /// Until it is to end.
    fn keep(&mut self) -> anyhow::Result<()> {
        self.start()?;
        self.wait_for_start()?;
        if self.options.says_when {
            io::stdout().write_all(READY)?;
            io::stdout().flush()?;
        }
        let passes = self.options.may_pass
            && passthrough::refusal(resume::offered(&self.options.folder)?).is_none();
        let flusher = self.options.flusher.as_ref().filter(|_| !passes);
        let flusher = flusher.map(|it| Flusher::start(it)).transpose()?;
        let outcome = self.watch();
        drop(flusher);
        outcome
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let [program, arguments @ ..] = self.options.daemon.as_slice() else {
            bail!("no daemon is given");
        };
        let mut child = Command::new(program)
            .args(arguments)
            .env("GLIBC_TUNABLES", TUNABLES)
            // Ctrl-C is for us: the daemon ends with the mount.
            .process_group(0)
            .stdin(Stdio::from(self.device.as_fd().try_clone_to_owned()?))
            .stdout(Stdio::piped())
            .spawn()
            .context("the daemon cannot be started")?;
        let pid = rustix::process::Pid::from_child(&child);
        let process = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        self.daemon = Some(Daemon { process, has_worked: false });
        let pulse = child.stdout.take().context("a pipe was asked for")?;
        let sender = self.sender.clone();
        thread::Builder::new()
            .name("ld-daemon".to_owned())
            .spawn(move || follow(child, pulse, &sender))?;
        Ok(())
    }

    fn wait_for_start(&mut self) -> anyhow::Result<()> {
        let deadline_ns = SystemClock.monotonic_ns() + nanoseconds(START);
        while !resume::is_begun(&self.options.folder) {
            match self.events.recv_timeout(LOOK) {
                Ok(Event::Ended(status)) => {
                    self.daemon = None;
                    bail!("the daemon did not start: {}", status?);
                }
                Ok(Event::Stop) => bail!("told to stop before it was mounted"),
                Ok(Event::Pulse { .. }) | Err(_) => {}
            }
            if SystemClock.monotonic_ns() > deadline_ns {
                bail!("the daemon did not answer within {} s", START.as_secs());
            }
        }
        tracing::info!(target = %self.options.target.display(), "mounted");
        Ok(())
    }

    fn watch(&mut self) -> anyhow::Result<()> {
        let mut watchdog = Watchdog::new(nanoseconds(self.options.hang));
        loop {
            let event = self.events.recv_timeout(watchdog.period());
            match event {
                Ok(Event::Pulse { requests, parked }) => {
                    self.daemon.iter_mut().for_each(|it| it.has_worked = true);
                    watchdog.pulse(requests, parked);
                }
                Ok(Event::Stop) => return Ok(()),
                Ok(Event::Ended(status)) => {
                    let (daemon, status) = (self.daemon.take(), status?);
                    // It ends well when the kernel has nothing more to ask.
                    if status.success() || !self.mount.connection.is_there() {
                        bail!("somebody else took the mount away, or ended its connection");
                    }
                    tracing::warn!(%status, "the daemon ended; starting another");
                    self.start_again(daemon)?;
                    watchdog.restarted();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("all threads have ended"),
            }
            self.have_it_held();
            let waiting = self.mount.connection.waiting().unwrap_or(0);
            match watchdog.look(waiting, SystemClock.monotonic_ns()) {
                Verdict::Well => {}
                Verdict::Hangs => {
                    tracing::error!(waiting, "the daemon does not answer; killing it");
                    self.daemon.iter().for_each(Daemon::kill);
                }
                Verdict::Hopeless => {
                    bail!("no daemon answers {waiting} requests: they fail now");
                }
            }
        }
    }

    fn start_again(&mut self, before: Option<Daemon>) -> anyhow::Result<()> {
        let has_worked = before.is_some_and(|it| it.has_worked);
        self.failures = if has_worked { 0 } else { self.failures + 1 };
        if self.failures > FAILURES_MAX {
            bail!("{FAILURES_MAX} daemons ended as soon as they were started");
        }
        if self.failures > 1 {
            thread::sleep(FAILURE_PAUSE * self.failures);
        }
        self.start()
    }

    /// Takes the mount away. Whoever still uses it has a moment, and fails then.
    fn end(mut self) {
        if let Some(Err(error)) = self.hold.as_mut().map(Hold::let_go) {
            tracing::debug!(%error, "nobody held it");
        }
        if self.daemon.is_none() {
            // Nobody will answer any more.
            drop(self.mount.connection.abort());
        }
        if let Err(error) = mounting::detach(&self.options.target) {
            tracing::warn!(%error, "the mount was taken away already");
        }
        let deadline_ns = SystemClock.monotonic_ns() + nanoseconds(END);
        // With the last user, the kernel ends the connection, and with that the daemon.
        while self.daemon.is_some() && SystemClock.monotonic_ns() < deadline_ns {
            if let Ok(Event::Ended(_)) = self.events.recv_timeout(LOOK) {
                self.daemon = None;
            }
        }
        if let Some(daemon) = &self.daemon {
            tracing::warn!("the mount is still in use; writes to it fail from now on");
            drop(self.mount.connection.abort());
            daemon.kill();
            // What it was doing is over before anybody else looks at the volume.
            while self.events.recv_timeout(END).is_ok_and(|it| !matches!(it, Event::Ended(_))) {}
        }
    }
}

/// Tells what becomes of a daemon, to its end.
fn follow(mut child: Child, mut pulse: ChildStdout, sender: &Sender<Event>) {
    let mut bytes = [0; PULSE_BYTES];
    while pulse.read_exact(&mut bytes).is_ok() {
        let [requests, parked] = [&bytes[..8], &bytes[8..]]
            .map(|it| u64::from_ne_bytes(it.try_into().unwrap_or_default()));
        // One that is not heard in time is as good as the next.
        drop(sender.try_send(Event::Pulse { requests, parked }));
    }
    drop(sender.send(Event::Ended(child.wait())));
}
