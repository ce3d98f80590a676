//! Folders: the directories that are known, by their paths and in the order in which they became known.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use crate::discovery::folder::Folder;

/// The directories of one LogConfig.
#[derive(Debug, Default)]
pub(super) struct Folders {
    by_path: HashMap<Arc<Path>, Folder>,
    /// Who goes over all of them piece by piece finds the next one here, whatever came and went meanwhile. Paths are not
    /// in order themselves: each that is heard of is looked up, and comparing them would take ten times as long.
    in_order: BTreeMap<u64, Arc<Path>>,
    /// Of the one that became known last.
    number: u64,
}

impl Folders {
    pub(super) fn get(&self, path: &Path) -> Option<&Folder> {
        self.by_path.get(path)
    }

    pub(super) fn get_mut(&mut self, path: &Path) -> Option<&mut Folder> {
        self.by_path.get_mut(path)
    }

    pub(super) fn is_known(&self, path: &Path) -> bool {
        self.by_path.contains_key(path)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Path, &Folder)> {
        self.by_path.iter().map(|(path, folder)| (&**path, folder))
    }

    /// The first at or behind this place in the order.
    pub(super) fn at_or_behind(&mut self, number: u64) -> Option<(Arc<Path>, &mut Folder)> {
        // One that is taken out is not gone over, and nobody does meanwhile.
        let (_, path) = self.in_order.range(number..).next()?;
        Some((Arc::clone(path), self.by_path.get_mut(path)?))
    }

    /// Takes one out, so that others can be looked at meanwhile; it keeps its place in the order.
    pub(super) fn take(&mut self, path: &Path) -> Option<Folder> {
        self.by_path.remove(path)
    }

    /// Puts it back, or in at the end.
    pub(super) fn put(&mut self, path: &Path, mut folder: Folder) {
        if folder.number == 0 {
            self.number += 1;
            folder.number = self.number;
        }
        let key = self.in_order.entry(folder.number).or_insert_with(|| Arc::from(path));
        self.by_path.insert(Arc::clone(key), folder);
    }

    pub(super) fn remove(&mut self, path: &Path) -> Option<Folder> {
        let folder = self.by_path.remove(path)?;
        self.in_order.remove(&folder.number);
        Some(folder)
    }
}
