//! Bytes of a checkpoint file. All integers are little-endian; `docs/FORMAT.md` is the document.

use std::io;

use flow::{ContextId, Head, Place, Position, Streams, checksum, is_mutant};
use xxhash_rust::xxh3::Xxh3;

use super::{End, Entry, Parts, StateFile};
use crate::source::Known;

const MAGIC: [u8; 8] = *b"LFCKPT\r\n";
/// Version of the layout. A reader refuses later ones.
pub const VERSION: u32 = 1;
/// Length of the file header, in bytes.
pub(super) const HEADER_BYTES: usize = 28;
/// Length of a frame's header, in bytes.
const FRAME_HEADER_BYTES: usize = 24;
/// Mark of a context of which nothing was ever delivered.
const NEW: u8 = 1;
/// Mark of one whose newest generation is not missed if it is gone.
const NEWEST_SETTLED: u8 = 2;
/// Where the marks of those streams begin whose next line goes on.
const CONTINUED_SHIFT: u32 = 2;
/// Mark of a context whose files are gone, and all of which is acknowledged.
const ENDED: u8 = 16;
/// Bytes of an entry with one generation, and some more.
const ENTRY_BYTES: usize = 80;
/// How much of a snapshot is written at once, in bytes.
const PIECE_BYTES: usize = 64 << 10;
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

/// A frame of changes: kind, number of entries, length and checksum, then the entries.
pub(super) fn changes<'a>(entries: impl ExactSizeIterator<Item = Parts<'a>>) -> Vec<u8> {
    let entries_count = count(entries.len());
    let mut bytes = Vec::with_capacity(FRAME_HEADER_BYTES + entries.len() * ENTRY_BYTES);
    bytes.resize(FRAME_HEADER_BYTES, 0);
    entries.for_each(|entry| write_entry(entry, &mut bytes));
    let body = &bytes[FRAME_HEADER_BYTES..];
    let header = frame_header(Kind::Changes, entries_count, body.len() as u64, checksum(body));
    bytes[..FRAME_HEADER_BYTES].copy_from_slice(&header);
    bytes
}

/// Writes a file of a header and a snapshot, piece by piece: there may be very many entries. Returns
/// its length.
pub(super) fn write_snapshot<'a>(
    file: &dyn StateFile,
    sequence: u64,
    entries: impl ExactSizeIterator<Item = Parts<'a>>,
) -> io::Result<u64> {
    let entries_count = count(entries.len());
    let begin = (HEADER_BYTES + FRAME_HEADER_BYTES) as u64;
    let mut end = begin;
    let mut sum = Xxh3::new();
    let mut piece = Vec::with_capacity(PIECE_BYTES + ENTRY_BYTES);
    let mut flush = |piece: &mut Vec<u8>| {
        file.write_at(piece, end)?;
        sum.update(piece);
        end += piece.len() as u64;
        piece.clear();
        io::Result::Ok(())
    };
    for entry in entries {
        write_entry(entry, &mut piece);
        if piece.len() >= PIECE_BYTES {
            flush(&mut piece)?;
        }
    }
    flush(&mut piece)?;
    let mut head = header(sequence);
    head.extend_from_slice(&frame_header(Kind::Snapshot, entries_count, end - begin, sum.digest()));
    file.write_at(&head, 0)?;
    Ok(end)
}

fn frame_header(
    kind: Kind,
    entries: u32,
    body_bytes: u64,
    body_sum: u64,
) -> [u8; FRAME_HEADER_BYTES] {
    let mut header = [0; FRAME_HEADER_BYTES];
    header[..4].copy_from_slice(&(kind as u32).to_le_bytes());
    header[4..8].copy_from_slice(&entries.to_le_bytes());
    header[8..16].copy_from_slice(&body_bytes.to_le_bytes());
    let sum = body_sum ^ checksum(&header[..16]);
    header[16..].copy_from_slice(&sum.to_le_bytes());
    header
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
    let is_damaged = sum != checksum(body) ^ checksum(&bytes[..FRAME_HEADER_BYTES - 8]);
    if is_damaged && !is_mutant("checkpoint_checksum_ignored") {
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

fn write_entry((context, known, updated_unix_seconds, is_ended): Parts<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(&context.0.to_le_bytes());
    out.extend_from_slice(&known.epoch.to_le_bytes());
    out.extend_from_slice(&known.cursor.to_le_bytes());
    out.extend_from_slice(&updated_unix_seconds.to_le_bytes());
    let settled = if known.is_newest_settled { NEWEST_SETTLED } else { 0 };
    let new = if known.is_new { NEW } else { 0 };
    let ended = if is_ended { ENDED } else { 0 };
    out.push(new | settled | ended | known.continued.bits() << CONTINUED_SHIFT);
    out.extend_from_slice(&count(known.generations.len()).to_le_bytes());
    for position in &known.generations {
        out.extend_from_slice(&position.generation.to_le_bytes());
        out.extend_from_slice(&position.offset.to_le_bytes());
        out.extend_from_slice(&position.head.len.to_le_bytes());
        out.extend_from_slice(&position.head.hash.to_le_bytes());
        out.push(position.place.len);
        out.extend_from_slice(&position.place.hash.to_le_bytes());
        out.extend_from_slice(&position.place.hole.to_le_bytes());
    }
}

fn read_entry(reader: &mut Reader<'_>) -> Option<Entry> {
    let context = ContextId(u128::from_le_bytes(reader.take()?));
    let epoch = reader.u32()?;
    let cursor = reader.u64()?;
    let updated_unix_seconds = i64::from_le_bytes(reader.take()?);
    let [marks] = reader.take()?;
    let generations_count = reader.u32()?;
    let mut generations = Vec::new();
    for _ in 0..generations_count {
        let (generation, offset) = (reader.u64()?, reader.u64()?);
        let head = Head { len: u16::from_le_bytes(reader.take()?), hash: reader.u64()? };
        let [len] = reader.take()?;
        let place = Place { len, hash: reader.u32()?, hole: reader.u64()? };
        generations.push(Position { generation, offset, head, place, ..Position::default() });
    }
    let (is_new, is_newest_settled) = (marks & NEW != 0, marks & NEWEST_SETTLED != 0);
    let continued = Streams::from_bits(marks >> CONTINUED_SHIFT & 3)?;
    let known = Known { epoch, cursor, is_new, generations, is_newest_settled, continued };
    let end = (marks & ENDED != 0).then(End::default);
    Some(Entry { context, known, updated_unix_seconds, end })
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
