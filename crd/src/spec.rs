//! What was written: one struct per resource kind, every field optional, nothing checked but types.
//!
//! Field names are camelCase in YAML. A field that is absent or null takes its default in
//! [`crate::resolve`]; a field that does not exist is refused.

mod agent;
mod labels;
mod log_config;
mod log_disk;
mod log_node;
mod log_sink;
mod log_tenant;
mod rate;
mod status;

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

pub use agent::{AgentSpec, ContainerRuntimeSpec, LogFormat, LogLevel, LogSpec, SpoolSpec};
pub use labels::{LabelExpressionSpec, LabelOperator, LabelSelectorSpec};
pub use log_config::{
    ContainerFilesSpec, ContainersSpec, EnvSelectorSpec, EnvSpec, FilesSpec, Format, LineSpec,
    LogConfigLimitsSpec, LogConfigSpec, MultilinePreset, MultilineSpec, OF_HOST, OF_NAMESPACE,
    OwnerSpec, RotationSpec, SamplingSpec, SelectorSpec, SourceSpec, StartAt, StreamName,
    TextEncoding,
};
pub use log_disk::{LogDiskFsync, LogDiskFull, LogDiskMode, LogDiskSpec};
pub use log_node::{LogConfigOnNode, LogCounts, LogNodeStatus, shortened};
pub use log_sink::{
    BatchSpec, BlackholeSpec, CodecName, CompressionSpec, Delivery, Encoding, FileSinkSpec,
    KafkaSpec, LogSinkSpec, QueueSpec, RetentionSpec, RetrySpec, SaslMechanism, SaslSpec,
    SecretKeySpec, StdoutSpec, TlsSpec,
};
pub use log_tenant::{AtLimitName, LogTenantSpec, MemorySpec, TenantLimitsSpec};
pub use rate::RateSpec;
pub use status::{Condition, ConditionStatus, LogConfigStatus, NodeProblem, Status};

/// The `apiVersion` of every resource.
pub const API_VERSION: &str = "logferry.dev/v1alpha1";

/// The kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The agent itself: at most one.
    Agent,
    /// What to collect of the whole host or cluster, and where to: an administrator's.
    ClusterLogConfig,
    /// What to collect of one namespace, and where to. Without a namespace, as on a host that has none, it is a
    /// ClusterLogConfig.
    LogConfig,
    /// Where logs go.
    LogSink,
    /// Who owns logs, and how much of the node is theirs.
    LogTenant,
}

impl Kind {
    /// All of them, in the order in which they are described.
    pub const ALL: [Kind; 5] =
        [Kind::Agent, Kind::LogSink, Kind::LogTenant, Kind::ClusterLogConfig, Kind::LogConfig];

    /// As written in `kind`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Agent => "Agent",
            Kind::ClusterLogConfig => "ClusterLogConfig",
            Kind::LogConfig => "LogConfig",
            Kind::LogSink => "LogSink",
            Kind::LogTenant => "LogTenant",
        }
    }
}

/// One document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resource<S> {
    /// Always [`API_VERSION`].
    pub api_version: Option<String>,
    /// Name of a [`Kind`].
    pub kind: Option<String>,
    /// Name and what Kubernetes adds.
    pub metadata: Option<Metadata>,
    /// What it says.
    pub spec: Option<S>,
    /// What a cluster says of it.
    #[serde(skip_serializing)]
    pub status: Option<IgnoredAny>,
}

/// What identifies a resource; and what a kube-apiserver adds, which is of no meaning to the agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Unique per kind and namespace.
    pub name: Option<String>,
    /// Only of a LogConfig: it then collects from this namespace alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Of no meaning to the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Of no meaning to the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Unique for all time.
    #[serde(skip_serializing)]
    pub uid: Option<IgnoredAny>,
    /// Changes with each change.
    #[serde(skip_serializing)]
    pub resource_version: Option<IgnoredAny>,
    /// Counts changes of the spec.
    #[serde(skip_serializing)]
    pub generation: Option<IgnoredAny>,
    /// When it was made.
    #[serde(skip_serializing)]
    pub creation_timestamp: Option<IgnoredAny>,
    /// When it is to go.
    #[serde(skip_serializing)]
    pub deletion_timestamp: Option<IgnoredAny>,
    /// How long that may take.
    #[serde(skip_serializing)]
    pub deletion_grace_period_seconds: Option<IgnoredAny>,
    /// What its name was made of.
    #[serde(skip_serializing)]
    pub generate_name: Option<IgnoredAny>,
    /// Who wrote which field.
    #[serde(skip_serializing)]
    pub managed_fields: Option<IgnoredAny>,
    /// What it goes with.
    #[serde(skip_serializing)]
    pub owner_references: Option<IgnoredAny>,
    /// Who is to be asked before it goes.
    #[serde(skip_serializing)]
    pub finalizers: Option<IgnoredAny>,
}
