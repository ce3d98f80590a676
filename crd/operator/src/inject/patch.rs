//! Patch: the operations of a JSON patch (RFC 6902). All of them add: nothing of the pod is replaced or removed.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

/// Operations in the order in which they are carried out.
#[derive(Debug)]
pub(super) struct Patch<'a> {
    pod: &'a Value,
    operations: Vec<Value>,
    /// Lists and mappings that an operation before has made.
    made: HashSet<String>,
    /// How many items were put before those that a list had.
    shifted: Map<String, Value>,
}

impl Patch<'_> {
    pub(super) fn new(pod: &Value) -> Patch<'_> {
        Patch { pod, operations: Vec::new(), made: HashSet::new(), shifted: Map::new() }
    }

    /// Adds at the end of a list; `path` is as the list was found.
    pub(super) fn append(&mut self, path: &str, item: Value) {
        self.make(path, &json!([]));
        let path = self.now(path);
        self.add(format!("{path}/-"), item);
    }

    /// Adds at the begin of a list.
    pub(super) fn prepend(&mut self, path: &str, item: Value) {
        self.make(path, &json!([]));
        self.add(format!("{path}/0"), item);
        let shift = self.shifted.get(path).and_then(Value::as_u64).unwrap_or(0);
        self.shifted.insert(path.to_owned(), json!(shift + 1));
    }

    /// Adds an annotation that is not there.
    pub(super) fn annotate(&mut self, key: &str, value: &str) {
        self.make("/metadata", &json!({}));
        self.make("/metadata/annotations", &json!({}));
        let key = key.replace('~', "~0").replace('/', "~1");
        self.add(format!("/metadata/annotations/{key}"), json!(value));
    }

    pub(super) fn finish(self) -> Vec<Value> {
        self.operations
    }

    /// Makes a list or mapping, if there is none.
    fn make(&mut self, path: &str, empty: &Value) {
        let is_there = self.pod.pointer(path).is_some_and(|it| !it.is_null());
        if !is_there && self.made.insert(path.to_owned()) {
            let path = self.now(path);
            self.add(path, empty.clone());
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
