//! Who owns logs, and how much of the node is theirs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LabelSelectorSpec;
use crate::units::{ByteSize, Period};

/// A tenant, of the name of the resource: who owns logs, and how much of the node is theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogTenantSpec {
    /// Globs of the namespaces whose containers are its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
    /// Labels of further namespaces whose containers are its own, if no LogTenant names them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelectorSpec>,
    /// Memory for data in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemorySpec>,
    /// Its share beside other tenants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Who loses first where something has to be lost: the lower one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Names of the LogSinks that its records may go to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sinks: Option<Vec<String>>,
    /// Globs of the topics that LogConfigs may name for its records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<String>>,
    /// How much may be read in a second, and what becomes of more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<TenantLimitsSpec>,
    /// Most disk that its removed files keep by being held open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned_bytes: Option<ByteSize>,
    /// Most that the spool holds of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spool_bytes: Option<ByteSize>,
    /// Most bytes of its files that are read and not acknowledged, over all its sinks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight_bytes: Option<ByteSize>,
    /// Most of its files that are open at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u32>,
}

/// Memory of a tenant for data in flight.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MemorySpec {
    /// Never refused, never lent to others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved: Option<ByteSize>,
    /// Most, with the help of what all share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<ByteSize>,
}

/// How much may be read in a second, and what becomes of more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantLimitsSpec {
    /// Most bytes of files a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<ByteSize>,
    /// Most records a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_per_second: Option<u32>,
    /// What was not used of so much time may be used at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<Period>,
    /// What waits for longer is for `at_limit` to decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lag: Option<Period>,
    /// What becomes of what has waited too long, or is about to be rotated away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_limit: Option<AtLimitName>,
    /// With `sample`: one of so many records is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_one_in: Option<u32>,
}

/// What becomes of what has waited too long, or is about to be rotated away.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum AtLimitName {
    /// It waits on.
    Delay,
    /// It is kept in the spool.
    Spool,
    /// One of so many records is delivered.
    Sample,
    /// The oldest is not delivered.
    ShedOldest,
}

impl AtLimitName {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            AtLimitName::Delay => "delay",
            AtLimitName::Spool => "spool",
            AtLimitName::Sample => "sample",
            AtLimitName::ShedOldest => "shedOldest",
        }
    }
}
