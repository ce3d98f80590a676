//! Knowing: whether a name that is new becomes known, or waits since there is no memory for it.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;

use super::Selection;
use super::folder::{Folder, join};
use super::outlet::namespace;
use super::standing::{DIRECTORY_BYTES, chain_bytes};
use super::walk::Around;

impl Around<'_> {
    /// Whose memory it takes to know what is in the directory; nobody's if that is many tenants'.
    pub(super) fn owner(&self, directory: &Path) -> Arc<str> {
        let (rule, tenants) = (self.rule, &self.rule.tenants);
        let of = |namespace: &str| tenants.of_namespace(namespace);
        let tenant = match &rule.selection {
            Selection::Pods(pods) => pods.namespace(directory).map(|it| of(&it)),
            Selection::Inside(inside) => inside.namespace(directory).map(|it| of(&it)),
            Selection::Files(_) => {
                let told = rule.fs.volume_context(&join(directory, OsStr::new("any")));
                let told = told.unwrap_or_default();
                Some(namespace(&told).map_or_else(|| tenants.of_files(), of))
            }
        };
        tenant.and_then(Result::ok).unwrap_or_default()
    }

    /// A directory of which nothing is known yet. Where looking begins nobody asked whether there is room.
    pub(super) fn new_folder(&mut self, directory: &Path) -> Folder {
        let tenant = self.owner(directory);
        if self.rule.selection.is_root(directory) {
            self.outlet.standing.take(&tenant, DIRECTORY_BYTES);
        }
        Folder::of(tenant)
    }

    /// Gives back what a listing took for new directories, and returns them: what is found below the first goes before
    /// the second.
    pub(super) fn give_back(
        &mut self,
        directory: &Path,
        before: &BTreeSet<OsString>,
        now: &BTreeSet<OsString>,
    ) -> BTreeSet<OsString> {
        if !self.outlet.standing.is_capped() {
            return BTreeSet::new();
        }
        let fresh: BTreeSet<OsString> = now.difference(before).cloned().collect();
        for name in &fresh {
            let tenant = self.owner(&join(directory, name));
            self.outlet.standing.give_back(&tenant, DIRECTORY_BYTES);
        }
        fresh
    }

    /// Whether the chain is known, or becomes so now; else its name waits in the folder.
    ///
    /// Nothing new becomes known in a folder with names that wait, until all of it is listed again: an older generation
    /// of the chain may be among them.
    pub(super) fn knows_chain(
        &mut self,
        directory: &Path,
        folder: &mut Folder,
        base: &OsStr,
    ) -> bool {
        if folder.chains.contains_key(base) {
            return true;
        }
        let tenant = Arc::clone(&folder.tenant);
        let bytes = chain_bytes(directory.as_os_str().len() + base.len());
        let may_admit = !folder.unknown.contains_key(&tenant);
        self.takes(folder, (&tenant, bytes), may_admit, |it| it.is_begun(directory, base))
    }

    /// Whether the directory is known, or becomes so now; else its name waits in the folder that it is in.
    pub(super) fn knows_directory(
        &mut self,
        path: &Path,
        folder: &mut Folder,
        name: &OsStr,
    ) -> bool {
        if folder.children.contains(name) {
            return true;
        }
        let tenant = self.owner(path);
        self.takes(folder, (&tenant, DIRECTORY_BYTES), true, |it| {
            it.outlet.is_initial && it.holds_begun(path) || it.rule.selection.is_root(path)
        })
    }

    /// Takes so much of the tenant's memory for a name, if there is room or it `cannot_wait`; else it waits in the folder.
    fn takes(
        &mut self,
        folder: &mut Folder,
        (tenant, bytes): (&Arc<str>, usize),
        may_admit: bool,
        cannot_wait: impl FnOnce(&mut Self) -> bool,
    ) -> bool {
        if may_admit && self.outlet.standing.admit(tenant, bytes) {
            return true;
        }
        let is_taken = cannot_wait(self);
        if is_taken {
            self.outlet.standing.take(tenant, bytes);
        } else {
            folder.wait(tenant);
        }
        is_taken
    }

    /// Whether any name that waits in the folder would become known by a look.
    pub(super) fn has_room_in(&self, directory: &Path, folder: &Folder) -> bool {
        let is_leaf = self.rule.selection.role(directory).is_leaf;
        let bytes =
            if is_leaf { chain_bytes(directory.as_os_str().len()) } else { DIRECTORY_BYTES };
        let may = |tenant: &Arc<str>| self.outlet.standing.may_admit(tenant, bytes);
        // Something came or went there, of which nobody took note.
        folder.modified_ns.is_none() || folder.unknown.keys().any(may)
    }

    /// Whether an earlier life began with a file of the chain, and was not done with it: then it goes on at once.
    fn is_begun(&self, directory: &Path, base: &OsStr) -> bool {
        let id = || self.outlet.id(self.rule, &join(directory, base));
        self.outlet.standing.is_capped() && id().is_some_and(|it| self.outlet.standing.is_begun(it))
    }

    /// The same of any chain at or below the directory; what cannot be listed now has none.
    fn holds_begun(&mut self, directory: &Path) -> bool {
        let role = self.role(directory);
        let (fs, mut is_begun) = (self.fs, false);
        let listed = fs.list(directory, &mut |name| {
            let chain = || self.rule.selection.chain(directory, name);
            if is_begun {
                return;
            }
            is_begun = role.is_leaf && chain().is_some_and(|base| self.is_begun(directory, base))
                || role.is_inner && self.holds_begun(&join(directory, name));
        });
        listed.is_ok() && is_begun
    }
}
