//! Settings: what runs. Every default is filled, every reference resolved, every glob compiled.
//!
//! Made by [`crate::resolve`]; immutable. Two of them are equal if they say the same, wherever it
//! was written, so that a reload that changes nothing is seen to.

mod access;
mod agent;
mod labels;
mod log_config;
mod log_disk;
mod log_tenant;
mod rate;
mod sink;

use std::fmt;

pub use access::{SaslSettings, SecretSource, TlsIdentity, TlsSettings, UserName};
pub use agent::{AgentSettings, ContainerRuntimeSettings, LogSettings, SpoolSettings};
pub use labels::{LabelRequirement, LabelRule, LabelSelector};
pub use log_config::{
    ContainerFilesSettings, ContainersSettings, EnvSelector, EnvVariable, FilesSettings,
    LineSettings, LogConfigLimitsSettings, LogConfigSettings, MultilineRule, MultilineSettings,
    OwnerSettings, Selector, SourceSettings,
};
pub use log_disk::LogDiskSettings;
pub use log_tenant::{AtLimit, MemorySettings, TenantLimitsSettings, TenantSettings};
pub use rate::RateSettings;
pub use sink::{
    BatchSettings, CompressionSettings, FileSinkSettings, KafkaSettings, QueueSettings,
    RetrySettings, SinkSettings, SinkTarget,
};

use crate::{Problems, defaults};

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The agent itself.
    pub agent: AgentSettings,
    /// What to collect, by name; where two want the same source, the first has it.
    pub log_configs: Vec<LogConfigSettings>,
    /// Where logs go, by name.
    pub sinks: Vec<SinkSettings>,
    /// Tenants that have a LogTenant, by name; no two match the same namespace.
    pub tenants: Vec<TenantSettings>,
    /// Memory of a tenant that has no LogTenant. Together with the reserves of `tenants`, its
    /// reserve fits once into the agent's memory.
    pub other_tenants_memory: MemorySettings,
    /// What is allowed but perhaps not meant. Not part of what is compared.
    pub warnings: Problems,
}

/// What identifies a LogConfig.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceName {
    /// Its namespace, if it has one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Settings {
    /// The sink called `name`.
    #[must_use]
    pub fn sink(&self, name: &str) -> Option<&SinkSettings> {
        self.sinks.iter().find(|sink| sink.name == name)
    }

    /// The LogConfig that collects a container: the first by name that selects it, and whose sink and topic its
    /// tenant may use.
    #[must_use]
    pub fn log_config_of_container(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
    ) -> Option<&LogConfigSettings> {
        let may = |config: &LogConfigSettings| {
            let tenant = self.tenant_of_container(config, namespace);
            tenant.is_some_and(|it| self.may_go(it, config))
        };
        self.log_configs.iter().find(|config| match &config.source {
            SourceSettings::Containers(containers) => {
                containers.selects(namespace, pod, container) && may(config)
            }
            SourceSettings::Files(_) => false,
        })
    }

    /// The tenant of a container of `namespace` that `config` collects: the config's own, else the
    /// one whose LogTenant has the namespace, else the namespace itself. `None` if that is the name of a
    /// LogTenant that has other namespaces: whoever makes a namespace chooses no tenant by its name.
    #[must_use]
    pub fn tenant_of_container<'a>(
        &'a self,
        config: &'a LogConfigSettings,
        namespace: &'a str,
    ) -> Option<&'a str> {
        if let Some(tenant) = &config.tenant {
            return Some(tenant);
        }
        if let Some(tenant) = self.tenants.iter().find(|it| it.namespaces.matches(namespace)) {
            return Some(&tenant.name);
        }
        let is_taken = |it: &TenantSettings| it.name == namespace && !it.is_of_its_name();
        (!self.tenants.iter().any(is_taken)).then_some(namespace)
    }

    /// Whether records of `tenant` may go where `config` sends them.
    #[must_use]
    pub fn may_go(&self, tenant: &str, config: &LogConfigSettings) -> bool {
        let tenant = self.tenants.iter().find(|it| it.name == tenant);
        tenant.is_none_or(|it| it.may_go(config))
    }

    /// The tenant of files that `config` collects: its own, else `default`.
    #[must_use]
    pub fn tenant_of_files<'a>(&self, config: &'a LogConfigSettings) -> &'a str {
        config.tenant.as_deref().unwrap_or(defaults::TENANT)
    }

    /// The memory of the tenant called `name`, whether or not it has a LogTenant.
    #[must_use]
    pub fn memory_of_tenant(&self, name: &str) -> MemorySettings {
        let tenant = self.tenants.iter().find(|tenant| tenant.name == name);
        tenant.map_or(self.other_tenants_memory, |tenant| tenant.memory)
    }
}

impl PartialEq for Settings {
    fn eq(&self, other: &Settings) -> bool {
        let Settings { agent, log_configs, sinks, tenants, other_tenants_memory, warnings: _ } =
            self;
        *agent == other.agent
            && *log_configs == other.log_configs
            && *sinks == other.sinks
            && *tenants == other.tenants
            && *other_tenants_memory == other.other_tenants_memory
    }
}

impl Eq for Settings {}

impl fmt::Display for ResourceName {
    /// `namespace/name`, or `name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}
