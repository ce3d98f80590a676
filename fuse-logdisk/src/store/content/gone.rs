//! Gone: what of a content is not in memory any more, and why.
//!
//! What is given back once it is acknowledged is in the queue, byte for byte, and can be had from there. Two things cannot: what
//! was let go before anybody had delivered it, and what was written over, of which the queue may have either. These are rare,
//! and stand in an attribute of the file, so that the next daemon knows of them. How far a file was given back, the
//! file itself tells: by the hole behind its first page.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use rustix::fs::{FallocateFlags, SeekFrom, XattrFlags};
use rustix::io::Errno;

use super::{Class, Content, HEAD_BYTES, PAGE_BYTES, State};
use crate::meter::Meter;

/// Less than this is not worth a system call, in bytes.
const RELEASE_BYTES_MIN: u64 = 64 << 10;
/// What is never let go at the end of a file, in bytes: the page cache may still send it again.
const UNDROPPED_BYTES: u64 = 64 << 10;
/// Ranges that were let go that are told apart; nearer ones become one.
const DROPPED_MAX: usize = 16;

/// Why what is gone of a copy is nowhere.
const COPY: &str = "it is a copy, of which the end alone is kept; what it was made of has it";

/// What is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Gone {
    /// What stands between the first page and here is given back.
    pub(super) released: u64,
    /// What was let go undelivered, ascending.
    dropped: Vec<Range<u64>>,
    /// All that was written over with something else lies in here.
    overwritten: Range<u64>,
}

/// Bytes of a content that are not in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What the agent calls the content.
    pub key: u64,
    /// What was given back, by offsets of the content.
    pub range: Range<u64>,
    /// Where in what was asked for that begins.
    pub at: u64,
    /// Why some of what was asked for is nowhere any more.
    pub lost: Option<&'static str>,
}

impl Gone {
    const NAME: &'static str = "trusted.logdisk.gone";
    const BYTES_MAX: usize = 16 * (DROPPED_MAX + 1);

    /// Of a file that an earlier daemon knew.
    ///
    /// # Errors
    /// As `open` and `getxattr`.
    pub(super) fn of(path: &Path, size: u64) -> Result<Gone, Errno> {
        let mut bytes = [0; Gone::BYTES_MAX];
        let len = match rustix::fs::getxattr(path, Gone::NAME, &mut bytes) {
            Ok(len) => len,
            Err(Errno::NODATA) => 0,
            Err(error) => return Err(error),
        };
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        let mut ranges = bytes[..len].chunks_exact(16).map(|it| number(&it[..8])..number(&it[8..]));
        let overwritten = ranges.next().unwrap_or_default();
        let released = released_until(path, size)?;
        Ok(Gone { released, overwritten, dropped: ranges.collect() })
    }

    fn save(&self, file: &File) {
        let mut bytes = Vec::with_capacity(Gone::BYTES_MAX);
        for range in std::iter::once(&self.overwritten).chain(&self.dropped) {
            bytes.extend_from_slice(&range.start.to_le_bytes());
            bytes.extend_from_slice(&range.end.to_le_bytes());
        }
        if let Err(error) = rustix::fs::fsetxattr(file, Gone::NAME, &bytes, XattrFlags::empty()) {
            tracing::warn!(%error, "the next daemon will not know what is gone of a file");
        }
    }

    fn drop_range(&mut self, range: Range<u64>) {
        self.dropped.push(range);
        self.dropped.sort_by_key(|it| it.start);
        // Those that touch are one; and, if there are too many, the nearest.
        while let Some(at) = self.joinable() {
            let next = self.dropped.remove(at + 1);
            self.dropped[at].end = self.dropped[at].end.max(next.end);
        }
    }

    fn joinable(&self) -> Option<usize> {
        let between = |at: &usize| self.dropped[at + 1].start.saturating_sub(self.dropped[*at].end);
        let nearest = (0..self.dropped.len().saturating_sub(1)).min_by_key(between)?;
        let is_due = between(&nearest) == 0 || self.dropped.len() > DROPPED_MAX;
        is_due.then_some(nearest)
    }

