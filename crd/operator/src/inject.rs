//! Inject: adds an agent to a pod as a sidecar, for files that no agent of the node can reach; and log disks
//! ([`log_disk`]), whose files it can.
//!
//! A pure function from a pod as the API server shows it to the operations of a JSON patch that only adds, or to why
//! there is none. It asks nobody: what there is to know of the namespace and of the operator comes with the call. It
//! is idempotent: of a pod that has its sidecar, only containers that came since get what they lack.

mod ask;
mod configuration;
mod container;
mod folders;
mod log_configs;
pub(crate) mod log_disk;
mod patch;
mod skip;

use serde_json::{Value, json};

pub(crate) use ask::{Ask, Namespace};
pub(crate) use configuration::{Base, BaseError};
pub(crate) use crd::sidecar::{CONFIG, NAME};
use folders::Folders;
use patch::Patch;
pub(crate) use skip::Skip;

/// `true` or `false`: whether a pod, or the pods of a namespace, get a sidecar. A label or an annotation.
pub(crate) const INJECT: &str = "sidecar.logferry.dev/inject";
/// Globs of the files to collect, as the containers see them, separated by commas; without it, what LogConfigs select.
pub(crate) const FILES: &str = "sidecar.logferry.dev/files";
/// Name of the LogSink; without it, `default`.
pub(crate) const SINK: &str = "sidecar.logferry.dev/sink";
/// The containers that get the folders, separated by commas; without it, all of the pod.
pub(crate) const CONTAINERS: &str = "sidecar.logferry.dev/containers";
/// Marks a pod that the kubelet made of a file: the API server has a copy alone, which nothing changes.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// What the operator gives to every sidecar.
#[derive(Debug)]
pub(crate) struct Template {
    /// The agent's image, as a full reference.
    pub(crate) image: String,
    /// When the kubelet pulls it.
    pub(crate) image_pull_policy: String,
    /// Limit of the memory, as Kubernetes writes it; the agent divides it.
    pub(crate) memory: String,
    /// What of a processor is reserved.
    pub(crate) cpu: String,
    /// Most that a folder that is made for logs may hold.
    pub(crate) folder_size: String,
    /// The server knows init containers that stay (`restartPolicy: Always`): others would wait for their end for ever.
    pub(crate) has_native_sidecars: bool,
}

/// The operations that give a pod its sidecar; none if it has all.
///
/// # Errors
/// Why it gets none.
pub(crate) fn inject(
    pod: &Value,
    namespace: &Namespace,
    base: Result<&Base, &BaseError>,
    template: &Template,
) -> Result<Vec<Value>, Skip> {
    if !pod["metadata"]["annotations"][MIRROR].is_null() {
        return Err(Skip::MirrorPod);
    }
    let ask = Ask::of(pod, namespace)?;
    let mut patch = Patch::new(pod);
    if let Some(ours) = ours(pod) {
        if pod["metadata"]["annotations"][CONFIG].is_null() {
            return Err(Skip::NameTaken(ours));
        }
        // A webhook after this one may have added containers: they get the folders that were made for the others.
        Folders::again(pod, &ask)?.mount(&mut patch);
        return Ok(patch.finish().0);
    }
    refuse_what_cannot_work(pod, template)?;
    let folders = Folders::of(pod, &ask)?;
    let base = base.map_err(|it| Skip::OperatorConfig(it.to_string()))?;
    let port = container::free_port(pod);
    let config = base.render(&ask, namespace, port, container::grace_seconds(pod))?;
    patch.annotate(CONFIG, &config.text);
    let secrets = config.secrets.iter().map(String::as_str).collect::<Vec<_>>();
    for volume in container::volumes(&secrets).into_iter().chain(folders.volumes(template)) {
        patch.append("/spec/volumes", volume);
    }
    let sidecar = container::sidecar(pod, &folders, &secrets, port, template);
    if template.has_native_sidecars {
        patch.prepend("/spec/initContainers", sidecar);
    } else {
        patch.prepend("/spec/containers", sidecar);
    }
    folders.mount(&mut patch);
    Ok(patch.finish().0)
}

/// Where a container has our name, or a volume begins with it.
fn ours(pod: &Value) -> Option<String> {
    for kind in ["initContainers", "containers"] {
        if items(&pod["spec"][kind]).any(|it| it["name"] == NAME) {
            return Some(format!("spec.{kind}"));
        }
    }
    let is_ours = |it: &Value| it["name"].as_str().is_some_and(|it| it.starts_with("logferry-"));
    items(&pod["spec"]["volumes"]).any(is_ours).then(|| "spec.volumes".to_owned())
}

fn refuse_what_cannot_work(pod: &Value, template: &Template) -> Result<(), Skip> {
    if !pod["metadata"]["annotations"][CONFIG].is_null() {
        return Err(Skip::ConfigWritten);
    }
    if pod["spec"]["hostNetwork"] == json!(true) {
        return Err(Skip::HostNetwork);
    }
    if pod["spec"]["os"]["name"] == "windows" {
        return Err(Skip::Windows);
    }
    let ends = matches!(pod["spec"]["restartPolicy"].as_str(), Some("Never" | "OnFailure"));
    if ends && !template.has_native_sidecars {
        return Err(Skip::WouldNeverEnd);
    }
    Ok(())
}

/// The items of a list; none if it is none.
fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[cfg(test)]
pub(crate) mod tests;
