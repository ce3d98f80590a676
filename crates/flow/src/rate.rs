//! Rate: a token bucket in whole numbers, which may be in debt.
//!
//! Pure; the time is passed in. Tokens are bytes or records. Within any time `t` a bucket gives away no more than
//! `burst + rate × t` and what it was charged beyond its tokens, which is paid before the next token is given:
//! over a longer time nothing is given away for free, and nothing is lost to rounding.

use crate::is_mutant;

/// Parts of a token: one nanosecond adds as many as there are tokens in a second.
const PARTS: i128 = 1_000_000_000;

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens a second; not 0.
    pub per_second: u64,
    /// The bucket holds what comes in within so many nanoseconds, one token at least.
    pub burst_ns: u64,
}

/// A bucket of tokens. It begins empty, so that a restart gives nothing away.
#[derive(Debug, Clone)]
pub struct Bucket {
    rate: Rate,
    /// Parts of tokens; below zero in debt, never above `level_max`.
    level: i128,
    level_max: i128,
    at_ns: u64,
}

impl Bucket {
    /// An empty bucket.
    ///
    /// # Panics
    /// If the rate is 0: what may never be read has to be said otherwise.
    #[must_use]
    pub fn new(rate: Rate, now_ns: u64) -> Bucket {
        assert!(rate.per_second > 0, "a rate of 0");
        let burst = i128::from(rate.per_second).saturating_mul(i128::from(rate.burst_ns));
        let level_max = burst.max(PARTS);
        Bucket { rate, level: 0, level_max, at_ns: now_ns }
    }

    /// How fast it fills, and how much it holds.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Most tokens that it ever has.
    #[must_use]
    pub fn tokens_max(&self) -> u64 {
        whole(self.level_max)
    }

    /// Fills it for the time that passed. A time before the last one counts as the last one.
    pub fn fill(&mut self, now_ns: u64) {
        let passed_ns = now_ns.saturating_sub(self.at_ns);
        if !is_mutant("tokens_added_twice") {
            self.at_ns = self.at_ns.max(now_ns);
        }
        let gained = i128::from(self.rate.per_second).saturating_mul(i128::from(passed_ns));
        self.level = self.level.saturating_add(gained).min(self.level_max);
    }

    /// Whole tokens in it, when it was last filled.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        whole(self.level)
    }

    /// Tokens that it owes, when it was last filled.
    #[must_use]
    pub fn debt(&self) -> u64 {
        whole((PARTS - 1).saturating_sub(self.level))
    }

    /// How long after it was last filled it has so many tokens, or all that it can hold, in nanoseconds.
    #[must_use]
    pub fn wait_ns(&self, tokens: u64) -> u64 {
        let wanted = (i128::from(tokens) * PARTS).min(self.level_max);
        let missing = (wanted - self.level).max(0);
        let wait_ns = missing.unsigned_abs().div_ceil(u128::from(self.rate.per_second));
        u64::try_from(wait_ns).unwrap_or(u64::MAX)
    }

    /// Takes tokens, also those that it does not have.
    pub fn take(&mut self, tokens: u64) {
        self.level -= i128::from(tokens) * PARTS;
    }

    /// Gives back tokens that were taken and not used.
    pub fn give_back(&mut self, tokens: u64) {
        self.level = self.level.saturating_add(i128::from(tokens) * PARTS).min(self.level_max);
    }
}

