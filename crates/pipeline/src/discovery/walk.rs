//! Walk: the directories of one LogConfig, looked at as far as something changed.
//!
//! A name that was heard of costs a look at its chain, and nothing beside it, however many files are
//! in its directory. A directory is watched *before* it is listed, so nothing falls between. One that
//! cannot be watched is looked at every scan instead, and it alone.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::agenda::Agenda;
use super::folder::{Chain, join};
use super::look::{SMALL_MAX, is_directory, look};
use super::outlet::Outlet;
use super::way::Way;
use super::{Asked, Rule, Selection};
use crate::fs::{Fs, GZIP_SUFFIX, Printable};
use crate::reader::{Command, Opened};

mod folders;
mod numbers;
mod poll;
mod show;
mod visit;
use folders::Folders;
pub(super) use numbers::Numbers;

/// An unwatched directory changed so recently is listed again, in nanoseconds.
///
/// 2 s: time stamps are coarse, so a change right after a listing may bear the same one.
const RECENT_NS: i64 = 2_000_000_000;

/// The directories of one LogConfig.
#[derive(Debug, Default)]
pub(super) struct Walk {
    folders: Folders,
    /// Directories of whose changes nothing tells.
    polled: BTreeMap<PathBuf, Why>,
    /// What is yet to be looked at.
    agenda: Agenda,
    /// Versions of the facts that were heeded last: of its own, and of all rules'.
    facts: (u64, u64),
    /// Containers that are selected by their files, and not read since their tenant may not.
    denied_inside: usize,
}

/// Why a directory is looked at every scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Looking begins there, and it is not there yet.
    Missing,
    /// It cannot be listed.
    Forbidden,
    /// It cannot be watched.
    Unwatched,
    /// There are names in it for which there is no memory.
    Short,
}

/// How far to look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// At each file, for its size, even in directories that did not change.
    pub(super) files: bool,
    /// In directories that were known before, too.
    pub(super) below: bool,
}

/// What a walk works with.
pub(super) struct Around<'a> {
    pub(super) fs: &'a dyn Fs,
    pub(super) rule: &'a Rule,
    /// All rules.
    pub(super) rules: &'a [Rule],
    /// Number of the rule.
    pub(super) number: usize,
    pub(super) outlet: &'a mut Outlet,
}

/// What was heard, and is to be looked at.
#[derive(Debug, Default)]
pub(super) struct Stale {
    /// Chains, by their directory and the live file's name; and their new files, opened at once, since
    /// they may be gone before their reader looks.
    chains: BTreeMap<(PathBuf, OsString), Heard>,
    /// Files of chains that are not there, and that no look showed: directory, live file's name, name.
    unseen: BTreeSet<(PathBuf, OsString, OsString)>,
}

/// A chain of which something was heard.
#[derive(Debug, Default)]
struct Heard {
    opened: Opened,
    /// The first scan found it, and has not told of it yet.
    is_initial: bool,
}

impl Walk {
    /// Has everything be looked at.
    pub(super) fn sweep(&mut self, around: &mut Around<'_>, files: bool) {
        self.renew(around, true);
        for root in around.rule.selection.roots().into_iter().rev() {
            self.look_later(around, &root, Effort { files, below: true });
        }
    }

    /// Has the roots be looked at again if what is known of pods changed: for who is selected now, or no longer. Returns
    /// whether it did.
    pub(super) fn heed_facts(&mut self, around: &mut Around<'_>) -> bool {
        let facts = (around.rule.facts_version(), around.outlet.awaiting.version());
        let before = std::mem::replace(&mut self.facts, facts);
        let is_held = || self.folders.iter().any(|(_, it)| it.held > 0);
        if before == facts || before.0 == facts.0 && !is_held() {
            return false;
        }
        if let Selection::Inside(_) = &around.rule.selection {
            self.renew(around, false);
            return true;
        }
        let is_by_container = |it: &Rule| it.selection.asked() == Asked::OfContainers;
        let below = around.rules[..=around.number].iter().any(is_by_container);
        for root in around.rule.selection.roots().into_iter().rev() {
            self.look_later(around, &root, Effort { files: true, below });
        }
        true
    }

    /// Asks again where looking begins, if that comes and goes; has what is new be looked at, and looks once more at
    /// what goes.
    fn renew(&mut self, around: &mut Around<'_>, all: bool) {
        let rule = around.rule;
        let Selection::Inside(inside) = &rule.selection else { return };
        let renewal = inside.renew(&rule.tenants, all);
        for (path, error) in &renewal.refused {
            around.outlet.refusals.failed(path, error);
        }
        for (path, denial) in &renewal.denied {
            around.outlet.denied(rule, path, denial);
        }
        self.denied_inside = renewal.denied.len();
        for root in renewal.fresh.iter().rev() {
            self.look_later(around, root, Effort { files: true, below: true });
        }
        for root in &renewal.leaving {
            self.visit(around, root, Effort { files: true, below: true });
            self.forget(around, root);
        }
        inside.retire();
    }

