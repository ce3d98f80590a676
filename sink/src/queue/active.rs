//! Active: the one segment of a tenant that is appended to.
//!
//! A frame is written whole or not at all: on an error the file is cut back to the end of the last
//! good frame. Owned by the tenant's log, under its lock.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::{ContextId, Payload, SinkError, is_mutant};
use rustix::io::Errno;

use super::batch_frame::encode_batch;
use super::context_frame::encode_context;
use super::disk::Disk;
use super::fetch::FrameId;
use super::format::len_u32;
use super::frame::{FrameKind, FramePlace, begin_frame, finish_frame};
use super::index::{Gathered, SegmentIndex};
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, Trailer, segment_path};

/// A segment that is appended to.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    pub(super) sequence: u64,
    pub(super) stamp: u64,
    pub(super) created_unix_ns: i64,
    /// End of the last good frame.
    pub(super) end: u64,
    /// Up to here the bytes are safe.
    pub(super) synced_end: u64,
    pub(super) index: SegmentIndex,
    pub(super) descriptions: Descriptions,
}

impl Active {
    /// Begins a segment: creates the file and writes its header.
    pub(super) fn create(
        folder: &Path,
        header: &SegmentHeader,
        disk: &dyn Disk,
    ) -> Result<Active, SinkError> {
        let path = segment_path(folder, header.sequence);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| retry(&path, "create", &error))?;
        if let Err(error) = disk.write(&file, 0, &header.encode(), &[]) {
            return Err(match std::fs::remove_file(&path) {
                Ok(()) => after_write(&path, &error),
                Err(second) => broken(&path, "remove", &second),
            });
        }
        Ok(Active {
            file: Arc::new(file),
            path,
            sequence: header.sequence,
            stamp: header.stamp,
            created_unix_ns: header.created_unix_ns,
            end: SEGMENT_HEADER_BYTES as u64,
            synced_end: 0,
            index: SegmentIndex::default(),
            descriptions: Descriptions::default(),
        })
    }

    /// Whether nothing was appended yet.
    pub(super) fn is_empty(&self) -> bool {
        self.end == SEGMENT_HEADER_BYTES as u64
    }

    /// Bytes that are not safe yet.
    pub(super) fn unsynced_bytes(&self) -> u64 {
        self.end - self.synced_end
    }

    /// Latest time at which anything in it was read from its source, nanoseconds since 1970.
    pub(super) fn last_observed_unix_ns(&self) -> i64 {
        self.index.last_observed_unix_ns().unwrap_or(self.created_unix_ns)
    }

    /// Puts the frames for `payload`, all but the block, into `out`: what [`Active::append`] writes.
    pub(super) fn encode(&self, payload: &Payload, out: &mut Vec<u8>) -> NewFrames {
        out.clear();
        let mut frames = NewFrames::default();
        for header in &payload.headers {
            let context = &header.context;
            let known = frames.contexts.get(&context.id).map(|(known, _)| known);
            let number = || self.index.number_of(context.id);
            let known = known.copied().or_else(|| self.descriptions.of(number()?));
            let start = begin_frame(out);
            let description = encode_context(context, out);
            if known == Some(description) {
                out.truncate(start);
                continue;
            }
            let offset = self.end + start as u64;
            let place = FramePlace { stamp: self.stamp, offset };
            finish_frame(out, start, FrameKind::Context, place, &[]);
            frames.contexts.insert(context.id, (description, offset));
        }
        let start = begin_frame(out);
        encode_batch(payload, out);
        frames.batch_offset = self.end + start as u64;
        let place = FramePlace { stamp: self.stamp, offset: frames.batch_offset };
        finish_frame(out, start, FrameKind::Batch, place, &payload.block);
        frames
    }

    /// Writes the encoded frames and the block, and takes them into the index.
    pub(super) fn append(
        &mut self,
        payload: &Payload,
        head: &[u8],
        frames: NewFrames,
        disk: &dyn Disk,
    ) -> Result<FrameId, SinkError> {
        self.write(head, &payload.block, disk)?;
        for (id, (description, offset)) in frames.contexts {
            self.descriptions.note(self.index.describe(id, offset), description);
        }
        for (number, header) in payload.headers.iter().enumerate() {
            let section = Gathered::from(header);
            self.index.gather(frames.batch_offset, len_u32(number), &section);
        }
        Ok(FrameId { sequence: self.sequence, offset: frames.batch_offset })
    }

    /// Writes index and trailer; nothing can be appended any more.
    pub(super) fn seal(&mut self, disk: &dyn Disk) -> Result<(), SinkError> {
        self.index.sort();
        let mut head = Vec::new();
        let start = begin_frame(&mut head);
        let mut block = self.index.encode(&mut head);
        let place = FramePlace { stamp: self.stamp, offset: self.end };
        finish_frame(&mut head, start, FrameKind::Index, place, &block);
        let index_bytes = (head.len() + block.len()) as u64;
        let trailer = Trailer { index_offset: self.end, index_bytes, stamp: self.stamp };
        block.extend_from_slice(&trailer.encode());
        let written = self.write(&head, &block, disk);
        if written.is_err() {
            // Sealing is tried again later, maybe after more was appended.
            self.index.renumber();
            self.descriptions = Descriptions::default();
        }
        written
    }

    /// Appends bytes, or leaves the file as it was.
    fn write(&mut self, head: &[u8], block: &[u8], disk: &dyn Disk) -> Result<(), SinkError> {
        let Err(error) = disk.write(&self.file, self.end, head, block) else {
            self.end += (head.len() + block.len()) as u64;
            return Ok(());
        };
        if is_mutant("torn_payload_left_in_the_middle") {
            self.end += 1;
            return Err(after_write(&self.path, &error));
        }
        match disk.cut(&self.file, self.end) {
            Ok(()) => Err(after_write(&self.path, &error)),
            Err(second) => Err(broken(&self.path, "cut back after a failed write", &second)),
        }
    }
}

