//! Follow: reads what another process stores in its checkpoint, as it is stored.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::format::{self, FrameError, HEADER_BYTES};
use super::{Entry, load, name};

/// Follows the checkpoint in a state directory that is another's: it takes no lock and writes nothing.
#[derive(Debug)]
pub struct Follower {
    directory: PathBuf,
    /// The file being followed, and how far; `None` before the first one.
    at: Option<Place>,
}

#[derive(Debug)]
struct Place {
    sequence: u64,
    file: File,
    offset: u64,
    /// Nothing behind `offset` can be read: the next file tells.
    is_damaged: bool,
}

impl Follower {
    /// Follows what is stored there, from its beginning on. The directory may be made later.
    #[must_use]
    pub fn new(directory: &Path) -> Follower {
        Follower { directory: directory.to_path_buf(), at: None }
    }

    /// Calls `each` with every entry that was stored since the last call, in their order; all of a context
    /// that come first, and at each new file, are told again.
    ///
    /// # Errors
    /// If it cannot be read now; the next call goes on where this one stopped.
    pub fn poll(&mut self, mut each: impl FnMut(&Entry)) -> io::Result<()> {
        self.read(&mut each)?;
        let Some(newest) = self.newest()? else { return Ok(()) };
        if self.at.as_ref().is_none_or(|it| it.sequence < newest) {
            let file = match File::open(self.directory.join(name(newest))) {
                Ok(file) => file,
                // Replaced in this moment.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            };
            self.at = Some(Place { sequence: newest, file, offset: 0, is_damaged: false });
            self.read(&mut each)?;
        }
        Ok(())
    }

    fn newest(&self) -> io::Result<Option<u64>> {
        let names: io::Result<Vec<String>> = match std::fs::read_dir(&self.directory) {
            Ok(entries) => {
                entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(load::sequences(&names?).into_iter().max())
    }

    /// Reads what was appended.
    fn read(&mut self, each: &mut impl FnMut(&Entry)) -> io::Result<()> {
        let Some(at) = self.at.as_mut().filter(|it| !it.is_damaged) else { return Ok(()) };
        let len = at.file.metadata()?.len().saturating_sub(at.offset);
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        // The writer cuts off what it could not write whole.
        match at.file.read_exact_at(&mut bytes, at.offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        }
        let mut rest = bytes.as_slice();
        if at.offset == 0 {
            if rest.len() < HEADER_BYTES {
                return Ok(());
            }
            if format::read_header(rest).is_err() {
                at.is_damaged = true;
                return Ok(());
            }
            (rest, at.offset) = (&rest[HEADER_BYTES..], HEADER_BYTES as u64);
        }
        while !rest.is_empty() {
            match format::read_frame(rest) {
                Ok((_, entries, len)) => {
                    entries.iter().for_each(&mut *each);
                    (rest, at.offset) = (&rest[len..], at.offset + len as u64);
                }
                // Being written.
                Err(FrameError::Torn) => break,
                Err(FrameError::Damaged) => {
                    at.is_damaged = true;
                    break;
                }
            }
        }
        Ok(())
    }
}
