//! Disk: an ext4 of its own. It can be full, and its power be cut.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use crate::kit::Mount;

/// A disk whose power can be cut.
#[derive(Debug)]
pub(super) struct Disk {
    mount: Option<Mount>,
    pub(super) path: PathBuf,
}

impl Disk {
    pub(super) fn new(path: PathBuf) -> Disk {
        Disk { mount: Some(Mount::ext4(path.clone())), path }
    }

    /// Everything that was not synced is gone; who writes gets errors until it is mounted again.
    pub(super) fn cut_power(&self) {
        const CUT: &str = "import fcntl, os, struct, sys
EXT4_IOC_SHUTDOWN, WITHOUT_FLUSHING_THE_LOG = 0x8004587D, 2
folder = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(folder, EXT4_IOC_SHUTDOWN, struct.pack('I', WITHOUT_FLUSHING_THE_LOG))";
        let mut command = Command::new("python3");
        let cut = command.args(["-I", "-S", "-c", CUT]).arg(&self.path).status();
        assert!(cut.is_ok_and(|it| it.success()), "the power cannot be cut");
    }

    pub(super) fn mount_again(&mut self) {
        self.mount.take().into_iter().for_each(Mount::unmount);
        self.mount = Some(Mount::ext4_again(self.path.clone()));
        // That it was removed may be forgotten too.
        self.free();
    }

    pub(super) fn fill(&self) {
        let Ok(mut ballast) = File::create(self.path.join("ballast")) else { return };
        while ballast.write_all(&[b'x'; 4096]).is_ok() {}
    }

    pub(super) fn free(&self) {
        drop(fs::remove_file(self.path.join("ballast")));
    }
}
