//! Reads the files that hold the configuration; the only part that touches the file system.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::problem::{Place, Problem, Problems, Severity};
use crate::{Settings, limits, resolve};

/// A configuration file, or why it could not be read.
#[derive(Debug)]
pub struct ConfigFile {
    /// How problems call it.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: io::Result<Vec<u8>>,
}

/// Loads what [`read`] reads.
///
/// # Errors
/// Every problem of every file, if one of them is an error.
pub fn load(paths: &[PathBuf]) -> Result<Settings, Problems> {
    resolve(read(paths)?)
}

/// Reads files and directories: of a directory its `*.yaml` and `*.yml`, sorted, not recursively.
///
/// Files whose name begins with a dot are passed over, as a mounted ConfigMap has some. A file that
/// is named twice is read once.
///
/// # Errors
/// If there are more files than there may be. One that cannot be read is a file without bytes.
pub fn read(paths: &[PathBuf]) -> Result<Vec<ConfigFile>, Problems> {
    let mut files: Vec<ConfigFile> = Vec::new();
    for path in paths {
        let found = match find(path) {
            Ok(found) => found,
            Err(error) => {
                files.push(ConfigFile { path: path.clone(), bytes: Err(error) });
                continue;
            }
        };
        for path in found {
            if files.len() > limits::FILES_MAX {
                return Err(Problems(vec![too_many(&path)]));
            }
            if files.iter().all(|file| file.path != path) {
                let bytes = bytes_of(&path);
                files.push(ConfigFile { path, bytes });
            }
        }
    }
    Ok(files)
}

/// The files that `path` stands for.
fn find(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.metadata()?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    for entry in path.read_dir()? {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|it| it.as_encoded_bytes().starts_with(b"."));
        let is_yaml = path.extension().is_some_and(|it| it == "yaml" || it == "yml");
        if is_yaml && !is_hidden {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::other("a directory within a configuration directory"));
    }
    let mut bytes = Vec::new();
    // One byte more than allowed, so that a longer file shows.
    file.take(limits::FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn too_many(path: &Path) -> Problem {
    Problem {
        severity: Severity::Error,
        place: Some(Place { file: path.to_path_buf(), line: 0, column: 0 }),
        resource: String::new(),
        path: String::new(),
        what: String::new(),
        why: format!("more than {} files", limits::FILES_MAX),
        cure: "put several documents into one file, separated by `---`".to_owned(),
    }
}
