//! Rotation names: which file is an older generation of which, and in what order.
//!
//! The kubelet appends `.YYYYMMDD-HHMMSS`; logrotate appends `.N`, or `-YYYYMMDD` with `dateext`. Both
//! append `.gz` when they compress. Names only propose: what a generation *is*, its identity decides.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::fs::GZIP_SUFFIX;
use crate::source::SeenFile;

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

/// What the name of a file ends in that is being made, or was left over.
const TEMPORARY: &[u8] = b".tmp";

/// Splits a rotated file's name, compressed or not, into the live file's name and the suffix.
#[must_use]
pub fn split(name: &[u8]) -> Option<(&[u8], Suffix<'_>)> {
    let name = name.strip_suffix(GZIP_SUFFIX.as_bytes()).unwrap_or(name);
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

/// Whether a file has the name of a rotated one.
#[must_use]
pub fn is_rotated(path: &Path) -> bool {
    path.file_name().is_some_and(|name| split(name.as_bytes()).is_some())
}

/// Whether it is a rotated file that a rotator has not finished: it never counts.
#[must_use]
pub fn is_unfinished(name: &[u8]) -> bool {
    name.strip_suffix(TEMPORARY).is_some_and(|name| split(name).is_some())
}

/// Drops compressed files beside which the file that they were made of is still there, and notes them there.
///
/// `files` are sorted, so that one follows the other.
pub fn drop_packed_twins(files: &mut Vec<SeenFile>) {
    files.dedup_by(|packed, plain| {
        let name = packed.path.as_os_str().as_bytes();
        let is_twin =
            name.strip_suffix(GZIP_SUFFIX.as_bytes()) == Some(plain.path.as_os_str().as_bytes());
        if is_twin {
            plain.packed = Some(packed.stat.id);
        }
        is_twin
    });
}

/// Drops names of a file that has a younger name, too: a rotator that links before it unlinks gives it
/// both for a moment.
///
/// `files` are sorted, the oldest first.
pub fn drop_older_names(files: &mut Vec<SeenFile>) {
    for at in (0..files.len()).rev() {
        let stat = files[at].stat;
        if stat.links > 1 && files[at + 1..].iter().any(|it| it.stat.id == stat.id) {
            files.remove(at);
        }
    }
}

/// Older before newer, and a compressed file after the one that it was made of, by their names.
#[must_use]
pub fn order(one: &OsStr, other: &OsStr) -> Ordering {
    match (split(one.as_bytes()), split(other.as_bytes())) {
        (Some((_, first)), Some((_, second))) => {
            oldest_first(first, second).then_with(|| one.len().cmp(&other.len()))
        }
        // One without a suffix is live.
        (first, second) => first.is_none().cmp(&second.is_none()),
    }
}

/// As [`order`], of files of one chain in one directory.
#[must_use]
pub fn by_age(one: &Path, other: &Path) -> Ordering {
    order(one.file_name().unwrap_or_default(), other.file_name().unwrap_or_default())
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
        let cases: [(&str, Option<(&str, Suffix<'_>)>); 16] = [
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
            ("app.log.1.gz", Some(("app.log", Suffix::Number(1)))),
            ("0.log.20260102-150405.gz", Some(("0.log", Suffix::Date(b"20260102-150405")))),
            ("app.log.gz", None),
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
