//! Frame: a fixed header, a header part and a block, each under a checksum.
//!
//! A frame also names its own place (segment stamp and offset), so that bytes inside of a block, left
//! over from another file or written to the wrong place are never taken for a frame, even if a tenant
//! made them look like one.

use flow::checksum;

use super::format::{Fields, Malformed, Put, len_u32};
use super::limits::{BLOCK_BYTES_MAX, HEADER_PART_BYTES_MAX};

/// First bytes of each frame. No UTF-8 text holds them, and no line of a log does by chance.
pub(super) const FRAME_MAGIC: [u8; 8] = *b"\xffLFfr\x01\xfe\n";

/// Length of the fixed header, in bytes.
pub(super) const FRAME_HEADER_BYTES: usize = 56;

/// Where the bytes begin that the header's checksum covers.
const COVERED_FROM: usize = 16;

/// What a frame is. The codes stand in files and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// Describes a context.
    Context = 1,
    /// Holds a payload.
    Batch = 2,
    /// Lists all entries of a sealed segment.
    Index = 3,
}

impl FrameKind {
    fn from_code(code: u8) -> Option<FrameKind> {
        [FrameKind::Context, FrameKind::Batch, FrameKind::Index]
            .into_iter()
            .find(|kind| *kind as u8 == code)
    }
}

/// Where a frame is, as the frame itself tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FramePlace {
    /// Stamp of the segment.
    pub(super) stamp: u64,
    /// Offset in the segment.
    pub(super) offset: u64,
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// The file ends before the frame does.
    #[error("the file ends within the frame")]
    Short,
    /// The first bytes are not those of a frame.
    #[error("no frame begins here")]
    Magic,
    /// A length is beyond its limit.
    #[error("a length is beyond its limit")]
    Length,
    /// A frame of another place or file.
    #[error("the frame belongs to another place")]
    Place,
    /// Checksum of the header or of the header part.
    #[error("the header's checksum is wrong")]
    HeaderChecksum,
    /// Checksum of the block.
    #[error("the block's checksum is wrong")]
    BlockChecksum,
    /// The checksum is right, but the meaning is unknown.
    #[error("the header {0}")]
    Malformed(#[from] Malformed),
}

/// The fixed header, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    checksum: u64,
    kind: u8,
    flags: [u8; 7],
    pub(super) header_part_bytes: u32,
    pub(super) block_bytes: u32,
    pub(super) place: FramePlace,
    pub(super) block_checksum: u64,
}

impl FrameHeader {
    /// Reads the fixed header; lengths are within their limits, nothing else is certain yet.
    pub(super) fn decode(bytes: &[u8]) -> Result<FrameHeader, FrameFault> {
        let mut fields = Fields::new(bytes);
        let magic = fields.bytes(FRAME_MAGIC.len()).map_err(|_| FrameFault::Short)?;
        if magic != FRAME_MAGIC {
            return Err(FrameFault::Magic);
        }
        let header = FrameHeader::fields(&mut fields).map_err(|_| FrameFault::Short)?;
        let lengths_hold = header.header_part_bytes <= HEADER_PART_BYTES_MAX
            && header.block_bytes <= BLOCK_BYTES_MAX;
        if lengths_hold { Ok(header) } else { Err(FrameFault::Length) }
    }

    fn fields(fields: &mut Fields<'_>) -> Result<FrameHeader, Malformed> {
        let checksum = fields.u64()?;
        let kind = fields.u8()?;
        let mut flags = [0; 7];
        flags.copy_from_slice(fields.bytes(7)?);
        Ok(FrameHeader {
            checksum,
            kind,
            flags,
            header_part_bytes: fields.u32()?,
            block_bytes: fields.u32()?,
            place: FramePlace { stamp: fields.u64()?, offset: fields.u64()? },
            block_checksum: fields.u64()?,
        })
    }

    /// Checks the header's checksum and meaning; `head` is the fixed header and the header part.
    pub(super) fn verify(&self, head: &[u8]) -> Result<FrameKind, FrameFault> {
        if checksum(&head[COVERED_FROM..]) != self.checksum {
            return Err(FrameFault::HeaderChecksum);
        }
        if self.flags != [0; 7] {
            return Err(Malformed::Field("flags").into());
        }
        FrameKind::from_code(self.kind).ok_or(FrameFault::Malformed(Malformed::Field("kind")))
    }

    /// Length of fixed header and header part, in bytes.
    pub(super) fn head_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.header_part_bytes as usize
    }

    /// Length of the whole frame, in bytes.
    pub(super) fn frame_bytes(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + u64::from(self.header_part_bytes) + u64::from(self.block_bytes)
    }
}

/// Begins a frame at the end of `out`: the header part is to be appended next.
///
/// Returns where the frame begins in `out`, for [`finish_frame`].
pub(super) fn begin_frame(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.resize(start + FRAME_HEADER_BYTES, 0);
    start
}

/// Fills in the fixed header of the frame that was begun at `start` and whose header part ends `out`.
///
/// The block is not copied: whoever writes `out` writes it right behind.
pub(super) fn finish_frame(
    out: &mut [u8],
    start: usize,
    kind: FrameKind,
    place: FramePlace,
    block: &[u8],
) {
    let header_part_bytes = len_u32(out.len() - start - FRAME_HEADER_BYTES);
    assert!(header_part_bytes <= HEADER_PART_BYTES_MAX, "{header_part_bytes} bytes");
    assert!(block.len() <= BLOCK_BYTES_MAX as usize, "{} bytes", block.len());
    let mut header = Vec::with_capacity(FRAME_HEADER_BYTES);
    header.put(&FRAME_MAGIC);
    header.put_u64(0);
    header.put_u8(kind as u8);
    header.put(&[0; 7]);
    header.put_u32(header_part_bytes);
    header.put_u32(len_u32(block.len()));
    header.put_u64(place.stamp);
    header.put_u64(place.offset);
    header.put_u64(checksum(block));
    out[start..start + FRAME_HEADER_BYTES].copy_from_slice(&header);
    let covered = checksum(&out[start + COVERED_FROM..]);
    out[start + 8..start + COVERED_FROM].copy_from_slice(&covered.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: FramePlace = FramePlace { stamp: 7, offset: 128 };

    fn frame() -> Vec<u8> {
        let mut out = vec![1, 2, 3];
        let start = begin_frame(&mut out);
        out.extend_from_slice(b"header part");
        finish_frame(&mut out, start, FrameKind::Batch, PLACE, b"block");
        out.split_off(start)
    }

    #[test]
    fn a_frame_comes_back() {
        let head = frame();
        let header = FrameHeader::decode(&head).unwrap();
        assert_eq!(header.verify(&head), Ok(FrameKind::Batch));
        assert_eq!(header.place, PLACE);
        assert_eq!(header.head_bytes(), head.len());
        assert_eq!(header.block_checksum, checksum(b"block"));
        assert_eq!(header.frame_bytes(), head.len() as u64 + 5);
    }

    #[test]
    fn every_flipped_bit_of_a_head_is_seen() {
        let good = frame();
        for bit in 0..good.len() * 8 {
            let mut head = good.clone();
            head[bit / 8] ^= 1 << (bit % 8);
            let seen = FrameHeader::decode(&head).and_then(|header| {
                if header.head_bytes() != head.len() {
                    return Err(FrameFault::Length);
                }
                header.verify(&head)
            });
            assert!(seen.is_err(), "bit {bit}");
        }
    }
}
