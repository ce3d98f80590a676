//! Gzip: a compressed file, read as what it holds.
//!
//! Offsets are those of the content. Reading on is cheap, as is reading again what the last read
//! brought; going back further begins anew. Members that follow each other are one content, as `gzip`
//! has it. Memory is constant whatever the ratio: a read inflates no more than was asked for, and going
//! forward is cut into slices, so that a bomb costs its reader no more than other bytes do.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::{Decompress, FlushDecompress, Status};
use flow::HEAD_BYTES_MAX;

use super::{LogFile, Stat};

/// What a compressed file's name ends in. Rotators have agreed on it.
pub const GZIP_SUFFIX: &str = ".gz";

/// Compressed bytes read at a time.
const INPUT_BYTES: usize = 16 << 10;
/// Content kept of the last read, in bytes: what framing leaves is less, but for very long lines.
const WINDOW_BYTES_MAX: usize = 64 << 10;
/// Content inflated in one slice on the way to an offset, in bytes: some 20 ms.
const SLICE_BYTES: u64 = 8 << 20;
/// The window of the deflate format, in bits.
const WINDOW_BITS: u8 = 15;
/// Bytes of the length at the end of a member.
const LENGTH_BYTES: usize = 4;

/// Why content ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// The compressed bytes end in the middle: still being written, or cut.
    Cut,
    /// The compressed bytes are no gzip, or their checksum is wrong.
    Damaged,
}

/// How many files may be inflated at a time: each takes some 130 KiB.
#[derive(Debug)]
pub struct Inflaters {
    free: AtomicUsize,
}

/// Of one lane of one reader. Others wait for their turn, as they do for memory.
const INFLATERS_MAX: usize = 4;

impl Default for Inflaters {
    fn default() -> Inflaters {
        Inflaters { free: AtomicUsize::new(INFLATERS_MAX) }
    }
}

impl Inflaters {
    fn take(self: &Arc<Inflaters>) -> Option<Turn> {
        let one_less = |free: usize| free.checked_sub(1);
        let taken = self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        taken.ok().map(|_| Turn { of: Arc::clone(self) })
    }
}

/// The right to inflate a file.
#[derive(Debug)]
struct Turn {
    of: Arc<Inflaters>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.of.free.fetch_add(1, Ordering::Relaxed);
    }
}

/// A compressed file.
///
/// Reads fail with `WouldBlock` if it is not its turn to be inflated, and with `Interrupted` if there is
/// more to inflate before the offset than one slice: the same read goes on with the next.
#[derive(Debug)]
pub struct GzipFile {
    file: Box<dyn LogFile>,
    inflaters: Arc<Inflaters>,
    /// Content is known to be at least this long.
    known_bytes: u64,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The first bytes, once known.
    head: Vec<u8>,
    inflater: Option<(Inflater, Turn)>,
    /// How far the content was inflated; its length if `end` says so.
    inflated: u64,
    end: Option<End>,
}

/// What there is behind the last byte inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nothing.
    Whole,
    /// Nothing yet, in a file that was so long.
    Cut { file_bytes: u64 },
    /// Nothing that can be read.
    Damaged,
}

impl GzipFile {
    /// The content of `file`, which was read up to `known_bytes` before, wherever it was then.
    #[must_use]
    pub fn new(file: Box<dyn LogFile>, known_bytes: u64, inflaters: Arc<Inflaters>) -> GzipFile {
        GzipFile { file, inflaters, known_bytes, state: RefCell::default() }
    }

    /// Content that is there for the reading, in a file of so many bytes.
    fn content_bytes(&self, state: &State, file_bytes: u64) -> u64 {
        let known = state.inflated.max(self.known_bytes);
        match state.end {
            Some(End::Whole | End::Damaged) => known,
            Some(End::Cut { file_bytes: before }) if before == file_bytes => known,
            Some(End::Cut { .. }) => known + 1,
            None => (known + 1).max(self.stated_bytes(file_bytes)),
        }
    }

