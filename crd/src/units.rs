//! Sizes and lengths of time as they are written: a whole number and a unit, such as `10MiB`, `7d`.
//!
//! There is one way to write a value: no fractions (1.5GiB is 1536MiB), no powers of ten (1MB, 1M)
//! that look like powers of two, no bare numbers whose unit must be guessed. Only 0 needs no unit.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// A text that is not a size or not a length of time: `why; what to do`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseUnitError(String);

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(
    /// In bytes.
    pub u64,
);

/// A length of time, in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(
    /// Never finer than a millisecond.
    Duration,
);

const SIZE_UNITS: &[(&str, u64)] =
    &[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

const PERIOD_UNITS_MS: &[(&str, u64)] =
    &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl ByteSize {
    /// `count` KiB.
    #[must_use]
    pub const fn kib(count: u64) -> ByteSize {
        ByteSize(count << 10)
    }

    /// `count` MiB.
    #[must_use]
    pub const fn mib(count: u64) -> ByteSize {
        ByteSize(count << 20)
    }

    /// `count` GiB.
    #[must_use]
    pub const fn gib(count: u64) -> ByteSize {
        ByteSize(count << 30)
    }

    /// As a size of memory; the most there can be, if it is more.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Period {
    /// `count` milliseconds.
    #[must_use]
    pub const fn ms(count: u64) -> Period {
        Period(Duration::from_millis(count))
    }

    /// `count` seconds.
    #[must_use]
    pub const fn secs(count: u64) -> Period {
        Period(Duration::from_secs(count))
    }

    /// `count` days.
    #[must_use]
    pub const fn days(count: u64) -> Period {
        Period::secs(count * 86_400)
    }

    /// As a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// In milliseconds.
    fn as_ms(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl From<Duration> for Period {
    /// Rounds down to milliseconds.
    fn from(duration: Duration) -> Period {
        Period::ms(Period(duration).as_ms())
    }
}

/// `text` as a whole number times its unit; `None` if it is not written like that or too large.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let digits_end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(digits_end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

/// `value` in the largest unit that divides it.
fn show(value: u64, units: &[(&str, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if value == 0 {
        return f.write_str("0");
    }
    match units.iter().find(|(_, factor)| value.is_multiple_of(*factor)) {
        Some((unit, factor)) => write!(f, "{}{unit}", value / factor),
        None => write!(f, "{value}"),
    }
}

/// The leading whole number of `text`, for an example that is close to what was meant.
fn leading_number(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let is_whole = !text[end..].starts_with('.');
    (end > 0 && end < 7 && is_whole).then(|| &text[..end])
}

impl FromStr for ByteSize {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<ByteSize, ParseUnitError> {
        parse(text, SIZE_UNITS).map(ByteSize).ok_or_else(|| {
            let form = "write a whole number with KiB, MiB or GiB";
            // A bare number is taken for bytes, if it looks like a size in bytes.
            if let Some(bytes) =
                text.parse().ok().filter(|it: &u64| *it > 0 && it.is_multiple_of(1024))
            {
                return ParseUnitError(format!("not a size; {form}, such as {}", ByteSize(bytes)));
            }
            let number = leading_number(text).unwrap_or("1");
            let rest =
                text.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ' || c == '.');
            let unit = match rest.chars().next() {
                Some('k' | 'K') => "KiB",
                Some('g' | 'G') => "GiB",
                _ => "MiB",
            };
            ParseUnitError(format!("not a size; {form}, such as {number}{unit}"))
        })
    }
}

impl FromStr for Period {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Period, ParseUnitError> {
        parse(text, PERIOD_UNITS_MS).map(Period::ms).ok_or_else(|| {
            let number = leading_number(text).unwrap_or("5");
            let rest = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
            let unit = match rest.chars().next() {
                Some('m' | 'M') if !rest.starts_with("ms") => "m",
                Some('m' | 'u' | 'n') => "ms",
                Some('h' | 'H') => "h",
                Some('d' | 'D' | 'w') => "d",
                _ => "s",
            };
            let form = "write a whole number with ms, s, m, h or d";
            ParseUnitError(format!("not a length of time; {form}, such as {number}{unit}"))
        })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0, SIZE_UNITS, f)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.as_ms(), PERIOD_UNITS_MS, f)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The schema of a text that ends with one of `units`, or of the number 0.
fn schema(units: &[(&str, u64)]) -> Schema {
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "pattern": format!("^(0|[0-9]{{1,19}}({}))$", names.join("|")),
        "maximum": 0,
    })
}

impl JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema(SIZE_UNITS)
    }
}

impl JsonSchema for Period {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema(PERIOD_UNITS_MS)
    }
}

/// Reads a unit type from text, or from the number 0.
struct UnitVisitor<T> {
    wanted: &'static str,
    unit: std::marker::PhantomData<T>,
}

impl<T: FromStr<Err = ParseUnitError>> Visitor<'_> for UnitVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wanted)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
        let wanted = "a size such as 1MiB";
        deserializer.deserialize_any(UnitVisitor { wanted, unit: std::marker::PhantomData })
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Period, D::Error> {
        let wanted = "a length of time such as 5s";
        deserializer.deserialize_any(UnitVisitor { wanted, unit: std::marker::PhantomData })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_whole_numbers_of_binary_units() {
        let good = [
            ("0", 0),
            ("0B", 0),
            ("1B", 1),
            ("4KiB", 4096),
            ("10MiB", 10 << 20),
            ("1536MiB", 1536 << 20),
            ("2TiB", 2 << 40),
        ];
        for (text, bytes) in good {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        let bad = [
            "",
            "1",
            "1.5GiB",
            "1 MiB",
            "-1MiB",
            "+1MiB",
            "MiB",
            "1MB",
            "1M",
            "1Mi",
            "1mib",
            "1MiBs",
            "99999999999TiB",
            "1e3KiB",
            "١MiB",
        ];
        for text in bad {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_bad_size_says_what_a_good_one_is() {
        let cases = [("64M", "64MiB"), ("4k", "4KiB"), ("1.5GiB", "1GiB"), ("x", "1MiB")];
        for (text, example) in cases {
            let error = text.parse::<ByteSize>().unwrap_err().to_string();
            let form = "write a whole number with KiB, MiB or GiB";
            assert_eq!(error, format!("not a size; {form}, such as {example}"));
        }
    }

    #[test]
    fn periods_are_whole_numbers_of_one_unit() {
        let good = [("0", 0), ("200ms", 200), ("1s", 1000), ("2m", 120_000), ("7d", 604_800_000)];
        for (text, ms) in good {
            assert_eq!(text.parse(), Ok(Period::ms(ms)), "{text}");
        }
        for text in
            ["", "1", "1.5s", "1h30m", "-1s", "1 s", "1us", "1S", "1w", "99999999999999999d"]
        {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(value: u64, shift in 0..64_u32) {
            let size = ByteSize(value >> shift);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
            let period = Period::ms((value >> shift) / 1000);
            prop_assert_eq!(period.to_string().parse(), Ok(period));
        }

        #[test]
        fn only_text_with_a_unit_is_read(text in "[0-9]{0,30}[A-Zdhims]{0,3}|.*") {
            let is_size = text.parse::<ByteSize>().is_ok();
            let is_period = text.parse::<Period>().is_ok();
            prop_assert!(!is_size || text == "0" || text.ends_with('B'));
            prop_assert!(!is_period || text == "0" || text.ends_with(['d', 'h', 'm', 's']));
        }
    }
}
