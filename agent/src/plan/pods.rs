//! Pods: which containers a LogConfig selects: by their paths, and by what an API server says of their pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use crd::{
    AgentSettings, ContainersSettings, EnvSelector, EnvVariable, LabelSelector, OwnerSettings,
};
use flow::Attribute;
use kube_watch::{Container, Namespace, Namespaces, Pod, Pods};
use pipeline::discovery::{Asked, NameFilter, PodFacts, PodPath, PodSelection};

use super::ByLabels;

/// What an API server says of pods, and of namespaces.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) pods: Arc<Pods>,
    pub(crate) namespaces: Arc<Namespaces>,
    /// Whose namespaces are by their labels, if any LogTenant asks for labels.
    pub(crate) by_labels: Option<Arc<ByLabels>>,
}

/// What a LogConfig selects. Without an API server, nothing is known of any pod.
pub(super) fn selection(
    containers: &ContainersSettings,
    agent: &AgentSettings,
    watched: Option<&Watched>,
) -> PodSelection {
    let filter = |it: &crd::Selector| NameFilter {
        include: Arc::clone(it.include.set()),
        exclude: Arc::clone(it.exclude.set()),
        pattern: it.pattern.as_ref().map(|it| it.regex().clone()),
    };
    let watched = watched.cloned();
    let facts = Facts { watched, wish: Wish::of(containers), labels: agent.pod_labels.clone() };
    PodSelection {
        root: containers.root.clone(),
        namespaces: filter(&containers.namespaces),
        pods: filter(&containers.pods),
        containers: filter(&containers.containers),
        facts: Some(Arc::new(facts)),
    }
}

/// Whether the LogConfig waits for what an API server says of the pod; `pods` and `namespaces` are those known.
pub(crate) fn awaits(
    containers: &ContainersSettings,
    pods: &[Pod],
    namespaces: &Namespaces,
    path: &PodPath,
    container: Option<&str>,
) -> Awaited {
    let pod = pods.iter().find(|it| is_of(it, path));
    let namespace = namespaces.get(&path.namespace);
    match Wish::of(containers).selects(pod, namespace.as_deref(), container) {
        None => Awaited::Unknown,
        Some(true) => Awaited::Selected,
        Some(false) => Awaited::NotSelected,
    }
}

/// The fields by which the LogConfig asks for what only an API server knows.
pub(super) fn asked_fields(containers: &ContainersSettings) -> Vec<&'static str> {
    let Wish { namespace, pod, owner, env } = Wish::of(containers);
    let fields = [
        ("namespaceSelector", namespace.is_some()),
        ("podSelector", pod.is_some()),
        ("owner", owner.is_some()),
        ("env", env.is_some()),
    ];
    fields.into_iter().filter_map(|(name, is_asked)| is_asked.then_some(name)).collect()
}

/// What facts say of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// Nothing is asked for, or it is so.
    Selected,
    NotSelected,
    /// Too little is known of the pod, or of its namespace.
    Unknown,
}

/// What a LogConfig asks for beside names. A selector that selects all asks for nothing.
#[derive(Debug)]
struct Wish {
    namespace: Option<LabelSelector>,
    pod: Option<LabelSelector>,
    owner: Option<OwnerSettings>,
    env: Option<EnvSelector>,
}

impl Wish {
    fn of(containers: &ContainersSettings) -> Wish {
        let labels =
            |it: &Option<LabelSelector>| it.clone().filter(|it| !it.requirements.is_empty());
        Wish {
            namespace: labels(&containers.namespace_selector),
            pod: labels(&containers.pod_selector),
            owner: containers.owner.clone(),
            env: containers.env.clone(),
        }
    }

    fn asked(&self) -> Asked {
        let of_pods = self.namespace.is_some() || self.pod.is_some() || self.owner.is_some();
        match &self.env {
            Some(_) => Asked::OfContainers,
            None if of_pods => Asked::OfPods,
            None => Asked::Nothing,
        }
    }