/// Whole tokens; none if there are less than that.
fn whole(parts: i128) -> u64 {
    u64::try_from(parts.max(0) / PARTS).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// The obvious version: fills up nanosecond by nanosecond. Level and size in parts of a token.
    struct Slow {
        per_second: i128,
        level: i128,
        size: i128,
    }

    impl Slow {
        fn pass(&mut self) {
            self.level = (self.level + self.per_second).min(self.size);
        }
    }

    proptest! {
        #[test]
        fn it_is_as_one_that_is_filled_every_nanosecond(
            per_second in 1..3 * SECOND,
            burst_ns in 0..50_u64,
            steps in prop::collection::vec((0..40_u64, 0..60_u64, any::<bool>()), 1..40),
        ) {
            let mut bucket = Bucket::new(Rate { per_second, burst_ns }, 7);
            let size = (i128::from(per_second) * i128::from(burst_ns)).max(PARTS);
            let mut slow = Slow { per_second: i128::from(per_second), level: 0, size };
            let mut now_ns = 7;
            for (passed_ns, tokens, is_back) in steps {
                now_ns += passed_ns;
                (0..passed_ns).for_each(|_| slow.pass());
                bucket.fill(now_ns);
                prop_assert_eq!(i128::from(bucket.tokens()), slow.level.max(0) / PARTS);
                prop_assert_eq!(i128::from(bucket.debt()), (-slow.level + PARTS - 1).max(0) / PARTS);
                let wait_ns = bucket.wait_ns(tokens);
                let wanted = (i128::from(tokens) * PARTS).min(size);
                let after = |ns: u64| slow.level + slow.per_second * i128::from(ns);
                prop_assert!(after(wait_ns) >= wanted);
                prop_assert!(wait_ns == 0 || after(wait_ns - 1) < wanted, "not a nanosecond too long");
                let change = i128::from(tokens) * PARTS;
                if is_back {
                    bucket.give_back(tokens);
                    slow.level = (slow.level + change).min(size);
                } else {
                    bucket.take(tokens);
                    slow.level -= change;
                }
            }
        }
    }

    /// Reads chunks until the end, each as soon as the bucket is out of debt; returns the tokens taken.
    fn read_for(bucket: &mut Bucket, chunk: u64, from_ns: u64, end_ns: u64) -> u64 {
        let (mut now_ns, mut taken) = (from_ns, 0);
        loop {
            bucket.fill(now_ns);
            now_ns += bucket.wait_ns(1);
            if now_ns >= end_ns {
                return taken;
            }
            bucket.fill(now_ns);
            bucket.take(chunk);
            taken += chunk;
        }
    }

    #[test]
    fn over_days_nothing_drifts() {
        let per_second = 1_000_003;
        let mut bucket = Bucket::new(Rate { per_second, burst_ns: SECOND }, 0);
        let days = 30 * 86_400;
        let taken = read_for(&mut bucket, 777_777, 0, days * SECOND);
        let due = per_second * days;
        assert!(taken.abs_diff(due) <= 777_777, "{taken} of {due}");
    }

    #[test]
    fn a_debt_is_paid_before_the_next_token() {
        let mut bucket = Bucket::new(Rate { per_second: 1000, burst_ns: SECOND }, 0);
        bucket.fill(SECOND);
        assert_eq!((bucket.tokens(), bucket.debt()), (1000, 0));
        bucket.take(3500);
        assert_eq!((bucket.tokens(), bucket.debt()), (0, 2500));
        assert_eq!(bucket.wait_ns(1), 2_501_000_000);
        bucket.fill(3 * SECOND + SECOND / 2);
        assert_eq!((bucket.tokens(), bucket.debt(), bucket.wait_ns(1)), (0, 0, 1_000_000));
    }

    #[test]
    fn the_longest_idle_time_leaves_no_more_than_the_burst() {
        let mut bucket = Bucket::new(Rate { per_second: u64::MAX, burst_ns: u64::MAX }, 0);
        bucket.fill(u64::MAX);
        bucket.take(u64::MAX);
        bucket.fill(u64::MAX);
        assert_eq!(bucket.wait_ns(u64::MAX), 0);
        let mut small = Bucket::new(Rate { per_second: 10, burst_ns: 0 }, 0);
        small.fill(u64::MAX);
        assert_eq!((small.tokens(), small.tokens_max()), (1, 1));
        assert_eq!(small.wait_ns(1000), 0, "it never has more");
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_gives_nothing() {
        let mut bucket = Bucket::new(Rate { per_second: SECOND, burst_ns: SECOND }, 100);
        bucket.fill(50);
        assert_eq!(bucket.tokens(), 0);
        bucket.fill(101);
        assert_eq!(bucket.tokens(), 1);
    }
}
