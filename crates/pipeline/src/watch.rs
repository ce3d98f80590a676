//! Watch: hears of changes in directories, so that nothing has to be looked at in vain.
//!
//! A watch only ever makes things faster: what it misses, scans find. The real one is inotify, by
//! `notify`; a busy writer makes an event a write, so the watch lets the kernel merge repeated events
//! instead of hearing each ([`MERGE_NS`]).

use std::collections::HashSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam::sync::Unparker;
use flow::Clock;
use notify::event::{EventKind, ModifyKind, RemoveKind, RenameMode};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::fs::Printable;

/// What was heard.
#[derive(Debug, Default)]
pub struct Changes {
    /// Files that were written to.
    pub written: HashSet<PathBuf>,
    /// Files and directories that appeared, are gone, or were renamed from or to this.
    pub named: HashSet<PathBuf>,
    /// Those of them that were removed, and not renamed.
    pub removed: HashSet<PathBuf>,
    /// Events were lost: everything must be looked at.
    pub is_incomplete: bool,
    /// The first half of a rename was heard and the second was not: to be taken again then. Without the
    /// second half, a file seems to be gone.
    pub halfway_until_ns: Option<u64>,
}

/// Watches directories.
pub trait Watch: Send + Debug {
    /// Hears of changes in `directory` from now on; does no harm if it did before.
    ///
    /// # Errors
    /// If the directory cannot be watched: it is gone, or a limit of the system is reached, or its
    /// file system does not tell of all changes.
    fn add(&mut self, directory: &Path) -> Result<(), WatchError>;

    /// Hears no more of `directory`. One that is gone is forgotten by itself.
    fn remove(&mut self, directory: &Path);

    /// Takes what was heard since the last time.
    fn take(&mut self) -> Changes;

    /// For now no more directories are added or removed.
    fn settle(&mut self) {}
}

/// Why a directory cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", Printable(.directory))]
pub struct WatchError {
    directory: PathBuf,
    why: String,
}

/// How long repeated events of one file are left to the kernel to merge, in nanoseconds.
///
/// 20 ms: less than what a reader waits for company anyway.
const MERGE_NS: u64 = 20_000_000;

/// How long events are taken as fast as they come, between two such rests, in nanoseconds.
///
/// 5 ms: enough to take what piled up, so that a node with thousands of writes a second does not
/// fall behind.
const TAKE_NS: u64 = 5_000_000;

/// How long the second half of a rename is waited for. Files that are moved elsewhere have none.
const HALFWAY_NS: u64 = 2_000_000;

/// Paths that may wait; beyond them only "look at everything" is remembered.
const HEARD_MAX: usize = 65_536;

/// File systems whose files may be changed elsewhere, of which nobody here is told: NFS, SMB, CIFS,
/// SMB2, AFS, Ceph, 9P and FUSE, by their magic numbers (statfs(2)).
const TELL_NOTHING: [u32; 8] =
    [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x5346_414f, 0x00c3_6400, 0x0102_1997, 0x6573_5546];

/// inotify. An instance is asked for with the first directory, and again as long as there is none.
#[derive(Debug)]
pub struct InotifyWatch {
    clock: Arc<dyn Clock>,
    unparker: Unparker,
    watcher: Option<RecommendedWatcher>,
    heard: Arc<Mutex<Changes>>,
    /// Watches are being added or removed: the thread that does it must answer at once.
    is_changing: Arc<AtomicBool>,
}

impl InotifyWatch {
    /// A watch that wakes the thread of `unparker`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, unparker: Unparker) -> InotifyWatch {
        let (heard, is_changing) = (Arc::default(), Arc::default());
        InotifyWatch { clock, unparker, watcher: None, heard, is_changing }
    }

    fn watcher(&mut self) -> Result<&mut RecommendedWatcher, String> {
        let watcher = match self.watcher.take() {
            Some(watcher) => watcher,
            None => {
                let mut ear = Ear {
                    heard: Arc::clone(&self.heard),
                    is_changing: Arc::clone(&self.is_changing),
                    clock: Arc::clone(&self.clock),
                    unparker: self.unparker.clone(),
                    rest_ns: 0,
                };
                let watcher = notify::recommended_watcher(move |event| ear.hear(event));
                watcher.map_err(|error| {
                    format!("no inotify instance ({error}); raise fs.inotify.max_user_instances")
                })?
            }
        };
        Ok(self.watcher.insert(watcher))
    }
}

