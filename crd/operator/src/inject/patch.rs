//! Patch: the operations of a JSON patch (RFC 6902). All of them add: nothing of the pod is replaced or removed.

use serde_json::{Map, Value, json};

/// Operations in the order in which they are carried out, and the pod that they make.
#[derive(Debug)]
pub(super) struct Patch {
    pod: Value,
    operations: Vec<Value>,
    /// How many items were put before those that a list had.
    shifted: Map<String, Value>,
}

impl Patch {
    pub(super) fn new(pod: &Value) -> Patch {
        Patch { pod: pod.clone(), operations: Vec::new(), shifted: Map::new() }
    }

    /// Adds at the end of a list; `path` is as the list was found.
    pub(super) fn append(&mut self, path: &str, item: Value) {
        let path = self.now(path);
        self.make(&path, json!([]));
        if let Some(Value::Array(list)) = self.pod.pointer_mut(&path) {
            list.push(item.clone());
        }
        self.add(format!("{path}/-"), item);
    }

    /// Adds at the begin of a list.
    pub(super) fn prepend(&mut self, path: &str, item: Value) {
        self.make(path, json!([]));
        if let Some(Value::Array(list)) = self.pod.pointer_mut(path) {
            list.insert(0, item.clone());
        }
        self.add(format!("{path}/0"), item);
        let shift = self.shifted.get(path).and_then(Value::as_u64).unwrap_or(0);
        self.shifted.insert(path.to_owned(), json!(shift + 1));
    }

    /// Adds an annotation that is not there.
    pub(super) fn annotate(&mut self, key: &str, value: &str) {
        self.make("/metadata", json!({}));
        self.make("/metadata/annotations", json!({}));
        self.put("/metadata/annotations", key, json!(value));
        let key = key.replace('~', "~0").replace('/', "~1");
        self.add(format!("/metadata/annotations/{key}"), json!(value));
    }

    /// The operations, and the pod that they make.
    pub(super) fn finish(self) -> (Vec<Value>, Value) {
        (self.operations, self.pod)
    }

    /// Makes a list or mapping, if there is none.
    fn make(&mut self, path: &str, empty: Value) {
        if self.pod.pointer(path).is_none_or(Value::is_null) {
            let (parent, key) = path.rsplit_once('/').unwrap_or(("", path));
            self.put(parent, key, empty.clone());
            self.add(path.to_owned(), empty);
        }
    }

    fn put(&mut self, mapping: &str, key: &str, value: Value) {
        if let Some(Value::Object(fields)) = self.pod.pointer_mut(mapping) {
            fields.insert(key.to_owned(), value);
        }
    }

    /// Where it is after what was put before it.
    fn now(&self, path: &str) -> String {
        for (list, shift) in &self.shifted {
            let rest = path.strip_prefix(list.as_str()).and_then(|it| it.strip_prefix('/'));
            let Some(rest) = rest else { continue };
            let (index, rest) = rest.split_once('/').unwrap_or((rest, ""));
            if let (Ok(index), Some(shift)) = (index.parse::<u64>(), shift.as_u64()) {
                return format!("{list}/{}/{rest}", index + shift);
            }
        }
        path.to_owned()
    }

    fn add(&mut self, path: String, value: Value) {
        self.operations.push(json!({"op": "add", "path": path, "value": value}));
    }
}
