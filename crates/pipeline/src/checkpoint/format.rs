//! Bytes of a checkpoint file. All integers are little-endian; `docs/FORMAT.md` is the document.

use flow::{ContextId, Head, Place, Position, checksum};

use super::{Entry, Parts};
use crate::source::Known;

const MAGIC: [u8; 8] = *b"LFCKPT\r\n";
/// Version of the layout. A reader refuses later ones.
pub const VERSION: u32 = 1;
/// Length of the file header, in bytes.
pub(super) const HEADER_BYTES: usize = 28;
/// Length of a frame's header, in bytes.
const FRAME_HEADER_BYTES: usize = 24;
/// Bytes of an entry with one generation, and some more.
const ENTRY_BYTES: usize = 80;
/// Largest frame that is believed, in bytes: far more than a node's contexts need.
const FRAME_BYTES_MAX: usize = 1 << 30;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// All contexts.
    Snapshot = 1,
    /// Contexts that changed.
    Changes = 2,
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameError {
    /// The bytes end inside the frame: a write that a crash cut short.
    Torn,
    /// The checksum or a length is wrong.
    Damaged,
}

/// Why bytes are not a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// Not a checkpoint, or a damaged one.
    Damaged,
    /// Written by a later version.
    Version(u32),
}

/// The header of the file with this number.
pub(super) fn header(sequence: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&checksum(&bytes).to_le_bytes());
    bytes
}

/// Checks a file's header; returns its sequence number.
pub(super) fn read_header(bytes: &[u8]) -> Result<u64, HeaderError> {
    let header = bytes.get(..HEADER_BYTES).ok_or(HeaderError::Damaged)?;
    let mut reader = Reader { bytes: header };
    let magic: [u8; 8] = reader.take().ok_or(HeaderError::Damaged)?;
    let version = reader.u32().ok_or(HeaderError::Damaged)?;
    let sequence = reader.u64().ok_or(HeaderError::Damaged)?;
    let sum = reader.u64().ok_or(HeaderError::Damaged)?;
    if magic != MAGIC || sum != checksum(&header[..HEADER_BYTES - 8]) {
        return Err(HeaderError::Damaged);
    }
    if version != VERSION { Err(HeaderError::Version(version)) } else { Ok(sequence) }
}

/// A frame: kind, number of entries, length and checksum, then the entries.
pub(super) fn frame<'a>(kind: Kind, entries: impl ExactSizeIterator<Item = Parts<'a>>) -> Vec<u8> {
    let entries_count = count(entries.len());
    let mut bytes = Vec::with_capacity(FRAME_HEADER_BYTES + entries.len() * ENTRY_BYTES);
    bytes.resize(FRAME_HEADER_BYTES, 0);
    entries.for_each(|entry| write_entry(entry, &mut bytes));
    let body_bytes = (bytes.len() - FRAME_HEADER_BYTES) as u64;
    bytes[..4].copy_from_slice(&(kind as u32).to_le_bytes());
    bytes[4..8].copy_from_slice(&entries_count.to_le_bytes());
    bytes[8..16].copy_from_slice(&body_bytes.to_le_bytes());
    let sum = checksum(&bytes[FRAME_HEADER_BYTES..]) ^ checksum(&bytes[..16]);
    bytes[16..FRAME_HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Reads the frame that `bytes` begin with; returns its kind, its entries and its length.
pub(super) fn read_frame(bytes: &[u8]) -> Result<(Kind, Vec<Entry>, usize), FrameError> {
    let mut reader = Reader { bytes };
    let kind = reader.u32().ok_or(FrameError::Torn)?;
    let entries_count = reader.u32().ok_or(FrameError::Torn)?;
    let len = reader.u64().ok_or(FrameError::Torn)?;
    let sum = reader.u64().ok_or(FrameError::Torn)?;
    let kind = match kind {
        1 => Kind::Snapshot,
        2 => Kind::Changes,
        _ => return Err(FrameError::Damaged),
    };
    let len = usize::try_from(len).map_err(|_| FrameError::Damaged)?;
    if len > FRAME_BYTES_MAX {
        return Err(FrameError::Damaged);
    }
    let body = reader.bytes.get(..len).ok_or(FrameError::Torn)?;
    if sum != checksum(body) ^ checksum(&bytes[..FRAME_HEADER_BYTES - 8]) {
        return Err(FrameError::Damaged);
    }
    let mut reader = Reader { bytes: body };
    let mut entries = Vec::new();
    for _ in 0..entries_count {
        entries.push(read_entry(&mut reader).ok_or(FrameError::Damaged)?);
    }
    if !reader.bytes.is_empty() {
        return Err(FrameError::Damaged);
    }
    Ok((kind, entries, FRAME_HEADER_BYTES + len))
}

fn write_entry((context, known, updated_unix_seconds): Parts<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(&context.0.to_le_bytes());
    out.extend_from_slice(&known.epoch.to_le_bytes());
    out.extend_from_slice(&known.cursor.to_le_bytes());
    out.extend_from_slice(&updated_unix_seconds.to_le_bytes());
    out.push(u8::from(known.is_new));
    out.extend_from_slice(&count(known.generations.len()).to_le_bytes());
    for position in &known.generations {
        out.extend_from_slice(&position.generation.to_le_bytes());
        out.extend_from_slice(&position.offset.to_le_bytes());
        out.extend_from_slice(&position.head.len.to_le_bytes());
        out.extend_from_slice(&position.head.hash.to_le_bytes());
        out.push(position.place.len);
        out.extend_from_slice(&position.place.hash.to_le_bytes());
    }
}

fn read_entry(reader: &mut Reader<'_>) -> Option<Entry> {
    let context = ContextId(u128::from_le_bytes(reader.take()?));
    let epoch = reader.u32()?;
    let cursor = reader.u64()?;
    let updated_unix_seconds = i64::from_le_bytes(reader.take()?);
    let [is_new] = reader.take()?;
    let generations_count = reader.u32()?;
    let mut generations = Vec::new();
    for _ in 0..generations_count {
        let (generation, offset) = (reader.u64()?, reader.u64()?);
        let head = Head { len: u16::from_le_bytes(reader.take()?), hash: reader.u64()? };
        let [len] = reader.take()?;
        let place = Place { len, hash: reader.u32()? };
        generations.push(Position { generation, offset, head, place });
    }
    let known = Known { epoch, cursor, is_new: is_new != 0, generations };
    Some(Entry { context, known, updated_unix_seconds })
}

fn count(len: usize) -> u32 {
    u32::try_from(len).expect("a node has fewer contexts than 2^32")
}

/// Takes integers off the front.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(*taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}
