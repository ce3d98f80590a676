//! Roots: the folders of the host that globs of containers begin with, and whose they are.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

use super::Container;
use crate::fs::{Access, TreeMount};

/// Roots that have left are kept until so many others have: what was found below them is read to the end meanwhile.
const LEFT_MAX: usize = 1024;

/// A folder of the host that belongs to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) container: Arc<Container>,
    /// The folder as the LogConfig calls it, for the container.
    pub(super) inside: PathBuf,
    /// The same without links.
    pub(super) real: PathBuf,
    /// How the mount may be read that has it, if it is not the container's own root.
    pub(super) access: Option<Access>,
}

impl Root {
    /// The mount of a single file at `rest`, below the root.
    pub(super) fn mounted(&self, rest: &Path) -> Option<&TreeMount> {
        let real = self.real.join(rest);
        let is_file = |it: &&TreeMount| it.inside == real && it.inside != self.real;
        self.container.tree.mounts.iter().find(is_file)
    }

    /// What the LogConfig calls `real`, which is below the root.
    pub(super) fn inside_of(&self, real: &Path) -> PathBuf {
        real.strip_prefix(&self.real).map_or_else(|_| real.to_path_buf(), |it| self.inside.join(it))
    }
}

/// All roots, by their paths on the host.
#[derive(Debug, Default)]
pub(super) struct Roots {
    present: HashMap<PathBuf, Arc<Root>>,
    /// Of those present, the ones that leave.
    leaving: Vec<PathBuf>,
    left: HashMap<PathBuf, Arc<Root>>,
    /// In the order in which they left.
    left_order: VecDeque<PathBuf>,
    /// By container and glob's folder, the same without links, if it is there and no link leads to it.
    pub(super) settled: HashMap<(Arc<str>, PathBuf), PathBuf>,
    /// There are others: another look may find them elsewhere.
    pub(super) is_unsettled: bool,
}

impl Roots {
    /// Adds a root, unless another container has the same folder.
    pub(super) fn add(
        &mut self,
        path: PathBuf,
        container: &Arc<Container>,
        inside: PathBuf,
        real: PathBuf,
    ) {
        let mount = container.tree.mount_of(&real);
        // The kubelet unmounts volumes of pods that ended; what is open in them would keep it from that.
        if let Some(mount) = mount.filter(|_| container.has_ended)
            && is_mount_point(&mount.host)
        {
            return;
        }
        let access = mount.map(|it| it.access);
        let root = || Arc::new(Root { container: Arc::clone(container), inside, real, access });
        self.present.entry(path).or_insert_with(root);
    }

    /// Takes the roots of `next`; returns those to look at, and those that leave.
    pub(super) fn replace(&mut self, next: Roots) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let is_fresh = |path: &PathBuf, root: &Arc<Root>| {
            let before = self.present.get(path);
            before.is_none_or(|it| it.container.has_ended != root.container.has_ended)
        };
        let fresh = next.present.iter().filter(|(path, root)| is_fresh(path, root));
        let fresh = fresh.map(|(path, _)| path.clone()).collect();
        let leaves = |path: &&PathBuf| !next.present.contains_key(*path);
        self.leaving = self.present.keys().filter(leaves).cloned().collect();
        self.is_unsettled = next.is_unsettled;
        self.settled = next.settled;
        self.present.extend(next.present);
        (fresh, self.leaving.clone())
    }

    /// What leaves has left.
    pub(super) fn retire(&mut self) {
        for path in std::mem::take(&mut self.leaving) {
            let Some(root) = self.present.remove(&path) else { continue };
            if self.left.insert(path.clone(), root).is_none() {
                self.left_order.push_back(path);
            }
        }
        while self.left_order.len() > LEFT_MAX {
            let oldest = self.left_order.pop_front();
            oldest.into_iter().for_each(|it| drop(self.left.remove(&it)));
        }
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.present.keys().cloned().collect()
    }

    pub(super) fn get(&self, path: &Path) -> Option<&Arc<Root>> {
        self.present.get(path)
    }

    /// The innermost root that has `path`, and the way from there to it.
    pub(super) fn find_present(&self, path: &Path) -> Option<(Arc<Root>, PathBuf)> {
        find(&self.present, path)
    }

    /// The same; also of what has left.
    pub(super) fn find(&self, path: &Path) -> Option<(Arc<Root>, PathBuf)> {
        self.find_present(path).or_else(|| find(&self.left, path))
    }
}

fn find(roots: &HashMap<PathBuf, Arc<Root>>, path: &Path) -> Option<(Arc<Root>, PathBuf)> {
    path.ancestors().find_map(|it| {
        let root = roots.get(it)?;
        Some((Arc::clone(root), path.strip_prefix(it).ok()?.to_path_buf()))
    })
}

/// Whether a file system, or a part of one, is mounted there; `false` if nobody can tell.
fn is_mount_point(path: &Path) -> bool {
    let found = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS);
    found.is_ok_and(|it| it.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}
