//! Holes: bytes that nobody wrote, and NULs at a file's end that may not be written yet.
//!
//! A file grown by `truncate`, a writer that keeps its offset over a copytruncate, and a power cut
//! all leave bytes that read as NUL. They are no record: what stands before them is read, and they
//! are waited for as long as an unfinished line is, since a file system or a writer may still fill
//! them. What is a hole then is declared as a gap, and what is stored is delivered as bytes. A hole at the
//! end of a file that is written to is waited for as long as it is the end: there are writers that make
//! files longer beforehand, and fill them without telling anybody.
//!
//! The ordinary read pays for this with one glance per block: a hole begins at a block's border, so
//! that a NUL there, at the first byte or at the last, is what makes the file system be asked.

use std::io;
use std::ops::Range;

use flow::{GapReason, HEAD_BYTES_MAX, PLACE_BYTES_MAX, Place, is_mutant};

use super::look::{Look, Turn};
use super::{Generation, Missing, Source};
use crate::frame::{Format, Streams, Tail};
use crate::fs::{Fs, LogFile};

/// Smallest block that file systems in use have, in bytes: holes begin at multiples of it.
const BLOCK_BYTES: usize = 1024;
/// First pause before NULs are looked at again; each further one is as long as all before.
const FIRST_PAUSE_NS: u64 = 100_000_000;
/// Pause between looks at a hole at the end: what is written by a mapping of memory makes no event.
const LAST_PAUSE_NS: u64 = 1_000_000_000;
/// How much is read at once to find the end of a run of NULs, in bytes.
const STEP_BYTES: usize = 4096;
/// Steps over holes and stored NULs in one look. What is stored around a hole belongs to it as far
/// as this reaches: 64 KiB, the largest block.
const STEPS_MAX: usize = 16;

/// What is known of a generation's NULs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Holes {
    pending: Option<Pending>,
    /// Stored NULs before this offset have waited: they are bytes like any other.
    settled: u64,
    /// So many bytes of the head were NULs when they were passed.
    leading: u16,
}

/// NULs that are waited for.
#[derive(Debug, Clone, Copy)]
struct Pending {
    begin: u64,
    /// Size of the file when it was last looked at; 0 before.
    size: u64,
    since_ns: u64,
    /// When the file is to be read again.
    look_ns: u64,
}

/// What NULs turn out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nuls {
    /// None: something was written there.
    Gone,
    /// Bytes.
    Stored,
    /// A hole, and what is not written of the blocks beside it, up to this offset.
    Hole(u64),
}

impl Holes {
    /// Whether the last read stopped at NULs.
    pub(super) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Where so many bytes of the head were NULs.
    pub(super) fn behind(leading: u16) -> Holes {
        Holes { leading, ..Holes::default() }
    }

    /// How many bytes of the head were NULs when they were passed.
    pub(super) fn leading(&self) -> u16 {
        self.leading
    }

    /// These bytes, which stand at `offset`, are done with.
    pub(super) fn pass(&mut self, offset: u64, bytes: &[u8]) {
        let nuls = bytes.iter().take_while(|byte| **byte == 0);
        self.pass_nuls(offset, nuls.take(HEAD_BYTES_MAX).count() as u64);
    }

    /// So many NULs are done with, which stand at `offset`.
    fn pass_nuls(&mut self, offset: u64, count: u64) {
        if offset == u64::from(self.leading) {
            let leading = (offset + count).min(HEAD_BYTES_MAX as u64);
            self.leading = u16::try_from(leading).expect("HEAD_BYTES_MAX fits");
        }
    }

    /// How many of `bytes`, read at `offset`, are written for sure.
    ///
    /// # Errors
    /// As `lseek`.
    pub(super) fn written(
        &mut self,
        file: &dyn LogFile,
        bytes: &[u8],
        offset: u64,
        unit: usize,
        now_ns: u64,
    ) -> io::Result<usize> {
        let settled = self.settled.saturating_sub(offset);
        let settled = usize::try_from(settled).unwrap_or(usize::MAX).min(bytes.len());
        let mut len = without_nuls(bytes, offset, unit).max(settled);
        if may_have_hole(&bytes[..len], offset, unit)
            && let Some(hole) = file.hole_from(offset)?
            && let Ok(before) = usize::try_from(hole.start.saturating_sub(offset))
            && before < len
        {
            len = without_nuls(&bytes[..before], offset, unit).max(settled.min(before));
        }
        if len == bytes.len() {
            self.pending = None;
            return Ok(len);
        }
        let begin = offset + len as u64;
        let known = self.pending.filter(|it| it.begin == begin);
        let (since_ns, size) = known.map_or((now_ns, 0), |it| (it.since_ns, it.size));
        let look_ns = now_ns + (now_ns - since_ns).max(FIRST_PAUSE_NS);
        self.pending = Some(Pending { begin, size, since_ns, look_ns });
        Ok(len)
    }
}

