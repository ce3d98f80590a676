//! Missed: generations of a chain that came and went between two looks.
//!
//! The watch hears of each file that is removed, also while nobody looks. A rotated file that no look
//! ever showed was a generation that nobody read, unless it was the live file of the look before: that
//! one is held open by its reader, who does not know its last name either. Only names with a date
//! count: each stands for one generation for ever, whereas `app.log.1` is another one every time.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::rotation::{self, Suffix};
use crate::fs::GZIP_SUFFIX;

/// Files whose removal is yet to be heard of.
///
/// 64: more rotated files than a chain loses between two looks that miss nothing.
const GONE_MAX: usize = 64;

/// What is known of one chain's files that are gone.
#[derive(Debug, Default)]
pub(super) struct Missed {
    /// Rotated files that looks showed and show no more.
    gone: VecDeque<OsString>,
    /// Keys of live files that looks showed, and show neither as live nor rotated any more.
    nameless: VecDeque<u64>,
}

impl Missed {
    /// A rotated file that a look showed is there no more.
    pub(super) fn gone(&mut self, name: &OsStr) {
        if is_dated(name) && !self.gone.iter().any(|it| it == name) {
            keep(&mut self.gone, name.to_owned());
        }
    }

    /// Another look shows other files, where the live one of the last was `live`.
    pub(super) fn look(&mut self, live: u64, is_there: impl Fn(u64) -> bool) {
        // A look in the middle of a renaming shows a file under neither name, and the next one does.
        self.nameless.retain(|it| !is_there(*it));
        if live != 0 && !is_there(live) {
            keep(&mut self.nameless, live);
        }
    }

    /// A file of the chain is not there that no look showed: whether that was a generation that nobody
    /// saw. Asked after the look that comes of hearing it.
    pub(super) fn removed(&mut self, name: &OsStr) -> bool {
        if let Some(index) = self.gone.iter().position(|it| it == name) {
            self.gone.remove(index);
            return false;
        }
        // A live file that was removed under its own name is a nameless one, too.
        self.nameless.pop_front().is_none() && is_dated(name)
    }
}

fn keep<T>(few: &mut VecDeque<T>, one: T) {
    if few.len() == GONE_MAX {
        few.pop_front();
    }
    few.push_back(one);
}

/// Whether it is a rotated file whose name no other generation will have.
fn is_dated(name: &OsStr) -> bool {
    let name = name.as_bytes();
    // A generation is compressed under its plain name with a suffix; the plain one stands for it.
    let plain = rotation::split(name).filter(|_| !name.ends_with(GZIP_SUFFIX.as_bytes()));
    matches!(plain, Some((_, Suffix::Date(_))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "0.log.20260102-000001";
    const SECOND: &str = "0.log.20260102-000002";

    fn removed(missed: &mut Missed, name: &str) -> bool {
        missed.removed(OsStr::new(name))
    }

    #[test]
    fn a_rotated_file_that_no_look_showed_was_missed() {
        let mut missed = Missed::default();
        missed.look(1, |it| [3, 4].contains(&it));
        // One of these was the live file that is held open, whichever is heard of first.
        assert!(!removed(&mut missed, FIRST));
        assert!(removed(&mut missed, SECOND));
    }

    #[test]
    fn a_rotated_file_that_was_shown_once_was_not_missed() {
        let mut missed = Missed::default();
        missed.gone(OsStr::new(FIRST));
        missed.look(2, |it| [2, 3].contains(&it));
        assert!(!removed(&mut missed, FIRST));
    }

    #[test]
    fn a_look_in_the_middle_of_a_renaming_hides_nothing() {
        let mut missed = Missed::default();
        missed.look(1, |it| it == 2);
        missed.look(2, |it| [1, 2].contains(&it));
        assert!(removed(&mut missed, SECOND));
    }

    #[test]
    fn a_live_file_that_was_removed_stands_for_no_rotated_one() {
        let mut missed = Missed::default();
        missed.look(1, |it| it == 2);
        assert!(!removed(&mut missed, "0.log"));
        assert!(removed(&mut missed, FIRST));
    }

    #[test]
    fn names_that_come_again_say_nothing() {
        let mut missed = Missed::default();
        for name in ["app.log.4", "0.log.20260102-000001.gz", "0.log.20260102-000001.tmp", "0.log"]
        {
            assert!(!removed(&mut missed, name), "{name}");
        }
    }
}
