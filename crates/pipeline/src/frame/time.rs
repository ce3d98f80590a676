//! Time stamps of RFC 3339, with any number of fraction digits and any offset.
//!
//! Successive log lines mostly share their second: the cache holds the text of the last one, so that
//! the common line costs one comparison of 19 bytes and the reading of its fraction.

/// Longest fraction that is read, in digits; more are cut, as nanoseconds are the unit.
const FRACTION_DIGITS_MAX: usize = 9;

/// Length of `YYYY-MM-DDTHH:MM:SS`.
const SECOND_LEN: usize = 19;

/// The second that was read last.
#[derive(Debug, Clone, Copy)]
pub struct SecondCache {
    text: [u8; SECOND_LEN],
    unix_seconds: i64,
}

impl Default for SecondCache {
    /// As if the first second of 1970 had been read: what stands there must be a time.
    fn default() -> SecondCache {
        SecondCache { text: *b"1970-01-01T00:00:00", unix_seconds: 0 }
    }
}

/// Reads the time stamp at the beginning of `text`, up to the first space.
///
/// Returns nanoseconds since 1970 and the length read, or `None` if it is not RFC 3339.
#[inline]
pub fn parse(text: &[u8], cache: &mut SecondCache) -> Option<(i64, usize)> {
    let second: &[u8; SECOND_LEN] = text.first_chunk()?;
    if second != &cache.text {
        cache.unix_seconds = parse_second(second)?;
        cache.text = *second;
    }
    let text = &text[SECOND_LEN..];
    let (fraction_ns, len) = fraction_of_word(text).or_else(|| fraction(text))?;
    let rest = &text[len..];
    let (offset_seconds, offset_len) =
        if rest.first() == Some(&b'Z') { (0, 1) } else { parse_offset(rest)? };
    // Beyond the years 1677 to 2262, the last time that can be said: the line is as good as others.
    let unix_ns = (cache.unix_seconds - offset_seconds)
        .saturating_mul(1_000_000_000)
        .saturating_add(fraction_ns);
    Some((unix_ns, SECOND_LEN + len + offset_len))
}

/// Reads a fraction of one to nine digits without a loop: eight digits at once, in a word.
///
/// Digits that are not there count as zeros, which is just what they mean. `None` if it is not that
/// simple; [`fraction`] then has the say.
#[expect(clippy::cast_possible_truncation, reason = "eight digits below, the ninth above")]
#[inline]
fn fraction_of_word(text: &[u8]) -> Option<(i64, usize)> {
    let bytes: &[u8; 16] = text.first_chunk()?;
    if bytes[0] != b'.' {
        return None;
    }
    let word = u128::from_le_bytes(*bytes) >> 8;
    // A digit becomes its value. What is no digit gets its byte's upper bit by being 0x80 or more,
    // or by more than 9 plus 0x76. The byte shifted in is none, so the count is 15 at most.
    let values = word ^ u128::from_le_bytes([b'0'; 16]);
    let others = (values | values.wrapping_add(u128::from_le_bytes([0x76; 16])))
        & u128::from_le_bytes([0x80; 16]);
    let digits = others.trailing_zeros() as usize / 8;
    if digits == 0 || digits > FRACTION_DIGITS_MAX {
        return None;
    }
    let values = values & ((1 << (8 * digits)) - 1);
    let ninth = (values >> 64) as i64;
    Some((eight_digits(values as u64) * 10 + ninth, 1 + digits))
}

/// The number of eight digits' values, the first in the lowest byte: pairs, then fours, then all.
#[inline]
fn eight_digits(values: u64) -> i64 {
    let pairs = (values.wrapping_mul(1 + (10 << 8)) >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(1 + (100 << 16)) >> 16) & 0x0000_FFFF_0000_FFFF;
    (fours.wrapping_mul(1 + (10_000 << 32)) >> 32).cast_signed()
}

