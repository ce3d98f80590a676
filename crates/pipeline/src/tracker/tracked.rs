//! Tracked: one context whose watermark moves, or waits for acks.

use std::collections::BTreeMap;

use flow::{Acked, Position, SourceId, is_mutant};

use crate::source::Known;

/// One context whose watermark moves, or waits for acks.
#[derive(Debug)]
pub(super) struct Tracked {
    /// The end of the acknowledged, gap-free prefix.
    pub(super) known: Known,
    /// Acknowledged, and not in the prefix yet.
    early: BTreeMap<u64, Early>,
    forget: Vec<(u64, u64)>,
    /// Other places that generations are known by, and from which cursors on.
    moved: Vec<(u64, Position)>,
    /// Generations that gaps of unknown size are of, and the cursors of these.
    gone: Vec<(u64, u64)>,
    pub(super) is_dirty: bool,
    /// Sources of it that ended.
    pub(super) closing: Vec<Closing>,
    /// A source of it has not ended.
    is_open: bool,
}

/// A span that was acknowledged before what precedes it, or before the rest of its section.
#[derive(Debug)]
struct Early {
    end: u64,
    positions: Vec<Position>,
    is_inner: bool,
}

/// A source that ended.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) source: SourceId,
    cursor: u64,
    awaits_end: bool,
}

impl Tracked {
    pub(super) fn new(known: Known, is_dirty: bool) -> Tracked {
        Tracked {
            known,
            early: BTreeMap::new(),
            forget: Vec::new(),
            moved: Vec::new(),
            gone: Vec::new(),
            is_dirty,
            closing: Vec::new(),
            is_open: true,
        }
    }

    /// Its chain came back.
    pub(super) fn reopen(&mut self) {
        self.is_open = true;
    }

    /// One of its sources ended at that cursor; with `awaits_end` there is an ack to come.
    pub(super) fn close(&mut self, source: SourceId, cursor: u64, awaits_end: bool) {
        self.closing.push(Closing { source, cursor, awaits_end });
        self.is_open = false;
        self.is_dirty = true;
    }

    /// The end of one of its sources is acknowledged.
    pub(super) fn end(&mut self, source: SourceId) {
        for closing in self.closing.iter_mut().filter(|it| it.source == source) {
            closing.awaits_end = false;
        }
        self.is_dirty = true;
    }

    /// A gap of unknown size at that cursor is acknowledged: a generation is gone.
    pub(super) fn settle(&mut self, cursor: u64, key: u64) {
        self.gone.push((cursor, key));
        self.settle_reached();
    }

    /// Takes note of those gaps that nothing is missing before. Of one that came behind what follows it, nothing
    /// is known for sure any more.
    fn settle_reached(&mut self) {
        let known = &mut self.known;
        self.gone.retain(|(at, key)| {
            if *at == known.cursor {
                known.settle(*key);
                self.is_dirty = true;
            }
            *at > known.cursor
        });
    }

    /// A generation is done with, once everything before `cursor` is acknowledged.
    pub(super) fn forget(&mut self, cursor: u64, key: u64) {
        self.forget.push((cursor, key));
        self.forget_reached();
    }

    /// A generation is known by another place, once everything before `cursor` is acknowledged.
    pub(super) fn move_to(&mut self, cursor: u64, position: Position) {
        self.moved.push((cursor, position));
        self.move_reached();
    }

    pub(super) fn acknowledge(&mut self, acked: Acked) {
        let known = &mut self.known;
        if acked.is_inner || acked.span.begin != known.cursor && !is_mutant("ack_hole") {
            assert!(acked.span.begin >= known.cursor, "{} was acknowledged twice", acked.span);
            let Acked { span, positions, is_inner, .. } = acked;
            self.early.insert(span.begin, Early { end: span.end, positions, is_inner });
        } else {
            self.advance(acked.span.end, &acked.positions);
        }
        let reach = self.reach();
        while self.known.cursor < reach
            && let Some(early) = self.early.remove(&self.known.cursor)
        {
            self.advance(early.end, &early.positions);
        }
        self.settle_reached();
        self.move_reached();
        self.forget_reached();
    }

    /// The end of the acknowledged, gap-free prefix; not inside of a section.
    fn reach(&self) -> u64 {
        let (mut reach, mut end) = (self.known.cursor, self.known.cursor);
        while let Some(early) = self.early.get(&end) {
            end = early.end;
            if !early.is_inner {
                reach = end;
            }
        }
        reach
    }

    fn advance(&mut self, end: u64, positions: &[Position]) {
        self.settle_reached();
        let known = &mut self.known;
        known.cursor = end;
        known.is_new = false;
        known.continued = positions.last().map_or(known.continued, |it| it.continued);
        self.is_dirty = true;
        for position in positions {
            if is_mutant("watermark_without_positions") {
                break;
            }
            known.move_to(*position);
        }
    }

    /// Moves those that nothing un-acknowledged was read of before.
    fn move_reached(&mut self) {
        let known = &mut self.known;
        self.moved.retain(|(at, position)| {
            let is_reached = *at <= known.cursor;
            if is_reached && known.position(position.generation).is_some() {
                known.move_to(*position);
                self.is_dirty = true;
            }
            !is_reached
        });
    }

    /// Drops the generations that nothing un-acknowledged refers to any more.
    fn forget_reached(&mut self) {
        let cursor = self.known.cursor;
        let (reached, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.forget).into_iter().partition(|(at, _)| {
                *at <= cursor || is_mutant("generation_forgotten_before_its_acks")
            });
        self.forget = waiting;
        if !reached.is_empty() {
            self.known.forget(|key| reached.iter().any(|it| it.1 == key));
            self.is_dirty = true;
        }
    }

    /// Whether its sources ended and everything is acknowledged.
    pub(super) fn is_finished(&self) -> bool {
        !self.is_open && self.are_closed_acknowledged()
    }

    /// The last of its sources, if they all ended and nothing more is waited for.
    pub(super) fn ended_by(&self) -> Option<SourceId> {
        let is_over = self.is_finished() && !self.is_waiting();
        self.closing.last().filter(|_| is_over).map(|it| it.source)
    }

    /// Whether nothing is to be remembered beside what the store has, once that has it.
    pub(super) fn is_at_rest(&self) -> bool {
        let is_open_or_over = self.closing.is_empty() || self.is_finished();
        !self.is_dirty && !self.is_waiting() && is_open_or_over
    }

    fn is_waiting(&self) -> bool {
        let is_waiting = !(self.early.is_empty() && self.forget.is_empty() && self.gone.is_empty());
        is_waiting || !self.moved.is_empty()
    }

    fn are_closed_acknowledged(&self) -> bool {
        self.closing.iter().all(|it| {
            let is_ended = !it.awaits_end || is_mutant("end_not_awaited");
            is_ended && self.known.cursor >= it.cursor
        })
    }
}
