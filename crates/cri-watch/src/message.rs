//! Messages: of the CRI (`k8s.io/cri-api/pkg/apis/runtime/v1/api.proto`) and of containerd's own services, of the many
//! fields those that are used. So the build needs no compiler of protocol buffers.

use std::collections::BTreeMap;

use prost::Message;

/// No question but that it was asked.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Empty {}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct VersionResponse {
    /// `containerd`, `cri-o`.
    #[prost(string, tag = "2")]
    pub(crate) runtime_name: String,
    #[prost(string, tag = "3")]
    pub(crate) runtime_version: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ListPodSandboxResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) items: Vec<PodSandbox>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PodSandbox {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(message, tag = "2")]
    pub(crate) metadata: Option<PodSandboxMetadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PodSandboxMetadata {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) uid: String,
    #[prost(string, tag = "3")]
    pub(crate) namespace: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ListContainersResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) containers: Vec<ListedContainer>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ListedContainer {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(string, tag = "2")]
    pub(crate) pod_sandbox_id: String,
    #[prost(message, tag = "3")]
    pub(crate) metadata: Option<ContainerMetadata>,
    #[prost(enumeration = "ContainerState", tag = "6")]
    pub(crate) state: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ContainerMetadata {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(uint32, tag = "2")]
    pub(crate) attempt: u32,
}

/// What has become of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
pub(crate) enum ContainerState {
    Created = 0,
    Running = 1,
    Exited = 2,
    Unknown = 3,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ContainerStatusRequest {
    #[prost(string, tag = "1")]
    pub(crate) container_id: String,
    /// With `info`, which holds what the runtime likes to tell.
    #[prost(bool, tag = "2")]
    pub(crate) verbose: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ContainerStatusResponse {
    #[prost(message, tag = "1")]
    pub(crate) status: Option<ContainerStatus>,
    #[prost(btree_map = "string, string", tag = "2")]
    pub(crate) info: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ContainerStatus {
    #[prost(message, repeated, tag = "14")]
    pub(crate) mounts: Vec<CriMount>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CriMount {
    #[prost(string, tag = "1")]
    pub(crate) container_path: String,
    #[prost(string, tag = "2")]
    pub(crate) host_path: String,
}

/// Of CRI: something happened to some container.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ContainerEventResponse {
    #[prost(string, tag = "1")]
    pub(crate) container_id: String,
}

/// Of containerd: `services/events/v1/events.proto`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SubscribeRequest {
    #[prost(string, repeated, tag = "1")]
    pub(crate) filters: Vec<String>,
}

/// Of containerd: `types/event.proto`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Envelope {
    #[prost(string, tag = "3")]
    pub(crate) topic: String,
    #[prost(message, tag = "4")]
    pub(crate) event: Option<Any>,
}

/// `google/protobuf/any.proto`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Any {
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

/// Of containerd: `events/task.proto`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TaskExit {
    #[prost(string, tag = "1")]
    pub(crate) container_id: String,
    /// The same for the container's own process; another for what was executed in it besides, such as a probe.
    #[prost(string, tag = "2")]
    pub(crate) id: String,
}

/// Of containerd: `services/snapshots/v1/snapshots.proto`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MountsRequest {
    #[prost(string, tag = "1")]
    pub(crate) snapshotter: String,
    #[prost(string, tag = "2")]
    pub(crate) key: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MountsResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) mounts: Vec<SnapshotMount>,
}

/// Of containerd: `types/mount.proto`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SnapshotMount {
    #[prost(string, tag = "1")]
    pub(crate) kind: String,
    #[prost(string, tag = "2")]
    pub(crate) source: String,
    #[prost(string, repeated, tag = "4")]
    pub(crate) options: Vec<String>,
}
