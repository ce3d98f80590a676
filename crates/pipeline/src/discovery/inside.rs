//! Inside: files inside of containers, by globs of paths as the container sees them.
//!
//! A glob begins with a folder, which lies somewhere on the host: in what the container wrote to its root, or in a volume.
//! That folder is a root of the walk, and everything below has its path on the host, so that it is watched, listed and read
//! like any other. The roots come and go with the containers.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};

use flow::{Attribute, Context, ContextId, attribute as key};

use super::{Denial, FileSelection, Place, PodPath, PodSelection, Role, TenantMap};
use crate::fs::{Access, ContainerTree, Printable, Resolved, Trees};

mod roots;
use roots::{Root, Roots};

/// A container of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// What the runtime calls it; no other is ever called so.
    pub id: Arc<str>,
    /// Its pod.
    pub pod: PodPath,
    /// Its name in the pod.
    pub name: String,
    /// How often one of this name was started before it in the pod.
    pub restart: u32,
    /// It writes nothing more.
    pub has_ended: bool,
    /// Where its files are.
    pub tree: Arc<ContainerTree>,
}

/// What a container runtime says, for one LogConfig.
pub trait Containers: std::fmt::Debug + Send + Sync {
    /// Another number whenever one is new, has changed or is gone.
    fn version(&self) -> u64;

    /// Those that `selects` takes, running or not, by their pods and names.
    fn selected(&self, selects: &dyn Fn(&PodPath, &str) -> bool) -> Vec<Arc<Container>>;

    /// Whether the chain of a file of the pod, which has this place on the host, is collected by somebody else.
    fn is_elsewhere(&self, pod: &PodPath, directory: &Path, name: &OsStr) -> bool;
}

/// Which files inside of which containers are collected.
#[derive(Debug, Clone)]
pub struct InsideSelection {
    /// Which containers; its root counts for nothing.
    pub pods: PodSelection,
    /// Which files, as the container sees them.
    pub files: FileSelection,
    containers: Arc<dyn Containers>,
    roots: Arc<RwLock<Roots>>,
}

/// What changed among the roots.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    /// New ones, and those of containers that have ended since: to be looked at.
    pub(super) fresh: Vec<PathBuf>,
    /// To be looked at once more, and forgotten.
    pub(super) leaving: Vec<PathBuf>,
    /// Paths of containers that cannot be looked at.
    pub(super) refused: Vec<(PathBuf, io::Error)>,
    /// Containers that are selected, and not read since their tenant may not.
    pub(super) denied: Vec<(PathBuf, Denial)>,
}

/// Knows the trees of what is selected, also of containers that are gone: what was found of them is still read.
#[derive(Debug)]
struct KnownTrees(Arc<RwLock<Roots>>);

impl Trees for KnownTrees {
    fn find(&self, path: &Path) -> Option<(Arc<ContainerTree>, PathBuf)> {
        let roots = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (root, rest) = roots.find(path)?;
        Some((Arc::clone(&root.container.tree), root.real.join(rest)))
    }
}

impl InsideSelection {
    /// The files of what `pods` selects among `containers`.
    #[must_use]
    pub fn new(
        pods: PodSelection,
        files: FileSelection,
        containers: Arc<dyn Containers>,
    ) -> InsideSelection {
        InsideSelection { pods, files, containers, roots: Arc::default() }
    }

    /// Whose the selected files are.
    #[must_use]
    pub fn trees(&self) -> Arc<dyn Trees> {
        Arc::new(KnownTrees(Arc::clone(&self.roots)))
    }

    pub(super) fn version(&self) -> u64 {
        let of_pods = self.pods.facts.as_ref().map_or(0, |it| it.version());
        self.containers.version().wrapping_add(of_pods)
    }

    /// Asks again which roots there are; with `all`, also where those lie that are not expected to move. Those that
    /// leave stay until [`InsideSelection::retire`].
    pub(super) fn renew(&self, tenants: &TenantMap, all: bool) -> Renewal {
        let mut renewal = Renewal::default();
        let mut next = Roots::default();
        let mut containers = self.containers.selected(&|pod, name| self.pods.selects(pod, name));
        // What several see belongs to one that still writes to it, and always to the same.
        containers.sort_by(|one, other| {
            let key = |it: &Container| (it.has_ended, it.name.clone(), it.id.clone());
            key(one).cmp(&key(other))
        });
        let before = self.roots.read().unwrap_or_else(PoisonError::into_inner);
        for container in &containers {
            match tenants.of_namespace(&container.pod.namespace) {
                Ok(_) => {
                    let before = (!all).then_some(&*before);
                    self.add(container, before, &mut next, &mut renewal.refused);
                }
                // What is told of its namespace is a new version.
                Err(Denial::Unknown) => {}
                Err(denial) => renewal.denied.push((name(container, Path::new("")), denial)),
            }
        }
        drop(before);
        let mut roots = self.roots.write().unwrap_or_else(PoisonError::into_inner);
        (renewal.fresh, renewal.leaving) = roots.replace(next);
        renewal
    }

    /// The roots that leave have left.
    pub(super) fn retire(&self) {
        self.write(Roots::retire);
    }

    /// Whether some glob begins with what is not there, or with a link: the next look may find it elsewhere.
    pub(super) fn is_unsettled(&self) -> bool {
        self.read(|it| it.is_unsettled)
    }