    /// What the last bytes of the file say: the length of the last member, modulo 4 GiB.
    fn stated_bytes(&self, file_bytes: u64) -> u64 {
        let mut length = [0; LENGTH_BYTES];
        let at = file_bytes.saturating_sub(LENGTH_BYTES as u64);
        match self.file.read_at(&mut length, at) {
            Ok(LENGTH_BYTES) => u64::from(u32::from_le_bytes(length)),
            _ => 0,
        }
    }
}

impl LogFile for GzipFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = &mut *self.state.borrow_mut();
        if offset + buffer.len() as u64 <= HEAD_BYTES_MAX as u64 {
            return Ok(copy_from(state.head(&*self.file)?, buffer, offset));
        }
        state.read(&*self.file, &self.inflaters, buffer, offset)
    }

    fn stat(&self) -> io::Result<Stat> {
        let stat = self.file.stat()?;
        Ok(Stat { size: self.content_bytes(&self.state.borrow(), stat.size), ..stat })
    }

    fn defect(&self) -> Option<Defect> {
        match self.state.borrow().end? {
            End::Whole => None,
            End::Cut { .. } => Some(Defect::Cut),
            End::Damaged => Some(Defect::Damaged),
        }
    }
}

impl State {
    /// The first bytes of the content, at most [`HEAD_BYTES_MAX`].
    fn head(&mut self, file: &dyn LogFile) -> io::Result<&[u8]> {
        if self.head.len() < HEAD_BYTES_MAX {
            let mut head = [0; HEAD_BYTES_MAX];
            // Needs no turn: it is gone in a moment.
            let mut inflater = Inflater::new();
            let (len, _) = inflater.inflate(file, &mut head)?;
            self.head = head[..len].to_vec();
        }
        Ok(&self.head)
    }

    fn read(
        &mut self,
        file: &dyn LogFile,
        inflaters: &Arc<Inflaters>,
        buffer: &mut [u8],
        offset: u64,
    ) -> io::Result<usize> {
        let is_behind = |(it, _): &(Inflater, Turn)| it.window_begin() <= offset;
        let (mut inflater, turn) = match self.inflater.take().filter(is_behind) {
            Some(current) => current,
            None => {
                let turn = inflaters.take().ok_or(io::ErrorKind::WouldBlock)?;
                // The turn before was given back, and its end is not where this one is.
                self.end = None;
                (Inflater::new(), turn)
            }
        };
        let before = inflater.at;
        let outcome = inflater.read_at(file, buffer, offset);
        self.inflated = self.inflated.max(inflater.at);
        match outcome {
            // What the window had says nothing about the end.
            Ok((_, None)) if inflater.at == before => {}
            Ok((_, end)) => self.end = end,
            Err(_) => {}
        }
        if outcome.is_ok() || is_to_be_continued(&outcome) {
            self.inflater = Some((inflater, turn));
        }
        outcome.map(|(read, _)| read)
    }
}

fn is_to_be_continued<T>(outcome: &io::Result<T>) -> bool {
    outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted)
}

/// A place in compressed content.
#[derive(Debug)]
struct Inflater {
    inflate: Decompress,
    input: Vec<u8>,
    /// How much of `input` is used up.
    used: usize,
    /// Offset in the file just after `input`.
    file_at: u64,
    /// Offset in the content.
    at: u64,
    /// Content just before `at`: what the last read brought.
    window: Vec<u8>,
    /// A member ended, and none has begun since.
    is_between: bool,
}

impl Inflater {
    fn new() -> Inflater {
        Inflater {
            inflate: Decompress::new_gzip(WINDOW_BITS),
            input: Vec::new(),
            used: 0,
            file_at: 0,
            at: 0,
            window: Vec::new(),
            is_between: false,
        }
    }

    fn window_begin(&self) -> u64 {
        self.at - self.window.len() as u64
    }

