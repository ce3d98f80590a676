//! Token: the ` seq=<stream>:<number> crc=<sum>` that every generated message carries.
//!
//! With it a checker proves from delivered messages alone that each arrived once, whole and in
//! order. The sum is the CRC-32 of zlib, gzip and PNG over all bytes of the message but its own
//! eight digits, so that any language checks it with what it has. Both numbers have a fixed width,
//! so that a token is written into a line that was rendered before.

use memchr::memmem;

use crate::digits::{decimal, hex, put_decimal, put_hex};

/// A token with nothing in it yet, as it stands in line templates.
pub const BLANK: &str = " seq=000000:000000000000 crc=00000000";

/// Bytes of a token.
pub const TOKEN_BYTES: usize = BLANK.len();

/// Streams a load can have: what six digits hold.
pub const STREAMS_MAX: u32 = 1_000_000;

const STREAM_AT: usize = 5;
const NUMBER_AT: usize = 12;
const CRC_KEY_AT: usize = 24;
const CRC_AT: usize = 29;
const CRC_DIGITS: usize = 8;

const _: () = assert!(CRC_AT + CRC_DIGITS == TOKEN_BYTES);

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Stream that wrote the line.
    pub stream: u32,
    /// Number of the line in its stream, from 0.
    pub number: u64,
}

/// Why a message proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No token where one should be.
    #[error("message has no token")]
    Missing,
    /// There is a token, and the sum is not that of the message.
    #[error("message does not have the sum that its token says")]
    WrongSum,
}

/// Writes `token` into the blank token at `at` of `message`, with the sum of the whole message.
#[inline]
pub fn stamp(message: &mut [u8], at: usize, token: Token) {
    put_decimal(&mut message[at + STREAM_AT..at + NUMBER_AT - 1], u64::from(token.stream));
    put_decimal(&mut message[at + NUMBER_AT..at + CRC_KEY_AT], token.number);
    let sum = sum_around(message, at + CRC_AT);
    let place = message[at + CRC_AT..].first_chunk_mut().expect("a token has room for its sum");
    put_hex(place, sum);
}

/// The token of `message`, if its sum is right.
///
/// # Errors
/// [`TokenError`], if the message is not one that the generator made.
pub fn verify(message: &[u8]) -> Result<Token, TokenError> {
    let crc_at = memmem::rfind(message, b" crc=").ok_or(TokenError::Missing)?;
    let at = crc_at.checked_sub(CRC_KEY_AT).ok_or(TokenError::Missing)?;
    let token = message.get(at..at + TOKEN_BYTES).ok_or(TokenError::Missing)?;
    let well_formed = token.starts_with(b" seq=") && token[NUMBER_AT - 1] == b':';
    if !well_formed {
        return Err(TokenError::Missing);
    }
    let stream = decimal(&token[STREAM_AT..NUMBER_AT - 1]).ok_or(TokenError::Missing)?;
    let number = decimal(&token[NUMBER_AT..CRC_KEY_AT]).ok_or(TokenError::Missing)?;
    let sum = token[CRC_AT..].first_chunk().and_then(hex).ok_or(TokenError::Missing)?;
    if sum != sum_around(message, at + CRC_AT) {
        return Err(TokenError::WrongSum);
    }
    let stream = u32::try_from(stream).map_err(|_| TokenError::Missing)?;
    Ok(Token { stream, number })
}

/// CRC-32 of `message` without the eight digits at `at`.
#[inline]
fn sum_around(message: &[u8], at: usize) -> u32 {
    let after = &message[at + CRC_DIGITS..];
    let mut sum = crc32fast::Hasher::new();
    sum.update(&message[..at]);
    if !after.is_empty() {
        sum.update(after);
    }
    sum.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Token = Token { stream: 42, number: 123_456 };

    fn message(before: &str, after: &str) -> Vec<u8> {
        let mut message = format!("{before}{BLANK}{after}").into_bytes();
        stamp(&mut message, before.len(), TOKEN);
        message
    }

    #[test]
    fn tokens_read_back_wherever_they_stand() {
        for (before, after) in [("", ""), ("GET /", ""), ("{\"m\":\"x", "\"}"), ("x crc=1", "")] {
            assert_eq!(verify(&message(before, after)), Ok(TOKEN), "{before}…{after}");
        }
    }

    #[test]
    fn sum_is_that_of_zlib() {
        // python3: zlib.crc32(b"hello seq=000042:000000123456 crc=")
        let text = String::from_utf8(message("hello", "")).unwrap();
        assert_eq!(text, "hello seq=000042:000000123456 crc=86bb87a6");
    }

    #[test]
    fn any_flipped_bit_is_found() {
        let good = message("{\"msg\":\"paid", "\"}");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn any_cut_or_joined_message_is_found() {
        let good = message("some words before the token", "\"}");
        for end in 0..good.len() {
            assert!(verify(&good[..end]).is_err(), "cut at {end}");
        }
        for start in 1..good.len() {
            assert!(verify(&good[start..]).is_err(), "from {start}");
        }
        assert!(verify(&[&good[..], &good[..]].concat()).is_err());
    }
}
