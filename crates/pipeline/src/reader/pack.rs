//! Pack: encodes sections and compresses batches, for one sink.
//!
//! One per reader and sink, shared by its lanes: compressors are large. Everything that touches a
//! byte happens on one thread, in one processor's caches; only compressed blocks travel. A batch is
//! compressed as a whole, or section by section where a sink hands on each of them alone.

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
    /// What the last batch was gathered in, or the last section encoded in if each is compressed by itself.
    spare: Vec<u8>,
    /// A section compressed by itself.
    section: Vec<u8>,
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
        let (spare, section) = (Vec::new(), Vec::new());
        Packer { encode, compress, blocks, spare, section, spare_bytes_max }
    }

    pub(super) fn encoding(&self) -> Encoding {
        self.encode.encoding()
    }

    /// Compresses cheaper by so many levels.
    pub(super) fn ease(&mut self, levels: u8) {
        self.compress.ease(levels);
    }

    pub(super) fn codec(&self) -> Codec {
        self.compress.codec()
    }

    /// Appends the section's payload to `raw`, which is empty before the first. Returns its bytes before
    /// compression.
    ///
    /// # Errors
    /// If the section is compressed by itself, and that fails; `raw` is then as it was.
    pub(super) fn encode(
        &mut self,
        section: &Section,
        raw: &mut Vec<u8>,
    ) -> Result<usize, CompressError> {
        let is_block = self.codec() == Codec::None || self.compress.is_by_section();
        if raw.capacity() == 0 {
            *raw = if is_block { self.blocks.take() } else { std::mem::take(&mut self.spare) };
        }
        if !self.compress.is_by_section() {
            let begin = raw.len();
            self.encode.encode(section, raw);
            return Ok(raw.len() - begin);
        }
        let mut alone = std::mem::take(&mut self.spare);
        alone.clear();
        self.encode.encode(section, &mut alone);
        let bytes = alone.len();
        // Nothing stays nothing.
        let done = match bytes {
            0 => Ok(()),
            _ => self.compress.compress(&alone, &mut self.section),
        };
        if done.is_ok() && bytes > 0 {
            raw.extend_from_slice(&self.section);
        }
        self.keep(alone);
        done.map(|()| bytes)
    }

    /// The block of what was encoded.
    pub(super) fn compress(&mut self, raw: Vec<u8>) -> Result<Vec<u8>, CompressError> {
        if self.codec() == Codec::None || self.compress.is_by_section() {
            return Ok(raw);
        }
        let mut block = self.blocks.take();
        self.compress.compress(&raw, &mut block)?;
        self.keep(raw);
        Ok(block)
    }

    fn keep(&mut self, mut spare: Vec<u8>) {
        if spare.capacity() <= self.spare_bytes_max {
            spare.clear();
            self.spare = spare;
        }
    }
}