    /// Whether all of it selects the pod, or the container; `None` if that depends on what is not known. What is
    /// known for sure not to be selected waits for nothing.
    fn selects(
        &self,
        pod: Option<&Pod>,
        namespace: Option<&Namespace>,
        container: Option<&str>,
    ) -> Option<bool> {
        let by_namespace = match &self.namespace {
            Some(selector) => namespace.map(|it| selector.selects(&it.labels)),
            None => Some(true),
        };
        let by_pod = match (&self.pod, &self.owner) {
            (None, None) => Some(true),
            _ => pod.map(|pod| {
                self.pod.as_ref().is_none_or(|it| it.selects(&pod.labels))
                    && self
                        .owner
                        .as_ref()
                        .is_none_or(|it| pod.is_made_by(&it.kind, it.name.as_deref()))
            }),
        };
        let by_env = match (&self.env, container) {
            (Some(env), Some(name)) => {
                let known = pod.and_then(|it| it.containers.iter().find(|it| it.name == name));
                known.map(|it| has_variables(it, env))
            }
            // Which of them are selected is asked of each.
            (Some(_), None) => pod.map(|_| true),
            (None, _) => Some(true),
        };
        let all = [by_namespace, by_pod, by_env];
        if all.contains(&Some(false)) {
            return Some(false);
        }
        all.iter().all(Option::is_some).then_some(true)
    }
}

fn has_variables(container: &Container, env: &EnvSelector) -> bool {
    let has = |it: &EnvVariable| container.has_variable(&it.name, it.value.as_deref());
    env.include.as_ref().is_none_or(|it| it.iter().any(has)) && !env.exclude.iter().any(has)
}

/// Whether the path is this pod's: by uid, and by its names besides.
fn is_of(pod: &Pod, path: &PodPath) -> bool {
    pod.uid == path.uid && pod.namespace == path.namespace && pod.name == path.pod
}

/// What the API server says, for one LogConfig.
#[derive(Debug)]
struct Facts {
    /// Nothing is known without an API server.
    watched: Option<Watched>,
    wish: Wish,
    /// Labels that records bear.
    labels: Vec<String>,
}

impl Facts {
    fn pod(&self, path: &PodPath) -> Option<Arc<Pod>> {
        self.watched.as_ref()?.pods.get(&path.uid).filter(|it| is_of(it, path))
    }
}

impl PodFacts for Facts {
    fn version(&self) -> u64 {
        // Who selects by names alone waits for nothing, and looks at nothing again.
        let Some(watched) = self.watched.as_ref().filter(|_| self.asked() != Asked::Nothing) else {
            return 0;
        };
        let by_namespace = self.wish.namespace.as_ref().map(|_| watched.namespaces.version());
        watched.pods.version().wrapping_add(by_namespace.unwrap_or(0))
    }

    fn selects(&self, pod: &PodPath, container: Option<&str>) -> Option<bool> {
        if self.asked() == Asked::Nothing {
            return Some(true);
        }
        // Nobody will ever tell: what others select is not to wait for it.
        let Some(watched) = &self.watched else { return Some(false) };
        let namespace = watched.namespaces.get(&pod.namespace);
        self.wish.selects(self.pod(pod).as_deref(), namespace.as_deref(), container)
    }

    fn asked(&self) -> Asked {
        self.wish.asked()
    }

    fn attributes(&self, pod: &PodPath) -> Vec<Attribute> {
        if self.labels.is_empty() {
            return Vec::new();
        }
        let Some(pod) = self.pod(pod) else { return Vec::new() };
        label_attributes(&self.labels, &pod.labels)
    }
}

/// Those of a pod's labels that records are to bear.
pub(crate) fn label_attributes(
    wanted: &[String],
    labels: &BTreeMap<String, String>,
) -> Vec<Attribute> {
    let has = wanted.iter().filter_map(|key| Some((key, labels.get(key)?)));
    has.map(|(key, value)| Attribute::text(format!("{LABEL_PREFIX}{key}"), value)).collect()
}

/// What OpenTelemetry puts before a label's key.
const LABEL_PREFIX: &str = "k8s.pod.label.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_of_a_uid_and_of_its_names() {
        let pod = Pod {
            uid: "1".to_owned(),
            namespace: "shop".to_owned(),
            name: "web-0".to_owned(),
            labels: BTreeMap::new(),
            owner: None,
            containers: Vec::new(),
        };
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
