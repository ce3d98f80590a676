//! Resume: where a context goes on after a restart, from the checkpoint and from the queue itself.

use flow::{PersistedSpan, Position, Streams, is_mutant};

/// What is known of a context from before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Epoch.
    pub epoch: u32,
    /// Cursor of the next byte.
    pub cursor: u64,
    /// Nothing was ever delivered of it.
    pub is_new: bool,
    /// How far each generation was read, in the order in which they were first read of; before these, which files are
    /// copies.
    pub generations: Vec<Position>,
    /// The last of them is not missed if it is gone: a gap of unknown size has said so already, it was read to
    /// its end, or a later one was and is done with.
    pub is_newest_settled: bool,
    /// Of which streams the next line goes on from a part that was delivered.
    pub continued: Streams<bool>,
}

impl Known {
    /// A context never seen before; `epoch` must be larger than any it may have had.
    #[must_use]
    pub fn new(epoch: u32) -> Known {
        Known {
            epoch,
            cursor: 0,
            is_new: true,
            generations: Vec::new(),
            is_newest_settled: false,
            continued: Streams::default(),
        }
    }

    /// Goes on over what the queue already holds.
    ///
    /// The checkpoint is stored after the acknowledgement, so the queue may hold more. Only spans
    /// that follow without a hole count: after a hole the bytes must be read again. A later epoch in
    /// the queue means that the checkpoint is an old one. Without a checkpoint the context begins where
    /// the queue does, unless that tells of it `from_begin`: then what is missing there is a hole, too.
    #[must_use]
    pub fn resume(
        checkpoint: Option<Known>,
        persisted: &[PersistedSpan],
        from_begin: bool,
    ) -> Option<Known> {
        if is_mutant("queue_not_read_back") && checkpoint.is_some() {
            return checkpoint;
        }
        let last_epoch = persisted.iter().map(|it| it.epoch).max();
        let mut known = match (checkpoint, last_epoch) {
            (None, None) => return None,
            (Some(known), None) => return Some(known),
            (Some(known), Some(epoch)) if known.epoch == epoch => known,
            // The queue was away when the context was begun anew, and has none of that.
            (Some(known), Some(epoch)) if known.epoch > epoch => {
                let is_new = known.is_new || !is_mutant("late_epoch_without_begin");
                Known { is_new, ..known }
            }
            (_, Some(epoch)) => {
                let first =
                    PersistedSpan::counted(persisted, epoch).first().map(|it| it.span.begin);
                let cursor = first.filter(|_| !from_begin).unwrap_or(0);
                Known { cursor, is_new: false, ..Known::new(epoch) }
            }
        };
        // As far as there is no hole; where that ends inside of a section, the restart goes on before it.
        let mut reach = known.cursor;
        for persisted in PersistedSpan::counted(persisted, known.epoch) {
            if persisted.span.begin > reach && !is_mutant("read_back_over_a_hole") {
                break;
            }
            reach = reach.max(persisted.span.end);
            if persisted.is_inner && !is_mutant("inner_part_resumed_behind") {
                continue;
            }
            let checkpoint = known.cursor;
            if persisted.span.end > checkpoint {
                known.cursor = persisted.span.end;
                known.continued = persisted.continued;
                known.is_new = false;
                if is_mutant("read_back_without_positions") {
                    continue;
                }
            }
            // The checkpoint knows more of what it covers: which generations are done with.
            let is_all = is_mutant("done_generations_read_back");
            let news = persisted.positions.iter().filter(|it| it.cursor > checkpoint || is_all);
            news.for_each(|it| known.move_to(it.position));
            let gone =
                persisted.positions.iter().filter(|it| it.is_gone && it.cursor >= checkpoint);
            gone.for_each(|it| known.settle(it.position.generation));
        }
        Some(known)
    }

    /// A gap of unknown size says that a generation is gone.
    pub(crate) fn settle(&mut self, key: u64) {
        let is_newest = self.newest() == Some(key);
        self.is_newest_settled |= is_newest && !is_mutant("unsized_gap_forgotten");
    }

