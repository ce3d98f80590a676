//! Beneath: opens what lies in a reach, and nothing else, however paths change meanwhile.
//!
//! Checking a path and opening it afterwards is no protection: it may lead elsewhere by then. Here
//! the check *is* the open. The kernel walks from a root's descriptor to the file and fails at the
//! first link (`openat2`, since Linux 5.6). If there is a link, its text tells where it leads; that is
//! opened in the same way, from the root that it lies in. Nothing beyond the reach is touched, not
//! even to find out what it is.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags, openat, openat2, readlinkat,
    statx,
};
use rustix::io::Errno;

use super::{Reach, Refusal};

/// A root is only walked from, never read.
pub(super) const ROOT: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// A component that is only walked through, or looked at; a link is not followed but opened itself.
pub(super) const STEP: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// No way up, no links, none of the links of `/proc` that lead anywhere.
const RESOLVE: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);
/// Links that lead to links: as many as the kernel follows (`MAXSYMLINKS`, path_resolution(7)).
pub(super) const LINKS_MAX: usize = 40;

/// Opens beneath the roots of a reach.
#[derive(Debug, Default)]
pub(super) struct Beneath {
    reach: Reach,
    /// Roots that are open. One that is looked at itself is opened anew: another directory may have
    /// its name by now. Each scan looks at the roots first.
    roots: Mutex<HashMap<PathBuf, Arc<OwnedFd>>>,
    /// The kernel has no `openat2`, or a sandbox forbids it: walk step by step instead.
    is_walking: AtomicBool,
}

impl Beneath {
    pub(super) fn new(reach: Reach) -> Beneath {
        Beneath { reach, ..Beneath::default() }
    }

    /// As on a kernel that has no `openat2`.
    #[cfg(test)]
    pub(super) fn walking(reach: Reach) -> Beneath {
        Beneath { reach, is_walking: AtomicBool::new(true), ..Beneath::default() }
    }

    /// Opens what `path` leads to.
    ///
    /// # Errors
    /// As `open`; a [`Refusal`] if it lies beyond the reach.
    pub(super) fn open(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        Ok(self.open_and_tell(path, flags)?.0)
    }

    /// Opens a folder on the way to files: one that is `path` itself, and nothing that a link below a root leads to.
    ///
    /// What leads to a root is the administrator's, and opened as it stands.
    ///
    /// # Errors
    /// As `open`; `ELOOP` if there is a link.
    pub(super) fn open_way(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        match self.reach.root_of(path) {
            Some((root, rest)) => self.open_linkless(root, rest, flags),
            None if self.reach.has_below(path) => openat(CWD, path, flags, Mode::empty()),
            None => Err(Errno::NOENT),
        }
    }

    /// As `open`; and whether a link led there.
    pub(super) fn open_and_tell(&self, path: &Path, flags: OFlags) -> io::Result<(OwnedFd, bool)> {
        let (root, rest) = self.reach.root_of(path).ok_or(Refusal::Outside)?;
        match self.open_linkless(root, rest, flags) {
            Err(Errno::LOOP) => Ok((self.follow(root, rest, flags)?, true)),
            other => Ok((other?, false)),
        }
    }

    /// Opens where the links in `rest` lead to.
    fn follow(&self, root: &Path, rest: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let (mut root, mut rest) = (root.to_path_buf(), rest.to_path_buf());
        for _ in 0..LINKS_MAX {
            let target = self.target_of(&root, &rest)?;
            let Some((target_root, target_rest)) = self.locate(&target) else {
                return Err(Refusal::Link(target).into());
            };
            match self.open_linkless(&target_root, &target_rest, flags) {
                Err(Errno::LOOP) => (root, rest) = (target_root, target_rest),
                other => return Ok(other?),
            }
        }
        Err(Errno::LOOP.into())
    }

