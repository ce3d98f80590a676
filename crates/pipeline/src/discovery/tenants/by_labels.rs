//! By labels: whose a namespace is by what somebody else says of it, late or never.

use std::fmt::Debug;
use std::sync::Arc;

/// What somebody else knows of namespaces.
pub trait NamespaceTenants: Debug + Send + Sync {
    /// Another number whenever something more is known, or something else.
    fn version(&self) -> u64;

    /// Whose the namespace is.
    fn of(&self, namespace: &str) -> Labelled;
}

/// Whose a namespace is by its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Labelled {
    /// Nothing is known of it yet.
    Unknown,
    /// No tenant's.
    Nobodys,
    /// This tenant's.
    Of(Arc<str>),
    /// These two tenants', and perhaps others'.
    Contested(Arc<str>, Arc<str>),
}
