//! Document: one resource as it was read, with all that its types and its name have against it.

use std::cell::{OnceCell, RefCell};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use crate::limits;
use crate::memo::Known;
use crate::problem::{Place, Problem, Severity};
use crate::report::{Check, Report};
use crate::spec::{API_VERSION, Kind, Metadata, Resource};
use crate::yaml::{self, Fault, Mark, Node, Skip, Value, Why};

/// What is known of a document apart from its spec.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) file: Arc<Path>,
    pub(crate) file_index: usize,
    tree: Tree,
    pub(crate) kind: Kind,
    /// Empty if it has none.
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    /// Paths whose value could not be used; what they decide is not known.
    broken: RefCell<Vec<String>>,
}

/// The nodes of a document; of one that is known from before, read when somebody asks.
#[derive(Debug)]
struct Tree {
    root: OnceCell<Node>,
    /// What it was read from, if there is nothing else in it.
    text: Option<Arc<str>>,
}

/// A document and its spec; what could not be read of it is as if not written.
#[derive(Debug)]
pub(crate) struct Written<S> {
    pub(crate) document: Document,
    pub(crate) spec: S,
}

impl Document {
    /// A document that was read before, and had nothing against it.
    pub(crate) fn known(file: &Arc<Path>, file_index: usize, known: &Known) -> Document {
        let name = known.settings.name.clone();
        Document {
            file: Arc::clone(file),
            file_index,
            tree: Tree { root: OnceCell::new(), text: Some(Arc::clone(&known.text)) },
            kind: known.kind,
            name: name.name,
            namespace: name.namespace,
            broken: RefCell::default(),
        }
    }

    /// What it was read from, if that is kept.
    pub(crate) fn text(&self) -> Option<&Arc<str>> {
        self.tree.text.as_ref()
    }

    /// Its nodes.
    pub(crate) fn root(&self) -> &Node {
        let read = || {
            let text = self.tree.text.as_deref().unwrap_or_default();
            let parsed = yaml::documents(text).into_iter().find_map(|it| it.root);
            parsed.expect("what was good is read again")
        };
        self.tree.root.get_or_init(read)
    }

    /// Kind and name, as problems call it.
    pub(crate) fn title(&self) -> String {
        match (&self.namespace, self.name.as_str()) {
            (_, "") => self.kind.name().to_owned(),
            (Some(namespace), name) => format!("{} {namespace}/{name}", self.kind.name()),
            (None, name) => format!("{} {name}", self.kind.name()),
        }
    }

    /// Notes that the value at `path` cannot be used.
    pub(crate) fn mark_broken(&self, path: &str) {
        self.broken.borrow_mut().push(path.to_owned());
    }

    /// Whether `path`, a part of it or something around it could not be used.
    pub(crate) fn is_broken(&self, path: &str) -> bool {
        let is_within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with(['.', '[']) || outer.is_empty()
            })
        };
        self.broken.borrow().iter().any(|it| is_within(it, path) || is_within(path, it))
    }

    /// The value at `path`, if there is one.
    fn node(&self, path: &str) -> Option<&Node> {
        let mut node = self.root();
        for step in path.split(['.', '[']) {
            node = match (&node.value, step.strip_suffix(']')) {
                (Value::List(items), Some(index)) => {
                    index.parse::<usize>().ok().and_then(|index| items.get(index))
                }
                _ => node.get(step).map(|entry| &entry.node),
            }?;
        }
        Some(node)
    }

    /// Whether there is a value at `path`, of whatever type; null is none.
    pub(crate) fn is_written(&self, path: &str) -> bool {
        self.node(path).is_some_and(|node| !node.is_null())
    }

    /// The value at `path` as problems quote it; empty if it is none or not a scalar.
    pub(crate) fn quote(&self, path: &str) -> String {
        let scalar = self.node(path).filter(|node| matches!(node.value, Value::Scalar(_)));
        scalar.map(Node::quote).unwrap_or_default()
    }

    /// `file:line` of the document, to point at from another.
    pub(crate) fn place_text(&self) -> String {
        let Mark { line, column } = self.root().locate("metadata.name");
        Place { file: self.file.to_path_buf(), line, column }.to_string()
    }
}

