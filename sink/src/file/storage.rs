//! What a file sink needs of a file: five calls, so that tests can make each of them fail.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

/// A file open for appending.
pub(super) trait Storage: Debug + Send + Sync {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// The byte before offset `end`, which is above 0.
    fn last_byte(&self, end: u64) -> io::Result<u8>;
    /// Writes at the end: all, or on error perhaps a part.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Takes away what lies beyond `len` bytes.
    fn cut(&self, len: u64) -> io::Result<()>;
    /// Returns when all that was appended is on the medium.
    fn sync(&self) -> io::Result<()>;
}

/// How a file is opened or created for appending, so that its name outlives a crash.
pub(super) type Opener = fn(&Path) -> io::Result<Arc<dyn Storage>>;

/// A file of the file system.
#[derive(Debug)]
pub(super) struct Disk {
    file: File,
}

impl Disk {
    pub(super) fn open(path: &Path) -> io::Result<Arc<dyn Storage>> {
        let file = File::options().read(true).append(true).create(true).open(path)?;
        sync_folder_of(path)?;
        Ok(Arc::new(Disk { file }))
    }
}

impl Storage for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn last_byte(&self, end: u64) -> io::Result<u8> {
        let mut last = [0];
        self.file.read_exact_at(&mut last, end - 1)?;
        Ok(last[0])
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.file).write_all(bytes)
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Makes the names in the folder of `path` as durable as the files: `fsync(2)` of a file does not
/// cover its entry in the folder.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}
