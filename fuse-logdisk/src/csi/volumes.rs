//! Volumes: all that are on this node, each with the process that keeps it, or with what is left of it.
//!
//! Any call may come at any time, twice, or after a driver that was killed while it did the same: what is asked for is compared
//! with what is there, and only what is missing is done. Nothing here looks behind a mount.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flow::{Clock, SystemClock, nanoseconds};
use tonic::Status;

use super::record::{Record, State};
use super::supervised::{Supervised, is_mounted};
use crate::acks::CheckpointAcks;
use crate::mounting;
use crate::supervisor::Leftover;

mod usage;

pub(super) use usage::{Seen, State as SeenState};

/// Pause before a supervisor is started after one that ended by itself.
const RESTART_PAUSE: Duration = Duration::from_secs(5);
/// Who has the volume is the pod alone.
const TOP_MODE: &str = "777";

/// What is the same for all volumes.
#[derive(Debug)]
pub(super) struct How {
    /// State directory of the agent that collects them.
    pub(super) agent_state: PathBuf,
    /// Socket of who holds connections.
    pub(super) holder: Option<PathBuf>,
    /// How much memory all of them may take.
    pub(super) memory_bytes: u64,
    /// How long what is not delivered of a volume outlives its pod.
    pub(super) leftover: Duration,
}

/// All volumes of the node.
pub(super) struct Volumes {
    how: How,
    state: State,
    entries: Mutex<BTreeMap<String, Entry>>,
    /// What was given up of volumes whose pods are gone.
    lost_bytes: AtomicU64,
}

struct Entry {
    record: Record,
    stage: Stage,
    /// Supervisors that were started after one that ended by itself.
    restarts: u64,
}

enum Stage {
    /// Somebody changes it now.
    Busy,
    Mounted(Supervised),
    /// The pod is gone, and the agent has not acknowledged all of it.
    Over {
        leftover: Box<Leftover>,
        since_ns: u64,
        /// What the agent has not acknowledged, as it was last seen.
        left_bytes: u64,
    },
}

/// What a call to publish finds.
enum Begun {
    /// It is mounted.
    Done,
    /// It is the caller's to mount, with the supervisor that it has.
    Open(Option<Supervised>),
}

impl Volumes {
    /// Those that are written down: what was mounted is kept on, and what is left is delivered.
    pub(super) fn take_up(how: How, state: State) -> anyhow::Result<Volumes> {
        let (entries, lost_bytes) = (Mutex::default(), AtomicU64::new(0));
        let volumes = Volumes { how, state, entries, lost_bytes };
        let now_ns = SystemClock.monotonic_ns();
        for (id, record, over_since_ns) in volumes.state.read()? {
            // Memory does not outlive the machine: the kubelet publishes it anew.
            let is_there = volumes.has_store(&id)?;
            if !is_there || over_since_ns.is_some() {
                volumes.end(&id, record, over_since_ns.unwrap_or(now_ns).min(now_ns));
                continue;
            }
            tracing::info!(volume = %id, pod = %record.pod.name(), "taken up");
            let stage = Stage::Mounted(Supervised::start(&volumes.arguments(&id, &record))?);
            volumes.entries().insert(id, Entry { record, stage, restarts: 0 });
        }
        Ok(volumes)
    }

    /// Mounts a volume, if it is not.
    pub(super) async fn publish(&self, id: &str, record: Record) -> Result<(), Status> {
        let Begun::Open(before) = self.begin_publish(id, &record)? else { return Ok(()) };
        match self.mount(id, &record, before).await {
            Ok(supervised) => {
                tracing::info!(volume = %id, pod = %record.pod.name(), "published");
                let stage = Stage::Mounted(supervised);
                self.entries().insert(id.to_owned(), Entry { record, stage, restarts: 0 });
                Ok(())
            }
            Err(status) => {
                drop(clear(&record.target));
                self.end(id, record, SystemClock.monotonic_ns());
                Err(status)
            }
        }
    }

