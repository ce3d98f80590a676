//! Pods: what is known of the node's pods beside their names: labels, owners, and variables of their containers.
//!
//! By the uid that the kubelet names a pod's directory after. A name may be used again by another pod, a uid
//! never is.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::containers::{Container, ContainerObjects};
use crate::facts::{Fact, Facts};
use crate::reflector::{Copy, Versioned};

/// Pods that have ended are kept until so many others have: their files are read to the end meanwhile.
const ENDED_MAX: usize = 1024;

/// What is used of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// As the kubelet names the pod's directory: of a static pod that of its manifest.
    pub uid: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What made the pod, such as a ReplicaSet, and replaces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Its containers, also those that only begin or debug it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<Container>,
}

/// What made a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its kind.
    pub kind: String,
    /// Its name, in the pod's namespace.
    pub name: String,
}

impl Pod {
    /// What is used of a pod as the API server writes it; `None` if it is none. One that is about to be made has neither uid
    /// nor, often, a name.
    #[must_use]
    pub fn of(object: serde_json::Value) -> Option<Pod> {
        serde_json::from_value(object).ok().map(PodObject::trimmed)
    }

    /// Whether something of this kind, and of this name if there is one, made the pod, itself or by what it made.
    #[must_use]
    pub fn is_made_by(&self, kind: &str, name: Option<&str>) -> bool {
        let is_it =
            |of_kind: &str, of_name: &str| of_kind == kind && name.is_none_or(|it| it == of_name);
        let Some(made_by) = &self.owner else { return false };
        let (owner_kind, owner) = (made_by.kind.as_str(), made_by.name.as_str());
        // What stands behind them is known by the names that the controllers give.
        let behind = match owner_kind {
            "ReplicaSet" => {
                let hash = self.labels.get("pod-template-hash");
                let base = hash.and_then(|it| owner.strip_suffix(it.as_str())?.strip_suffix('-'));
                base.map(|it| ("Deployment", it))
            }
            "Job" => {
                let is_minute =
                    |it: &str| it.len() >= 8 && it.bytes().all(|it| it.is_ascii_digit());
                let parts = owner.rsplit_once('-').filter(|(_, minute)| is_minute(minute));
                parts.map(|(base, _)| ("CronJob", base))
            }
            _ => None,
        };
        is_it(owner_kind, owner) || behind.is_some_and(|(kind, name)| is_it(kind, name))
    }
}

impl Fact for Pod {
    fn key(&self) -> &str {
        &self.uid
    }
}

/// All pods of the node, by uid, and those that have ended of late.
pub type Pods = Facts<Pod>;

impl Pods {
    /// Namespaces of all pods.
    #[must_use]
    pub fn namespaces(&self) -> HashSet<String> {
        self.all().iter().map(|it| it.namespace.clone()).collect()
    }
}

/// The copy that the watch keeps up to date.
pub(crate) struct PodCopy {
    pods: Arc<Pods>,
    /// Uids of those that the API server has.
    alive: HashSet<String>,
    /// Uids of a list that is being read.
    listed: HashSet<String>,
    ended: VecDeque<String>,
    changed: Box<dyn Fn(bool) + Send>,
}

impl PodCopy {
    /// `changed` is called when a pod is new or has changed, and with `true` after each list.
    pub(crate) fn new(pods: Arc<Pods>, changed: Box<dyn Fn(bool) + Send>) -> PodCopy {
        let alive = pods.all().iter().map(|it| it.uid.clone()).collect();
        PodCopy { pods, alive, listed: HashSet::new(), ended: VecDeque::new(), changed }
    }

    fn end(&mut self, uid: String) {
        self.ended.push_back(uid);
        while self.ended.len() > ENDED_MAX {
            let Some(oldest) = self.ended.pop_front() else { return };
            if !self.alive.contains(&oldest) {
                self.pods.forget(&oldest);
            }
        }
    }
}

impl Copy for PodCopy {
    type Object = PodObject;

    fn begin_list(&mut self) {
        self.listed.clear();
    }

    fn put(&mut self, object: PodObject) {
        let pod = object.trimmed();
        self.listed.insert(pod.uid.clone());
        self.alive.insert(pod.uid.clone());
        if self.pods.put(pod) {
            (self.changed)(false);
        }
    }

    fn remove(&mut self, object: PodObject) {
        let uid = object.trimmed().uid;
        if self.alive.remove(&uid) {
            self.end(uid);
        }
    }

    fn end_list(&mut self) {
        let listed = std::mem::take(&mut self.listed);
        let gone: Vec<String> = self.alive.difference(&listed).cloned().collect();
        self.alive = listed;
        gone.into_iter().for_each(|uid| self.end(uid));
        (self.changed)(true);
    }

