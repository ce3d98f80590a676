//! Pack: encodes sections and compresses batches, for one sink.
//!
//! One per reader and sink, shared by its lanes: compressors are large. Everything that touches a
//! byte happens on one thread, in one processor's caches; only compressed blocks travel.

use std::sync::Arc;

use flow::{Codec, Compress, CompressError, Encode, Encoding, Section};

use crate::buffers::Buffers;

/// Makes encoders.
pub type EncodeMaker = Arc<dyn Fn() -> Box<dyn Encode> + Send + Sync>;
/// Makes compressors.
pub type CompressMaker = Arc<dyn Fn() -> Box<dyn Compress> + Send + Sync>;

/// Encodes and compresses.
#[derive(Debug)]
pub(super) struct Packer {
    encode: Box<dyn Encode>,
    compress: Box<dyn Compress>,
    /// Comes back from shippers.
    blocks: Arc<Buffers>,
    /// What the last batch was gathered in.
    spare: Vec<u8>,
    spare_bytes_max: usize,
}

impl Packer {
    /// Keeps a spare buffer of at most `spare_bytes_max`.
    pub(super) fn new(
        encode: Box<dyn Encode>,
        compress: Box<dyn Compress>,
        blocks: Arc<Buffers>,
        spare_bytes_max: usize,
    ) -> Packer {
        Packer { encode, compress, blocks, spare: Vec::new(), spare_bytes_max }
    }

    pub(super) fn encoding(&self) -> Encoding {
        self.encode.encoding()
    }

    pub(super) fn codec(&self) -> Codec {
        self.compress.codec()
    }

    /// Appends the section's payload to `raw`, which is empty before the first.
    pub(super) fn encode(&mut self, section: &Section, raw: &mut Vec<u8>) {
        if raw.capacity() == 0 {
            *raw = match self.codec() {
                Codec::None => self.blocks.take(),
                Codec::Zstd | Codec::Lz4 => std::mem::take(&mut self.spare),
            };
        }
        self.encode.encode(section, raw);
    }

    /// The block of what was encoded.
    pub(super) fn compress(&mut self, mut raw: Vec<u8>) -> Result<Vec<u8>, CompressError> {
        if self.codec() == Codec::None {
            return Ok(raw);
        }
        let mut block = self.blocks.take();
        self.compress.compress(&raw, &mut block)?;
        if raw.capacity() <= self.spare_bytes_max {
            raw.clear();
            self.spare = raw;
        }
        Ok(block)
    }
}
