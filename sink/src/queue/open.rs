//! Open: brings one tenant's segments into a state that can be appended to.
//!
//! Sealed segments are trusted by their trailers. The others, which a crash left open, are walked and
//! every byte of them checked: a torn end is cut off, damage inside is left alone and reported. What
//! stays is synced before anybody may take it for kept, since the process that wrote it may have died
//! before it could.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::active::{Active, Descriptions};
use super::context_frame::encode_context;
use super::disk::Disk;
use super::frame::FrameKind;
use super::index::{IndexHead, SegmentIndex};
use super::limits::UNSYNCED_BYTES_MAX;
use super::load::gather;
use super::log::{Closed, Log};
use super::options::OpenError;
use super::recovery::RecoveryNote;
use super::segment::{HeaderFault, SEGMENT_HEADER_BYTES, SegmentHeader, segment_path, sequence_of};
use super::walk::{Blocks, SegmentFile, Step, Walk};

/// Sealed bytes at the end of a tenant's queue that are synced again at opening.
///
/// More than a writer leaves unsynced at any time, the frame and the index it was writing included.
const RESYNC_BYTES: u64 = 4 * UNSYNCED_BYTES_MAX;

/// The sequences in a tenant's folder, ascending, and what else is in it.
pub(super) fn list_segments(folder: &Path) -> std::io::Result<(Vec<u64>, Vec<PathBuf>)> {
    let mut sequences = Vec::new();
    let mut foreign = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_name().to_str().and_then(sequence_of) {
            Some(sequence) => sequences.push(sequence),
            None => foreign.push(entry.path()),
        }
    }
    sequences.sort_unstable();
    foreign.sort_unstable();
    Ok((sequences, foreign))
}

/// Makes sure that this program knows the version of every segment of a tenant.
pub(super) fn check_versions(folder: &Path) -> Result<(), OpenError> {
    let (sequences, _) = list_segments(folder).map_err(OpenError::io(folder, "list"))?;
    for sequence in sequences {
        let path = segment_path(folder, sequence);
        let read = SegmentFile::open(folder, sequence).and_then(|segment| segment.header());
        if let Err(HeaderFault::Version(version)) = read.map_err(OpenError::io(&path, "read"))? {
            return Err(OpenError::Version { path, version });
        }
    }
    Ok(())
}

/// Opens the log of one tenant, and notes what was not as it should be.
pub(super) fn open_log(
    tenant: &Arc<str>,
    folder: &Path,
    disk: &dyn Disk,
    notes: &mut Vec<RecoveryNote>,
) -> Result<Log, OpenError> {
    let listed = list_segments(folder).map_err(OpenError::io(folder, "list"))?;
    let (mut sequences, foreign) = listed;
    notes.extend(foreign.into_iter().map(|path| RecoveryNote::Foreign { path }));
    let mut log = Log::new(Arc::clone(tenant), folder.to_owned());
    let unborn = remove_unborn(folder, &mut sequences, notes)?;
    let last = sequences.last().copied();
    // A removed number is free again: a missing one means that retention removed a segment.
    log.next_sequence = unborn.or_else(|| last.map(|last| last + 1)).unwrap_or(0);
    for sequence in sequences {
        let segment = SegmentFile::open(folder, sequence)
            .map_err(OpenError::io(folder, "open a segment of"))?;
        let is_last = Some(sequence) == last;
        match (Opening { segment, disk, notes, is_last }).run()? {
            Found::Closed(closed) => log.closed.push_back(closed),
            Found::Active(active) => log.active = Some(*active),
        }
    }
    resync(&log, disk)?;
    disk.sync_folder(folder).map_err(OpenError::io(folder, "sync the folder"))?;
    Ok(log)
}