impl Watch for InotifyWatch {
    fn add(&mut self, directory: &Path) -> Result<(), WatchError> {
        let refuse = |why| WatchError { directory: directory.to_path_buf(), why };
        if tells_nothing(directory) {
            let why = "its file system does not tell of changes made elsewhere";
            return Err(refuse(why.to_owned()));
        }
        self.is_changing.store(true, Ordering::Relaxed);
        let watcher = self.watcher().map_err(refuse)?;
        watcher.watch(directory, RecursiveMode::NonRecursive).map_err(|error| {
            refuse(match error.kind {
                notify::ErrorKind::MaxFilesWatch => {
                    "no inotify watch left; raise fs.inotify.max_user_watches".to_owned()
                }
                _ => error.to_string(),
            })
        })
    }

    fn remove(&mut self, directory: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        self.is_changing.store(true, Ordering::Relaxed);
        // Gone already, most likely.
        drop(watcher.unwatch(directory));
    }

    fn take(&mut self) -> Changes {
        let mut heard = lock(&self.heard);
        match heard.halfway_until_ns.filter(|until_ns| self.clock.monotonic_ns() < *until_ns) {
            Some(until_ns) => Changes { halfway_until_ns: Some(until_ns), ..Changes::default() },
            None => Changes { halfway_until_ns: None, ..std::mem::take(&mut *heard) },
        }
    }

    fn settle(&mut self) {
        self.is_changing.store(false, Ordering::Relaxed);
    }
}

/// Whether files there may change without an event.
fn tells_nothing(directory: &Path) -> bool {
    // What cannot be asked cannot be watched either, and then that is said.
    let Ok(system) = rustix::fs::statfs(directory) else { return false };
    u32::try_from(system.f_type).is_ok_and(|magic| TELL_NOTHING.contains(&magic))
}

/// What runs on `notify`'s thread.
struct Ear {
    heard: Arc<Mutex<Changes>>,
    is_changing: Arc<AtomicBool>,
    clock: Arc<dyn Clock>,
    unparker: Unparker,
    /// When the next rest is due.
    rest_ns: u64,
}

impl Ear {
    fn hear(&mut self, event: notify::Result<notify::Event>) {
        let Ok(event) = event else {
            lock(&self.heard).is_incomplete = true;
            self.unparker.unpark();
            return;
        };
        let is_write = matches!(event.kind, EventKind::Modify(ModifyKind::Data(_)));
        let is_naming = matches!(
            event.kind,
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
        );
        if !is_write && !is_naming && !event.need_rescan() {
            return;
        }
        let is_half = matches!(event.kind, EventKind::Modify(ModifyKind::Name(RenameMode::From)));
        let until_ns = is_half.then(|| self.clock.monotonic_ns() + HALFWAY_NS);
        let mut heard = lock(&self.heard);
        heard.halfway_until_ns = until_ns;
        heard.is_incomplete |= event.need_rescan();
        if heard.written.len() + heard.named.len() >= HEARD_MAX {
            heard.is_incomplete = true;
        } else if is_write {
            heard.written.extend(event.paths);
        } else if is_naming {
            if matches!(event.kind, EventKind::Remove(RemoveKind::File)) {
                heard.removed.extend(event.paths.iter().cloned());
            }
            heard.named.extend(event.paths);
        }
        drop(heard);
        self.unparker.unpark();
        if is_write {
            self.rest();
        }
    }

    /// Rests now and then: the kernel merges a file's events as long as nobody reads them.
    fn rest(&mut self) {
        let is_due = self.clock.monotonic_ns() >= self.rest_ns;
        if is_due && !self.is_changing.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_nanos(MERGE_NS));
            self.rest_ns = self.clock.monotonic_ns() + TAKE_NS;
        }
    }
}

/// What was heard stays right even if a thread died while it held the lock.
fn lock(heard: &Mutex<Changes>) -> MutexGuard<'_, Changes> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
