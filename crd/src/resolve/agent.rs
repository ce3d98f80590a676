//! The agent's own settings.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::rate;
use crate::report::Check;
use crate::settings::{AgentSettings, ContainerRuntimeSettings, LogSettings, SpoolSettings};
use crate::spec::{AgentSpec, ContainerRuntimeSpec, LogSpec, SpoolSpec};
use crate::{defaults, limits};

pub(super) fn resolve(spec: AgentSpec, check: &mut Check<'_>) -> AgentSettings {
    let state_directory = check.absolute("spec.stateDirectory", spec.state_directory);
    let secrets_directory = check.absolute("spec.secretsDirectory", spec.secrets_directory);
    let pod_logs_directory = check.absolute("spec.podLogsDirectory", spec.pod_logs_directory);
    let listen = listen(spec.listen.as_deref(), check);
    let memory =
        spec.memory.map(|it| check.ranged("spec.memory", Some(it), it, &limits::MEMORY).as_usize());
    let chunk_bytes = check.ranged(
        "spec.chunkBytes",
        spec.chunk_bytes,
        defaults::CHUNK_BYTES,
        &limits::CHUNK_BYTES,
    );
    let shutdown_grace = check.ranged(
        "spec.shutdownGrace",
        spec.shutdown_grace,
        defaults::SHUTDOWN_GRACE,
        &limits::SHUTDOWN_GRACE,
    );
    let checkpoint_interval = check.ranged(
        "spec.checkpointInterval",
        spec.checkpoint_interval,
        defaults::CHECKPOINT_INTERVAL,
        &limits::CHECKPOINT_INTERVAL,
    );
    let scan_interval = check.ranged(
        "spec.scanInterval",
        spec.scan_interval,
        defaults::SCAN_INTERVAL,
        &limits::SCAN_INTERVAL,
    );
    let pinned_bytes_max = check.ranged(
        "spec.pinnedBytesMax",
        spec.pinned_bytes_max,
        defaults::PINNED_BYTES_MAX,
        &limits::PINNED_BYTES_MAX,
    );
    let mut count =
        |path, value, default, range| check.ranged(path, value, default, range) as usize;
    let readers = count("spec.readers", spec.readers, defaults::READERS, &limits::READERS);
    let shippers = count("spec.shippers", spec.shippers, defaults::SHIPPERS, &limits::SHIPPERS);
    let open_files_max = count(
        "spec.openFilesMax",
        spec.open_files_max,
        defaults::OPEN_FILES_MAX,
        &limits::OPEN_FILES_MAX,
    );
    let state_directory = state_directory.unwrap_or_else(|| defaults::STATE_DIRECTORY.into());
    let spool = spec.spool.map(|it| spool(it, &state_directory, check));
    AgentSettings {
        state_directory,
        secrets_directory: secrets_directory.unwrap_or_else(|| defaults::SECRETS_DIRECTORY.into()),
        pod_logs_directory: pod_logs_directory
            .unwrap_or_else(|| defaults::POD_LOGS_DIRECTORY.into()),
        listen,
        node_name: check.label("spec.nodeName", spec.node_name),
        cluster_name: check.label("spec.clusterName", spec.cluster_name),
        pod_labels: pod_labels(spec.pod_labels.unwrap_or_default(), check),
        host_name: check.label("spec.hostName", spec.host_name),
        memory_bytes: memory,
        readers,
        shippers,
        chunk_bytes: chunk_bytes.as_usize(),
        shutdown_grace: shutdown_grace.duration(),
        checkpoint_interval: checkpoint_interval.duration(),
        scan_interval: scan_interval.duration(),
        open_files_max,
        pinned_bytes_max: pinned_bytes_max.0,
        limits: rate::resolve("spec.limits", &spec.limits.unwrap_or_default(), check),
        spool,
        container_runtime: container_runtime(spec.container_runtime.unwrap_or_default(), check),
        log: log(spec.log.unwrap_or_default()),
    }
}