/// Removes the newest segments as long as they have neither a good header nor a good frame: a crash
/// caught their creation. Returns the lowest number removed.
fn remove_unborn(
    folder: &Path,
    sequences: &mut Vec<u64>,
    notes: &mut Vec<RecoveryNote>,
) -> Result<Option<u64>, OpenError> {
    let mut removed = None;
    while let Some(sequence) = sequences.last().copied() {
        let path = segment_path(folder, sequence);
        let io = || OpenError::io(&path, "read");
        let segment = SegmentFile::open(folder, sequence).map_err(io())?;
        let (walk, header) = segment.walk(Blocks::Verified).map_err(io())?;
        let fault = match header {
            Err(fault @ (HeaderFault::Short | HeaderFault::Damaged)) => fault,
            Ok(_) | Err(HeaderFault::Version(_)) => break,
        };
        if walk_to_end(walk).map_err(io())?.holds_frames {
            break;
        }
        let bytes = segment.len().map_err(io())?;
        std::fs::remove_file(&path).map_err(OpenError::io(&path, "remove"))?;
        let why = fault.to_string();
        notes.push(RecoveryNote::Cut { segment: path, offset: 0, bytes, why });
        removed = Some(sequence);
        sequences.pop();
    }
    Ok(removed)
}

/// Syncs sealed segments that may have been written just before a crash.
fn resync(log: &Log, disk: &dyn Disk) -> Result<(), OpenError> {
    let mut newer_bytes = 0;
    for closed in log.closed.iter().rev() {
        if newer_bytes > RESYNC_BYTES {
            break;
        }
        newer_bytes += closed.bytes;
        let path = segment_path(&log.folder, closed.sequence);
        let file = File::open(&path).map_err(OpenError::io(&path, "open"))?;
        disk.sync(&file).map_err(OpenError::io(&path, "sync; check the disk"))?;
    }
    Ok(())
}

/// What came of a segment.
enum Found {
    Closed(Closed),
    Active(Box<Active>),
}

/// One segment on its way to being usable.
struct Opening<'a> {
    segment: Arc<SegmentFile>,
    disk: &'a dyn Disk,
    notes: &'a mut Vec<RecoveryNote>,
    is_last: bool,
}

/// What a walk over an open segment gathered.
#[derive(Default)]
struct Walked {
    index: SegmentIndex,
    descriptions: Descriptions,
    /// There is a good frame, of any kind.
    holds_frames: bool,
    /// Where the good part ends, if the file goes on behind it, and why it ends there.
    torn: Option<(u64, String)>,
    /// End of what is good.
    end: u64,
    damages: Vec<(u64, u64, String)>,
}