impl Source {
    /// What to do about the NULs that the last read stopped at; `None` if it did not. `is_final` says that
    /// nobody writes to the file any more.
    pub(super) fn look_at_nuls(
        &mut self,
        fs: &dyn Fs,
        index: usize,
        size: u64,
        is_final: bool,
        now_ns: u64,
    ) -> io::Result<Option<Turn>> {
        let options = &self.spec.options;
        let unit = options.format.map_or(1, Format::unit_bytes);
        let generation = &mut self.generations[index];
        let Some(pending) = &mut generation.holes.pending else { return Ok(None) };
        let has_grown = (1..size).contains(&std::mem::replace(&mut pending.size, size));
        let pending = *pending;
        let unread = size - generation.offset;
        let due_ns = pending.since_ns + options.flush_timeout_ns;
        if now_ns < due_ns {
            let is_early = now_ns < pending.look_ns && !has_grown;
            let until_ns = pending.look_ns.min(due_ns);
            return Ok(Some(if is_early {
                Turn::Wait(Some(until_ns))
            } else {
                Turn::read(unread, Tail::Wait, false)
            }));
        }
        if generation.offset < pending.begin {
            return Ok(Some(Turn::read(unread, Tail::Deliver, false)));
        }
        generation.holes.pending = None;
        Ok(Some(match measure(generation.open(fs)?, pending.begin, unit)? {
            Nuls::Gone => Turn::read(unread, Tail::Wait, false),
            Nuls::Stored => {
                generation.holes.settled = size;
                Turn::read(unread, Tail::Deliver, false)
            }
            Nuls::Hole(end) if end >= size && !is_final => {
                let look_ns = now_ns + LAST_PAUSE_NS;
                generation.holes.pending = Some(Pending { look_ns, ..pending });
                Turn::Wait(Some(look_ns))
            }
            Nuls::Hole(end) => {
                let bytes = generation.skip_hole(fs, end)?;
                self.continued = Streams::default();
                Turn::Act(Look::Gap(Missing::new(GapReason::SparseHole, bytes)))
            }
        }))
    }
}

impl Generation {
    /// Whether other bytes stand where NULs were, if nothing at the offset tells: in this head, or, of a file of which
    /// no other fingerprint is known, just before the offset.
    ///
    /// # Errors
    /// As `pread`.
    pub(super) fn is_written_over(&mut self, fs: &dyn Fs, head: &[u8]) -> io::Result<bool> {
        let leading = usize::from(self.holes.leading);
        if self.place.len > 0 || leading == 0 || is_mutant("nuls_not_compared") {
            return Ok(false);
        }
        let mut before = [0];
        if self.head.is_empty() {
            let last = self.offset.saturating_sub(1);
            self.open(fs)?.read_at(&mut before, last)?;
        }
        Ok(head.iter().take(leading).chain(&before).any(|byte| *byte != 0))
    }

    /// Goes on behind a hole; returns its length in bytes. No line goes on over it.
    fn skip_hole(&mut self, fs: &dyn Fs, end: u64) -> io::Result<u64> {
        let mut behind = [0; PLACE_BYTES_MAX];
        let len = self.open(fs)?.read_at(&mut behind, end)?;
        let bytes = end - self.offset;
        let path = self.path.display();
        tracing::info!(%path, offset = self.offset, bytes, "a hole that nobody wrote; going on");
        self.holes.pass_nuls(self.offset, bytes);
        self.offset = end;
        // It tells nothing itself: it may be filled later.
        let is_forgotten = is_mutant("place_behind_a_hole_forgotten");
        self.place = Place::behind(bytes, &behind[..if is_forgotten { 0 } else { len }]);
        self.size = self.size.max(end);
        self.mid_line = Some(false);
        self.mid_part = false;
        self.tail = None;
        Ok(bytes)
    }
}

/// Length of `bytes`, which begin at `offset`, without the units of NULs at their end.
fn without_nuls(bytes: &[u8], offset: u64, unit: usize) -> usize {
    if bytes.last() != Some(&0) {
        return bytes.len();
    }
    let mut len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if !(offset + len as u64).is_multiple_of(unit as u64) {
        len += 1;
    }
    // Half a unit is none.
    if len + unit > bytes.len() { bytes.len() } else { len }
}

/// Whether NULs stand where a hole would begin.
fn may_have_hole(bytes: &[u8], offset: u64, unit: usize) -> bool {
    let is_nul = |at: &usize| bytes.iter().skip(*at).take(unit).all(|byte| *byte == 0);
    let block = BLOCK_BYTES as u64;
    let first = usize::try_from(offset.next_multiple_of(block) - offset).expect("within a block");
    !bytes.is_empty() && is_nul(&0)
        || (first..bytes.len()).step_by(BLOCK_BYTES).any(|at| is_nul(&at))
}

/// Whether all is NUL in a range, as far as one look reaches.
pub(super) fn is_nul(file: &dyn LogFile, range: &Range<u64>) -> io::Result<bool> {
    Ok(nuls_from(file, range.start)?.0 >= range.end)
}

/// Finds out what the NULs at `begin` are, and where they end.
fn measure(file: &dyn LogFile, begin: u64, unit: usize) -> io::Result<Nuls> {
    let (end, is_hole) = nuls_from(file, begin)?;
    let end = end - end % unit as u64;
    Ok(match (end > begin, is_hole) {
        (false, _) => Nuls::Gone,
        (true, false) => Nuls::Stored,
        (true, true) => Nuls::Hole(end),
    })
}

/// Where the NULs at `begin` end, and whether a hole is among them.
fn nuls_from(file: &dyn LogFile, begin: u64) -> io::Result<(u64, bool)> {
    let mut buffer = [0; STEP_BYTES];
    let mut hole = file.hole_from(begin)?;
    let (mut end, mut is_hole) = (begin, false);
    for _ in 0..STEPS_MAX {
        if let Some(range) = hole.take_if(|range| range.start <= end) {
            is_hole = true;
            end = range.end;
            hole = file.hole_from(end)?;
            continue;
        }
        let stored = hole.as_ref().map_or(u64::MAX, |range| range.start - end);
        let len = file.read_at(&mut buffer, end)?;
        let len = usize::try_from(stored).unwrap_or(len).min(len);
        let nuls = buffer[..len].iter().position(|byte| *byte != 0).unwrap_or(len);
        end += nuls as u64;
        if nuls < len || len == 0 {
            break;
        }
    }
    Ok((end, is_hole))
}
