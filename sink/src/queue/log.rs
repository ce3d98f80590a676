//! Log: one tenant's side of the queue: the active segment, what was sealed, and what waits for a sync.
//!
//! Under one short lock per tenant, taken once per payload by shippers and twice per round by the
//! sync thread, which syncs the files without it. So one tenant's writes never wait for another's.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flow::{AckSender, Clock, Payload, SinkError, Ticket, is_mutant};

use super::active::{Active, retry};
use super::disk::Disk;
use super::fetch::FrameId;
use super::limits::UNSYNCED_BYTES_MAX;
use super::options::QueueOptions;
use super::segment::{SegmentHeader, segment_path};

/// A segment that is not appended to any more.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) sequence: u64,
    pub(super) bytes: u64,
    /// Latest time at which anything in it was read from its source, nanoseconds since 1970.
    pub(super) last_observed_unix_ns: i64,
}

/// Tickets of one payload that was written and is not synced yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) acks: AckSender,
    pub(super) tickets: Vec<Ticket>,
}

/// A file with bytes that are not safe yet.
#[derive(Debug)]
pub(super) struct Unsynced {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    /// Up to here they are.
    pub(super) synced_end: u64,
}

/// What one round of syncing makes safe of one tenant.
#[derive(Debug)]
pub(super) struct Round {
    /// In the order of their sequences.
    pub(super) files: Vec<Unsynced>,
    /// Folders in which names were made, the inner one first.
    pub(super) folders: Vec<PathBuf>,
    pub(super) pending: Vec<Pending>,
    bytes: u64,
    /// The active segment, and its end when the round began.
    active: Option<(u64, u64)>,
}

/// What a log needs of the queue it belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) options: &'a QueueOptions,
    pub(super) clock: &'a dyn Clock,
    pub(super) disk: &'a dyn Disk,
}

/// One tenant's segments, as their writer knows them.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) tenant: Arc<str>,
    pub(super) folder: PathBuf,
    pub(super) active: Option<Active>,
    /// Oldest first.
    pub(super) closed: VecDeque<Closed>,
    pub(super) next_sequence: u64,
    /// Sealed since the last round.
    sealed: Vec<Unsynced>,
    /// Folders in which names were made since the last round.
    folders: Vec<PathBuf>,
    pending: Vec<Pending>,
    unsynced_bytes: u64,
    scratch: Vec<u8>,
}

/// Figures of one tenant's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantStats {
    /// Whose.
    pub tenant: Arc<str>,
    /// Segment files.
    pub segments: usize,
    /// Bytes in them.
    pub bytes: u64,
    /// Bytes written and not synced yet.
    pub unsynced_bytes: u64,
}

impl Log {
    pub(super) fn new(tenant: Arc<str>, folder: PathBuf) -> Log {
        Log {
            tenant,
            folder,
            active: None,
            closed: VecDeque::new(),
            next_sequence: 0,
            sealed: Vec::new(),
            folders: Vec::new(),
            pending: Vec::new(),
            unsynced_bytes: 0,
            scratch: Vec::new(),
        }
    }

    /// A name was made in `folder`, which the next round makes safe.
    pub(super) fn name_made_in(&mut self, folder: PathBuf) {
        if !self.folders.contains(&folder) {
            self.folders.push(folder);
        }
    }

