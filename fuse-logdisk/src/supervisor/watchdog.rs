//! Watchdog: judges from outside whether a daemon still answers. Plain data: it asks no clock and no kernel.

use std::time::Duration;

/// So many daemons that hang after each other, and the next one would too.
const HANGS_MAX: u32 = 3;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Well,
    /// This daemon is to be killed.
    Hangs,
    /// No daemon answers.
    Hopeless,
}

/// What is known of the daemon.
#[derive(Debug)]
pub(super) struct Watchdog {
    hang_ns: u64,
    requests: u64,
    parked: u64,
    /// It gave a sign of life since the last look.
    has_pulsed: bool,
    /// What was known at the last progress.
    seen: (u64, u64),
    /// Since when there is none; `None` if nothing is to be answered.
    since_ns: Option<u64>,
    hangs: u32,
}

impl Watchdog {
    pub(super) fn new(hang_ns: u64) -> Watchdog {
        Watchdog {
            hang_ns,
            requests: 0,
            parked: 0,
            has_pulsed: false,
            seen: (0, 0),
            since_ns: None,
            hangs: 0,
        }
    }

    /// How often it is to look.
    pub(super) fn period(&self) -> Duration {
        Duration::from_nanos(self.hang_ns / 4)
    }

    /// The daemon lives.
    pub(super) fn pulse(&mut self, requests: u64, parked: u64) {
        (self.requests, self.parked, self.has_pulsed) = (requests, parked, true);
    }

    /// Another daemon takes the place of one that ended.
    pub(super) fn restarted(&mut self) {
        (self.requests, self.parked, self.seen, self.since_ns) = (0, 0, (0, 0), None);
    }

    /// `waiting` requests are not answered now.
    pub(super) fn look(&mut self, waiting: u64, now_ns: u64) -> Verdict {
        let known = (self.requests, self.parked);
        // While some wait for room, the kernel holds others back, of which the daemon knows nothing.
        let waits_for_room = self.parked > 0 && std::mem::take(&mut self.has_pulsed);
        if waiting <= self.parked || waits_for_room || known != self.seen {
            if known != self.seen {
                self.hangs = 0;
            }
            (self.seen, self.since_ns) = (known, None);
            return Verdict::Well;
        }
        let since_ns = *self.since_ns.get_or_insert(now_ns);
        if now_ns.saturating_sub(since_ns) < self.hang_ns {
            return Verdict::Well;
        }
        self.since_ns = Some(now_ns);
        self.hangs += 1;
        if self.hangs >= HANGS_MAX { Verdict::Hopeless } else { Verdict::Hangs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_answered_for_long_hangs() {
        let mut watchdog = Watchdog::new(100);
        assert_eq!(watchdog.look(5, 0), Verdict::Well);
        watchdog.pulse(7, 0);
        assert_eq!(watchdog.look(6, 200), Verdict::Well);
        assert_eq!(watchdog.look(6, 201), Verdict::Well);
        assert_eq!(watchdog.look(6, 300), Verdict::Well);
        watchdog.pulse(8, 0);
        assert_eq!(watchdog.look(6, 301), Verdict::Well, "one more was begun");
        assert_eq!(watchdog.look(6, 302), Verdict::Well);
        watchdog.pulse(8, 0);
        assert_eq!(watchdog.look(6, 402), Verdict::Hangs);
    }

    #[test]
    fn what_waits_for_room_does_not_hang_while_the_daemon_lives() {
        let mut watchdog = Watchdog::new(100);
        for now_ns in (0..1000).step_by(50) {
            watchdog.pulse(7, 5);
            assert_eq!(watchdog.look(12, now_ns), Verdict::Well, "the kernel holds seven back");
        }
        let verdicts = (1000..1200).step_by(50).map(|now_ns| watchdog.look(12, now_ns));
        assert!(verdicts.collect::<Vec<_>>().contains(&Verdict::Hangs), "no sign of life any more");
    }

    #[test]
    fn a_third_daemon_that_hangs_is_the_last() {
        let mut watchdog = Watchdog::new(100);
        let mut verdicts = Vec::new();
        for now_ns in (0..2000).step_by(50) {
            match watchdog.look(1, now_ns) {
                Verdict::Well => {}
                verdict => {
                    verdicts.push(verdict);
                    watchdog.restarted();
                }
            }
        }
        assert_eq!(verdicts[..3], [Verdict::Hangs, Verdict::Hangs, Verdict::Hopeless]);
    }
}
