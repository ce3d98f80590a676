//! Real parts of Kubernetes for tests: containerd with runc and CNI, what the kubelet does with them, and the API server.
//!
//! A [`Containerd`] is a process with folders, a socket and a range of addresses of its own, so several run
//! at once. [`Pod`]s and [`Container`]s are run through its CRI, as the kubelet runs them: their logs lie where
//! the kubelet has them, and are rotated in its order. The only image is made here, from Debian's static busybox.
//! Everything ends with the node, or with the process that has it, however it ends.
//!
//! An [`ApiServer`] is the real kube-apiserver with its etcd; [`User`]s ask it by kubectl. A [`Cluster`] is all of it as one
//! node: kubelet, scheduler and controllers run what is applied.
//!
//! Containers need root, overlayfs and the Debian packages of `scripts/need.sh node`; API servers need what
//! `scripts/kubernetes.sh` builds. It is not shipped.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use node_kit::Containerd;
//!
//! let node = Containerd::start()?;
//! let pod = node.pod("shop", "web-0").logs("/tmp/pods").run()?;
//! let app = pod.run("app", &["sh", "-c", "while sleep 1; do echo tick; done"])?;
//! app.rotate(&Default::default())?;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod api_server;
mod archive;
mod cluster;
mod container;
mod containerd;
mod cri;
mod folder;
mod home;
mod image;
mod place;
mod pod;
mod process;
mod rotation;
mod user;

pub use api_server::ApiServer;
pub use cluster::{Cluster, NODE};
pub use container::{Container, Ended, Output, Program};
pub use containerd::Containerd;
pub use image::{IMAGE, Image};
pub use pod::{Pod, PodSpec};
pub use rotation::Rotation;
pub use user::User;
