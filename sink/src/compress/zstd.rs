//! Zstandard, one frame per block.

use flow::{Codec, Compress, CompressError};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{CParameter, Strategy, compress_bound};

use super::DecompressError;

/// Level where configuration names none: the fastest of the ordinary ones.
///
/// 1: at 2 and 3 OTLP logs compress no better, and at 70 to 85 % of the speed.
pub const LEVEL_DEFAULT: i32 = 1;

/// What level 1 means here, for OTLP logs in blocks of up to 1 MiB; `docs/WIRE.md` has the
/// measurement. The library's own level 1 looks back further and changes with the block's size.
const LEVEL_1: [CParameter; 4] = [
    CParameter::WindowLog(18),
    CParameter::HashLog(13),
    CParameter::MinMatch(7),
    CParameter::Strategy(Strategy::ZSTD_fast),
];

/// A frame says its length, and has neither checksum (whatever holds it has its own) nor a
/// dictionary's id.
const FRAME: [CParameter; 3] = [
    CParameter::ContentSizeFlag(true),
    CParameter::ChecksumFlag(false),
    CParameter::DictIdFlag(false),
];

/// Compresses with Zstandard.
pub struct Zstd {
    compressor: Compressor<'static>,
    /// As large as the worst case of the largest block so far; reused.
    frame: Vec<u8>,
    /// As configured.
    level: i32,
    /// As it is now.
    level_now: i32,
}

impl std::fmt::Debug for Zstd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Zstd").field("level", &self.level).finish_non_exhaustive()
    }
}

impl Zstd {
    /// A compressor at `level`; what is beyond the library's levels becomes the nearest.
    ///
    /// # Panics
    /// If there is no memory for a context.
    #[must_use]
    pub fn new(level: i32) -> Zstd {
        let (compressor, frame) = (compressor(level), Vec::new());
        Zstd { compressor, frame, level, level_now: level }
    }

    /// Memory of the library's context, in bytes.
    #[must_use]
    pub fn context_bytes(&mut self) -> usize {
        self.compressor.context_mut().sizeof()
    }
}

fn compressor(level: i32) -> Compressor<'static> {
    let mut compressor = Compressor::new(level).expect("the library clamps the level");
    let tuned: &[CParameter] = if level == 1 { &LEVEL_1 } else { &[] };
    for parameter in tuned.iter().chain(&FRAME) {
        compressor.set_parameter(*parameter).expect("the constants are within bounds");
    }
    compressor
}

impl Compress for Zstd {
    fn codec(&self) -> Codec {
        Codec::Zstd
    }

    /// Half of the level, or level 1; none is cheaper, as less would be kept of what compression is for.
    fn ease(&mut self, levels: u8) {
        let eased = match levels {
            0 => self.level,
            1 => (self.level + 1) / 2,
            _ => 1,
        };
        let level = eased.min(self.level);
        if level != self.level_now {
            (self.compressor, self.level_now) = (compressor(level), level);
        }
    }

    fn compress(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        self.frame.clear();
        self.frame.reserve(compress_bound(raw.len()));
        self.compressor.compress_to_buffer(raw, &mut self.frame).map_err(|error| {
            let why = error.to_string();
            CompressError { codec: Codec::Zstd.name(), bytes: raw.len(), why }
        })?;
        out.clear();
        out.reserve_exact(self.frame.len());
        out.extend_from_slice(&self.frame);
        Ok(())
    }
}

/// How many bytes a frame says to hold.
pub(super) fn raw_bytes(block: &[u8]) -> Option<usize> {
    let said = zstd::zstd_safe::get_frame_content_size(block).ok().flatten()?;
    usize::try_from(said).ok()
}

pub(super) fn decompress(
    block: &[u8],
    raw_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    let damaged = |error: std::io::Error| DecompressError::Damaged {
        codec: Codec::Zstd.name(),
        bytes: block.len(),
        why: error.to_string(),
    };
    out.reserve_exact(raw_bytes);
    let mut decompressor = Decompressor::new().map_err(damaged)?;
    decompressor.decompress_to_buffer(block, out).map(drop).map_err(damaged)
}
