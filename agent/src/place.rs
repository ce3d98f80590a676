//! Place: what this machine is called, and what it allows.

use std::collections::BTreeMap;
use std::path::Path;

use crd::AgentSettings;
use flow::Attribute;
use pipeline::discovery::{Place, PodPath};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::plan::label_attributes;

/// Where the file with the labels of the pod is, as whoever injected a sidecar says.
const POD_LABELS: &str = "LOGFERRY_POD_LABELS";

/// Where this agent runs: as configured, else as the environment and the system say.
pub(crate) fn of(settings: &AgentSettings) -> Place {
    let from_environment = |name: &str| std::env::var(name).unwrap_or_default();
    Place {
        cluster: settings.cluster_name.clone().unwrap_or_default(),
        // Set by the DaemonSet through the downward API.
        node: settings.node_name.clone().unwrap_or_else(|| from_environment("NODE_NAME")),
        host: settings.host_name.clone().unwrap_or_else(host_name),
        pod: pod(&from_environment),
        pod_attributes: pod_attributes(settings),
    }
}

/// Labels of the pod that this is a sidecar of, as far as records are to bear them: out of the file that the kubelet
/// keeps up to date (`metadata.labels` of the downward API).
pub(crate) fn pod_attributes(settings: &AgentSettings) -> Vec<Attribute> {
    let Some(path) = std::env::var_os(POD_LABELS).filter(|_| !settings.pod_labels.is_empty())
    else {
        return Vec::new();
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => label_attributes(&settings.pod_labels, &labels(&text)),
        Err(error) => {
            let path = path.display().to_string();
            tracing::warn!(path, %error, "labels of the pod are not known: its records bear none");
            Vec::new()
        }
    }
}

/// Lines of `key="value"`: nothing in a label ever has to be escaped.
fn labels(text: &str) -> BTreeMap<String, String> {
    let label = |line: &str| {
        let (key, value) = line.split_once('=')?;
        let value = value.strip_prefix('"')?.strip_suffix('"')?;
        Some((key.to_owned(), value.to_owned()))
    };
    text.lines().filter_map(label).collect()
}

/// The pod that this is a sidecar of, as whoever injected it says by the downward API.
fn pod(from_environment: &dyn Fn(&str) -> String) -> Option<PodPath> {
    let pod = PodPath {
        namespace: from_environment("LOGFERRY_POD_NAMESPACE"),
        pod: from_environment("LOGFERRY_POD_NAME"),
        uid: from_environment("LOGFERRY_POD_UID"),
    };
    [&pod.namespace, &pod.pod, &pod.uid].iter().all(|it| !it.is_empty()).then_some(pod)
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// Raises the soft limit of open files to the hard one: generations are held open.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
    }
}

/// How many log files may be open: as configured, but no more than the limit of open files leaves
/// beside what the agent needs for itself.
pub(crate) fn open_files_max(configured: usize) -> u64 {
    let configured = configured as u64;
    let Some(limit) = getrlimit(Resource::Nofile).current else { return configured };
    // Half of 64 is not enough for all else.
    let allowed = limit - (limit * 5 / 8).min(OWN_FILES);
    if configured > allowed {
        tracing::info!(
            configured,
            allowed,
            "fewer log files are held open: raise LimitNOFILE for more"
        );
    }
    configured.min(allowed)
}

/// Descriptors for sinks, sockets, directories and all else: far more than are ever needed.
const OWN_FILES: u64 = 256;

/// Resident memory of this process in bytes, as `/proc` tells; 0 where it does not.
pub(crate) fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string(Path::new("/proc/self/statm")).unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_the_kubelet_writes_them() {
        let text = "app=\"web\"\napp.kubernetes.io/name=\"a=b\"\nempty=\"\"\nno label\nbare=x";
        let labels = labels(text);
        let each: Vec<(&str, &str)> = labels.iter().map(|(key, it)| (&**key, &**it)).collect();
        assert_eq!(each, [("app", "web"), ("app.kubernetes.io/name", "a=b"), ("empty", "")]);
    }
}
