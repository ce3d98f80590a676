//! Checkpoint: the watermarks on disk, safe against a crash at any moment.
//!
//! A directory holds at most two files `checkpoint.N`. A file begins with a snapshot of all
//! contexts and goes on with frames of what changed; the later entry of a context counts. When the
//! frames outgrow the snapshot, a new file is written beside (temporary name, fsync, rename, fsync of
//! the directory) and the one before the previous is removed. Every frame has a checksum: a torn
//! tail is cut, a damaged file is reported and the previous one is used. `docs/FORMAT.md` has the
//! layout. Owned by the tracker's thread.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::{ContextId, is_mutant};

use crate::memory::Memory;
use crate::source::Known;

mod disk;
mod ended;
mod follow;
mod format;
mod load;
use disk::HostState;
pub use disk::{StateDisk, StateFile};
pub use ended::End;
use ended::Ended;
pub use follow::Follower;
pub use format::VERSION as FORMAT_VERSION;
pub use load::{Damage, Loaded};

/// What is stored of one context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub context: ContextId,
    /// Where it goes on: the end of the acknowledged, gap-free prefix.
    pub known: Known,
    /// Wall-clock time of the last change, seconds since 1970.
    pub updated_unix_seconds: i64,
    /// Its files are gone, and all of them is acknowledged; `None` as long as that is not so.
    pub end: Option<End>,
}

/// An entry, taken apart; at last whether it ended.
type Parts<'a> = (ContextId, &'a Known, i64, bool);

impl Entry {
    /// An entry that was never stored.
    #[must_use]
    pub fn new(context: ContextId, known: Known) -> Entry {
        Entry { context, known, updated_unix_seconds: 0, end: None }
    }

    fn parts(&self) -> Parts<'_> {
        (self.context, &self.known, self.updated_unix_seconds, self.end.is_some())
    }
}

/// How long a context that does not change is kept, in seconds.
///
/// 7 days: as long as a queue keeps records by default. A source that comes back later begins a new
/// epoch. Of those whose files are gone only so many are kept as [`CheckpointStore::bounded`] says.
pub const KEEP_SECONDS: i64 = 7 * 86_400;

/// A file is replaced when it is larger than this many times its snapshot …
const GROWTH_MAX: u64 = 4;
/// … and larger than this, in bytes: small ones are not worth the two fsyncs.
const COMPACT_BYTES_MIN: u64 = 1 << 20;

/// What the names of checkpoint files begin with; a sequence number follows.
const NAME_PREFIX: &str = "checkpoint.";
/// Name of a file that is not whole yet.
const TEMPORARY_NAME: &str = "checkpoint.tmp";

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another agent has it.
    #[error(
        "{}: in use by another logferry; stop that one, or give this one a directory of its own",
        .0.display()
    )]
    Locked(PathBuf),
    /// The file system refuses.
    #[error("{}: {source}; the agent needs to read and write there", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Written by a later version.
    #[error(
        "{}: written by a later version (format {version}); run that version, or move the file away \
         to begin anew from what the queue holds", .path.display()
    )]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its format version.
        version: u32,
    },
}

impl OpenError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
        let path = path.to_path_buf();
        move |source| OpenError::Io { path, source }
    }
}

/// A checkpoint that was not stored; the one before is still good.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}; what is acknowledged meanwhile may be read again after a crash", .path.display())]
pub struct StoreError {
    path: PathBuf,
    source: io::Error,
}

/// What a context's entry is, beside the context.
#[derive(Debug)]
struct Stored {
    known: Known,
    updated_unix_seconds: i64,
}

impl Stored {
    /// In as many bytes as it takes: there may be very many.
    fn new(mut entry: Entry) -> (ContextId, Stored) {
        entry.known.generations.shrink_to_fit();
        let Entry { context, known, updated_unix_seconds, end: _ } = entry;
        (context, Stored { known, updated_unix_seconds })
    }

    fn is_kept(&self, now_unix_seconds: i64) -> bool {
        now_unix_seconds.saturating_sub(self.updated_unix_seconds) < KEEP_SECONDS
    }
}

/// The checkpoint of one state directory.
#[derive(Debug)]
pub struct CheckpointStore {
    disk: Box<dyn StateDisk>,
    contexts: HashMap<ContextId, Stored>,
    /// Those of them whose files are gone.
    ended: Ended,
    /// What is forgotten here is forgotten there.
    memory: Option<Arc<Memory>>,
    sequence: u64,
    /// The file being appended to; `None` after an error, and then a new one is begun.
    file: Option<Box<dyn StateFile>>,
    /// Length of what is known to be good.
    bytes: u64,
    snapshot_bytes: u64,
}