    /// Those are done with that `is_done` tells by their keys. If the newest is, nothing of it is missing, nor
    /// of those before: these were read before it.
    pub fn forget(&mut self, is_done: impl Fn(u64) -> bool) {
        let is_newest = self.newest().is_some_and(&is_done);
        self.is_newest_settled |= is_newest && !is_mutant("older_generation_missed");
        self.generations.retain(|it| !is_done(it.generation));
    }

    /// The generation that was first read of last.
    pub(crate) fn newest(&self) -> Option<u64> {
        let mut own = self.generations.iter().rev().filter(|it| it.original().is_none());
        own.next().map(|it| it.generation)
    }

    /// Notes how far a generation was read, or that a file is a copy of one.
    pub(crate) fn move_to(&mut self, position: Position) {
        if position.original().is_some() {
            self.generations.retain(|it| it.generation != position.generation);
            self.generations.insert(0, position);
            return;
        }
        let newest = self.newest();
        let is_known = self.generations.iter().any(|it| it.generation == position.generation);
        self.is_newest_settled &= is_known && newest != Some(position.generation);
        let known = self.generations.iter_mut().find(|it| it.generation == position.generation);
        match known {
            Some(known) if position.head.is_empty() => {
                *known = Position { head: known.head, ..position };
            }
            Some(known) => *known = position,
            None => self.generations.push(position),
        }
    }

    /// How far the generation called `key` was read.
    #[must_use]
    pub fn position(&self, key: u64) -> Option<Position> {
        self.generations.iter().find(|it| it.generation == key).copied()
    }
}

#[cfg(test)]
mod tests {
    use flow::{Head, Reached, Span};

    use super::*;

    fn persisted(epoch: u32, begin: u64, end: u64, generation: u64, offset: u64) -> PersistedSpan {
        let position = Position { generation, offset, ..Position::default() };
        let positions = vec![Reached { cursor: end, position, is_gone: begin == end }];
        let (span, continued) = (Span::new(begin, end), Streams::default());
        PersistedSpan { epoch, span, positions, is_inner: false, part_of: None, continued }
    }

    fn inner(epoch: u32, begin: u64, end: u64) -> PersistedSpan {
        let (span, continued) = (Span::new(begin, end), Streams::default());
        let positions = Vec::new();
        PersistedSpan { epoch, span, positions, is_inner: true, part_of: None, continued }
    }

    fn checkpoint(epoch: u32, cursor: u64, offset: u64) -> Option<Known> {
        let head = Head::of(b"head");
        let generations = vec![Position { generation: 1, offset, head, ..Position::default() }];
        Some(Known { cursor, is_new: false, generations, ..Known::new(epoch) })
    }

    #[test]
    fn the_queue_goes_on_where_the_checkpoint_ends() {
        let queue =
            [persisted(5, 0, 10, 1, 10), persisted(5, 10, 30, 1, 30), persisted(5, 30, 40, 2, 10)];
        let known = Known::resume(checkpoint(5, 10, 10), &queue, false).unwrap();
        assert_eq!(known.cursor, 40);
        assert_eq!(known.position(1).unwrap().offset, 30);
        assert_eq!(known.position(1).unwrap().head, Head::of(b"head"));
        assert_eq!(known.position(2).unwrap().offset, 10);
    }

    /// What a queue tells of sections that follow each other.
    fn queue_of(sections: &[(u64, u64, u64)]) -> Vec<PersistedSpan> {
        let mut spans = Vec::new();
        for (end, generation, offset) in sections {
            let begin = spans.last().map_or(0, |it: &PersistedSpan| it.span.end);
            let position =
                Position { generation: *generation, offset: *offset, ..Position::default() };
            PersistedSpan::append(&mut spans, 5, Span::new(begin, *end), &[position], false);
        }
        spans
    }

    #[test]
    fn a_generation_that_was_done_with_before_the_checkpoint_is_not_known_again() {
        // Generation 7 was read and removed, then 8; the checkpoint has forgotten both.
        let queue = queue_of(&[(10, 7, 10), (20, 8, 10), (30, 1, 10), (40, 1, 20), (50, 2, 10)]);
        assert_eq!(queue.len(), 1, "one span without a hole");
        let known = Known::resume(checkpoint(5, 30, 10), &queue, false).unwrap();
        let generations: Vec<u64> = known.generations.iter().map(|it| it.generation).collect();
        assert_eq!(generations, [1, 2], "the one that was read last stands last");
        assert_eq!(known.position(1).unwrap().offset, 20);
        let known = Known::resume(checkpoint(5, 50, 20), &queue, false).unwrap();
        assert_eq!((known.cursor, known.generations.len()), (50, 1));
    }

