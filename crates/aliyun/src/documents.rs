//! Documents: what an object comes to as the text of a configuration, for who takes objects out of a cluster.

use serde_json::Value;

use crate::fields::Fate;
use crate::{Note, Reach, convert};

/// What an object comes to, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documents {
    /// LogConfigs, as YAML documents: all of them are of one object, and count together or not at all.
    pub text: String,
    /// Namespace, if it is a LogConfig, and name of each.
    pub names: Vec<(Option<String>, String)>,
    /// What of the object is not done, and why.
    pub notes: Vec<Note>,
}

/// What `object`, a JSON text, comes to.
///
/// # Errors
/// Every reason why it is refused.
pub fn documents(object: &str, reach: Reach) -> Result<Documents, String> {
    let object: Value = serde_json::from_str(object).map_err(|error| error.to_string())?;
    let conversion = convert(&object, reach).map_err(|error| error.to_string())?;
    if conversion.is_refused() {
        let refused = conversion.notes.iter().filter(|it| it.fate == Fate::Refused);
        let all: Vec<String> = refused.map(|it| format!("{}: {}", it.path, it.text)).collect();
        return Err(all.join("; ").replace(char::is_control, "?"));
    }
    let texts: Vec<String> = conversion.configs.iter().map(crd::write_value).collect();
    let name = |it: &crate::LogConfig| {
        let metadata = it.metadata.clone().unwrap_or_default();
        (metadata.namespace, metadata.name.unwrap_or_default())
    };
    Ok(Documents {
        text: texts.join("---\n"),
        names: conversion.configs.iter().map(name).collect(),
        notes: conversion.notes,
    })
}