/// Finds out the kind of a document, or says that it has none.
pub(crate) fn kind(
    file: &Arc<Path>,
    file_index: usize,
    root: &Node,
    report: &mut Report,
) -> Option<Kind> {
    let mut add = |path: &str, what: String, why: &str, cure: String| {
        let Mark { line, column } = root.locate(path);
        let problem = Problem {
            severity: Severity::Error,
            place: Some(Place { file: file.to_path_buf(), line, column }),
            resource: String::new(),
            path: path.to_owned(),
            what,
            why: why.to_owned(),
            cure,
        };
        report.add(file_index, problem);
    };
    if !matches!(root.value, Value::Map(_)) {
        let cure = "write apiVersion, kind, metadata and spec".to_owned();
        add("", root.quote(), "not a resource", cure);
        return None;
    }
    let names = Kind::ALL.map(Kind::name);
    let api_version = root.get("apiVersion");
    match api_version.map(|entry| (entry.node.text(), entry.node.quote())) {
        Some((Some(API_VERSION), _)) => {}
        Some((_, what)) => {
            let cure = format!("write {API_VERSION}");
            add("apiVersion", what, "not a version that this agent reads", cure);
        }
        None => add("apiVersion", String::new(), "missing", format!("write {API_VERSION}")),
    }
    let Some(entry) = root.get("kind") else {
        add("kind", String::new(), "missing", one_of(&names));
        return None;
    };
    let kind =
        entry.node.text().and_then(|text| Kind::ALL.into_iter().find(|kind| kind.name() == text));
    if kind.is_none() {
        let cure = cure_by_words(entry.node.text().unwrap_or_default(), &names);
        add("kind", entry.node.quote(), "unknown kind", cure);
    }
    kind
}

/// Reads a document of a known kind. Its `text` is kept, if it is given.
pub(crate) fn read<S: for<'a> Deserialize<'a> + Default>(
    file: &Arc<Path>,
    file_index: usize,
    (root, text): (Node, Option<&Arc<str>>),
    kind: Kind,
    report: &mut Report,
) -> Written<S> {
    let name_node = root.get("metadata").and_then(|metadata| metadata.node.get("name"));
    let name = name_node.and_then(|name| name.node.text()).unwrap_or_default().to_owned();
    let mut document = Document {
        file: Arc::clone(file),
        file_index,
        tree: Tree { root: OnceCell::from(root), text: text.cloned() },
        kind,
        name,
        namespace: None,
        broken: RefCell::default(),
    };
    let resource: Option<Resource<S>> = read_all(&document, report);
    let (metadata, spec) = match resource {
        Some(resource) => (resource.metadata, resource.spec),
        None => (None, None),
    };
    let check = &mut Check { document: &document, report };
    document.namespace = check_metadata(metadata.unwrap_or_default(), check);
    Written { document, spec: spec.unwrap_or_default() }
}

/// Reads again and again, each time without the node that was the last one's fault.
fn read_all<T: for<'a> Deserialize<'a>>(document: &Document, report: &mut Report) -> Option<T> {
    let mut skip = Skip::new();
    for _ in 0..limits::DOCUMENT_PROBLEMS_MAX {
        let fault = match yaml::deserialize(document.root(), &skip) {
            Ok(value) => return Some(value),
            Err(fault) => fault,
        };
        let problem = fault_problem(&fault, document);
        document.mark_broken(&fault.path());
        report.add(document.file_index, problem);
        let (id, _, _) = fault.node?;
        if !skip.insert(id) {
            return None;
        }
    }
    document.mark_broken("");
    None
}