    #[test]
    fn a_late_write_behind_the_checkpoint_moves_its_generation_and_hides_no_newer_one() {
        let queue = queue_of(&[(10, 1, 10), (20, 2, 10), (30, 1, 20)]);
        let known = Known::resume(checkpoint(5, 10, 10), &queue, false).unwrap();
        let generations: Vec<(u64, u64)> =
            known.generations.iter().map(|it| (it.generation, it.offset)).collect();
        assert_eq!(generations, [(1, 20), (2, 10)]);
    }

    #[test]
    fn a_gap_of_unknown_size_settles_the_generation_that_was_read_last() {
        // The checkpoint ends where the gap is, before it or behind it.
        for cursor in [0, 10] {
            let queue = queue_of(&[(10, 1, 10), (10, 1, 10)]);
            let known = Known::resume(checkpoint(5, cursor, cursor), &queue, false).unwrap();
            assert!(known.is_newest_settled, "checkpoint at {cursor}");
            let queue = queue_of(&[(10, 1, 10), (10, 1, 10), (20, 2, 10)]);
            let known = Known::resume(checkpoint(5, cursor, cursor), &queue, false).unwrap();
            assert!(!known.is_newest_settled, "something newer was read");
        }
        let settled = checkpoint(5, 10, 10).map(|it| Known { is_newest_settled: true, ..it });
        let known = Known::resume(settled.clone(), &[], false).unwrap();
        assert!(known.is_newest_settled, "the checkpoint says so");
        let known = Known::resume(settled, &queue_of(&[(10, 1, 10), (20, 1, 20)]), false).unwrap();
        assert!(!known.is_newest_settled, "it turned up and was read");
    }

    #[test]
    fn when_the_newest_generation_is_done_with_none_before_it_is_missed() {
        let queue = queue_of(&[(10, 1, 10), (20, 2, 10), (30, 3, 10)]);
        let mut known = Known::resume(checkpoint(5, 10, 10), &queue, false).unwrap();
        known.forget(|key| key == 2);
        assert!(!known.is_newest_settled, "the newest is still there");
        known.forget(|key| key == 3);
        assert!(known.is_newest_settled);
        assert_eq!(known.generations.len(), 1);
        let position = Position { generation: 1, offset: 20, ..Position::default() };
        known.move_to(position);
        assert!(!known.is_newest_settled, "it is read again");
    }

    #[test]
    fn what_tells_of_a_copy_is_no_generation() {
        let copy = Position::of_copy(9, 1, 10, flow::Place::default());
        let mut known = checkpoint(5, 10, 10).unwrap();
        known.move_to(copy);
        assert_eq!((known.newest(), known.generations[0]), (Some(1), copy));
        known.forget(|key| key == 9);
        assert!(!known.is_newest_settled && known.generations.len() == 1);
        let mut queue = Vec::new();
        let read = Position { generation: 1, offset: 20, ..Position::default() };
        PersistedSpan::append(&mut queue, 5, Span::new(10, 20), &[copy, read], false);
        let known = Known::resume(checkpoint(5, 10, 10), &queue, false).unwrap();
        assert_eq!((known.newest(), known.position(9)), (Some(1), Some(copy)));
        assert_eq!(flow::own_positions(&[copy, read]), [read]);
    }

    #[test]
    fn nothing_after_a_hole_counts() {
        let queue = [persisted(5, 0, 10, 1, 10), persisted(5, 20, 30, 1, 30)];
        let known = Known::resume(checkpoint(5, 5, 5), &queue, false).unwrap();
        assert_eq!((known.cursor, known.position(1).unwrap().offset), (10, 10));
    }

