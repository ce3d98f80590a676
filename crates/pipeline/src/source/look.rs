//! Look: what a source should do next. Called before each read, also one that merely goes on: between
//! two reads a source may wait for memory as long as it takes, and its file be cut and grow again.

use std::io;

use flow::{GapReason, is_mutant};

use super::carrier::{COPY_NS, INCOMPLETE_NS, end_of_copy, is_packed, lost};
use super::classify::Proof;
use super::failure::{MOVED_NS, UNREADABLE_TRIES, given_up};
use super::generation::Generation;
use super::{Carrier, Missing, MissingOf, Source, Vanished};
use crate::frame::Tail;
use crate::fs::{Defect, Fs};

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Read up to so many bytes.
    Read {
        /// Bytes known to be unread.
        pending: u64,
        /// Whether an unfinished line is delivered.
        tail: Tail,
        /// Whether the next generation's bytes follow in the same chunk, to finish a join.
        bridge: bool,
    },
    /// Bytes are missing.
    Gap(Missing),
    /// Nothing now; look again at that time, or when something happens if there is none.
    Wait(Option<u64>),
    /// The chain is gone and was read to the end.
    End,
}

impl Source {
    /// Decides what to do next.
    ///
    /// Generations are read in order, each to its end. A generation is done once a later one has
    /// bytes and it was at its end *after* that was noticed: its writer has moved on. Late writes to
    /// one that is done are still read, as long as it is watched.
    pub fn look(&mut self, fs: &dyn Fs, now_ns: u64) -> Look {
        if now_ns < self.retry.at_ns {
            return Look::Wait(Some(self.retry.at_ns));
        }
        self.prove_all(fs, now_ns);
        self.drop_finished(now_ns);
        let mut wake_ns = match self.look_for_vanished(now_ns) {
            Some(Turn::Act(look)) => return look,
            Some(Turn::Later(until_ns)) => Some(until_ns),
            _ => None,
        };
        let mut is_waiting = wake_ns.is_some();
        for index in 0..self.generations.len() {
            let is_followed = self.is_followed(fs, index);
            self.current = index;
            let generation = &mut self.generations[index];
            if generation.missed_before > 0 {
                generation.missed_before -= 1;
                // How long it was, nobody knows.
                let (reason, of) = (GapReason::RotatedBeforeRead, MissingOf::Unseen);
                return Look::Gap(Missing { reason, bytes: 0, of });
            }
            match self.look_at(fs, index, is_followed, now_ns) {
                Ok(Turn::Act(look)) => return look,
                Ok(Turn::Done) => {
                    let watched = self.watched_until(index, now_ns);
                    wake_ns = earliest(wake_ns, watched);
                }
                Ok(Turn::Later(until_ns)) => {
                    wake_ns = earliest(wake_ns, Some(until_ns));
                    is_waiting = true;
                }
                Ok(Turn::Wait(until_ns)) => {
                    let until_ns = earliest(until_ns, self.watched_behind(index, now_ns));
                    return Look::Wait(earliest(wake_ns, until_ns));
                }
                Err(error) => return self.failed(index, &error, now_ns),
            }
        }
        let gone_since_ns = self.gone_since_ns.filter(|_| !is_waiting);
        let Some(gone_since_ns) = gone_since_ns else { return Look::Wait(wake_ns) };
        // The writer may still hold the removed file, and is followed for as long as it writes.
        let done_ns = self.generations.iter().filter_map(|it| it.done_since_ns).max();
        let end_ns = done_ns.unwrap_or(0).max(gone_since_ns) + self.spec.options.late_writes_ns;
        if now_ns >= end_ns { Look::End } else { Look::Wait(earliest(wake_ns, Some(end_ns))) }
    }

    /// Declares what was not read of the generation that was being read before the start, if its
    /// file does not turn up.
    fn look_for_vanished(&mut self, now_ns: u64) -> Option<Turn> {
        let Vanished { generation, reason, since_ns } = self.vanished?;
        let Some(position) = self.orphans.iter().find(|it| it.generation == generation) else {
            self.vanished = None;
            return None;
        };
        if self.has_unproven() {
            // One that cannot be looked into yet may be its copy.
            self.vanished = Some(Vanished { generation, reason, since_ns: now_ns });
            return Some(Turn::Later(now_ns + COPY_NS));
        }
        if now_ns < since_ns + COPY_NS {
            return Some(Turn::Later(since_ns + COPY_NS));
        }
        // How much it was, nobody can know.
        let missing = Missing { reason, bytes: 0, of: MissingOf::Gone(*position) };
        self.vanished = None;
        tracing::warn!(context = %self.spec.context, %reason, "gone while no agent ran");
        Some(Turn::Act(Look::Gap(missing)))
    }

