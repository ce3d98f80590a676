//! Load: gets a segment's index, whether it is sealed or not, and single frames by their place.

use std::io;
use std::path::Path;
use std::sync::Arc;

use flow::{Context, ContextId};

use super::batch_frame::decode_batch;
use super::block::BlockRef;
use super::context_frame::decode_context;
use super::format::{Malformed, len_u32};
use super::frame::FrameKind;
use super::index::{Gathered, IndexEntry, SegmentIndex};
use super::lookup::Found;
use super::problem::Problem;
use super::scan::{Place, bare_context, entry};
use super::segment::{HeaderFault, segment_path};
use super::walk::{Blocks, RawFrame, SegmentFile, Step};

/// A segment with its index at hand, sorted.
pub(super) struct Indexed {
    pub(super) segment: Arc<SegmentFile>,
    pub(super) index: SegmentIndex,
}

/// A section that an index tells of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) place: Place,
    /// Offset of the frame that describes its context; 0 if none does.
    pub(super) context_offset: u64,
}

impl Indexed {
    /// Where to find what `it` tells of.
    pub(super) fn target(&self, it: &IndexEntry) -> Target {
        let sequence = self.segment.sequence;
        Target {
            place: Place { sequence, offset: it.frame_offset, number: it.number },
            context_offset: self.index.contexts[it.context as usize].1,
        }
    }
}

pub(super) fn unreadable(path: &Path, error: &io::Error, problems: &mut Vec<Problem>) {
    problems.push(Problem::Unreadable { segment: path.to_owned(), why: error.to_string() });
}

/// The segment; none if retention has just removed it.
pub(super) fn open_or_problem(
    folder: &Path,
    sequence: u64,
    problems: &mut Vec<Problem>,
) -> Option<Arc<SegmentFile>> {
    match SegmentFile::open(folder, sequence) {
        Ok(segment) => Some(segment),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            unreadable(&segment_path(folder, sequence), &error, problems);
            None
        }
    }
}

/// The index of a segment, sorted; walked together if it is not sealed. None if it is unreadable.
pub(super) fn load_index(
    segment: &Arc<SegmentFile>,
    is_last: bool,
    problems: &mut Vec<Problem>,
) -> io::Result<Option<SegmentIndex>> {
    if let Some(trailer) = segment.trailer()? {
        match segment.index(&trailer)? {
            Ok((_, index)) => return Ok(Some(index)),
            Err(fault) => {
                let segment = segment.path.clone();
                problems.push(Problem::Index { segment, why: fault.to_string() });
            }
        }
    }
    let (mut walk, header) = segment.walk(Blocks::Skipped)?;
    match header {
        Ok(_) => {}
        Err(HeaderFault::Short) if is_last => return Ok(None),
        Err(HeaderFault::Version(version)) => {
            problems.push(Problem::Version { segment: segment.path.clone(), version });
            return Ok(None);
        }
        Err(fault) => {
            let segment = segment.path.clone();
            problems.push(Problem::Header { segment, why: fault.to_string() });
        }
    }
    let mut index = SegmentIndex::default();
    loop {
        let offset = walk.offset();
        let left_out = match walk.step()? {
            Step::Frame(frame) if frame.kind == FrameKind::Index => break,
            Step::Frame(frame) => match gather(&mut index, &frame) {
                Ok(_) => continue,
                Err(why) => (frame.end - offset, format!("the header {why}")),
            },
            Step::End | Step::Shrunk { .. } => break,
            Step::Bad { why, next: Some(next), .. } => {
                walk.stand_at(next);
                (next - offset, why.to_string())
            }
            // The end of the last segment may be being written.
            Step::Bad { next: None, .. } if is_last => break,
            Step::Bad { why, file_bytes, .. } => {
                skipped(segment, offset, file_bytes - offset, why.to_string(), problems);
                break;
            }
        };
        skipped(segment, offset, left_out.0, left_out.1, problems);
    }
    index.sort();
    Ok(Some(index))
}

fn skipped(
    segment: &SegmentFile,
    offset: u64,
    bytes: u64,
    why: String,
    problems: &mut Vec<Problem>,
) {
    problems.push(Problem::Skipped { segment: segment.path.clone(), offset, bytes, why });
}

/// Takes a context or batch frame into an index, and returns the context it describes.
pub(super) fn gather(
    index: &mut SegmentIndex,
    frame: &RawFrame,
) -> Result<Option<Context>, Malformed> {
    match frame.kind {
        FrameKind::Context => {
            let context = decode_context(&frame.header_part)?;
            index.describe(context.id, frame.offset);
            return Ok(Some(context));
        }
        FrameKind::Batch => {
            let (_, rows) = decode_batch(&frame.header_part)?;
            for (number, row) in rows.iter().enumerate() {
                index.gather(frame.offset, len_u32(number), &Gathered::from(row));
            }
        }
        FrameKind::Index => {}
    }
    Ok(None)
}

/// Reads one section's row and its context.
pub(super) fn read_section(
    segment: &Arc<SegmentFile>,
    tenant: &str,
    target: &Target,
    problems: &mut Vec<Problem>,
) -> Option<Found> {
    let place = target.place;
    let frame = frame_at(segment, place.offset, problems)?;
    let found = match decode_batch(&frame.header_part) {
        Ok((head, mut rows)) if frame.kind == FrameKind::Batch => {
            let number = place.number as usize;
            (number < rows.len()).then(|| (head, rows.swap_remove(number)))
        }
        _ => None,
    };
    let Some((head, row)) = found else {
        let why = "the index tells of a section that is not here".to_owned();
        skipped(segment, place.offset, frame.end - place.offset, why, problems);
        return None;
    };
    let context = read_context(segment, row.context, target.context_offset, problems)
        .unwrap_or_else(|| bare_context(row.context, &Arc::from(tenant)));
    let block = BlockRef::new(segment, &frame, head);
    Some(Found { entry: entry(row, context, place), block })
}

/// Reads the description of a context; none, and a problem, if it is not at `offset`.
pub(super) fn read_context(
    segment: &Arc<SegmentFile>,
    id: ContextId,
    offset: u64,
    problems: &mut Vec<Problem>,
) -> Option<Arc<Context>> {
    if offset > 0 {
        let frame = frame_at(segment, offset, problems)?;
        let context = decode_context(&frame.header_part).ok();
        if let Some(context) = context.filter(|context| context.id == id) {
            return Some(Arc::new(context));
        }
    }
    let segment = segment.path.clone();
    problems.push(Problem::UnknownContext { segment, offset, context: id });
    None
}

/// The good frame at `offset`; otherwise a problem.
pub(super) fn frame_at(
    segment: &Arc<SegmentFile>,
    offset: u64,
    problems: &mut Vec<Problem>,
) -> Option<RawFrame> {
    let stepped = segment.walk(Blocks::Skipped).and_then(|(mut walk, _)| {
        walk.stand_at(offset);
        walk.step()
    });
    match stepped {
        Ok(Step::Frame(frame)) => return Some(frame),
        Ok(Step::Bad { why, next, file_bytes }) => {
            let end = next.unwrap_or(file_bytes);
            skipped(segment, offset, end - offset, why.to_string(), problems);
        }
        Ok(Step::End | Step::Shrunk { .. }) => {
            skipped(segment, offset, 0, "the file ends before the frame".to_owned(), problems);
        }
        Err(error) => unreadable(&segment.path, &error, problems),
    }
    None
}
