//! Visit: a look at one directory, piece by piece if there is much in it.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::Bound;
use std::path::Path;

use super::{Around, Effort, RECENT_NS, Walk, Why};
use crate::discovery::Selection;
use crate::discovery::agenda::{Part, Piece, Wait};
use crate::discovery::folder::{Folder, join};
use crate::discovery::look::{SMALL_MAX, list, look};
use crate::fs::{FileKind, Stat};

/// Most chains that are looked at in one piece.
///
/// 64: a millisecond or so.
const LOOKS_MAX: usize = 64;

impl Walk {
    /// Whether there is anything yet to be looked at.
    pub(in crate::discovery) fn has_pieces(&self) -> bool {
        !self.agenda.is_empty()
    }

    /// Does the next piece of a scan, if there is one that may be done: `may` says so of a directory.
    pub(in crate::discovery) fn go_on(
        &mut self,
        around: &mut Around<'_>,
        may: impl Fn(&Path) -> bool,
    ) -> Result<(), Wait> {
        let piece = self.agenda.next(|tenant| around.outlet.ahead.may_go_on(tenant), may)?;
        around.outlet.is_initial = piece.is_initial;
        let mut rest = Vec::new();
        self.look_at(around, piece, &mut rest);
        rest.into_iter().for_each(|it| self.put_off(around, it));
        Ok(())
    }

    /// The directory is looked at in a later piece.
    pub(super) fn look_later(&mut self, around: &Around<'_>, directory: &Path, effort: Effort) {
        let is_initial = around.outlet.is_initial;
        self.put_off(around, Piece::of(directory.to_path_buf(), effort, is_initial));
    }

    fn put_off(&mut self, around: &Around<'_>, piece: Piece) {
        let folder = self.folders.get(&piece.directory);
        let tenant = folder.map(|it| it.tenant.clone());
        self.agenda.put(&tenant.unwrap_or_else(|| around.owner(&piece.directory)), piece);
    }

    /// Looks at a directory, and at new ones in it.
    pub(super) fn visit(&mut self, around: &mut Around<'_>, directory: &Path, effort: Effort) {
        let is_initial = around.outlet.is_initial;
        let mut rest = vec![Piece::of(directory.to_path_buf(), effort, is_initial)];
        while let Some(piece) = rest.pop() {
            self.look_at(around, piece, &mut rest);
        }
    }

    /// Does one piece; what is to be done after it comes to `rest`, the first of it last.
    fn look_at(&mut self, around: &mut Around<'_>, piece: Piece, rest: &mut Vec<Piece>) {
        let directory = &*piece.directory;
        match &piece.part {
            Part::ChainsAfter(name) => {
                let next = self.look_at_chains(around, directory, Bound::Excluded(&**name));
                self.note_unlooked(directory, piece.is_initial && next.is_some());
                rest.extend(next.map(|it| Piece { part: Part::ChainsAfter(it), ..piece }));
            }
            Part::Names { is_fresh } => {
                if *is_fresh && !self.enters_fresh(around, directory) {
                    return;
                }
                self.look_at_names(around, &piece, rest);
            }
        }
    }

    fn look_at_names(&mut self, around: &mut Around<'_>, piece: &Piece, rest: &mut Vec<Piece>) {
        let Piece { directory, effort, is_initial, .. } = piece;
        let (effort, is_initial) = (*effort, *is_initial);
        if around.role(directory).is_none() {
            return;
        }
        let stat = match around.fs.stat(directory) {
            Ok(stat) if stat.kind == FileKind::Directory => stat,
            Ok(_) => return self.lost(around, directory, &io::ErrorKind::NotADirectory.into()),
            Err(error) => return self.lost(around, directory, &error),
        };
        around.outlet.refusals.passed(directory);
        // Taken out, so that others can be looked at meanwhile.
        let folder = self.folders.take(directory);
        let mut folder = folder.unwrap_or_else(|| around.new_folder(directory));
        follow(around, directory, &mut folder, stat);
        let is_recent = !folder.is_watched
            && around.outlet.clock.unix_ns().saturating_sub(stat.modified_ns) < RECENT_NS;
        let mut children: Vec<OsString> = Vec::new();
        let mut fresh: BTreeSet<OsString> = BTreeSet::new();
        let is_listed = effort.files || is_recent || folder.modified_ns != Some(stat.modified_ns);
        if is_listed {
            match list(around, directory, &mut folder, stat) {
                Ok(names) => {
                    let is_old = |it: &OsString| folder.children.contains(it);
                    children =
                        names.iter().filter(|it| effort.below || !is_old(it)).cloned().collect();
                    let old = std::mem::replace(&mut folder.children, names);
                    fresh = around.give_back(directory, &old, &folder.children);
                    for gone in old.difference(&folder.children) {
                        self.forget(around, &join(directory, gone));
                    }
                }
                Err(error) => {
                    self.folders.put(directory, folder);
                    return self.lost(around, directory, &error);
                }
            }
        } else if effort.below {
            children.extend(folder.children.iter().cloned());
        }
        self.folders.put(directory, folder);
        self.schedule(directory);
        rest.extend(children.into_iter().rev().map(|child| {
            let part = Part::Names { is_fresh: fresh.contains(&child) };
            Piece { part, ..Piece::of(join(directory, &child), effort, is_initial) }
        }));
        if is_listed {
            // Before what is below.
            let next = self.look_at_chains(around, directory, Bound::Unbounded);
            self.note_unlooked(directory, is_initial && next.is_some());
            let part = next.map(Part::ChainsAfter);
            rest.extend(
                part.map(|part| Piece { part, ..Piece::of(directory.clone(), effort, is_initial) }),
            );
        }
    }