impl Opening<'_> {
    fn run(&mut self) -> Result<Found, OpenError> {
        let segment = Arc::clone(&self.segment);
        let io = || OpenError::io(&segment.path, "read");
        let bytes = segment.len().map_err(io())?;
        let (walk, header) = segment.walk(Blocks::Verified).map_err(io())?;
        if let Some(last_observed_unix_ns) = self.sealed(&header).map_err(io())? {
            if let Err(fault) = header {
                self.damaged(0, SEGMENT_HEADER_BYTES as u64, fault.to_string());
            }
            let sequence = segment.sequence;
            return Ok(Found::Closed(Closed { sequence, bytes, last_observed_unix_ns }));
        }
        let walked = walk_to_end(walk).map_err(io())?;
        match header {
            Ok(header) if walked.damages.is_empty() => self.repair(&header, walked, bytes),
            header => Ok(self.leave(header.err(), walked, bytes)),
        }
    }

    /// Of a sealed segment: when its newest section was read from its source.
    fn sealed(&self, header: &Result<SegmentHeader, HeaderFault>) -> std::io::Result<Option<i64>> {
        let Some(trailer) = self.segment.trailer()? else { return Ok(None) };
        if header.as_ref().is_ok_and(|header| header.stamp != trailer.stamp) {
            return Ok(None);
        }
        let (mut walk, _) = self.segment.walk(Blocks::Verified)?;
        walk.stand_at(trailer.index_offset);
        let Step::Frame(frame) = walk.step()? else { return Ok(None) };
        let is_index = frame.kind == FrameKind::Index && walk.stamp() == Some(trailer.stamp);
        let head = IndexHead::decode(&frame.header_part).ok().filter(|_| is_index);
        let created = header.as_ref().map_or(i64::MIN, |header| header.created_unix_ns);
        Ok(head.map(|head| head.last_observed_unix_ns.max(created)))
    }

    fn damaged(&mut self, offset: u64, bytes: u64, why: String) {
        let segment = self.segment.path.clone();
        self.notes.push(RecoveryNote::Damaged { segment, offset, bytes, why });
    }

    /// Damage inside: reported, and nothing is changed.
    fn leave(&mut self, header: Option<HeaderFault>, walked: Walked, bytes: u64) -> Found {
        if let Some(fault) = header {
            self.damaged(0, SEGMENT_HEADER_BYTES as u64, fault.to_string());
        }
        for (offset, bytes, why) in walked.damages {
            self.damaged(offset, bytes, why);
        }
        if let Some((offset, why)) = walked.torn {
            self.damaged(offset, bytes.saturating_sub(offset), why);
        }
        // Of a segment in which nothing is readable the age is unknown, so retention goes by bytes.
        let last_observed_unix_ns = walked.index.last_observed_unix_ns().unwrap_or(i64::MAX);
        Found::Closed(Closed { sequence: self.segment.sequence, bytes, last_observed_unix_ns })
    }

    /// Cuts off a torn end, and makes the segment the active one, or seals it if it is not the last.
    fn repair(
        &mut self,
        header: &SegmentHeader,
        walked: Walked,
        bytes: u64,
    ) -> Result<Found, OpenError> {
        let path = &self.segment.path;
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(OpenError::io(path, "open for writing"))?;
        if let Some((offset, why)) = walked.torn {
            self.disk.cut(&file, offset).map_err(OpenError::io(path, "cut off a torn end"))?;
            let segment = path.clone();
            self.notes.push(RecoveryNote::Cut { segment, offset, bytes: bytes - offset, why });
        }
        let mut active = Active {
            file: Arc::new(file),
            path: path.clone(),
            sequence: header.sequence,
            stamp: header.stamp,
            created_unix_ns: header.created_unix_ns,
            end: walked.end,
            synced_end: walked.end,
            index: walked.index,
            descriptions: walked.descriptions,
        };
        let is_closed = !self.is_last;
        if is_closed {
            let segment = path.clone();
            self.notes.push(match active.seal(self.disk) {
                Ok(()) => RecoveryNote::Sealed { segment },
                Err(why) => RecoveryNote::NotSealed { segment, why: why.to_string() },
            });
        }
        self.disk.sync(&active.file).map_err(OpenError::io(path, "sync; check the disk"))?;
        if !is_closed {
            return Ok(Found::Active(Box::new(active)));
        }
        Ok(Found::Closed(Closed {
            sequence: active.sequence,
            bytes: active.end,
            last_observed_unix_ns: active.last_observed_unix_ns(),
        }))
    }
}

/// Walks a segment to its end, every checksum checked.
fn walk_to_end(mut walk: Walk) -> std::io::Result<Walked> {
    let mut walked = Walked { end: walk.offset(), ..Walked::default() };
    loop {
        let step = walk.step()?;
        walked.holds_frames |= matches!(step, Step::Frame(_));
        match step {
            Step::Frame(frame) if frame.kind == FrameKind::Index => {
                walked.torn = Some((frame.offset, "an index without its trailer".to_owned()));
                break;
            }
            Step::Frame(frame) => {
                walked.end = frame.end;
                match gather(&mut walked.index, &frame) {
                    Ok(Some(context)) => {
                        let checksum = encode_context(&context, &mut Vec::new());
                        let number = walked.index.number_of(context.id);
                        number.into_iter().for_each(|it| walked.descriptions.note(it, checksum));
                    }
                    Ok(None) => {}
                    Err(why) => {
                        let bytes = frame.end - frame.offset;
                        walked.damages.push((frame.offset, bytes, why.to_string()));
                    }
                }
            }
            Step::End | Step::Shrunk { .. } => break,
            Step::Bad { why, next: Some(next), .. } => {
                let offset = walk.offset();
                walked.damages.push((offset, next - offset, why.to_string()));
                walk.stand_at(next);
            }
            Step::Bad { why, next: None, .. } => {
                walked.torn = Some((walk.offset(), why.to_string()));
                break;
            }
        }
    }
    Ok(walked)
}
