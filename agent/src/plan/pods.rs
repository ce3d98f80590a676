//! Pods: which containers a LogConfig selects: by their paths, and by what an API server says of their pods.

use std::sync::Arc;

use crd::{AgentSettings, ContainersSettings, LabelSelector, OwnerSettings};
use flow::Attribute;
use kube_watch::{Pod, Pods};
use pipeline::discovery::{NameFilter, PodFacts, PodPath, PodSelection};

/// What a LogConfig selects. Without an API server, labels are not known of any pod.
pub(super) fn selection(
    containers: &ContainersSettings,
    agent: &AgentSettings,
    watched: Option<&Arc<Pods>>,
) -> PodSelection {
    let filter = |it: &crd::Selector| NameFilter {
        include: it.include.set().clone(),
        exclude: it.exclude.set().clone(),
    };
    let wish = Wish { selector: containers.pod_selector.clone(), owner: containers.owner.clone() };
    let pods = watched.cloned();
    let facts = Facts { pods, wish, labels: agent.pod_labels.clone() };
    PodSelection {
        root: containers.root.clone(),
        namespaces: filter(&containers.namespaces),
        pods: filter(&containers.pods),
        containers: filter(&containers.containers),
        facts: Some(Arc::new(facts)),
    }
}

/// Whether the LogConfig waits for what an API server says of the pod; `pods` are those known.
pub(crate) fn awaits(containers: &ContainersSettings, pods: &[Pod], path: &PodPath) -> Awaited {
    let wish = Wish { selector: containers.pod_selector.clone(), owner: containers.owner.clone() };
    if wish.is_none() {
        return Awaited::Selected;
    }
    match pods.iter().find(|it| is_of(it, path)) {
        None => Awaited::Unknown,
        Some(pod) if wish.selects(pod) => Awaited::Selected,
        Some(_) => Awaited::NotSelected,
    }
}

/// What facts say of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// Nothing is asked for, or it is so.
    Selected,
    NotSelected,
    /// Nothing is known of the pod.
    Unknown,
}

/// What a LogConfig asks for beside names.
#[derive(Debug)]
struct Wish {
    selector: Option<LabelSelector>,
    owner: Option<OwnerSettings>,
}

impl Wish {
    fn is_none(&self) -> bool {
        self.selector.is_none() && self.owner.is_none()
    }

    fn selects(&self, pod: &Pod) -> bool {
        self.selector.as_ref().is_none_or(|it| it.selects(&pod.labels))
            && self.owner.as_ref().is_none_or(|it| is_made_by(pod, it))
    }
}

/// Whether `owner` made the pod, itself or by what it made.
fn is_made_by(pod: &Pod, owner: &OwnerSettings) -> bool {
    let is_it = |kind: &str, name: &str| {
        owner.kind == kind && owner.name.as_ref().is_none_or(|it| it == name)
    };
    let Some(made_by) = &pod.owner else { return false };
    let (kind, name) = (made_by.kind.as_str(), made_by.name.as_str());
    // What stands behind them is known by the names that the controllers give.
    let behind = match kind {
        "ReplicaSet" => {
            let hash = pod.labels.get("pod-template-hash");
            let base = hash.and_then(|it| name.strip_suffix(it.as_str())?.strip_suffix('-'));
            base.map(|it| ("Deployment", it))
        }
        "Job" => {
            let is_minute = |it: &str| it.len() >= 8 && it.bytes().all(|it| it.is_ascii_digit());
            let parts = name.rsplit_once('-').filter(|(_, minute)| is_minute(minute));
            parts.map(|(base, _)| ("CronJob", base))
        }
        _ => None,
    };
    is_it(kind, name) || behind.is_some_and(|(kind, name)| is_it(kind, name))
}

/// Whether the path is this pod's: by uid, and by its names besides.
fn is_of(pod: &Pod, path: &PodPath) -> bool {
    pod.uid == path.uid && pod.namespace == path.namespace && pod.name == path.pod
}

