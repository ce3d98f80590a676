//! Structural: schemas as Kubernetes wants them, made of those that the types give.
//!
//! One type for each field; no references, no alternatives of shape; nothing about null, which a kube-apiserver takes
//! for not written, as we do.

use serde_json::{Map, Value, json};

/// What Kubernetes does not know, or knows otherwise. Unknown fields it refuses or prunes by itself.
const DROPPED: [&str; 5] = ["$schema", "title", "format", "additionalProperties", "default"];

/// The structural schema of what `schema` describes.
pub(super) fn of(schema: &Value) -> Value {
    let Value::Object(schema) = schema else { return json!({}) };
    let is_null = |it: &Value| it["type"] == "null";
    let choices = schema.get("anyOf").and_then(Value::as_array);
    // Something or null: something, as this field describes it.
    if let Some(inner) = choices.filter(|it| it.iter().any(is_null)) {
        let inner = inner.iter().find(|it| !is_null(it)).map(of).unwrap_or_default();
        return described(inner, schema);
    }
    if let Some(words) = schema.get("oneOf").and_then(Value::as_array) {
        // What the words are for, the field says that has them.
        return enumeration(words);
    }
    let mut out = Map::new();
    for (key, value) in schema {
        let value = match (key.as_str(), value) {
            ("additionalProperties", Value::Object(_)) => of(value),
            (key, _) if DROPPED.contains(&key) => continue,
            ("type", Value::Array(types)) => types.first().cloned().unwrap_or_default(),
            ("properties", Value::Object(fields)) => {
                fields.iter().map(|(name, field)| (name.clone(), of(field))).collect()
            }
            ("items", _) => of(value),
            ("description", Value::String(text)) => json!(one_line(text)),
            _ => value.clone(),
        };
        out.insert(key.clone(), value);
    }
    Value::Object(out)
}

/// Words, with what each of them means.
fn enumeration(words: &[Value]) -> Value {
    let word = |it: &Value| it["const"].as_str().unwrap_or_default().to_owned();
    let meaning = |it: &Value| {
        let meaning = one_line(it["description"].as_str().unwrap_or_default());
        format!("{}: {}", word(it), meaning.trim_end_matches('.'))
    };
    let meanings: Vec<String> = words.iter().map(meaning).collect();
    let words: Vec<String> = words.iter().map(word).collect();
    json!({"type": "string", "enum": words, "description": format!("{}.", meanings.join("; "))})
}

/// `inner` with the description of `outer` before its own, if it has words to explain, or in its place.
fn described(mut inner: Value, outer: &Map<String, Value>) -> Value {
    let Some(text) = outer.get("description").and_then(Value::as_str) else { return inner };
    let text = one_line(text);
    let words = inner["description"].as_str().filter(|_| inner.get("enum").is_some());
    let text = words.map(|words| format!("{text} {words}")).unwrap_or(text);
    inner["description"] = json!(text);
    inner
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The schema of the field at `path`, such as `source.env.include[].name`, with `[]` for a list's items and `{}` for a
/// mapping's values; of the whole if it is empty.
pub(super) fn find<'a>(schema: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let mut found = schema;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let (name, inner) = match (step.strip_suffix("[]"), step.strip_suffix("{}")) {
            (Some(name), _) => (name, Some("items")),
            (_, Some(name)) => (name, Some("additionalProperties")),
            _ => (step, None),
        };
        found = found.get_mut("properties")?.get_mut(name)?;
        if let Some(inner) = inner {
            found = found.get_mut(inner)?;
        }
    }
    Some(found)
}

/// Takes the field at `path` out.
pub(super) fn remove(schema: &mut Value, path: &str) {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let fields = find(schema, parent).and_then(|it| it["properties"].as_object_mut());
    if let Some(fields) = fields {
        fields.remove(name);
    }
}

/// Adds a rule in CEL: what must hold, and what is said if it does not.
pub(super) fn add_rule(schema: &mut Value, holds: &str, message: &str) {
    let rule = json!({"rule": holds, "message": message});
    match &mut schema["x-kubernetes-validations"] {
        Value::Array(rules) => rules.push(rule),
        none => *none = json!([rule]),
    }
}
