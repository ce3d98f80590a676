//! Digits: numbers written into and read from fixed places of a line.

/// Writes `value` into all of `place`, decimal, zero-padded; digits that do not fit are cut off
/// on the left.
#[inline]
pub fn put_decimal(place: &mut [u8], mut value: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Writes `value` into `place` as eight lower-case hexadecimal digits.
#[inline]
pub fn put_hex(place: &mut [u8; 8], value: u32) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (index, digit) in place.iter_mut().enumerate() {
        *digit = DIGITS[(value >> (28 - 4 * index) & 0xf) as usize];
    }
}

/// The decimal number that `digits` are; `None` if they are something else or too many.
#[must_use]
pub fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    Some(value)
}

/// The number that eight lower-case hexadecimal digits are.
#[must_use]
pub fn hex(digits: &[u8; 8]) -> Option<u32> {
    digits.iter().try_fold(0, |value: u32, &digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u32::from(nibble))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_read_back() {
        for (value, text) in [(0, "000000"), (7, "000007"), (123_456, "123456")] {
            let mut place = [0; 6];
            put_decimal(&mut place, value);
            assert_eq!(&place, text.as_bytes());
            assert_eq!(decimal(&place), Some(value));
        }
        for bad in ["", "1x", "-1", "99999999999999999999"] {
            assert_eq!(decimal(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn hexadecimals_read_back() {
        for value in [0, 1, 0xdead_beef, u32::MAX] {
            let mut place = [0; 8];
            put_hex(&mut place, value);
            assert_eq!(place, format!("{value:08x}").as_bytes());
            assert_eq!(hex(&place), Some(value));
        }
        assert_eq!(hex(b"DEADBEEF"), None);
    }
}