    fn count(&self) -> usize {
        self.alive.len()
    }
}

/// A pod as the API server writes it; what is not used is not even read.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PodObject {
    #[serde(default)]
    metadata: PodMetadata,
    #[serde(default)]
    spec: ContainerObjects,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodMetadata {
    uid: String,
    namespace: String,
    name: String,
    resource_version: String,
    labels: BTreeMap<String, String>,
    annotations: PodAnnotations,
    owner_references: Vec<OwnerReference>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct PodAnnotations {
    /// Uid of the static pod that this object shows; only a kubelet can write it.
    #[serde(rename = "kubernetes.io/config.mirror")]
    mirror: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct OwnerReference {
    kind: String,
    name: String,
    controller: bool,
}

impl Versioned for PodObject {
    fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}

impl PodObject {
    fn trimmed(self) -> Pod {
        let it = self.metadata;
        let owner = it.owner_references.into_iter().find(|it| it.controller);
        Pod {
            uid: it.annotations.mirror.unwrap_or(it.uid),
            namespace: it.namespace,
            name: it.name,
            labels: it.labels,
            owner: owner.map(|it| Owner { kind: it.kind, name: it.name }),
            containers: self.spec.trimmed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn object(json: serde_json::Value) -> PodObject {
        serde_json::from_value(json).unwrap()
    }

    fn pod(uid: &str, app: &str) -> PodObject {
        object(serde_json::json!({
            "metadata": {"uid": uid, "namespace": "shop", "name": "web-0", "labels": {"app": app}},
            "spec": {"containers": [{"name": "app", "image": "x"}]},
        }))
    }

    fn copy() -> (Arc<Pods>, PodCopy) {
        let pods = Arc::new(Pods::default());
        (Arc::clone(&pods), PodCopy::new(pods, Box::new(|_| {})))
    }

    #[test]
    fn a_static_pod_is_known_by_the_uid_of_its_manifest() {
        let pod = object(serde_json::json!({
            "metadata": {
                "uid": "of-the-mirror", "namespace": "kube-system", "name": "etcd-node1",
                "annotations": {"kubernetes.io/config.mirror": "of-the-manifest", "other": "x"},
                "ownerReferences": [
                    {"kind": "Other", "name": "none"},
                    {"kind": "Node", "name": "node1", "controller": true},
                ],
            },
        }));
        let pod = pod.trimmed();
        assert_eq!(pod.uid, "of-the-manifest");
        assert_eq!(pod.owner, Some(Owner { kind: "Node".to_owned(), name: "node1".to_owned() }));
    }

    #[test]
    fn a_pod_is_made_by_what_made_its_maker() {
        let pod = |kind: &str, name: &str, hash: &str| {
            let owner = serde_json::json!({"kind": kind, "name": name, "controller": true});
            let labels = serde_json::json!({"pod-template-hash": hash});
            let metadata = serde_json::json!({"labels": labels, "ownerReferences": [owner]});
            Pod::of(serde_json::json!({"metadata": metadata})).unwrap()
        };
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
            assert_eq!(pod.is_made_by(kind, name), is_it, "{kind} {name:?} of {:?}", pod.owner);
        }
    }

    #[test]
    fn a_name_used_again_is_another_pod() {
        let (pods, mut copy) = copy();
        copy.put(pod("one", "old"));
        copy.remove(pod("one", "old"));
        copy.put(pod("two", "new"));
        assert_eq!(pods.get("one").unwrap().labels["app"], "old", "its files may still be read");
        assert_eq!(pods.get("two").unwrap().labels["app"], "new");
    }

    #[test]
    fn pods_that_ended_are_forgotten_once_enough_others_have() {
        let (pods, mut copy) = copy();
        for number in 0..=ENDED_MAX {
            copy.put(pod(&number.to_string(), "x"));
            copy.remove(pod(&number.to_string(), "x"));
        }
        assert_eq!(pods.get("0"), None);
        assert!(pods.get("1").is_some());
        // One that a list no longer has has ended, too.
        copy.put(pod("here", "x"));
        copy.begin_list();
        copy.end_list();
        assert_eq!(copy.count(), 0);
        assert!(pods.get("here").is_some());
        assert_eq!(pods.get("1"), None);
    }

    #[test]
    fn listeners_hear_of_what_is_new_and_of_nothing_else() {
        let (pods, mut copy) = copy();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        let seen = Arc::clone(&pods);
        pods.listen(move || {
            hears.lock().unwrap().push(seen.get("one").unwrap().labels["app"].clone())
        });
        copy.put(pod("one", "a"));
        copy.put(pod("one", "a"));
        copy.put(pod("one", "b"));
        assert_eq!(*heard.lock().unwrap(), ["a", "b"]);
    }
}
