//! Directories: what each held when it was last listed, and whether it must be listed again.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::Context;

use super::refusals::Refusals;
use crate::fs::{FileId, FileKind, Fs};

/// A directory changed so recently is listed again, in nanoseconds.
///
/// 2 s: time stamps are coarse, so a change right after a listing may bear the same one.
const RECENT_NS: i64 = 2_000_000_000;

/// What is known of one directory.
#[derive(Debug, Default)]
struct Known {
    names: Vec<OsString>,
    modified_ns: Option<i64>,
    /// Which directory it is: one of the same name may take its place.
    id: Option<FileId>,
    is_met: bool,
    is_watched: bool,
}

/// All directories that scans met.
#[derive(Debug, Default)]
pub(super) struct Directories {
    known: HashMap<PathBuf, Known>,
    /// Contexts of live files, made once.
    contexts: HashMap<PathBuf, CachedContext>,
    /// What was refused.
    pub(super) refusals: Refusals,
    now_unix_ns: i64,
}

#[derive(Debug)]
struct CachedContext {
    context: Arc<Context>,
    is_met: bool,
}

impl Directories {
    /// A scan begins.
    pub(super) fn begin(&mut self, now_unix_ns: i64) {
        self.now_unix_ns = now_unix_ns;
        self.known.values_mut().for_each(|it| it.is_met = false);
        self.contexts.values_mut().for_each(|it| it.is_met = false);
        self.refusals.begin();
    }

    /// The context of a live file, as made before or by `make`. A tenant may change by reload only,
    /// and then all of this is made anew.
    pub(super) fn context(&mut self, live: &Path, make: impl FnOnce() -> Context) -> Arc<Context> {
        if let Some(cached) = self.contexts.get_mut(live) {
            cached.is_met = true;
            return Arc::clone(&cached.context);
        }
        let context = Arc::new(make());
        let cached = CachedContext { context: Arc::clone(&context), is_met: true };
        self.contexts.insert(live.to_path_buf(), cached);
        context
    }

    /// The names in `directory`, listed again only if it changed; none if it is not there.
    pub(super) fn names(&mut self, fs: &dyn Fs, directory: &Path) -> &[OsString] {
        if !self.known.contains_key(directory) {
            self.known.insert(directory.to_path_buf(), Known::default());
        }
        let Some(known) = self.known.get_mut(directory) else { return &[] };
        match refresh(known, fs, directory, self.now_unix_ns) {
            Ok(()) => {
                known.is_met = true;
                self.refusals.passed(directory);
            }
            Err(error) => {
                known.names.clear();
                known.modified_ns = None;
                known.id = None;
                known.is_watched = false;
                self.refusals.failed(directory, &error);
            }
        }
        &known.names
    }

    /// A scan ended: which directories are new, and which are gone.
    ///
    /// After a partial scan, what was not met may merely not have been looked at.
    pub(super) fn end(&mut self, is_partial: bool) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let (mut new, mut gone) = (Vec::new(), Vec::new());
        for (path, known) in &mut self.known {
            if known.is_met && !known.is_watched {
                known.is_watched = true;
                new.push(path.clone());
            }
        }
        self.refusals.end(is_partial);
        if !is_partial {
            self.contexts.retain(|_, it| it.is_met);
            self.known.retain(|path, known| {
                if !known.is_met && known.is_watched {
                    gone.push(path.clone());
                }
                known.is_met
            });
        }
        (new, gone)
    }

    /// These are listed again, whatever their time stamps say.
    pub(super) fn mark_changed(&mut self, directories: &HashSet<PathBuf>) {
        for directory in directories {
            if let Some(known) = self.known.get_mut(directory) {
                known.modified_ns = None;
            }
        }
    }

    /// All are listed again.
    pub(super) fn forget_times(&mut self) {
        self.known.values_mut().for_each(|it| it.modified_ns = None);
    }
}

fn refresh(known: &mut Known, fs: &dyn Fs, directory: &Path, now_unix_ns: i64) -> io::Result<()> {
    let stat = fs.stat(directory)?;
    if stat.kind != FileKind::Directory {
        return Err(io::ErrorKind::NotFound.into());
    }
    if known.id != Some(stat.id) {
        known.id = Some(stat.id);
        known.modified_ns = None;
        known.is_watched = false;
    }
    let is_recent = now_unix_ns.saturating_sub(stat.modified_ns) < RECENT_NS;
    if known.modified_ns == Some(stat.modified_ns) && !is_recent {
        return Ok(());
    }
    let mut names = std::mem::take(&mut known.names);
    names.clear();
    fs.list(directory, &mut |name| names.push(name.to_owned()))?;
    known.names = names;
    known.modified_ns = Some(stat.modified_ns);
    Ok(())
}
