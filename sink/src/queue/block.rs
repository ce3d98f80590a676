//! Block: the compressed bytes of a batch, read only when somebody wants them.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use flow::{Codec, Encoding, checksum};

use super::batch_frame::BatchHead;
use super::walk::{RawFrame, SegmentFile};

/// Where a batch's block is. Keeps the segment open, so that retention does not take it away.
#[derive(Clone)]
pub struct BlockRef {
    segment: Arc<SegmentFile>,
    head: BatchHead,
    offset: u64,
    bytes: u32,
    checksum: u64,
}

/// Why a block could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// The system refused.
    #[error("{place}: read: {source}")]
    Io {
        /// Segment and offset.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// The file ends within the block.
    #[error("{place}: the file ends within the block")]
    Short {
        /// Segment and offset.
        place: String,
    },
    /// The bytes are not those that were written.
    #[error("{place}: the block's checksum is wrong; check the disk")]
    Checksum {
        /// Segment and offset.
        place: String,
    },
    /// The bytes are what was written, but not what the codec makes: a defect of the writer.
    #[error("{place}: {codec}: {why}")]
    Decompress {
        /// Segment and offset.
        place: String,
        /// Name of the codec.
        codec: &'static str,
        /// What is wrong.
        why: String,
    },
}

impl BlockRef {
    pub(super) fn new(segment: &Arc<SegmentFile>, frame: &RawFrame, head: BatchHead) -> BlockRef {
        BlockRef {
            segment: Arc::clone(segment),
            head,
            offset: frame.block_offset,
            bytes: frame.block_bytes,
            checksum: frame.block_checksum,
        }
    }

    /// How the sections in it are encoded.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.head.encoding
    }

    /// How it is compressed.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.head.codec
    }

    /// Length before compression, in bytes.
    #[must_use]
    pub fn raw_bytes(&self) -> u32 {
        self.head.raw_bytes
    }

    /// Length as it was submitted, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u32 {
        self.bytes
    }

    /// Reads the block as it was submitted, compressed, and checks it.
    ///
    /// # Errors
    /// If it cannot be read or is not what was written.
    pub fn stored(&self) -> Result<Bytes, BlockError> {
        let block = self
            .segment
            .read(self.offset, self.bytes as usize)
            .map_err(|source| BlockError::Io { place: self.place(), source })?;
        if block.len() != self.bytes as usize {
            return Err(BlockError::Short { place: self.place() });
        }
        if checksum(&block) != self.checksum {
            return Err(BlockError::Checksum { place: self.place() });
        }
        Ok(Bytes::from(block))
    }

    /// Reads, checks and decompresses the block: sections are found in it by their ranges.
    ///
    /// # Errors
    /// As [`BlockRef::stored`], and if it is not what the codec makes.
    pub fn read(&self) -> Result<Bytes, BlockError> {
        let stored = self.stored()?;
        let raw_bytes = self.head.raw_bytes as usize;
        let raw = match self.head.codec {
            Codec::None => Ok(stored),
            Codec::Zstd => zstd::bulk::decompress(&stored, raw_bytes)
                .map(Bytes::from)
                .map_err(|error| error.to_string()),
            Codec::Lz4 => lz4_flex::block::decompress(&stored, raw_bytes)
                .map(Bytes::from)
                .map_err(|error| error.to_string()),
        };
        let raw = raw.and_then(|raw| match raw.len() == raw_bytes {
            true => Ok(raw),
            false => Err(format!("makes {} bytes, want {raw_bytes}", raw.len())),
        });
        let codec = self.head.codec.name();
        raw.map_err(|why| BlockError::Decompress { place: self.place(), codec, why })
    }

    fn place(&self) -> String {
        format!("{}: offset {}", self.segment.path.display(), self.offset)
    }
}

impl fmt::Debug for BlockRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockRef")
            .field("place", &self.place())
            .field("head", &self.head)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
