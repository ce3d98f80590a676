//! Dice: random numbers of which a seed decides.

/// Numbers that follow from a seed: splitmix64.
#[derive(Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number from 0 to `sides` - 1.
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    /// An index of a list of `len`.
    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.roll(len as u64)).expect("small")
    }

    /// Whether the one of `sides` came that counts.
    pub(super) fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}
