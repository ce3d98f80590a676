//! A small tmpfs for tests of full disks. Needs root; a test that cannot mount fails and says so.
//!
//! By system calls, not by `mount(8)`: between fork and exec a child would hold the locks of the state folders that
//! other tests have just closed.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// A mounted tmpfs, unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts a tmpfs of `size` over `path`.
    pub(crate) fn new(path: &Path, size: &str) -> Tmpfs {
        let option = CString::new(format!("size={size}")).expect("no NUL");
        mount("logferry-test", path, "tmpfs", MountFlags::empty(), option.as_c_str())
            .expect("this test needs the right to mount a tmpfs");
        Tmpfs { path: path.to_path_buf() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: the test may still hold files open when it fails.
        unmount(&self.path, UnmountFlags::DETACH).unwrap_or_default();
    }
}
