//! Daemon: answers the kernel for one volume, until the mount ends or somebody kills it.
//!
//! It is given the connection as its standard input and keeps nothing that must not be lost: the next one goes on in
//! its place. On its standard output it says, at every tick, how many requests it has begun and how many it
//! keeps waiting.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use flow::{Clock, SystemClock};
use rustix::process::{Signal, setpriority_process};

use crate::acks::{Acks, CheckpointAcks};
use crate::front::{Front, Mode};
use crate::lock;
use crate::meter::Meter;
use crate::parked::{Parked, WhenFull};
use crate::recall::Recalls;
use crate::resume;
use crate::store::{Retention, Selection, Store};
use crate::syncs::Syncs;

/// Pause between two ticks; acknowledgements are stored twice a second.
const TICK: Duration = Duration::from_millis(200);
/// Pause while nothing happens and nothing is undelivered.
const IDLE_TICK: Duration = Duration::from_secs(1);
/// Pause while calls wait.
const WAITING_TICK: Duration = Duration::from_millis(20);
/// Pause between two looks at what was written past us, while anything is.
const AHEAD_PAUSE: Duration = Duration::from_millis(2);
/// So many looks without anything, and nothing is: who has opened a file may take a moment to begin, and then write more in
/// one idle pause than a small container may have.
const AHEAD_LOOKS: u32 = 50;
/// While nobody may be writing past us; whoever begins to wakes the thread.
const AHEAD_REST: Duration = Duration::from_secs(1);
/// While nothing is.
const AHEAD_IDLE_PAUSE: Duration = Duration::from_millis(20);
/// It does little, and has to be in time.
const AHEAD_NICE: i32 = -20;
/// At least this for each file that is looked at: a hundredth of a core.
const AHEAD_FILE_PAUSE: Duration = Duration::from_micros(200);
/// Time between two times that numbers for people are written, in nanoseconds.
const METRICS_NS: u64 = 1_000_000_000;
/// Time after which files that nobody collects are spoken of, once, in nanoseconds.
const UNKNOWN_NS: u64 = 60_000_000_000;
/// How long the daemon before may take to end once it is killed.
const LOCK_LONGEST: Duration = Duration::from_secs(5);
/// Room for all numbers, in bytes.
const METRICS_BYTES: usize = 4096;
/// Name of the file with the numbers, in the volume's folder.
pub const METRICS_NAME: &str = "metrics";

/// Bytes of one sign of life.
pub const PULSE_BYTES: usize = 16;

/// What a daemon must know.
#[derive(Debug)]
pub struct Options {
    /// The volume's folder.
    pub folder: PathBuf,
    /// State directory of the agent that collects it; without one nothing is ever given back.
    pub agent_state: Option<PathBuf>,
    /// How writes come.
    pub mode: Mode,
    /// What is kept of what is acknowledged.
    pub retention: Retention,
    /// Which files are logs.
    pub selection: Selection,
    /// What becomes of writes when there is no room.
    pub when_full: WhenFull,
    /// How long `fsync` waits for the queue; `None` if it does not.
    pub sync: Option<Duration>,
    /// How long reads wait for what was given back; `None` if it reads as NUL.
    pub recall: Option<Duration>,
    /// How many threads answer.
    pub threads: usize,
}

/// Answers until the mount ends.
///
/// # Errors
/// If the volume cannot be used, or the kernel refuses.
pub fn run(options: Options) -> anyhow::Result<()> {
    // Without its supervisor nobody would ever end the mount.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // A thread that ends alone would leave its requests unanswered; the next daemon answers them.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        std::process::abort();
    }));
    let _lock = lock::take(&options.folder, lock::DAEMON, LOCK_LONGEST)
        .context("another daemon does not end that answers for this volume")?;
    let connection: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    let pulse = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let is_resumed = resume::is_begun(&options.folder);
    let meter = Arc::new(Meter::default());
    let Options {
        folder,
        agent_state,
        mode,
        retention,
        selection,
        when_full,
        sync,
        recall,
        threads,
    } = options;
    let store = Arc::new(Store::open_at(&folder, selection, retention, meter)?);
    if !is_resumed {
        // A new mount: nobody has anything open.
        store.forget_all();
    }
    let parked = Arc::new(Parked::new(when_full));
    let syncs = Arc::new(Syncs::new(sync));
    let asked = agent_state.as_deref().zip(recall);
    let recalls = Arc::new(Recalls::new(Arc::clone(&store), asked));
    let ours = connection.try_clone()?;
    let (parks, waits, reads) = (Arc::clone(&parked), Arc::clone(&syncs), Arc::clone(&recalls));
    let front = Front::new(Arc::clone(&store), parks, waits, reads, mode, ours);
    let session = resume::session(front, connection, &folder, threads)?;
    if store.passes() {
        let store = Arc::clone(&store);
        let drops = when_full == WhenFull::DropOldest;
        thread::Builder::new()
            .name("ld-ahead".to_owned())
            .spawn(move || take_ahead(&store, drops))?;
    }
    let acks = agent_state.map(|it| Box::new(CheckpointAcks::new(&it)) as Box<dyn Acks>);
    let ticker = Ticker {
        store,
        parked,
        syncs,
        recalls,
        acks,
        pulse,
        metrics: metrics_file(&folder)?,
        folder,
        begin_ns: SystemClock.monotonic_ns(),
        metrics_ns: 0,
        requests: 0,
        has_warned: false,
        has_failed: false,
    };
    thread::Builder::new().name("ld-tick".to_owned()).spawn(move || ticker.run())?;
    Ok(session.run()?)
}

