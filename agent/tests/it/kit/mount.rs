//! Mount: a small tmpfs, to be filled up; and other file systems, for what is special to them.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{wait_for, wait_until};

/// A file system; unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Mount {
    path: PathBuf,
}

impl Mount {
    /// Mounts what `arguments` say at `path`, which is made.
    fn at(path: PathBuf, arguments: &[&str]) -> Mount {
        fs::create_dir_all(&path).expect("ours");
        run(Command::new("mount").args(arguments).arg(&path));
        Mount { path }
    }

    /// Mounts an ext4 of its own, in a file beside `path`.
    pub(crate) fn ext4(path: PathBuf) -> Mount {
        let image = path.with_extension("image");
        File::create(&image).and_then(|file| file.set_len(EXT4_BYTES)).expect("can be made");
        run(Command::new("mkfs.ext4").arg("-q").arg(&image));
        let image = image.to_string_lossy().into_owned();
        Mount::at(path, &["-o", "loop", &image])
    }

    /// Mounts again what [`Mount::ext4`] made.
    pub(crate) fn ext4_again(path: PathBuf) -> Mount {
        let image = path.with_extension("image").to_string_lossy().into_owned();
        Mount::at(path, &["-o", "loop", &image])
    }

    /// Mounts `lower` at `path`, so that what is changed there goes to a tmpfs.
    pub(crate) fn overlay(path: PathBuf, lower: &Path, changes: &Tmpfs) -> Mount {
        let (upper, work) = (changes.path().join("upper"), changes.path().join("work"));
        for folder in [&upper, &work] {
            fs::create_dir(folder).expect("ours");
        }
        let [lower, upper, work] = [lower, &upper, &work].map(|it| it.to_string_lossy());
        let folders = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        Mount::at(path, &["-t", "overlay", "-o", &folders, "logferry-test"])
    }

    /// Shows the folder or file `what` at `path`, too, which is made.
    pub(crate) fn bind(what: &Path, path: PathBuf) -> Mount {
        fs::create_dir_all(path.parent().expect("in a folder")).expect("ours");
        if what.is_dir() {
            fs::create_dir(&path).expect("ours");
        } else {
            File::create(&path).expect("ours");
        }
        Mount::cover(what, path)
    }

    /// Hides the file at `path` behind the file `over`, until this is dropped.
    pub(crate) fn cover(over: &Path, path: PathBuf) -> Mount {
        run(Command::new("mount").arg("--bind").arg(over).arg(&path));
        Mount { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file of its own until nothing but `left` bytes fits.
    pub(crate) fn fill(&self, left: u64) {
        let ballast = self.path().join("ballast");
        let mut file = File::create(&ballast).expect("can be made");
        let block = [b'x'; 4096];
        while file.write_all(&block).is_ok() {}
        let full = file.metadata().expect("is open").len();
        file.set_len(full.saturating_sub(left)).expect("can be cut");
    }

    /// Removes what `fill` wrote.
    pub(crate) fn free(&self) {
        fs::remove_file(self.path().join("ballast")).expect("is there");
    }

    /// Unmounts it, and returns when nothing of it is left in the kernel: what it was made of may be
    /// mounted again then.
    pub(crate) fn unmount(self) {
        let mount = std::mem::ManuallyDrop::new(self);
        // A process that is being started has all open files of this one for a moment.
        wait_for("unmounted", || {
            let output = Command::new("umount").arg(&mount.path).output().expect("there is umount");
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() { Ok(()) } else { Err(why) }
        });
        // A container that was started meanwhile may have a copy of the mount, and so the same disk without power.
        let image = mount.path.with_extension("image");
        wait_until("the disk given back", || loop_device_of(&image), String::is_empty);
    }
}

/// The loop device of a file; empty if it has none.
fn loop_device_of(image: &Path) -> String {
    let output = Command::new("losetup").arg("--associated").arg(image).output();
    String::from_utf8_lossy(&output.expect("there is losetup").stdout).into_owned()
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: an agent that is still ending may have files open.
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.path).status();
        if !unmounted.is_ok_and(|it| it.success()) {
            eprintln!("{}: stays mounted", self.path.display());
        }
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("can be started");
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {why}; these tests run as root");
}

/// Size of an ext4: the smallest that has a journal without being asked.
const EXT4_BYTES: u64 = 16 << 20;

/// A tmpfs of limited size.
#[derive(Debug)]
pub(crate) struct Tmpfs {
    mount: Mount,
}

impl Tmpfs {
    /// Mounts a tmpfs of so many bytes at `path`, which is made.
    pub(crate) fn mount(path: PathBuf, bytes: u64) -> Tmpfs {
        let size = format!("size={bytes},mode=0755");
        Tmpfs { mount: Mount::at(path, &["-t", "tmpfs", "-o", &size, "logferry-test"]) }
    }

    pub(crate) fn path(&self) -> &Path {
        self.mount.path()
    }

    /// Mounts it anew with these options.
    pub(crate) fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        run(Command::new("mount").args(["-o", &options]).arg(self.path()));
    }

    /// As [`Mount::unmount`].
    pub(crate) fn unmount(self) {
        self.mount.unmount();
    }

    /// As [`Mount::fill`].
    pub(crate) fn fill(&self, left: u64) {
        self.mount.fill(left);
    }

    /// As [`Mount::free`].
    pub(crate) fn free(&self) {
        self.mount.free();
    }
}