/// Reads a fraction digit by digit; without a point there is none, which is right too.
fn fraction(text: &[u8]) -> Option<(i64, usize)> {
    if text.first() != Some(&b'.') {
        return Some((0, 0));
    }
    let digits = text[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    let used = digits.min(FRACTION_DIGITS_MAX);
    let value = text[1..=used].iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    Some((value * POWERS_OF_TEN[FRACTION_DIGITS_MAX - used], 1 + digits))
}

const POWERS_OF_TEN: [i64; 10] =
    [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];

/// `Z`, `+HH:MM` or `-HH:MM`: seconds east of Greenwich, and the length.
fn parse_offset(text: &[u8]) -> Option<(i64, usize)> {
    match text.first()? {
        b'Z' | b'z' => Some((0, 1)),
        sign @ (b'+' | b'-') => {
            let rest: &[u8; 5] = text.get(1..6)?.try_into().ok()?;
            if rest[2] != b':' {
                return None;
            }
            let hours = two_digits(rest[0], rest[1])?;
            let minutes = two_digits(rest[3], rest[4])?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = hours * 3600 + minutes * 60;
            Some((if *sign == b'+' { seconds } else { -seconds }, 6))
        }
        _ => None,
    }
}

fn two_digits(tens: u8, ones: u8) -> Option<i64> {
    let both_digits = tens.is_ascii_digit() && ones.is_ascii_digit();
    both_digits.then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

#[cold]
fn parse_second(text: &[u8; SECOND_LEN]) -> Option<i64> {
    let separators = [text[4], text[7], text[13], text[16]];
    if separators != *b"--::" || !matches!(text[10], b'T' | b't') {
        return None;
    }
    let year = two_digits(text[0], text[1])? * 100 + two_digits(text[2], text[3])?;
    let month = two_digits(text[5], text[6])?;
    let day = two_digits(text[8], text[9])?;
    let hour = two_digits(text[11], text[12])?;
    let minute = two_digits(text[14], text[15])?;
    let second = two_digits(text[17], text[18])?;
    let in_range = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour <= 23
        && minute <= 59
        && second <= 60;
    if !in_range {
        return None;
    }
    Some(days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the given day of the Gregorian calendar.
///
/// Years are counted from March, so that the leap day is a year's last; 400 years are 146,097 days.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ns(text: &str) -> Option<i64> {
        parse(text.as_bytes(), &mut SecondCache::default()).map(|(time, _)| time)
    }

    #[test]
    fn any_fraction_and_any_offset() {
        let second = 1_700_000_000 * 1_000_000_000;
        let cases = [
            ("2023-11-14T22:13:20Z", second),
            ("2023-11-14T22:13:20.1Z", second + 100_000_000),
            ("2023-11-14T22:13:20.123456789Z", second + 123_456_789),
            ("2023-11-14T22:13:20.1234567899Z", second + 123_456_789),
            ("2023-11-14T22:13:20.000000001Z", second + 1),
            ("2023-11-15T00:13:20+02:00", second),
            ("2023-11-14T16:43:20.5-05:30", second + 500_000_000),
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.5Z", -500_000_000),
            ("2024-02-29T00:00:00Z", 1_709_164_800 * 1_000_000_000),
            ("2262-04-11T23:47:16.854775807Z", i64::MAX),
            ("9999-12-31T23:59:59.999999999Z", i64::MAX),
            ("0000-01-01T00:00:00Z", i64::MIN),
        ];
        for (text, want) in cases {
            assert_eq!(ns(text), Some(want), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_fraction_by_words_is_that_by_digits(text in "\\.?[0-9]{0,12}[ -~]{0,20}") {
            if let Some(by_word) = fraction_of_word(text.as_bytes()) {
                prop_assert_eq!(Some(by_word), fraction(text.as_bytes()));
            }
        }

        #[test]
        fn a_fraction_of_up_to_nine_digits_is_read_by_words(
            digits in "[0-9]{1,9}", rest in "[^0-9][ -~]{15}",
        ) {
            let text = format!(".{digits}{rest}");
            prop_assert_eq!(fraction_of_word(text.as_bytes()), fraction(text.as_bytes()));
        }
    }

    #[test]
    fn any_byte_but_a_digit_ends_a_fraction() {
        for byte in (0..=255_u8).filter(|byte| !byte.is_ascii_digit()) {
            let mut text = *b".123456789123456";
            text[4] = byte;
            assert_eq!(fraction_of_word(&text), Some((123_000_000, 4)), "{byte:#x}");
        }
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in [
            "",
            "2023-11-14",
            "2023-11-14 22:13:20Z",
            "2023-13-14T22:13:20Z",
            "2023-02-29T22:13:20Z",
            "2023-11-14T24:13:20Z",
            "2023-11-14T22:13:20",
            "2023-11-14T22:13:20.Z",
            "2023-11-14T22:13:20+2:00",
            "2023-11-14T22:13:20+99:00",
            "2O23-11-14T22:13:20Z",
        ] {
            assert_eq!(ns(text), None, "{text}");
        }
    }

    #[test]
    fn nineteen_nuls_are_no_time() {
        assert_eq!(ns("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0Z"), None);
    }

    #[test]
    fn the_cache_never_answers_for_another_second() {
        let mut cache = SecondCache::default();
        assert!(parse(b"2023-11-14T22:13:20Z", &mut cache).is_some());
        assert!(parse(b"2023-99-14T22:13:21Z", &mut cache).is_none());
        let (time, len) = parse(b"2023-11-14T22:13:21.25Z stdout", &mut cache).unwrap();
        assert_eq!((time, len), (1_700_000_001_250_000_000, 23));
    }
}