    /// What of these offsets is gone.
    fn missing(&self, key: u64, wanted: &Range<u64>) -> Option<Missing> {
        let begin = wanted.start.max(HEAD_BYTES);
        let range = begin..wanted.end.min(self.released).max(begin);
        let lost = if self.dropped.iter().any(|it| meet(it, wanted)) {
            Some("it was let go before it was delivered")
        } else if meet(&self.overwritten, &range) {
            Some("it was written over, and the queue may have what was there before")
        } else {
            None
        };
        let is_whole = range.is_empty() && lost.is_none();
        let at = range.start - wanted.start;
        (!is_whole).then_some(Missing { key, range, at, lost })
    }
}

/// Up to where a file of this size was given back.
fn released_until(path: &Path, size: u64) -> Result<u64, Errno> {
    // Less was never given back.
    if size < HEAD_BYTES + RELEASE_BYTES_MIN {
        return Ok(0);
    }
    match rustix::fs::seek(super::super::open(path)?, SeekFrom::Data(HEAD_BYTES)) {
        Ok(HEAD_BYTES) => Ok(0),
        Ok(data) => Ok(data),
        // There is only a hole.
        Err(Errno::NXIO) => Ok(size),
        Err(error) => Err(error),
    }
}

fn meet(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start.max(other.start) < one.end.min(other.end)
}

impl Content {
    /// Knows again what an earlier daemon knew of its file.
    ///
    /// # Errors
    /// As `open` and `getxattr`.
    pub(in super::super) fn known(self, path: &Path) -> Result<Content, Errno> {
        let size = self.size();
        self.state().gone = Gone::of(path, size)?;
        Ok(self)
    }

    /// It begins with `size` bytes of another: what is gone of these is nowhere.
    pub(in super::super) fn begins_with(&self, file: &File, other: &Content, size: u64) {
        let before = other.state().gone.clone();
        let mut state = self.state();
        if before.released.min(size) > HEAD_BYTES {
            state.gone.drop_range(HEAD_BYTES..before.released.min(size));
        }
        for range in before.dropped.iter().filter(|it| it.start < size) {
            state.gone.drop_range(range.start..range.end.min(size));
        }
        if state.gone != Gone::default() {
            state.gone.save(file);
        }
    }

    /// What is not in memory of what applications see at `offset`, so many bytes. To be asked after they were read.
    pub(in super::super) fn missing(&self, offset: u64, bytes: u64) -> Option<Missing> {
        let state = self.state();
        let begin = state.base.saturating_add(offset);
        let wanted = begin..begin.saturating_add(bytes);
        let missing = state.gone.missing(self.key, &wanted)?;
        match self.class {
            Class::Log => Some(missing),
            // Nobody has copies from anywhere.
            Class::Copy => Some(Missing { lost: Some(COPY), ..missing }),
            Class::Other => None,
        }
    }

    /// Lets go of the oldest bytes that are not acknowledged, about so many: the agent finds a hole there, and declares
    /// it. Says how many it was; the first page and the last bytes stay.
    pub(in super::super) fn drop_oldest(
        &self,
        file: &File,
        bytes: u64,
        meter: &Meter,
    ) -> Result<u64, Errno> {
        let mut state = self.state();
        let begin = state.acknowledged.max(state.dropped).max(HEAD_BYTES);
        let begin = begin.next_multiple_of(PAGE_BYTES);
        let last = state.size.saturating_sub(UNDROPPED_BYTES) / PAGE_BYTES * PAGE_BYTES;
        let end = last.min(begin.saturating_add(bytes).next_multiple_of(PAGE_BYTES));
        if end <= begin {
            return Ok(0);
        }
        // Before it is so: who reads meanwhile would take NULs for what was written.
        state.gone.drop_range(begin..end);
        state.gone.save(file);
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(file, punch, begin, end - begin)?;
        state.dropped = end;
        meter.dropped_bytes.add(end - begin);
        Ok(end - begin)
    }

