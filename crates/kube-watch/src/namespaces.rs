//! Namespaces: their labels. Watched only where something is selected by them.
//!
//! A namespace that is gone is forgotten at once: the next one of its name is another, perhaps of somebody else.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::facts::{Fact, Facts};
use crate::reflector::{Copy, Versioned};

/// What is used of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Fact for Namespace {
    fn key(&self) -> &str {
        &self.name
    }
}

/// All namespaces of the cluster.
pub type Namespaces = Facts<Namespace>;

/// The copy that the watch keeps up to date.
pub(crate) struct NamespaceCopy {
    namespaces: Arc<Namespaces>,
    /// Names of a list that is being read.
    listed: HashSet<String>,
    changed: Box<dyn Fn(bool) + Send>,
}

impl NamespaceCopy {
    /// `changed` is called when a namespace is new or has changed, and with `true` after each list.
    pub(crate) fn new(
        namespaces: Arc<Namespaces>,
        changed: Box<dyn Fn(bool) + Send>,
    ) -> NamespaceCopy {
        NamespaceCopy { namespaces, listed: HashSet::new(), changed }
    }
}

impl Copy for NamespaceCopy {
    type Object = NamespaceObject;

    fn begin_list(&mut self) {
        self.listed.clear();
    }

    fn put(&mut self, object: NamespaceObject) {
        let NamespaceMetadata { name, labels, .. } = object.metadata;
        self.listed.insert(name.clone());
        if self.namespaces.put(Namespace { name, labels }) {
            (self.changed)(false);
        }
    }

    fn remove(&mut self, object: NamespaceObject) {
        self.namespaces.forget(&object.metadata.name);
        (self.changed)(false);
    }

    fn end_list(&mut self) {
        let listed = std::mem::take(&mut self.listed);
        let all = self.namespaces.all();
        let gone = all.iter().filter(|it| !listed.contains(&it.name));
        gone.for_each(|it| self.namespaces.forget(&it.name));
        (self.changed)(true);
    }

    fn count(&self) -> usize {
        self.namespaces.all().len()
    }
}

/// A namespace as the API server writes it; what is not used is not even read.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NamespaceObject {
    #[serde(default)]
    metadata: NamespaceMetadata,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NamespaceMetadata {
    name: String,
    resource_version: String,
    labels: BTreeMap<String, String>,
}

impl Versioned for NamespaceObject {
    fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(name: &str, team: &str) -> NamespaceObject {
        let json = serde_json::json!({"metadata": {"name": name, "labels": {"team": team}}});
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_namespace_that_is_gone_is_not_known_by_its_name_any_more() {
        let namespaces = Arc::new(Namespaces::default());
        let mut copy = NamespaceCopy::new(Arc::clone(&namespaces), Box::new(|_| {}));
        copy.put(namespace("one", "a"));
        copy.put(namespace("two", "a"));
        copy.remove(namespace("one", "a"));
        assert_eq!(namespaces.get("one"), None);
        // Of the second, a list tells that it is gone.
        copy.begin_list();
        copy.put(namespace("one", "b"));
        copy.end_list();
        assert_eq!((namespaces.get("two"), copy.count()), (None, 1));
        assert_eq!(namespaces.get("one").unwrap().labels["team"], "b");
    }
}