    /// Whether the first scan has yet to look at chains in the directory.
    fn note_unlooked(&mut self, directory: &Path, is_initial: bool) {
        let folder = self.folders.get_mut(directory);
        folder.into_iter().for_each(|it| it.is_initial = is_initial);
    }

    /// Looks at some of a directory's chains; returns the name of the last of them, if there may be more.
    fn look_at_chains(
        &mut self,
        around: &mut Around<'_>,
        directory: &Path,
        after: Bound<&OsStr>,
    ) -> Option<Box<OsStr>> {
        let folder = self.folders.get_mut(directory)?;
        let is_small = folder.chains.len() <= SMALL_MAX;
        let names = folder.chains.range_mut::<OsStr, _>((after, Bound::Unbounded));
        let (mut looks, mut last) = (0, None);
        let mut empty: Vec<Box<OsStr>> = Vec::new();
        for (base, chain) in names.take(LOOKS_MAX) {
            looks += 1;
            let opened = around.outlet.none_opened();
            if look(around, directory, base, chain, is_small, opened).is_empty() {
                empty.push(base.clone());
            }
            if looks == LOOKS_MAX {
                last = Some(base.clone());
            }
        }
        empty.iter().for_each(|base| folder.remove(base));
        last
    }

    /// A directory cannot be looked at.
    fn lost(&mut self, around: &mut Around<'_>, directory: &Path, error: &io::Error) {
        use io::ErrorKind::{NotADirectory, NotFound};
        if matches!(error.kind(), NotFound | NotADirectory) {
            self.forget(around, directory);
            if around.rule.selection.is_root(directory) {
                self.polled.insert(directory.to_path_buf(), Why::Missing);
            }
            return;
        }
        // What is in it may well be there: a listing that fails is no proof of the contrary.
        self.polled.insert(directory.to_path_buf(), Why::Forbidden);
        around.outlet.refusals.failed(directory, error);
    }

    /// A directory is gone, and all that was in it.
    pub(super) fn forget(&mut self, around: &mut Around<'_>, directory: &Path) {
        self.polled.remove(directory);
        let Some(folder) = self.folders.remove(directory) else { return };
        if folder.is_watched {
            around.outlet.unwatch(directory);
        }
        for child in &folder.children {
            self.forget(around, &join(directory, child));
        }
        for (base, _) in folder.chains.iter().filter(|(_, chain)| chain.told != 0) {
            around.outlet.gone(around.rule, &join(directory, base));
        }
    }
}

/// Makes sure that the directory is watched, if it can be; else it must be listed.
fn follow(around: &mut Around<'_>, directory: &Path, folder: &mut Folder, stat: Stat) {
    let is_new = folder.id != Some(stat.id);
    if is_new {
        if folder.is_watched {
            around.outlet.unwatch(directory);
            folder.is_watched = false;
        }
        folder.id = Some(stat.id);
        folder.modified_ns = None;
    }
    // A link of a container leads elsewhere for who watches: what is behind it is looked at every scan.
    let is_astray = stat.is_linked && matches!(around.rule.selection, Selection::Inside(_));
    let is_due = !folder.is_watched && !is_astray && (is_new || around.outlet.is_retry);
    if is_due && around.outlet.watch(directory) {
        folder.is_watched = true;
        folder.modified_ns = None;
    }
}
