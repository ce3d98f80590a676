//! Held: for how long limits have kept a source from being read.
//!
//! Only the time counts for which a limit said to wait: what goes by until the source comes for its turn, is blocked by
//! memory or its lane, or has nothing to read is no limit's doing.

use flow::is_mutant;

/// What a source has waited since it was read last.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// A limit said last to wait from then until then.
    last: Option<(u64, u64)>,
    /// … and before that for so long.
    before_ns: u64,
}

impl Held {
    /// Whether it has waited since it was read last.
    pub(super) fn is_any(&self) -> bool {
        self.last.is_some()
    }

    /// A limit says to wait until then.
    pub(super) fn refuse(&mut self, now_ns: u64, until_ns: u64) {
        self.before_ns =
            if is_mutant("earlier_waits_forgotten") { 0 } else { self.waited_ns(now_ns) };
        self.last = Some((now_ns, until_ns));
    }

    /// It is read; returns how long it has waited for that, if it had to.
    pub(super) fn end(&mut self, now_ns: u64) -> Option<u64> {
        let held = std::mem::take(self);
        held.is_any().then(|| held.waited_ns(now_ns))
    }

    /// It has nothing to read any more.
    pub(super) fn forget(&mut self) {
        *self = Held::default();
    }

    fn waited_ns(&self, now_ns: u64) -> u64 {
        let last = self.last.map_or(0, |(since, until)| now_ns.min(until).saturating_sub(since));
        self.before_ns + last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_time_counts_for_which_a_limit_said_to_wait() {
        let mut held = Held::default();
        assert_eq!(held.end(5), None);
        held.refuse(10, 30);
        // It came late, and was told to wait again; then it came early.
        held.refuse(100, 140);
        held.refuse(120, 150);
        assert_eq!(held.end(1000), Some(20 + 20 + 30));
        held.refuse(1000, 1100);
        held.forget();
        assert_eq!(held.end(1200), None);
    }
}
