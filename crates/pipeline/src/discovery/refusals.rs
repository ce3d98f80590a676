//! Refusals: what a scan may not look at or will not read, said once and again when it changes.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::fs::{FileKind, Fs, Printable, Refusal};
use crate::source::SeenFile;

/// Paths remembered as refused; more are neither said nor counted.
///
/// 10,000: some 2 MiB. Whoever makes more of them is to fill neither memory nor the agent's log.
const REFUSALS_MAX: usize = 10_000;

/// What scans refused, and why.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    known: HashMap<PathBuf, Known>,
    unheard: usize,
}

#[derive(Debug, Default)]
struct Known {
    /// Empty if it is not refused any more.
    why: String,
    is_met: bool,
    /// How often `why` changed. A path that flips to and fro is said less and less often.
    changes: u32,
}

impl Refusals {
    /// A scan of everything begins.
    pub(super) fn begin(&mut self) {
        self.known.values_mut().for_each(|it| it.is_met = false);
        self.unheard = 0;
    }

    /// A scan of everything ended: what it did not meet is not there any more.
    pub(super) fn end(&mut self) {
        self.known.retain(|_, it| it.is_met);
    }

    /// How many paths are refused.
    pub(super) fn count(&self) -> usize {
        self.known.values().filter(|it| !it.why.is_empty()).count()
    }

    /// Whether the watch would tell of all that becomes of what was looked at since the last scan of everything
    /// began: it hears nothing of files that links lead to, nor when one comes that a link waits for.
    pub(super) fn is_heard(&self) -> bool {
        self.unheard == 0 && self.count() == 0
    }

    /// The file at `path`, if it can be read; if not, this is said.
    pub(super) fn file(&mut self, fs: &dyn Fs, path: PathBuf) -> Option<SeenFile> {
        match fs.stat(&path) {
            Ok(stat) if stat.kind == FileKind::Regular => {
                self.passed(&path);
                self.unheard += usize::from(stat.is_linked);
                Some(SeenFile { path, stat, packed: None })
            }
            // A directory is no file that somebody may be waiting for.
            Ok(stat) if stat.kind == FileKind::Directory => None,
            Ok(stat) => {
                self.refuse(&path, &Refusal::Kind(stat.kind).to_string());
                None
            }
            Err(error) => {
                // It has a name: a link that leads nowhere yet, if it was not removed just now.
                self.unheard += usize::from(error.kind() == io::ErrorKind::NotFound);
                self.failed(&path, &error);
                None
            }
        }
    }

    /// Says why `path` cannot be looked at, unless it is not there.
    pub(super) fn failed(&mut self, path: &Path, error: &io::Error) {
        if error.kind() != io::ErrorKind::NotFound {
            self.refuse(path, &error.to_string());
        }
    }

    /// `path` can be looked at.
    pub(super) fn passed(&mut self, path: &Path) {
        if let Some(known) = self.known.get_mut(path) {
            known.is_met = true;
            known.why.clear();
        }
    }

    fn refuse(&mut self, path: &Path, why: &str) {
        if !self.known.contains_key(path) && self.known.len() < REFUSALS_MAX {
            self.known.insert(path.to_path_buf(), Known::default());
        }
        let Some(known) = self.known.get_mut(path) else { return };
        known.is_met = true;
        if known.why == why {
            return;
        }
        why.clone_into(&mut known.why);
        known.changes = known.changes.saturating_add(1);
        if known.changes.is_power_of_two() {
            tracing::warn!(path = %Printable(path), why, "refused");
        }
    }
}
