//! Offset file: keeps the offsets of a sink in a file of its own, which is replaced as a whole.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::brokers::KeepOffsets;
use crate::queue::SystemDisk;
use crate::small_file;

/// Keeps offsets in a file.
#[derive(Debug)]
pub(super) struct OffsetFile {
    path: PathBuf,
    /// Its folder is there and safe.
    has_folder: AtomicBool,
}

impl OffsetFile {
    /// The file at `path`, which need not be there.
    pub(super) fn at(path: &Path) -> Box<dyn KeepOffsets> {
        Box::new(OffsetFile { path: path.to_path_buf(), has_folder: AtomicBool::new(false) })
    }
}

impl KeepOffsets for OffsetFile {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        small_file::read(&self.path)
    }

    fn store(&self, bytes: &[u8]) -> io::Result<()> {
        if !self.has_folder.load(Ordering::Relaxed) {
            flow::make_folder(self.path.parent().unwrap_or_else(|| Path::new("/")))?;
        }
        let replaced = small_file::replace(&self.path, bytes, &SystemDisk);
        self.has_folder.store(replaced.is_ok(), Ordering::Relaxed);
        replaced
    }
}