    /// Goes to `offset`, which is not before the window, and reads there.
    fn read_at(
        &mut self,
        file: &dyn LogFile,
        buffer: &mut [u8],
        offset: u64,
    ) -> io::Result<(usize, Option<End>)> {
        if self.at < offset
            && let Some(end) = self.skip_to(file, offset)?
        {
            return Ok((0, Some(end)));
        }
        let kept = copy_from(&self.window, buffer, offset - self.window_begin());
        let (len, end) = self.inflate(file, &mut buffer[kept..])?;
        let filled = kept + len;
        self.keep(&buffer[kept..filled]);
        Ok((filled, end))
    }

    /// The window moves on over what was just inflated.
    fn keep(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(WINDOW_BYTES_MAX)..];
        let too_many = (self.window.len() + bytes.len()).saturating_sub(WINDOW_BYTES_MAX);
        self.window.drain(..too_many);
        self.window.extend_from_slice(bytes);
    }

    /// Goes to `offset`, or says why that is not there.
    ///
    /// # Errors
    /// As `pread`; `Interrupted` if there is more to inflate than a slice.
    fn skip_to(&mut self, file: &dyn LogFile, offset: u64) -> io::Result<Option<End>> {
        let slice_end = self.at + SLICE_BYTES;
        let mut skipped = std::mem::take(&mut self.window);
        skipped.resize(WINDOW_BYTES_MAX, 0);
        while self.at < offset {
            if self.at >= slice_end {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let left = usize::try_from(offset - self.at).unwrap_or(usize::MAX);
            let len = left.min(skipped.len());
            if let (_, Some(end)) = self.inflate(file, &mut skipped[..len])? {
                return Ok(Some(end));
            }
        }
        skipped.clear();
        self.window = skipped;
        Ok(None)
    }

    /// Fills `buffer`, or says why not.
    fn inflate(
        &mut self,
        file: &dyn LogFile,
        buffer: &mut [u8],
    ) -> io::Result<(usize, Option<End>)> {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.used == self.input.len() && !self.refill(file)? {
                let end = match self.is_between && self.file_at > 0 {
                    true => End::Whole,
                    false => End::Cut { file_bytes: self.file_at },
                };
                return Ok((filled, Some(end)));
            }
            if self.is_between {
                self.inflate = Decompress::new_gzip(WINDOW_BITS);
                self.is_between = false;
            }
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let input = &self.input[self.used..];
            let outcome =
                self.inflate.decompress(input, &mut buffer[filled..], FlushDecompress::None);
            let taken = self.inflate.total_in() - before_in;
            let given = self.inflate.total_out() - before_out;
            self.used += usize::try_from(taken).expect("no more than the input");
            filled += usize::try_from(given).expect("no more than the buffer");
            self.at += given;
            match outcome {
                Ok(Status::StreamEnd) => self.is_between = true,
                Ok(_) if taken > 0 || given > 0 => {}
                // Neither taken nor given, or not gzip at all.
                Ok(_) | Err(_) => return Ok((filled, Some(End::Damaged))),
            }
        }
        Ok((filled, None))
    }

    /// Reads more of the file; returns whether there is more.
    fn refill(&mut self, file: &dyn LogFile) -> io::Result<bool> {
        self.used = 0;
        self.input.resize(INPUT_BYTES, 0);
        let outcome = file.read_at(&mut self.input, self.file_at);
        self.input.truncate(*outcome.as_ref().unwrap_or(&0));
        self.file_at += self.input.len() as u64;
        outcome.map(|len| len > 0)
    }
}

/// Copies what `bytes` has from `offset` on; returns how much.
fn copy_from(bytes: &[u8], buffer: &mut [u8], offset: u64) -> usize {
    let bytes = usize::try_from(offset).ok().and_then(|it| bytes.get(it..)).unwrap_or_default();
    let len = bytes.len().min(buffer.len());
    buffer[..len].copy_from_slice(&bytes[..len]);
    len
}

#[cfg(test)]
mod tests;
