//! Resources: logferry's own objects, and those of Alibaba's agent, as short JSON texts: what they say, and nothing of what the server adds.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Kind;
use crate::reflector::{Copy, Versioned};

/// Longest spec that is kept, as JSON: a hundred times what they usually are. One that is longer is kept as a
/// text that says so, which is no spec.
const SPEC_BYTES_MAX: usize = 64 << 10;

/// What identifies a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKey {
    /// Its kind; never pods.
    pub kind: Kind,
    /// Its namespace; only a LogConfig and an AliyunLogConfig have one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for ResourceKey {
    /// `Kind namespace/name`, or `Kind name`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind.name(), self.name),
            None => write!(f, "{} {}", self.kind.name(), self.name),
        }
    }
}

/// A resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Which one.
    pub key: ResourceKey,
    /// `apiVersion`, `kind`, `metadata` with name and namespace, and `spec`, as JSON on one line.
    pub text: Arc<str>,
}

impl Resource {
    /// The resource with this spec.
    #[must_use]
    pub fn new(key: ResourceKey, spec: Value) -> Resource {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Document<'a> {
            api_version: &'static str,
            kind: &'static str,
            metadata: Metadata<'a>,
            spec: &'a Value,
        }
        #[derive(Serialize)]
        struct Metadata<'a> {
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            namespace: Option<&'a str>,
        }
        let spec = match spec.to_string().len() {
            bytes if bytes > SPEC_BYTES_MAX => {
                Value::String(format!("{bytes} bytes, of which {SPEC_BYTES_MAX} are allowed"))
            }
            _ => spec,
        };
        let document = Document {
            api_version: key.kind.api_version(),
            kind: key.kind.name(),
            metadata: Metadata { name: &key.name, namespace: key.namespace.as_deref() },
            spec: &spec,
        };
        let text = serde_json::to_string(&document).expect("what was JSON is JSON").into();
        Resource { key, text }
    }
}

/// The resources of one kind.
#[derive(Debug, Default)]
pub(crate) struct Texts(Mutex<BTreeMap<ResourceKey, Arc<str>>>);

impl Texts {
    pub(crate) fn restored(resources: impl Iterator<Item = Resource>) -> Texts {
        Texts(Mutex::new(resources.map(|it| (it.key, it.text)).collect()))
    }

    /// Those that `counts` picks.
    pub(crate) fn those(&self, counts: impl Fn(&ResourceKey) -> bool) -> Vec<Resource> {
        let all = self.map();
        all.iter()
            .filter(|(key, _)| counts(key))
            .map(|(key, text)| Resource { key: key.clone(), text: Arc::clone(text) })
            .collect()
    }

    fn map(&self) -> MutexGuard<'_, BTreeMap<ResourceKey, Arc<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The copy that the watch keeps up to date.
pub(crate) struct TextCopy {
    kind: Kind,
    texts: Arc<Texts>,
    listed: HashSet<ResourceKey>,
    changed: Box<dyn Fn(bool) + Send>,
}

impl TextCopy {
    /// `changed` is called when anything says something else, and with `true` after each list.
    pub(crate) fn new(
        kind: Kind,
        texts: Arc<Texts>,
        changed: Box<dyn Fn(bool) + Send>,
    ) -> TextCopy {
        TextCopy { kind, texts, listed: HashSet::new(), changed }
    }
}

impl Copy for TextCopy {
    type Object = ResourceObject;

    fn begin_list(&mut self) {
        self.listed.clear();
    }

    fn put(&mut self, object: ResourceObject) {
        let resource = object.trimmed(self.kind);
        self.listed.insert(resource.key.clone());
        let mut texts = self.texts.map();
        if texts.get(&resource.key) == Some(&resource.text) {
            return;
        }
        texts.insert(resource.key, resource.text);
        drop(texts);
        (self.changed)(false);
    }

    fn remove(&mut self, object: ResourceObject) {
        let key = object.trimmed(self.kind).key;
        if self.texts.map().remove(&key).is_some() {
            (self.changed)(false);
        }
    }

    fn end_list(&mut self) {
        let listed = std::mem::take(&mut self.listed);
        self.texts.map().retain(|key, _| listed.contains(key));
        (self.changed)(true);
    }

    fn count(&self) -> usize {
        self.texts.map().len()
    }
}

/// A resource as the API server writes it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ResourceObject {
    #[serde(default)]
    metadata: ResourceMetadata,
    #[serde(default)]
    spec: Value,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceMetadata {
    namespace: Option<String>,
    name: String,
    resource_version: String,
}

impl Versioned for ResourceObject {
    fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}

impl ResourceObject {
    fn trimmed(self, kind: Kind) -> Resource {
        let namespace = self.metadata.namespace.filter(|it| !it.is_empty());
        Resource::new(ResourceKey { kind, namespace, name: self.metadata.name }, self.spec)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn object(name: &str, sink: &str, version: &str) -> ResourceObject {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "logferry.dev/v1alpha1", "kind": "LogConfig",
            "metadata": {
                "namespace": "shop", "name": name, "resourceVersion": version, "generation": 3,
                "managedFields": [{"manager": "kubectl"}],
            },
            "spec": {"sink": sink}, "status": {"nodes": version},
        }))
        .unwrap()
    }

    #[test]
    fn only_what_a_resource_says_is_kept_and_a_change_of_status_is_none() {
        let changes = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&changes);
        let texts = Arc::new(Texts::default());
        let changed = Box::new(move |_| {
            counts.fetch_add(1, Ordering::Relaxed);
        });
        let mut copy = TextCopy::new(Kind::LogConfigs, Arc::clone(&texts), changed);
        copy.put(object("web", "default", "1"));
        copy.put(object("web", "default", "2"));
        assert_eq!(changes.load(Ordering::Relaxed), 1);
        let all = texts.those(|_| true);
        assert_eq!(
            &*all[0].text,
            r#"{"apiVersion":"logferry.dev/v1alpha1","kind":"LogConfig","metadata":{"name":"web","namespace":"shop"},"spec":{"sink":"default"}}"#
        );
        assert_eq!(all[0].key.to_string(), "LogConfig shop/web");
        copy.put(object("web", "other", "3"));
        copy.remove(object("web", "other", "4"));
        copy.remove(object("web", "other", "4"));
        assert_eq!((changes.load(Ordering::Relaxed), copy.count()), (3, 0));
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let long = object("web", &"x".repeat(SPEC_BYTES_MAX), "1").trimmed(Kind::LogConfigs);
        assert!(long.text.len() < 300, "{} bytes", long.text.len());
        assert!(long.text.contains("65547 bytes, of which 65536 are allowed"), "{}", long.text);
    }

    #[test]
    fn what_a_list_no_longer_has_is_gone() {
        let texts = Arc::new(Texts::default());
        let mut copy = TextCopy::new(Kind::LogConfigs, Arc::clone(&texts), Box::new(|_| {}));
        copy.put(object("one", "default", "1"));
        copy.put(object("two", "default", "2"));
        copy.begin_list();
        copy.put(object("two", "default", "2"));
        copy.end_list();
        assert_eq!(
            texts.those(|_| true).iter().map(|it| &*it.key.name).collect::<Vec<_>>(),
            ["two"]
        );
    }
}
