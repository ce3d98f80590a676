//! Entries: what a spool owes its sink of one tenant, in order. Pure; under the tenant's lock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use flow::{Context, ContextId, Encoding, PayloadHeader, is_mutant};

use super::positions::{Owed, Released};
use crate::queue::FrameId;

/// Payloads of one tenant and shipper that may be on their way at a time.
const SENT_MAX: usize = 64;
/// … and bytes of them, which some sinks keep in memory; one larger payload goes alone.
const SENT_BYTES_MAX: u64 = 4 << 20;

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// To be given to the sink.
    Waiting,
    /// The sink has it.
    Sent,
    /// The sink acknowledged it.
    Done,
    /// The sink has it from elsewhere.
    Copy,
}

/// A section that is owed, from `from` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Number of the section in its frame.
    pub(crate) section: u32,
    /// First cursor that the sink does not have.
    pub(crate) from: u64,
    /// It is the first that the sink gets of its epoch, whatever was before it.
    pub(crate) is_first: bool,
}

/// A frame, or what one shipper owes of it.
#[derive(Debug)]
pub(super) struct Entry {
    /// Set by [`Entries::push`]: grows.
    pub(super) number: u64,
    pub(super) frame: FrameId,
    /// Of gaps: the first frame that they stand for.
    pub(super) place: Option<FrameId>,
    /// Of the block.
    pub(super) bytes: u32,
    pub(super) shard: usize,
    /// None for all of it.
    pub(super) parts: Option<Box<[Part]>>,
    /// It cannot be read: what is owed of it, as gaps.
    pub(super) lost: Option<Box<[PayloadHeader]>>,
    pub(super) state: State,
}

impl Entry {
    /// An entry that waits.
    pub(super) fn waiting(frame: FrameId, bytes: u32, shard: usize) -> Entry {
        let (number, place, parts, lost, state) = (0, None, None, None, State::Waiting);
        Entry { number, frame, place, bytes, shard, parts, lost, state }
    }
}

/// What is given to the sink: an entry's number and frame, and what is owed of that.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) number: u64,
    pub(super) frame: FrameId,
    pub(super) parts: Option<Box<[Part]>>,
    pub(super) lost: Option<Box<[PayloadHeader]>>,
}

/// All entries of a tenant.
#[derive(Debug, Default)]
pub(super) struct Entries {
    entries: VecDeque<Entry>,
    /// Number of the next that is pushed.
    next_number: u64,
    /// By shard: how many are owed.
    owed: Vec<usize>,
    /// Behind all that was ever let go.
    behind: FrameId,
    /// Described in what is owed.
    pub(super) contexts: HashMap<ContextId, Arc<Context>>,
    /// How the last of it is written.
    pub(super) encoding: Option<Encoding>,
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How gaps are written that stand for what cannot be read.
    pub(super) fn encoding(&self) -> Encoding {
        self.encoding.unwrap_or(Encoding::OtlpProto)
    }

    /// Whether nothing is owed to the sink by that shipper.
    pub(super) fn is_empty_for(&self, shard: usize) -> bool {
        self.owed.get(shard).is_none_or(|it| *it == 0)
    }

    /// Whether anything is kept that the sink may have acknowledged, and nobody has heard of it yet.
    pub(super) fn has_copies(&self) -> bool {
        self.entries.iter().any(|it| it.state == State::Copy)
    }

    pub(super) fn push(&mut self, entry: Entry) {
        let entry = Entry { number: self.next_number, ..entry };
        self.next_number += 1;
        if self.owed.len() <= entry.shard {
            self.owed.resize(entry.shard + 1, 0);
        }
        self.owed[entry.shard] += 1;
        self.entries.push_back(entry);
    }

    /// All before `frame` was let go in an earlier life.
    pub(super) fn begin_at(&mut self, frame: FrameId) {
        self.behind = frame;
    }

    /// The first of the shipper's that waits, and its number; it counts as sent then.
    pub(super) fn take_next(&mut self, shard: usize) -> Option<Next> {
        let (mut sent, mut bytes) = (0, 0);
        for entry in &mut self.entries {
            match entry.state {
                _ if entry.shard != shard => {}
                State::Done => {}
                State::Sent => {
                    sent += 1;
                    bytes += u64::from(entry.bytes);
                }
                // Until the sink has acknowledged it, nothing newer may go.
                State::Copy => return None,
                State::Waiting if sent >= SENT_MAX => return None,
                State::Waiting if sent > 0 && bytes + u64::from(entry.bytes) > SENT_BYTES_MAX => {
                    return None;
                }
                State::Waiting => {
                    entry.state = State::Sent;
                    let Entry { number, frame, .. } = *entry;
                    let (parts, lost) = (entry.parts.clone(), entry.lost.clone());
                    return Some(Next { number, frame, parts, lost });
                }
            }
        }
        None
    }

    /// The sink did not take it.
    pub(super) fn wait_again(&mut self, number: u64) {
        if let Some(entry) = self.entry(number) {
            entry.state = State::Waiting;
        }
    }

    /// The sink acknowledged it.
    pub(super) fn done(&mut self, number: u64) {
        let Some(entry) = self.entry(number) else { return };
        entry.state = State::Done;
        let shard = entry.shard;
        self.owed[shard] -= 1;
        self.pop_done();
    }

    /// The sink acknowledged all copies of that shipper.
    pub(super) fn forget_copies(&mut self, shard: usize) {
        for entry in &mut self.entries {
            if entry.shard == shard && entry.state == State::Copy {
                entry.state = State::Done;
                self.owed[shard] -= 1;
            }
        }
        self.pop_done();
    }

