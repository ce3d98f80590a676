//! Store: the objects, and what happened to them, by `resourceVersion`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Plural, namespace (empty for none) and name.
type Key = (String, String, String);

/// Objects and events.
#[derive(Debug, Default)]
pub(crate) struct Store {
    objects: BTreeMap<Key, Value>,
    /// Version, plural, type of the event, and the object after it.
    events: Vec<(u64, String, &'static str, Value)>,
    version: u64,
    /// Events up to this version are forgotten.
    forgotten: u64,
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Value>,
    pub(crate) version: u64,
    /// Where the next page begins, if there is one.
    pub(crate) next: Option<usize>,
}

impl Store {
    /// Creates or replaces an object.
    pub(crate) fn apply(&mut self, plural: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let key = key(plural, &object);
        let what = if self.objects.contains_key(&key) { "MODIFIED" } else { "ADDED" };
        self.events.push((self.version, plural.to_owned(), what, object.clone()));
        self.objects.insert(key, object);
    }

    /// Removes an object.
    ///
    /// # Panics
    /// If it is not there.
    pub(crate) fn delete(&mut self, plural: &str, namespace: &str, name: &str) {
        let key = (plural.to_owned(), namespace.to_owned(), name.to_owned());
        let mut object = self.objects.remove(&key).expect("what is deleted is there");
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.events.push((self.version, plural.to_owned(), "DELETED", object));
    }

    /// Forgets all that happened so far.
    pub(crate) fn forget(&mut self) {
        // The next event is then the first that is remembered, and no watch from before it is.
        self.version += 1;
        self.forgotten = self.version;
        self.events.clear();
    }

    pub(crate) fn list(
        &self,
        plural: &str,
        node: Option<&str>,
        begin: usize,
        limit: Option<usize>,
    ) -> Page {
        let all =
            self.objects.iter().filter(|(key, object)| key.0 == plural && is_on(node, object));
        let mut items: Vec<Value> = all.skip(begin).map(|(_, object)| object.clone()).collect();
        let limit = limit.unwrap_or(usize::MAX);
        let next = (items.len() > limit).then(|| begin + limit);
        items.truncate(limit);
        Page { items, version: self.version, next }
    }

    /// What happened after `version`, and the version up to which this tells; `None` if that is forgotten.
    pub(crate) fn events_after(
        &self,
        version: u64,
        plural: &str,
        node: Option<&str>,
    ) -> Option<(Vec<Value>, u64)> {
        if version < self.forgotten {
            return None;
        }
        let news = self
            .events
            .iter()
            .filter(|(at, of, _, object)| *at > version && of == plural && is_on(node, object));
        let news =
            news.map(|(_, _, what, object)| json!({"type": what, "object": object})).collect();
        Some((news, self.version))
    }
}

fn key(plural: &str, object: &Value) -> Key {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    (plural.to_owned(), text("namespace"), text("name"))
}

fn is_on(node: Option<&str>, object: &Value) -> bool {
    node.is_none_or(|node| object["spec"]["nodeName"] == node)
}