/// What is done from time to time, and waits for nobody.
struct Ticker {
    store: Arc<Store>,
    parked: Arc<Parked>,
    syncs: Arc<Syncs>,
    recalls: Arc<Recalls>,
    acks: Option<Box<dyn Acks>>,
    pulse: File,
    /// With room for all numbers, whatever room is left later.
    metrics: File,
    folder: PathBuf,
    begin_ns: u64,
    /// When numbers were written last.
    metrics_ns: u64,
    /// Requests at the last tick.
    requests: u64,
    has_warned: bool,
    has_failed: bool,
}

impl Ticker {
    fn run(mut self) {
        self.parked.ticked_by(thread::current());
        self.syncs.ticked_by(thread::current());
        self.recalls.ticked_by(thread::current());
        // The first sign of life comes before the first work.
        while self.is_heard() {
            let outcome = self.tick();
            if let Err(error) = &outcome
                && !self.has_failed
            {
                tracing::warn!(%error, folder = %self.folder.display(), "cannot give memory back");
            }
            self.has_failed = outcome.is_err();
            thread::park_timeout(self.pause());
        }
    }

    /// Says how much was begun and waits. If nobody hears it the supervisor is gone, and so are we in a moment.
    fn is_heard(&mut self) -> bool {
        let mut pulse = Vec::with_capacity(PULSE_BYTES);
        pulse.extend_from_slice(&self.store.meter().requests.get().to_ne_bytes());
        let waiting = self.waiting();
        pulse.extend_from_slice(&(waiting as u64).to_ne_bytes());
        self.pulse.write_all(&pulse).is_ok()
    }

    /// Requests that are kept unanswered.
    fn waiting(&self) -> usize {
        self.parked.len() + self.syncs.len() + self.recalls.len()
    }

    fn pause(&mut self) -> Duration {
        if self.waiting() > 0 {
            return WAITING_TICK;
        }
        let before = std::mem::replace(&mut self.requests, self.store.meter().requests.get());
        let is_idle = before == self.requests && !self.store.is_passed_by();
        // What is undelivered may be acknowledged any time, and its memory is wanted.
        if is_idle && (self.acks.is_none() || self.store.undelivered_bytes() == 0) {
            IDLE_TICK
        } else {
            TICK
        }
    }

    fn tick(&mut self) -> io::Result<()> {
        if let Some(acks) = &mut self.acks {
            release(&self.store, &mut **acks)?;
        }
        self.store.sweep()?;
        self.parked.tick(&self.store);
        self.syncs.tick(&self.store);
        self.recalls.tick();
        let now_ns = SystemClock.monotonic_ns();
        if now_ns - self.metrics_ns >= METRICS_NS {
            self.metrics_ns = now_ns;
            let held_bytes = self.store.room()?.held_bytes;
            let (waiting, unknown) = self.store.waiting();
            let mut text = self.store.meter().text(held_bytes, waiting).into_bytes();
            text.resize(METRICS_BYTES, b'\n');
            self.metrics.write_all_at(&text, 0)?;
            if unknown > 0 && now_ns - self.begin_ns >= UNKNOWN_NS && !self.has_warned {
                self.has_warned = true;
                tracing::warn!(
                    files = unknown, logs = %self.store.logs().display(),
                    "removed files are kept that no agent has acknowledged anything of; does a LogConfig \
                     collect this folder, and is its agent the one of --agent-state?"
                );
            }
        }
        Ok(())
    }
}

/// Keeps ahead of those who write past us: what they write would be their memory otherwise, and no limit of theirs
/// could give it back.
fn take_ahead(store: &Store, drops: bool) {
    store.taken_ahead_by(thread::current());
    // Writers go on while it waits for a core. To Linux, this is of the thread alone (setpriority(2)).
    if let Err(error) = setpriority_process(Some(rustix::thread::gettid()), AHEAD_NICE) {
        tracing::debug!(%error, "memory is taken ahead of writers with no priority over them");
    }
    let (mut has_failed, mut calm_looks) = (false, 0);
    loop {
        let looked = match if drops { store.make_room() } else { Ok(()) } {
            Ok(()) => store.take_ahead(),
            Err(error) => Err(error),
        };
        calm_looks = if matches!(looked, Ok((_, true))) { 0 } else { calm_looks + 1 };
        let pause = match &looked {
            Ok((0, false)) => AHEAD_REST,
            Ok(_) if calm_looks < AHEAD_LOOKS => AHEAD_PAUSE,
            Ok((files, _)) => {
                AHEAD_IDLE_PAUSE.max(AHEAD_FILE_PAUSE * u32::try_from(*files).unwrap_or(u32::MAX))
            }
            Err(_) => TICK,
        };
        if let Err(error) = &looked
            && !has_failed
        {
            tracing::warn!(%error, "cannot take memory ahead of writers");
        }
        has_failed = looked.is_err();
        thread::park_timeout(pause);
    }
}

/// The file with the numbers, as long as it ever will be.
fn metrics_file(folder: &Path) -> io::Result<File> {
    let path = folder.join(METRICS_NAME);
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    file.write_all_at(&[b'\n'; METRICS_BYTES], 0)?;
    Ok(file)
}

/// Gives back what was acknowledged since the last call.
///
/// # Errors
/// If acknowledgements cannot be read, or the file system refuses.
pub fn release(store: &Store, acks: &mut dyn Acks) -> io::Result<()> {
    let mut failed = Ok(());
    acks.poll(&mut |key, offset| {
        if let Err(error) = store.acknowledge(key, offset) {
            failed = Err(error.into());
        }
    })?;
    failed
}
