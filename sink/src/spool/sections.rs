//! Sections: blocks whose sections are compressed one by one, as Kafka takes them, in a queue whose headers
//! count bytes before compression.
//!
//! Such a block is a row of Zstandard frames, which is what a compressed block is for every reader of a queue:
//! only the ranges in the headers change on the way in, and back on the way out.

use flow::PayloadHeader;
use zstd::zstd_safe::{find_frame_compressed_size, get_frame_content_size};

/// Where a frame lies in the block, and its content in what the block holds.
struct Frame {
    start: u32,
    end: u32,
    raw_start: u32,
    raw_end: u32,
}

/// Ranges of compressed sections become those of what they hold. Returns how much the block holds.
///
/// # Errors
/// If the block is not such a row of frames.
pub(crate) fn to_raw(headers: &mut [PayloadHeader], block: &[u8]) -> Result<u32, String> {
    let frames = frames(block)?;
    change(headers, |range| {
        let frame = frames.iter().find(|it| it.start == range.start && it.end == range.end)?;
        Some(frame.raw_start..frame.raw_end)
    })?;
    Ok(frames.last().map_or(0, |it| it.raw_end))
}

/// The way back.
///
/// # Errors
/// As [`to_raw`].
pub(super) fn to_compressed(headers: &mut [PayloadHeader], block: &[u8]) -> Result<(), String> {
    let frames = frames(block)?;
    change(headers, |range| {
        let is_it = |it: &&Frame| it.raw_start == range.start && it.raw_end == range.end;
        frames.iter().find(is_it).map(|it| it.start..it.end)
    })
}

fn change(
    headers: &mut [PayloadHeader],
    to: impl Fn(&std::ops::Range<u32>) -> Option<std::ops::Range<u32>>,
) -> Result<(), String> {
    for header in headers {
        header.range = if header.range.is_empty() {
            0..0
        } else {
            to(&header.range).ok_or_else(|| {
                format!("context {}: a section that is no frame: a defect", header.context.id)
            })?
        };
    }
    Ok(())
}

fn frames(block: &[u8]) -> Result<Vec<Frame>, String> {
    let no_frame = |at: usize| format!("byte {at} of a block begins no Zstandard frame: a defect");
    let (mut frames, mut at, mut raw_end) = (Vec::new(), 0, 0);
    while at < block.len() {
        let bytes = find_frame_compressed_size(&block[at..]).map_err(|_| no_frame(at))?;
        let content = get_frame_content_size(&block[at..]).ok().flatten();
        let content = content.and_then(|it| u32::try_from(it).ok()).ok_or_else(|| no_frame(at))?;
        let (start, raw_start) = (at, raw_end);
        at += bytes;
        raw_end += content;
        let place = |at| u32::try_from(at).expect("a block is small");
        frames.push(Frame { start: place(start), end: place(at), raw_start, raw_end });
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use flow::{Codec, Encoding};

    use super::*;
    use crate::compress;
    use crate::payload_kit::Payloads;

    /// Three sections compressed by themselves and a gap between them, and the block.
    fn block() -> (Vec<PayloadHeader>, Vec<u8>) {
        let payloads = Payloads::new();
        let mut compressor = compress::make_by_section(1);
        let (mut headers, mut block, mut value) = (Vec::new(), Vec::new(), Vec::new());
        // The shortest one is longer when it is compressed.
        for text in ["x", "", "a longer one, a longer one, a longer one", "end"] {
            let start = u32::try_from(block.len()).unwrap();
            if !text.is_empty() {
                compressor.compress(text.as_bytes(), &mut value).unwrap();
                block.extend_from_slice(&value);
            }
            let mut header =
                payloads.payload(Encoding::OtlpProto, Codec::Zstd, b"").headers.remove(0);
            header.range = start..u32::try_from(block.len()).unwrap();
            headers.push(header);
        }
        (headers, block)
    }

    #[test]
    fn a_block_of_compressed_sections_is_a_compressed_block_and_comes_back() {
        let (mut headers, block) = block();
        let before: Vec<_> = headers.iter().map(|it| it.range.clone()).collect();
        let raw_bytes = to_raw(&mut headers, &block).unwrap();
        let mut raw = Vec::new();
        compress::decompress(Codec::Zstd, &block, raw_bytes as usize, &mut raw).unwrap();
        let bodies: Vec<&[u8]> = headers.iter().map(|it| &raw[it.in_block()]).collect();
        assert_eq!(bodies, [&b"x"[..], b"", b"a longer one, a longer one, a longer one", b"end"]);
        to_compressed(&mut headers, &block).unwrap();
        for (header, before) in headers.iter().zip(before) {
            assert_eq!(header.range, if before.is_empty() { 0..0 } else { before });
        }
    }

    #[test]
    fn what_is_no_row_of_frames_is_told_of() {
        let (mut headers, block) = block();
        assert!(to_raw(&mut headers, &block[..block.len() - 1]).is_err());
        headers[0].range.end += 1;
        assert!(to_raw(&mut headers, &block).is_err());
    }
}
