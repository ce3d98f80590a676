//! kube-watch: what an agent on a node asks of the Kubernetes API server: the node's pods, and logferry's
//! resources.
//!
//! One list and one watch a kind, of namespaces only where somebody asks, on one thread; what is kept of an object is what is used of it. Nobody
//! waits for the API server: what it said last stays true until it says something else, also over a start
//! (see [`State`]). Knows nothing of log files, nor of what the resources mean.

#![forbid(unsafe_code)]

mod access;
mod backoff;
mod cluster;
mod containers;
mod facts;
mod kind;
mod list;
mod log_node;
mod meter;
mod namespaces;
mod pods;
mod reflector;
mod resources;
mod state;

pub use access::{Access, AccessError};
pub use cluster::{Cluster, ClusterOptions, StartError, Timing};
pub use containers::Container;
pub use facts::{Fact, Facts};
pub use kind::Kind;
pub use log_node::{LogNode, WriteError};
pub use meter::WatchMeter;
pub use namespaces::{Namespace, Namespaces};
pub use pods::{Owner, Pod, Pods};
pub use resources::{Resource, ResourceKey};
pub use state::{State, StateError};
