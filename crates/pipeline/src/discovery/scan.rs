//! Scan: looks at everything, in slices, between which what is heard is passed on.
//!
//! LogConfigs and their tenants take turns piece by piece (see [`super::agenda`]). But of two LogConfigs that select the
//! same the first has it: no chain is told of while an earlier one may have yet to look at its directory.

use std::path::Path;
use std::sync::atomic::Ordering;

use super::agenda::Wait;
use super::timetable::Scan;
use super::walk::{Around, Walk};
use super::{Discovery, Rule};

/// How long a tick scans, in nanoseconds.
///
/// 5 ms: little beside a linger, and much beside what a tick costs that hears of something.
pub(super) const SLICE_NS: u64 = 5_000_000;

/// LogConfigs that are asked for a piece before the first that has any must do one: each may have to wait for it.
const TRIES: usize = 8;

/// How far what is due was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// All of it.
    All,
    /// Not all of it.
    Some,
    /// Not all of it, and readers have to go on first.
    Held,
}

/// A scan that is not over.
#[derive(Debug)]
pub(super) struct UnderWay {
    scan: Scan,
    /// What could not be watched is tried again.
    is_retry: bool,
    /// Events were lost since it began: what it looked at before may have changed.
    pub(super) is_overtaken: bool,
    /// What its slices took.
    took_ns: u64,
}

impl Discovery {
    /// A tick scans for so long, in nanoseconds, and does one piece at least.
    #[must_use]
    pub fn in_slices_of(self, slice_ns: u64) -> Discovery {
        Discovery { slice_ns, ..self }
    }

    /// Whether the first scan is over.
    #[must_use]
    pub fn has_scanned(&self) -> bool {
        self.has_scanned
    }

    /// Has looked at what is due, unless that is under way.
    pub(super) fn begin_scan(&mut self, scan: Scan) {
        self.outlet.meter.scans.add(1);
        let is_retry = self.timetable.takes_retry(self.outlet.clock.monotonic_ns());
        if scan == Scan::Files {
            self.outlet.refusals.begin();
        }
        self.outlet.is_retry = is_retry;
        self.walk(|walk, around| match scan {
            Scan::Files => walk.sweep(around, true),
            Scan::Directories => walk.sweep(around, false),
            Scan::Polled => walk.poll(around),
        });
        self.outlet.is_retry = false;
        self.under_way = Some(UnderWay { scan, is_retry, is_overtaken: false, took_ns: 0 });
    }

    /// Looks for a while at what is yet to be looked at.
    pub(super) fn scan_on(&mut self) -> Progress {
        let begin_ns = self.outlet.clock.monotonic_ns();
        self.outlet.is_retry = self.under_way.as_ref().is_some_and(|it| it.is_retry);
        let (mut end_ns, mut progress) = (begin_ns, Progress::Some);
        while progress == Progress::Some && !self.stop.load(Ordering::Acquire) {
            progress = self.look_on();
            end_ns = self.outlet.clock.monotonic_ns();
            if end_ns - begin_ns >= self.slice_ns {
                break;
            }
        }
        (self.outlet.is_retry, self.outlet.is_initial) = (false, false);
        if let Some(scan) = &mut self.under_way {
            scan.took_ns += end_ns - begin_ns;
        }
        if progress == Progress::All
            && let Some(scan) = self.under_way.take()
        {
            self.end_scan(&scan, end_ns);
        }
        progress
    }

    fn end_scan(&mut self, it: &UnderWay, end_ns: u64) {
        if it.scan == Scan::Files {
            self.outlet.refusals.end();
        }
        self.outlet.meter.refused_paths.set(self.outlet.refusals.count() as u64);
        self.timetable.is_heard = self.outlet.refusals.is_heard();
        self.timetable.done(it.scan, end_ns - it.took_ns, end_ns);
        if it.is_overtaken {
            self.timetable.hurry(end_ns);
        }
        self.outlet.meter.scan_ended_ns.set(end_ns);
        self.outlet.ahead.end();
        self.has_scanned = true;
    }

    /// Has one piece be done, if one may be.
    fn look_on(&mut self) -> Progress {
        let count = self.walks.len();
        let Some(first) = self.walks.iter().position(Walk::has_pieces) else {
            return Progress::All;
        };
        let from = self.turn;
        let mut tries = 0;
        for number in (0..count).map(|it| (from + it) % count) {
            if tries == TRIES {
                break;
            }
            if self.walks[number].has_pieces() {
                self.turn = number + 1;
                match self.do_piece(number) {
                    Ok(()) => return Progress::Some,
                    Err(Wait::Earlier) => tries += 1,
                    Err(Wait::Room) => {}
                }
            }
        }
        // The first waits for no other.
        self.do_piece(first).map_or(Progress::Held, |()| Progress::Some)
    }

    /// Does a piece of the LogConfig's, if it has any that may be done.
    fn do_piece(&mut self, number: usize) -> Result<(), Wait> {
        let rules = &self.rules[..];
        let (earlier, later) = self.walks.split_at_mut(number);
        let is_leaf = |(walk, rule): (&Walk, &Rule), directory: &Path| {
            walk.has_pieces() && rule.selection.role(directory).is_leaf
        };
        let may = |directory: &Path| !earlier.iter().zip(rules).any(|it| is_leaf(it, directory));
        let (rule, outlet) = (&rules[number], &mut self.outlet);
        later[0].go_on(&mut Around { fs: &*rule.fs, rule, rules, number, outlet }, may)
    }
}