    /// Looks what is to be done.
    fn begin_publish(&self, id: &str, record: &Record) -> Result<Begun, Status> {
        let mut entries = self.entries();
        let others = entries.iter().filter(|it| it.0 != id);
        let promised_bytes: u64 = others.map(|it| it.1.bytes()).sum();
        if let Some(entry) = entries.get_mut(id) {
            if matches!(entry.stage, Stage::Busy) {
                return Err(pending(id));
            }
            if entry.record != *record {
                return Err(Status::already_exists(format!(
                    "{id} is there, with another target path, other attributes or of another pod"
                )));
            }
            if let Stage::Mounted(supervised) = &mut entry.stage
                && supervised.is_ready()
            {
                return Ok(Begun::Done);
            }
        }
        let (wanted_bytes, memory_bytes) = (record.attributes.size_bytes, self.how.memory_bytes);
        let free_bytes = memory_bytes.saturating_sub(promised_bytes);
        if wanted_bytes > free_bytes {
            return Err(Status::resource_exhausted(format!(
                "size {wanted_bytes}: volumes of this node have {free_bytes} bytes left of {memory_bytes}; the \
                 driver's --memory says how much they may take"
            )));
        }
        let busy = Entry { record: record.clone(), stage: Stage::Busy, restarts: 0 };
        Ok(Begun::Open(match entries.insert(id.to_owned(), busy).map(|it| it.stage) {
            Some(Stage::Mounted(supervised)) => Some(supervised),
            _ => None,
        }))
    }

    /// Has it mounted, by the supervisor that it has, or by another if it has none that lives.
    async fn mount(
        &self,
        id: &str,
        record: &Record,
        before: Option<Supervised>,
    ) -> Result<Supervised, Status> {
        let living = before.and_then(|mut it| it.ended().is_none().then_some(it));
        let mut supervised = match living {
            Some(living) => living,
            None => {
                prepare(&record.target)?;
                self.state.write(id, record, None)?;
                Supervised::start(&self.arguments(id, record))?
            }
        };
        match supervised.mounted(&record.target).await {
            Ok(()) => Ok(supervised),
            Err(status) => {
                supervised.stop().await;
                Err(status)
            }
        }
    }

    /// Unmounts a volume. What is not delivered of it stays, for the agent to collect.
    pub(super) async fn unpublish(&self, id: &str, target: &Path) -> Result<(), Status> {
        let taken = self.begin_unpublish(id, target)?;
        if let Some((record, supervised)) = taken {
            // If it was killed, another one: what is in the page cache is wanted.
            match self.mount(id, &record, Some(supervised)).await {
                Ok(supervised) => supervised.stop().await,
                // It could not be mounted any more: there is nothing in any page cache.
                Err(error) => tracing::warn!(volume = %id, %error, "it was not mounted at its end"),
            }
            tracing::info!(volume = %id, pod = %record.pod.name(), "unpublished");
            // Its end is certain from here on, whatever becomes of us.
            let since_ns = SystemClock.monotonic_ns();
            let written = self.state.write(id, &record, Some(since_ns));
            self.end(id, record, since_ns);
            written?;
        }
        Ok(clear(target)?)
    }

    /// What is to be ended, and is the caller's then; `None` if there is nothing but perhaps a folder.
    fn begin_unpublish(
        &self,
        id: &str,
        target: &Path,
    ) -> Result<Option<(Record, Supervised)>, Status> {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(id).filter(|it| it.record.target == target) else {
            return Ok(None);
        };
        match std::mem::replace(&mut entry.stage, Stage::Busy) {
            Stage::Busy => Err(pending(id)),
            Stage::Mounted(supervised) => Ok(Some((entry.record.clone(), supervised))),
            over @ Stage::Over { .. } => {
                entry.stage = over;
                Ok(None)
            }
        }
    }

    /// What becomes of a volume that nobody can write to any more, since then.
    fn end(&self, id: &str, record: Record, since_ns: u64) {
        let opened = match self.has_store(id) {
            Ok(true) => {
                let acks = Box::new(CheckpointAcks::new(&self.how.agent_state));
                Leftover::open(&self.state.store(id), acks).map(|it| Some(Box::new(it)))
            }
            Ok(false) => Ok(None),
            Err(error) => Err(error.into()),
        };
        match opened {
            Ok(Some(leftover)) => {
                let stage = Stage::Over { leftover, since_ns, left_bytes: 0 };
                self.entries().insert(id.to_owned(), Entry { record, stage, restarts: 0 });
            }
            Ok(None) => self.forget(id),
            Err(error) => {
                tracing::error!(volume = %id, %error, "what is left of it is let go");
                self.forget(id);
            }
        }
    }

