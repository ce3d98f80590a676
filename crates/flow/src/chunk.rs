//! Chunk: bytes as they were read, and the records found in them.
//!
//! A reader has one, reads into it, frames it and has it encoded, again and again: its bytes never
//! leave the processor's cache, let alone the thread. Only what was encoded travels on.

use crate::{Record, RecordFlags};

/// Smallest read buffer, in bytes: one page.
pub const CHUNK_BYTES_MIN: usize = 4 << 10;
/// Largest read buffer, in bytes.
///
/// 16 MiB: offsets in a chunk are `u32`, and one chunk must stay a small part of any budget.
pub const CHUNK_BYTES_MAX: usize = 16 << 20;

/// Bytes of one source with the records framed in them.
#[derive(Debug, Default)]
pub struct Chunk {
    data: Vec<u8>,
    side: Vec<u8>,
    records: Vec<Record>,
}

impl Chunk {
    /// A chunk with room for `bytes` bytes.
    ///
    /// # Panics
    /// If `bytes` is not within [`CHUNK_BYTES_MIN`] and [`CHUNK_BYTES_MAX`].
    #[must_use]
    pub fn new(bytes: usize) -> Chunk {
        assert!((CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&bytes), "{bytes} bytes");
        Chunk { data: vec![0; bytes], ..Chunk::default() }
    }

    /// The whole read buffer; what lies beyond the bytes read is of no meaning.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The read buffer, for reading into.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// What framing needs: the bytes, the side buffer and the records, to be filled.
    pub fn parts_mut(&mut self) -> (&[u8], &mut Vec<u8>, &mut Vec<Record>) {
        (&self.data, &mut self.side, &mut self.records)
    }

    /// The records, in the order of their cursors.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The joined and unescaped bytes.
    #[must_use]
    pub fn side(&self) -> &[u8] {
        &self.side
    }

    /// The bytes of `record`, which must be of this chunk.
    #[must_use]
    pub fn body(&self, record: &Record) -> &[u8] {
        let from = if record.flags.has(RecordFlags::SIDE) { &self.side } else { &self.data };
        let start = record.start as usize;
        &from[start..start + record.len as usize]
    }

    /// Gives back the memory of a side buffer or record table that grew beyond the usual.
    pub fn shrink(&mut self) {
        self.side.clear();
        self.side.shrink_to(self.data.len());
        self.records.clear();
        self.records.shrink_to(self.data.len() / RECORD_BYTES_USUAL);
    }
}

/// Length of a short log line, in bytes: the record table of a chunk of these is kept.
const RECORD_BYTES_USUAL: usize = 64;
