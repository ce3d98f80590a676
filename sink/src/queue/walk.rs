//! Walk: reads one segment frame by frame, and finds the next good frame behind a bad one.
//!
//! The file may be growing, and may be cut back, while it is walked. The length is asked for before
//! the bytes, so a frame of which the file does not hold all yet is never taken for whole.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::checksum;
use memchr::memmem;

use super::frame::{FRAME_HEADER_BYTES, FRAME_MAGIC, FrameFault, FrameHeader, FrameKind};
use super::index::{IndexHead, SegmentIndex};
use super::limits::{BLOCK_BYTES_MAX, HEADER_PART_BYTES_MAX};
use super::segment::{
    HeaderFault, SEGMENT_HEADER_BYTES, SegmentHeader, TRAILER_BYTES, Trailer, segment_path,
};

/// Bytes read for a frame's head at first: the header parts of most batches fit.
const HEAD_READ_BYTES: usize = 4 << 10;
/// Bytes searched at a time for the next frame.
const SEARCH_BYTES: usize = 256 << 10;

/// A segment, open for reading.
#[derive(Debug)]
pub(super) struct SegmentFile {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) sequence: u64,
}

/// Why a sealed segment's index cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum IndexFault {
    #[error("the index is damaged: {0}")]
    Frame(FrameFault),
    #[error("the trailer does not point to an index")]
    NotAnIndex,
}

impl SegmentFile {
    pub(super) fn open(folder: &Path, sequence: u64) -> io::Result<Arc<SegmentFile>> {
        let path = segment_path(folder, sequence);
        Ok(Arc::new(SegmentFile { file: File::open(&path)?, path, sequence }))
    }

    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Whether another file has this one's name now: the writer could not make this one safe, took it
    /// back, and began it again.
    pub(super) fn was_replaced(&self) -> io::Result<bool> {
        let named = match std::fs::metadata(&self.path) {
            Ok(named) => named,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let held = self.file.metadata()?;
        Ok((named.dev(), named.ino()) != (held.dev(), held.ino()))
    }

    /// Up to `count` bytes at `offset`, fewer at the end of the file.
    pub(super) fn read(&self, offset: u64, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match self.file.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// The segment header, if it is whole and this segment's.
    pub(super) fn header(&self) -> io::Result<Result<SegmentHeader, HeaderFault>> {
        let header = SegmentHeader::decode(&self.read(0, SEGMENT_HEADER_BYTES)?);
        Ok(match header {
            // A file that was renamed, or copied from another place.
            Ok(header) if !self.is_mine(&header) => Err(HeaderFault::Damaged),
            header => header,
        })
    }

    fn is_mine(&self, header: &SegmentHeader) -> bool {
        let folder = self.path.parent().and_then(Path::file_name);
        header.sequence == self.sequence && folder == Some(OsStr::new(&*header.tenant))
    }

    /// The trailer; none if the segment is not sealed.
    pub(super) fn trailer(&self) -> io::Result<Option<Trailer>> {
        let len = self.len()?;
        let Some(offset) = len.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
        Ok(Trailer::decode(&self.read(offset, TRAILER_BYTES)?, len))
    }

    /// The index that `trailer` points to: one read.
    pub(super) fn index(
        &self,
        trailer: &Trailer,
    ) -> io::Result<Result<(IndexHead, SegmentIndex), IndexFault>> {
        const INDEX_BYTES_MAX: u64 =
            FRAME_HEADER_BYTES as u64 + HEADER_PART_BYTES_MAX as u64 + BLOCK_BYTES_MAX as u64;
        if trailer.index_bytes > INDEX_BYTES_MAX {
            return Ok(Err(IndexFault::NotAnIndex));
        }
        let count = usize::try_from(trailer.index_bytes).expect("at most 70 MiB");
        let bytes = self.read(trailer.index_offset, count)?;
        Ok(decode_index(trailer, &bytes))
    }

    /// A walk over the frames from the first on, and what is wrong with the segment header.
    pub(super) fn walk(
        self: &Arc<SegmentFile>,
        blocks: Blocks,
    ) -> io::Result<(Walk, Result<SegmentHeader, HeaderFault>)> {
        let header = self.header()?;
        let walk = Walk {
            segment: Arc::clone(self),
            stamp: header.as_ref().ok().map(|header| header.stamp),
            offset: SEGMENT_HEADER_BYTES as u64,
            blocks,
        };
        Ok((walk, header))
    }
}

fn decode_index(trailer: &Trailer, bytes: &[u8]) -> Result<(IndexHead, SegmentIndex), IndexFault> {
    let header = FrameHeader::decode(bytes).map_err(IndexFault::Frame)?;
    let place = (header.place.stamp, header.place.offset);
    if header.frame_bytes() != bytes.len() as u64 || place != (trailer.stamp, trailer.index_offset)
    {
        return Err(IndexFault::NotAnIndex);
    }
    let (head, block) = bytes.split_at(header.head_bytes());
    let kind = header.verify(head).map_err(IndexFault::Frame)?;
    if kind != FrameKind::Index {
        return Err(IndexFault::NotAnIndex);
    }
    if checksum(block) != header.block_checksum {
        return Err(IndexFault::Frame(FrameFault::BlockChecksum));
    }
    let malformed = |fault| IndexFault::Frame(FrameFault::Malformed(fault));
    let head = IndexHead::decode(&head[FRAME_HEADER_BYTES..]).map_err(malformed)?;
    let index = SegmentIndex::decode(&head, block).map_err(malformed)?;
    Ok((head, index))
}

/// Whether a walk looks into blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocks {
    /// A frame is good if its head is: blocks are checked when they are read.
    Skipped,
    /// A frame is good if its block is too.
    Verified,
}

/// A frame whose head was checked.
#[derive(Debug)]
pub(super) struct RawFrame {
    pub(super) kind: FrameKind,
    pub(super) offset: u64,
    pub(super) end: u64,
    pub(super) header_part: Vec<u8>,
    pub(super) block_offset: u64,
    pub(super) block_bytes: u32,
    pub(super) block_checksum: u64,
}

/// What a walk comes upon.
#[derive(Debug)]
pub(super) enum Step {
    /// A good frame; the walk stands behind it.
    Frame(RawFrame),
    /// The end of the file, for now.
    End,
    /// The file is shorter than where the walk stands: it was cut back to `bytes`.
    Shrunk { bytes: u64 },
    /// No good frame here; the walk stays. `next` is the next good frame in the file.
    Bad { why: FrameFault, next: Option<u64>, file_bytes: u64 },
}

/// A place in a segment.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) segment: Arc<SegmentFile>,
    /// Unknown as long as neither header nor frame told it.
    stamp: Option<u64>,
    offset: u64,
    blocks: Blocks,
}

