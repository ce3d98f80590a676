//! Lock: the file that keeps a second writer out. Readers do not look at it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::options::OpenError;

/// Name of the lock file. No tenant is called so: it is upper case.
pub(super) const LOCK_NAME: &str = "LOCK";
/// Most bytes read of what another holder wrote about itself.
const HOLDER_BYTES_MAX: u64 = 64;

/// Held as long as this process may write. The kernel gives it back when the process ends.
#[derive(Debug)]
pub(super) struct WriterLock {
    /// The lock belongs to the open file.
    _file: File,
}

impl WriterLock {
    pub(super) fn acquire(dir: &Path) -> Result<WriterLock, OpenError> {
        let path = dir.join(LOCK_NAME);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(OpenError::io(&path, "open the lock file"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(OpenError::Locked { dir: dir.to_owned(), holder: holder(&file) });
            }
            Err(error) => return Err(OpenError::io(&path, "lock")(error.into())),
        }
        // Only a courtesy to whoever is refused; on a full disk the lock holds without it.
        let told = file
            .set_len(0)
            .and_then(|()| file.write_all(format!("process {}", std::process::id()).as_bytes()));
        if let Err(error) = told {
            tracing::debug!(path = %path.display(), %error, "lock file stays empty");
        }
        Ok(WriterLock { _file: file })
    }
}

fn holder(file: &File) -> String {
    let mut text = String::new();
    match file.take(HOLDER_BYTES_MAX).read_to_string(&mut text) {
        Ok(1..) => text,
        Ok(0) | Err(_) => "unknown".to_owned(),
    }
}