    /// Whether a later generation has bytes. Asked before the last look at the earlier one, so that
    /// bytes written before the writer moved on are not missed.
    fn is_followed(&mut self, fs: &dyn Fs, index: usize) -> bool {
        for later in &mut self.generations[index + 1..] {
            let is_packed = is_packed(&later.path);
            let is_read = is_packed && later.done_since_ns.is_some();
            if later.size == 0
                && !is_read
                && let Ok(file) = later.open(fs)
            {
                // How long a compressed one is, is not known before it was read; but whether it is empty.
                let is_empty = is_packed && file.read_at(&mut [0], 0).is_ok_and(|len| len == 0);
                let size = file.stat().map_or(0, |stat| stat.size);
                later.size = if is_empty { 0 } else { size };
            }
            if later.size > 0 {
                return true;
            }
        }
        false
    }

    fn look_at(
        &mut self,
        fs: &dyn Fs,
        index: usize,
        is_followed: bool,
        now_ns: u64,
    ) -> io::Result<Turn> {
        let is_over = self.gone_since_ns.is_some();
        let may_turn_up = self.has_unproven();
        let options = self.spec.options.clone();
        let generation = &mut self.generations[index];
        let has_tried = self.retry.failures >= UNREADABLE_TRIES && generation.is_unreadable;
        // One that cannot be looked into yet, or that no look has shown yet, may hold its bytes.
        let is_past = generation.gone_since_ns.is_some_and(|it| now_ns >= it + MOVED_NS);
        let is_nowhere_else = generation.is_gone && is_past && !may_turn_up;
        if has_tried && is_nowhere_else && generation.file.is_some() {
            self.retry.failures = 0;
            return Ok(Turn::Act(given_up(generation, GapReason::Unreadable, now_ns)));
        }
        // A named file that is done with is looked at again only when a look at the directory
        // showed that it grew: its descriptor need not stay open. A compressed one does not grow.
        let unchanged = generation.unread_bytes() == 0 && !generation.has_news;
        let is_closed = generation.file.is_none() || generation.holds_packed();
        if generation.done_since_ns.is_some() && unchanged && is_closed {
            // Others have their turn to inflate.
            generation.file = None;
            return Ok(Turn::Done);
        }
        if let Carrier::Lost(since_ns) = generation.carrier {
            // One that cannot be looked into yet may be its copy.
            let since_ns = if may_turn_up { now_ns } else { since_ns };
            generation.carrier = Carrier::Lost(since_ns);
            return Ok(lost(generation, since_ns, now_ns));
        }
        if generation.proof != Proof::Known {
            self.prove(fs, index, now_ns)?;
            return Ok(Turn::Act(Look::Wait(Some(now_ns))));
        }
        let stat = generation.open(fs)?.stat()?;
        generation.stat_ns = now_ns;
        let is_original = generation.carrier == Carrier::Original;
        if is_original && stat.id != generation.id && stat.id.inode == generation.id.inode {
            self.follow_copy_up(index, stat.id);
        }
        let generation = &mut self.generations[index];
        generation.has_news = false;
        if is_original {
            if stat.size < generation.offset {
                return Ok(self.cut(fs, index, stat.size, now_ns));
            }
            if generation.is_checked && stat.size < generation.size {
                return self.shrunk(fs, index, stat.size, now_ns);
            }
        }
        let is_touched = is_original && stat.modified_ns != generation.modified_ns;
        if stat.size <= generation.offset {
            if is_touched && !is_mutant("same_length_taken_for_same_content") {
                // It may have been written anew, to the very same length.
                if !generation.is_same(fs)? {
                    return Ok(self.cut(fs, index, stat.size, now_ns));
                }
                generation.modified_ns = stat.modified_ns;
            }
            if generation.carrier == Carrier::Copy {
                let turn = end_of_copy(generation, stat, now_ns);
                self.move_to_end_of_copy(fs, index, stat)?;
                if let Some(turn) = turn {
                    return Ok(turn);
                }
            }
            let generation = &mut self.generations[index];
            generation.tail = None;
            if is_followed || is_over {
                generation.done_since_ns.get_or_insert(now_ns);
            }
            generation.size = generation.offset;
            let is_done = generation.done_since_ns.is_some();
            // Nothing tells of writes to a file without a name.
            let look_ns = generation.is_gone.then_some(now_ns + LATE_LOOK_NS);
            return Ok(if is_done { Turn::Done } else { Turn::Wait(look_ns) });
        }
        let is_same = generation.is_same(fs);
        if is_same.is_err() {
            generation.size = generation.size.max(stat.size);
        }
        if !is_same? {
            return Ok(self.cut(fs, index, stat.size, now_ns));
        }
        let generation = &mut self.generations[index];
        generation.modified_ns = stat.modified_ns;
        generation.size = generation.size.max(stat.size);
        if let Some(turn) =
            self.look_at_nuls(fs, index, stat.size, is_followed || is_over, now_ns)?
        {
            return Ok(turn);
        }
        let generation = &mut self.generations[index];
        // Its writer goes on: it is watched for as long again.
        generation.done_since_ns = None;
        let pending = stat.size - generation.offset;
        let Some(tail) = generation.tail.filter(|tail| tail.size == stat.size) else {
            generation.defect_since_ns = None;
            return Ok(Turn::read(pending, Tail::Wait, false));
        };
        let defect = generation.file.as_ref().and_then(|file| file.defect());
        if defect == Some(Defect::Cut) {
            // The line goes on if the compressed file does.
            let since_ns = *generation.defect_since_ns.get_or_insert(tail.since_ns);
            let until_ns = since_ns + INCOMPLETE_NS;
            return Ok(match now_ns < until_ns {
                true => Turn::Wait(Some(until_ns)),
                false => Turn::read(pending, Tail::Deliver, false),
            });
        }
        let line_due_ns = tail.is_line_open.then_some(tail.since_ns + options.flush_timeout_ns);
        let is_due = |due_ns: Option<u64>| due_ns.is_some_and(|due_ns| now_ns >= due_ns);
        if is_due(line_due_ns)
            || is_mutant("unfinished_line_delivered_at_once")
            || (is_followed && !tail.open_join)
        {
            return Ok(Turn::read(pending, Tail::Deliver, false));
        }
        // The missing part may stand in the next generation, now or in a moment.
        let can_join = is_followed && !is_mutant("parts_not_joined_over_rotation");
        if can_join && self.unread_of_next(fs, index, now_ns) > tail.bridged_bytes {
            return Ok(Turn::read(pending, Tail::Wait, true));
        }
        if is_due(tail.group_due_ns) {
            // The read itself ends those groups that have waited long enough.
            let is_bridge = is_followed
                && (self.unread_of_next(fs, index, now_ns) > 0 || is_mutant("group_over_a_cut"));
            return Ok(Turn::read(pending, Tail::Wait, is_bridge));
        }
        Ok(Turn::Wait(earliest(line_due_ns, tail.group_due_ns)))
    }