impl Walk {
    /// Where the walk stands.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes on at `offset`.
    pub(super) fn stand_at(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// The stamp of the segment, as far as it is known.
    pub(super) fn stamp(&self) -> Option<u64> {
        self.stamp
    }

    /// The next frame, or why there is none.
    pub(super) fn step(&mut self) -> io::Result<Step> {
        let len = self.segment.len()?;
        if self.offset == len {
            return Ok(Step::End);
        }
        if self.offset > len {
            return Ok(Step::Shrunk { bytes: len });
        }
        let why = match self.frame_at(self.offset, len)? {
            Ok(frame) => return Ok(self.pass(frame)),
            Err(why) => why,
        };
        let next = self.search(self.offset + 1, len)?;
        if next.is_some() {
            // A writer may have finished this frame, and written the next one, since we looked.
            if let Ok(frame) = self.frame_at(self.offset, len)? {
                return Ok(self.pass(frame));
            }
        }
        Ok(Step::Bad { why, next, file_bytes: len })
    }

    fn pass(&mut self, frame: RawFrame) -> Step {
        self.offset = frame.end;
        Step::Frame(frame)
    }

    /// The frame at `offset` of a file of `len` bytes.
    fn frame_at(&mut self, offset: u64, len: u64) -> io::Result<Result<RawFrame, FrameFault>> {
        let mut head = self.segment.read(offset, HEAD_READ_BYTES)?;
        let header = match FrameHeader::decode(&head) {
            Ok(header) => header,
            Err(why) => return Ok(Err(why)),
        };
        let is_ours = self.stamp.is_none_or(|stamp| stamp == header.place.stamp);
        if header.place.offset != offset || !is_ours {
            return Ok(Err(FrameFault::Place));
        }
        let end = offset + header.frame_bytes();
        if end > len {
            return Ok(Err(FrameFault::Short));
        }
        if head.len() < header.head_bytes() {
            head = self.segment.read(offset, header.head_bytes())?;
        }
        head.truncate(header.head_bytes());
        if head.len() < header.head_bytes() {
            return Ok(Err(FrameFault::Short));
        }
        let kind = match header.verify(&head) {
            Ok(kind) => kind,
            Err(why) => return Ok(Err(why)),
        };
        let frame = RawFrame {
            kind,
            offset,
            end,
            block_offset: offset + header.head_bytes() as u64,
            block_bytes: header.block_bytes,
            block_checksum: header.block_checksum,
            header_part: head.split_off(FRAME_HEADER_BYTES),
        };
        if self.blocks == Blocks::Verified && !self.block_is_good(&frame)? {
            return Ok(Err(FrameFault::BlockChecksum));
        }
        self.stamp = Some(header.place.stamp);
        Ok(Ok(frame))
    }

    /// Whether a frame may begin with `bytes`: a cheap look before the true one.
    fn may_be_frame(&self, offset: u64, bytes: &[u8]) -> bool {
        match FrameHeader::decode(bytes) {
            Ok(header) => {
                header.place.offset == offset
                    && self.stamp.is_none_or(|stamp| stamp == header.place.stamp)
            }
            // The window ends here: look properly.
            Err(why) => why == FrameFault::Short,
        }
    }

    fn block_is_good(&self, frame: &RawFrame) -> io::Result<bool> {
        let block = self.segment.read(frame.block_offset, frame.block_bytes as usize)?;
        Ok(block.len() == frame.block_bytes as usize && checksum(&block) == frame.block_checksum)
    }

    /// Where the first good frame at or behind `from` begins.
    ///
    /// A false magic costs one small read: a head is only read whole if stamp and offset are right.
    fn search(&mut self, from: u64, len: u64) -> io::Result<Option<u64>> {
        let finder = memmem::Finder::new(&FRAME_MAGIC);
        let mut at = from;
        while at + (FRAME_HEADER_BYTES as u64) <= len {
            let window = self.segment.read(at, SEARCH_BYTES)?;
            for hit in finder.find_iter(&window) {
                let offset = at + hit as u64;
                if self.may_be_frame(offset, &window[hit..]) && self.frame_at(offset, len)?.is_ok()
                {
                    return Ok(Some(offset));
                }
            }
            if window.len() < SEARCH_BYTES {
                break;
            }
            at += (SEARCH_BYTES - (FRAME_MAGIC.len() - 1)) as u64;
        }
        Ok(None)
    }
}
