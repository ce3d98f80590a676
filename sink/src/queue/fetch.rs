//! Fetch: one frame by its place, and room for new ones: what a spool does with a queue beside appending.

use std::io;
use std::ops::Range;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use flow::{Codec, Context, ContextId, Encoding, PayloadHeader, SinkError};

use super::Queue;
use super::batch_frame::decode_batch;
use super::block::{BlockError, BlockRef};
use super::frame::FrameKind;
use super::load::{frame_at, load_index};
use super::problem::Problem;
use super::scan::{Entry, Place, bare_context, entry};
use super::segment::segment_path;
use super::shared::Tenant;
use super::sync;
use super::walk::{RawFrame, SegmentFile};

/// Which frame of a tenant; in queue order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FrameId {
    /// Sequence of the segment.
    pub sequence: u64,
    /// Offset of the batch frame in the segment.
    pub offset: u64,
}

/// A frame, read.
#[derive(Debug)]
pub struct Fetched {
    /// How its sections are encoded.
    pub encoding: Encoding,
    /// How the block is compressed.
    pub codec: Codec,
    /// Length of the block before compression, in bytes.
    pub raw_bytes: u32,
    /// The block as it was submitted.
    pub block: Bytes,
    /// One per section, in order.
    pub headers: Vec<PayloadHeader>,
}

/// Why a frame could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// It is not what was written, or not there any more.
    #[error("{0}")]
    Damaged(String),
    /// The system refused: it may be there.
    #[error("{0}")]
    Refused(String),
}

impl Queue {
    /// The frame of a tenant, every checksum checked. `context` knows those that are described before it.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn fetch(
        &self,
        tenant: &str,
        id: FrameId,
        context: impl Fn(ContextId) -> Option<Arc<Context>>,
    ) -> Result<Fetched, FetchError> {
        let (segment, frame) = self.frame(tenant, id)?;
        let damaged = |why: String| {
            let path = segment.path.display();
            FetchError::Damaged(format!("{path}: offset {}: {why}", id.offset))
        };
        let (head, rows) =
            decode_batch(&frame.header_part).map_err(|bad| damaged(bad.to_string()))?;
        let block = BlockRef::new(&segment, &frame, head);
        let mut headers = Vec::with_capacity(rows.len());
        for (number, row) in (0..).zip(rows) {
            let known = context(row.context);
            let known =
                known.ok_or_else(|| damaged(format!("context {} is not known", row.context)))?;
            let place = Place { sequence: id.sequence, offset: id.offset, number };
            headers.push(entry(row, known, place).header);
        }
        let stored = block.stored().map_err(|error| match error {
            BlockError::Io { .. } => FetchError::Refused(error.to_string()),
            _ => FetchError::Damaged(error.to_string()),
        });
        Ok(Fetched {
            encoding: block.encoding(),
            codec: block.codec(),
            raw_bytes: block.raw_bytes(),
            block: stored?,
            headers,
        })
    }

    fn frame(&self, tenant: &str, id: FrameId) -> Result<(Arc<SegmentFile>, RawFrame), FetchError> {
        let folder = self.shared.dir.join(tenant);
        let segment = SegmentFile::open(&folder, id.sequence).map_err(|error| {
            let why = format!("{}: {error}", segment_path(&folder, id.sequence).display());
            match error.kind() {
                io::ErrorKind::NotFound => FetchError::Damaged(why),
                _ => FetchError::Refused(why),
            }
        })?;
        let mut problems = Vec::new();
        let frame = frame_at(&segment, id.offset, &mut problems);
        match (frame.filter(|it| it.kind == FrameKind::Batch), problems.first()) {
            (Some(frame), _) => Ok((segment, frame)),
            (None, Some(why @ Problem::Unreadable { .. })) => {
                Err(FetchError::Refused(why.to_string()))
            }
            (None, why) => {
                let why = why.map_or_else(|| "no batch".to_owned(), ToString::to_string);
                Err(FetchError::Damaged(why))
            }
        }
    }

    /// What the segment's index, or else the frame's own header, tells of frames that cannot be read: of those that
    /// begin in `offsets`, in order. Nothing if neither does.
    pub fn sections_at(
        &self,
        tenant: &str,
        sequence: u64,
        offsets: Range<u64>,
        context: impl Fn(ContextId) -> Option<Arc<Context>>,
    ) -> Vec<Entry> {
        let name = Arc::from(tenant);
        let context = |id| context(id).unwrap_or_else(|| bare_context(id, &name));
        if let Some(log) = self.known(tenant)
            && let Some(active) = &log.lock_anyway().active
            && active.sequence == sequence
        {
            return active.index.sections(sequence, &offsets, context);
        }
        let segment = SegmentFile::open(&self.shared.dir.join(tenant), sequence).ok();
        let index = segment.and_then(|it| load_index(&it, false, &mut Vec::new()).ok()?);
        index.map_or(Vec::new(), |it| it.sections(sequence, &offsets, context))
    }

    /// Whether all that was written of the tenant is safe.
    #[must_use]
    pub fn is_synced(&self, tenant: &str) -> bool {
        self.known(tenant).is_none_or(|it| it.lock_anyway().is_synced())
    }

    /// Removes the segments of the tenant before the one of `id`.
    ///
    /// # Errors
    /// If the system refuses; it is tried again with the next.
    pub fn remove_before(&self, tenant: &str, id: FrameId) -> Result<(), SinkError> {
        let Some(tenant) = self.known(tenant) else { return Ok(()) };
        tenant.lock_anyway().remove(|it| it < id.sequence)
    }

    /// Segments of the tenant that are not appended to, oldest first.
    #[must_use]
    pub fn closed(&self, tenant: &str) -> Vec<u64> {
        let sequences = |it: Arc<Tenant>| {
            it.lock_anyway().closed.iter().map(|closed| closed.sequence).collect()
        };
        self.known(tenant).map_or(Vec::new(), sequences)
    }

    /// Removes one of them.
    ///
    /// # Errors
    /// If the system refuses; it may be tried again.
    pub fn remove(&self, tenant: &str, sequence: u64) -> Result<(), SinkError> {
        self.known(tenant).map_or(Ok(()), |it| it.lock_anyway().remove(|it| it == sequence))
    }

    /// Nothing of the tenant is needed any more: gives back its disk, but for `bytes_kept`.
    ///
    /// The last segment goes only once its successor is safe, so that no sequence is ever used twice.
    ///
    /// # Errors
    /// If the system refuses; it is tried again with the next.
    pub fn shrink(&self, tenant: &str, bytes_kept: u64) -> Result<(), SinkError> {
        let Some(tenant) = self.known(tenant) else { return Ok(()) };
        let mut log = tenant.lock_anyway();
        if log.active.as_ref().is_some_and(|it| it.end > bytes_kept) {
            self.shared.health()?;
            log.begin_next(self.shared.surroundings())?;
            drop(log);
            sync::mark_dirty(&self.shared);
            return Ok(());
        }
        let active = log.active.as_ref().map(|it| it.sequence);
        match active.filter(|_| log.is_synced()) {
            Some(sequence) => log.remove(|it| it < sequence),
            None => Ok(()),
        }
    }

    /// Bytes on the disk of the tenant.
    #[must_use]
    pub fn bytes(&self, tenant: &str) -> u64 {
        self.known(tenant).map_or(0, |it| it.lock_anyway().stats().bytes)
    }

    fn known(&self, tenant: &str) -> Option<Arc<Tenant>> {
        let tenants = self.shared.tenants.read().unwrap_or_else(PoisonError::into_inner);
        tenants.get(tenant).cloned()
    }
}
