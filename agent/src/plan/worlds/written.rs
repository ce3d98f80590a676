//! Written: what is said of a world: the configuration, the tree of files, and what an API server tells.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crd::Settings;
use kube_watch::{Namespace, Namespaces, Pod, Pods};

use super::labels::{Selector, told};
use super::tree::Tree;
use super::{
    CONTAINERS, FOLDERS, GLOBS, NAMESPACES, OWN_TOPICS, PODS, SINKS, TENANTS, TOPIC_GLOBS, TOPICS,
    Told, World,
};
use crate::plan::{ByLabels, Watched};

/// The folder of a pod's logs.
pub(super) fn folder_of(namespace: usize, pod: usize) -> PathBuf {
    let (space, name) = (NAMESPACES[namespace], PODS[pod]);
    Path::new("/var/log/pods").join(format!("{space}_{name}_{}", uid(namespace, pod)))
}

fn uid(namespace: usize, pod: usize) -> String {
    format!("uid-{namespace}-{pod}")
}

impl World {
    pub(super) fn yaml(&self) -> String {
        let mut text = String::new();
        let mut add = |kind: &str, metadata: &str, spec: &str| {
            let head = "apiVersion: logferry.dev/v1alpha1";
            write!(text, "---\n{head}\nkind: {kind}\nmetadata: {{{metadata}}}\nspec: {{{spec}}}\n")
                .expect("memory");
        };
        for (name, topic) in SINKS.iter().zip(self.topics) {
            let kafka = format!("kafka: {{brokers: ['k:1'], topic: '{}'}}", TOPICS[topic]);
            add("LogSink", &format!("name: {name}"), &kafka);
        }
        let list = |of: &[&str], indices: &BTreeSet<usize>| {
            let names: Vec<String> = indices.iter().map(|&it| format!("'{}'", of[it])).collect();
            format!("[{}]", names.join(", "))
        };
        for tenant in &self.tenants {
            let globs =
                tenant.globs.as_ref().map(|it| format!("namespaces: {}, ", list(&GLOBS, it)));
            let sinks = tenant.sinks.as_ref().map(|it| format!("sinks: {}, ", list(&SINKS, it)));
            let topics =
                tenant.topics.as_ref().map(|it| format!("topics: {}", list(&TOPIC_GLOBS, it)));
            let labels = tenant.labels.as_ref();
            let labels = labels.map(|it| format!("namespaceSelector: {}, ", it.yaml()));
            let spec = [globs, labels, sinks, topics].into_iter().flatten().collect::<String>();
            add("LogTenant", &format!("name: {}", TENANTS[tenant.name]), &spec);
        }
        let all: Vec<&str> = GLOBS.into_iter().chain(["*"]).collect();
        for (number, config) in self.configs.iter().enumerate() {
            let namespace = config.namespace.map(|it| format!(", namespace: {}", NAMESPACES[it]));
            let claim = format!("logferry.dev/tenant: {}, topic: bank", TENANTS[config.claims]);
            let metadata = format!(
                "name: c{number}{}, labels: {{{claim}}}, annotations: {{{claim}}}",
                namespace.unwrap_or_default()
            );
            let by = |field: &str, it: &Option<Selector>| {
                it.as_ref().map_or_else(String::new, |it| format!("{field}: {}, ", it.yaml()))
            };
            let pods = by("podSelector", &config.pods);
            let source = match &config.globs {
                None => format!("files: {{include: [/srv/*/c{number}.log]}}"),
                Some(_) if config.namespace.is_some() => format!("containers: {{{pods}}}"),
                Some(it) => {
                    let namespaces = by("namespaceSelector", &config.namespaces);
                    let include = list(&all, it);
                    format!("containers: {{{namespaces}{pods}namespaces: {{include: {include}}}}}")
                }
            };
            let tenant = config.tenant.map(|it| format!("tenant: {}, ", TENANTS[it]));
            let topic = config.topic.map(|it| format!("topic: {}, ", OWN_TOPICS[it]));
            let own = [tenant, topic].into_iter().flatten().collect::<String>();
            let spec = format!("{own}sink: {}, source: {{{source}}}", SINKS[config.sink]);
            add("LogConfig", &metadata, &spec);
        }
        text
    }

    pub(super) fn tree(&self) -> Tree {
        let mut tree = Tree::default();
        for &(namespace, pod, container) in &self.pods {
            tree.add(&folder_of(namespace, pod).join(CONTAINERS[container]), "0.log");
        }
        for &folder in &self.folders {
            for number in 0..self.configs.len() {
                tree.add(&Path::new("/srv").join(FOLDERS[folder]), &format!("c{number}.log"));
            }
        }
        tree
    }

    /// What an API server says, if there is one.
    pub(super) fn watched(&self, settings: &Settings) -> Option<Watched> {
        let api = self.api.as_ref()?;
        let namespace = |(name, labels): (&&str, &Option<_>)| {
            let labels = told(labels.as_ref()?);
            Some(Namespace { name: (*name).to_owned(), labels })
        };
        let namespaces = NAMESPACES.iter().zip(&api.namespaces).filter_map(namespace);
        let namespaces = Arc::new(Namespaces::restored(namespaces.collect()));
        let there: BTreeSet<(usize, usize)> = self.pods.iter().map(|it| (it.0, it.1)).collect();
        let pod = |(namespace, pod): (usize, usize)| {
            let (labels, name) = match &api.pods[pod] {
                Told::Nothing => return None,
                Told::Labels(labels) => (labels, PODS[pod]),
                Told::OfAnother(labels) => (labels, "another"),
            };
            Some(Pod {
                uid: uid(namespace, pod),
                namespace: NAMESPACES[namespace].to_owned(),
                name: name.to_owned(),
                labels: told(labels),
                owner: None,
                containers: Vec::new(),
            })
        };
        let pods = Arc::new(Pods::restored(there.into_iter().filter_map(pod).collect()));
        let by_labels = ByLabels::of(settings, &namespaces);
        Some(Watched { pods, namespaces, by_labels })
    }
}