    /// What is owed from where on.
    pub(super) fn owed(&self) -> Owed {
        let gaps = |it: &Entry| Some(Released { gaps: it.frame, place: it.place? });
        let released = self.entries.iter().filter_map(gaps).collect();
        Owed { from: self.position(), released }
    }

    /// What only waits in that segment, by groups of entries of one shipper without others of its own between
    /// them; gaps beside it with it. None if the sink has anything of the segment and has not acknowledged it.
    pub(super) fn releasable(&self, sequence: u64) -> Option<Vec<Vec<&Entry>>> {
        let is_in = |it: &Entry| it.frame.sequence == sequence;
        let has = |it: &Entry| is_in(it) && matches!(it.state, State::Sent | State::Copy);
        if self.entries.iter().any(has) {
            return None;
        }
        let mut groups: Vec<Vec<&Entry>> = Vec::new();
        for shard in 0..self.owed.len() {
            let owed =
                self.entries.iter().filter(|it| it.shard == shard && it.state != State::Done);
            let mut is_apart = true;
            for entry in owed {
                if entry.state != State::Waiting || !is_in(entry) && entry.place.is_none() {
                    is_apart = true;
                    continue;
                }
                if std::mem::take(&mut is_apart) {
                    groups.push(Vec::new());
                }
                groups.last_mut().expect("pushed above").push(entry);
            }
        }
        groups.retain(|group| group.iter().any(|it| is_in(it)));
        Some(groups)
    }

    /// From now on `gaps` are owed in the place of those entries, which are a group: frames of as many bytes,
    /// not more than there were.
    pub(super) fn replace(&mut self, numbers: &[u64], gaps: &[(FrameId, u32)]) {
        let Some(first) = numbers.first().and_then(|it| self.entry(*it)) else { return };
        let place = Some(first.place.unwrap_or(first.frame));
        for (number, (frame, bytes)) in numbers.iter().zip(gaps) {
            if let Some(entry) = self.entry(*number) {
                let (number, shard) = (entry.number, entry.shard);
                *entry = Entry { number, place, ..Entry::waiting(*frame, *bytes, shard) };
            }
        }
        for number in numbers.iter().skip(gaps.len()) {
            self.done(*number);
        }
        self.entries.retain(|it| it.state != State::Done || !numbers.contains(&it.number));
    }

    /// The first frame of which anything is owed; behind the last if nothing is.
    fn position(&self) -> FrameId {
        if is_mutant("spool_released_before_the_ack")
            && let Some(entry) = self.entries.iter().find(|it| it.state == State::Waiting)
        {
            return entry.frame;
        }
        self.entries.iter().map(|it| it.frame).min().unwrap_or(self.behind)
    }

    fn pop_done(&mut self) {
        while let Some(entry) = self.entries.pop_front_if(|it| it.state == State::Done) {
            let FrameId { sequence, offset } = entry.frame;
            self.behind = self.behind.max(FrameId { sequence, offset: offset + 1 });
        }
        if self.entries.is_empty() {
            self.contexts.clear();
        }
    }

    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let index = self.entries.binary_search_by_key(&number, |it| it.number).ok()?;
        self.entries.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(offset: u64) -> FrameId {
        FrameId { sequence: 0, offset }
    }

    fn entries(states: &[(usize, State)]) -> Entries {
        let mut entries = Entries::default();
        for (offset, (shard, state)) in (1..).zip(states) {
            let entry = Entry::waiting(frame(offset * 10), 2 << 20, *shard);
            entries.push(Entry { state: *state, ..entry });
        }
        entries
    }

    fn take(entries: &mut Entries, shard: usize) -> Option<u64> {
        entries.take_next(shard).map(|it| it.number)
    }

    #[test]
    fn the_position_moves_over_the_prefix_that_the_sink_acknowledged() {
        let mut entries = entries(&[(0, State::Waiting), (0, State::Waiting), (0, State::Waiting)]);
        assert_eq!((take(&mut entries, 0), take(&mut entries, 0)), (Some(0), Some(1)));
        assert_eq!(take(&mut entries, 0), None, "the window is full");
        entries.done(1);
        assert_eq!(entries.position(), frame(10));
        entries.done(0);
        assert_eq!(entries.position(), frame(30));
        assert_eq!(take(&mut entries, 0), Some(2));
        entries.done(2);
        assert_eq!(entries.position(), frame(31));
        assert!(entries.is_empty_for(0) && entries.len() == 0);
    }

    #[test]
    fn what_is_given_back_goes_first_again() {
        let mut entries = entries(&[(0, State::Waiting), (0, State::Waiting)]);
        assert_eq!(take(&mut entries, 0), Some(0));
        entries.wait_again(0);
        assert_eq!(take(&mut entries, 0), Some(0));
    }

    #[test]
    fn nothing_goes_before_the_copies_of_what_is_on_its_way_are_acknowledged() {
        let mut entries = entries(&[(0, State::Copy), (1, State::Waiting), (0, State::Waiting)]);
        assert_eq!(take(&mut entries, 0), None);
        assert_eq!(take(&mut entries, 1), Some(1), "another shipper's are apart");
        entries.forget_copies(0);
        assert_eq!(entries.position(), frame(20));
        assert_eq!(take(&mut entries, 0), Some(2));
        entries.done(2);
        assert!(entries.is_empty_for(0) && !entries.is_empty_for(1));
        assert_eq!(entries.position(), frame(20));
    }
}
