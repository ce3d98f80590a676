//! Rotation by renaming: `path` becomes `path.1`, `path.1` becomes `path.2`, and so on.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Most rotated files looked for beyond those that are kept, after the number was lowered.
const BEYOND_MAX: u32 = 10_000;

/// Makes room at `path` for a new file, and removes the oldest if there would be more than `keep`.
///
/// May be called again after an error: what was moved stays moved.
pub(super) fn shift(path: &Path, keep: u32) -> io::Result<()> {
    if keep == 0 {
        return ignore_absent(fs::remove_file(path));
    }
    // Only what stands before the first free number must move.
    let mut last = 1;
    while last < keep && numbered(path, last).try_exists()? {
        last += 1;
    }
    for number in (1..last).rev() {
        fs::rename(numbered(path, number), numbered(path, number + 1))?;
    }
    ignore_absent(fs::rename(path, numbered(path, 1)))
}

/// Removes rotated files with numbers above `keep`, up to the first that does not exist.
pub(super) fn remove_beyond(path: &Path, keep: u32) -> io::Result<()> {
    for number in (1..=BEYOND_MAX).map_while(|beyond| keep.checked_add(beyond)) {
        match fs::remove_file(numbered(path, number)) {
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            removed => removed?,
        }
    }
    Ok(())
}

/// `path.<number>`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn ignore_absent(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
