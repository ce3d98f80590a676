//! Poll: directories that are looked at every scan, and the names in them that wait for memory.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::{Around, Effort, Walk, Why};
use crate::discovery::Selection;

impl Walk {
    /// Has the directories be looked at that nothing tells about.
    pub(in crate::discovery) fn poll(&mut self, around: &mut Around<'_>) {
        if let Selection::Inside(inside) = &around.rule.selection
            && inside.is_unsettled()
        {
            self.renew(around, false);
        }
        let has_room =
            |path: &PathBuf| self.folders.get(path).is_some_and(|it| around.has_room_in(path, it));
        let is_due = |(path, why): &(&PathBuf, &Why)| **why != Why::Short || has_room(path);
        let polled: Vec<PathBuf> =
            self.polled.iter().filter(is_due).map(|(path, _)| path.clone()).collect();
        for directory in polled.into_iter().rev() {
            self.look_later(around, &directory, Effort { files: true, below: false });
        }
    }

    /// Whether the new directory becomes known; else it waits in the one that it is in.
    pub(super) fn knows(
        &mut self,
        around: &mut Around<'_>,
        path: &Path,
        parent: &Path,
        name: &OsStr,
    ) -> bool {
        let Some(folder) = self.folders.get_mut(parent) else { return true };
        let is_short = !folder.unknown.is_empty();
        let knows = around.knows_directory(path, folder, name);
        if !knows {
            if is_short {
                // Perhaps it was counted before.
                folder.modified_ns = None;
            }
            self.polled.entry(parent.to_path_buf()).or_insert(Why::Short);
        }
        knows
    }

    /// Whether a new directory still has room after all that was found before it, and below that.
    pub(super) fn enters_fresh(&mut self, around: &mut Around<'_>, path: &Path) -> bool {
        if self.folders.is_known(path) {
            // It was heard of meanwhile.
            return true;
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return false };
        let Some(folder) = self.folders.get_mut(parent) else { return false };
        if !folder.children.remove(name) {
            // It was heard that it is gone.
            return false;
        }
        let knows = around.knows_directory(path, folder, name);
        if knows {
            folder.children.insert(name.to_owned());
        } else {
            self.schedule(parent);
        }
        knows
    }

    /// Has a directory that was looked at be looked at every scan, if that is needed.
    pub(super) fn schedule(&mut self, directory: &Path) {
        let Some(folder) = self.folders.get(directory) else { return };
        let why = match (folder.is_watched, folder.unknown.is_empty()) {
            (false, _) => Some(Why::Unwatched),
            (true, false) => Some(Why::Short),
            (true, true) => None,
        };
        match why {
            Some(why) => drop(self.polled.insert(directory.to_path_buf(), why)),
            None => drop(self.polled.remove(directory)),
        }
    }
}
