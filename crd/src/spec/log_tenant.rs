//! Who owns logs, and how much memory is theirs.

use serde::{Deserialize, Serialize};

use crate::units::ByteSize;

/// Kind `LogTenant`; its name is the tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogTenantSpec {
    /// Globs of the namespaces whose containers are its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
    /// Memory for data in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemorySpec>,
}

/// Memory of a tenant for data in flight.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MemorySpec {
    /// Never refused, never lent to others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved: Option<ByteSize>,
    /// Most, with the help of what all share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<ByteSize>,
}