    /// Where the first link in `rest` leads to, with what comes after it.
    fn target_of(&self, root: &Path, rest: &Path) -> io::Result<PathBuf> {
        let mut before = PathBuf::new();
        let mut steps = rest.components();
        while let Some(step) = steps.next() {
            let here = before.join(step);
            let fd = match self.open_linkless(root, &here, STEP) {
                // What was no link a moment ago is one now.
                Err(Errno::LOOP) => break,
                other => other?,
            };
            if is_link(&fd)? {
                let text = readlinkat(&fd, c"", Vec::new())?;
                let text = Path::new(OsStr::from_bytes(text.to_bytes()));
                // What is relative counts from where the link really lies.
                let from =
                    if text.is_absolute() { before } else { root.canonicalize()?.join(before) };
                return Ok(plain(&from.join(text).join(steps.as_path())));
            }
            before = here;
        }
        // The path changed meanwhile: whoever asks again sees what is there then.
        Err(Errno::NOENT.into())
    }

    /// The root that links may lead into and that has `target`, and the way from there to it.
    fn locate(&self, target: &Path) -> Option<(PathBuf, PathBuf)> {
        let below = |root: &Path, real: &Path| {
            let rest = target.strip_prefix(real).ok()?;
            Some((root.to_path_buf(), rest.to_path_buf()))
        };
        let by_name = self.reach.link_roots().find_map(|root| below(root, root));
        let by_place =
            || self.reach.link_roots().find_map(|root| below(root, &root.canonicalize().ok()?));
        by_name.or_else(by_place)
    }

    /// Opens `rest` from `root`; `ELOOP` if there is a link in `rest`, unless it is the last step and
    /// `flags` ask for the link itself.
    fn open_linkless(&self, root: &Path, rest: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let root_fd = self.root(root, rest.as_os_str().is_empty())?;
        open_linkless(&root_fd, rest, flags, &self.is_walking)
    }

    fn root(&self, root: &Path, is_anew: bool) -> Result<Arc<OwnedFd>, Errno> {
        let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fd) = roots.get(root).filter(|_| !is_anew) {
            return Ok(Arc::clone(fd));
        }
        roots.remove(root);
        let fd = Arc::new(openat(CWD, root, ROOT, Mode::empty())?);
        roots.insert(root.to_path_buf(), Arc::clone(&fd));
        Ok(fd)
    }
}

/// Opens `rest` from `root`, as [`Beneath::open_linkless`]. A kernel without `openat2` is remembered in `is_walking`.
pub(super) fn open_linkless(
    root: &OwnedFd,
    rest: &Path,
    flags: OFlags,
    is_walking: &AtomicBool,
) -> Result<OwnedFd, Errno> {
    let rest = if rest.as_os_str().is_empty() { Path::new(".") } else { rest };
    if !is_walking.load(Ordering::Relaxed) {
        match openat2(root, rest, flags, Mode::empty(), RESOLVE) {
            // A sandbox says EPERM; files opened like this do not.
            Err(Errno::NOSYS | Errno::PERM) => begin_walking(is_walking),
            other => return other,
        }
    }
    walk(root, rest, flags)
}

fn begin_walking(is_walking: &AtomicBool) {
    static SAID: Once = Once::new();
    is_walking.store(true, Ordering::Relaxed);
    SAID.call_once(|| {
        tracing::warn!("no openat2 here (Linux 5.6 has it); log files are opened step by step");
    });
}

/// As `openat2` with [`RESOLVE`], with two system calls for each component.
fn walk(root: &OwnedFd, rest: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut directory: Option<OwnedFd> = None;
    let mut steps = rest.components().peekable();
    while let Some(step) = steps.next() {
        let from = directory.as_ref().map_or_else(|| root.as_fd(), AsFd::as_fd);
        let is_last = steps.peek().is_none();
        let step_flags = if is_last { flags | OFlags::NOFOLLOW } else { STEP };
        let fd = openat(from, step.as_os_str(), step_flags, Mode::empty())?;
        if is_last && flags.contains(OFlags::NOFOLLOW) {
            return Ok(fd);
        }
        if is_link(&fd)? {
            return Err(Errno::LOOP);
        }
        directory = Some(fd);
    }
    directory.ok_or(Errno::NOENT)
}

fn is_link(fd: &OwnedFd) -> Result<bool, Errno> {
    let found = statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::TYPE)?;
    Ok(FileType::from_raw_mode(u32::from(found.stx_mode)) == FileType::Symlink)
}

/// The path without `.` and `..`. What comes before a `..` is taken for no link: if it is one, the
/// result is another path, which is opened as carefully.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for step in path.components() {
        match step {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            step => plain.push(step),
        }
    }
    plain
}

#[cfg(test)]
mod tests;
