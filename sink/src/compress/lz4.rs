//! LZ4, one bare block without its length in front: the header beside the block has that.

use flow::{Codec, Compress, CompressError};
use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size,
};

use super::DecompressError;

/// Most bytes that one compressed byte can stand for.
pub(super) const EXPANSION_MAX: usize = 255;

/// Compresses with LZ4.
pub struct Lz4 {
    table: CompressTable,
    /// As large as the worst case of the largest block so far; reused.
    block: Vec<u8>,
}

impl std::fmt::Debug for Lz4 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lz4").finish_non_exhaustive()
    }
}

impl Default for Lz4 {
    fn default() -> Lz4 {
        Lz4::new()
    }
}

impl Lz4 {
    /// A compressor.
    #[must_use]
    pub fn new() -> Lz4 {
        Lz4 { table: CompressTable::large(), block: Vec::new() }
    }
}

impl Compress for Lz4 {
    fn codec(&self) -> Codec {
        Codec::Lz4
    }

    fn compress(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        let bound = get_maximum_output_size(raw.len());
        if self.block.len() < bound {
            self.block.resize(bound, 0);
        }
        let len =
            compress_into_with_table(raw, &mut self.block, &mut self.table).map_err(|error| {
                CompressError { codec: Codec::Lz4.name(), bytes: raw.len(), why: error.to_string() }
            })?;
        out.clear();
        out.reserve_exact(len);
        out.extend_from_slice(&self.block[..len]);
        Ok(())
    }
}

pub(super) fn decompress(
    block: &[u8],
    raw_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    out.resize(raw_bytes, 0);
    let len = decompress_into(block, out).map_err(|error| DecompressError::Damaged {
        codec: Codec::Lz4.name(),
        bytes: block.len(),
        why: error.to_string(),
    })?;
    out.truncate(len);
    Ok(())
}
