//! From the text of a file to one tree per document, with every syntax error of the file.

use std::collections::HashSet;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::{Entry, Mark, Node, Scalar, Value, quote};
use crate::limits;

/// Something that is no YAML, or not the YAML that we read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Syntax {
    pub(crate) mark: Mark,
    /// The offending text, or nothing.
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) cure: String,
}

impl Syntax {
    fn new(mark: Mark, what: impl Into<String>, why: &str, cure: &str) -> Syntax {
        Syntax { mark, what: what.into(), why: why.to_owned(), cure: cure.to_owned() }
    }
}

/// A document: its tree, unless it is empty or broken, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) root: Option<Node>,
    pub(crate) faults: Vec<Syntax>,
}

/// Parses each document of `text` apart, so that a syntax error in one does not hide the others.
pub(crate) fn documents(text: &str) -> Vec<Parsed> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    split(text)
        .into_iter()
        .map(|(first_line, part)| Builder::new(part, first_line).document())
        .filter(|parsed| parsed.root.is_some() || !parsed.faults.is_empty())
        .collect()
}

/// Cuts before each `---`, which ends a document wherever it begins a line
/// (<https://yaml.org/spec/1.2.2/#rule-c-forbidden>). Yields how many lines lie before each part.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut part_start, mut part_line) = (0, 0);
    let mut offset = 0;
    for (line, content) in text.split_inclusive('\n').enumerate() {
        let is_marker = content
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if is_marker && offset > part_start {
            parts.push((part_line, &text[part_start..offset]));
            (part_start, part_line) = (offset, line);
        }
        offset += content.len();
    }
    parts.push((part_line, &text[part_start..]));
    parts
}

/// A collection that is being filled.
enum Open {
    List { id: usize, mark: Mark, items: Vec<Node> },
    Map { id: usize, mark: Mark, entries: Vec<Entry>, keys: HashSet<String>, key: Option<Node> },
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    lines_before: usize,
    open: Vec<Open>,
    nodes: usize,
    root: Option<Node>,
    faults: Vec<Syntax>,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str, lines_before: usize) -> Builder<'a> {
        Builder {
            parser: Parser::new_from_str(text),
            lines_before,
            open: Vec::new(),
            nodes: 0,
            root: None,
            faults: Vec::new(),
        }
    }

    fn document(mut self) -> Parsed {
        if let Err(fault) = self.run() {
            self.faults.push(*fault);
            self.root = None;
        }
        // A document of comments is parsed as a null.
        let is_null = self.root.as_ref().is_some_and(|root| root.quote() == "null");
        let root = if is_null { None } else { self.root };
        Parsed { root, faults: self.faults }
    }

    fn run(&mut self) -> Result<(), Box<Syntax>> {
        while let Some(next) = self.parser.next_event() {
            let (event, span) = next.map_err(|error| {
                let mark = self.mark(Span::empty(*error.marker()));
                if error.info().contains("anchor") {
                    return alias(mark);
                }
                let cure = "indent with spaces, two a level, and write `key: value`";
                Box::new(Syntax::new(mark, "", &format!("not YAML: {}", error.info()), cure))
            })?;
            self.event(event, span)?;
        }
        Ok(())
    }

    fn mark(&self, span: Span) -> Mark {
        Mark { line: span.start.line() + self.lines_before, column: span.start.col() + 1 }
    }

    fn event(&mut self, event: Event<'a>, span: Span) -> Result<(), Box<Syntax>> {
        let mark = self.mark(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = style != ScalarStyle::Plain;
                self.refuse_extras(mark, anchor, tag.as_deref())?;
                let id = self.next_id(mark)?;
                let value = Value::Scalar(Scalar { text: text.into_owned(), quoted });
                self.add(Node { id, mark, value })
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_extras(mark, anchor, tag.as_deref())?;
                let id = self.next_id(mark)?;
                self.open.push(Open::List { id, mark, items: Vec::new() });
                Ok(())
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_extras(mark, anchor, tag.as_deref())?;
                let id = self.next_id(mark)?;
                let (entries, keys) = (Vec::new(), HashSet::new());
                self.open.push(Open::Map { id, mark, entries, keys, key: None });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { id, mark, items }) => {
                    self.add(Node { id, mark, value: Value::List(items) })
                }
                Some(Open::Map { id, mark, entries, .. }) => {
                    self.add(Node { id, mark, value: Value::Map(entries) })
                }
                None => Ok(()),
            },
            Event::Alias(_) => Err(alias(mark)),
            _ => Ok(()),
        }
    }

    fn next_id(&mut self, mark: Mark) -> Result<usize, Box<Syntax>> {
        if self.open.len() >= limits::YAML_DEPTH_MAX {
            let why = format!("nested deeper than {} levels", limits::YAML_DEPTH_MAX);
            return Err(Box::new(Syntax::new(mark, "", &why, "no resource is that deep")));
        }
        self.nodes += 1;
        Ok(self.nodes)
    }

    fn refuse_extras(
        &self,
        mark: Mark,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), Box<Syntax>> {
        if anchor != 0 {
            return Err(alias(mark));
        }
        match tag {
            None => Ok(()),
            Some(tag) => {
                let what = format!("!{}", tag.suffix);
                let cure = "remove it; quotes make a text of anything";
                Err(Box::new(Syntax::new(mark, what, "tags are not read", cure)))
            }
        }
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, node: Node) -> Result<(), Box<Syntax>> {
        match self.open.last_mut() {
            None if self.root.is_some() => {
                let cure = "begin each document with a line `---`";
                return Err(Box::new(Syntax::new(node.mark, "", "a second document", cure)));
            }
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, keys, key, .. }) => match key.take() {
                None => *key = Some(node),
                Some(key) => {
                    let fault = add_entry(entries, keys, key, node);
                    self.faults.extend(fault);
                }
            },
        }
        Ok(())
    }
}

/// Adds a key and its value unless the key is not text or already there.
fn add_entry(
    entries: &mut Vec<Entry>,
    keys: &mut HashSet<String>,
    key: Node,
    node: Node,
) -> Option<Syntax> {
    let key_mark = key.mark;
    let Value::Scalar(Scalar { text, .. }) = key.value else {
        return Some(Syntax::new(
            key_mark,
            key.quote(),
            "a key must be text",
            "write `key: value`",
        ));
    };
    if !keys.insert(text.clone()) {
        let cure = "remove one of them";
        return Some(Syntax::new(key_mark, quote(&text), "the key is written twice", cure));
    }
    entries.push(Entry { key: text, key_mark, node });
    None
}

fn alias(mark: Mark) -> Box<Syntax> {
    let cure = "write the value out in each place";
    Box::new(Syntax::new(mark, "", "anchors and aliases are not read", cure))
}
