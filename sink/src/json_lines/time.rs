//! Times as RFC 3339 text with nanoseconds: written without allocation, with the second cached,
//! and read back for the decoder.

/// Length of `2026-11-21T10:30:35.123456789Z`.
pub(super) const TIME_BYTES: usize = 30;
const NS_PER_SECOND: i64 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// From 1 March of the year 0 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;
/// Days of 400 years.
const DAYS_PER_ERA: i64 = 146_097;

/// Renders times; most lines follow each other within a second.
#[derive(Debug)]
pub(super) struct TimeText {
    /// Which second `text` shows.
    second: i64,
    text: [u8; TIME_BYTES],
}

impl TimeText {
    pub(super) fn new() -> TimeText {
        TimeText { second: 0, text: *b"1970-01-01T00:00:00.000000000Z" }
    }

    /// The text of `unix_ns`, nanoseconds since 1970.
    #[inline]
    pub(super) fn render(&mut self, unix_ns: i64) -> &[u8; TIME_BYTES] {
        let second = unix_ns.div_euclid(NS_PER_SECOND);
        if second != self.second {
            self.render_second(second);
        }
        put_digits(&mut self.text[20..29], unix_ns.rem_euclid(NS_PER_SECOND).unsigned_abs());
        &self.text
    }

    fn render_second(&mut self, second: i64) {
        let days = second.div_euclid(SECONDS_PER_DAY);
        let of_day = second.rem_euclid(SECONDS_PER_DAY).unsigned_abs();
        let (year, month, day) = civil_from_days(days);
        // The years of 64 bit nanoseconds are 1677 to 2262: four digits.
        put_digits(&mut self.text[0..4], year.unsigned_abs());
        put_digits(&mut self.text[5..7], month);
        put_digits(&mut self.text[8..10], day);
        put_digits(&mut self.text[11..13], of_day / 3600);
        put_digits(&mut self.text[14..16], of_day / 60 % 60);
        put_digits(&mut self.text[17..19], of_day % 60);
        self.second = second;
    }
}

/// Year, month and day of the Gregorian calendar, from days since 1970-01-01.
///
/// Counts from 1 March of the year 0, so that the day that comes and goes is a year's last, and
/// in eras of 400 years, after which the calendar repeats.
fn civil_from_days(days: i64) -> (i64, u64, u64) {
    let days = days + DAYS_TO_1970;
    let era = days.div_euclid(DAYS_PER_ERA);
    let of_era = days.rem_euclid(DAYS_PER_ERA).unsigned_abs();
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // March is 0; five months from March on have 153 days.
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let is_next_year = month >= 10;
    let month = if is_next_year { month - 9 } else { month + 3 };
    (era * 400 + year_of_era.cast_signed() + i64::from(is_next_year), month, day)
}

/// Days since 1970-01-01 of a day of the Gregorian calendar; the other way round.
fn days_from_civil(year: i64, month: u64, day: u64) -> i64 {
    let is_before_march = month <= 2;
    let year = year - i64::from(is_before_march);
    let year_of_era = year.rem_euclid(400);
    let month = if is_before_march { month + 9 } else { month - 3 };
    let of_year = (153 * month + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year.cast_signed();
    year.div_euclid(400) * DAYS_PER_ERA + of_era - DAYS_TO_1970
}

/// Nanoseconds since 1970 of a time in the form that [`TimeText`] writes; `None` for any other.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let text: &[u8; TIME_BYTES] = text.as_bytes().try_into().ok()?;
    let punctuation =
        [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (29, b'Z')];
    if punctuation.iter().any(|&(at, byte)| text[at] != byte) {
        return None;
    }
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_u64, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
        })
    };
    let (year, month, day) = (number(&text[0..4])?, number(&text[5..7])?, number(&text[8..10])?);
    let (hour, minute) = (number(&text[11..13])?, number(&text[14..16])?);
    let (second, ns) = (number(&text[17..19])?, number(&text[20..29])?);
    let in_bounds = (1..=12).contains(&month) && (1..=31).contains(&day);
    if !in_bounds || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_from_civil(year.cast_signed(), month, day);
    let seconds =
        i128::from(days * SECONDS_PER_DAY) + i128::from(hour * 3600 + minute * 60 + second);
    i64::try_from(seconds * i128::from(NS_PER_SECOND) + i128::from(ns)).ok()
}

/// Fills `digits` with the last digits of `number`.
#[inline]
fn put_digits(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10).to_le_bytes()[0];
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let mut time = TimeText::new();
        for (unix_ns, want) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (1, "1970-01-01T00:00:00.000000001Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (951_782_399_000_000_000, "2000-02-28T23:59:59.000000000Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000000000Z"),
            (951_868_800_123_456_789, "2000-03-01T00:00:00.123456789Z"),
            (1_709_164_800_000_000_000, "2024-02-29T00:00:00.000000000Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000000Z"),
            (i64::MAX, "2262-04-11T23:47:16.854775807Z"),
            (i64::MIN, "1677-09-21T00:12:43.145224192Z"),
        ] {
            assert_eq!(std::str::from_utf8(time.render(unix_ns)).unwrap(), want);
            assert_eq!(parse(want), Some(unix_ns));
        }
    }

    #[test]
    fn each_day_of_600_years_follows_the_day_before() {
        let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let mut want = (1970_i64, 1_u64, 1_u64);
        for days in 0..600 * 365 {
            assert_eq!(civil_from_days(days), want);
            assert_eq!(days_from_civil(want.0, want.1, want.2), days);
            let (year, month, day) = want;
            let last = match month {
                2 => 28 + u64::from(is_leap(year)),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            want = match (day == last, month) {
                (false, _) => (year, month, day + 1),
                (true, 12) => (year + 1, 1, 1),
                (true, _) => (year, month + 1, 1),
            };
        }
    }

    #[test]
    fn a_text_in_another_form_is_no_time() {
        for text in [
            "",
            "2026-11-21T10:30:35Z",
            "2026-11-21 10:30:35.123456789Z",
            "2026-13-21T10:30:35.123456789Z",
            "2026-11-00T10:30:35.123456789Z",
            "2026-11-21T24:30:35.123456789Z",
            "2026-11-21T10:30:3x.123456789Z",
            "9999-11-21T10:30:35.123456789Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
