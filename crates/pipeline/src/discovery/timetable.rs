//! Timetable: when which scan is due, so that scans cost next to nothing however much is there.

/// A scan of what is watched too is followed by so many times its length without one.
///
/// 10,000: scans take at most a ten-thousandth of a core. A scan of 100 sources takes a tenth of a
/// millisecond, so up to there it comes every second; one of 100,000 every half hour.
const SCAN_SHARE: u64 = 10_000;
/// The same, where links or refused files are, of which no watch hears: a hundredth of a core.
const SCAN_SHARE_UNHEARD: u64 = 100;
/// A scan of what nothing tells about, or after events were lost, is followed by so many times its
/// length without one: the price of a system that lets nobody watch is a twentieth of a core.
const POLL_SHARE: u64 = 20;
/// Longest time without a scan of directories, in nanoseconds: names that the watch missed are found
/// after a minute.
pub const SCAN_PAUSE_MAX_NS: u64 = 60_000_000_000;
/// Longest time without a scan of files, in nanoseconds: writes are missed only with a loss of
/// events, which is told; then all files are looked at anyway.
const FILES_PAUSE_MAX_NS: u64 = 3_600_000_000_000;
/// Time between attempts to watch what could not be watched, in nanoseconds: limits are raised by
/// people, who expect an effect soon.
const RETRY_NS: u64 = 10_000_000_000;

/// What to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scan {
    /// All directories and all files.
    Files,
    /// All directories, and the files of those that changed.
    Directories,
    /// The directories that nothing tells about, and their files.
    Polled,
}

/// When which scan is due, by the monotonic clock.
#[derive(Debug)]
pub(super) struct Timetable {
    interval_ns: u64,
    files_ns: u64,
    directories_ns: u64,
    polled_ns: u64,
    /// How long the last look took at what nothing tells about.
    polled_length_ns: u64,
    retry_ns: u64,
    /// Events that are lost before then wait for it.
    hurry_ns: u64,
    /// There are directories that nothing tells about.
    pub(super) has_polled: bool,
    /// The watch tells of everything that there is.
    pub(super) is_heard: bool,
}

impl Timetable {
    /// Everything is due now; scans come at most every `interval_ns`.
    pub(super) fn new(interval_ns: u64) -> Timetable {
        Timetable {
            interval_ns,
            files_ns: 0,
            directories_ns: 0,
            polled_ns: 0,
            polled_length_ns: 0,
            retry_ns: 0,
            hurry_ns: 0,
            has_polled: false,
            is_heard: true,
        }
    }

    /// Events were lost: everything has to be looked at, though not all the time.
    pub(super) fn hurry(&mut self, now_ns: u64) {
        self.files_ns = self.files_ns.min(self.hurry_ns.max(now_ns));
    }

    /// Something is there of which the watch does not tell: it is looked for soon, though not all the time.
    pub(super) fn unheard(&mut self, now_ns: u64) {
        if std::mem::replace(&mut self.is_heard, false) {
            self.hurry(now_ns + self.interval_ns);
        }
    }

    /// What is due now.
    pub(super) fn due(&self, now_ns: u64) -> Option<Scan> {
        if now_ns >= self.files_ns {
            Some(Scan::Files)
        } else if now_ns >= self.directories_ns {
            Some(Scan::Directories)
        } else {
            (self.has_polled && now_ns >= self.polled_ns).then_some(Scan::Polled)
        }
    }

    /// Whether what could not be watched is tried again in a scan that begins now.
    pub(super) fn takes_retry(&mut self, now_ns: u64) -> bool {
        let is_due = now_ns >= self.retry_ns;
        if is_due {
            self.retry_ns = now_ns + RETRY_NS;
        }
        is_due
    }

    /// Everything is due at once.
    #[cfg(test)]
    pub(super) fn forget_retry(&mut self) {
        (self.retry_ns, self.files_ns) = (0, 0);
    }

