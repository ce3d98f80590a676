//! Entries: what a spool owes its sink of one tenant, in order. Pure; under the tenant's lock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use flow::{Context, ContextId, is_mutant};

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
pub(super) struct Part {
    /// Number of the section in its frame.
    pub(super) section: u32,
    /// First cursor that the sink does not have.
    pub(super) from: u64,
}

/// A frame, or what one shipper owes of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) frame: FrameId,
    /// Of the block.
    pub(super) bytes: u32,
    pub(super) shard: usize,
    /// None for all of it.
    pub(super) parts: Option<Box<[Part]>>,
    pub(super) state: State,
}

/// What is given to the sink: number and frame of an entry, and what is owed of that.
type Next = (u64, FrameId, Option<Box<[Part]>>);

/// All entries of a tenant.
#[derive(Debug, Default)]
pub(super) struct Entries {
    entries: VecDeque<Entry>,
    /// Number of the first of them.
    first: u64,
    /// By shard: how many are owed.
    owed: Vec<usize>,
    /// Behind all that was ever let go.
    behind: FrameId,
    /// Described in what is owed.
    pub(super) contexts: HashMap<ContextId, Arc<Context>>,
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
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
        for (number, entry) in (self.first..).zip(&mut self.entries) {
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
                    return Some((number, entry.frame, entry.parts.clone()));
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

    /// The first frame of which anything is owed; behind the last if nothing is.
    pub(super) fn position(&self) -> FrameId {
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
            self.first += 1;
        }
        if self.entries.is_empty() {
            self.contexts.clear();
        }
    }

    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
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
            let (frame, parts) = (frame(offset * 10), None);
            let bytes = 2 << 20;
            entries.push(Entry { frame, bytes, shard: *shard, parts, state: *state });
        }
        entries
    }

    fn take(entries: &mut Entries, shard: usize) -> Option<u64> {
        entries.take_next(shard).map(|(number, ..)| number)
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