/// What the API server says, for one LogConfig.
#[derive(Debug)]
struct Facts {
    /// None are known without an API server.
    pods: Option<Arc<Pods>>,
    wish: Wish,
    /// Labels that records bear.
    labels: Vec<String>,
}

impl Facts {
    fn pod(&self, path: &PodPath) -> Option<Arc<Pod>> {
        self.pods.as_ref()?.get(&path.uid).filter(|it| is_of(it, path))
    }
}

impl PodFacts for Facts {
    fn version(&self) -> u64 {
        // Who selects by names alone waits for nothing, and looks at nothing again.
        let waits = self.pods.as_ref().filter(|_| !self.wish.is_none());
        waits.map_or(0, |it| it.version())
    }

    fn selects(&self, pod: &PodPath) -> Option<bool> {
        if self.wish.is_none() {
            return Some(true);
        }
        self.pod(pod).map(|it| self.wish.selects(&it))
    }

    fn attributes(&self, pod: &PodPath) -> Vec<Attribute> {
        if self.labels.is_empty() {
            return Vec::new();
        }
        let Some(pod) = self.pod(pod) else { return Vec::new() };
        let has = self.labels.iter().filter_map(|key| Some((key, pod.labels.get(key)?)));
        let attribute = |(key, value): (&String, &String)| {
            Attribute::text(format!("{LABEL_PREFIX}{key}"), value)
        };
        has.map(attribute).collect()
    }
}

/// What OpenTelemetry puts before a label's key.
const LABEL_PREFIX: &str = "k8s.pod.label.";

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(kind: &str, name: &str, hash: &str) -> Pod {
        Pod {
            uid: "1".to_owned(),
            namespace: "shop".to_owned(),
            name: "web-0".to_owned(),
            labels: [("pod-template-hash".to_owned(), hash.to_owned())].into(),
            owner: Some(kube_watch::Owner { kind: kind.to_owned(), name: name.to_owned() }),
        }
    }

    #[test]
    fn a_pod_is_made_by_what_made_its_maker() {
        let cases = [
            (pod("ReplicaSet", "web-5d9c", "5d9c"), "Deployment", Some("web"), true),
            (pod("ReplicaSet", "web-5d9c", "5d9c"), "Deployment", None, true),
            (pod("ReplicaSet", "web-5d9c", "5d9c"), "ReplicaSet", Some("web-5d9c"), true),
            (pod("ReplicaSet", "web-5d9c", "5d9c"), "Deployment", Some("web-5d9c"), false),
            (pod("ReplicaSet", "web", "5d9c"), "Deployment", None, false),
            (pod("Job", "night-29123456", ""), "CronJob", Some("night"), true),
            (pod("Job", "night-1", ""), "CronJob", None, false),
            (pod("DaemonSet", "proxy", ""), "DaemonSet", Some("proxy"), true),
            (pod("DaemonSet", "proxy", ""), "DaemonSet", Some("other"), false),
        ];
        for (pod, kind, name, is_it) in cases {
            let owner = OwnerSettings { kind: kind.to_owned(), name: name.map(str::to_owned) };
            assert_eq!(is_made_by(&pod, &owner), is_it, "{owner:?} of {:?}", pod.owner);
        }
    }

    #[test]
    fn facts_are_of_a_uid_and_of_its_names() {
        let pod = pod("DaemonSet", "proxy", "");
        let path = |namespace: &str, name: &str, uid: &str| PodPath {
            namespace: namespace.to_owned(),
            pod: name.to_owned(),
            uid: uid.to_owned(),
        };
        assert!(is_of(&pod, &path("shop", "web-0", "1")));
        for other in
            [path("shop", "web-0", "2"), path("bank", "web-0", "1"), path("shop", "web-1", "1")]
        {
            assert!(!is_of(&pod, &other), "{other:?}");
        }
    }
}
