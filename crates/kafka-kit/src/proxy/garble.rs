//! Garble: what arrives in place of a broker's answer.

use std::io::{self, Write};

use super::frame::write_frame;

/// What is wrong with an answer. Its length is told as it is, unless something else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Garble {
    /// It answers a request that was never made.
    Number,
    /// It ends in its middle.
    Half,
    /// Its length is told as 1 GiB.
    Length,
    /// Some of its bytes, behind the number of its request, are others: which, follows from the seed.
    Bytes(u64),
}

/// The length that [`Garble::Length`] tells.
const LENGTH_TOLD: u32 = 1 << 30;
/// Bytes that [`Garble::Bytes`] changes.
const BYTES_CHANGED: usize = 8;
/// Bytes of the request's number, which an answer begins with.
const NUMBER_BYTES: usize = 4;

impl Garble {
    pub(super) fn write(self, output: &mut impl Write, mut frame: Vec<u8>) -> io::Result<()> {
        match self {
            Garble::Number => frame[0] ^= 0x55,
            Garble::Half => frame.truncate(NUMBER_BYTES.max(frame.len() / 2)),
            Garble::Length => {
                return output.write_all(&[&LENGTH_TOLD.to_be_bytes(), &frame[..]].concat());
            }
            Garble::Bytes(seed) => change(&mut frame[NUMBER_BYTES..], seed),
        }
        write_frame(output, &frame)
    }
}

fn change(bytes: &mut [u8], mut seed: u64) {
    if bytes.is_empty() {
        return;
    }
    for _ in 0..BYTES_CHANGED {
        // A linear congruential generator, Knuth's numbers; its upper bits are the good ones.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [.., high, low] = (seed >> 32).to_be_bytes();
        let place = (seed >> 40) as usize % bytes.len();
        bytes[place] = high ^ low;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(garble: Garble, frame: &[u8]) -> Vec<u8> {
        let mut output = Vec::new();
        garble.write(&mut output, frame.to_vec()).unwrap();
        output
    }

    #[test]
    fn what_arrives_is_wrong_in_the_way_that_was_asked_for() {
        let frame = [[7; 4], [1; 4], [2; 4], [3; 4]].concat();
        let head =
            |length: u32, number: u8| [&length.to_be_bytes()[..], &[number, 7, 7, 7]].concat();
        assert_eq!(written(Garble::Number, &frame)[..8], head(16, 7 ^ 0x55));
        assert_eq!(written(Garble::Half, &frame), [head(8, 7), vec![1; 4]].concat());
        assert_eq!(written(Garble::Length, &frame), [&head(1 << 30, 7), &frame[4..]].concat());
        for seed in 0..50 {
            let bytes = written(Garble::Bytes(seed), &frame);
            assert_eq!((&bytes[..8], bytes.len()), (&head(16, 7)[..], 20));
            assert_ne!(bytes[8..], frame[4..], "seed {seed}");
            assert_eq!(bytes, written(Garble::Bytes(seed), &frame));
        }
    }
}
