//! Ask: what a pod and its namespace want, as their labels and annotations say.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{CONTAINERS, FILES, INJECT, SINK, Skip};

/// Most globs of one pod.
const FILES_MAX: usize = 32;

/// The namespace of a pod.
#[derive(Debug, Clone, Default)]
pub(crate) struct Namespace {
    /// Its name: a pod that is about to be made need not have it.
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// A sidecar is wanted, and this of it.
#[derive(Debug)]
pub(crate) struct Ask {
    /// Globs of files, as the containers see them; at least one.
    pub(crate) files: Vec<String>,
    /// Name of a LogSink.
    pub(crate) sink: String,
    /// The containers that get the folders; all if none is named.
    pub(crate) containers: Vec<String>,
}

impl Ask {
    /// What the pod wants, or else its namespace.
    pub(super) fn of(pod: &Value, namespace: &Namespace) -> Result<Ask, Skip> {
        let metadata = &pod["metadata"];
        let text = |of: &str, key: &str| metadata[of][key].as_str().map(str::to_owned);
        let by_pod = switch("pod", text("labels", INJECT), text("annotations", INJECT))?;
        let of_namespace = |of: &BTreeMap<String, String>, key| of.get(key).cloned();
        let is_wanted = match by_pod {
            Some(is_wanted) => (is_wanted, "the pod"),
            None => {
                let label = of_namespace(&namespace.labels, INJECT);
                let annotation = of_namespace(&namespace.annotations, INJECT);
                match switch("namespace", label, annotation)? {
                    Some(is_wanted) => (is_wanted, "the namespace"),
                    None => return Err(Skip::NotAsked),
                }
            }
        };
        if let (false, whose) = is_wanted {
            return Err(Skip::Disabled(whose));
        }
        let value = |key| {
            let own = text("annotations", key).map(|it| ("pod", it));
            own.or_else(|| of_namespace(&namespace.annotations, key).map(|it| ("namespace", it)))
        };
        let Some((whose, files)) = value(FILES) else { return Err(Skip::NoFiles) };
        let files = list(&files);
        if files.is_empty() || files.len() > FILES_MAX {
            let why = format!("write 1 to {FILES_MAX} globs, separated by commas");
            let value = files.join(",");
            return Err(Skip::Invalid { whose, key: FILES, value, why });
        }
        let sink = match value(SINK) {
            None => "default".to_owned(),
            Some((_, it)) if is_name(&it) => it,
            Some((whose, value)) => {
                let why = "write the name of one LogSink".to_owned();
                return Err(Skip::Invalid { whose, key: SINK, value, why });
            }
        };
        let containers = value(CONTAINERS).map(|(_, it)| list(&it)).unwrap_or_default();
        Ok(Ask { files, sink, containers })
    }
}

/// What label and annotation say together.
fn switch(
    whose: &'static str,
    label: Option<String>,
    annotation: Option<String>,
) -> Result<Option<bool>, Skip> {
    let read = |value: Option<String>| match value.as_deref() {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(value) => {
            let (value, why) = (value.to_owned(), "write true or false".to_owned());
            Err(Skip::Invalid { whose, key: INJECT, value, why })
        }
    };
    match (read(label)?, read(annotation)?) {
        (Some(label), Some(annotation)) if label != annotation => {
            Err(Skip::Conflict(whose, label, annotation))
        }
        (label, annotation) => Ok(label.or(annotation)),
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect()
}

fn is_name(text: &str) -> bool {
    let is_good = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || "-.".contains(it);
    !text.is_empty() && text.len() <= 253 && text.chars().all(is_good)
}