impl CheckpointStore {
    /// Takes the directory, reads the last checkpoint, and begins a new file.
    ///
    /// # Errors
    /// If another agent has the directory, or it cannot be read or written.
    pub fn open(
        directory: &Path,
        now_unix_seconds: i64,
    ) -> Result<(CheckpointStore, Loaded), OpenError> {
        CheckpointStore::open_on(Box::new(HostState::open(directory)?), now_unix_seconds)
    }

    /// Reads the last checkpoint of a folder that is this process's alone, and begins a new file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open_on(
        disk: Box<dyn StateDisk>,
        now_unix_seconds: i64,
    ) -> Result<(CheckpointStore, Loaded), OpenError> {
        let loaded = load::load(&*disk)?;
        let mut store = CheckpointStore {
            disk,
            contexts: HashMap::new(),
            ended: Ended::default(),
            memory: None,
            sequence: loaded.last_sequence,
            file: None,
            bytes: 0,
            snapshot_bytes: 0,
        };
        store.extend(loaded.entries.iter().cloned());
        store.forget_old(now_unix_seconds);
        // A full disk is no reason not to start: shipping goes on, and storing is tried again.
        if let Err(error) = store.begin_file() {
            tracing::error!(%error, "no new checkpoint file yet");
        }
        Ok((store, loaded))
    }

    /// Lets contexts whose files are gone take `ended_bytes_max` here and in `memory` together; what is forgotten
    /// is forgotten by both.
    ///
    /// Beyond that the tenant with most of them loses its oldest. Never forgotten are contexts whose files are still
    /// there, or of which something is not acknowledged.
    #[must_use]
    pub fn bounded(mut self, memory: Arc<Memory>, ended_bytes_max: usize) -> CheckpointStore {
        self.ended.limit(ended_bytes_max);
        self.memory = Some(memory);
        self
    }

    /// What contexts take whose files are gone, in bytes.
    #[must_use]
    pub fn ended_bytes(&self) -> usize {
        self.ended.bytes()
    }

    /// Whether the files of a context were gone when it was stored.
    #[must_use]
    pub fn has_ended(&self, context: ContextId) -> bool {
        self.ended.has(context)
    }

    /// What is stored of a context, or was to be.
    #[must_use]
    pub fn known(&self, context: ContextId) -> Option<&Known> {
        self.contexts.get(&context).map(|it| &it.known)
    }

    /// Whether just this is stored, of a context that did not end, and was so lately that it will not be forgotten.
    #[must_use]
    pub fn has(&self, context: ContextId, known: &Known, now_unix_seconds: i64) -> bool {
        self.contexts.get(&context).is_some_and(|it| {
            let age_seconds = now_unix_seconds.saturating_sub(it.updated_unix_seconds);
            it.known == *known && age_seconds < KEEP_SECONDS / 2 && !self.ended.has(context)
        })
    }

    /// Stores changed entries, durably when this returns. With `is_refresh` a new file is begun.
    ///
    /// A new file is without the contexts that did not change for [`KEEP_SECONDS`], unless they are
    /// among those that `open` tells.
    ///
    /// # Errors
    /// If the file system refuses. The entries are known from now on, but only a new file is sure to
    /// have them: whoever changed them gives them again with the next call.
    pub fn store(
        &mut self,
        changed: Vec<Entry>,
        now_unix_seconds: i64,
        is_refresh: bool,
        open: impl FnOnce() -> HashSet<ContextId>,
    ) -> Result<(), StoreError> {
        let frame = format::changes(changed.iter().map(Entry::parts));
        self.forget_ended(&changed, now_unix_seconds);
        self.extend(changed);
        let limit = COMPACT_BYTES_MIN.max(self.snapshot_bytes * GROWTH_MAX);
        if is_refresh || self.file.is_none() || self.bytes + frame.len() as u64 > limit {
            drop(frame);
            for context in open() {
                if let Some(stored) = self.contexts.get_mut(&context) {
                    stored.updated_unix_seconds = now_unix_seconds;
                }
            }
            self.forget_old(now_unix_seconds);
            return self.begin_file();
        }
        self.append(&frame)
    }

    fn extend(&mut self, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            self.ended.set(entry.context, &entry.known, entry.end);
            let (context, stored) = Stored::new(entry);
            self.contexts.insert(context, stored);
        }
    }

    /// Forgets of those that ended what is too much. Not those that `changed`: the tracker still has them.
    fn forget_ended(&mut self, changed: &[Entry], now_unix_seconds: i64) {
        changed.iter().for_each(|it| self.ended.remove(it.context));
        let memory = self.memory.as_deref();
        self.ended.sweep(&mut self.contexts, |context, source, known| {
            // Who comes back begins an epoch, the time in seconds, that must be another one.
            i64::from(known.epoch) < now_unix_seconds
                && memory.is_none_or(|it| it.forget(context, source))
        });
    }

    /// Forgets those that did not change for [`KEEP_SECONDS`].
    fn forget_old(&mut self, now_unix_seconds: i64) {
        let (ended, memory) = (&mut self.ended, self.memory.as_deref());
        self.contexts.retain(|context, it| {
            let source = ended.source(*context);
            let is_kept = it.is_kept(now_unix_seconds)
                // A reader has it again, and the tracker will hear of that.
                || memory.is_some_and(|memory| !memory.forget(*context, source));
            if !is_kept {
                ended.remove(*context);
            }
            is_kept
        });
        // What was too old when it was loaded was never here.
        if let Some(memory) = memory {
            memory.retain_loaded(|context| self.contexts.contains_key(&context));
        }
    }

    fn append(&mut self, frame: &[u8]) -> Result<(), StoreError> {
        let Some(file) = &self.file else { unreachable!("store begins a file first") };
        // By offset: after a failed write the file's own position is somewhere in the middle.
        if let Err(source) = file.write_at(frame, self.bytes) {
            // What was written of the frame goes; without that, later frames would stand behind a
            // torn one and be lost with it.
            if is_mutant("torn_frame_left_in_the_middle") {
                self.bytes += frame.len() as u64;
            } else if file.cut(self.bytes).is_err() {
                self.file = None;
            }
            return Err(self.failed(self.sequence, source));
        }
        if is_mutant("changes_not_synced") {
            self.bytes += frame.len() as u64;
            return Ok(());
        }
        if let Err(source) = file.sync() {
            // Nobody knows what is on the disk now: this file is not touched again.
            self.file = None;
            return Err(self.failed(self.sequence, source));
        }
        self.bytes += frame.len() as u64;
        Ok(())
    }

    /// Writes everything known to a new file.
    fn begin_file(&mut self) -> Result<(), StoreError> {
        let sequence = self.sequence + 1;
        if is_mutant("old_checkpoint_removed_first") {
            drop(self.disk.remove(&name(self.sequence)));
            drop(self.disk.remove(&name(self.sequence.saturating_sub(1))));
        }
        self.write_file(sequence).map_err(|source| self.failed(sequence, source))?;
        self.sequence = sequence;
        self.remove_old();
        Ok(())
    }

    fn write_file(&mut self, sequence: u64) -> io::Result<()> {
        let parts = self
            .contexts
            .iter()
            .map(|(id, it)| (*id, &it.known, it.updated_unix_seconds, self.ended.has(*id)));
        let file = self.disk.create(TEMPORARY_NAME)?;
        let bytes = format::write_snapshot(&*file, sequence, parts)?;
        if !is_mutant("checkpoint_not_synced") {
            file.sync()?;
        }
        // Once it may have its name, it may be the one that counts: nothing goes to the old one any
        // more, even if what follows fails.
        if !is_mutant("old_checkpoint_appended_to") {
            self.file = None;
        }
        self.disk.rename(TEMPORARY_NAME, &name(sequence))?;
        if !is_mutant("no_folder_sync") {
            self.disk.sync_names()?;
        }
        self.file = Some(file);
        self.bytes = bytes;
        self.snapshot_bytes = self.bytes;
        Ok(())
    }

    /// Keeps this file and the one before it.
    fn remove_old(&self) {
        let Ok(names) = self.disk.names() else { return };
        for sequence in load::sequences(&names).into_iter().filter(|it| it + 1 < self.sequence) {
            // One that stays is removed next time.
            drop(self.disk.remove(&name(sequence)));
        }
    }

    fn failed(&self, sequence: u64, source: io::Error) -> StoreError {
        StoreError { path: self.disk.path(&name(sequence)), source }
    }
}

/// Name of the checkpoint file with this number.
fn name(sequence: u64) -> String {
    format!("{NAME_PREFIX}{sequence:016x}")
}

#[cfg(test)]
mod tests;
