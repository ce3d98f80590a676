//! Writes a tree as YAML: block style, two spaces a level, the order of the tree.

use super::{Node, Scalar, Typed, Value};

/// `node` as a YAML document, with a line end at the end.
pub(crate) fn write(node: &Node) -> String {
    let mut out = String::new();
    block(node, 0, &mut out);
    out
}

/// Writes `node` from the current place on; what follows on its own lines is indented by `depth`.
fn block(node: &Node, depth: usize, out: &mut String) {
    match &node.value {
        Value::Scalar(scalar) => {
            write_scalar(scalar, out);
            out.push('\n');
        }
        Value::List(items) if items.is_empty() => out.push_str("[]\n"),
        Value::Map(entries) if entries.is_empty() => out.push_str("{}\n"),
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    indent(depth, out);
                }
                out.push_str("- ");
                block(item, depth + 1, out);
            }
        }
        Value::Map(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                if index > 0 {
                    indent(depth, out);
                }
                write_scalar(&Scalar { text: entry.key.clone(), quoted: true }, out);
                out.push(':');
                if is_nested(&entry.node) {
                    out.push('\n');
                    indent(depth + 1, out);
                } else {
                    out.push(' ');
                }
                block(&entry.node, depth + 1, out);
            }
        }
    }
}

fn is_nested(node: &Node) -> bool {
    match &node.value {
        Value::Scalar(_) => false,
        Value::List(items) => !items.is_empty(),
        Value::Map(entries) => !entries.is_empty(),
    }
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Plain where that is read back as the same text, else in double quotes.
fn write_scalar(scalar: &Scalar, out: &mut String) {
    let text = scalar.text.as_str();
    if !scalar.quoted || is_plain(text) {
        out.push_str(text);
    } else {
        // A JSON string is a YAML double-quoted scalar.
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}

/// Whether `text` needs no quotes; errs on the side of quotes.
fn is_plain(text: &str) -> bool {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let reads_as_text =
        matches!(Scalar { text: text.to_owned(), quoted: false }.typed(), Typed::Text(_));
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && text.chars().all(|c| is_safe(c) || c == ':')
        && !text.ends_with(':')
        && reads_as_text
}
