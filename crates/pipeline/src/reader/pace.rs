//! Pace: how much a source reads in its turn, and how long it sleeps for the sake of a limit.
//!
//! Limits come first: without tokens nothing is read, and the file keeps the bytes. A source that alone has to wait
//! (for its LogConfig or its container) naps; if its tenant has to, the tenant has no turns, and if the whole node has
//! to, nobody has. All keep their order. A read is cut to what takes [`SLICE_NS`], as its last one tells: no source holds
//! the reader for longer, except with its first slow read and with a record that is longer.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use flow::is_mutant;

use super::Reader;
use super::held::Held;
use super::relief::Lag;
use super::sample::{Sample, Share};
use crate::frame::utf16;
use crate::limits::{Answer, Grant, Later, Level, Policy, Toll};
use crate::schedule::{LaneIndex, SourceIndex};
use crate::source::Portion;

/// How long a read may take, in nanoseconds.
///
/// 10 ms: twenty times what a chunk usually takes, and little beside a linger.
pub(super) const SLICE_NS: u64 = 10_000_000;

/// Time between two looks at a tenant whose tokens go to what is in the spool, in nanoseconds.
const BEHIND_SPOOL_NS: u64 = 100_000_000;

/// Least that a slow source reads, in bytes: what it costs to begin is worth it.
const SLICE_BYTES_MIN: u64 = 16 << 10;

/// How fast a source may be read.
#[derive(Debug)]
pub(super) struct Pace {
    /// Its limits, if it has any.
    pub(super) toll: Option<Box<Toll>>,
    /// What becomes of what waits too long.
    pub(super) policy: Option<Policy>,
    /// Since when it waits.
    pub(super) lag: Lag,
    pub(super) sample: Sample,
    /// What its LogConfig has kept.
    pub(super) share: Share,
    /// What it reads in a turn at most, so that it takes no longer than a slice; all if absent.
    slice_bytes: Option<u64>,
    /// For how long limits have kept it from being read.
    pub(super) held: Held,
    /// It naps, for that limit, and has no turns.
    pub(super) nap: Option<Later>,
}

impl Pace {
    pub(super) fn new(toll: Option<Box<Toll>>, policy: Option<Policy>) -> Pace {
        let (lag, sample, share) = (Lag::default(), Sample::default(), Share::new());
        let held = Held::default();
        Pace { toll, policy, lag, sample, share, slice_bytes: None, held, nap: None }
    }

    /// Its limits, if it has any.
    pub(super) fn toll(&self) -> Option<&Toll> {
        self.toll.as_deref()
    }

    /// Takes note of how long a read took.
    pub(super) fn took(&mut self, bytes: u64, took_ns: u64) {
        if took_ns > SLICE_NS {
            let fits = u128::from(bytes) * u128::from(SLICE_NS) / u128::from(took_ns);
            self.slice_bytes = u64::try_from(fits).ok().map(|it| it.max(SLICE_BYTES_MIN));
        } else if took_ns < SLICE_NS / 4 {
            // A read that was short for want of bytes tells too: it grows until it takes long.
            self.slice_bytes = self.slice_bytes.map(|it| it.saturating_mul(2));
        }
    }
}

/// Sources that sleep, each for itself.
#[derive(Debug, Default)]
pub(super) struct Naps {
    /// When, in which order, who.
    sleepers: BinaryHeap<Reverse<(u64, u64, SourceIndex)>>,
    order: u64,
    /// By number of the bucket of a LogConfig: nobody need ask before then.
    empty_until_ns: Vec<u64>,
}

impl Naps {
    /// When the first is to be woken.
    pub(super) fn due_ns(&self) -> Option<u64> {
        self.sleepers.peek().map(|Reverse((due_ns, _, _))| *due_ns)
    }

    fn push(&mut self, index: SourceIndex, until_ns: u64) {
        // Who asked first is first again: whoever is woken at the same time comes in this order.
        self.order += 1;
        self.sleepers.push(Reverse((until_ns, self.order, index)));
    }

    fn pop(&mut self, now_ns: u64) -> Option<SourceIndex> {
        self.due_ns().filter(|due_ns| *due_ns <= now_ns)?;
        self.sleepers.pop().map(|Reverse((_, _, index))| index)
    }

