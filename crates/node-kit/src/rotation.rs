//! Rotation: what the kubelet does to a log that has grown too large.
//!
//! The order is that of `pkg/kubelet/logs/container_log_manager.go` of Kubernetes: what an earlier rotation left
//! behind goes first, then the oldest rotated files; what is left is compressed; the live file is renamed; and only then
//! the runtime is told to make a new one. If it cannot, the name is given back.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::container::Container;

/// How logs are rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Files to keep with the live one (`containerLogMaxFiles`).
    pub files_max: usize,
}

impl Default for Rotation {
    /// The kubelet's.
    fn default() -> Rotation {
        Rotation { files_max: 5 }
    }
}

impl Container<'_> {
    /// Rotates its log, once, whatever its size.
    ///
    /// # Errors
    ///
    /// What the runtime says, if it does not make a new file; or if a file cannot be read or removed.
    pub fn rotate(&self, rotation: &Rotation) -> Result<()> {
        let (leftovers, mut kept): (Vec<PathBuf>, Vec<PathBuf>) =
            self.rotated()?.into_iter().partition(|path| is_leftover(path));
        let excess = kept.len().saturating_sub(rotation.files_max.saturating_sub(2));
        for path in leftovers.into_iter().chain(kept.drain(..excess)) {
            fs::remove_file(path)?;
        }
        for path in kept.iter().filter(|path| path.extension() != Some(OsStr::new("gz"))) {
            compress(path).with_context(|| path.display().to_string())?;
        }
        let rotated = self.next_name()?;
        fs::rename(self.log(), &rotated)?;
        self.reopen_log().or_else(|error| {
            fs::rename(&rotated, self.log())?;
            Err(error)
        })
    }

    /// Rotated files, whatever they end in, oldest first.
    ///
    /// # Errors
    ///
    /// If its folder is gone.
    pub fn rotated(&self) -> Result<Vec<PathBuf>> {
        let folder = self.log().parent().context("its log is in a folder")?;
        let live = self.log().file_name().context("its log has a name")?;
        let mut rotated = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().as_bytes();
            if name.strip_prefix(live.as_bytes()).is_some_and(|rest| rest.starts_with(b".")) {
                rotated.push(path);
            }
        }
        rotated.sort();
        Ok(rotated)
    }

    /// Names tell seconds, and no two are the same: the kubelet looks once in ten of them.
    fn next_name(&self) -> Result<PathBuf> {
        let mut last = self.last_rotation.lock().unwrap_or_else(PoisonError::into_inner);
        *last =
            (*last + 1).max(rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec);
        let time = jiff::Timestamp::from_second(*last)?;
        Ok(with_suffix(self.log(), &time.strftime(".%Y%m%d-%H%M%S").to_string()))
    }
}

/// Half a compressed file, or what a compressed one was made of.
fn is_leftover(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("tmp"))
        || fs::exists(with_suffix(path, ".gz")).is_ok_and(|is_there| is_there)
}

fn compress(path: &Path) -> io::Result<()> {
    let temporary = with_suffix(path, ".tmp");
    let mut encoder = GzEncoder::new(File::create(&temporary)?, Compression::default());
    io::copy(&mut File::open(path)?, &mut encoder)?;
    encoder.finish()?;
    fs::rename(temporary, with_suffix(path, ".gz"))?;
    fs::remove_file(path)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
