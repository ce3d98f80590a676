//! Offset file: keeps the offsets of a sink in a file of its own, which is replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::brokers::KeepOffsets;

/// Keeps offsets in a file.
#[derive(Debug)]
pub(super) struct OffsetFile {
    path: PathBuf,
}

impl OffsetFile {
    /// The file at `path`, which need not be there.
    pub(super) fn at(path: &Path) -> Box<dyn KeepOffsets> {
        Box::new(OffsetFile { path: path.to_path_buf() })
    }
}

impl KeepOffsets for OffsetFile {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn store(&self, bytes: &[u8]) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or_else(|| Path::new("/"));
        fs::create_dir_all(directory)?;
        let temporary = self.path.with_extension("new");
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        File::open(directory)?.sync_all()
    }
}