    /// A scan is over.
    pub(super) fn done(&mut self, scan: Scan, begin_ns: u64, end_ns: u64) {
        let length_ns = end_ns - begin_ns;
        let after = |length_ns: u64, share: u64, max_ns: u64| {
            end_ns + length_ns.saturating_mul(share).min(max_ns).max(self.interval_ns)
        };
        let pause = |share: u64, max_ns: u64| after(length_ns, share, max_ns);
        // A scan of all files says nothing of how long it takes to look at a few directories.
        let polled_length_ns = if scan == Scan::Polled { length_ns } else { self.polled_length_ns };
        let polled_ns = after(polled_length_ns, POLL_SHARE, SCAN_PAUSE_MAX_NS);
        let directories_ns = end_ns + SCAN_PAUSE_MAX_NS.max(self.interval_ns);
        match scan {
            Scan::Files => {
                self.files_ns = match self.is_heard {
                    true => pause(SCAN_SHARE, FILES_PAUSE_MAX_NS),
                    false => pause(SCAN_SHARE_UNHEARD, SCAN_PAUSE_MAX_NS),
                };
                self.hurry_ns = end_ns + length_ns.saturating_mul(POLL_SHARE);
                self.directories_ns = directories_ns;
            }
            Scan::Directories => self.directories_ns = directories_ns,
            Scan::Polled => {}
        }
        (self.polled_ns, self.polled_length_ns) = (polled_ns, polled_length_ns);
    }

    /// When the next scan is due.
    pub(super) fn next_ns(&self) -> u64 {
        let watched_ns = self.files_ns.min(self.directories_ns);
        if self.has_polled { watched_ns.min(self.polled_ns) } else { watched_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn a_long_scan_of_files_comes_rarely_and_directories_are_looked_at_every_minute() {
        let mut timetable = Timetable::new(SECOND_NS);
        assert_eq!(timetable.due(0), Some(Scan::Files));
        timetable.done(Scan::Files, 0, SECOND_NS / 10);
        assert_eq!(timetable.due(59 * SECOND_NS), None);
        assert_eq!(timetable.due(61 * SECOND_NS), Some(Scan::Directories));
        assert_eq!(timetable.due(1001 * SECOND_NS), Some(Scan::Files));
    }

    #[test]
    fn what_nothing_tells_about_is_looked_at_every_interval() {
        let mut timetable = Timetable::new(SECOND_NS);
        timetable.done(Scan::Files, 0, 1);
        timetable.has_polled = true;
        timetable.files_ns = u64::MAX;
        assert_eq!(timetable.due(SECOND_NS + 1), Some(Scan::Polled));
        assert_eq!(timetable.next_ns(), SECOND_NS + 1);
    }

    #[test]
    fn a_long_scan_of_files_holds_up_no_look_at_what_nothing_tells_about() {
        let mut timetable = Timetable::new(SECOND_NS);
        timetable.has_polled = true;
        timetable.done(Scan::Files, 0, 2 * SECOND_NS);
        assert_eq!(timetable.due(3 * SECOND_NS), Some(Scan::Polled));
        timetable.done(Scan::Polled, 3 * SECOND_NS, 4 * SECOND_NS);
        assert_eq!(timetable.due(23 * SECOND_NS), None, "its own length counts");
        assert_eq!(timetable.due(24 * SECOND_NS), Some(Scan::Polled));
    }

    #[test]
    fn what_the_watch_does_not_tell_of_is_looked_for_soon() {
        let mut timetable = Timetable::new(SECOND_NS);
        timetable.done(Scan::Files, 0, SECOND_NS / 100);
        timetable.unheard(10 * SECOND_NS);
        assert_eq!(timetable.due(11 * SECOND_NS - 1), None);
        assert_eq!(timetable.due(11 * SECOND_NS), Some(Scan::Files));
        timetable.done(Scan::Files, 11 * SECOND_NS, 11 * SECOND_NS + SECOND_NS / 100);
        timetable.unheard(11 * SECOND_NS + 1);
        assert_eq!(timetable.due(12 * SECOND_NS), None, "it was known");
    }

    #[test]
    fn lost_events_hurry_a_scan_but_do_not_make_it_come_all_the_time() {
        let mut timetable = Timetable::new(SECOND_NS);
        timetable.done(Scan::Files, 0, SECOND_NS);
        timetable.hurry(2 * SECOND_NS);
        assert_eq!(timetable.due(20 * SECOND_NS), None);
        assert_eq!(timetable.due(21 * SECOND_NS), Some(Scan::Files));
    }
}