    pub(super) fn roots(&self) -> Vec<PathBuf> {
        self.read(Roots::paths)
    }

    pub(super) fn is_root(&self, path: &Path) -> bool {
        self.read(|it| it.get(path).is_some())
    }

    pub(super) fn role(&self, directory: &Path) -> Role {
        let found = self.read(|it| it.find_present(directory));
        let Some((root, rest)) = found else { return Role::default() };
        let is_root = rest.as_os_str().is_empty();
        let real = root.real.join(rest);
        // What lies below a mount is not what the container sees.
        let is_hidden = root.container.tree.mounts.iter().any(|it| it.inside == real);
        if is_hidden && !is_root {
            Role::default()
        } else {
            self.files.role(&root.inside_of(&real))
        }
    }

    /// Of which namespace the container is that has the directory.
    pub(super) fn namespace(&self, directory: &Path) -> Option<String> {
        Some(self.find(directory)?.0.container.pod.namespace.clone())
    }

    /// Name of the live file of the chain that the file is of, if it is selected.
    pub(super) fn chain<'a>(&self, directory: &Path, name: &'a OsStr) -> Option<&'a OsStr> {
        let (root, rest) = self.find(directory)?;
        // As a volume, it is let go with its container.
        let is_gone = root.container.has_ended && root.mounted(&rest.join(name)).is_some();
        let chain = self.files.chain(&root.inside.join(rest), name).filter(|_| !is_gone)?;
        let is_elsewhere = self.containers.is_elsewhere(&root.container.pod, directory, name);
        (!is_elsewhere).then_some(chain)
    }

    /// The context of a live file.
    pub(super) fn context(
        &self,
        place: &Place,
        tenants: &TenantMap,
        live_path: &Path,
    ) -> Option<Context> {
        let (root, rest) = self.find(live_path)?;
        let container = &root.container;
        let tenant = tenants.of_namespace(&container.pod.namespace).ok()?;
        let pod = &container.pod;
        // A volume outlives its containers, and several may see it; a folder of the host also pods; the rest is the
        // container's alone.
        let file = root.mounted(&rest);
        let access = file.map_or(root.access, |it| Some(it.access));
        let path = file.map_or(live_path, |it| &it.host);
        let (uid, whose) = match access {
            None => (&*pod.uid, &*container.id),
            Some(Access::Host) => ("", "host"),
            Some(_) => (&*pod.uid, "volume"),
        };
        let id = ContextId::of(&[
            b"container-file",
            place.cluster.as_bytes(),
            pod.namespace.as_bytes(),
            uid.as_bytes(),
            whose.as_bytes(),
            path.as_os_str().as_bytes(),
        ]);
        let mut attributes = super::pods::of_container(place, pod, &container.name);
        if access.is_none() {
            let restart = i64::from(container.restart);
            attributes.push(Attribute::int(key::K8S_CONTAINER_RESTART_COUNT, restart));
        }
        let inside = root.inside.join(rest);
        attributes.push(Attribute::text(key::LOG_FILE_PATH, Printable(&inside).to_string()));
        attributes.extend(self.pods.facts.iter().flat_map(|it| it.attributes(pod)));
        Some(Context { id, tenant, attributes })
    }

    fn find(&self, path: &Path) -> Option<(Arc<Root>, PathBuf)> {
        self.read(|it| it.find(path))
    }

    /// The roots of one container; those that `before` has settled are where they were.
    fn add(
        &self,
        container: &Arc<Container>,
        before: Option<&Roots>,
        to: &mut Roots,
        refused: &mut Vec<(PathBuf, io::Error)>,
    ) {
        let tree = &container.tree;
        let is_walking = AtomicBool::new(false);
        for base in self.files.roots() {
            let key = (Arc::clone(&container.id), base.clone());
            let settled = before.and_then(|it| it.settled.get(&key));
            let resolved = match settled {
                Some(real) => Ok(Resolved::settled(real.clone())),
                None => tree.resolve(&base, &is_walking),
            };
            match resolved.and_then(|it| Ok((tree.locate(&it.real)?, it))) {
                Ok(((folder, way), resolved)) => {
                    if resolved.is_there && !resolved.is_linked {
                        to.settled.insert(key, resolved.real.clone());
                    } else {
                        to.is_unsettled = true;
                    }
                    to.add(folder.join(way), container, base.clone(), resolved.real);
                }
                Err(error) => {
                    to.is_unsettled = true;
                    refused.push((name(container, &base), error));
                }
            }
            for mount in &tree.mounts {
                let is_below = mount.inside.starts_with(&base) && mount.inside != base;
                let is_wanted = is_below && self.files.role(&mount.inside).is_some();
                if is_wanted && mount.access != Access::None {
                    let (host, inside) = (mount.host.clone(), mount.inside.clone());
                    to.add(host, container, inside.clone(), inside);
                }
            }
        }
    }

    fn read<T>(&self, read: impl FnOnce(&Roots) -> T) -> T {
        read(&self.roots.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, write: impl FnOnce(&mut Roots)) {
        write(&mut self.roots.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A path of a container, for people.
fn name(container: &Container, inside: &Path) -> PathBuf {
    let pod = &container.pod;
    format!("{}/{}/{}:{}", pod.namespace, pod.pod, container.name, inside.display()).into()
}

#[cfg(test)]
mod tests;
