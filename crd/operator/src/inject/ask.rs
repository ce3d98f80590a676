//! Ask: what a pod and its namespace want, as their labels and annotations say.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::log_configs::selecting;
use super::{CONTAINERS, FILES, INJECT, SINK, Skip, log_disk};

/// Most globs of one pod.
const FILES_MAX: usize = 32;
/// What the ClusterLogConfig of a sidecar is called whose globs stand in an annotation.
const OF_ANNOTATION: &str = "sidecar";

/// The namespace of a pod.
#[derive(Debug, Clone, Default)]
pub(crate) struct Namespace {
    /// Its name: a pod that is about to be made need not have it.
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    /// Its LogConfigs, as the API server has them; needed if [`Ask::needs_log_configs`] says so.
    pub(crate) log_configs: Vec<Value>,
}

/// A sidecar is wanted, and this of it.
#[derive(Debug)]
pub(crate) struct Ask {
    /// At least one.
    pub(super) collections: Vec<Collection>,
}

/// Files to collect, and how.
#[derive(Debug)]
pub(super) struct Collection {
    /// What the sidecar's ClusterLogConfig is called.
    pub(super) name: String,
    /// Globs of files, as the containers see them; at least one.
    pub(super) include: Vec<String>,
    /// Globs of what is left out.
    pub(super) exclude: Vec<String>,
    /// The containers that get the folders; all if none is named.
    pub(super) containers: Vec<String>,
    /// Name of a LogSink.
    pub(super) sink: String,
    /// What else the ClusterLogConfig says, such as `multiline`.
    pub(super) further: Map<String, Value>,
}

impl Ask {
    /// What the pod wants, or else its namespace: what they name, or else what LogConfigs select.
    pub(super) fn of(pod: &Value, namespace: &Namespace) -> Result<Ask, Skip> {
        is_wanted(pod, namespace, INJECT)?;
        let mut collections = match value(pod, namespace, FILES) {
            Some((whose, files)) => vec![by_annotation(pod, namespace, whose, &files)?],
            None => selecting(pod, namespace),
        };
        if collections.is_empty() {
            return Err(Skip::NoFiles);
        }
        log_disk::leave(pod, &mut collections)?;
        let count: usize = collections.iter().map(|it| it.include.len()).sum();
        match count {
            0 => Err(Skip::OnLogDisk),
            count if count > FILES_MAX => Err(Skip::TooManyFiles(count, FILES_MAX)),
            _ => Ok(Ask { collections }),
        }
    }

    /// Whether it depends on LogConfigs what the pod gets.
    pub(crate) fn needs_log_configs(pod: &Value, namespace: &Namespace) -> bool {
        is_wanted(pod, namespace, INJECT).is_ok() && value(pod, namespace, FILES).is_none()
    }
}

/// # Errors
/// If nobody says yes to `key`, or what is said means nothing.
pub(super) fn is_wanted(pod: &Value, namespace: &Namespace, key: &'static str) -> Result<(), Skip> {
    let text = |of: &str| pod["metadata"][of][key].as_str().map(str::to_owned);
    let by_pod = switch("pod", key, text("labels"), text("annotations"))?;
    let of_namespace = |of: &BTreeMap<String, String>| of.get(key).cloned();
    let is_wanted = match by_pod {
        Some(is_wanted) => (is_wanted, "the pod"),
        None => {
            let (label, annotation) =
                (of_namespace(&namespace.labels), of_namespace(&namespace.annotations));
            match switch("namespace", key, label, annotation)? {
                Some(is_wanted) => (is_wanted, "the namespace"),
                None => return Err(Skip::NotAsked),
            }
        }
    };
    match is_wanted {
        (true, _) => Ok(()),
        (false, whose) => Err(Skip::Disabled(whose)),
    }
}

/// An annotation of the pod or else of its namespace, and whose it is.
pub(super) fn value(
    pod: &Value,
    namespace: &Namespace,
    key: &str,
) -> Option<(&'static str, String)> {
    let own = pod["metadata"]["annotations"][key].as_str().map(|it| ("pod", it.to_owned()));
    own.or_else(|| namespace.annotations.get(key).map(|it| ("namespace", it.clone())))
}

/// What annotations want; `files` is the value of [`FILES`].
fn by_annotation(
    pod: &Value,
    namespace: &Namespace,
    whose: &'static str,
    files: &str,
) -> Result<Collection, Skip> {
    let include = list(files);
    if include.is_empty() || include.len() > FILES_MAX {
        let why = format!("write 1 to {FILES_MAX} globs, separated by commas");
        return Err(Skip::Invalid { whose, key: FILES.to_owned(), value: include.join(","), why });
    }
    let sink = match value(pod, namespace, SINK) {
        None => "default".to_owned(),
        Some((_, it)) if is_name(&it) => it,
        Some((whose, value)) => {
            let why = "write the name of one LogSink".to_owned();
            return Err(Skip::Invalid { whose, key: SINK.to_owned(), value, why });
        }
    };
    let containers = value(pod, namespace, CONTAINERS).map(|(_, it)| list(&it)).unwrap_or_default();
    let (name, exclude, further) = (OF_ANNOTATION.to_owned(), Vec::new(), Map::new());
    Ok(Collection { name, include, exclude, containers, sink, further })
}

/// What label and annotation say together.
fn switch(
    whose: &'static str,
    key: &'static str,
    label: Option<String>,
    annotation: Option<String>,
) -> Result<Option<bool>, Skip> {
    let read = |value: Option<String>| match value.as_deref() {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(value) => {
            let (value, why) = (value.to_owned(), "write true or false".to_owned());
            Err(Skip::Invalid { whose, key: key.to_owned(), value, why })
        }
    };
    match (read(label)?, read(annotation)?) {
        (Some(label), Some(annotation)) if label != annotation => {
            Err(Skip::Conflict { whose, key, label, annotation })
        }
        (label, annotation) => Ok(label.or(annotation)),
    }
}

pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect()
}

fn is_name(text: &str) -> bool {
    let is_good = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || "-.".contains(it);
    !text.is_empty() && text.len() <= 253 && text.chars().all(is_good)
}
