//! Folder: what is known of one directory: the directories and the chains in it.
//!
//! There is one entry a chain, and no paths: a node may have a hundred thousand files in one
//! directory, so what is kept of each is what this costs.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::ContextId;
use xxhash_rust::xxh3::Xxh3;

use super::missed::Missed;
use super::refusals::Refusals;
use super::rotation;
use super::standing::{DIRECTORY_BYTES, chain_bytes};
use crate::fs::{FileId, Fs};
use crate::source::{SeenFile, generation_key};

/// What is known of one directory.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// Its place in the order in which directories became known; 0 before it is.
    pub(super) number: u64,
    /// Which directory it is: one of the same name may take its place.
    pub(super) id: Option<FileId>,
    /// Its time of change when it was last listed; `None` if it must be listed again.
    pub(super) modified_ns: Option<i64>,
    pub(super) is_watched: bool,
    /// The first scan has yet to look at chains that it found in it.
    pub(super) is_initial: bool,
    /// Who pays for it, and for what is in it.
    pub(super) tenant: Arc<str>,
    /// Names of the directories in it that can hold files.
    pub(super) children: BTreeSet<OsString>,
    /// How many others there are that are selected, and not read since their tenant may not.
    pub(super) denied: usize,
    /// How many wait for what is to be told of their pods, since this LogConfig asks for it …
    pub(super) waiting: usize,
    /// … or this one or an earlier one does.
    pub(super) held: usize,
    /// By tenant, how many names there are for which there is no memory.
    pub(super) unknown: BTreeMap<Arc<str>, usize>,
    /// By the live file's name; [`Folder::remove`] forgets one.
    pub(super) chains: BTreeMap<Box<OsStr>, Chain>,
    /// Bytes of all these names.
    names_len: usize,
}

/// One chain: a live file and its rotated generations.
#[derive(Debug)]
pub(super) struct Chain {
    /// Whose; of no meaning before the readers were told.
    pub(super) context: ContextId,
    /// Fingerprint of the files as last told to a reader; 0 if it was never told, [`TELL_AGAIN`] if it
    /// must be told whatever they are.
    pub(super) told: u64,
    has_live: bool,
    /// Fingerprint of which file had which name, as last told.
    told_names: u32,
    /// Key of the live file as last told; 0 if there was none.
    live: u64,
    /// What came and went, once something did.
    missed: Option<Box<Missed>>,
    /// Names of the rotated generations, oldest first.
    rotated: Box<[OsString]>,
}

impl Folder {
    /// A directory of which nothing is known but who pays for it.
    pub(super) fn of(tenant: Arc<str>) -> Folder {
        Folder { tenant, ..Folder::default() }
    }

    /// All chains are without files, until [`Folder::note`] says otherwise. Returns the rotated
    /// files that there were.
    pub(super) fn clear(&mut self) -> Vec<(Box<OsStr>, OsString)> {
        let mut rotated = Vec::new();
        for (base, chain) in &mut self.chains {
            rotated.extend(chain.clear().into_iter().map(|name| (base.clone(), name)));
        }
        rotated
    }

    /// These rotated files were there; those that are not any more are gone.
    pub(super) fn compare(&mut self, before: &[(Box<OsStr>, OsString)]) {
        for (base, name) in before {
            if let Some(chain) = self.chains.get_mut(base) {
                chain.compare(std::slice::from_ref(name));
            }
        }
    }

    /// The file `name` of the chain of `base` is there now, or is not.
    pub(super) fn note(&mut self, base: &OsStr, name: &OsStr, is_there: bool) {
        if !self.chains.contains_key(base) {
            if !is_there {
                return;
            }
            self.chains.insert(base.into(), Chain::new());
            self.names_len += base.len();
        }
        if let Some(chain) = self.chains.get_mut(base) {
            chain.note(base, name, is_there);
        }
    }

    /// What it is to pay for, if it has a path of so many bytes.
    pub(super) fn bytes(&self, path_len: usize) -> usize {
        let of_names = chain_bytes(self.names_len) - chain_bytes(0);
        DIRECTORY_BYTES + self.chains.len() * chain_bytes(path_len) + of_names
    }

    /// Forgets a chain.
    pub(super) fn remove(&mut self, base: &OsStr) {
        if self.chains.remove(base).is_some() {
            self.names_len -= base.len();
        }
    }

    /// There is no memory for a name that is the tenant's.
    pub(super) fn wait(&mut self, tenant: &Arc<str>) {
        *self.unknown.entry(Arc::clone(tenant)).or_default() += 1;
    }

    /// Whether the file of the chain was there at the last look.
    pub(super) fn has(&self, base: &OsStr, name: &OsStr) -> bool {
        self.chains.get(base).is_some_and(|chain| {
            if base == name { chain.has_live } else { chain.rotated.iter().any(|it| it == name) }
        })
    }
}

impl Chain {
    fn new() -> Chain {
        Chain {
            context: ContextId(0),
            told: 0,
            has_live: false,
            told_names: 0,
            live: 0,
            missed: None,
            rotated: Box::default(),
        }
    }

    /// Its file `name` is there now, or is not.
    pub(super) fn note(&mut self, base: &OsStr, name: &OsStr, is_there: bool) {
        if base == name {
            self.has_live = is_there;
            return;
        }
        let mut rotated = std::mem::take(&mut self.rotated).into_vec();
        let before = rotated.len();
        rotated.retain(|it| it != name);
        if !is_there && rotated.len() < before {
            self.missed().gone(name);
        }
        if is_there {
            let at = rotated.partition_point(|it| rotation::order(it, name).is_lt());
            rotated.insert(at, name.to_owned());
        }
        self.rotated = rotated.into_boxed_slice();
    }