/// How the contexts of a segment were described last: checksums, by number in the index. One that is not
/// known is described again.
#[derive(Debug, Default)]
pub(super) struct Descriptions {
    checksums: Vec<u64>,
}

impl Descriptions {
    fn of(&self, number: u32) -> Option<u64> {
        self.checksums.get(number as usize).copied()
    }

    pub(super) fn note(&mut self, number: u32, checksum: u64) {
        let number = number as usize;
        if self.checksums.len() <= number {
            self.checksums.resize(number + 1, 0);
        }
        self.checksums[number] = checksum;
    }
}

/// What [`Active::encode`] made, to be taken into the index once it is written.
#[derive(Debug, Default)]
pub(super) struct NewFrames {
    /// Checksum of the description, and where it stands.
    contexts: HashMap<ContextId, (u64, u64)>,
    batch_offset: u64,
}

/// A write failed and the file was cut back: whether that is likely to pass.
fn after_write(path: &Path, error: &io::Error) -> SinkError {
    const PASSING: [Errno; 4] = [Errno::NOSPC, Errno::DQUOT, Errno::FBIG, Errno::IO];
    let passes = PASSING.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
    if passes { retry(path, "write", error) } else { broken(path, "write", error) }
}

/// Nothing was changed.
pub(super) fn retry(path: &Path, what: &str, error: &io::Error) -> SinkError {
    let path = path.display();
    let cure = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC | Errno::DQUOT) => "free space, or lower the queue's retention.bytes",
        Some(Errno::FBIG) => "raise the limit on file sizes, or lower the queue's segment_bytes",
        Some(Errno::IO) => "check the disk",
        Some(Errno::MFILE | Errno::NFILE) => "raise the limit on open files",
        _ => "check the folder and its permissions",
    };
    SinkError::Retry(format!("{path}: {what}: {error}; {cure}; will be tried again"))
}

/// What the file holds is unknown.
pub(super) fn broken(path: &Path, what: &str, error: &io::Error) -> SinkError {
    let path = path.display();
    SinkError::Broken(format!("{path}: {what}: {error}; check the disk, then open the queue again"))
}
