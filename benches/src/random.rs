//! Random: a small seeded generator, so that a seed names a load for ever.
//!
//! SplitMix64 (Steele, Lea and Flood, 2014): one addition and three multiplications a number, and
//! any seed is a good one. Not for secrets. Own code, because the bytes that a seed makes must not
//! change with the version of a library.

/// A stream of pseudo-random numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The stream that `seed` names.
    #[must_use]
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A stream of its own for part `part` of the load, unlike those of its neighbours.
    #[must_use]
    pub fn fork(&self, part: u64) -> Random {
        let mut mixed = Random(self.0 ^ part.wrapping_mul(0xd134_2543_de82_ef95));
        Random(mixed.next_u64())
    }

    /// The next number, any of the 2^64.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, by multiplication: the bias of at most `end / 2^32` does not matter here.
    ///
    /// # Panics
    /// If `end` is 0.
    #[inline]
    pub fn below(&mut self, end: u32) -> u32 {
        assert!(end > 0, "no number is below 0");
        (((self.next_u64() >> 32) * u64::from(end)) >> 32) as u32
    }

    /// A number below `end`, small ones more often than large ones: how users, paths and browsers
    /// are spread in real logs.
    #[inline]
    pub fn skewed_below(&mut self, end: u32) -> u32 {
        let first = self.below(end);
        self.below(first + 1)
    }

    /// One of `choices`, each as likely.
    pub fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.index_below(choices.len())]
    }

    /// One of `choices`, the first ones more often.
    pub fn pick_skewed<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        let first = self.index_below(choices.len());
        choices[self.index_below(first + 1)]
    }

    /// Whether an event of `share` (0 to 1) happens this time.
    #[inline]
    pub fn chance(&mut self, share: f64) -> bool {
        const TWO_POW_32: f64 = 4_294_967_296.0;
        f64::from(self.below(u32::MAX)) < share * TWO_POW_32
    }

    fn index_below(&mut self, end: usize) -> usize {
        let end = u32::try_from(end).expect("tables of the generator are short");
        self.below(end) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_seed_never_change() {
        // The published first outputs of SplitMix64 for seed 1234567.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(random.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn numbers_stay_below_their_end() {
        let mut random = Random::new(7);
        let seen: Vec<u32> = (0..1000).map(|_| random.below(3)).collect();
        assert!((0..3).all(|want| seen.contains(&want)));
        assert!(seen.iter().all(|&number| number < 3));
        assert!((0..1000).all(|_| random.skewed_below(10) < 10));
    }

    #[test]
    fn chances_of_none_and_all_are_certain() {
        let mut random = Random::new(7);
        assert!((0..1000).all(|_| !random.chance(0.0)));
        assert!((0..1000).all(|_| random.chance(1.0)));
    }

    #[test]
    fn forks_differ() {
        let random = Random::new(7);
        assert_ne!(random.fork(0).next_u64(), random.fork(1).next_u64());
    }
}
