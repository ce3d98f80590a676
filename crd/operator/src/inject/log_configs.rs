//! LogConfigs: what those of a pod's namespace want of its sidecar, the files inside of containers that they select; and
//! which log disks they give it.
//!
//! They are read as the agents of nodes read them; one that these refuse counts for nothing here either. What they say of
//! the container's output stays theirs.

use crd::{
    ContainersSettings, EnvVariable, Format, LogConfigSettings, LogDiskSettings, SourceSettings,
};
use kube_watch::{Container, Pod};
use serde_json::{Value, json};

use super::NAME;
use super::ask::{Collection, Namespace};
use super::configuration::{file, resource, text};

/// What an API server puts behind a `generateName`, as far as globs of names are asked; what it will be nobody knows yet.
const SUFFIX: &str = "00000";

/// What the LogConfigs of the namespace want that select the pod, by their names. Of two that include the same words the
/// first has it, as on nodes.
pub(super) fn selecting(pod: &Value, namespace: &Namespace) -> Vec<Collection> {
    let mut collections: Vec<Collection> = Vec::new();
    for Selecting { config, settings, containers } in all_selecting(pod, namespace, "files") {
        let collection = collection(config, &settings, containers);
        if !collections.iter().any(|it| it.include == collection.include) {
            collections.push(collection);
        }
    }
    collections
}

/// Which log disks the first LogConfig gives the pod that gives any, and to which of its containers.
pub(super) fn log_disk(
    pod: &Value,
    namespace: &Namespace,
) -> Option<(LogDiskSettings, Vec<String>)> {
    let first = all_selecting(pod, namespace, "logDisk").into_iter().next()?;
    let SourceSettings::Containers(selection) = first.settings.source else { return None };
    Some((selection.log_disk?, first.containers))
}

/// A LogConfig that selects a pod.
struct Selecting<'a> {
    config: &'a Value,
    settings: LogConfigSettings,
    /// Those of the pod that it selects; at least one.
    containers: Vec<String>,
}

/// The LogConfigs in whose `source.containers` there is this field, and that select the pod, by their names.
fn all_selecting<'a>(pod: &Value, namespace: &'a Namespace, field: &str) -> Vec<Selecting<'a>> {
    let Some(facts) = Pod::of(pod.clone()) else { return Vec::new() };
    let name = match facts.name.as_str() {
        "" => format!("{}{SUFFIX}", pod["metadata"]["generateName"].as_str().unwrap_or_default()),
        name => name.to_owned(),
    };
    let has_field = |it: &&Value| !it["spec"]["source"]["containers"][field].is_null();
    let mut configs: Vec<&Value> = namespace.log_configs.iter().filter(has_field).collect();
    configs.sort_by_key(|it| it["metadata"]["name"].as_str());
    let mut all = Vec::new();
    for config in configs {
        let Some(settings) = settings(config, &namespace.name) else { continue };
        let SourceSettings::Containers(selection) = &settings.source else { continue };
        if !selects(selection, &facts, &namespace.name, &name) {
            continue;
        }
        let containers = facts.containers.iter().filter(|it| selects_container(selection, it));
        let containers: Vec<String> = containers.map(|it| it.name.clone()).collect();
        if !containers.is_empty() {
            all.push(Selecting { config, settings, containers });
        }
    }
    all
}

/// What the LogConfig says, whatever sinks there are; `None` if it is broken.
fn settings(config: &Value, namespace: &str) -> Option<LogConfigSettings> {
    let mut document = resource("LogConfig", "", config["spec"].clone());
    document["metadata"] = json!({"name": config["metadata"]["name"], "namespace": namespace});
    let sink = config["spec"]["sink"].as_str().unwrap_or("default");
    let sink = resource("LogSink", sink, json!({"blackhole": {}}));
    let settings = crd::resolve(vec![file("log-config.yaml", &text(&[document, sink]))]).ok()?;
    settings.log_configs.into_iter().next()
}

fn selects(selection: &ContainersSettings, pod: &Pod, namespace: &str, name: &str) -> bool {
    let by_owner =
        selection.owner.as_ref().is_none_or(|it| pod.is_made_by(&it.kind, it.name.as_deref()));
    selection.namespaces.selects(namespace)
        && selection.pods.selects(name)
        && selection.pod_selector.as_ref().is_none_or(|it| it.selects(&pod.labels))
        && by_owner
}

fn selects_container(selection: &ContainersSettings, container: &Container) -> bool {
    let has = |it: &EnvVariable| container.has_variable(&it.name, it.value.as_deref());
    let by_env = selection.env.as_ref().is_none_or(|env| {
        env.include.as_ref().is_none_or(|it| it.iter().any(has)) && !env.exclude.iter().any(has)
    });
    container.name != NAME && selection.containers.selects(&container.name) && by_env
}

fn collection(config: &Value, settings: &LogConfigSettings, containers: Vec<String>) -> Collection {
    let globs = |key: &str| {
        let globs = super::items(&config["spec"]["source"]["containers"]["files"][key]);
        globs.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut further = config["spec"].as_object().cloned().unwrap_or_default();
    ["source", "sink"].iter().for_each(|key| drop(further.remove(*key)));
    if settings.format == Format::Auto {
        // No runtime writes these files, as on nodes. API servers write the default into what they keep.
        further.insert("format".to_owned(), json!("plain"));
    }
    Collection {
        name: config["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        include: globs("include"),
        exclude: globs("exclude"),
        containers,
        sink: settings.sink.clone(),
        further,
    }
}