    /// Gives the memory of a volume back, and forgets it.
    fn forget(&self, id: &str) {
        let store = self.state.store(id);
        let gone = match self.has_store(id) {
            Ok(true) => mounting::detach(&store),
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = gone.and_then(|()| self.state.remove(id)) {
            tracing::error!(volume = %id, %error, "what it takes cannot be given back");
        }
        self.entries().remove(id);
    }

    /// To be called every second: starts supervisors again that ended by themselves, and lets go of what is delivered.
    pub(super) fn look(&self) {
        let now_ns = SystemClock.monotonic_ns();
        let mut done = Vec::new();
        for (id, entry) in self.entries().iter_mut() {
            match &mut entry.stage {
                Stage::Busy => {}
                Stage::Mounted(supervised) => {
                    let is_another = self.look_after(id, &entry.record, supervised, now_ns);
                    entry.restarts += u64::from(is_another);
                }
                Stage::Over { leftover, since_ns, left_bytes } => {
                    let is_late = now_ns - *since_ns >= nanoseconds(self.how.leftover);
                    let left = leftover.look();
                    *left_bytes = *left.as_ref().unwrap_or(left_bytes);
                    if is_late && !matches!(left, Ok(0)) {
                        let pod = entry.record.pod.name();
                        self.lost_bytes.fetch_add(*left_bytes, Ordering::Relaxed);
                        tracing::error!(volume = %id, %pod, bytes = ?left, "not delivered in time: lost");
                    }
                    if is_late || matches!(left, Ok(0)) {
                        done.push(id.clone());
                    }
                }
            }
        }
        done.iter().for_each(|id| self.forget(id));
    }

    /// Whether it has another supervisor now.
    fn look_after(
        &self,
        id: &str,
        record: &Record,
        supervised: &mut Supervised,
        now_ns: u64,
    ) -> bool {
        let Some(status) = supervised.ended() else { return false };
        if now_ns - supervised.since_ns < nanoseconds(RESTART_PAUSE) {
            return false;
        }
        tracing::error!(volume = %id, pod = %record.pod.name(), %status, "its supervisor ended; starting another");
        match Supervised::start(&self.arguments(id, record)) {
            Ok(next) => {
                *supervised = next;
                true
            }
            Err(error) => {
                tracing::error!(volume = %id, %error, "it cannot be started");
                false
            }
        }
    }

    /// How its supervisor is called.
    fn arguments(&self, id: &str, record: &Record) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec![(&record.target).into()];
        let mut add = |name: &str, value: &Path| arguments.extend([name.into(), value.into()]);
        add("--store", &self.state.store(id));
        add("--agent-state", &self.how.agent_state);
        self.how.holder.iter().for_each(|it| add("--holder", it));
        let ours = ["--with-parent", &std::process::id().to_string(), "--top-mode", TOP_MODE];
        arguments.extend(ours.map(Into::into));
        arguments.extend(record.attributes.arguments());
        arguments.extend(record.pod.pairs().map(|it| format!("--context={it}").into()));
        arguments
    }

    /// Whether the tmpfs of a volume is mounted.
    fn has_store(&self, id: &str) -> io::Result<bool> {
        Ok(!mounting::mounted_at(&self.state.store(id))?.is_empty())
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// How much memory it may take.
    fn bytes(&self) -> u64 {
        match &self.stage {
            Stage::Over { leftover, .. } => leftover.held_bytes().unwrap_or(0),
            Stage::Busy | Stage::Mounted(_) => self.record.attributes.size_bytes,
        }
    }
}

fn pending(id: &str) -> Status {
    Status::aborted(format!("{id}: another call for it is under way"))
}

/// Makes the folder that a volume is mounted at.
fn prepare(target: &Path) -> io::Result<()> {
    fs::create_dir_all(target.parent().unwrap_or(target))?;
    let target = mounting::resolve(target)?;
    if !mounting::mounted_at(&target)?.is_empty() {
        return Ok(());
    }
    match fs::create_dir(&target) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Takes that folder away, and what a driver left mounted there of which nothing is known.
fn clear(target: &Path) -> io::Result<()> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let resolved = match mounting::resolve(target) {
        Err(error) if gone(&error) => return Ok(()),
        other => other?,
    };
    while is_mounted(target)? {
        mounting::detach(&resolved)?;
    }
    match fs::remove_dir(&resolved) {
        Err(error) if !gone(&error) => Err(error),
        _ => Ok(()),
    }
}
