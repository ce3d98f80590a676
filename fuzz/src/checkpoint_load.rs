//! Checkpoint loading: files of any bytes in the folder of checkpoints.
//!
//! A small reader, written from docs/FORMAT.md alone, says what the files hold. The store must find just
//! that, say where it is damaged, write it down anew, and find it again.

use std::collections::BTreeMap;

use flow::{ContextId, Head, Place, Position, Streams, checksum};
use pipeline::checkpoint::{
    CheckpointStore, End, Entry, KEEP_SECONDS, Loaded, OpenError, StateDisk,
};
use pipeline::source::Known;
use sim::SimDisk;

use crate::input::Input;

/// Time of the openings, seconds since 1970.
const NOW: i64 = 1_800_000_000;
const HEADER_BYTES: usize = 28;
const FRAME_HEADER_BYTES: usize = 24;
const VERSION: u32 = 1;
const FRAME_BYTES_MAX: u64 = 1 << 30;

/// What a file holds: its entries, and whether all of it could be read.
type Content = (BTreeMap<u128, Entry>, bool);

/// One input: which checksums are made right, length of the older file, and both files.
///
/// # Panics
/// If what is found is not what the files hold.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (how, older) = (input.byte(), input.number());
    let files = [input.bytes(older).to_vec(), input.rest().to_vec()];
    let disk = SimDisk::default();
    let mut contents = Vec::new();
    for (number, mut bytes) in (1..).zip(files) {
        if bytes.is_empty() {
            continue;
        }
        make_right(&mut bytes, how);
        contents.push(read(&bytes));
        let file = disk.create(&format!("checkpoint.{number:016x}")).expect("in memory");
        file.write_at(&bytes, 0).expect("in memory");
    }
    // The newest counts that is no worse than torn; a later version is refused before older ones are
    // looked at.
    let newest = contents.iter().rev().find(|it| !matches!(it, Err(Refusal::Damaged)));
    let is_damaged_before = matches!(contents.last(), Some(Err(Refusal::Damaged)));
    let opened = CheckpointStore::open_on(Box::new(disk.clone()), NOW);
    if let Some(Err(Refusal::Version(version))) = newest {
        let steps = disk.steps();
        let Err(OpenError::Version { version: told, .. }) = opened else { panic!("{opened:?}") };
        assert_eq!((told, disk.steps()), (*version, steps));
        return;
    }
    let (store, loaded) = opened.unwrap_or_else(|why| panic!("{why}"));
    let (entries, is_whole) = match newest {
        Some(Ok(content)) => content.clone(),
        _ => (BTreeMap::new(), true),
    };
    assert_eq!(by_context(&loaded), entries);
    let is_damaged = is_damaged_before || !is_whole;
    assert_eq!(!loaded.damage.is_empty(), is_damaged, "{:?}", loaded.damage);
    drop(store);
    let opened = CheckpointStore::open_on(Box::new(disk), NOW);
    let (store, again) = opened.unwrap_or_else(|why| panic!("{why}"));
    assert!(again.damage.is_empty(), "{:?}", again.damage);
    let is_kept =
        |it: &Entry| i128::from(NOW) - i128::from(it.updated_unix_seconds) < KEEP_SECONDS.into();
    let kept: BTreeMap<u128, Entry> = entries.into_iter().filter(|(_, it)| is_kept(it)).collect();
    for entry in kept.values() {
        assert_eq!(store.known(entry.context), Some(&entry.known));
    }
    assert_eq!(by_context(&again), kept);
}

fn by_context(loaded: &Loaded) -> BTreeMap<u128, Entry> {
    let entries: BTreeMap<u128, Entry> =
        loaded.entries.iter().map(|it| (it.context.0, it.clone())).collect();
    assert_eq!(entries.len(), loaded.entries.len(), "a context has one entry");
    entries
}

