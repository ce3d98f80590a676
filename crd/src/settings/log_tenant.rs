//! Tenants, ready to run.

use std::time::Duration;

use super::{LabelSelector, LogConfigSettings, RateSettings};
use crate::Globs;

/// A tenant that has a LogTenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantSettings {
    /// The tenant's name.
    pub name: String,
    /// Namespaces whose containers are its own; no other tenant's match the same name.
    pub namespaces: Globs,
    /// Labels of further namespaces, if no LogTenant's `namespaces` match.
    pub namespace_selector: Option<LabelSelector>,
    /// Its memory for data in flight.
    pub memory: MemorySettings,
    /// Its share beside other tenants; 1 or more.
    pub weight: u32,
    /// Where something has to be lost, the lower one loses first.
    pub priority: i32,
    /// Names of the sinks that its records may go to, in order; `None` for all.
    pub sinks: Option<Vec<String>>,
    /// Topics that LogConfigs may name for its records; `None` for any.
    pub topics: Option<Globs>,
    /// How much may be read in a second, and what becomes of more.
    pub limits: TenantLimitsSettings,
    /// Most disk that its removed files keep, in bytes; `None` for the agent's limit alone.
    pub pinned_bytes_max: Option<u64>,
    /// Most that the spool holds of it, in bytes; `None` for the spool's limit of each tenant.
    pub spool_bytes_max: Option<u64>,
    /// Most of its files' bytes that are read and not acknowledged; `None` for its memory's limit alone.
    pub in_flight_bytes_max: Option<usize>,
    /// Most of its files that are open at a time; `None` for the agent's limit alone.
    pub open_files_max: Option<usize>,
}

/// Memory of a tenant for data in flight. `reserved_bytes` is at least the agent's `chunk_bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemorySettings {
    /// Never refused, never lent to others, in bytes.
    pub reserved_bytes: usize,
    /// Most, with the help of what all share, in bytes; at least `reserved_bytes`.
    pub max_bytes: usize,
}

/// How much may be read in a second, and what becomes of more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantLimitsSettings {
    /// How much.
    pub rate: RateSettings,
    /// What waits for longer is for `at_limit` to decide; `None` if only what is about to be rotated away is.
    pub max_lag: Option<Duration>,
    /// What becomes of it.
    pub at_limit: AtLimit,
}

/// What becomes of what has waited too long, or is about to be rotated away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtLimit {
    /// It waits on.
    Delay,
    /// It is kept in the spool, which the agent has.
    Spool,
    /// One of so many records is delivered, 2 or more; the others are declared.
    Sample {
        /// So many.
        one_in: u32,
    },
    /// The oldest is declared, and not delivered.
    ShedOldest,
}

impl TenantSettings {
    /// Whether it is the tenant of the namespace that has its name, unless another LogTenant names that: so it is
    /// if it names none itself.
    #[must_use]
    pub fn is_of_its_name(&self) -> bool {
        self.namespaces.patterns().is_empty() && self.namespace_selector.is_none()
    }

    /// Whether its records may go to the sink.
    #[must_use]
    pub fn may_use(&self, sink: &str) -> bool {
        self.sinks.as_ref().is_none_or(|sinks| sinks.iter().any(|it| it == sink))
    }

    /// Whether its records may go to a topic that a LogConfig names; to the sink's own they may.
    #[must_use]
    pub fn may_name(&self, topic: Option<&str>) -> bool {
        let globs = self.topics.as_ref();
        topic.is_none_or(|topic| globs.is_none_or(|it| it.matches(topic)))
    }

    /// Whether its records may go where the LogConfig sends them.
    #[must_use]
    pub fn may_go(&self, config: &LogConfigSettings) -> bool {
        self.may_use(&config.sink) && self.may_name(config.topic.as_deref())
    }
}
