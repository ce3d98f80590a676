//! Watch: hears of changes in directories, so that nothing has to be looked at in vain.
//!
//! A watch only ever makes things faster: what it misses, the reconciling scan finds. The real one
//! is inotify, by `notify`; a busy writer makes an event a write, so the watch lets the kernel merge
//! repeated events instead of hearing each ([`MERGE_NS`]).

use std::collections::HashSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam::sync::Unparker;
use flow::Clock;
use notify::event::{EventKind, ModifyKind, RemoveKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::fs::Printable;

/// What was heard.
#[derive(Debug, Default)]
pub struct Changes {
    /// Files that were written to.
    pub written: HashSet<PathBuf>,
    /// Directories whose entries changed.
    pub listed: HashSet<PathBuf>,
    /// Files that were removed.
    pub removed: HashSet<PathBuf>,
    /// Events were lost: everything must be looked at.
    pub is_incomplete: bool,
}

/// Watches directories.
pub trait Watch: Send + Debug {
    /// Hears of changes in `directory` from now on.
    ///
    /// # Errors
    /// If the directory cannot be watched: it is gone, or a limit of the system is reached.
    fn add(&mut self, directory: &Path) -> Result<(), WatchError>;

    /// Hears no more of `directory`. One that is gone is forgotten by itself.
    fn remove(&mut self, directory: &Path);

    /// Takes what was heard since the last time.
    fn take(&mut self) -> Changes;
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

/// Paths that may wait; beyond them only "look at everything" is remembered.
const HEARD_MAX: usize = 65_536;

/// inotify.
#[derive(Debug)]
pub struct InotifyWatch {
    watcher: RecommendedWatcher,
    heard: Arc<Mutex<Changes>>,
    /// Watches are being added or removed: the thread that does it must answer at once.
    is_changing: Arc<AtomicBool>,
}

impl InotifyWatch {
    /// A watch that wakes the thread of `unparker`.
    ///
    /// # Errors
    /// If the system grants no inotify instance.
    pub fn new(clock: Arc<dyn Clock>, unparker: Unparker) -> Result<InotifyWatch, WatchError> {
        let heard = Arc::new(Mutex::new(Changes::default()));
        let is_changing = Arc::new(AtomicBool::new(false));
        let mut ear = Ear {
            heard: Arc::clone(&heard),
            is_changing: Arc::clone(&is_changing),
            clock,
            unparker,
            rest_ns: 0,
        };
        let watcher =
            notify::recommended_watcher(move |event| ear.hear(event)).map_err(|error| {
                WatchError { directory: PathBuf::from("inotify"), why: error.to_string() }
            })?;
        Ok(InotifyWatch { watcher, heard, is_changing })
    }
}

impl Watch for InotifyWatch {
    fn add(&mut self, directory: &Path) -> Result<(), WatchError> {
        self.is_changing.store(true, Ordering::Relaxed);
        self.watcher.watch(directory, RecursiveMode::NonRecursive).map_err(|error| {
            let why = match error.kind {
                notify::ErrorKind::MaxFilesWatch => {
                    "no inotify watch left; raise fs.inotify.max_user_watches".to_owned()
                }
                _ => error.to_string(),
            };
            WatchError { directory: directory.to_path_buf(), why }
        })
    }

    fn remove(&mut self, directory: &Path) {
        self.is_changing.store(true, Ordering::Relaxed);
        // Gone already, most likely.
        drop(self.watcher.unwatch(directory));
    }

    fn take(&mut self) -> Changes {
        self.is_changing.store(false, Ordering::Relaxed);
        std::mem::take(&mut *lock(&self.heard))
    }
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
        if event.need_rescan() {
            lock(&self.heard).is_incomplete = true;
        }
        let is_write = matches!(event.kind, EventKind::Modify(ModifyKind::Data(_)));
        let is_listing = matches!(
            event.kind,
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
        );
        for path in event.paths {
            let mut heard = lock(&self.heard);
            let waiting = heard.written.len() + heard.listed.len() + heard.removed.len();
            if waiting >= HEARD_MAX {
                heard.is_incomplete = true;
            } else if is_write {
                heard.written.insert(path);
            } else if is_listing && let Some(directory) = path.parent() {
                heard.listed.insert(directory.to_path_buf());
                if matches!(event.kind, EventKind::Remove(RemoveKind::File)) {
                    heard.removed.insert(path);
                }
            }
        }
        if is_write || is_listing {
            self.unparker.unpark();
        }
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
