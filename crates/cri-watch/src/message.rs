//! Messages of containerd's own services, beside the CRI: of the many fields those that are used.

use prost::Message;

/// `services/events/v1/events.proto`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SubscribeRequest {
    #[prost(string, repeated, tag = "1")]
    pub(crate) filters: Vec<String>,
}

/// `types/event.proto`.
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

/// `events/task.proto`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TaskExit {
    #[prost(string, tag = "1")]
    pub(crate) container_id: String,
    /// The same for the container's own process; another for what was executed in it besides, such as a probe.
    #[prost(string, tag = "2")]
    pub(crate) id: String,
}

/// `services/snapshots/v1/snapshots.proto`.
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

/// `types/mount.proto`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SnapshotMount {
    #[prost(string, tag = "1")]
    pub(crate) kind: String,
    #[prost(string, tag = "2")]
    pub(crate) source: String,
    #[prost(string, repeated, tag = "4")]
    pub(crate) options: Vec<String>,
}