/// Makes checksums right, so that what lies behind them is looked at too: 1 of the header, 2 of the
/// frames; 4 lets the last frame end where the file ends.
fn make_right(bytes: &mut [u8], how: u8) {
    if how & 1 == 1 && bytes.len() >= HEADER_BYTES {
        let sum = checksum(&bytes[..20]);
        bytes[20..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
    }
    let mut at = HEADER_BYTES;
    while how & 2 == 2 && bytes.len() >= at + FRAME_HEADER_BYTES {
        let frame = &mut bytes[at..];
        let left = frame.len() - FRAME_HEADER_BYTES;
        let stated = usize::try_from(u64_at(frame, 8)).unwrap_or(usize::MAX);
        if stated > left && how & 4 == 4 {
            frame[8..16].copy_from_slice(&(left as u64).to_le_bytes());
        }
        let len = stated.min(left);
        let sum =
            checksum(&frame[FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + len]) ^ checksum(&frame[..16]);
        frame[16..24].copy_from_slice(&sum.to_le_bytes());
        at += FRAME_HEADER_BYTES + len;
    }
}

/// Why a file is not read at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Damaged,
    Version(u32),
}

/// What a file holds.
fn read(bytes: &[u8]) -> Result<Content, Refusal> {
    let header = bytes.get(..HEADER_BYTES).ok_or(Refusal::Damaged)?;
    if !header.starts_with(b"LFCKPT\r\n") || u64_at(header, 20) != checksum(&header[..20]) {
        return Err(Refusal::Damaged);
    }
    let version = u32::from_le_bytes(header[8..12].try_into().expect("4 bytes"));
    if version != VERSION {
        return Err(Refusal::Version(version));
    }
    let mut left = &bytes[HEADER_BYTES..];
    let (kind, mut entries) = read_frame(&mut left).ok_or(Refusal::Damaged)?;
    if kind != 1 {
        return Err(Refusal::Damaged);
    }
    while !left.is_empty() {
        let Some((_, changes)) = read_frame(&mut left) else { return Ok((entries, false)) };
        entries.extend(changes);
    }
    Ok((entries, true))
}

fn read_frame(left: &mut &[u8]) -> Option<(u32, BTreeMap<u128, Entry>)> {
    let frame = left.get(..FRAME_HEADER_BYTES)?;
    let kind = u32::from_le_bytes(frame[..4].try_into().expect("4 bytes"));
    let count = u32::from_le_bytes(frame[4..8].try_into().expect("4 bytes"));
    let (len, sum) = (u64_at(frame, 8), u64_at(frame, 16));
    if !(1..=2).contains(&kind) || len > FRAME_BYTES_MAX {
        return None;
    }
    let end = FRAME_HEADER_BYTES + usize::try_from(len).ok()?;
    let mut body = left.get(FRAME_HEADER_BYTES..end)?;
    if sum != checksum(body) ^ checksum(&frame[..16]) {
        return None;
    }
    let mut entries = BTreeMap::new();
    for _ in 0..count {
        let entry = read_entry(&mut body)?;
        entries.insert(entry.context.0, entry);
    }
    *left = &left[end..];
    body.is_empty().then_some((kind, entries))
}

fn read_entry(body: &mut &[u8]) -> Option<Entry> {
    let context = ContextId(u128::from_le_bytes(take(body)?));
    let epoch = u32::from_le_bytes(take(body)?);
    let cursor = u64::from_le_bytes(take(body)?);
    let updated_unix_seconds = i64::from_le_bytes(take(body)?);
    let [marks] = take(body)?;
    let continued = Streams::from_bits(marks >> 2 & 3)?;
    let count = u32::from_le_bytes(take(body)?);
    let mut generations = Vec::new();
    for _ in 0..count {
        let generation = u64::from_le_bytes(take(body)?);
        let offset = u64::from_le_bytes(take(body)?);
        let len = u16::from_le_bytes(take(body)?);
        let head = Head { len, hash: u64::from_le_bytes(take(body)?) };
        let [len] = take(body)?;
        let hash = u32::from_le_bytes(take(body)?);
        let place = Place { len, hash, hole: u64::from_le_bytes(take(body)?) };
        generations.push(Position { generation, offset, head, place, ..Position::default() });
    }
    Some(Entry {
        context,
        known: Known {
            epoch,
            cursor,
            is_new: marks & 1 != 0,
            generations,
            is_newest_settled: marks & 2 != 0,
            continued,
        },
        updated_unix_seconds,
        end: (marks & 16 != 0).then(End::default),
    })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}
