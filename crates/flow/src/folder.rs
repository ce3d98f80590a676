//! Folder: made so that no power cut takes it away again.
//!
//! What is synced in a folder is no safer than the folder's own name, which stands in the one above.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Makes a folder and those above it, each safe before anything is made in it. One that is there may have been made
/// by a process that died before it was safe: its name is made so.
///
/// # Errors
/// As mkdir(2) and fsync(2); what was made by then stays, and the next call goes on there.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    let folder = std::path::absolute(folder)?;
    let mut missing: Vec<PathBuf> = Vec::new();
    for above in folder.ancestors() {
        match std::fs::metadata(above) {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(above.into()),
            Err(error) => return Err(error),
        }
    }
    sync_name(missing.last().and_then(|it| it.parent()).unwrap_or(&folder))?;
    for folder in missing.iter().rev() {
        match std::fs::create_dir(folder) {
            // Somebody else was faster.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => sync_name(folder)?,
        }
    }
    // As mkdir(2) says it of a name that another kind of file has.
    let is_folder = std::fs::metadata(&folder)?.is_dir();
    if is_folder { Ok(()) } else { Err(io::ErrorKind::AlreadyExists.into()) }
}

/// Makes the name of a folder safe from a power cut.
fn sync_name(folder: &Path) -> io::Result<()> {
    let Some(above) = folder.parent() else { return Ok(()) };
    match File::open(above).and_then(|above| above.sync_all()) {
        // Who may not list it, or whose folder is mounted there, has its own: with it a file system stores what
        // it did before, and that is its name.
        Err(error) if is_not_ours(&error) => File::open(folder)?.sync_all(),
        synced => synced,
    }
}

/// Whether the folder above is not for us to sync.
fn is_not_ours(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own for a test.
    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("flow-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&path));
        path
    }

    #[test]
    #[cfg_attr(miri, ignore = "makes folders")]
    fn folders_are_made_as_deep_as_they_are_wanted_and_any_number_of_times() {
        let root = scratch("made");
        for _ in 0..2 {
            make_folder(&root.join("a/b/c")).unwrap();
            assert!(root.join("a/b/c").is_dir());
        }
        make_folder(Path::new("/")).unwrap();
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    #[cfg_attr(miri, ignore = "makes folders")]
    fn what_is_no_folder_is_an_error_and_stays() {
        let root = scratch("file");
        make_folder(&root).unwrap();
        let file = root.join("file");
        std::fs::write(&file, "kept").unwrap();
        let error = make_folder(&file).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(make_folder(&file.join("in")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        assert_eq!(std::fs::read(&file).unwrap(), b"kept");
        std::fs::remove_dir_all(root).unwrap();
    }
}