    /// Appends a payload that was checked. Its tickets are left to [`Log::wait_for_sync`].
    pub(super) fn append(
        &mut self,
        payload: &Payload,
        around: Surroundings<'_>,
    ) -> Result<FrameId, SinkError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let appended = self.append_with(&mut scratch, payload, around);
        self.scratch = scratch;
        appended
    }

    fn append_with(
        &mut self,
        scratch: &mut Vec<u8>,
        payload: &Payload,
        around: Surroundings<'_>,
    ) -> Result<FrameId, SinkError> {
        loop {
            let active = self.active(around)?;
            let frames = active.encode(payload, scratch);
            let bytes = (scratch.len() + payload.block.len()) as u64;
            let positions = payload.headers.iter().map(|header| header.positions.len()).sum();
            let is_full = active.end + bytes > around.options.segment_bytes
                || active.index.is_full_for(payload.headers.len(), positions);
            if is_full && !active.is_empty() {
                self.seal(around)?;
                continue;
            }
            if self.unsynced_bytes > 0 && self.unsynced_bytes + bytes > UNSYNCED_BYTES_MAX {
                return Err(SinkError::Busy);
            }
            let active = self.active(around)?;
            let frame = active.append(payload, scratch, frames, around.disk)?;
            self.unsynced_bytes += bytes;
            return Ok(frame);
        }
    }

    /// The tickets of what was appended last are completed by the sync that makes it safe.
    pub(super) fn wait_for_sync(&mut self, acks: &AckSender, tickets: Vec<Ticket>) {
        if is_mutant("written_counted_as_safe") {
            return acks.complete(tickets);
        }
        self.pending.push(Pending { acks: acks.clone(), tickets });
    }

    /// Whether so much is unsynced that the next sync should not wait.
    pub(super) fn is_pressing(&self) -> bool {
        self.unsynced_bytes > UNSYNCED_BYTES_MAX / 2
    }

    fn active(&mut self, around: Surroundings<'_>) -> Result<&mut Active, SinkError> {
        if self.active.is_none() {
            let (unix_ns, monotonic_ns) = (around.clock.unix_ns(), around.clock.monotonic_ns());
            let sequence = self.next_sequence;
            let header = SegmentHeader::new(&self.tenant, sequence, unix_ns, monotonic_ns);
            let active = Active::create(&self.folder, &header, around.disk)?;
            self.next_sequence += 1;
            self.unsynced_bytes += active.unsynced_bytes();
            self.name_made_in(self.folder.clone());
            self.active = Some(active);
        }
        Ok(self.active.as_mut().expect("made above"))
    }

    /// Seals the active segment, and removes what retention says.
    fn seal(&mut self, around: Surroundings<'_>) -> Result<(), SinkError> {
        let Some(active) = &mut self.active else { return Ok(()) };
        let end = active.end;
        active.seal(around.disk)?;
        self.unsynced_bytes += active.end - end;
        self.closed.push_back(Closed {
            sequence: active.sequence,
            bytes: active.end,
            last_observed_unix_ns: active.last_observed_unix_ns(),
        });
        self.sealed.push(Unsynced {
            file: Arc::clone(&active.file),
            path: active.path.clone(),
            synced_end: active.synced_end,
        });
        self.active = None;
        self.retain(around.options, around.clock.unix_ns());
        Ok(())
    }

    /// Removes the oldest closed segments as long as there are too many bytes, or they are too old.
    ///
    /// Returns how many. Readers that have one open go on reading it.
    pub(super) fn retain(&mut self, options: &QueueOptions, unix_ns: i64) -> usize {
        let mut bytes = self.bytes();
        let mut removed = 0;
        while let Some(oldest) = self.closed.front() {
            let age_ns = unix_ns.saturating_sub(oldest.last_observed_unix_ns);
            let age = Duration::from_nanos(u64::try_from(age_ns).unwrap_or(0));
            if bytes <= options.retain_bytes && age <= options.retain_age {
                break;
            }
            let path = segment_path(&self.folder, oldest.sequence);
            match std::fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    // Tried again when the next segment is sealed.
                    let why = retry(&path, "remove", &error);
                    tracing::warn!(%why, "segment beyond retention stays");
                    break;
                }
            }
            bytes -= oldest.bytes;
            removed += 1;
            self.closed.pop_front();
        }
        removed
    }

    /// Removes closed segments by their sequences, oldest first, whatever retention says.
    ///
    /// # Errors
    /// If one cannot be removed; it is tried again with the next.
    pub(super) fn remove(&mut self, is_free: impl Fn(u64) -> bool) -> Result<(), SinkError> {
        while let Some(index) = self.closed.iter().position(|it| is_free(it.sequence)) {
            let path = segment_path(&self.folder, self.closed[index].sequence);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(retry(&path, "remove", &error));
                }
                _ => drop(self.closed.remove(index)),
            }
        }
        Ok(())
    }

    /// Seals the active segment, and begins the next at once: a log is never without a segment, so that
    /// sequences go on.
    pub(super) fn begin_next(&mut self, around: Surroundings<'_>) -> Result<(), SinkError> {
        self.seal(around)?;
        self.active(around).map(drop)
    }

    /// Whether all that was written is safe, names included.
    pub(super) fn is_synced(&self) -> bool {
        self.unsynced_bytes == 0 && self.folders.is_empty() && self.pending.is_empty()
    }

    fn bytes(&self) -> u64 {
        let closed: u64 = self.closed.iter().map(|segment| segment.bytes).sum();
        closed + self.active.as_ref().map_or(0, |active| active.end)
    }

    /// What is to be synced; none if all is safe.
    pub(super) fn begin_round(&mut self) -> Option<Round> {
        let mut files = std::mem::take(&mut self.sealed);
        let mut end = None;
        if let Some(active) = self.active.as_ref().filter(|active| active.unsynced_bytes() > 0) {
            files.push(Unsynced {
                file: Arc::clone(&active.file),
                path: active.path.clone(),
                synced_end: active.synced_end,
            });
            end = Some((active.sequence, active.end));
        }
        if files.is_empty() && self.folders.is_empty() && self.pending.is_empty() {
            return None;
        }
        Some(Round {
            files,
            folders: std::mem::take(&mut self.folders),
            pending: std::mem::take(&mut self.pending),
            bytes: self.unsynced_bytes,
            active: end,
        })
    }

    /// All of `round` is safe.
    pub(super) fn end_round(&mut self, round: &Round) {
        self.unsynced_bytes -= round.bytes;
        let Some((sequence, end)) = round.active else { return };
        // It may have been sealed meanwhile, with bytes that this round did not sync.
        match &mut self.active {
            Some(active) if active.sequence == sequence => active.synced_end = end,
            _ => {
                let path = segment_path(&self.folder, sequence);
                let sealed = self.sealed.iter_mut().find(|sealed| sealed.path == path);
                sealed.expect("sealed while it was synced").synced_end = end;
            }
        }
    }

    /// A sync failed, and the queue takes nothing any more: lets go of all tickets, and cuts off what
    /// is not known to be safe.
    ///
    /// What a failed sync leaves in the page cache looks whole until the machine stops, and would be
    /// taken for kept when the queue is opened again. Cut off, it is known to be missing instead.
    pub(super) fn abandon(&mut self, failed: &[Unsynced], disk: &dyn Disk) {
        self.pending = Vec::new();
        if failed.is_empty() {
            return;
        }
        let active = self.active.as_ref().map(|active| Unsynced {
            file: Arc::clone(&active.file),
            path: active.path.clone(),
            synced_end: active.synced_end,
        });
        for unsynced in failed.iter().chain(&self.sealed).chain(&active) {
            if let Err(error) = disk.cut(&unsynced.file, unsynced.synced_end) {
                let path = unsynced.path.display();
                tracing::error!(%path, %error, "unsafe bytes stay in the segment");
            }
        }
    }

    /// Lets go of all tickets: their spans are not acknowledged.
    pub(super) fn drop_tickets(&mut self) {
        self.pending = Vec::new();
    }

    pub(super) fn stats(&self) -> TenantStats {
        TenantStats {
            tenant: Arc::clone(&self.tenant),
            segments: self.closed.len() + usize::from(self.active.is_some()),
            bytes: self.bytes(),
            unsynced_bytes: self.unsynced_bytes,
        }
    }
}