    /// `path` appeared, is gone, or is another thing now.
    pub(super) fn changed(&mut self, around: &mut Around<'_>, path: &Path, stale: &mut Stale) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return };
        let is_known = self.folders.is_known(path);
        let is_new = !is_known
            && self.folders.is_known(parent)
            && around.rule.selection.role(path).is_some();
        if is_new && matches!(around.way(path), Way::Denied(_) | Way::Waits { .. }) {
            // Counted where it is listed.
            return self.visit(around, parent, Effort { files: true, below: false });
        }
        let is_free = is_new && around.role(path).is_some();
        if is_free && is_directory(around, path) && !self.knows(around, path, parent, name) {
            return;
        }
        if is_known || is_free {
            if let Some(folder) = self.folders.get_mut(path).filter(|it| it.is_watched) {
                // The watch went with the directory, if that went.
                folder.is_watched = false;
                folder.id = None;
                around.outlet.unwatch(path);
            }
            self.visit(around, path, Effort { files: true, below: true });
            let is_there = self.folders.is_known(path);
            if let Some(folder) = self.folders.get_mut(parent) {
                if is_there {
                    folder.children.insert(name.to_owned());
                } else {
                    folder.children.remove(name);
                }
            }
        }
        let Some(folder) = self.folders.get_mut(parent) else { return };
        let Some(base) = around.rule.selection.chain(parent, name) else { return };
        if !folder.chains.contains_key(base) && !folder.unknown.is_empty() {
            folder.modified_ns = None;
            return;
        }
        let is_there = around.outlet.refusals.file(around.fs, path.to_path_buf()).is_some();
        if is_there && !around.knows_chain(parent, folder, base) {
            self.polled.entry(parent.to_path_buf()).or_insert(Why::Short);
            return;
        }
        let is_untold = |it: &Chain| it.told == 0;
        let is_initial = folder.is_initial && folder.chains.get(base).is_some_and(is_untold);
        let was_there = folder.has(base, name);
        folder.note(base, name, is_there);
        let chain = (parent.to_path_buf(), base.to_owned());
        if !is_there && !was_there {
            // Its reader may have to know that it was missed, and so must be awake.
            folder.chains.get_mut(base).into_iter().for_each(Chain::tell_again);
            stale.unseen.insert((parent.to_path_buf(), base.to_owned(), name.to_owned()));
        }
        let heard = || Heard { opened: around.outlet.none_opened(), is_initial };
        let heard = stale.chains.entry(chain).or_insert_with(heard);
        if is_there && !was_there {
            around.outlet.open(around.fs, path, &mut heard.opened);
        }
    }

    /// `path` was written to.
    pub(super) fn written(&mut self, around: &mut Around<'_>, path: &Path, stale: &mut Stale) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return };
        let Some(folder) = self.folders.get(parent) else { return };
        let Some(base) = around.rule.selection.chain(parent, name) else { return };
        // What was written to may have another name by now: its reader is told in any case.
        if let Some(chain) = folder.chains.get(base).filter(|it| it.told != 0) {
            let (context, path) = (chain.context, path.to_path_buf());
            around.outlet.send(context, Command::Poke { context, path });
        }
        // Where names wait, a write is no news.
        let is_known = folder.unknown.is_empty() || folder.chains.contains_key(base);
        if is_known && !folder.has(base, name) {
            self.changed(around, path, stale);
        }
    }

    /// A reader asks for the files of the chain that `path` is of.
    pub(super) fn asked(&mut self, around: &mut Around<'_>, path: &Path, stale: &mut Stale) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return };
        let Some(folder) = self.folders.get_mut(parent) else { return };
        let Some(base) = around.rule.selection.chain(parent, name) else { return };
        let Some(chain) = folder.chains.get_mut(base).filter(|it| it.told != 0) else { return };
        chain.tell_again();
        stale.chains.entry((parent.to_path_buf(), base.to_owned())).or_default();
    }

    /// Looks at chains of which something was heard.
    pub(super) fn refresh(
        &mut self,
        around: &mut Around<'_>,
        stale: Stale,
        removed: &HashSet<PathBuf>,
    ) {
        let mut directories: BTreeSet<PathBuf> = BTreeSet::new();
        let mut empty: Vec<(PathBuf, OsString)> = Vec::new();
        for ((directory, base), Heard { opened, is_initial }) in stale.chains {
            let Some(folder) = self.folders.get_mut(&directory) else { continue };
            let is_small = folder.chains.len() <= SMALL_MAX;
            let Some(chain) = folder.chains.get_mut(base.as_os_str()) else { continue };
            around.outlet.is_initial = is_initial;
            if look(around, &directory, &base, chain, is_small, opened).is_empty() {
                empty.push((directory.clone(), base));
            }
            around.outlet.is_initial = false;
            directories.insert(directory);
        }
        for (directory, base, name) in stale.unseen {
            if removed.contains(&join(&directory, &name)) {
                self.missed(around, &directory, &base, &name);
            }
        }
        for (directory, base) in empty {
            let folder = self.folders.get_mut(&directory);
            folder.into_iter().for_each(|it| it.remove(&base));
        }
        // What was heard needs no listing; what was not is found by the next scan of all files.
        for directory in directories {
            let folder = self.folders.get_mut(&directory).filter(|it| it.is_watched);
            if let (Some(folder), Ok(stat)) = (folder, around.fs.stat(&directory)) {
                folder.modified_ns = folder.modified_ns.map(|_| stat.modified_ns);
            }
        }
    }

    /// Tells the reader if a file came and went that no look ever showed.
    fn missed(&mut self, around: &mut Around<'_>, directory: &Path, base: &OsStr, name: &OsStr) {
        let folder = self.folders.get_mut(directory);
        let chain = folder.and_then(|it| it.chains.get_mut(base)).filter(|it| it.told != 0);
        let Some(chain) = chain else { return };
        let path = join(directory, name);
        // What was compressed is there still, under another name.
        let mut compressed = path.clone().into_os_string();
        compressed.push(GZIP_SUFFIX);
        let is_there = |path: &Path| around.fs.stat(path).is_ok();
        if chain.missed().removed(name) && !is_there(Path::new(&compressed)) && !is_there(&path) {
            tracing::warn!(path = %Printable(&path), "rotated and removed before it was seen");
            around.outlet.send(chain.context, Command::Missed(chain.context));
        }
    }
}
