//! Inside: the files of containers, by where the host has them.
//!
//! A path is one of the host: that of a folder which a container's glob begins with, and what comes below. Whose folder it
//! is, [`Trees`] knows. What is opened lies in that container's [`ContainerTree`], links resolved as inside of it.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::fs::{AtFlags, OFlags, StatxFlags, statx};
use rustix::io::Errno;

use super::beneath::open_linkless;
use super::host::{self, LIST, READ};
use super::tree::{self, ContainerTree, LOOK};
use super::{FileKind, Fs, LogFile, Stat};

/// First Linux whose inotify hears, of an overlay's upper folder, what is written by way of the overlay: 6.6 for sure.
const LINUX_HEARS: (u32, u32) = (6, 6);

/// Knows whose a folder of the host is.
pub trait Trees: Send + Sync + std::fmt::Debug {
    /// The tree of the container that `path` is of, and the same path as the container sees it, up to links in what is
    /// below the folder that its glob begins with. `None` once nobody knows the container any more.
    fn find(&self, path: &Path) -> Option<(Arc<ContainerTree>, PathBuf)>;
}

/// The files of containers.
#[derive(Debug)]
pub struct InsideFs {
    trees: Arc<dyn Trees>,
    /// No `openat2` here.
    is_walking: AtomicBool,
    hears_overlays: bool,
}

struct Opened {
    fd: OwnedFd,
    is_linked: bool,
    /// No watch of its folder hears when it is written to.
    is_unheard: bool,
}

impl InsideFs {
    /// The files that `trees` knows of.
    #[must_use]
    pub fn new(trees: Arc<dyn Trees>) -> InsideFs {
        let release = rustix::system::uname();
        let hears_overlays = hears_overlays(&release.release().to_string_lossy());
        InsideFs { trees, is_walking: AtomicBool::new(false), hears_overlays }
    }

    fn open_path(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        Ok(self.open_and_tell(path, flags)?.fd)
    }

    /// Opens what `path` leads to.
    fn open_and_tell(&self, path: &Path, flags: OFlags) -> io::Result<Opened> {
        let (tree, real) = self.trees.find(path).ok_or(io::ErrorKind::NotFound)?;
        let is_overlay = tree.mount_of(&real).is_none();
        match self.open_real(&tree, &real, flags) {
            Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                let real = tree.resolve(&real, &self.is_walking)?.real;
                let fd = self.open_real(&tree, &real, flags)?;
                Ok(Opened { fd, is_linked: true, is_unheard: true })
            }
            opened => {
                let is_unheard = is_overlay && !self.hears_overlays;
                Ok(Opened { fd: opened?, is_linked: false, is_unheard })
            }
        }
    }

    /// Opens a path without links; fails with `ELOOP` if it has one.
    fn open_real(&self, tree: &ContainerTree, real: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let (folder, way) = tree.locate(real)?;
        let folder = tree::open_folder(&folder)?;
        let fd = open_linkless(&folder, &way, flags, &self.is_walking)?;
        let found = statx(&fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
        // Removed, as the container sees it.
        if tree::is_whiteout(&found) { Err(io::ErrorKind::NotFound.into()) } else { Ok(fd) }
    }
}

impl Fs for InsideFs {
    fn list(&self, dir: &Path, each: &mut dyn FnMut(&OsStr)) -> io::Result<()> {
        host::list(self.open_path(dir, LIST)?, each)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let Opened { fd, is_linked, is_unheard } = self.open_and_tell(path, LOOK)?;
        let stat = host::stat_of(&fd)?;
        // What comes and goes in a folder is heard on any kernel.
        let is_linked = is_linked || is_unheard && stat.kind == FileKind::Regular;
        Ok(Stat { is_linked, ..stat })
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        host::open_found(&self.open_path(path, LOOK)?, || self.open_path(path, READ))
    }
}

/// Whether a kernel of this release tells a watch of an overlay's upper folder of writes.
fn hears_overlays(release: &str) -> bool {
    let mut parts = release.split(|it: char| !it.is_ascii_digit()).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else { return false };
    (major, minor) >= LINUX_HEARS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_kernels_do_not_hear_what_is_written_by_way_of_an_overlay() {
        for (release, want) in [
            ("6.18.44-x", true),
            ("6.6", true),
            ("6.1.0-13-amd64", false),
            ("5.15.0", false),
            ("x", false),
        ] {
            assert_eq!(hears_overlays(release), want, "{release}");
        }
    }
}
