//! Cluster: what the API server has, as far as it is used: logferry's resources, what agents say, names of nodes.
//!
//! Written by the watches, read by the controllers. Whatever changes is put into the queue of who has to look at it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aliyun::{Documents, Reach};
use crd::spec::{LogConfigOnNode, LogConfigStatus, LogNodeStatus};
use kube_watch::{Kind, ResourceKey};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::work_queue::WorkQueue;

/// What is known of the cluster, and what is to be done about it.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// What objects of Alibaba's agent may speak of; `None` if they do not count.
    pub(crate) reach: Option<Reach>,
    state: Mutex<State>,
    /// Resources whose status is to be looked at.
    pub(crate) statuses: WorkQueue<ResourceKey>,
    /// Resources in whose status only counts changed.
    pub(crate) counts: WorkQueue<ResourceKey>,
    /// Nodes that may be gone.
    pub(crate) nodes: WorkQueue<String>,
    /// Some resources are to be judged anew.
    pub(crate) unjudged: Notify,
}

/// What is known.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) resources: BTreeMap<ResourceKey, Known>,
    /// By node, what its agent says.
    log_nodes: BTreeMap<Arc<str>, BTreeMap<ResourceKey, LogConfigOnNode>>,
    /// By LogConfig, nodes whose agents say something of it.
    nodes_of: HashMap<ResourceKey, BTreeSet<Arc<str>>>,
    /// By LogConfig, the object of Alibaba's agent that comes to it.
    objects_of: HashMap<ResourceKey, ResourceKey>,
    /// Names of all nodes; `None` until they were listed.
    pub(crate) nodes: Option<HashSet<String>>,
    pub(crate) dirty: Dirty,
    /// Kinds that were listed.
    listed: HashSet<Kind>,
    has_log_nodes: bool,
}

/// What is to be judged anew.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    pub(crate) all: bool,
    pub(crate) namespaces: BTreeSet<String>,
}

/// A resource.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) generation: i64,
    /// What it says, as a document.
    pub(crate) text: Arc<str>,
    /// What it comes to, of objects of Alibaba's agent, or why to nothing.
    pub(crate) converted: Option<Result<Documents, String>>,
    /// What the API server has.
    pub(crate) status: LogConfigStatus,
    /// When its status was written last, by this process.
    pub(crate) written_at: Option<Instant>,
    /// Why it is refused, if it is; `None` until it was judged as it is now.
    pub(crate) verdict: Option<Result<(), String>>,
}

impl Cluster {
    /// Nothing is known yet.
    pub(crate) fn new(reach: Option<Reach>) -> Cluster {
        Cluster {
            reach,
            state: Mutex::default(),
            statuses: WorkQueue::new(),
            counts: WorkQueue::new(),
            nodes: WorkQueue::new(),
            unjudged: Notify::new(),
        }
    }

