//! Configuration: what the sidecar runs with: the operator's LogSinks, and the files that its pod or LogConfigs name.
//!
//! It is checked as `logferry check` would before any pod gets it: an agent that ends at its start would keep the
//! pod from starting.

use std::path::Path;

use crd::{ConfigFile, Settings, SinkTarget};
use serde_json::{Value, json};

use super::ask::{Ask, Collection, Namespace};
use super::{Skip, container};

/// Longest configuration, in bytes: all annotations of a pod have 256 KiB together.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Longest and shortest time that a sidecar ships at its end, in seconds; the longest is the agent's default.
const SHUTDOWN_SECONDS: (u64, u64) = (2, 25);

/// Why what the operator was given cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BaseError {
    /// Nothing was given.
    #[error("no --sidecar-config was given")]
    Missing,
    /// All that is wrong.
    #[error("{0}")]
    Bad(#[from] crd::Problems),
}

/// What all sidecars share: an Agent, LogSinks and LogTenants; other kinds are passed over.
#[derive(Debug)]
pub(crate) struct Base {
    documents: Vec<Value>,
    settings: Settings,
}

/// A configuration, as text, and the Secrets that it names.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) text: String,
    pub(super) secrets: Vec<String>,
}

impl Base {
    /// Reads it from a file or a folder.
    ///
    /// # Errors
    /// With all that is wrong with it.
    pub(crate) fn load(path: Option<&Path>) -> Result<Base, BaseError> {
        let path = path.ok_or(BaseError::Missing)?;
        let mut documents = Vec::new();
        for file in crd::read(&[path.to_path_buf()])? {
            documents.extend(crd::read_values(file)?);
        }
        Ok(Base::new(documents)?)
    }

    /// The same of documents.
    pub(crate) fn new(mut documents: Vec<Value>) -> Result<Base, crd::Problems> {
        documents
            .retain(|it| !matches!(it["kind"].as_str(), Some("LogConfig" | "ClusterLogConfig")));
        let settings = crd::resolve(vec![file("sidecars.yaml", &text(&documents))])?;
        Ok(Base { documents, settings })
    }

    /// What the sidecar of this pod is to run with.
    pub(super) fn render(
        &self,
        ask: &Ask,
        namespace: &Namespace,
        port: u64,
        grace_seconds: u64,
    ) -> Result<Rendered, Skip> {
        let tenant = self.owner(namespace)?;
        let of_kind =
            |kind: &'static str| self.documents.iter().filter(move |it| it["kind"] == kind);
        let mut sinks: Vec<Value> = Vec::new();
        let of_tenant = self.settings.tenants.iter().find(|it| it.name == tenant);
        for name in ask.collections.iter().map(|it| &it.sink) {
            let Some(sink) = of_kind("LogSink").find(|it| it["metadata"]["name"] == **name) else {
                let names = of_kind("LogSink").filter_map(|it| it["metadata"]["name"].as_str());
                let known = names.collect::<Vec<_>>().join(", ");
                return Err(Skip::NoSink { sink: name.clone(), known });
            };
            if of_tenant.is_some_and(|it| !it.may_use(name)) {
                return Err(Skip::SinkBarred { tenant, sink: name.clone() });
            }
            if !sinks.contains(sink) {
                sinks.push(sink.clone());
            }
        }
        let mut agent = of_kind("Agent")
            .next()
            .cloned()
            .unwrap_or_else(|| resource("Agent", "agent", json!({})));
        let (shortest, longest) = SHUTDOWN_SECONDS;
        let shutdown = grace_seconds.saturating_sub(grace_seconds / 6).clamp(shortest, longest);
        agent["spec"]["listen"] = json!(format!("0.0.0.0:{port}"));
        agent["spec"]["stateDirectory"] = json!(container::STATE_FOLDER);
        agent["spec"]["secretsDirectory"] = json!(container::SECRETS_FOLDER);
        agent["spec"]["shutdownGrace"] = json!(format!("{shutdown}s"));
        let configs = ask.collections.iter().map(|it| config(it, &tenant));
        let text = text(&[agent].into_iter().chain(sinks).chain(configs).collect::<Vec<_>>());
        let settings = crd::resolve(vec![file("sidecar.yaml", &text)])
            .map_err(|problems| Skip::Refused(problems.to_string()))?;
        if text.len() > TEXT_BYTES_MAX {
            return Err(Skip::Refused(format!("it is longer than {TEXT_BYTES_MAX} bytes")));
        }
        Ok(Rendered { text, secrets: secrets(&settings) })
    }

    /// Whose the namespace is, as the agents of nodes have it.
    fn owner(&self, namespace: &Namespace) -> Result<String, Skip> {
        let name = &namespace.name;
        let tenants = &self.settings.tenants;
        if let Some(by_name) = tenants.iter().find(|it| it.namespaces.matches(name)) {
            return Ok(by_name.name.clone());
        }
        let by_labels = tenants.iter().filter(|it| {
            it.namespace_selector.as_ref().is_some_and(|it| it.selects(&namespace.labels))
        });
        match by_labels.collect::<Vec<_>>().as_slice() {
            [one] => Ok(one.name.clone()),
            [] if !tenants.iter().any(|it| it.name == *name && !it.is_of_its_name()) => {
                Ok(name.clone())
            }
            _ => Err(Skip::NoTenant(name.clone())),
        }
    }
}

fn config(collection: &Collection, tenant: &str) -> Value {
    let mut files = json!({"include": collection.include});
    if !collection.exclude.is_empty() {
        files["exclude"] = json!(collection.exclude);
    }
    let mut spec = Value::Object(collection.further.clone());
    spec["tenant"] = json!(tenant);
    spec["sink"] = json!(collection.sink);
    spec["source"] = json!({"files": files});
    resource("ClusterLogConfig", &collection.name, spec)
}

pub(super) fn resource(kind: &str, name: &str, spec: Value) -> Value {
    let metadata = json!({"name": name});
    json!({"apiVersion": crd::spec::API_VERSION, "kind": kind, "metadata": metadata, "spec": spec})
}

pub(super) fn text(documents: &[Value]) -> String {
    documents.iter().map(|it| format!("---\n{}", crd::write_value(it))).collect()
}

pub(super) fn file(path: &str, text: &str) -> ConfigFile {
    ConfigFile { path: path.into(), bytes: Ok(text.as_bytes().to_vec()) }
}

/// Names of the Secrets whose files are read.
fn secrets(settings: &Settings) -> Vec<String> {
    let mut names = Vec::new();
    for sink in &settings.sinks {
        let SinkTarget::Kafka(kafka) = &sink.target else { continue };
        names.extend(kafka.credential_files().iter().filter_map(|it| secret_of(it, settings)));
    }
    names.sort();
    names.dedup();
    names
}

/// The Secret that a file is of, as the agent finds it.
fn secret_of(path: &Path, settings: &Settings) -> Option<String> {
    let inside = path.strip_prefix(&settings.agent.secrets_directory).ok()?;
    inside.components().next().map(|it| it.as_os_str().to_string_lossy().into_owned())
}
