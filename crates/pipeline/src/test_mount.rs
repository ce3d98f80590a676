//! A small tmpfs for tests of full disks. Needs root; a test that cannot mount fails and says so.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted tmpfs, unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts a tmpfs of `size` over `path`.
    pub(crate) fn new(path: &Path, size: &str) -> Tmpfs {
        let option = format!("size={size}");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &option, "logferry-test"])
            .arg(path)
            .status()
            .expect("mount(8) is part of Debian");
        assert!(status.success(), "cannot mount a tmpfs: this test needs root");
        Tmpfs { path: path.to_path_buf() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: the test may still hold files open when it fails.
        drop(Command::new("umount").arg("-l").arg(&self.path).status());
    }
}