    fn note_empty(&mut self, bucket: usize, until_ns: u64) {
        if self.empty_until_ns.len() <= bucket {
            self.empty_until_ns.resize(bucket + 1, 0);
        }
        self.empty_until_ns[bucket] = until_ns;
    }

    fn empty_until_ns(&self, bucket: usize) -> u64 {
        self.empty_until_ns.get(bucket).copied().unwrap_or(0)
    }
}

/// What a source may read in its turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    /// To be settled, if anything limits it.
    pub(super) grant: Option<Grant>,
    /// Bytes.
    pub(super) bytes: u64,
    /// What becomes of them.
    pub(super) kept: Kept,
}

impl Leave {
    /// What a read may bring in a turn in which `bytes_max` are known to be there, no more than a chunk.
    pub(super) fn portion(&self, bytes_max: usize, chunk_bytes: usize) -> Portion {
        let is_all = self.bytes == bytes_max as u64 && self.kept == Kept::All;
        let room = usize::try_from(self.bytes).unwrap_or(chunk_bytes);
        match (self.grant, self.kept) {
            // All that is there may be read without knowing how much that is.
            (None, _) if is_all => Portion::of(chunk_bytes),
            (None, _) => Portion::of(room),
            // A read that is full says that there is more: what is known is to leave some room.
            (Some(Grant { bytes, records }), Kept::All) => {
                let beyond = if is_all { utf16::UNIT_BYTES } else { 0 };
                Portion { room: room + beyond, bytes, records }
            }
            (Some(_), _) => Portion { bytes: self.bytes, ..Portion::of(room) },
        }
    }
}

/// Which of the records that were read are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    All,
    OneIn(u32),
    None,
    /// All, by way of the spool.
    InSpool,
}

impl Reader {
    /// Wakes those whose tokens are there.
    pub(super) fn wake_napping(&mut self, now_ns: u64) {
        self.schedule.wake(now_ns);
        while let Some(index) = self.naps.pop(now_ns) {
            if let Some(slot) = &mut self.slots[index] {
                slot.pace.nap = None;
                self.schedule.ready(slot.lane, index);
            }
        }
    }

    /// The source has no turn before then; others have.
    fn nap(&mut self, index: SourceIndex, later: Later) {
        if let Some(slot) = &mut self.slots[index] {
            slot.pace.nap = Some(later);
        }
        self.naps.push(index, later.until_ns);
    }

    /// Whether the source's LogConfig has no tokens for sure: it is not even looked at.
    pub(super) fn naps_on(&mut self, index: SourceIndex, now_ns: u64) -> bool {
        let slot = self.slots[index].as_ref();
        let toll = slot.and_then(|slot| slot.pace.toll.as_ref());
        let bucket = toll.and_then(|toll| toll.shared_bucket(Level::LogConfig));
        let until_ns = bucket.map_or(0, |bucket| self.naps.empty_until_ns(bucket));
        if until_ns <= now_ns {
            return false;
        }
        if let Some(slot) = &mut self.slots[index]
            && !is_mutant("waits_for_a_shared_limit_not_counted")
        {
            slot.pace.held.refuse(now_ns, until_ns);
        }
        self.nap(index, Later { level: Level::LogConfig, until_ns });
        true
    }

    /// How much the source may read of `bytes` in this turn, before its limits are asked.
    pub(super) fn slice(&self, index: SourceIndex, bytes: u64) -> u64 {
        let slot = self.slots[index].as_ref();
        slot.and_then(|slot| slot.pace.slice_bytes).map_or(bytes, |it| it.min(bytes))
    }

