//! Tenant map: who owns the records of a namespace, or of a LogConfig's files.

use std::sync::Arc;

use globset::GlobSet;

/// Resolves tenants. Only an administrator's words go in; nothing that a tenant writes does.
#[derive(Debug, Clone, Default)]
pub struct TenantMap {
    /// Set by the LogConfig: all its records.
    pub fixed: Option<Arc<str>>,
    /// Namespaces of each LogTenant, in order; the first that matches counts.
    pub by_namespace: Vec<(GlobSet, Arc<str>)>,
}

/// Tenant of host files whose LogConfig names none.
const DEFAULT_TENANT: &str = "default";

impl TenantMap {
    /// The tenant of a namespace: the LogConfig's, else the LogTenant's that has it, else itself.
    #[must_use]
    pub fn of_namespace(&self, namespace: &str) -> Arc<str> {
        if let Some(fixed) = &self.fixed {
            return Arc::clone(fixed);
        }
        let grouped = self.by_namespace.iter().find(|(globs, _)| globs.is_match(namespace));
        grouped.map_or_else(|| Arc::from(namespace), |(_, tenant)| Arc::clone(tenant))
    }

    /// The tenant of host files.
    #[must_use]
    pub fn of_files(&self) -> Arc<str> {
        self.fixed.as_ref().map_or_else(|| Arc::from(DEFAULT_TENANT), Arc::clone)
    }
}