/// The settings of an agent that nobody wrote about.
pub(super) fn of_defaults() -> AgentSettings {
    AgentSettings {
        state_directory: PathBuf::from(defaults::STATE_DIRECTORY),
        secrets_directory: PathBuf::from(defaults::SECRETS_DIRECTORY),
        pod_logs_directory: PathBuf::from(defaults::POD_LOGS_DIRECTORY),
        listen: default_listen(),
        node_name: None,
        cluster_name: None,
        pod_labels: Vec::new(),
        host_name: None,
        memory_bytes: None,
        readers: defaults::READERS as usize,
        shippers: defaults::SHIPPERS as usize,
        chunk_bytes: defaults::CHUNK_BYTES.as_usize(),
        shutdown_grace: defaults::SHUTDOWN_GRACE.duration(),
        checkpoint_interval: defaults::CHECKPOINT_INTERVAL.duration(),
        scan_interval: defaults::SCAN_INTERVAL.duration(),
        open_files_max: defaults::OPEN_FILES_MAX as usize,
        pinned_bytes_max: defaults::PINNED_BYTES_MAX.0,
        limits: rate::unlimited(),
        spool: None,
        container_runtime: ContainerRuntimeSettings {
            socket: None,
            kubelet_directory: PathBuf::from(defaults::KUBELET_DIRECTORY),
        },
        log: log(LogSpec::default()),
    }
}

fn container_runtime(
    spec: ContainerRuntimeSpec,
    check: &mut Check<'_>,
) -> ContainerRuntimeSettings {
    let directory =
        check.absolute("spec.containerRuntime.kubeletDirectory", spec.kubelet_directory);
    ContainerRuntimeSettings {
        socket: check.absolute("spec.containerRuntime.socket", spec.socket),
        kubelet_directory: directory.unwrap_or_else(|| defaults::KUBELET_DIRECTORY.into()),
    }
}

fn spool(spec: SpoolSpec, state_directory: &Path, check: &mut Check<'_>) -> SpoolSettings {
    let path = check.absolute("spec.spool.path", spec.path);
    let bytes =
        check.ranged("spec.spool.bytes", spec.bytes, defaults::SPOOL_BYTES, &limits::SPOOL_BYTES);
    let per_tenant_path = "spec.spool.bytesPerTenant";
    let per_tenant = check.ranged(
        per_tenant_path,
        spec.bytes_per_tenant,
        defaults::SPOOL_BYTES_PER_TENANT.min(bytes),
        &limits::SPOOL_BYTES,
    );
    if per_tenant > bytes && !check.document.is_broken("spec.spool") {
        let cure = format!("write at most {bytes}, or more for spool.bytes");
        check.error(per_tenant_path, &format!("beyond the spool's {bytes}"), &cure);
    }
    let drain = check.ranged(
        "spec.spool.drainBytesPerSecond",
        spec.drain_bytes_per_second,
        defaults::SPOOL_DRAIN_BYTES_PER_SECOND,
        &limits::BYTES_PER_SECOND,
    );
    SpoolSettings {
        path: path.unwrap_or_else(|| state_directory.join(defaults::SPOOL_FOLDER)),
        bytes_max: bytes.0,
        bytes_per_tenant_max: per_tenant.0,
        drain_bytes_per_second: drain.0,
    }
}

/// Keys of labels; those that can be none are complained about.
fn pod_labels(mut keys: Vec<String>, check: &mut Check<'_>) -> Vec<String> {
    let path = "spec.podLabels";
    if keys.len() > limits::POD_LABELS_MAX {
        let cure = format!("write at most {}", limits::POD_LABELS_MAX);
        check.error(path, &format!("{} labels", keys.len()), &cure);
        return Vec::new();
    }
    let is_allowed = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.' | '/');
    for (index, key) in keys.iter().enumerate() {
        let is_long = key.len() > limits::LABEL_KEY_BYTES_MAX;
        if key.is_empty() || is_long || !key.chars().all(is_allowed) {
            let cure = "write one such as app or app.kubernetes.io/name";
            check.error(&format!("{path}[{index}]"), "not a label", cure);
        }
    }
    keys.sort();
    keys.dedup();
    keys
}

fn log(spec: LogSpec) -> LogSettings {
    LogSettings {
        level: spec.level.unwrap_or(defaults::LOG_LEVEL),
        format: spec.format.unwrap_or(defaults::LOG_FORMAT),
    }
}

fn default_listen() -> SocketAddr {
    defaults::LISTEN.parse().expect("the default is an address, as a test shows")
}

fn listen(written: Option<&str>, check: &mut Check<'_>) -> SocketAddr {
    let Some(written) = written else { return default_listen() };
    let Ok(address) = written.parse::<SocketAddr>() else {
        let cure = format!("write an IP address and a port, such as {}", defaults::LISTEN);
        check.error("spec.listen", "not an address", &cure);
        return default_listen();
    };
    if !address.ip().is_loopback() {
        let why = "metrics and health can be read by whoever reaches this address";
        let cure = format!("write {} unless that is meant", defaults::LISTEN);
        check.warning("spec.listen", why, &cure);
    }
    address
}
