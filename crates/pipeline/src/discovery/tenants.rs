//! Tenant map: who owns the records of a namespace, or of a LogConfig's files, and whether they may go where
//! the LogConfig sends them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use flow::is_mutant;
use globset::GlobSet;

mod by_labels;
pub use by_labels::{Labelled, NamespaceTenants};

/// Resolves tenants. Only an administrator's words go in; nothing that a tenant writes does.
#[derive(Debug, Clone, Default)]
pub struct TenantMap {
    /// Set by the LogConfig: all its records.
    pub fixed: Option<Arc<str>>,
    /// Namespaces of each LogTenant, in order; the first that matches counts.
    pub by_namespace: Vec<(Arc<GlobSet>, Arc<str>)>,
    /// Whose the others are by their labels, if any LogTenant asks for labels.
    pub by_labels: Option<Arc<dyn NamespaceTenants>>,
    /// LogTenants whose namespaces are listed: one of their name that is not in the list is not theirs.
    pub listed: BTreeSet<Arc<str>>,
    /// Tenants whose records may not go to the LogConfig's sink, or not to its topic there.
    pub barred: BTreeSet<Arc<str>>,
}

/// Why nothing is read of a namespace, or of files, for a LogConfig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The tenant may not use the sink, or not the topic there.
    Sink(Arc<str>),
    /// The namespace bears the name of a LogTenant that lists others.
    Name(Arc<str>),
    /// The labels of the namespace are not known yet: it may be anybody's.
    Unknown,
    /// Two LogTenants select the namespace by its labels.
    Contested(Arc<str>, Arc<str>),
}

/// Tenant of host files whose LogConfig names none.
const DEFAULT_TENANT: &str = "default";

impl TenantMap {
    /// The tenant of a namespace: the LogConfig's, else the LogTenant's that has it by its name, or else by its
    /// labels, else itself. Never a guess.
    ///
    /// # Errors
    /// If nobody is, or nobody knows yet, or if its records may not go to the sink.
    pub fn of_namespace(&self, namespace: &str) -> Result<Arc<str>, Denial> {
        if let Some(fixed) = &self.fixed {
            return self.allowed(Arc::clone(fixed));
        }
        let grouped = self.by_namespace.iter().find(|(globs, _)| globs.is_match(namespace));
        if let Some((_, tenant)) = grouped {
            return self.allowed(Arc::clone(tenant));
        }
        match self.by_labels.as_ref().map(|it| it.of(namespace)) {
            Some(Labelled::Unknown) if !is_mutant("tenant_guessed") => {
                return Err(Denial::Unknown);
            }
            Some(Labelled::Contested(one, other)) => return Err(Denial::Contested(one, other)),
            Some(Labelled::Of(tenant)) => return self.allowed(tenant),
            Some(Labelled::Nobodys | Labelled::Unknown) | None => {}
        }
        match self.listed.get(namespace) {
            // Whoever makes a namespace chooses its name, and with it no tenant that has others.
            Some(tenant) if !is_mutant("tenant_by_a_name_alone") => {
                Err(Denial::Name(Arc::clone(tenant)))
            }
            _ => self.allowed(Arc::from(namespace)),
        }
    }

    /// Another number whenever more is known of namespaces.
    pub(super) fn version(&self) -> u64 {
        self.by_labels.as_ref().map_or(0, |it| it.version())
    }

    /// The tenant of host files.
    ///
    /// # Errors
    /// If its records may not go to the sink.
    pub fn of_files(&self) -> Result<Arc<str>, Denial> {
        self.allowed(self.fixed.as_ref().map_or_else(|| Arc::from(DEFAULT_TENANT), Arc::clone))
    }

    fn allowed(&self, tenant: Arc<str>) -> Result<Arc<str>, Denial> {
        let is_barred = self.barred.contains(&tenant) && !is_mutant("sinks_of_tenants_ignored");
        if is_barred { Err(Denial::Sink(tenant)) } else { Ok(tenant) }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denial::Sink(tenant) => {
                write!(
                    f,
                    "its tenant {tenant} may not use the LogSink, or not the topic: see `sinks` and `topics` of the \
                     LogTenant"
                )
            }
            Denial::Name(tenant) => write!(
                f,
                "its namespace has the name of LogTenant {tenant}, which lists others: add it to the \
                 `namespaces` of one"
            ),
            Denial::Unknown => write!(
                f,
                "waits for the labels of its namespace, which say whose it is: see logferry_kube_failing_seconds"
            ),
            Denial::Contested(one, other) => write!(
                f,
                "its namespace has labels that both LogTenant {one} and {other} select: change one's \
                 `namespaceSelector`, or name the namespace in the `namespaces` of one"
            ),
        }
    }
}