    /// Whether these are the files that the readers were told of, under the same names.
    pub(super) fn is_named_as_told(&self, files: &[SeenFile]) -> bool {
        self.told != 0 && names(files) == self.told_names
    }

    /// It is without files, until [`Chain::note`] says otherwise. Returns the rotated ones.
    pub(super) fn clear(&mut self) -> Vec<OsString> {
        self.has_live = false;
        std::mem::take(&mut self.rotated).into_vec()
    }

    /// These rotated files were there; those that are not any more are gone.
    pub(super) fn compare(&mut self, before: &[OsString]) {
        for name in before {
            if !self.rotated.contains(name) {
                self.missed().gone(name);
            }
        }
    }

    /// Its files that are there now, oldest first, the live one last; and whether all are that were
    /// noted.
    pub(super) fn files(
        &self,
        fs: &dyn Fs,
        refusals: &mut Refusals,
        directory: &Path,
        base: &OsStr,
    ) -> (Vec<SeenFile>, bool) {
        let live = self.has_live.then_some(base);
        let names = self.rotated.iter().map(OsString::as_os_str).chain(live);
        let mut files = Vec::with_capacity(self.rotated.len() + 1);
        files.extend(names.filter_map(|name| refusals.file(fs, join(directory, name))));
        let is_complete = files.len() == self.rotated.len() + usize::from(self.has_live);
        rotation::drop_packed_twins(&mut files);
        rotation::drop_older_names(&mut files);
        (files, is_complete)
    }

    /// A look shows these files.
    pub(super) fn look(&mut self, files: &[SeenFile]) {
        let is_there = |live: u64| files.iter().any(|it| key(it) == live);
        if self.missed.is_some() || self.live != 0 && !is_there(self.live) {
            let live = self.live;
            self.missed().look(live, is_there);
        }
    }

    /// The readers are told of these files.
    pub(super) fn tell(&mut self, files: &[SeenFile], base: &OsStr, fingerprint: u64) {
        self.look(files);
        self.live = live_key(files, base);
        self.told_names = names(files);
        self.told = fingerprint;
    }

    /// The reader is told of its files again, even if they do not change.
    pub(super) fn tell_again(&mut self) {
        if self.told != 0 {
            self.told = TELL_AGAIN;
        }
    }

    /// What came and went.
    pub(super) fn missed(&mut self) -> &mut Missed {
        self.missed.get_or_insert_default()
    }
}

/// What a file is: more than the inode's number, which the next file may get at once.
fn key(file: &SeenFile) -> u64 {
    generation_key(file.stat.id, 0)
}

/// Key of the live file; 0 if there is none.
fn live_key(files: &[SeenFile], base: &OsStr) -> u64 {
    files.last().filter(|it| it.path.file_name() == Some(base)).map_or(0, key)
}

/// A fingerprint of no files: a reader was told of the chain, and must be told again.
const TELL_AGAIN: u64 = 1;

/// A fingerprint of which file has which name.
#[expect(clippy::cast_possible_truncation, reason = "a part of a hash")]
pub(super) fn names(files: &[SeenFile]) -> u32 {
    let mut hash = Xxh3::new();
    files.iter().for_each(|file| hash_name(file, &mut hash));
    hash.digest() as u32
}

fn hash_name(file: &SeenFile, hash: &mut Xxh3) {
    let name = file.path.file_name().unwrap_or_default().as_bytes();
    let id = file.stat.id;
    hash.update(&(name.len() as u64).to_le_bytes());
    hash.update(name);
    hash.update(&id.device.to_le_bytes());
    hash.update(&id.inode.to_le_bytes());
    hash.update(&id.birth_ns.to_le_bytes());
}

/// A fingerprint of names, identities, compressed forms, sizes and times of change; never 0 or [`TELL_AGAIN`].
pub(super) fn fingerprint(files: &[SeenFile]) -> u64 {
    let mut hash = Xxh3::new();
    for file in files {
        hash_name(file, &mut hash);
        hash.update(&file.stat.size.to_le_bytes());
        hash.update(&file.stat.modified_ns.to_le_bytes());
        if let Some(packed) = file.packed {
            hash.update(&packed.inode.to_le_bytes());
            hash.update(&packed.birth_ns.to_le_bytes());
        }
    }
    hash.digest().max(TELL_AGAIN + 1)
}

/// The path of `name`, in as many bytes as it has: it is kept as long as the file is read.
pub(super) fn join(directory: &Path, name: &OsStr) -> PathBuf {
    let mut path = PathBuf::with_capacity(directory.as_os_str().len() + 1 + name.len());
    path.push(directory);
    path.push(name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_stand_oldest_first_whatever_the_order_in_which_they_are_heard_of() {
        let mut folder = Folder::default();
        let base = OsStr::new("a.log");
        for name in ["a.log.2", "a.log", "a.log.10", "a.log.1", "a.log.2"] {
            folder.note(base, OsStr::new(name), true);
        }
        let chain = &folder.chains[base];
        assert_eq!(*chain.rotated, ["a.log.10", "a.log.2", "a.log.1"].map(OsString::from));
        folder.note(base, OsStr::new("a.log.2"), false);
        folder.note(base, base, false);
        assert!(!folder.has(base, base));
        assert_eq!(folder.chains[base].rotated.len(), 2);
    }
}
