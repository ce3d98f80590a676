//! Fingerprint of the configuration's files: whether it is worth loading them again.
//!
//! By looking, once a second: a mounted ConfigMap changes by a flip of links, an editor by a rename, a
//! network file system without any event; a look sees them all.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Identity, size and time of each file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<(PathBuf, u64, u64, i64, i64)>);

impl Fingerprint {
    /// Of files and of the files in directories.
    pub(super) fn of(paths: &[PathBuf]) -> Fingerprint {
        let mut files = Vec::new();
        for path in paths {
            add(path, &mut files);
            let Ok(entries) = path.read_dir() else { continue };
            entries.flatten().for_each(|entry| add(&entry.path(), &mut files));
        }
        files.sort();
        Fingerprint(files)
    }
}

fn add(path: &Path, files: &mut Vec<(PathBuf, u64, u64, i64, i64)>) {
    // What cannot be looked at cannot be loaded either, which `load` says better.
    let Ok(it) = path.metadata() else { return };
    files.push((path.to_path_buf(), it.ino(), it.size(), it.mtime(), it.mtime_nsec()));
}
