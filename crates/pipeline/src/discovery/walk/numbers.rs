//! Numbers: what a walk has to tell of what it knows.

use std::sync::Arc;

use super::{Walk, Why};
use crate::discovery::Rule;
use crate::discovery::standing::Standing;
use crate::reader::ShortFolder;

/// What walks know together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::discovery) struct Numbers {
    /// Pods that are selected, and not read since their tenant may not; of files inside of them, containers.
    pub(in crate::discovery) denied: usize,
    /// Pods that wait for what is to be told of them.
    pub(in crate::discovery) waiting: usize,
}

impl Walk {
    /// Whether any directory has to be looked at every scan.
    pub(in crate::discovery) fn has_polled(&self) -> bool {
        !self.polled.is_empty()
    }

    /// How many directories are there and not watched.
    pub(in crate::discovery) fn unwatched(&self) -> usize {
        self.polled.values().filter(|it| **it == Why::Unwatched).count()
    }

    /// Adds what it knows, and who pays for it, in one look at all directories.
    pub(in crate::discovery) fn add_to(&self, sum: &mut Numbers, standing: &mut Standing) {
        sum.denied += self.denied_inside;
        for (path, folder) in self.folders.iter() {
            sum.denied += folder.denied;
            sum.waiting += folder.waiting;
            standing.count(&folder.tenant, folder.bytes(path.as_os_str().len()));
            folder
                .unknown
                .iter()
                .for_each(|(tenant, names)| standing.count_waiting(tenant, *names));
        }
    }

    /// The directories with names for which there is no memory.
    pub(in crate::discovery) fn short_folders<'a>(
        &'a self,
        rule: &'a Rule,
    ) -> impl Iterator<Item = ShortFolder> + 'a {
        let short = self.folders.iter().filter(|(_, folder)| !folder.unknown.is_empty());
        short.map(|(path, folder)| {
            let waiting = folder.unknown.iter().map(|(tenant, names)| (Arc::clone(tenant), *names));
            let rule = Arc::clone(&rule.name);
            ShortFolder { path: path.to_path_buf(), rule, waiting: waiting.collect() }
        })
    }
}
