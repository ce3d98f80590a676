//! Relief: what becomes of bytes that a limit has held back for too long, or that are about to be rotated away.
//!
//! Asked only of sources that had to wait for a limit. What is passed over is read and framed all the same, so that the gap
//! ends at a record's border and its records are counted; it is neither encoded nor sent, and takes no tokens.

use std::collections::VecDeque;

use super::pace::{Kept, Leave};
use super::{Reader, Slot};
use crate::limits::{Answer, AtLimit, Grant};
use crate::schedule::SourceIndex;
use crate::source::ReadOutcome;

/// How exactly the age of unread bytes is known: to this part of the longest that is allowed.
const MARKS: u64 = 32;

/// Since when bytes are there that are not read yet.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// At that time, everything up to that cursor was there.
    marks: VecDeque<(u64, u64)>,
}

impl Lag {
    /// Everything below `end` is there now, and everything below `cursor` is read.
    pub(super) fn note(&mut self, (cursor, end): (u64, u64), max_lag_ns: u64, now_ns: u64) {
        while self.marks.front().is_some_and(|(_, marked)| *marked <= cursor) {
            self.marks.pop_front();
        }
        let is_due = |(at_ns, _): &(u64, u64)| now_ns >= at_ns + max_lag_ns / MARKS;
        if end > cursor && self.marks.back().is_none_or(is_due) {
            self.marks.push_back((now_ns, end));
        }
    }

    /// Unread bytes that have been there for longer than that.
    pub(super) fn overdue(&self, cursor: u64, max_lag_ns: u64, now_ns: u64) -> u64 {
        let is_old = |(at_ns, _): &&(u64, u64)| now_ns > at_ns + max_lag_ns;
        let marked = self.marks.iter().rev().find(is_old);
        marked.map_or(0, |(_, end)| end.saturating_sub(cursor))
    }
}

impl Slot {
    /// Unread bytes that the tenant's policy has to decide on now: none as long as they may wait.
    fn pressing_bytes(&mut self, now_ns: u64) -> u64 {
        let Some(policy) = self.pace.policy else { return 0 };
        let cursor = self.source.cursor;
        let overdue = policy.max_lag_ns.map_or(0, |max_lag_ns| {
            let end = cursor + self.source.unread_bytes();
            self.pace.lag.note((cursor, end), max_lag_ns, now_ns);
            self.pace.lag.overdue(cursor, max_lag_ns, now_ns)
        });
        overdue.max(self.source.at_risk_bytes())
    }
}

impl Reader {
    /// How much of `bytes` is passed over, or read for the spool, now that a limit refuses to have it read; nothing
    /// if it has to wait.
    pub(super) fn relieve_at_limit(
        &mut self,
        index: SourceIndex,
        bytes: u64,
        now_ns: u64,
    ) -> Option<Leave> {
        let slot = self.slots[index].as_mut()?;
        let pressing = slot.pressing_bytes(now_ns).min(bytes);
        let kept = match slot.pace.policy?.at_limit {
            AtLimit::ShedOldest => Kept::None,
            AtLimit::Spool => Kept::InSpool,
            AtLimit::Delay | AtLimit::Sample(_) => return None,
        };
        (pressing > 0).then_some(Leave { grant: None, bytes: pressing, kept })
    }

    /// How much of `bytes` is read to keep a sample, if that is the policy, and a limit made the source wait
    /// before. Only what is kept takes tokens.
    pub(super) fn sample_at_limit(
        &mut self,
        index: SourceIndex,
        bytes: u64,
        now_ns: u64,
    ) -> Option<Leave> {
        let slot = self.slots[index].as_mut()?;
        let AtLimit::Sample(one_in) = slot.pace.policy?.at_limit else { return None };
        if !slot.pace.held.is_any() {
            return None;
        }
        let pressing = slot.pressing_bytes(now_ns).min(bytes);
        let toll = slot.pace.toll.as_mut().filter(|_| pressing > 0)?;
        let part = pressing.div_ceil(u64::from(one_in));
        let Answer::Granted(grant) = self.parts.limits.ask(toll, part, now_ns) else { return None };
        let bytes = pressing.min(grant.bytes.saturating_mul(u64::from(one_in)));
        Some(Leave { grant: Some(grant), bytes, kept: Kept::OneIn(one_in) })
    }
}

impl Reader {
    /// Leaves in the chunk what is to be delivered of a read; returns how many bytes and records these are.
    pub(super) fn keep(
        &mut self,
        index: SourceIndex,
        outcome: &mut ReadOutcome,
        leave: Leave,
    ) -> (u64, u64) {
        let span = outcome.span;
        let bytes = span.bytes();
        let Some(slot) = &mut self.slots[index] else { return (0, 0) };
        let spec = &slot.source.spec;
        if let Some(one_in) = spec.options.sample_one_in
            && leave.kept != Kept::None
        {
            let context = spec.context.id;
            let share = &mut slot.pace.share;
            let (left_out, of_bytes) = share.thin(&mut self.chunk, span, context, one_in);
            outcome.framed.filtered += left_out;
            outcome.framed.filtered_bytes += of_bytes.min(bytes - outcome.framed.filtered_bytes);
            slot.source.meter.sampled_records.add(u64::from(left_out));
        }
        let records = self.chunk.records().len() as u64;
        match leave.kept {
            Kept::All => (bytes, records),
            Kept::InSpool => {
                slot.source.meter.over_limit_bytes.add(bytes);
                (bytes, records)
            }
            Kept::None => {
                slot.source.meter.shed(records);
                (0, 0)
            }
            Kept::OneIn(one_in) => {
                let tokens = leave.grant.unwrap_or(Grant { bytes: u64::MAX, records: u64::MAX });
                let (left_out, of_bytes) =
                    slot.pace.sample.thin(&mut self.chunk, bytes, one_in, tokens);
                // What its LogConfig leaves out lies between the records, and is counted already.
                let of_bytes = of_bytes.min(bytes - outcome.framed.filtered_bytes);
                outcome.framed.filtered += left_out;
                outcome.framed.filtered_bytes += of_bytes;
                slot.source.meter.shed(u64::from(left_out));
                (bytes - of_bytes, records - u64::from(left_out))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_overdue_once_they_were_there_for_so_long() {
        let mut lag = Lag::default();
        lag.note((0, 100), 3200, 1000);
        lag.note((0, 150), 3200, 1099);
        lag.note((0, 200), 3200, 1100);
        assert_eq!(lag.overdue(0, 3200, 4200), 0);
        assert_eq!(lag.overdue(0, 3200, 4201), 100);
        assert_eq!(lag.overdue(30, 3200, 4300), 70);
        assert_eq!(lag.overdue(30, 3200, 4301), 170);
        lag.note((200, 200), 3200, 5000);
        assert_eq!(lag.overdue(200, 3200, 99_999), 0, "all is read");
        assert!(lag.marks.is_empty());
        for now_ns in 0..100_000 {
            lag.note((0, now_ns), 3200, now_ns);
            lag.note((now_ns.saturating_sub(3300), now_ns), 3200, now_ns);
        }
        assert!(lag.marks.len() <= 35, "{}", lag.marks.len());
    }
}
