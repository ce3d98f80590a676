//! Rotation names: which file is an older generation of which, and in what order.
//!
//! The kubelet appends `.YYYYMMDD-HHMMSS`; logrotate appends `.N`, or `-YYYYMMDD` with `dateext`.
//! Compressed and temporary files are no generations here. Names only propose: what a generation
//! *is*, its identity decides.

use std::cmp::Ordering;

/// A rotation suffix, for ordering generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suffix<'a> {
    /// A counter: the larger, the older.
    Number(u64),
    /// A date, as written: the smaller, the older.
    Date(&'a [u8]),
}

/// Most digits of a counter; a longer run of digits is a date.
const NUMBER_DIGITS_MAX: usize = 5;

/// Splits a rotated file's name into the live file's name and the suffix.
#[must_use]
pub fn split(name: &[u8]) -> Option<(&[u8], Suffix<'_>)> {
    for (at, _) in name.iter().enumerate().filter(|(_, byte)| matches!(byte, b'.' | b'-')) {
        let (base, suffix) = (&name[..at], &name[at + 1..]);
        let is_dated = suffix
            .iter()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'T' | b'.'));
        if base.is_empty() || suffix.is_empty() || !is_dated {
            continue;
        }
        let all_digits = suffix.iter().all(u8::is_ascii_digit);
        if all_digits && suffix.len() <= NUMBER_DIGITS_MAX && name[at] == b'.' {
            let number = suffix.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
            return Some((base, Suffix::Number(number)));
        }
        // `20260102` at least; the dash before the time of day is part of the suffix.
        let digits = suffix.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is_iso = suffix.len() >= 10 && digits == 4 && suffix[4] == b'-';
        if digits >= 8 || is_iso {
            return Some((base, Suffix::Date(suffix)));
        }
    }
    None
}

/// Older before newer.
#[must_use]
pub fn oldest_first(one: Suffix<'_>, other: Suffix<'_>) -> Ordering {
    match (one, other) {
        (Suffix::Number(one), Suffix::Number(other)) => other.cmp(&one),
        (Suffix::Date(one), Suffix::Date(other)) => one.cmp(other),
        // Two schemes at once: dates are what was switched away from, or to; no name can tell.
        (Suffix::Date(_), Suffix::Number(_)) => Ordering::Less,
        (Suffix::Number(_), Suffix::Date(_)) => Ordering::Greater,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_rotators_write_them() {
        let cases: [(&str, Option<(&str, Suffix<'_>)>); 14] = [
            ("0.log.20260102-150405", Some(("0.log", Suffix::Date(b"20260102-150405")))),
            ("app.log.1", Some(("app.log", Suffix::Number(1)))),
            ("app.log.12", Some(("app.log", Suffix::Number(12)))),
            ("app.log-20260102", Some(("app.log", Suffix::Date(b"20260102")))),
            (
                "app.log-20260102-1700000000",
                Some(("app.log", Suffix::Date(b"20260102-1700000000"))),
            ),
            ("app.log.2026-01-02", Some(("app.log", Suffix::Date(b"2026-01-02")))),
            ("app.log.2026-01-02T15", Some(("app.log", Suffix::Date(b"2026-01-02T15")))),
            ("app.log", None),
            ("0.log", None),
            ("app-1.log", None),
            ("app-1", None),
            ("app.log.1.gz", None),
            ("0.log.20260102-150405.tmp", None),
            (".1", None),
        ];
        for (name, want) in cases {
            let got = split(name.as_bytes());
            let want = want.map(|(base, suffix)| (base.as_bytes(), suffix));
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn the_oldest_comes_first() {
        let mut names = ["a.log.1", "a.log.10", "a.log.2"];
        names.sort_by(|a, b| {
            oldest_first(split(a.as_bytes()).unwrap().1, split(b.as_bytes()).unwrap().1)
        });
        assert_eq!(names, ["a.log.10", "a.log.2", "a.log.1"]);
        let mut names = ["0.log.20260102-150406", "0.log.20260102-150405"];
        names.sort_by(|a, b| {
            oldest_first(split(a.as_bytes()).unwrap().1, split(b.as_bytes()).unwrap().1)
        });
        assert_eq!(names, ["0.log.20260102-150405", "0.log.20260102-150406"]);
    }
}