    #[test]
    fn a_part_of_a_section_counts_once_the_whole_is_there() {
        let queue = [persisted(5, 0, 10, 1, 10), inner(5, 10, 20), persisted(5, 20, 30, 1, 30)];
        let known = Known::resume(checkpoint(5, 5, 5), &queue, false).unwrap();
        assert_eq!((known.cursor, known.position(1).unwrap().offset), (30, 30));
        let known = Known::resume(checkpoint(5, 5, 5), &queue[..2], false).unwrap();
        assert_eq!((known.cursor, known.position(1).unwrap().offset), (10, 10));
    }

    /// It went on behind the second part, as if the first life's were what the second had there: that had more in it.
    #[test]
    fn a_hole_in_a_section_is_not_filled_by_what_another_has_at_its_cursors() {
        let section = Some(Span::new(0, 30));
        let part = |it: PersistedSpan| PersistedSpan { part_of: section, ..it };
        let queue =
            [persisted(5, 10, 20, 1, 20), part(inner(5, 0, 10)), part(persisted(5, 20, 30, 1, 30))];
        let known = Known::resume(checkpoint(5, 0, 0), &queue, false).unwrap();
        assert_eq!((known.cursor, known.position(1).unwrap().offset), (20, 20));
        let filled = [&queue[..], &[part(inner(5, 10, 20))]].concat();
        let known = Known::resume(checkpoint(5, 0, 0), &filled, false).unwrap();
        assert_eq!((known.cursor, known.position(1).unwrap().offset), (30, 30));
    }

    #[test]
    fn what_retention_has_left_of_a_section_is_no_begin() {
        let part_of = Some(Span::new(0, 30));
        let rest = PersistedSpan { part_of, ..persisted(5, 20, 30, 1, 30) };
        let known = Known::resume(None, &[rest, persisted(5, 30, 40, 1, 40)], false).unwrap();
        assert_eq!((known.cursor, known.position(1).unwrap().offset), (40, 40));
    }

    #[test]
    fn without_a_checkpoint_the_queue_tells() {
        let queue =
            [persisted(4, 0, 99, 1, 99), persisted(5, 7, 10, 1, 10), persisted(5, 10, 12, 1, 12)];
        let known = Known::resume(None, &queue, false).unwrap();
        assert_eq!((known.epoch, known.cursor, known.is_new), (5, 12, false));
        assert_eq!(Known::resume(None, &[], false), None);
    }

    #[test]
    fn a_queue_that_tells_of_all_has_a_hole_where_the_begin_is_missing() {
        let queue = [persisted(5, 7, 10, 1, 10), persisted(5, 10, 12, 1, 12)];
        let known = Known::resume(None, &queue, true).unwrap();
        assert_eq!((known.epoch, known.cursor, known.generations.len()), (5, 0, 0));
        let known = Known::resume(None, &[persisted(5, 0, 7, 1, 7)], true).unwrap();
        assert_eq!((known.cursor, known.position(1).unwrap().offset), (7, 7));
        let known = Known::resume(checkpoint(5, 7, 7), &queue, true).unwrap();
        assert_eq!(known.cursor, 12);
    }

    #[test]
    fn an_epoch_of_which_the_queue_left_out_all_is_yet_to_begin_there() {
        // It was away when the context was begun anew, and had those bytes of the epoch before.
        let queue = [persisted(5, 0, 10, 1, 10)];
        let known = Known::resume(checkpoint(6, 10, 10), &queue, false).unwrap();
        assert_eq!((known.epoch, known.cursor, known.is_new), (6, 10, true));
        let queue = [persisted(5, 0, 10, 1, 10), persisted(6, 10, 20, 1, 20)];
        let known = Known::resume(checkpoint(6, 10, 10), &queue, false).unwrap();
        assert_eq!((known.epoch, known.cursor, known.is_new), (6, 20, false));
        let known = Known::resume(checkpoint(6, 10, 10), &[], false).unwrap();
        assert!(!known.is_new, "its sections were told of before");
    }

    #[test]
    fn an_older_epoch_in_the_queue_says_nothing() {
        let known =
            Known::resume(checkpoint(6, 0, 0), &[persisted(5, 0, 10, 1, 10)], false).unwrap();
        assert_eq!((known.epoch, known.cursor), (6, 0));
        let known =
            Known::resume(checkpoint(4, 50, 50), &[persisted(5, 0, 10, 1, 10)], false).unwrap();
        assert_eq!((known.epoch, known.cursor), (5, 10));
    }
}
