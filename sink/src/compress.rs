//! Compression of blocks: Zstandard, LZ4 or none, and the way back for readers.
//!
//! Owned by a reader, on its thread. The library's context and the working buffer are kept from
//! block to block, so a warm compressor allocates nothing; and a block that waits for its ack takes
//! only its compressed length, since the worst case is met in the working buffer.

mod lz4;
mod zstd;

use flow::{Codec, Compress, CompressError};

pub use self::lz4::Lz4;
pub use self::zstd::{LEVEL_DEFAULT, Zstd};

/// The compressor for `codec`; `level` is Zstandard's, and of no meaning to the others.
#[must_use]
pub fn make(codec: Codec, level: i32) -> Box<dyn Compress> {
    match codec {
        Codec::None => Box::new(Stored),
        Codec::Zstd => Box::new(Zstd::new(level)),
        Codec::Lz4 => Box::new(Lz4::new()),
    }
}

/// The compressor for values that a sink hands on one by one, each a Zstandard frame.
#[must_use]
pub fn make_by_section(level: i32) -> Box<dyn Compress> {
    Box::new(BySection(Zstd::new(level)))
}

/// Compresses each section by itself.
#[derive(Debug)]
struct BySection(Zstd);

impl Compress for BySection {
    fn codec(&self) -> Codec {
        self.0.codec()
    }

    fn is_by_section(&self) -> bool {
        true
    }

    fn compress(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        self.0.compress(raw, out)
    }

    fn ease(&mut self, levels: u8) {
        self.0.ease(levels);
    }
}

/// No compression: the block as it is.
#[derive(Debug, Default, Clone, Copy)]
pub struct Stored;

impl Compress for Stored {
    fn codec(&self) -> Codec {
        Codec::None
    }

    fn compress(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        out.clear();
        out.extend_from_slice(raw);
        Ok(())
    }
}

/// Why a block could not be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    /// Not what the codec makes.
    #[error("{codec}: {bytes} bytes are not a compressed block: {why}; the block is damaged")]
    Damaged {
        /// The codec's name.
        codec: &'static str,
        /// Bytes given.
        bytes: usize,
        /// What the library said.
        why: String,
    },
    /// Decompressed to another length than the header says.
    #[error("{codec}: the block holds {found} bytes, its header says {wanted}; it is damaged")]
    WrongLength {
        /// The codec's name.
        codec: &'static str,
        /// Bytes found.
        found: usize,
        /// Bytes that the header beside the block promised.
        wanted: usize,
    },
}

/// Replaces `out` by what `block` held before compression.
///
/// `raw_bytes` is its length as the header beside it says, and the bound on what is allocated:
/// check it against a limit first if the header is not trusted.
///
/// # Errors
/// If the block is damaged or does not have that length; `out` is then of no meaning.
pub fn decompress(
    codec: Codec,
    block: &[u8],
    raw_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    out.clear();
    match codec {
        Codec::None => out.extend_from_slice(block),
        Codec::Zstd => zstd::decompress(block, raw_bytes, out)?,
        Codec::Lz4 => lz4::decompress(block, raw_bytes, out)?,
    }
    if out.len() != raw_bytes {
        let codec = codec.name();
        return Err(DecompressError::WrongLength { codec, found: out.len(), wanted: raw_bytes });
    }
    Ok(())
}

/// Replaces `out` by what `block` held before compression, where nothing beside it says how much that is.
///
/// `bytes_max` is the bound on what is allocated.
///
/// # Errors
/// If the block is damaged or holds more; `out` is then of no meaning.
pub fn decompress_within(
    codec: Codec,
    block: &[u8],
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    out.clear();
    // A block that does not say what it holds is given as much as its codec can make of it.
    let room = match codec {
        Codec::None => block.len(),
        Codec::Zstd => zstd::raw_bytes(block).unwrap_or(bytes_max),
        Codec::Lz4 => block.len().saturating_mul(lz4::EXPANSION_MAX),
    };
    match codec {
        Codec::None => out.extend_from_slice(block),
        Codec::Zstd => zstd::decompress(block, room.min(bytes_max), out)?,
        Codec::Lz4 => lz4::decompress(block, room.min(bytes_max), out)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests;