    /// What is known; never held over an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kinds that count.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = Kind> {
        let aliyun = Kind::ALIYUN.into_iter().filter(|_| self.reach.is_some());
        Kind::RESOURCES.into_iter().chain(aliyun)
    }

    /// The namespace whose containers a resource may speak of; `None` for all.
    pub(crate) fn scope(&self, key: &ResourceKey) -> Option<String> {
        let is_of_all = key.kind.is_aliyun() && self.reach == Some(Reach::Cluster);
        key.namespace.clone().filter(|_| !is_of_all)
    }

    /// A resource is there, and is so.
    pub(crate) fn put_resource(&self, key: ResourceKey, known: Known) {
        let mut state = self.state();
        if let Some(before) = state.resources.get_mut(&key) {
            let is_same_text = before.text == known.text;
            let is_same = is_same_text
                && before.generation == known.generation
                && before.status == known.status;
            (before.status, before.generation) = (known.status, known.generation);
            if is_same_text {
                drop(state);
                if !is_same {
                    self.statuses.add(key);
                }
                return;
            }
            (before.text, before.verdict) = (known.text, None);
            before.converted = known.converted;
        } else {
            state.resources.insert(key.clone(), known);
        }
        state.note_objects(&key);
        state.dirty.touch(self.scope(&key));
        drop(state);
        self.unjudged.notify_one();
    }

    /// A resource is gone.
    pub(crate) fn remove_resource(&self, key: &ResourceKey) {
        let mut state = self.state();
        if state.resources.remove(key).is_some() {
            state.note_objects(key);
            state.dirty.touch(self.scope(key));
            drop(state);
            self.unjudged.notify_one();
        }
    }

    /// All resources of a kind were listed: these.
    pub(crate) fn listed(&self, kind: Kind, there: &HashSet<ResourceKey>) {
        let mut state = self.state();
        let is_gone = |it: &&ResourceKey| it.kind == kind && !there.contains(*it);
        let gone: Vec<ResourceKey> = state.resources.keys().filter(is_gone).cloned().collect();
        state.listed.insert(kind);
        drop(state);
        gone.iter().for_each(|key| self.remove_resource(key));
        self.unjudged.notify_one();
    }

    /// What the agent of a node says; nothing if its object is gone.
    pub(crate) fn put_log_node(&self, node: &str, status: LogNodeStatus) {
        let mut state = self.state();
        let node: Arc<str> = node.into();
        let now: BTreeMap<ResourceKey, LogConfigOnNode> =
            status.log_configs.into_iter().map(|it| (key_of(&it), it)).collect();
        let before = state.log_nodes.remove(&node).unwrap_or_default();
        let mut changed = Vec::new();
        for key in before.keys().filter(|it| !now.contains_key(*it)) {
            if let Some(nodes) = state.nodes_of.get_mut(key) {
                nodes.remove(&node);
                if nodes.is_empty() {
                    state.nodes_of.remove(key);
                }
            }
            changed.push(key.clone());
        }
        for (key, said) in &now {
            if before.get(key) != Some(said) {
                state.nodes_of.entry(key.clone()).or_default().insert(Arc::clone(&node));
                changed.push(key.clone());
            }
        }
        state.log_nodes.insert(Arc::clone(&node), now);
        let of_objects = changed.iter().filter_map(|it| state.objects_of.get(it)).cloned();
        let of_objects: Vec<ResourceKey> = of_objects.collect();
        drop(state);
        changed.extend(of_objects);
        changed.into_iter().for_each(|key| self.statuses.add(key));
        self.nodes.add(node.to_string());
    }

    /// The object of a node is gone.
    pub(crate) fn remove_log_node(&self, node: &str) {
        self.put_log_node(node, LogNodeStatus::default());
        self.state().log_nodes.remove(node);
    }

    /// All objects of nodes were listed: these.
    pub(crate) fn listed_log_nodes(&self, there: &HashSet<String>) {
        let mut state = self.state();
        let is_gone = |it: &&Arc<str>| !there.contains(&***it);
        let gone: Vec<Arc<str>> = state.log_nodes.keys().filter(is_gone).cloned().collect();
        state.has_log_nodes = true;
        drop(state);
        gone.iter().for_each(|node| self.remove_log_node(node));
        // What was judged before has waited for this.
        let keys: Vec<ResourceKey> = self.state().resources.keys().cloned().collect();
        keys.into_iter().for_each(|key| self.statuses.add(key));
    }
}

impl State {
    /// Whether all resources are known: what one says may depend on every other one.
    pub(crate) fn is_listed(&self) -> bool {
        Kind::RESOURCES.iter().all(|kind| self.listed.contains(kind))
    }

    /// Whether it is known what agents say.
    pub(crate) fn has_log_nodes(&self) -> bool {
        self.has_log_nodes
    }

    /// Whether the agent of the node says anything.
    pub(crate) fn has_log_node(&self, node: &str) -> bool {
        self.log_nodes.contains_key(node)
    }

    /// Nodes whose agents say anything.
    pub(crate) fn log_node_names(&self) -> Vec<String> {
        self.log_nodes.keys().map(ToString::to_string).collect()
    }

    /// How many agents say anything.
    pub(crate) fn count_log_nodes(&self) -> usize {
        self.log_nodes.len()
    }

