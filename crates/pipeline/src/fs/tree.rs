//! Tree: the file system that a container sees, put together from the folders that the host has of it.
//!
//! Its root is an overlay: a folder with what the container wrote, over folders with what its image has. Over that are
//! mounts. A path of the container is walked here as the kernel would walk it inside: a link leads to where the container
//! would get, never to where the host would. Each step is opened beneath one of these folders, without following
//! anything, so that nothing outside of them is touched whatever changes meanwhile.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::AtomicBool;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Statx, StatxFlags, openat, readlinkat, statx,
};
use rustix::io::Errno;

use super::Refusal;
use super::beneath::{LINKS_MAX, ROOT, STEP, open_linkless};

/// Where the parts of a container's file system lie on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerTree {
    /// What the container wrote to its root; `None` if nobody knows where that is.
    pub upper: Option<PathBuf>,
    /// What its image has, topmost first.
    pub lowers: Vec<PathBuf>,
    /// What is mounted over it.
    pub mounts: Vec<TreeMount>,
}

/// Something that is mounted over a container's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeMount {
    /// Where the container sees it; absolute, without links.
    pub inside: PathBuf,
    /// Where the host has it; absolute.
    pub host: PathBuf,
    /// Whether it may be read, and how.
    pub access: Access,
}

/// Whether a mount may be read, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nobody but the node's own services can change the way to it.
    Own,
    /// It is the host's: a link on the way to it is not followed.
    Host,
    /// It may not be read.
    None,
}

/// Where a path of a container really lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// The same path without links.
    pub(crate) real: PathBuf,
    /// Something is there, in some layer.
    pub(crate) is_there: bool,
    /// A link led there.
    pub(crate) is_linked: bool,
}

impl Resolved {
    /// As it was resolved before.
    pub(crate) fn settled(real: PathBuf) -> Resolved {
        Resolved { real, is_there: true, is_linked: false }
    }
}

/// What is found at a path without links.
enum Found {
    Link(PathBuf),
    Other,
    Missing,
}

impl ContainerTree {
    /// The mount that has `real`, if it is not of the root itself.
    pub(crate) fn mount_of(&self, real: &Path) -> Option<&TreeMount> {
        let above = self.mounts.iter().filter(|it| real.starts_with(&it.inside));
        above.max_by_key(|it| it.inside.components().count())
    }

    /// The folder on the host that has `real`, a path without links, and the way from there.
    pub(crate) fn locate(&self, real: &Path) -> io::Result<(PathBuf, PathBuf)> {
        let Some(mount) = self.mount_of(real) else {
            let upper = self.upper.clone().ok_or(io::ErrorKind::NotFound)?;
            return Ok((upper, below(real, Path::new("/"))));
        };
        let host = mount.host.join(below(real, &mount.inside));
        match mount.access {
            Access::None => Err(Refusal::Mount(mount.inside.clone()).into()),
            Access::Host => Ok((PathBuf::from("/"), below(&host, Path::new("/")))),
            // A mount may be a single file.
            Access::Own if real == mount.inside => {
                let folder = mount.host.parent().ok_or(io::ErrorKind::NotFound)?;
                Ok((folder.to_path_buf(), below(&mount.host, folder)))
            }
            Access::Own => Ok((mount.host.clone(), below(real, &mount.inside))),
        }
    }

    /// Follows all links of a path of the container. What is not there yet is taken for no link.
    pub(crate) fn resolve(&self, inside: &Path, is_walking: &AtomicBool) -> io::Result<Resolved> {
        let mut real = PathBuf::from("/");
        let mut links = 0;
        let mut is_there = true;
        let mut todo: Vec<OsString> = steps(inside);
        while let Some(step) = todo.pop() {
            if step == ".." {
                real.pop();
                continue;
            }
            let here = real.join(&step);
            if !is_there {
                real = here;
                continue;
            }
            match self.find(&here, is_walking)? {
                Found::Link(target) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(Errno::LOOP.into());
                    }
                    if target.is_absolute() {
                        real = PathBuf::from("/");
                    }
                    todo.extend(steps(&target));
                    continue;
                }
                Found::Other => {}
                Found::Missing => is_there = false,
            }
            real = here;
        }
        Ok(Resolved { real, is_there, is_linked: links > 0 })
    }

    /// What is at `real`, of which nothing but the last step may be a link.
    fn find(&self, real: &Path, is_walking: &AtomicBool) -> io::Result<Found> {
        if let Some(mount) = self.mount_of(real) {
            if real == mount.inside {
                return Ok(Found::Other);
            }
            let (folder, way) = self.locate(real)?;
            let found = look(&folder, &way, is_walking);
            return Ok(found?.map_or(Found::Missing, |(found, _)| found));
        }
        let way = below(real, Path::new("/"));
        for layer in self.upper.iter().chain(&self.lowers) {
            match look(layer, &way, is_walking) {
                Ok(Some((_, statx))) if is_whiteout(&statx) => return Ok(Found::Missing),
                Ok(Some((found, _))) => return Ok(found),
                Ok(None) => {}
                // What is no folder in this layer hides the folders of those below.
                Err(Errno::NOTDIR | Errno::LOOP) => return Ok(Found::Missing),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Found::Missing)
    }
}

/// What a layer has there; `None` if it has nothing.
fn look(
    folder: &Path,
    way: &Path,
    is_walking: &AtomicBool,
) -> Result<Option<(Found, Statx)>, Errno> {
    let opened = open_folder(folder).and_then(|it| open_linkless(&it, way, STEP, is_walking));
    let fd = match opened {
        Err(Errno::NOENT) => return Ok(None),
        other => other?,
    };
    let wanted = StatxFlags::BASIC_STATS;
    let statx = statx(&fd, c"", AtFlags::EMPTY_PATH, wanted)?;
    if FileType::from_raw_mode(u32::from(statx.stx_mode)) != FileType::Symlink {
        return Ok(Some((Found::Other, statx)));
    }
    let text = readlinkat(&fd, c"", Vec::new())?;
    Ok(Some((Found::Link(PathBuf::from(OsStr::from_bytes(text.to_bytes()))), statx)))
}

/// A folder that nobody but the node's own services can replace.
pub(super) fn open_folder(path: &Path) -> Result<OwnedFd, Errno> {
    openat(CWD, path, ROOT, Mode::empty())
}

/// Whether it stands for something of a layer below that was removed.
pub(super) fn is_whiteout(statx: &Statx) -> bool {
    let kind = FileType::from_raw_mode(u32::from(statx.stx_mode));
    kind == FileType::CharacterDevice && (statx.stx_rdev_major, statx.stx_rdev_minor) == (0, 0)
}

/// Flags to look at something without opening it.
pub(super) const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// The way from `folder` to `path`, which is below it.
fn below(path: &Path, folder: &Path) -> PathBuf {
    path.strip_prefix(folder).unwrap_or_else(|_| Path::new("")).to_path_buf()
}

/// The steps of a path, the last one first.
fn steps(path: &Path) -> Vec<OsString> {
    let step = |it| match it {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    };
    let mut steps: Vec<OsString> = path.components().filter_map(step).collect();
    steps.reverse();
    steps
}

#[cfg(test)]
mod tests;
