//! aliyun: what objects of Alibaba's agent ask for, as LogConfigs of ours.
//!
//! [`convert`] takes an `AliyunLogConfig` or a `ClusterAliyunPipelineConfig` as it is. [`fields`] knows each of their
//! fields and what becomes of it; what is written and cannot be done is named, and nothing is passed over. Where to
//! leave something out would collect more than was asked for, or show what was to be hidden, the object is refused
//! as a whole. Sources: <https://help.aliyun.com/zh/sls/kubernetes-cr-parameter-description>, and the documents of
//! LoongCollector (<https://github.com/alibaba/loongcollector>, `docs/cn/plugins`).

#![forbid(unsafe_code)]

mod containers;
mod documents;
pub mod fields;
mod files;
mod lines;
mod log_config;
mod object;
mod pipeline;
mod source;
pub mod variables;
mod wanted;

use std::fmt;
use std::str::FromStr;

use crd::spec::{API_VERSION, Kind, LogConfigSpec, Metadata, Resource};
use serde_json::Value;

pub use documents::{Documents, documents};
use fields::Fate;
use object::Object;

/// Whose containers an object without cluster scope may speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those of its own namespace: it becomes a LogConfig.
    Namespace,
    /// All, and the host's files, as with Alibaba's agent: it becomes a ClusterLogConfig, which only an administrator
    /// should let happen.
    Cluster,
}

impl Reach {
    /// What it is called on the command line.
    pub const NAMES: [&str; 2] = ["namespace", "cluster"];
}

impl FromStr for Reach {
    type Err = String;

    fn from_str(name: &str) -> Result<Reach, String> {
        match name {
            "namespace" => Ok(Reach::Namespace),
            "cluster" => Ok(Reach::Cluster),
            _ => Err(format!("{name:?} is none of {}", Reach::NAMES.join(", "))),
        }
    }
}

/// A LogConfig or a ClusterLogConfig.
pub(crate) type LogConfig = Resource<LogConfigSpec>;

/// What an object comes to.
#[derive(Debug, Default)]
pub struct Conversion {
    /// LogConfigs that collect what it asks for, and no record twice; none if it is refused.
    pub configs: Vec<Resource<LogConfigSpec>>,
    /// What of it is not done, and why.
    pub notes: Vec<Note>,
}

impl Conversion {
    /// Whether the object is refused.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.notes.iter().any(|it| it.fate == Fate::Refused)
    }
}

/// What becomes of one field that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The field, such as `spec.logtailConfig.inputDetail.timeFormat`.
    pub path: String,
    /// What becomes of it.
    pub fate: Fate,
    /// In words: why, and what to do.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Paths and texts have words of the object in them, which is anybody's.
        let text = format!("{}: {}: {}", self.path, self.fate, self.text);
        f.write_str(&text.replace(char::is_control, "?"))
    }
}

/// An object that is none of those that are understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind:?} of {api_version:?}: not an object of Alibaba's agent; {known}", known = known())]
pub struct UnknownObject {
    /// Its `apiVersion`; empty if it has none.
    pub api_version: String,
    /// Its `kind`; empty if it has none.
    pub kind: String,
}

fn known() -> String {
    let all = fields::KINDS.map(|it| format!("{} of {}", it.name, it.api_version));
    format!("known are {}", all.join(" and "))
}

/// What `object` comes to.
///
/// # Errors
/// If it is of another kind.
pub fn convert(object: &Value, reach: Reach) -> Result<Conversion, UnknownObject> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let (api_version, name) = (text("apiVersion"), text("kind"));
    let kind = fields::KINDS.iter().find(|it| it.name == name && it.api_version == api_version);
    let Some(kind) = kind else {
        return Err(UnknownObject { api_version: api_version.into(), kind: name.into() });
    };
    let reach = if kind.is_cluster_wide { Reach::Cluster } else { reach };
    let mut object = Object::new(object, kind.fields);
    let (mut specs, logstore) = match kind.is_cluster_wide {
        true => (pipeline::specs(&mut object), pipeline::LOGSTORE),
        false => (log_config::specs(&mut object, reach), log_config::LOGSTORE),
    };
    let topic = object.topic(logstore);
    specs.iter_mut().for_each(|it| it.topic.clone_from(&topic));
    let (name, namespace) = (object.text("metadata.name"), object.text("metadata.namespace"));
    if name.is_none() {
        object.refuse("metadata.name", "missing");
    }
    let name = name.unwrap_or_default().to_owned();
    let namespace = match reach {
        Reach::Cluster => None,
        // As kubectl does.
        Reach::Namespace => Some(namespace.unwrap_or("default").to_owned()),
    };
    let mut conversion = Conversion { configs: Vec::new(), notes: object.into_notes() };
    if !conversion.is_refused() {
        let resources = specs.into_iter().enumerate();
        conversion.configs = resources
            .map(|(index, spec)| resource(&name, index, namespace.clone(), spec))
            .collect();
    }
    Ok(conversion)
}

/// The first has the object's own name, further ones a number.
fn resource(
    name: &str,
    index: usize,
    namespace: Option<String>,
    spec: LogConfigSpec,
) -> Resource<LogConfigSpec> {
    let kind = if namespace.is_some() { Kind::LogConfig } else { Kind::ClusterLogConfig };
    let name = match index {
        0 => name.to_owned(),
        _ => format!("{name}-{}", index + 1),
    };
    Resource {
        api_version: Some(API_VERSION.to_owned()),
        kind: Some(kind.name().to_owned()),
        metadata: Some(Metadata { name: Some(name), namespace, ..Metadata::default() }),
        spec: Some(spec),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reach_has_a_name_and_nothing_else_is_one() {
        let all = Reach::NAMES.map(|it| it.parse::<Reach>());
        assert_eq!(all, [Ok(Reach::Namespace), Ok(Reach::Cluster)]);
        assert!("node".parse::<Reach>().unwrap_err().contains("namespace, cluster"));
    }
}