    /// What agents say of a LogConfig, by node.
    pub(crate) fn said_of(
        &self,
        key: &ResourceKey,
    ) -> impl Iterator<Item = (&str, &LogConfigOnNode)> {
        let nodes = self.nodes_of.get(key).into_iter().flatten();
        nodes.filter_map(|node| Some((&**node, self.log_nodes.get(node)?.get(key)?)))
    }

    /// What agents say of all the LogConfigs that an object of Alibaba's agent comes to, by node.
    pub(crate) fn said_of_object(&self, key: &ResourceKey) -> BTreeMap<&str, LogConfigOnNode> {
        let mut all: BTreeMap<&str, LogConfigOnNode> = BTreeMap::new();
        for key in self.log_configs_of(key) {
            for (node, said) in self.said_of(&key) {
                let sum = all.entry(node).or_default();
                sum.counts.add(&said.counts);
                sum.problems.extend(said.problems.iter().cloned());
            }
        }
        all
    }

    /// What an object of Alibaba's agent comes to; what has the name of a LogConfig of the cluster is that one.
    fn log_configs_of(&self, key: &ResourceKey) -> Vec<ResourceKey> {
        let converted = self.resources.get(key).and_then(|it| it.converted.as_ref());
        let Some(Ok(documents)) = converted else { return Vec::new() };
        let names = documents.names.iter().cloned();
        let keys = names.map(|(namespace, name)| key_of_name(namespace, name));
        keys.filter(|it| !self.resources.contains_key(it)).collect()
    }

    /// Keeps by LogConfig what an object that came, changed or went comes to.
    fn note_objects(&mut self, key: &ResourceKey) {
        if key.kind.is_aliyun() {
            self.objects_of.retain(|_, object| object != key);
            let log_configs = self.log_configs_of(key);
            self.objects_of.extend(log_configs.into_iter().map(|it| (it, key.clone())));
        }
    }
}

impl Dirty {
    fn touch(&mut self, scope: Option<String>) {
        match scope {
            Some(namespace) => {
                self.namespaces.insert(namespace);
            }
            None => self.all = true,
        }
    }

    /// Whether there is anything.
    pub(crate) fn is_any(&self) -> bool {
        self.all || !self.namespaces.is_empty()
    }
}

/// Which resource an agent speaks of.
fn key_of(said: &LogConfigOnNode) -> ResourceKey {
    key_of_name(said.namespace.clone(), said.name.clone())
}

/// A LogConfig, or without a namespace a ClusterLogConfig.
fn key_of_name(namespace: Option<String>, name: String) -> ResourceKey {
    let kind = if namespace.is_some() { Kind::LogConfigs } else { Kind::ClusterLogConfigs };
    ResourceKey { kind, namespace, name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str, bytes: u64) -> LogConfigOnNode {
        let mut said = LogConfigOnNode { name: name.to_owned(), ..LogConfigOnNode::default() };
        said.counts.read_bytes = bytes;
        said
    }

    fn status(log_configs: Vec<LogConfigOnNode>) -> LogNodeStatus {
        LogNodeStatus { log_configs, ..LogNodeStatus::default() }
    }

    #[test]
    fn a_node_that_is_gone_says_nothing_any_more() {
        let cluster = Cluster::new(None);
        cluster.put_log_node("a", status(vec![said("one", 1), said("two", 2)]));
        cluster.put_log_node("b", status(vec![said("one", 3)]));
        let sum = |name: &str| {
            let state = cluster.state();
            let key = key_of(&said(name, 0));
            state.said_of(&key).map(|(_, it)| it.counts.read_bytes).sum::<u64>()
        };
        assert_eq!((sum("one"), sum("two")), (4, 2));
        cluster.put_log_node("a", status(vec![said("one", 5)]));
        assert_eq!((sum("one"), sum("two")), (8, 0));
        cluster.listed_log_nodes(&HashSet::from(["b".to_owned()]));
        assert_eq!((sum("one"), cluster.state().count_log_nodes()), (3, 1));
        assert_eq!(cluster.state().nodes_of.len(), 1);
    }
}