    /// Asks the source's limits for a read; if they have no tokens and its bytes can wait, puts to sleep who has to.
    pub(super) fn ask_limits(
        &mut self,
        lane: LaneIndex,
        index: SourceIndex,
        bytes: u64,
        now_ns: u64,
    ) -> Option<Leave> {
        if let Some(sample) = self.sample_at_limit(index, bytes, now_ns) {
            return Some(sample);
        }
        let slot = self.slots[index].as_mut()?;
        let kept = Kept::All;
        let Some(toll) = &mut slot.pace.toll else {
            return Some(Leave { grant: None, bytes, kept });
        };
        let is_behind_spool = slot.source.meter.over_limit_bytes.get() > 0;
        let answer = if is_behind_spool {
            // What is in the spool has the tokens.
            let until_ns = now_ns.saturating_add(BEHIND_SPOOL_NS);
            Answer::Later(Later { level: Level::Tenant, until_ns })
        } else {
            self.parts.limits.ask(toll, bytes, now_ns)
        };
        let later = match answer {
            Answer::Granted(grant) => {
                return Some(Leave { grant: Some(grant), bytes: grant.bytes, kept });
            }
            Answer::Later(later) => later,
        };
        let Later { level, until_ns } = later;
        if let Some(relief) = self.relieve_at_limit(index, bytes, now_ns) {
            return Some(relief);
        }
        let slot = self.slots[index].as_mut()?;
        let toll = slot.pace.toll.as_ref()?;
        let bucket = toll.shared_bucket(level);
        if level != Level::Node || !is_mutant("waits_for_the_node_not_counted") {
            slot.pace.held.refuse(now_ns, until_ns);
        }
        match level {
            // Others of the tenant may be about to lose bytes.
            _ if is_behind_spool => self.nap(index, later),
            Level::Tenant if is_mutant("limited_tenant_stops_all") => {
                self.schedule.sleep_all(lane, index, until_ns);
            }
            Level::Node => self.schedule.sleep_all(lane, index, until_ns),
            Level::Tenant => self.schedule.sleep(lane, index, until_ns),
            Level::LogConfig => {
                if let Some(bucket) = bucket {
                    self.naps.note_empty(bucket, until_ns);
                }
                self.nap(index, later);
            }
            Level::Container => self.nap(index, later),
        }
        None
    }

    /// The read came to so much that is delivered; nothing if it was not made. What was granted for it is settled.
    pub(super) fn settle_limits(
        &mut self,
        index: SourceIndex,
        grant: Option<Grant>,
        (bytes, records): (u64, u64),
        now_ns: u64,
    ) {
        let Some(slot) = &mut self.slots[index] else { return };
        let pace = &mut slot.pace;
        if bytes == 0 && is_mutant("wait_forgotten_by_who_could_not_read") {
            pace.held.forget();
        }
        if bytes > 0
            && let Some(waited_ns) = pace.held.end(now_ns)
        {
            slot.source.meter.delayed_bytes.add(bytes);
            slot.source.meter.delayed_ns.add(waited_ns);
        }
        let (Some(toll), Some(grant)) = (&mut pace.toll, grant) else { return };
        self.parts.limits.settle(toll, grant, bytes, records);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_source_is_read_in_slices_of_ten_milliseconds() {
        let mut pace = Pace::new(None, None);
        // 256 KiB in 80 ms; then it is as slow as that, whatever it reads.
        pace.took(256 << 10, 80_000_000);
        assert_eq!(pace.slice_bytes, Some(32 << 10));
        pace.took(32 << 10, 10_000_000);
        assert_eq!(pace.slice_bytes, Some(32 << 10));
        pace.took(32 << 10, 40_000_000);
        assert_eq!(pace.slice_bytes, Some(SLICE_BYTES_MIN), "less is not worth a turn");
        for _ in 0..4 {
            pace.took(16 << 10, 1_000_000);
        }
        assert_eq!(pace.slice_bytes, Some(256 << 10), "it is quick again");
    }

    #[test]
    fn those_who_nap_are_woken_in_the_order_in_which_they_asked() {
        let mut naps = Naps::default();
        [7, 3, 5].into_iter().for_each(|index| naps.push(index, 100));
        naps.push(1, 50);
        assert_eq!((naps.due_ns(), naps.pop(49)), (Some(50), None));
        assert_eq!(naps.pop(50), Some(1));
        assert_eq!(naps.pop(99), None);
        let woken: Vec<_> = std::iter::from_fn(|| naps.pop(100)).collect();
        assert_eq!(woken, [7, 3, 5]);
    }
}
