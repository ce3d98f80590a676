//! Rotation: a log file that is renamed away and made anew, the kubelet's way.
//!
//! Order of one rotation: remove the oldest rotated files, rename the live one to
//! `NAME.YYYYMMDD-HHMMSS`, and only then, perhaps late, make the new live file. Until then the
//! writer goes on in the renamed inode, as a container runtime does before it is told to reopen.
//! Source: `pkg/kubelet/logs/container_log_manager.go` of Kubernetes. Unlike the kubelet nothing is
//! compressed here, and rotation comes at the byte and not every ten seconds.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use memchr::memchr;

use crate::clocks::{SECOND_NS, monotonic_ns, rotation_suffix};

/// When to rotate, and what to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Size at which the live file is rotated, in bytes; it is passed by at most one line.
    pub bytes: u64,
    /// Files to keep with the live one, as `containerLogMaxFiles`; at least 2.
    pub files_max: usize,
    /// How long to write on into the renamed file before the new one is made, in nanoseconds.
    pub late_ns: u64,
}

/// A log file and its rotated generations.
#[derive(Debug)]
pub struct RollingFile {
    path: PathBuf,
    file: File,
    /// Bytes in the live file.
    bytes: u64,
    rotation: Option<Rotation>,
    /// Rotated files that still exist, oldest first.
    rotated: VecDeque<PathBuf>,
    /// Second in the name of the last rotated file: names have one of their own each.
    last_second: u64,
    /// Set between rename and reopening: when to reopen, by the monotonic clock.
    reopen_at_ns: Option<u64>,
}

impl RollingFile {
    /// Makes the file, and folders up to it.
    ///
    /// # Errors
    /// If it cannot be made, or is there already: numbers of lines would begin anew in it.
    pub fn create(path: &Path, rotation: Option<Rotation>) -> io::Result<RollingFile> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(RollingFile {
            path: path.to_owned(),
            file: make(path)?,
            bytes: 0,
            rotation,
            rotated: VecDeque::new(),
            last_second: 0,
            reopen_at_ns: None,
        })
    }

    /// Path of the live file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes whole lines, rotating between two of them where the size says so.
    ///
    /// `unix_ns` is the time that a rotated file is named after.
    ///
    /// # Errors
    /// If writing, renaming or making a file fails.
    pub fn write(&mut self, mut lines: &[u8], unix_ns: u64) -> io::Result<()> {
        while !lines.is_empty() {
            if self.reopen_at_ns.is_some_and(|at| monotonic_ns() >= at) {
                self.reopen()?;
            }
            let (now, later) = lines.split_at(self.bytes_until_rotation(lines));
            self.file.write_all(now)?;
            self.bytes += now.len() as u64;
            lines = later;
            self.rotate_if_due(unix_ns)?;
        }
        Ok(())
    }

    /// Ends the writing: a reopening that is pending takes place, as the kubelet would have it.
    ///
    /// # Errors
    /// If the new live file cannot be made.
    pub fn finish(&mut self) -> io::Result<()> {
        match self.reopen_at_ns {
            Some(_) => self.reopen(),
            None => Ok(()),
        }
    }

    /// Bytes of `lines` up to the end of the line that reaches the size of rotation.
    fn bytes_until_rotation(&self, lines: &[u8]) -> usize {
        let (Some(rotation), None) = (self.rotation, self.reopen_at_ns) else {
            return lines.len();
        };
        let room = usize::try_from(rotation.bytes.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
        if room > lines.len() {
            return lines.len();
        }
        let from = room.saturating_sub(1);
        memchr(b'\n', &lines[from..]).map_or(lines.len(), |at| from + at + 1)
    }

    fn rotate_if_due(&mut self, unix_ns: u64) -> io::Result<()> {
        match self.rotation {
            Some(rotation) if self.reopen_at_ns.is_none() && self.bytes >= rotation.bytes => {
                self.rotate(rotation, unix_ns)
            }
            _ => Ok(()),
        }
    }

    fn rotate(&mut self, rotation: Rotation, unix_ns: u64) -> io::Result<()> {
        while self.rotated.len() + 2 > rotation.files_max {
            let Some(oldest) = self.rotated.pop_front() else { break };
            fs::remove_file(oldest)?;
        }
        self.last_second = (unix_ns / SECOND_NS).max(self.last_second + 1);
        let mut name = self.path.clone().into_os_string();
        name.push(".");
        name.push(rotation_suffix(self.last_second));
        let renamed = PathBuf::from(name);
        fs::rename(&self.path, &renamed)?;
        self.rotated.push_back(renamed);
        if rotation.late_ns == 0 {
            return self.reopen();
        }
        self.reopen_at_ns = Some(monotonic_ns() + rotation.late_ns);
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.file = make(&self.path)?;
        self.bytes = 0;
        self.reopen_at_ns = None;
        Ok(())
    }
}

