//! Kubelet: rotates a container's log as the real one does, one operation at a time.
//!
//! The order is that of `pkg/kubelet/logs/container_log_manager.go` of Kubernetes: what an earlier
//! rotation left behind goes first, then the oldest rotated files; what is left is compressed; the
//! live file is renamed; and only then the runtime is told to make a new one. A test may stop after
//! any operation, as a kubelet that is killed does, and write between any two.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Second since 1970 that the first rotated file is named after: 2026-01-02T03:04:05Z.
const FIRST_SECOND: i64 = 1_767_323_045;

/// Folder of a container's logs in a bed, named as the kubelet names it.
pub(crate) const POD: &str = "pods/shop_web-0_11111111-2222-4333-8444-555555555555/nginx";

/// A container whose runtime writes to `0.log`, and the kubelet that rotates it.
#[derive(Debug)]
pub(crate) struct Container {
    folder: PathBuf,
    /// What the runtime writes to, whatever it is called now.
    file: File,
    /// Files to keep with the live one, as `containerLogMaxFiles`.
    files_max: usize,
    /// The real kubelet always compresses; tests of an agent that is not to meet `.gz` do not.
    compresses: bool,
    rotations: i64,
    lines: u64,
}

/// One thing that the kubelet does, or has the runtime do, to the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Removes a file.
    Remove(PathBuf),
    /// Writes the first file, compressed, to the second.
    Compress(PathBuf, PathBuf),
    /// Renames the first to the second.
    Rename(PathBuf, PathBuf),
    /// Has the runtime make a new `0.log` and write to it from now on.
    Reopen,
}

impl Container {
    /// A container with an empty `0.log` in `folder`, which is made; five files are kept.
    pub(crate) fn create(folder: &Path) -> Container {
        fs::create_dir_all(folder).expect("ours");
        Container {
            folder: folder.to_owned(),
            file: append_to(&folder.join("0.log")),
            files_max: 5,
            compresses: false,
            rotations: 0,
            lines: 0,
        }
    }

    /// Rotated files are compressed from now on, as the real kubelet does.
    pub(crate) fn compressing(self) -> Container {
        Container { compresses: true, ..self }
    }

    pub(crate) fn live(&self) -> PathBuf {
        self.folder.join("0.log")
    }

    /// The runtime writes `count` numbered lines, in one write.
    pub(crate) fn write(&mut self, count: u64) {
        let numbers = self.lines..self.lines + count;
        let text: String = numbers.map(line).collect();
        self.file.write_all(text.as_bytes()).expect("can be written");
        self.lines += count;
    }

    /// Bodies of all lines written.
    pub(crate) fn bodies(&self) -> Vec<String> {
        (0..self.lines).map(body).collect()
    }

    /// Bytes of each line in the file.
    pub(crate) fn line_bytes(&self) -> u64 {
        line(0).len() as u64
    }

    /// What the kubelet would do now, one after the other.
    pub(crate) fn plan(&self) -> Vec<Operation> {
        let (mut kept, leftovers): (Vec<PathBuf>, Vec<PathBuf>) = self
            .rotated()
            .into_iter()
            .partition(|path| !has_suffix(path, ".tmp") && !has_compressed(path));
        let mut operations: Vec<Operation> = leftovers.into_iter().map(Operation::Remove).collect();
        let excess = kept.len().saturating_sub(self.files_max.saturating_sub(2));
        operations.extend(kept.drain(..excess).map(Operation::Remove));
        for path in kept.into_iter().filter(|path| self.compresses && !has_suffix(path, ".gz")) {
            let (temporary, compressed) = (with_suffix(&path, ".tmp"), with_suffix(&path, ".gz"));
            operations.push(Operation::Compress(path.clone(), temporary.clone()));
            operations.push(Operation::Rename(temporary, compressed));
            operations.push(Operation::Remove(path));
        }
        operations.push(Operation::Rename(self.live(), self.next_name()));
        operations.push(Operation::Reopen);
        operations
    }

    /// Does one operation.
    pub(crate) fn perform(&mut self, operation: &Operation) {
        match operation {
            Operation::Remove(path) => fs::remove_file(path).expect("is there"),
            Operation::Compress(path, into) => compress(path, into).expect("can be compressed"),
            Operation::Rename(from, to) => {
                fs::rename(from, to).expect("is there");
                // Names have a second of their own each; the real kubelet rotates no faster.
                self.rotations += i64::from(*from == self.live());
            }
            Operation::Reopen => self.file = append_to(&self.live()),
        }
    }

    /// A whole rotation.
    pub(crate) fn rotate(&mut self) {
        for operation in self.plan() {
            self.perform(&operation);
        }
    }

    /// What the kubelet does when the runtime cannot make the new file: the name is given back.
    pub(crate) fn rename_back(&self) {
        let newest = self.rotated().pop().expect("was renamed");
        fs::rename(newest, self.live()).expect("is there");
    }

    /// Rotated files, whatever they end in, oldest first.
    pub(crate) fn rotated(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).expect("ours");
        let paths = entries.map(|entry| entry.expect("ours").path());
        let mut rotated: Vec<PathBuf> = paths.filter(|path| *path != self.live()).collect();
        rotated.sort();
        rotated
    }

    fn next_name(&self) -> PathBuf {
        let time = jiff::Timestamp::from_second(FIRST_SECOND + self.rotations).expect("in range");
        with_suffix(&self.live(), &time.strftime(".%Y%m%d-%H%M%S").to_string())
    }
}

/// A line as the runtime writes it.
fn line(number: u64) -> String {
    format!("2026-01-02T03:04:05Z stdout F {}\n", body(number))
}

/// Body of a line.
fn body(number: u64) -> String {
    format!("line {number:06} of a container that writes and writes")
}

fn append_to(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).expect("can be made")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn has_suffix(path: &Path, suffix: &str) -> bool {
    path.to_string_lossy().ends_with(suffix)
}

fn has_compressed(path: &Path) -> bool {
    with_suffix(path, ".gz").try_exists().expect("ours")
}

fn compress(path: &Path, into: &Path) -> io::Result<()> {
    let mut encoder = GzEncoder::new(File::create(into)?, Compression::fast());
    io::copy(&mut File::open(path)?, &mut encoder)?;
    encoder.finish()?;
    Ok(())
}