/// A fault in words.
fn fault_problem(fault: &Fault, document: &Document) -> Problem {
    let (mark, what) = match &fault.node {
        Some((_, mark, quote)) => (*mark, quote.clone()),
        None => (document.root().mark, String::new()),
    };
    let (why, cure) = match &fault.why {
        Why::UnknownField { name, known } => {
            (format!("unknown field `{name}`"), cure_by_words(name, known))
        }
        Why::UnknownWord { known } => {
            let word = what.trim_matches('"');
            ("unknown word".to_owned(), cure_by_words(word, known))
        }
        Why::WrongType { wanted } => wrong_type(wanted),
        Why::Other(text) => match text.split_once("; ") {
            Some((why, cure)) => (why.to_owned(), cure.to_owned()),
            None => (text.clone(), String::new()),
        },
    };
    Problem {
        severity: Severity::Error,
        place: Some(Place {
            file: document.file.to_path_buf(),
            line: mark.line,
            column: mark.column,
        }),
        resource: document.title(),
        path: fault.path(),
        what,
        why,
        cure,
    }
}

/// Why and cure of a node that is not what `wanted`, serde's name of a type, says.
fn wrong_type(wanted: &str) -> (String, String) {
    let (why, cure) = match wanted {
        "a string" | "text" => ("not a text", "write a text; one that looks otherwise in quotes"),
        "i32" | "u32" => ("not a whole number that fits", "write digits, without a unit"),
        "a sequence" => ("not a list", "write each item on a line of its own, after `- `"),
        "a map" => ("not a mapping", "write its keys on lines of their own, as `key: value`"),
        _ if wanted.starts_with("struct ") => {
            ("not a mapping", "write its fields on lines of their own, as `field: value`")
        }
        _ => {
            let (thing, example) = wanted.split_once(" such as ").unwrap_or((wanted, wanted));
            return (format!("not {thing}"), format!("write one such as {example}"));
        }
    };
    (why.to_owned(), cure.to_owned())
}

/// What to write instead of `word`: the word that was likely meant, or all that there are.
fn cure_by_words(word: &str, known: &[&str]) -> String {
    match suggestion(word, known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => one_of(known),
    }
}

fn one_of(known: &[&str]) -> String {
    match known {
        [] => "remove it; nothing is set here".to_owned(),
        [one] => format!("write `{one}`"),
        _ => format!("write one of `{}`", known.join("`, `")),
    }
}

/// Longest word that a suggestion is looked for, in bytes: twice our longest field.
const SUGGESTION_BYTES_MAX: usize = 40;

/// The known word that differs from `word` by a few slips of the finger.
fn suggestion<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    if word.len() > SUGGESTION_BYTES_MAX {
        return None;
    }
    let lower = word.to_lowercase();
    let slips = |it: &str| strsim::osa_distance(&lower, &it.to_lowercase());
    let nearest = known.iter().min_by_key(|it| slips(it))?;
    let allowed = (nearest.len() / 3).max(1);
    (slips(nearest) <= allowed).then_some(nearest)
}

/// Complains about names; gives the namespace.
fn check_metadata(metadata: Metadata, check: &mut Check<'_>) -> Option<String> {
    if metadata.name.is_none() {
        check.missing("metadata.name", "write a name that no other of its kind has");
    }
    let name = check.document.name.clone();
    if !name.is_empty() && !is_dns_name(&name, limits::NAME_CHARS_MAX) {
        check.error("metadata.name", "not a name", DNS_NAME_CURE);
    } else if metadata.name.is_some() && name.is_empty() {
        check.error("metadata.name", "empty", DNS_NAME_CURE);
    }
    let namespace = metadata.namespace?;
    if check.document.kind != Kind::LogConfig {
        let cure = "remove it; of all kinds only a LogConfig has one";
        check.error("metadata.namespace", "this kind belongs to no namespace", cure);
    } else if !is_dns_name(&namespace, limits::TENANT_CHARS_MAX) || namespace.contains('.') {
        check.error("metadata.namespace", "not a namespace", "write the name of one");
    } else {
        return Some(namespace);
    }
    None
}

const DNS_NAME_CURE: &str =
    "write lower-case letters, digits, - and . only, a letter or digit first and last";

/// Whether Kubernetes takes `name` for the name of a resource, at most `chars_max` long.
pub(crate) fn is_dns_name(name: &str, chars_max: usize) -> bool {
    let is_label = |label: &str| {
        let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !label.is_empty()
            && label.chars().all(is_good)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= chars_max && name.split('.').all(is_label)
}
