//! Sidecar: by which names a pod shows that it was given an agent of its own, and what that collects.
//!
//! The operator writes them, and the agent of the node reads them.

/// Name of the container, and what names of its volumes begin with.
pub const NAME: &str = "logferry";
/// Annotation of the pod: the configuration that the sidecar runs with, as YAML documents.
pub const CONFIG: &str = "sidecar.logferry.dev/config";
