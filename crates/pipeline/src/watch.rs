//! Watch: hears of changes in directories, so that nothing has to be looked at in vain.
//!
//! A watch only ever makes things faster: what it misses, the reconciling scan finds. The real one
//! is inotify, by `notify`; a busy writer makes an event a write, so the watch lets the kernel merge
//! repeated events instead of hearing each ([`MERGE_NS`]).

use std::collections::HashSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam::sync::Unparker;
use flow::Clock;
use notify::event::{EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

/// What was heard.
#[derive(Debug, Default)]
pub struct Changes {
    /// Files that were written to.
    pub written: HashSet<PathBuf>,
    /// Directories whose entries changed.
    pub listed: HashSet<PathBuf>,
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
#[error("{}: {why}", .directory.display())]
pub struct WatchError {
    directory: PathBuf,
    why: String,
}

/// How long repeated events of one file are left to the kernel to merge, in nanoseconds.
///
/// 20 ms: fifty wake-ups a second at most for a busy file, and less than what its reader waits for
/// company anyway.
const MERGE_NS: u64 = 20_000_000;

/// Paths that may wait; beyond them only "look at everything" is remembered.
const HEARD_MAX: usize = 65_536;

/// inotify.
#[derive(Debug)]
pub struct InotifyWatch {
    watcher: RecommendedWatcher,
    heard: Arc<Mutex<Changes>>,
}

impl InotifyWatch {
    /// A watch that wakes the thread of `unparker`.
    ///
    /// # Errors
    /// If the system grants no inotify instance.
    pub fn new(clock: Arc<dyn Clock>, unparker: Unparker) -> Result<InotifyWatch, WatchError> {
        let heard = Arc::new(Mutex::new(Changes::default()));
        let mut ear = Ear { heard: Arc::clone(&heard), clock, unparker, window_ns: 0 };
        let watcher =
            notify::recommended_watcher(move |event| ear.hear(event)).map_err(|error| {
                WatchError { directory: PathBuf::from("inotify"), why: error.to_string() }
            })?;
        Ok(InotifyWatch { watcher, heard })
    }
}

impl Watch for InotifyWatch {
    fn add(&mut self, directory: &Path) -> Result<(), WatchError> {
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
        // Gone already, most likely.
        drop(self.watcher.unwatch(directory));
    }

    fn take(&mut self) -> Changes {
        std::mem::take(&mut *lock(&self.heard))
    }
}

/// What runs on `notify`'s thread.
struct Ear {
    heard: Arc<Mutex<Changes>>,
    clock: Arc<dyn Clock>,
    unparker: Unparker,
    /// End of the time in which a file's first event was passed on.
    window_ns: u64,
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
        let now_ns = self.clock.monotonic_ns();
        let mut is_repeated = false;
        for path in event.paths {
            let mut heard = lock(&self.heard);
            if heard.written.len() + heard.listed.len() >= HEARD_MAX {
                heard.is_incomplete = true;
            } else if is_write {
                is_repeated |= !heard.written.insert(path);
            } else if is_listing && let Some(directory) = path.parent() {
                heard.listed.insert(directory.to_path_buf());
            }
        }
        if is_write || is_listing {
            self.unparker.unpark();
        }
        if now_ns >= self.window_ns {
            self.window_ns = now_ns + MERGE_NS;
        } else if is_write || is_repeated {
            // The kernel merges a file's events as long as nobody reads them.
            std::thread::sleep(Duration::from_nanos(self.window_ns - now_ns));
        }
    }
}

/// What was heard stays right even if a thread died while it held the lock.
fn lock(heard: &Mutex<Changes>) -> MutexGuard<'_, Changes> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