    /// What a bridge would read: what is there now, whatever was seen before. An error of the next
    /// generation is none of this one; it shows when it is the next one's turn.
    fn unread_of_next(&mut self, fs: &dyn Fs, index: usize, now_ns: u64) -> u64 {
        let format = self.spec.options.format;
        let next = self.generations.get_mut(index + 1);
        let Some(next) = next.filter(|it| it.proof == Proof::Known) else { return 0 };
        let Ok(stat) = next.open(fs).and_then(|file| file.stat()) else { return 0 };
        if stat.size <= next.offset || next.is_checked && stat.size < next.size {
            return 0;
        }
        let is_same = next.is_same(fs);
        if matches!(is_same, Ok(false)) && is_mutant("cut_of_the_next_forgotten") {
            return 0;
        }
        if matches!(is_same, Ok(false)) {
            // What was seen of both contents is owed, even if it is gone when it is their turn.
            self.cut(fs, index + 1, stat.size, now_ns);
            return 0;
        }
        next.size = next.size.max(stat.size);
        // What goes on inside of a line cannot follow a whole one.
        let is_bridge = is_same.is_ok() && !next.starts_mid_line(fs, format);
        if is_bridge { stat.size - next.offset } else { 0 }
    }

    /// Until when a generation that is done is looked at again, if it must be.
    fn watched_until(&mut self, index: usize, now_ns: u64) -> Option<u64> {
        let generation = &mut self.generations[index];
        let until_ns = generation.done_since_ns? + self.spec.options.late_writes_ns;
        if now_ns < until_ns {
            return Some(until_ns.min(now_ns + LATE_LOOK_NS));
        }
        // A named file shows its growth in the directory scan.
        generation.file = None;
        None
    }

    /// When files behind this one that have no name any more are looked at again, as long as one is held: nothing tells
    /// that the first bytes are written to it.
    fn watched_behind(&self, index: usize, now_ns: u64) -> Option<u64> {
        let is_watched = |it: &Generation| it.file.is_some() && it.gone_since_ns.is_some();
        let is_any = self.generations[index + 1..].iter().any(is_watched);
        let is_any = is_any && !is_mutant("removed_file_behind_a_quiet_one");
        is_any.then_some(now_ns + LATE_LOOK_NS)
    }
}

/// How often a generation that is done is looked at while it is watched for late writes.
const LATE_LOOK_NS: u64 = 500_000_000;

/// What one generation's turn comes to.
pub(super) enum Turn {
    Act(Look),
    /// Nothing before that time; later ones go on.
    Later(u64),
    Done,
    Wait(Option<u64>),
}

impl Turn {
    pub(super) fn read(pending: u64, tail: Tail, bridge: bool) -> Turn {
        Turn::Act(Look::Read { pending, tail, bridge })
    }
}

fn earliest(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
