//! Look: what is in one directory, and which files one chain has, told to the readers if it changed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use flow::is_mutant;

use super::Denial;
use super::folder::{Chain, Folder, fingerprint, join, names};
use super::walk::Around;
use super::way::Way;
use crate::fs::{FileKind, Stat};
use crate::reader::Opened;
use crate::source::SeenFile;

/// Lists a directory and notes its chains; returns the directories in it that can hold files.
pub(super) fn list(
    around: &mut Around<'_>,
    directory: &Path,
    folder: &mut Folder,
    stat: Stat,
) -> io::Result<BTreeSet<OsString>> {
    let selection = &around.rule.selection;
    let role = around.role(directory);
    let mut denied: Vec<(PathBuf, Denial)> = Vec::new();
    let mut children: BTreeSet<OsString> = BTreeSet::new();
    (folder.waiting, folder.held) = (0, 0);
    (folder.modified_ns, folder.unknown) = (None, BTreeMap::new());
    let before = folder.clear();
    let fs = around.fs;
    let listed = fs.list(directory, &mut |name| {
        if role.is_leaf
            && let Some(base) = selection.chain(directory, name)
            && around.knows_chain(directory, folder, base)
        {
            folder.note(base, name, true);
        }
        if role.is_inner && selection.role(&join(directory, name)).is_some() {
            let path = join(directory, name);
            match around.way(&path) {
                Way::Free => {
                    if is_directory(around, &path) && around.knows_directory(&path, folder, name) {
                        children.insert(name.to_owned());
                    }
                }
                Way::Denied(denial) => denied.push((path, denial)),
                Way::Waits { is_own } => {
                    folder.waiting += usize::from(is_own);
                    folder.held += 1;
                }
                Way::None => {}
            }
        }
    });
    listed?;
    folder.denied = denied.len();
    denied.iter().for_each(|(path, denial)| around.outlet.denied(around.rule, path, denial));
    folder.modified_ns = Some(stat.modified_ns);
    folder.compare(&before);
    Ok(children)
}

pub(super) fn is_directory(around: &mut Around<'_>, path: &Path) -> bool {
    match around.fs.stat(path) {
        Ok(stat) => stat.kind == FileKind::Directory,
        Err(error) => {
            // `**` takes any name: what it may not enter is not what somebody asked for.
            if !around.rule.selection.takes_any_depth() {
                around.outlet.refusals.failed(path, &error);
            }
            false
        }
    }
}

/// The files of a chain that are there now.
///
/// Where a name leads to another file than was told, or a file is not there that was, more may have been
/// renamed by now than what was heard of: the directory is listed, so that an older generation is not
/// found after a younger one was read.
fn files_of(
    around: &mut Around<'_>,
    directory: &Path,
    base: &OsStr,
    chain: &mut Chain,
    is_small: bool,
) -> Vec<SeenFile> {
    let mut look =
        |chain: &Chain| chain.files(around.fs, &mut around.outlet.refusals, directory, base);
    let (mut files, mut is_complete) = look(chain);
    let mut listed = None;
    for lists in 0..LISTS_MAX {
        let named = names(&files);
        let is_settled = chain.is_named_as_told(&files)
            || listed == Some(named)
            || is_mutant("old_names_trusted");
        // What is there and refused stays incomplete.
        if !is_small || is_settled && (is_complete || lists > 1) {
            break;
        }
        listed = Some(named);
        let selection = &around.rule.selection;
        let mut listing = Vec::new();
        let outcome = around.fs.list(directory, &mut |name| {
            if selection.chain(directory, name) == Some(base) {
                listing.push(name.to_owned());
            }
        });
        if outcome.is_err() {
            break;
        }
        let before = chain.clear();
        listing.iter().for_each(|name| chain.note(base, name, true));
        chain.compare(&before);
        (files, is_complete) = look(chain);
    }
    files
}

/// How often a directory is listed again while its files are renamed.
const LISTS_MAX: usize = 4;

/// Most chains of a directory that is listed again for the sake of one of them.
pub(super) const SMALL_MAX: usize = 256;

/// Looks at the files of a chain, and tells a reader if they changed; returns them.
pub(super) fn look(
    around: &mut Around<'_>,
    directory: &Path,
    base: &OsStr,
    chain: &mut Chain,
    is_small: bool,
    mut opened: Opened,
) -> Vec<SeenFile> {
    let seen_ns = around.outlet.clock.monotonic_ns();
    let files = files_of(around, directory, base, chain, is_small);
    let live_path = join(directory, base);
    if files.is_empty() {
        if chain.told != 0 {
            chain.look(&files);
            around.outlet.gone(around.rule, &live_path);
        }
        return files;
    }
    let told = fingerprint(&files);
    if told != chain.told
        && let Some(spec) = around.outlet.spec(around.rule, &live_path)
    {
        chain.context = spec.context.id;
        if chain.told == 0 && opened.is_empty() {
            files.iter().for_each(|it| around.outlet.open(around.fs, &it.path, &mut opened));
        }
        if around.outlet.found((around.number, around.rules), spec, &files, seen_ns, opened) {
            chain.tell(&files, base, told);
        }
    }
    files
}
