//! Chunk: bytes as they were read, the records found in them, and the permit that pays for them.
//!
//! A chunk has one owner at a time: reader, batch, shipper. Dropping it gives its memory back to
//! the pool and its permit to the budget.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use crate::{Permit, Record, RecordFlags};

/// Smallest buffer of a chunk, in bytes: one page, for the few lines of a quiet source.
pub const CHUNK_BYTES_MIN: usize = 4 << 10;
/// Largest buffer of a chunk, in bytes.
///
/// 16 MiB: offsets in a chunk are `u32`, and one chunk must stay a small part of any budget.
pub const CHUNK_BYTES_MAX: usize = 16 << 20;

/// The parts of a chunk that are worth reusing.
#[derive(Debug, Default)]
struct Buffers {
    data: Vec<u8>,
    side: Vec<u8>,
    records: Vec<Record>,
}

/// Bytes of one source with the records framed in them.
#[derive(Debug)]
pub struct Chunk {
    buffers: Buffers,
    pool: Arc<ArrayQueue<Buffers>>,
    chunk_bytes: usize,
    /// Held for its drop.
    _permit: Permit,
}

impl Chunk {
    /// The whole read buffer; what lies beyond the bytes read is of no meaning.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.buffers.data
    }

    /// The read buffer, for reading into.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.buffers.data
    }

    /// What framing needs: the bytes, the side buffer and the records, to be filled.
    pub fn parts_mut(&mut self) -> (&[u8], &mut Vec<u8>, &mut Vec<Record>) {
        (&self.buffers.data, &mut self.buffers.side, &mut self.buffers.records)
    }

    /// The records, in the order of their cursors.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.buffers.records
    }

    /// The joined and unescaped bytes.
    #[must_use]
    pub fn side(&self) -> &[u8] {
        &self.buffers.side
    }

    /// The bytes of `record`, which must be of this chunk.
    #[must_use]
    pub fn body(&self, record: &Record) -> &[u8] {
        let from = if record.flags.has(RecordFlags::SIDE) {
            &self.buffers.side
        } else {
            &self.buffers.data
        };
        let start = record.start as usize;
        &from[start..start + record.len as usize]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if self.buffers.data.len() != self.chunk_bytes {
            return;
        }
        let mut buffers = std::mem::take(&mut self.buffers);
        buffers.records.clear();
        buffers.side.clear();
        // A side buffer grows to what joined lines need; a huge one is not kept.
        buffers.side.shrink_to(self.chunk_bytes);
        // A full pool refuses, and the memory is freed instead.
        drop(self.pool.push(buffers));
    }
}

/// Reuses the buffers of full-size chunks.
#[derive(Debug, Clone)]
pub struct ChunkPool {
    free: Arc<ArrayQueue<Buffers>>,
    chunk_bytes: usize,
}

impl ChunkPool {
    /// A pool of chunks of `chunk_bytes` that keeps at most `idle_max` of them.
    ///
    /// # Panics
    /// If `chunk_bytes` is not within [`CHUNK_BYTES_MIN`] and [`CHUNK_BYTES_MAX`], or `idle_max` is 0.
    #[must_use]
    pub fn new(chunk_bytes: usize, idle_max: usize) -> ChunkPool {
        assert!((CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&chunk_bytes), "{chunk_bytes} bytes");
        ChunkPool { free: Arc::new(ArrayQueue::new(idle_max)), chunk_bytes }
    }

    /// Size of a full chunk, in bytes.
    #[must_use]
    pub fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }

    /// The buffer size for reading `pending` bytes: what a permit must be asked for.
    #[must_use]
    pub fn size_for(&self, pending: u64) -> usize {
        let pending = usize::try_from(pending).unwrap_or(usize::MAX);
        if pending >= self.chunk_bytes / 2 {
            return self.chunk_bytes;
        }
        pending.next_power_of_two().clamp(CHUNK_BYTES_MIN, self.chunk_bytes)
    }

    /// A chunk with an empty set of records and a buffer as large as `permit` pays for.
    #[must_use]
    pub fn take(&self, permit: Permit) -> Chunk {
        let size = permit.bytes();
        let mut buffers = Buffers::default();
        if size == self.chunk_bytes {
            buffers = self.free.pop().unwrap_or_default();
        }
        buffers.data.resize(size, 0);
        Chunk {
            buffers,
            pool: Arc::clone(&self.free),
            chunk_bytes: self.chunk_bytes,
            _permit: permit,
        }
    }

    /// Frees the idle buffers: called when the node has gone quiet.
    pub fn shrink(&self) {
        while self.free.pop().is_some() {}
    }
}
