//! Container: what is used of one, and where the parts of its file system lie on the host.

use std::path::PathBuf;
use std::sync::Arc;

/// A container that the runtime has, running or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// What the runtime calls it; no other container is ever called so.
    pub id: String,
    /// Namespace of its pod.
    pub namespace: String,
    /// Name of its pod.
    pub pod: String,
    /// Uid of its pod; of a static pod that of its manifest.
    pub pod_uid: String,
    /// Its name in the pod.
    pub name: String,
    /// How often one of this name was started before it in the pod.
    pub restart: u32,
    /// Its process has ended: it writes nothing more.
    pub has_ended: bool,
    /// What its pod says by the annotation that is asked for ([`crate::WatchOptions`]).
    pub pod_annotation: Option<Arc<str>>,
    /// Its root; `None` if the runtime keeps it in no way that is known.
    pub layers: Option<Layers>,
    /// What is mounted over its root, in no order.
    pub mounts: Vec<Mount>,
}

/// The folders that an overlay is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layers {
    /// What the container itself wrote.
    pub upper: PathBuf,
    /// What its image has, topmost first.
    pub lowers: Vec<PathBuf>,
}

/// Something that is mounted over a container's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where the container sees it; absolute.
    pub inside: PathBuf,
    /// Where the host has it; absolute.
    pub host: PathBuf,
    /// Whose it is.
    pub origin: Origin,
}

/// Whose the files of a mount are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A volume that belongs to the pod.
    Pod,
    /// A volume of the image, which goes with the container.
    Image,
    /// The host's: a `hostPath`, or what stands for one.
    Host,
    /// Nothing that logs are written to: a Secret, a ConfigMap, a token, `/dev`, a file of the kubelet's.
    NoLogs,
}
