//! Options: what an administrator may set of a queue, and why it may not be opened.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::limits::{
    RETAIN_AGE_DEFAULT, RETAIN_BYTES_DEFAULT, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX,
    SYNC_INTERVAL_DEFAULT, SYNC_INTERVAL_MAX,
};
use super::segment::FORMAT_VERSION;

/// What may be set of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueOptions {
    /// A segment is sealed before it grows beyond this, in bytes; a larger frame has its own.
    pub segment_bytes: u64,
    /// Most bytes per tenant; beyond, the oldest sealed segments are removed.
    pub retain_bytes: u64,
    /// Sealed segments whose newest section was read longer ago than this are removed.
    pub retain_age: Duration,
    /// How long written bytes may wait to be synced together.
    pub sync_interval: Duration,
}

impl Default for QueueOptions {
    fn default() -> QueueOptions {
        QueueOptions {
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            retain_bytes: RETAIN_BYTES_DEFAULT,
            retain_age: RETAIN_AGE_DEFAULT,
            sync_interval: SYNC_INTERVAL_DEFAULT,
        }
    }
}

impl QueueOptions {
    /// Checks the values.
    pub(super) fn check(&self) -> Result<(), OpenError> {
        let option = |name, why: String| Err(OpenError::Option { name, why });
        if !(1..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes) {
            let why = format!("{}: want 1 to {SEGMENT_BYTES_MAX}", self.segment_bytes);
            return option("segment_bytes", why);
        }
        if self.sync_interval > SYNC_INTERVAL_MAX {
            let why = format!("{:?}: want at most {SYNC_INTERVAL_MAX:?}", self.sync_interval);
            return option("sync_interval", why);
        }
        Ok(())
    }
}

/// Why a queue could not be opened for writing.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// An option is out of range.
    #[error("queue: {name} = {why}")]
    Option {
        /// Its name.
        name: &'static str,
        /// Its value and what may be.
        why: String,
    },
    /// Another writer has the queue.
    #[error(
        "{}: held by another writer ({holder}); stop it, or give this one another folder",
        dir.display()
    )]
    Locked {
        /// The queue's folder.
        dir: PathBuf,
        /// What the other wrote about itself.
        holder: String,
    },
    /// A segment of a version that this program does not know.
    #[error(
        "{}: format version {version}, this program knows {FORMAT_VERSION}; use the program that \
         wrote it, or move the folder away to begin a new queue",
        path.display()
    )]
    Version {
        /// The segment.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The system refused.
    #[error("{}: {what}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What was tried, and what to do where that is not plain.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl OpenError {
    /// Adds place and deed to what the system said; for `map_err`.
    pub(super) fn io(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> OpenError {
        let path = path.to_owned();
        move |source| OpenError::Io { path, what, source }
    }
}
