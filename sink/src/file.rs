//! File sink: appends blocks to a file that rotates itself.
//!
//! Shippers own a [`FileSink`] each; all sinks of one path share one [`LogFile`], so blocks of
//! several lanes follow each other whole. Writing is done on the shipper's thread. Tickets complete
//! after `fdatasync`, which the thread `lf-file-sync` calls at most once per interval, so that a
//! slow disk costs an ack's delay and not the shipper's time.
//!
//! Uncompressed JSON lines are plain lines in the file; Zstandard frames may follow each other too
//! (`zstdcat` reads them); LZ4 blocks may not, since a bare block does not say where it ends.

mod rotate;
mod storage;
mod sync;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flow::{AckSender, Clock, Codec, Encoding, Payload, Refused, Sink, SinkError};

use self::storage::{Disk, Opener, Storage};
use self::sync::{Syncer, Unsynced};

/// Largest file before it is rotated, by default, in bytes: what editors and `less` still open.
pub const ROTATE_BYTES_DEFAULT: u64 = 128 << 20;
/// How many rotated files are kept, by default.
pub const KEEP_DEFAULT: u32 = 5;
/// How long an ack waits for `fdatasync` at most, by default: the same as a checkpoint does.
pub const SYNC_INTERVAL_DEFAULT: Duration = Duration::from_secs(1);

/// Where and how a file sink writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileConfig {
    /// The live file; rotated ones are called `path.1`, the latest, to `path.<keep>`.
    pub path: PathBuf,
    /// A block that would make the file longer than this goes to a new one, in bytes. A single
    /// larger block has a file of its own.
    pub rotate_bytes: u64,
    /// How many rotated files are kept; 0 removes a full file at once.
    pub keep: u32,
    /// How long written bytes may wait for `fdatasync`.
    pub sync_interval: Duration,
}

impl FileConfig {
    /// The defaults, for `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> FileConfig {
        FileConfig {
            path: path.into(),
            rotate_bytes: ROTATE_BYTES_DEFAULT,
            keep: KEEP_DEFAULT,
            sync_interval: SYNC_INTERVAL_DEFAULT,
        }
    }
}

/// Why a file sink could not begin.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}: {why}; check path, owner and free space of the file sink", path.display())]
pub struct OpenFileError {
    /// The live file.
    pub path: PathBuf,
    /// What failed.
    pub what: &'static str,
    /// What the system said.
    #[source]
    pub why: std::io::Error,
}

/// The file that sinks of one path share.
///
/// When the last owner drops it, what is written is synced, acknowledged, and the thread ends.
#[derive(Debug)]
pub struct LogFile {
    config: FileConfig,
    opener: Opener,
    /// The live file; `None` after a rotation whose second half failed.
    live: Mutex<Option<Arc<dyn Storage>>>,
    syncer: Syncer,
}

impl LogFile {
    /// Opens or creates the file and starts its thread.
    ///
    /// # Errors
    /// If the file cannot be opened for appending, or no thread can be started.
    pub fn open(config: FileConfig, clock: Arc<dyn Clock>) -> Result<Arc<LogFile>, OpenFileError> {
        LogFile::open_with(config, clock, Disk::open)
    }

    fn open_with(
        config: FileConfig,
        clock: Arc<dyn Clock>,
        opener: Opener,
    ) -> Result<Arc<LogFile>, OpenFileError> {
        let failed = |what| {
            let path = config.path.clone();
            move |why| OpenFileError { path, what, why }
        };
        rotate::remove_beyond(&config.path, config.keep).map_err(failed("removing old files"))?;
        let live = opener(&config.path).map_err(failed("opening"))?;
        let syncer =
            Syncer::start(config.sync_interval, clock).map_err(failed("starting its thread"))?;
        Ok(Arc::new(LogFile { config, opener, live: Mutex::new(Some(live)), syncer }))
    }

    fn append(&self, payload: Payload, acks: &AckSender) -> Result<Vec<u8>, Box<Refused>> {
        let written = self.write(&payload);
        match written {
            Ok(file) => {
                let Payload { block, tickets, .. } = payload;
                self.syncer.add(Unsynced { file, acks: acks.clone(), tickets });
                Ok(block)
            }
            Err(why) => Err(Box::new(Refused { payload, why })),
        }
    }

    /// Writes the block, to the file that is returned.
    fn write(&self, payload: &Payload) -> Result<Arc<dyn Storage>, SinkError> {
        self.syncer.health()?;
        if payload.codec == Codec::Lz4 {
            return Err(SinkError::Broken(
                self.text("lz4 blocks do not say where they end; set zstd or none"),
            ));
        }
        if self.syncer.is_full() {
            return Err(SinkError::Busy);
        }
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.file_for(&mut live, payload.block.len() as u64).map_err(|error| {
            SinkError::Retry(self.text(&format!("no file to write to: {error}")))
        })?;
        let end = file.len().map_err(|error| SinkError::Retry(self.text(&error.to_string())))?;
        let Err(error) = append_block(&*file, end, payload) else { return Ok(file) };
        // The next block must not follow half of this one.
        let cut = match file.len() {
            Ok(len) if len == end => Ok(()),
            _ => file.cut(end),
        };
        drop(live);
        match cut {
            Ok(()) => Err(SinkError::Retry(self.text(&error.to_string()))),
            Err(cut) => {
                let text = self.text(&format!("{error}, and its half was not cut off: {cut}"));
                self.syncer.fail(text.clone());
                Err(SinkError::Broken(text))
            }
        }
    }

    /// The live file, rotated first if `bytes` more would be too many.
    fn file_for(
        &self,
        live: &mut Option<Arc<dyn Storage>>,
        bytes: u64,
    ) -> std::io::Result<Arc<dyn Storage>> {
        if let Some(file) = &*live {
            let len = file.len()?;
            if len == 0 || len.saturating_add(bytes) <= self.config.rotate_bytes {
                return Ok(Arc::clone(file));
            }
            rotate::shift(&self.config.path, self.config.keep)?;
            *live = None;
        }
        let file = (self.opener)(&self.config.path)?;
        Ok(Arc::clone(live.insert(file)))
    }

    fn text(&self, why: &str) -> String {
        format!("{}: {why}", self.config.path.display())
    }
}

/// Appends the block; lines never go on an unended one that a crash has left.
fn append_block(file: &dyn Storage, end: u64, payload: &Payload) -> std::io::Result<()> {
    let is_lines = payload.encoding == Encoding::JsonLines && payload.codec == Codec::None;
    if is_lines && end > 0 && file.last_byte(end)? != b'\n' {
        file.append(b"\n")?;
    }
    file.append(&payload.block)
}

/// One shipper's end of a [`LogFile`].
#[derive(Debug)]
pub struct FileSink {
    file: Arc<LogFile>,
    acks: AckSender,
}

impl FileSink {
    /// A sink that appends to `file` and acknowledges through `acks`.
    #[must_use]
    pub fn new(file: Arc<LogFile>, acks: AckSender) -> FileSink {
        FileSink { file, acks }
    }
}

impl Sink for FileSink {
    fn submit(&mut self, payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>> {
        self.file.append(payload, &self.acks).map(Some)
    }

    fn flush(&mut self, deadline_ns: u64) -> Result<(), SinkError> {
        self.file.syncer.flush(deadline_ns)
    }

    fn health(&self) -> Result<(), SinkError> {
        self.file.syncer.health()
    }
}

#[cfg(test)]
mod tests;
