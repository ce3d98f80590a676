//! Missed: generations of a chain that came and went between two looks.
//!
//! The watch hears of each file that is removed, also while nobody looks. A rotated file that no look
//! ever showed was a generation that nobody read, unless it was the live file of the look before: that
//! one is held open by its reader, who does not know its last name either. Only names with a date
//! count: each stands for one generation for ever, whereas `app.log.1` is another one every time.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::rotation::{self, Suffix};
use crate::fs::FileId;

/// Files whose removal is yet to be heard of.
///
/// 64: more rotated files than a chain loses between two looks that miss nothing.
const GONE_MAX: usize = 64;

/// What is known of one chain's files that are gone.
#[derive(Debug, Default)]
pub(super) struct Missed {
    /// Rotated files that looks showed and show no more.
    gone: VecDeque<PathBuf>,
    /// Live files that looks showed, and show neither as live nor rotated any more.
    nameless: VecDeque<FileId>,
}

/// A file as a look showed it.
pub(super) type Told = (PathBuf, FileId, u64);

impl Missed {
    /// Another look shows `now` where the last one showed `before`.
    pub(super) fn compare(&mut self, before: &[Told], now: &[Told]) {
        // A look in the middle of a renaming shows a file under neither name, and the next one does.
        self.nameless.retain(|id| !now.iter().any(|(_, other, _)| other == id));
        for (path, id, _) in before {
            if now.iter().any(|(_, other, _)| other == id) {
                continue;
            }
            if is_dated(path) {
                keep(&mut self.gone, path.clone());
            } else if path.file_name().is_none_or(|it| rotation::split(it.as_bytes()).is_none()) {
                keep(&mut self.nameless, *id);
            }
        }
    }

    /// A file of the chain was removed: whether that was a generation that nobody saw. Asked after
    /// the look that comes of hearing it.
    pub(super) fn removed(&mut self, path: &Path) -> bool {
        if let Some(index) = self.gone.iter().position(|it| it == path) {
            self.gone.remove(index);
            return false;
        }
        // A live file that was removed under its own name is a nameless one, too.
        self.nameless.pop_front().is_none() && is_dated(path)
    }
}

fn keep<T>(few: &mut VecDeque<T>, one: T) {
    if few.len() == GONE_MAX {
        few.pop_front();
    }
    few.push_back(one);
}

/// The live file's name, if `path` is a rotated file whose name no other generation will have.
pub(super) fn dated_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.as_bytes();
    // A generation is compressed under its plain name with a suffix; the plain one stands for it.
    match rotation::split(name).filter(|_| !name.ends_with(b".gz"))? {
        (base, Suffix::Date(_)) => Some(path.with_file_name(OsStr::from_bytes(base))),
        (_, Suffix::Number(_)) => None,
    }
}

fn is_dated(path: &Path) -> bool {
    dated_of(path).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(names: &[(&str, u64)]) -> Vec<Told> {
        let id = |inode| FileId { device: 1, inode, birth_ns: 0 };
        names.iter().map(|(name, inode)| (PathBuf::from(name), id(*inode), 0)).collect()
    }

    const FIRST: &str = "/0.log.20260102-000001";
    const SECOND: &str = "/0.log.20260102-000002";
    const THIRD: &str = "/0.log.20260102-000003";

    #[test]
    fn a_rotated_file_that_no_look_showed_was_missed() {
        let mut missed = Missed::default();
        missed.compare(&told(&[("/0.log", 1)]), &told(&[(THIRD, 3), ("/0.log", 4)]));
        // One of these was the live file that is held open, whichever is heard of first.
        assert!(!missed.removed(Path::new(FIRST)));
        assert!(missed.removed(Path::new(SECOND)));
    }

    #[test]
    fn a_rotated_file_that_was_shown_once_was_not_missed() {
        let mut missed = Missed::default();
        missed.compare(&told(&[(FIRST, 1), ("/0.log", 2)]), &told(&[(SECOND, 2), ("/0.log", 3)]));
        assert!(!missed.removed(Path::new(FIRST)));
    }

    #[test]
    fn a_look_in_the_middle_of_a_renaming_hides_nothing() {
        let mut missed = Missed::default();
        missed.compare(&told(&[("/0.log", 1)]), &told(&[("/0.log", 2)]));
        missed.compare(&told(&[("/0.log", 2)]), &told(&[(FIRST, 1), ("/0.log", 2)]));
        assert!(missed.removed(Path::new(SECOND)));
    }

    #[test]
    fn a_live_file_that_was_removed_stands_for_no_rotated_one() {
        let mut missed = Missed::default();
        missed.compare(&told(&[("/0.log", 1)]), &told(&[("/0.log", 2)]));
        assert!(!missed.removed(Path::new("/0.log")));
        assert!(missed.removed(Path::new(FIRST)));
    }

    #[test]
    fn names_that_come_again_say_nothing() {
        let mut missed = Missed::default();
        assert!(!missed.removed(Path::new("/app.log.4")));
        assert!(!missed.removed(Path::new("/0.log.20260102-000001.gz")));
        assert!(!missed.removed(Path::new("/0.log.20260102-000001.tmp")));
        assert!(!missed.removed(Path::new("/0.log")));
    }
}
