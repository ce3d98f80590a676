//! Object: reads fields by their paths, and keeps what there is to say of them.

use regex::Regex;
use serde_json::Value;

use crate::Note;
use crate::fields::{Fate, Field};
use crd::limits::TOPIC_CHARS_MAX;

/// An object that is being read.
pub(crate) struct Object<'a> {
    root: &'a Value,
    notes: Vec<Note>,
}

impl<'a> Object<'a> {
    /// Looks through all that is written, and notes what `fields` say of it, and what they do not know.
    pub(crate) fn new(root: &'a Value, fields: &[Field]) -> Object<'a> {
        let mut object = Object { root, notes: Vec::new() };
        object.look(root, "", fields);
        object
    }

    fn look(&mut self, value: &Value, path: &str, fields: &[Field]) {
        if let Some(field) = fields.iter().find(|it| it.is_at(path)) {
            if field.fate != Fate::Honoured && !field.is_quiet(value) {
                self.note(path, field.fate, field.says);
            }
            return;
        }
        let is_known = path.is_empty() || fields.iter().any(|it| it.is_below(path));
        match value {
            Value::Object(entries) if is_known => {
                for (key, value) in entries {
                    let dot = if path.is_empty() { "" } else { "." };
                    self.look(value, &format!("{path}{dot}{key}"), fields);
                }
            }
            Value::Array(items) if is_known => {
                for (index, item) in items.iter().enumerate() {
                    self.look(item, &format!("{path}[{index}]"), fields);
                }
            }
            // What is not set is not written.
            Value::Null => {}
            _ if is_known => self.refuse(path, "of a wrong type"),
            _ => {
                self.note(path, Fate::Unknown, "not a field that is known; nothing is done with it")
            }
        }
    }

    pub(crate) fn into_notes(self) -> Vec<Note> {
        self.notes
    }

    pub(crate) fn note(&mut self, path: &str, fate: Fate, text: &str) {
        self.notes.push(Note { path: path.to_owned(), fate, text: text.to_owned() });
    }

    /// Notes why the object as a whole cannot be used.
    pub(crate) fn refuse(&mut self, path: &str, text: &str) {
        self.note(path, Fate::Refused, text);
    }

    /// The value at `path`; null is none.
    pub(crate) fn get(&self, path: &str) -> Option<&'a Value> {
        let mut value = self.root;
        for step in path.split(['.', '[']) {
            value = match step.strip_suffix(']') {
                Some(index) => value.get(index.parse::<usize>().ok()?),
                None => value.get(step),
            }?;
        }
        Some(value).filter(|it| !it.is_null())
    }

    fn read<T>(
        &mut self,
        path: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.get(path)?;
        let read = read(value);
        if read.is_none() {
            self.refuse(path, &format!("not {what}"));
        }
        read
    }

    pub(crate) fn text(&mut self, path: &str) -> Option<&'a str> {
        self.read(path, "a text", Value::as_str)
    }

    /// A regular expression, if it says anything; one that is not understood is refused.
    pub(crate) fn pattern(&mut self, path: &str) -> Option<&'a str> {
        let text = self.text(path).filter(|it| !it.is_empty())?;
        if let Err(error) = Regex::new(text) {
            // Its text shows the place in several lines; the last says what is wrong.
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            self.refuse(path, &format!("a regular expression that is not understood: {why}"));
        }
        Some(text)
    }

    pub(crate) fn flag(&mut self, path: &str, default: bool) -> bool {
        self.read(path, "true or false", Value::as_bool).unwrap_or(default)
    }

    /// A number; negative ones are none, which is how they are written where nothing is meant.
    pub(crate) fn number(&mut self, path: &str) -> Option<u64> {
        let number = |it: &Value| it.as_u64().map(Some).or_else(|| it.as_i64().map(|_| None));
        self.read(path, "a whole number", number).flatten()
    }

    /// A logstore as a topic; nothing that Kafka would not take is made to fit.
    pub(crate) fn topic(&mut self, path: &str) -> Option<String> {
        let topic = self.text(path).filter(|it| !it.is_empty())?;
        let is_legal = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | '-');
        if topic.len() > TOPIC_CHARS_MAX || !topic.chars().all(is_legal) {
            let text = format!(
                "{topic:?} is no logstore; write {TOPIC_CHARS_MAX} letters, digits, `.`, `_` and `-` at most"
            );
            self.refuse(path, &text);
        }
        Some(topic.to_owned())
    }

    pub(crate) fn texts(&mut self, path: &str) -> Vec<&'a str> {
        let texts = |it: &'a Value| it.as_array()?.iter().map(Value::as_str).collect();
        self.read(path, "a list of texts", texts).unwrap_or_default()
    }

    /// Whether the list at `path` has one item, which alone can be used; else the object is refused.
    pub(crate) fn has_one(&mut self, path: &str) -> bool {
        let count = self.get(path).and_then(Value::as_array).map_or(0, Vec::len);
        if count != 1 {
            let text = format!("{count} inputs; write one, and others into objects of their own");
            self.refuse(path, &text);
        }
        count == 1
    }

    /// Keys and texts, in the order of the keys.
    pub(crate) fn pairs(&mut self, path: &str) -> Vec<(&'a str, &'a str)> {
        let pairs = |it: &'a Value| {
            let entries = it.as_object()?.iter();
            entries.map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
        };
        self.read(path, "a mapping to texts", pairs).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIELDS: [Field; 3] = [
        Field { path: "known", fate: Fate::Honoured, says: "", quiet: &[] },
        Field { path: "list[].late", fate: Fate::NotYet, says: "later", quiet: &["none"] },
        Field { path: "map", fate: Fate::NotApplicable, says: "of no use", quiet: &[] },
    ];

    #[test]
    fn all_that_is_written_is_either_known_or_noted() {
        let root = json!({
            "known": {"anything": 1},
            "list": [{"late": "none"}, {"late": "x", "other": 1}, {"late": null}],
            "map": {"a": 1},
            "new": {"b": 2},
        });
        let object = Object::new(&root, &FIELDS);
        let notes: Vec<String> = object.into_notes().iter().map(Note::to_string).collect();
        assert_eq!(
            notes,
            [
                "list[1].late: not yet: later",
                "list[1].other: unknown: not a field that is known; nothing is done with it",
                "map: not applicable: of no use",
                "new: unknown: not a field that is known; nothing is done with it",
            ]
        );
    }

    #[test]
    fn wrong_types_are_refused() {
        let root = json!({"known": 7, "list": "no list"});
        let mut object = Object::new(&root, &FIELDS);
        assert_eq!(object.text("known"), None);
        assert_eq!(object.number("known"), Some(7));
        assert!(object.texts("known").is_empty() && object.pairs("known").is_empty());
        assert_eq!(object.into_notes().len(), 4);
    }
}
