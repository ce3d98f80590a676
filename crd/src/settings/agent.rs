//! The agent itself, ready to run.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::RateSettings;
use crate::spec::{LogFormat, LogLevel};

/// The agent itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSettings {
    /// Directory of checkpoints; absolute.
    pub state_directory: PathBuf,
    /// Folder of the Secrets that sinks name; absolute.
    pub secrets_directory: PathBuf,
    /// Where containers' logs are, unless a ClusterLogConfig says otherwise; absolute.
    pub pod_logs_directory: PathBuf,
    /// Address of metrics and health.
    pub listen: SocketAddr,
    /// Name of the node, if written; the agent knows where else to ask.
    pub node_name: Option<String>,
    /// Name of the cluster, if written.
    pub cluster_name: Option<String>,
    /// Labels of pods that their records bear, where an API server tells them; sorted, each there once.
    pub pod_labels: Vec<String>,
    /// Name of the host, if written.
    pub host_name: Option<String>,
    /// All memory of the agent, in bytes; `None` if the agent is to find out how much it may have.
    pub memory_bytes: Option<usize>,
    /// Threads that read.
    pub readers: usize,
    /// Threads that encode, compress and ship.
    pub shippers: usize,
    /// Most that is read at a time, in bytes.
    pub chunk_bytes: usize,
    /// How long a stop may take.
    pub shutdown_grace: Duration,
    /// How often checkpoints are stored.
    pub checkpoint_interval: Duration,
    /// How often folders are looked through.
    pub scan_interval: Duration,
    /// Most log files open at a time.
    pub open_files_max: usize,
    /// Most bytes of removed files that are held open.
    pub pinned_bytes_max: u64,
    /// How much may be read in a second, of all tenants together.
    pub limits: RateSettings,
    /// Where what would be lost is kept until its sink takes it; `None` for nowhere.
    pub spool: Option<SpoolSettings>,
    /// What says which containers there are, for files inside of them.
    pub container_runtime: ContainerRuntimeSettings,
    /// The agent's own log.
    pub log: LogSettings,
}

/// What says which containers there are, for files inside of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRuntimeSettings {
    /// Its socket, absolute; `None` for the first that is there of those that runtimes have.
    pub socket: Option<PathBuf>,
    /// The kubelet's directory, which has the pods' volumes; absolute.
    pub kubelet_directory: PathBuf,
}

/// Where what would be lost is kept until its sink takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolSettings {
    /// Its directory; absolute, of no sink.
    pub path: PathBuf,
    /// Most that it holds, in bytes.
    pub bytes_max: u64,
    /// Most that it holds of a tenant whose LogTenant does not say so, in bytes; at most `bytes_max`.
    pub bytes_per_tenant_max: u64,
    /// Most that is sent out of it in a second, in bytes.
    pub drain_bytes_per_second: u64,
}

/// The agent's own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// What is logged.
    pub level: LogLevel,
    /// How it is written.
    pub format: LogFormat,
}