fn make(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIX_NS: u64 = 1_795_255_199 * SECOND_NS;

    fn rotation(bytes: u64, files_max: usize, late_ns: u64) -> Option<Rotation> {
        Some(Rotation { bytes, files_max, late_ns })
    }

    /// Names and contents, oldest first.
    fn files(folder: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        // The live file has no suffix and sorts first, but is the newest.
        files.rotate_left(1);
        files
    }

    #[test]
    fn generations_in_order_are_the_stream() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let mut file = RollingFile::create(&path, rotation(10, 100, 0)).unwrap();
        let mut stream = String::new();
        for index in 0..40 {
            let lines = format!("line {index}\nx\n");
            file.write(lines.as_bytes(), UNIX_NS).unwrap();
            stream.push_str(&lines);
        }
        let files = files(folder.path());
        assert!(files.len() > 10);
        assert_eq!(files.iter().map(|(_, text)| text.as_str()).collect::<String>(), stream);
        for (name, text) in &files[..files.len() - 1] {
            assert!(text.len() >= 10 && text.ends_with('\n'), "{name}: {text:?}");
        }
        assert_eq!(files[0].0, "0.log.20261121-095959");
        assert_eq!(files[1].0, "0.log.20261121-100000", "a second of its own each");
    }

    #[test]
    fn one_long_write_rotates_as_often_as_it_takes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let mut file = RollingFile::create(&path, rotation(4, 100, 0)).unwrap();
        file.write(b"abc\nde\nf\nghijklm\n", UNIX_NS).unwrap();
        let texts: Vec<String> = files(folder.path()).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["abc\n", "de\nf\n", "ghijklm\n", ""]);
    }

    #[test]
    fn oldest_files_go_beyond_what_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let mut file = RollingFile::create(&path, rotation(2, 3, 0)).unwrap();
        for letter in ["a\n", "b\n", "c\n", "d\n", "e\n"] {
            file.write(letter.as_bytes(), UNIX_NS).unwrap();
        }
        let texts: Vec<String> = files(folder.path()).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["d\n", "e\n", ""]);
    }

    #[test]
    fn late_writes_go_to_the_renamed_file_until_it_is_reopened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let hour_ns = 3600 * SECOND_NS;
        let mut file = RollingFile::create(&path, rotation(2, 5, hour_ns)).unwrap();
        file.write(b"a\nlate\n", UNIX_NS).unwrap();
        file.write(b"later\n", UNIX_NS).unwrap();
        assert!(!path.try_exists().unwrap(), "nobody made the new file yet");
        file.finish().unwrap();
        let files = files(folder.path());
        assert_eq!(files[0].1, "a\nlate\nlater\n");
        assert_eq!(files[1], ("0.log".to_owned(), String::new()));
    }

    #[test]
    fn a_file_that_is_there_already_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        fs::write(&path, "old\n").unwrap();
        let error = RollingFile::create(&path, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }
}
