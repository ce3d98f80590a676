//! Reach: where the files of one LogConfig may lie, and what it says when something lies beyond.
//!
//! Whoever may write into a log directory can put a link there that leads to somebody else's
//! secrets. The agent may read these, and would deliver them. So a LogConfig has roots: directories
//! that an administrator named, links on the way to them included. Below a root a link is only
//! followed to where the reach allows. This is the policy; `beneath` has the kernel enforce it.

use std::io;
use std::path::{Component, Path, PathBuf};

use super::{FileKind, Printable};

/// Where the files of one LogConfig may lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Directories as the administrator named them; links on the way to them are followed.
    roots: Vec<PathBuf>,
    /// Whether a link below a root may lead to elsewhere below a root.
    has_links_within: bool,
    /// Directories, beside, that links may lead into.
    link_targets: Vec<PathBuf>,
}

impl Reach {
    /// A tree in which each directory belongs to somebody else, such as that of pods' logs: a link
    /// within it would carry one tenant's lines to another, so links lead into `link_targets` only.
    #[must_use]
    pub fn shared_tree(root: PathBuf, link_targets: Vec<PathBuf>) -> Reach {
        Reach { roots: vec![root], has_links_within: false, link_targets }
    }

    /// Trees that belong to one owner: links lead to anywhere in them, or into `link_targets`.
    #[must_use]
    pub fn own_trees(roots: Vec<PathBuf>, link_targets: Vec<PathBuf>) -> Reach {
        Reach { roots, has_links_within: true, link_targets }
    }

    /// The innermost root that has `path`, and the way from there to it.
    pub(super) fn root_of<'a>(&self, path: &'a Path) -> Option<(&Path, &'a Path)> {
        let below =
            self.roots.iter().filter_map(|root| Some((root, path.strip_prefix(root).ok()?)));
        let (root, rest) = below.max_by_key(|(root, _)| root.components().count())?;
        let is_plain = rest.components().all(|it| matches!(it, Component::Normal(_)));
        is_plain.then_some((root, rest))
    }

    /// Whether a root lies below `path`.
    pub(super) fn has_below(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| root.starts_with(path))
    }

    /// Directories that links may lead into.
    pub(super) fn link_roots(&self) -> impl Iterator<Item = &Path> {
        let roots = if self.has_links_within { &*self.roots } else { &[] };
        roots.iter().chain(&self.link_targets).map(PathBuf::as_path)
    }
}

/// Why something is not opened, whoever may read it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a regular file.
    #[error("it is {0}; only regular files are read")]
    Kind(FileKind),
    /// A link that leads to where it may not.
    #[error(
        "leads to {}, beyond its reach; if it should, add that folder to followLinksInto",
        Printable(.0)
    )]
    Link(PathBuf),
    /// A mount of a container that its LogConfig may not read.
    #[error(
        "lies in what is mounted at {}, which is the host's or holds no logs; a ClusterLogConfig may read folders of the \
         host that followLinksInto names",
        Printable(.0)
    )]
    Mount(PathBuf),
    /// Not below a root.
    #[error("not below a folder that its LogConfig names")]
    Outside,
}

impl Refusal {
    /// The refusal in `error`, if it is one.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Refusal> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_root_counts_and_nothing_climbs_out_of_it() {
        let roots = ["/var/log", "/var/log/app"].map(PathBuf::from);
        let reach = Reach::own_trees(roots.to_vec(), Vec::new());
        let cases = [
            ("/var/log/a.log", Some(("/var/log", "a.log"))),
            ("/var/log/app/b/a.log", Some(("/var/log/app", "b/a.log"))),
            ("/var/log", Some(("/var/log", ""))),
            ("/var/log/../secret", None),
            ("/var/logs/a.log", None),
            ("a.log", None),
        ];
        for (path, want) in cases {
            let want = want.map(|(root, rest)| (Path::new(root), Path::new(rest)));
            assert_eq!(reach.root_of(Path::new(path)), want, "{path}");
        }
    }
}
