//! Portion: what a read may bring at most. Limits grant bytes and records before it is known where records end: what
//! was read beyond them is framed once more without its end, and the file keeps that.
//!
//! What is delivered ends with the record that crosses the bytes granted. Only a part of the file that cannot be
//! divided, as its records' lines lie between each other's, is delivered whole.

use flow::{Chunk, Record, is_mutant};

use super::Source;
use crate::frame::group::{Grouped, OpenGroups};
use crate::frame::multiline::State;
use crate::frame::{Carry, Framed, Streams, Tail};
use crate::fs::Fs;

/// What a read may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portion {
    /// Bytes read at first; more are if these hold no whole record.
    pub room: usize,
    /// No record is delivered that begins behind so many bytes,
    pub bytes: u64,
    /// nor more records than that; not 0.
    pub records: u64,
}

impl Portion {
    /// All that a chunk takes.
    pub const ALL: Portion = Portion::of(usize::MAX);

    /// Whatever begins in so many bytes, and more if they hold no whole record.
    #[must_use]
    pub const fn of(room: usize) -> Portion {
        Portion { room, bytes: u64::MAX, records: u64::MAX }
    }

    /// Where in a chunk that begins what is too much, if anything is.
    pub(super) fn end(&self, records: &[Record], framed: &Framed) -> Option<usize> {
        if is_mutant("portion_not_cut") {
            return None;
        }
        let begin = |it: &Record| it.cursor as usize;
        let by_count = usize::try_from(self.records).ok().and_then(|count| records.get(count));
        let bytes = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        let by_bytes = if framed.consumed > bytes {
            let within = records.partition_point(|it| begin(it) < bytes);
            // What is left out is no record, and takes tokens all the same.
            let left_out = (framed.filtered > 0).then_some(bytes);
            records.get(within).map(begin).or(left_out)
        } else {
            None
        };
        by_count.map(begin).into_iter().chain(by_bytes).min()
    }
}

/// What is known of the lines before a place.
pub(super) type Before = (Carry, Streams<State>);

impl Source {
    /// Frames what was read up to `end`, or the shortest longer part that holds a whole record; nothing if
    /// that is all of it.
    pub(super) fn frame_portion(
        &mut self,
        fs: &dyn Fs,
        chunk: &mut Chunk,
        (end, filled): (usize, usize),
        index: usize,
        known: &mut Before,
    ) -> Option<Grouped> {
        let before = *known;
        let mut frame = |room: usize| {
            *known = before;
            let wanted = (Tail::Wait, OpenGroups::Wait);
            self.frame(fs, chunk, room, index, wanted, known)
        };
        let mut part = frame(end);
        if part.framed.consumed == 0 {
            let (mut below, mut above) = (end, filled);
            while above - below > 1 {
                let middle = below + (above - below) / 2;
                let is_enough = frame(middle).framed.consumed > 0;
                *(if is_enough { &mut above } else { &mut below }) = middle;
            }
            part = frame(above);
        }
        part.framed.is_cut = true;
        (part.framed.consumed > 0).then_some(part)
    }
}
