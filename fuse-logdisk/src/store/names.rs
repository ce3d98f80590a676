//! Names: under which name the agent finds a file that applications have renamed or removed.
//!
//! The agent knows a chain of generations by names ([`pipeline::discovery::rotation`]). A file that left
//! its place is given a name of its chain that no later one is older than; so its bytes stay in the
//! context that they were written to, whatever its name is for applications.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use globset::GlobSet;
use pipeline::discovery::rotation;

/// Longest name that applications may give, in bytes: room is left for what is appended here.
pub const NAME_BYTES_MAX: usize = 255 - 1 - STAMP_DIGITS;

/// Digits of what is appended: enough to count with 64 bits, and never few enough to be a counter of a rotator.
const STAMP_DIGITS: usize = 20;

/// What packers of rotated files append.
const PACKED: [&str; 5] = [".gz", ".bz2", ".xz", ".zst", ".lz4"];

/// What a file is, by the name under which it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// It is collected.
    Log,
    /// It has what a log has, too: nobody waits for it, and only its end is kept.
    Copy,
    /// It is nothing of ours: it stays as it is.
    Other,
}

/// Which files of a volume are logs.
#[derive(Debug, Default)]
pub struct Selection {
    /// Patterns of live files' names; `None` if all files are logs.
    pub only: Option<GlobSet>,
}

impl Selection {
    /// What a new file of this name is. `has_live` says whether a name is one of a file in the same directory.
    ///
    /// Rotation renames and makes no files. So one that is made beside a live file, under the name of a rotated
    /// one, is a copy of it (`copytruncate`, compression): kept for readers, and not delivered twice.
    pub(super) fn class(&self, name: &OsStr, has_live: impl Fn(&OsStr) -> bool) -> Class {
        let bytes = name.as_bytes();
        if PACKED.iter().any(|it| bytes.ends_with(it.as_bytes())) {
            return Class::Copy;
        }
        let base = rotation::split(bytes).map(|(base, _)| OsStr::from_bytes(base));
        let is_selected = |name: &OsStr| self.only.as_ref().is_none_or(|it| it.is_match(name));
        if !(is_selected(name) || base.is_some_and(is_selected)) {
            return Class::Other;
        }
        if base.is_some_and(has_live) { Class::Copy } else { Class::Log }
    }
}

/// The name for the agent of what was the live file `name`; `stamp` grows from one to the next.
pub(super) fn retired(name: &OsStr, stamp: u64) -> OsString {
    let base = rotation::split(name.as_bytes()).map_or_else(|| name.as_bytes(), |(base, _)| base);
    let mut retired = base.to_vec();
    retired.extend_from_slice(format!("-{stamp:0STAMP_DIGITS$}").as_bytes());
    OsString::from_vec(retired)
}

/// The stamp of a name that [`retired`] made.
pub(super) fn stamp(name: &OsStr) -> Option<u64> {
    let (rest, digits) = name.as_bytes().split_at_checked(name.len().checked_sub(STAMP_DIGITS)?)?;
    let is_stamp = rest.ends_with(b"-") && digits.iter().all(u8::is_ascii_digit);
    is_stamp.then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;

    #[test]
    fn what_left_its_place_stays_in_its_chain_and_is_older_than_what_follows() {
        for (name, chain) in [
            ("app.log", "app.log"),
            ("app-2026-01-02.log", "app-2026-01-02.log"),
            ("access.2026-01-02", "access"),
            ("app.log.3", "app.log"),
            ("-1", "-1"),
        ] {
            let (first, second) = (retired(OsStr::new(name), 9), retired(OsStr::new(name), 10));
            let (base, _) = rotation::split(first.as_bytes()).expect("a rotated name");
            assert_eq!(OsStr::from_bytes(base), chain, "{name}");
            assert_eq!(rotation::order(&first, &second), Ordering::Less);
            assert_eq!(rotation::order(&second, OsStr::new(chain)), Ordering::Less);
            assert_eq!((stamp(&first), stamp(&second)), (Some(9), Some(10)));
        }
        assert_eq!(stamp(OsStr::new("app.log")), None);
    }

    #[test]
    fn copies_that_rotators_make_are_no_logs_and_live_files_with_dates_are() {
        let selection = Selection::default();
        let is_log =
            |name: &str| selection.class(OsStr::new(name), |it| it == "app.log") == Class::Log;
        for name in ["app.log", "app-2026-01-02.log", "access.2026-01-02", "other.log.1"] {
            assert!(is_log(name), "{name}");
        }
        for name in ["app.log.1", "app.log-20260102", "app.log.1.gz", "other.log.2.xz"] {
            assert!(!is_log(name), "{name}");
        }
    }
}
