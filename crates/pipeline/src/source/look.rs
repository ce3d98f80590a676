//! Look: what a source should do next. Called before each read that is not a mere continuation.

use std::io;

use flow::GapReason;

use super::generation::Generation;
use super::{Missing, Source};
use crate::frame::Tail;
use crate::fs::Fs;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Read up to so many bytes.
    Read {
        /// Bytes known to be unread; `u64::MAX` if the last read filled its chunk.
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
        self.drop_finished(now_ns);
        let mut wake_ns: Option<u64> = None;
        for index in 0..self.generations.len() {
            let is_followed = self.is_followed(fs, index);
            self.current = index;
            match self.look_at(fs, index, is_followed, now_ns) {
                Ok(Turn::Act(look)) => return look,
                Ok(Turn::Done) => {
                    let watched = self.watched_until(index, now_ns);
                    wake_ns = earliest(wake_ns, watched);
                }
                Ok(Turn::Wait(until_ns)) => return Look::Wait(earliest(wake_ns, until_ns)),
                Err(error) => return self.failed(index, &error, now_ns),
            }
        }
        let Some(gone_since_ns) = self.gone_since_ns else { return Look::Wait(wake_ns) };
        // The writer may still hold the removed file.
        let end_ns = gone_since_ns + self.spec.options.late_writes_ns;
        if now_ns >= end_ns { Look::End } else { Look::Wait(earliest(wake_ns, Some(end_ns))) }
    }

    /// Whether a later generation has bytes. Asked before the last look at the earlier one, so that
    /// bytes written before the writer moved on are not missed.
    fn is_followed(&mut self, fs: &dyn Fs, index: usize) -> bool {
        for later in &mut self.generations[index + 1..] {
            if later.size == 0
                && let Ok(stat) = later.open(fs).and_then(|file| file.stat())
            {
                later.size = stat.size;
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
        let options = self.spec.options.clone();
        let generation = &mut self.generations[index];
        if generation.is_hot {
            return Ok(Turn::read(u64::MAX, Tail::Wait, false));
        }
        // A named file that is done with is looked at again only when a look at the directory
        // showed that it grew: its descriptor need not stay open.
        let unchanged = generation.size <= generation.offset;
        if generation.done_since_ns.is_some() && unchanged && generation.file.is_none() {
            return Ok(Turn::Done);
        }
        let stat = generation.open(fs)?.stat()?;
        if stat.size < generation.offset {
            return Ok(truncated(generation));
        }
        if generation.is_checked && stat.size < generation.size {
            return shrunk(fs, generation, stat.size);
        }
        if stat.size == generation.offset {
            generation.tail = None;
            if is_followed && generation.done_since_ns.is_none() {
                generation.done_since_ns = Some(now_ns);
            }
            if is_over && generation.done_since_ns.is_none() {
                generation.done_since_ns = Some(now_ns);
            }
            generation.size = stat.size;
            let is_done = generation.done_since_ns.is_some();
            return Ok(if is_done { Turn::Done } else { Turn::Wait(None) });
        }
        if !generation.is_same(fs)? {
            return Ok(truncated(generation));
        }
        generation.size = generation.size.max(stat.size);
        let pending = stat.size - generation.offset;
        let Some(tail) = generation.tail.filter(|tail| tail.size == stat.size) else {
            return Ok(Turn::read(pending, Tail::Wait, false));
        };
        let due_ns = tail.since_ns + options.flush_timeout_ns;
        if now_ns >= due_ns || (is_followed && !tail.open_join) {
            return Ok(Turn::read(pending, Tail::Deliver, false));
        }
        // The missing part may stand in the next generation, now or in a moment.
        if is_followed && self.size_of_next(fs, index)? > tail.bridged_bytes {
            return Ok(Turn::read(pending, Tail::Wait, true));
        }
        Ok(Turn::Wait(Some(due_ns)))
    }

    fn size_of_next(&mut self, fs: &dyn Fs, index: usize) -> io::Result<u64> {
        let Some(next) = self.generations.get_mut(index + 1) else { return Ok(0) };
        next.size = next.size.max(next.open(fs)?.stat()?.size);
        Ok(next.size)
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

    fn failed(&mut self, index: usize, error: &io::Error, now_ns: u64) -> Look {
        let generation = &mut self.generations[index];
        let path = generation.path.display().to_string();
        if error.kind() == io::ErrorKind::NotFound && generation.is_gone {
            // Its name is gone and no descriptor was open: what was unread is lost, and said so.
            let bytes = generation.size.saturating_sub(generation.offset);
            generation.offset = generation.size;
            generation.done_since_ns = Some(0);
            if bytes > 0 {
                tracing::warn!(path, bytes, "removed before it was read");
                return Look::Gap(Missing { reason: GapReason::RemovedUnread, bytes });
            }
            return Look::Wait(Some(now_ns));
        }
        let retry_ns = self.retry.fail(now_ns);
        // A name that leads elsewhere is a rotation under way: the next look at the directory tells.
        let is_moving = error.kind() == io::ErrorKind::NotFound && self.retry.failures < 4;
        if self.retry.failures.is_power_of_two() && !is_moving {
            let failures = self.retry.failures;
            tracing::warn!(path, %error, failures, "cannot be read; trying again");
        }
        Look::Wait(Some(retry_ns))
    }
}

/// How often a generation that is done is looked at while it is watched for late writes.
const LATE_LOOK_NS: u64 = 500_000_000;

/// What one generation's turn comes to.
enum Turn {
    Act(Look),
    Done,
    Wait(Option<u64>),
}

impl Turn {
    fn read(pending: u64, tail: Tail, bridge: bool) -> Turn {
        Turn::Act(Look::Read { pending, tail, bridge })
    }
}

/// The file was cut and begun anew under its name.
fn truncated(generation: &mut Generation) -> Turn {
    // What was written and cut again while no agent looked, nobody can know.
    let unread = generation.size.saturating_sub(generation.offset);
    let bytes = if generation.is_checked { unread } else { 0 };
    let path = generation.path.display();
    tracing::info!(%path, offset = generation.offset, unread = bytes, "truncated; reading from 0");
    generation.begin_anew();
    if bytes == 0 {
        return Turn::Act(Look::Wait(Some(0)));
    }
    Turn::Act(Look::Gap(Missing { reason: GapReason::Truncated, bytes }))
}

/// The file is shorter than it was seen, but not shorter than what was read of it.
fn shrunk(fs: &dyn Fs, generation: &mut Generation, size: u64) -> io::Result<Turn> {
    if !generation.is_same(fs)? {
        return Ok(truncated(generation));
    }
    let bytes = generation.size - size;
    generation.size = size;
    generation.is_hot = false;
    generation.tail = None;
    Ok(Turn::Act(Look::Gap(Missing { reason: GapReason::Truncated, bytes })))
}

fn earliest(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