    /// Gives back what is acknowledged but for the last `keep_bytes`; `open` opens the file if it is not.
    pub(in super::super) fn release(
        &self,
        keep_bytes: u64,
        open: impl FnOnce() -> Result<File, Errno>,
        meter: &Meter,
    ) -> Result<(), Errno> {
        let mut state = self.state();
        // The agent knows its place in a file by the bytes just before it.
        let keep_bytes = keep_bytes.max(PAGE_BYTES);
        let end = state.acknowledged.saturating_sub(keep_bytes) / PAGE_BYTES * PAGE_BYTES;
        let begin = state.gone.released.max(HEAD_BYTES);
        if end < begin + RELEASE_BYTES_MIN {
            return Ok(());
        }
        let opened;
        let file: &File = match &state.file {
            Some(file) => file,
            None => {
                opened = open()?;
                &opened
            }
        };
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(file, punch, begin, end - begin)?;
        state.gone.released = end;
        meter.released_bytes.add(end - begin);
        Ok(())
    }
}

impl State {
    /// Learns that `data` takes the place of what is there, as far as it is another.
    ///
    /// The page cache sends a page again for each line that is added to it, with the same bytes in front.
    pub(super) fn note_overwritten(
        &mut self,
        file: &File,
        data: &[u8],
        offset: u64,
    ) -> Result<(), Errno> {
        let end = self.size.min(offset + data.len() as u64);
        if offset >= end {
            return Ok(());
        }
        let data = &data[..super::split(end - offset)];
        let mut before = vec![0; data.len()];
        let mut len = 0;
        while len < before.len() {
            match rustix::io::pread(file, &mut before[len..], offset + len as u64) {
                Ok(0) => break,
                Ok(more) => len += more,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        let is_other = |(one, other): (&u8, &u8)| one != other;
        let Some(first) = before.iter().zip(data).position(is_other) else { return Ok(()) };
        let last = before.iter().zip(data).rposition(is_other).unwrap_or(first);
        let (first, last) = (offset + first as u64, offset + last as u64 + 1);
        let known = &self.gone.overwritten;
        let all = if known.is_empty() {
            first..last
        } else {
            known.start.min(first)..known.end.max(last)
        };
        if all != *known {
            self.gone.overwritten = all;
            self.gone.save(file);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_of_a_read_is_told_from_what_is_there() {
        let gone = Gone { released: 100_000, ..Gone::default() };
        let missing = |wanted: Range<u64>| gone.missing(7, &wanted).map(|it| (it.range, it.at));
        assert_eq!(missing(0..4096), None, "the first page");
        assert_eq!(missing(0..8192), Some((4096..8192, 4096)));
        assert_eq!(missing(50_000..60_000), Some((50_000..60_000, 0)));
        assert_eq!(missing(99_000..110_000), Some((99_000..100_000, 0)));
        assert_eq!(missing(100_000..110_000), None);
    }

    #[test]
    fn what_is_nowhere_is_lost() {
        let mut gone = Gone { released: 100_000, overwritten: 20_000..20_001, ..Gone::default() };
        gone.drop_range(200_000..300_000);
        let lost = |wanted: Range<u64>| gone.missing(7, &wanted).and_then(|it| it.lost);
        assert!(lost(10_000..20_001).is_some_and(|it| it.contains("written over")));
        assert_eq!(lost(10_000..20_000), None);
        assert!(lost(150_000..200_001).is_some_and(|it| it.contains("let go")));
        assert_eq!(lost(300_000..400_000), None);
    }

    #[test]
    fn ranges_that_touch_are_one_and_too_many_are_joined_where_they_are_nearest() {
        let mut gone = Gone::default();
        gone.drop_range(8192..12_288);
        gone.drop_range(4096..8192);
        assert_eq!((gone.dropped.len(), &gone.dropped[0]), (1, &(4096..12_288)));
        for number in 1..=20 {
            gone.drop_range(number * 1_000_000..number * 1_000_000 + 4096);
        }
        assert_eq!(gone.dropped.len(), DROPPED_MAX);
        for number in 1..=20 {
            let wanted = number * 1_000_000..number * 1_000_000 + 1;
            assert!(gone.missing(7, &wanted).is_some(), "{number} is forgotten");
        }
    }
}
