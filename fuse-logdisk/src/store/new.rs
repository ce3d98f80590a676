//! New: what is being made, and has no name yet that anybody sees.

use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::place::NEW;
use super::{Inner, Store};

/// Something that is being made; gone when dropped, unless it was renamed to where it is to be.
#[derive(Debug)]
pub(super) struct New(PathBuf);

impl Deref for New {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for New {
    fn drop(&mut self) {
        let removed = match rustix::fs::unlink(&self.0) {
            Err(Errno::ISDIR) => rustix::fs::rmdir(&self.0),
            removed => removed,
        };
        if !matches!(removed, Ok(()) | Err(Errno::NOENT)) {
            tracing::warn!(path = %self.0.display(), "left behind until the next start");
        }
    }
}

impl Store {
    /// A name for something that is being made.
    pub(super) fn next_new(&self, inner: &mut Inner) -> New {
        inner.made += 1;
        New(self.folder.join(NEW).join(inner.made.to_string()))
    }

    /// Makes an empty file that has no place yet.
    pub(super) fn make(&self, inner: &mut Inner) -> Result<(New, File), Errno> {
        let new = self.next_new(inner);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::open(&*new, flags, Mode::RUSR | Mode::WUSR)?;
        Ok((new, File::from(file)))
    }
}
