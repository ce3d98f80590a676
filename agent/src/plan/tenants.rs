//! Tenants: who owns what a LogConfig collects: by names, and by what an API server says of namespaces.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use crd::{LabelSelector, LogConfigSettings, Settings, TenantSettings};
use kube_watch::Namespaces;
use pipeline::discovery::{Labelled, NamespaceTenants, TenantMap};

/// Who owns what a LogConfig collects, and may send it to its sink.
pub(crate) fn tenants(
    config: &LogConfigSettings,
    settings: &Settings,
    by_labels: Option<&Arc<ByLabels>>,
) -> TenantMap {
    let name = |it: &TenantSettings| Arc::<str>::from(&*it.name);
    let all = || settings.tenants.iter();
    TenantMap {
        fixed: config.tenant.as_deref().map(Arc::from),
        by_namespace: all().map(|it| (Arc::clone(it.namespaces.set()), name(it))).collect(),
        by_labels: by_labels.map(|it| Arc::clone(it) as Arc<dyn NamespaceTenants>),
        listed: all().filter(|it| !it.is_of_its_name()).map(name).collect(),
        barred: all().filter(|it| !it.may_go(config)).map(name).collect(),
    }
}

/// LogTenants that select namespaces by labels, and the labels.
#[derive(Debug)]
pub(crate) struct ByLabels {
    selectors: Vec<(LabelSelector, Arc<str>)>,
    namespaces: Arc<Namespaces>,
    /// What was answered.
    told: Mutex<HashMap<String, Labelled>>,
}

impl ByLabels {
    /// `None` if no LogTenant asks for labels. Else nobody is the owner of what no LogTenant names, as long as nothing
    /// is known of it: without an API server for ever.
    pub(crate) fn of(settings: &Settings, namespaces: &Arc<Namespaces>) -> Option<Arc<ByLabels>> {
        let selector = |it: &TenantSettings| {
            Some((it.namespace_selector.clone()?, Arc::<str>::from(&*it.name)))
        };
        let selectors: Vec<_> = settings.tenants.iter().filter_map(selector).collect();
        let (namespaces, told) = (Arc::clone(namespaces), Mutex::default());
        (!selectors.is_empty()).then(|| Arc::new(ByLabels { selectors, namespaces, told }))
    }

    /// Whether a namespace is another's now than was answered.
    pub(crate) fn has_moved(&self) -> bool {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.iter().any(|(namespace, was)| self.now(namespace).is_some_and(|is| is != *was))
    }

    /// `None` if nothing is known of the namespace.
    fn now(&self, namespace: &str) -> Option<Labelled> {
        self.namespaces.get(namespace).map(|it| self.whose(&it.labels))
    }

    fn whose(&self, labels: &BTreeMap<String, String>) -> Labelled {
        let mut owners = self.selectors.iter().filter(|(it, _)| it.selects(labels));
        match (owners.next(), owners.next()) {
            (None, _) => Labelled::Nobodys,
            (Some((_, tenant)), None) => Labelled::Of(Arc::clone(tenant)),
            (Some((_, one)), Some((_, other))) => {
                Labelled::Contested(Arc::clone(one), Arc::clone(other))
            }
        }
    }
}

impl NamespaceTenants for ByLabels {
    fn version(&self) -> u64 {
        self.namespaces.version()
    }

    fn of(&self, namespace: &str) -> Labelled {
        let Some(owner) = self.now(namespace) else { return Labelled::Unknown };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !told.contains_key(namespace) {
            told.insert(namespace.to_owned(), owner.clone());
        }
        owner
    }
}
