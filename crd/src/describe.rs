//! Writes settings back as resources, every default filled: what `logferry check` shows.
//!
//! The text is itself a configuration that gives equal settings. Its order is fixed: the agent,
//! sinks, tenants, LogConfigs; fields as the types declare them.

mod log_config;
mod log_tenant;
mod sink;

use serde::Serialize;

use crate::settings::{
    AgentSettings, ContainerRuntimeSettings, RateSettings, Settings, SpoolSettings,
};
use crate::spec::{
    API_VERSION, AgentSpec, ContainerRuntimeSpec, Kind, LogSpec, Metadata, RateSpec, Resource,
    SpoolSpec,
};
use crate::units::{ByteSize, Period};
use crate::yaml;

impl Settings {
    /// All resources as YAML documents.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut out = String::new();
        for json in self.resources() {
            if !out.is_empty() {
                out.push_str("---\n");
            }
            // JSON is YAML; reading it keeps the order of the fields.
            for root in yaml::documents(&json).into_iter().filter_map(|parsed| parsed.root) {
                out.push_str(&yaml::write(&root));
            }
        }
        out
    }

    /// All resources as a JSON array.
    #[must_use]
    pub fn describe_json(&self) -> String {
        format!("[\n{}\n]\n", self.resources().join(",\n"))
    }

    /// Each resource as JSON.
    fn resources(&self) -> Vec<String> {
        let mut all = vec![resource(Kind::Agent, None, "agent", agent(&self.agent))];
        let sinks = self.sinks.iter();
        all.extend(sinks.map(|it| resource(Kind::LogSink, None, &it.name, sink::spec(it))));
        let tenants = self.tenants.iter();
        all.extend(
            tenants.map(|it| resource(Kind::LogTenant, None, &it.name, log_tenant::spec(it))),
        );
        all.extend(self.log_configs.iter().map(|it| {
            let namespace = it.name.namespace.clone();
            let kind = if namespace.is_some() { Kind::LogConfig } else { Kind::ClusterLogConfig };
            resource(kind, namespace, &it.name.name, log_config::spec(it))
        }));
        all
    }
}

fn resource<S: Serialize>(kind: Kind, namespace: Option<String>, name: &str, spec: S) -> String {
    let name = Some(name.to_owned());
    let resource = Resource {
        api_version: Some(API_VERSION.to_owned()),
        kind: Some(kind.name().to_owned()),
        metadata: Some(Metadata { name, namespace, ..Metadata::default() }),
        spec: Some(spec),
        status: None,
    };
    serde_json::to_string_pretty(&resource).expect("strings and numbers are always JSON")
}

fn agent(agent: &AgentSettings) -> AgentSpec {
    AgentSpec {
        state_directory: Some(agent.state_directory.to_string_lossy().into_owned()),
        secrets_directory: Some(agent.secrets_directory.to_string_lossy().into_owned()),
        pod_logs_directory: Some(agent.pod_logs_directory.to_string_lossy().into_owned()),
        listen: Some(agent.listen.to_string()),
        node_name: agent.node_name.clone(),
        cluster_name: agent.cluster_name.clone(),
        pod_labels: (!agent.pod_labels.is_empty()).then(|| agent.pod_labels.clone()),
        host_name: agent.host_name.clone(),
        memory: agent.memory_bytes.map(size),
        readers: Some(count(agent.readers)),
        shippers: Some(count(agent.shippers)),
        chunk_bytes: Some(size(agent.chunk_bytes)),
        shutdown_grace: Some(Period::from(agent.shutdown_grace)),
        checkpoint_interval: Some(Period::from(agent.checkpoint_interval)),
        scan_interval: Some(Period::from(agent.scan_interval)),
        open_files_max: Some(count(agent.open_files_max)),
        pinned_bytes_max: Some(ByteSize(agent.pinned_bytes_max)),
        limits: agent.limits.is_limited().then(|| rate(&agent.limits)),
        spool: agent.spool.as_ref().map(spool),
        container_runtime: Some(container_runtime(&agent.container_runtime)),
        log: Some(LogSpec { level: Some(agent.log.level), format: Some(agent.log.format) }),
    }
}

fn container_runtime(runtime: &ContainerRuntimeSettings) -> ContainerRuntimeSpec {
    ContainerRuntimeSpec {
        socket: runtime.socket.as_ref().map(|it| it.to_string_lossy().into_owned()),
        kubelet_directory: Some(runtime.kubelet_directory.to_string_lossy().into_owned()),
    }
}

fn spool(spool: &SpoolSettings) -> SpoolSpec {
    SpoolSpec {
        path: Some(spool.path.to_string_lossy().into_owned()),
        bytes: Some(ByteSize(spool.bytes_max)),
        bytes_per_tenant: Some(ByteSize(spool.bytes_per_tenant_max)),
        drain_bytes_per_second: Some(ByteSize(spool.drain_bytes_per_second)),
    }
}

/// A rate; without a limit nothing, as a burst would be of none.
fn rate(rate: &RateSettings) -> RateSpec {
    let records = rate.records_per_second;
    RateSpec {
        bytes_per_second: rate.bytes_per_second.map(ByteSize),
        records_per_second: records.map(|it| u32::try_from(it).unwrap_or(u32::MAX)),
        burst: rate.is_limited().then(|| Period::from(rate.burst)),
    }
}

fn size(bytes: usize) -> ByteSize {
    ByteSize(bytes as u64)
}

/// Counts come from a `u32` and fit into one again.
fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
