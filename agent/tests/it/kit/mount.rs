//! Mount: a small tmpfs, to be filled up.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tmpfs; unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts a tmpfs of so many bytes at `path`, which is made.
    pub(crate) fn mount(path: PathBuf, bytes: u64) -> Tmpfs {
        fs::create_dir_all(&path).expect("ours");
        let size = format!("size={bytes},mode=0755");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "logferry-test"])
            .arg(&path)
            .output()
            .expect("mount can be started");
        let why = String::from_utf8_lossy(&mount.stderr);
        assert!(mount.status.success(), "{}: {why}; these tests run as root", path.display());
        Tmpfs { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file of its own until nothing but `left` bytes fits.
    pub(crate) fn fill(&self, left: u64) {
        let ballast = self.path.join("ballast");
        let mut file = File::create(&ballast).expect("can be made");
        let block = [b'x'; 4096];
        while file.write_all(&block).is_ok() {}
        let full = file.metadata().expect("is open").len();
        file.set_len(full.saturating_sub(left)).expect("can be cut");
    }

    /// Removes what `fill` wrote.
    pub(crate) fn free(&self) {
        fs::remove_file(self.path.join("ballast")).expect("is there");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: an agent that is still ending may have files open.
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.path).status();
        if !unmounted.is_ok_and(|it| it.success()) {
            eprintln!("{}: stays mounted", self.path.display());
        }
    }
}
