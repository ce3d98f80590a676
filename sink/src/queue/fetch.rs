//! Fetch: one frame by its place, and room for new ones: what a spool does with a queue beside appending.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use flow::{Codec, Context, ContextId, Encoding, PayloadHeader, SinkError};

use super::Queue;
use super::batch_frame::decode_batch;
use super::block::BlockRef;
use super::frame::FrameKind;
use super::load::frame_at;
use super::scan::{Place, entry};
use super::shared::Tenant;
use super::sync;
use super::walk::SegmentFile;

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
    ) -> Result<Fetched, String> {
        let folder = self.shared.dir.join(tenant);
        let segment = SegmentFile::open(&folder, id.sequence)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut problems = Vec::new();
        let frame = frame_at(&segment, id.offset, &mut problems);
        let Some(frame) = frame.filter(|it| it.kind == FrameKind::Batch) else {
            let why = problems.first().map_or_else(|| "no batch".to_owned(), ToString::to_string);
            return Err(format!("{}: offset {}: {why}", segment.path.display(), id.offset));
        };
        let (head, rows) = decode_batch(&frame.header_part)
            .map_err(|bad| format!("{}: offset {}: {bad}", segment.path.display(), id.offset))?;
        let block = BlockRef::new(&segment, &frame, head);
        let mut headers = Vec::with_capacity(rows.len());
        for (number, row) in (0..).zip(rows) {
            let known = context(row.context);
            let known = known.ok_or_else(|| format!("context {} is not known", row.context))?;
            let place = Place { sequence: id.sequence, offset: id.offset, number };
            headers.push(entry(row, known, place).header);
        }
        Ok(Fetched {
            encoding: block.encoding(),
            codec: block.codec(),
            raw_bytes: block.raw_bytes(),
            block: block.stored().map_err(|error| error.to_string())?,
            headers,
        })
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
        tenant.lock_anyway().remove_before(id.sequence)
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
            Some(sequence) => log.remove_before(sequence),
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
