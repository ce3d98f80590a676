//! Small file: read and replaced as a whole, so that there is always one that is whole, also over a power cut.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::queue::Disk;

/// What is in the file; `None` if there is none.
///
/// # Errors
/// As `open` and `read`.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes another beside it, makes that safe, and renames it over the old one.
///
/// # Errors
/// As `open`, `write`, `fsync` and `rename`; the old one is there then, or the new one.
pub fn replace(path: &Path, bytes: &[u8], disk: &dyn Disk) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let file = File::create(&temporary)?;
    disk.write(&file, 0, bytes, &[])?;
    disk.sync(&file)?;
    disk.rename(&temporary, path)?;
    disk.sync_folder(path.parent().unwrap_or_else(|| Path::new("/")))
}
