//! Mounted: file systems in memory, made for one scenario.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;

/// A mounted file system; unmounted when dropped.
#[derive(Debug)]
pub(super) struct Mounted(PathBuf);

impl Mounted {
    /// A tmpfs of so many bytes.
    pub(super) fn tmpfs(path: &Path, bytes: u64) -> anyhow::Result<Mounted> {
        let size = format!("size={bytes}");
        Mounted::mount(path, &["-t", "tmpfs", "-o", &size, "logferry-bench"])
    }

    /// An ext4 in a file beside `path`, of so many bytes.
    pub(super) fn ext4(path: &Path, bytes: u64) -> anyhow::Result<Mounted> {
        let image = path.with_extension("img");
        File::create(&image)?.set_len(bytes)?;
        let made = Command::new("mkfs.ext4").arg("-q").arg(&image).status()?;
        ensure!(made.success(), "{}: mkfs.ext4 failed", image.display());
        let image = image.to_string_lossy();
        Mounted::mount(path, &["-t", "ext4", "-o", "loop,noatime", &image])
    }

    fn mount(path: &Path, options: &[&str]) -> anyhow::Result<Mounted> {
        fs::create_dir_all(path)?;
        let mounted = Command::new("mount").args(options).arg(path).status()?;
        ensure!(mounted.success(), "{}: mounting needs root", path.display());
        Ok(Mounted(path.to_owned()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{}: cannot be unmounted", self.0.display());
        }
    }
}
