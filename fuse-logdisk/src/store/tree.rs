//! Tree: the names of a volume, and what they lead to, in memory.
//!
//! It mirrors the folder `tree` of the store, so that a node that the kernel names by its number is found
//! without a walk. Plain data: it asks no file system.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use rustix::io::Errno;

use super::backing::Backing;

/// Number of a node, the same over a restart of the daemon: the kernel keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// The volume's top.
pub const ROOT: NodeId = NodeId(1);

/// What a node is.
#[derive(Debug)]
pub(super) enum Kind {
    /// A directory: what is in it, by name, and in the order in which it is listed.
    Directory { names: HashMap<OsString, NodeId>, listed: BTreeSet<NodeId> },
    /// A file.
    File(FileNode),
    /// A symbolic link.
    Symlink,
}

impl Kind {
    pub(super) fn directory() -> Kind {
        Kind::Directory { names: HashMap::new(), listed: BTreeSet::new() }
    }
}

/// A file, as applications see it.
#[derive(Debug)]
pub(super) struct FileNode {
    /// Key of the content that it has now.
    pub(super) key: u64,
    /// How often it is open; 0 after a restart, whatever is open.
    pub(super) opens: u64,
    /// What the kernel writes to by itself for it.
    pub(super) backing: Option<Backing>,
}

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) parent: NodeId,
    pub(super) name: OsString,
    pub(super) kind: Kind,
    /// No name leads to it any more; the kernel still has it.
    pub(super) is_orphan: bool,
    /// How often the kernel was told of it and has not forgotten that.
    pub(super) lookups: u64,
    /// It was there when the daemon started: the kernel may have been told of it more often.
    pub(super) is_loaded: bool,
}

/// All nodes of a volume.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: HashMap<NodeId, Node>,
}

impl Tree {
    pub(super) fn new() -> Tree {
        let root = Node {
            parent: ROOT,
            name: OsString::new(),
            kind: Kind::directory(),
            is_orphan: false,
            lookups: 1,
            is_loaded: true,
        };
        Tree { nodes: HashMap::from([(ROOT, root)]) }
    }

    pub(super) fn get(&self, id: NodeId) -> Result<&Node, Errno> {
        self.nodes.get(&id).ok_or(Errno::STALE)
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&id).ok_or(Errno::STALE)
    }

    pub(super) fn file_mut(&mut self, id: NodeId) -> Result<&mut FileNode, Errno> {
        match &mut self.get_mut(id)?.kind {
            Kind::File(file) => Ok(file),
            Kind::Directory { .. } => Err(Errno::ISDIR),
            Kind::Symlink => Err(Errno::INVAL),
        }
    }

    pub(super) fn names(&self, id: NodeId) -> Result<&HashMap<OsString, NodeId>, Errno> {
        match &self.get(id)?.kind {
            Kind::Directory { names, .. } => Ok(names),
            _ => Err(Errno::NOTDIR),
        }
    }

    pub(super) fn lookup(&self, parent: NodeId, name: &OsStr) -> Result<NodeId, Errno> {
        self.names(parent)?.get(name).copied().ok_or(Errno::NOENT)
    }

    /// Entries of a directory that are listed after `after`, in an order that changes do not disturb.
    pub(super) fn list(
        &self,
        id: NodeId,
        after: NodeId,
    ) -> Result<impl Iterator<Item = (NodeId, &Node)>, Errno> {
        let Kind::Directory { listed, .. } = &self.get(id)?.kind else { return Err(Errno::NOTDIR) };
        let above = std::ops::Bound::Excluded(after);
        let listed = listed.range((above, std::ops::Bound::Unbounded));
        Ok(listed.filter_map(|id| Some((*id, self.nodes.get(id)?))))
    }

    pub(super) fn insert(&mut self, parent: NodeId, name: &OsStr, id: NodeId, kind: Kind) {
        self.attach(parent, name, id);
        let name = name.to_owned();
        let node = Node { parent, name, kind, is_orphan: false, lookups: 0, is_loaded: false };
        self.nodes.insert(id, node);
    }

    /// Adds one that no name leads to.
    pub(super) fn insert_orphan(&mut self, id: NodeId, kind: Kind) {
        let name = OsString::new();
        let node = Node { parent: ROOT, name, kind, is_orphan: true, lookups: 0, is_loaded: true };
        self.nodes.insert(id, node);
    }

    /// Takes its name from a node, which becomes an orphan.
    pub(super) fn detach(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.is_orphan = true;
        let (parent, name) = (node.parent, std::mem::take(&mut node.name));
        self.unlist(parent, &name, id);
    }

    pub(super) fn rename(&mut self, id: NodeId, parent: NodeId, name: &OsStr) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let before = (node.parent, std::mem::replace(&mut node.name, name.to_owned()));
        node.parent = parent;
        self.unlist(before.0, &before.1, id);
        self.attach(parent, name, id);
    }

    pub(super) fn remove(&mut self, id: NodeId) -> Option<Node> {
        self.nodes.remove(&id)
    }

    /// Whatever is there now, the kernel may know.
    pub(super) fn set_loaded(&mut self) {
        self.nodes.values_mut().for_each(|it| it.is_loaded = true);
    }

    pub(super) fn orphans(&self) -> Vec<NodeId> {
        self.nodes.iter().filter(|(_, it)| it.is_orphan).map(|(id, _)| *id).collect()
    }

    /// Nodes whose files the kernel writes to by itself.
    pub(super) fn backed(&self) -> Vec<NodeId> {
        let is_backed = |it: &Node| matches!(&it.kind, Kind::File(it) if it.backing.is_some());
        self.nodes.iter().filter(|(_, it)| is_backed(it)).map(|(id, _)| *id).collect()
    }

    /// Way of a node from the top; of an orphan, none.
    pub(super) fn path(&self, id: NodeId) -> Result<PathBuf, Errno> {
        let mut parts = Vec::new();
        let mut at = id;
        while at != ROOT {
            let node = self.get(at)?;
            if node.is_orphan {
                return Err(Errno::NOENT);
            }
            parts.push(node.name.as_os_str());
            at = node.parent;
        }
        Ok(parts.into_iter().rev().collect())
    }

    /// Whether `id` is `above`, or lies in it.
    pub(super) fn is_within(&self, mut id: NodeId, above: NodeId) -> bool {
        while id != above {
            match self.nodes.get(&id) {
                Some(node) if id != ROOT => id = node.parent,
                _ => return false,
            }
        }
        true
    }

    /// All files in a directory, at any depth.
    pub(super) fn files_within(&self, id: NodeId) -> Vec<NodeId> {
        let (mut files, mut directories) = (Vec::new(), vec![id]);
        while let Some(id) = directories.pop() {
            match self.nodes.get(&id).map(|it| &it.kind) {
                Some(Kind::Directory { names, .. }) => directories.extend(names.values()),
                Some(Kind::File(_)) => files.push(id),
                Some(Kind::Symlink) | None => {}
            }
        }
        files
    }

    fn attach(&mut self, parent: NodeId, name: &OsStr, id: NodeId) {
        let parent = self.nodes.get_mut(&parent).map(|it| &mut it.kind);
        if let Some(Kind::Directory { names, listed }) = parent {
            names.insert(name.to_owned(), id);
            listed.insert(id);
        }
    }

    fn unlist(&mut self, parent: NodeId, name: &OsStr, id: NodeId) {
        let parent = self.nodes.get_mut(&parent).map(|it| &mut it.kind);
        if let Some(Kind::Directory { names, listed }) = parent {
            if names.get(name) == Some(&id) {
                names.remove(name);
            }
            listed.remove(&id);
        }
    }
}
