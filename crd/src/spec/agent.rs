//! The agent itself: paths, threads and memory.

use serde::{Deserialize, Serialize};

use super::RateSpec;
use crate::units::{ByteSize, Period};

/// Kind `Agent`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentSpec {
    /// Directory of checkpoints; absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_directory: Option<String>,
    /// Folder of the Secrets that LogSinks name: a folder of its name for each, in it a file for each of its keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets_directory: Option<String>,
    /// The kubelet's `podLogsDir`; absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_logs_directory: Option<String>,
    /// Address and port of metrics and health.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// Name of the node, for the records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Name of the cluster, for the records and the identity of contexts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    /// Labels of pods that their records bear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_labels: Option<Vec<String>>,
    /// Name of the host, for records of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_name: Option<String>,
    /// All memory of the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Threads that read, encode and compress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readers: Option<u32>,
    /// Threads that ship, for each sink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shippers: Option<u32>,
    /// Most that is read at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_bytes: Option<ByteSize>,
    /// How long a stop may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shutdown_grace: Option<Period>,
    /// How often checkpoints are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_interval: Option<Period>,
    /// How often folders are looked through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan_interval: Option<Period>,
    /// Most log files open at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files_max: Option<u32>,
    /// Most disk that removed files keep by being held open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned_bytes_max: Option<ByteSize>,
    /// How much may be read in a second, of all tenants together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<RateSpec>,
    /// Where what would be lost is kept until its sink takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spool: Option<SpoolSpec>,
    /// What says which containers there are, for files inside of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_runtime: Option<ContainerRuntimeSpec>,
    /// The agent's own log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogSpec>,
}

/// What says which containers there are, for files inside of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerRuntimeSpec {
    /// Its socket; absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// The kubelet's directory, which has the pods' volumes; absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubelet_directory: Option<String>,
}

/// Where what would be lost is kept until its sink takes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpoolSpec {
    /// Its directory; absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Most that it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<ByteSize>,
    /// Most that it holds of a tenant whose LogTenant does not say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_tenant: Option<ByteSize>,
    /// Most that is sent out of it in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_bytes_per_second: Option<ByteSize>,
}

/// The agent's own log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogSpec {
    /// What is logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// How it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<LogFormat>,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// A human must act.
    Error,
    /// Also: degraded but recovering.
    Warn,
    /// Also: lifecycle.
    Info,
    /// Also: each batch.
    Debug,
    /// All there is.
    Trace,
}

/// How the agent writes its own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one object a line.
    Json,
}
