//! A YAML document as a tree that knows where each node was written.
//!
//! The subset that Kubernetes manifests use: mappings with text keys, lists and scalars of the core
//! schema. Anchors, aliases and tags are refused, so that no document grows beyond its text; so are
//! duplicate keys. Limits bound depth and size of what comes from outside.

mod de;
mod parse;
mod write;

pub(crate) use de::{Fault, Skip, Why, deserialize};
pub(crate) use parse::documents;
pub(crate) use write::write;

/// Line and column, both counted from 1; the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// One node of the tree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Unique within its document; how a node is told to be passed over.
    pub(crate) id: usize,
    pub(crate) mark: Mark,
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    /// In the order written; keys are unique.
    Map(Vec<Entry>),
}

/// A scalar; `text` is what was written, without quotes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) quoted: bool,
}

/// A scalar by the rules of YAML's core schema.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Typed<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
}

/// One key of a mapping and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_mark: Mark,
    pub(crate) node: Node,
}

impl Scalar {
    /// What the text means: <https://yaml.org/spec/1.2.2/#103-core-schema>.
    pub(crate) fn typed(&self) -> Typed<'_> {
        let text = self.text.as_str();
        if self.quoted {
            return Typed::Text(text);
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Typed::Null,
            "true" | "True" | "TRUE" => return Typed::Bool(true),
            "false" | "False" | "FALSE" => return Typed::Bool(false),
            _ => {}
        }
        let starts_like_number = text
            .starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.'));
        if !starts_like_number {
            return Typed::Text(text);
        }
        if let Ok(number) = text.parse::<u64>() {
            return Typed::Unsigned(number);
        }
        if let Ok(number) = text.parse::<i64>() {
            return Typed::Signed(number);
        }
        let float_alphabet =
            |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        match text.parse::<f64>() {
            Ok(number) if text.chars().all(float_alphabet) => Typed::Float(number),
            _ => Typed::Text(text),
        }
    }
}

impl Node {
    /// The value of `key`, if this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// Whether it is null, as something that is not written is.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.typed() == Typed::Null)
    }

    /// The text of a scalar that is text.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => match scalar.typed() {
                Typed::Text(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// The node as a problem quotes it: a scalar's text, else what kind of node it is.
    pub(crate) fn quote(&self) -> String {
        match &self.value {
            Value::Scalar(scalar) if scalar.quoted => quote(&scalar.text),
            Value::Scalar(scalar) => match scalar.typed() {
                Typed::Text(text) => quote(text),
                Typed::Null => "null".to_owned(),
                _ => clip(&scalar.text),
            },
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }

    /// The place of `path` such as `spec.include[2]`, or of its nearest ancestor that was written.
    ///
    /// A scalar or list item is found at its value, a mapping or list at its key.
    pub(crate) fn locate(&self, path: &str) -> Mark {
        let mut node = self;
        let mut mark = self.mark;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let item = step.strip_suffix(']').and_then(|index| index.parse::<usize>().ok());
            match (&node.value, item) {
                (Value::List(items), Some(index)) if index < items.len() => {
                    node = &items[index];
                    mark = node.mark;
                }
                (Value::Map(_), None) => {
                    let Some(entry) = node.get(step) else { break };
                    node = &entry.node;
                    let is_scalar = matches!(node.value, Value::Scalar(_));
                    mark = if is_scalar { node.mark } else { entry.key_mark };
                }
                _ => break,
            }
        }
        mark
    }
}

/// Longest piece of a value that a problem quotes, in characters: enough to recognise it by.
const QUOTE_CHARS_MAX: usize = 80;

fn clip(text: &str) -> String {
    match text.char_indices().nth(QUOTE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `text` in quotes, escaped, and cut if it is long.
pub(crate) fn quote(text: &str) -> String {
    format!("{:?}", clip(text))
}
