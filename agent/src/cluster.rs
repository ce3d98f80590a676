//! Cluster: the resources that the API server has, as a part of the configuration.
//!
//! One that is broken is left out, or stays as it was when it was good last; nothing else suffers. Of
//! LogConfigs only those count whose namespace has pods on this node: a cluster may have thousands.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crd::{
    Admission, Candidate, ConfigFile, LogConfigSettings, Memo, Problem, Problems, Settings,
    Severity, SourceSettings,
};
use kube_watch::{Kind, Resource, ResourceKey, State};

use crate::memory_plan::MemoryPlan;
use crate::plan::{ByLabels, Watched};

/// Changes are gathered until there was none for so long …
const GATHER_QUIET: Duration = Duration::from_millis(200);
/// … or so many times: what is in force is never older than a second.
const GATHER_TIMES: usize = 5;
/// How long a start waits for the API server to say what there is, if nobody knows.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// Most resources that are complained about by name: who makes more is not to fill the agent's log.
const SAID_MAX: usize = 1000;

/// What the API server has, and what of it is in force.
#[derive(Debug)]
pub(crate) struct Cluster {
    watched: Arc<kube_watch::Cluster>,
    admitted: Admitted,
    /// Whose namespaces are by their labels, for the data plane that runs.
    by_labels: Option<Arc<ByLabels>>,
}

/// What became of resources.
#[derive(Debug, Default)]
struct Admitted {
    /// What is not to be read again as long as it says the same.
    memo: Memo,
    /// Which these are, of those that count here.
    resources: Vec<Resource>,
    /// What was in force last.
    good: BTreeMap<ResourceKey, Arc<str>>,
    /// What is not in force as it is written, and why.
    refused: BTreeMap<ResourceKey, String>,
}

impl Cluster {
    /// Begins with what was in force when the state was written.
    pub(crate) fn new(watched: kube_watch::Cluster) -> Cluster {
        let good = watched.fallbacks().into_iter().map(|it| (it.key, it.text)).collect();
        let admitted = Admitted { good, ..Admitted::default() };
        Cluster { watched: Arc::new(watched), admitted, by_labels: None }
    }

    /// The watches.
    pub(crate) fn watched(&self) -> Arc<kube_watch::Cluster> {
        Arc::clone(&self.watched)
    }

    /// What is known of pods and namespaces, for a data plane with these settings.
    pub(crate) fn facts(&mut self, settings: &Settings) -> Watched {
        let namespaces = self.watched.namespaces();
        self.by_labels = ByLabels::of(settings, &namespaces);
        let by_labels = self.by_labels.clone();
        Watched { pods: self.watched.pods(), namespaces, by_labels }
    }

    /// Resources that are not in force as they are written, and why.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (&ResourceKey, &str)> {
        self.admitted.refused.iter().map(|(key, why)| (key, why.as_str()))
    }

    /// LogConfigs and ClusterLogConfigs that count here, and why they are not in force as they are written.
    pub(crate) fn log_configs(&self) -> BTreeMap<ResourceKey, Option<String>> {
        let Admitted { good, refused, .. } = &self.admitted;
        let all = good.keys().chain(refused.keys());
        let log_configs =
            all.filter(|it| matches!(it.kind, Kind::LogConfigs | Kind::ClusterLogConfigs));
        log_configs.map(|it| (it.clone(), refused.get(it).cloned())).collect()
    }

    /// Whether the resources that count here are others than those of the last settings. A pod that comes or goes
    /// changes them only if it is the first or the last one of its namespace.
    pub(crate) fn has_news(&self) -> bool {
        let namespaces = self.watched.pods().namespaces();
        let resources = self.watched.resources(|it| is_here(it, &namespaces)).unwrap_or_default();
        resources != self.admitted.resources || self.has_moved()
    }

    /// Whether a namespace is another tenant's than the data plane was told: what is read of it must begin anew.
    pub(crate) fn has_moved(&self) -> bool {
        self.by_labels.as_ref().is_some_and(|it| it.has_moved())
    }

    /// Settings of `files` and of what the API server has.
    ///
    /// # Errors
    /// Every problem of the files.
    pub(crate) fn resolve(&mut self, files: Vec<ConfigFile>) -> Result<Settings, Problems> {
        let namespaces = self.watched.pods().namespaces();
        let Some(resources) = self.watched.resources(|it| is_here(it, &namespaces)) else {
            return crd::resolve(files);
        };
        let (settings, fallbacks) = self.admitted.resolve(files, resources)?;
        self.watched.ask_namespaces(asks_namespaces(&settings));
        if fallbacks != self.watched.fallbacks() {
            self.watched.keep_fallbacks(fallbacks);
        }
        Ok(settings)
    }
}

/// Waits until what the API server has is known, but not for long.
pub(crate) async fn wait_known(watched: &kube_watch::Cluster) {
    if !watched.is_known() && tokio::time::timeout(FIRST_WAIT, watched.changed()).await.is_err() {
        tracing::warn!(
            "the API server does not answer, and nothing is known from before: only files count"
        );
    }
}

/// Waits for changes, and until they are over; for ever without a cluster.
pub(crate) async fn wait_changed(watched: Option<Arc<kube_watch::Cluster>>) {
    let Some(watched) = watched else { return std::future::pending().await };
    watched.changed().await;
    for _ in 0..GATHER_TIMES {
        if tokio::time::timeout(GATHER_QUIET, watched.changed()).await.is_err() {
            return;
        }
    }
}

/// Settings of `files` and of a cluster's state on disk, as an agent that starts now would have them.
///
/// # Errors
/// Every problem of the files.
pub(crate) fn resolve_state(files: Vec<ConfigFile>, state: State) -> Result<Settings, Problems> {
    let namespaces: HashSet<String> = state.pods.iter().map(|it| it.namespace.clone()).collect();
    let good = state.fallbacks.into_iter().map(|it| (it.key, it.text)).collect();
    let mut admitted = Admitted { good, ..Admitted::default() };
    let mut resources = state.resources;
    resources.retain(|it| is_here(&it.key, &namespaces));
    Ok(admitted.resolve(files, resources)?.0)
}

impl Admitted {
    /// Returns the settings, and the older versions that are in force.
    fn resolve(
        &mut self,
        files: Vec<ConfigFile>,
        resources: Vec<Resource>,
    ) -> Result<(Settings, Vec<Resource>), Problems> {
        self.resources.clone_from(&resources);
        let candidates: Vec<Candidate> = resources.iter().map(|it| self.candidate(it)).collect();
        let misfit = |it: &Settings| MemoryPlan::of(it).err().map(|it| problem(&it));
        let Admission { settings, outcomes } =
            crd::admit_with(&mut self.memo, files, &candidates, &misfit)?;
        let mut good = BTreeMap::new();
        let mut refused = BTreeMap::new();
        let mut fallbacks = Vec::new();
        for ((resource, candidate), outcome) in resources.into_iter().zip(candidates).zip(outcomes)
        {
            let key = resource.key;
            if let Some(version) = outcome.version {
                let text = Arc::clone(&candidate.versions[version]);
                if version > 0 {
                    fallbacks.push(Resource { key: key.clone(), text: Arc::clone(&text) });
                }
                good.insert(key.clone(), text);
            }
            if !outcome.problems.is_empty() {
                let what_counts = match outcome.version {
                    Some(_) => "the last good version stays in force",
                    None => "left out",
                };
                refused.insert(key, format!("{}; {what_counts}", text_of(&outcome.problems)));
            }
        }
        self.say(&refused);
        (self.good, self.refused) = (good, refused);
        Ok((settings, fallbacks))
    }

    fn candidate(&self, resource: &Resource) -> Candidate {
        let mut versions = vec![Arc::clone(&resource.text)];
        versions.extend(self.good.get(&resource.key).filter(|it| **it != resource.text).cloned());
        let is_in_force = self.good.get(&resource.key) == Some(&resource.text);
        Candidate { path: PathBuf::from(resource.key.to_string()), versions, is_in_force }
    }

    /// Says what is new.
    fn say(&self, refused: &BTreeMap<ResourceKey, String>) {
        let news = refused.iter().filter(|(key, why)| self.refused.get(key) != Some(why));
        for (key, why) in news.take(SAID_MAX) {
            tracing::warn!(resource = %key, why, "refused");
        }
        for key in self.refused.keys().filter(|it| !refused.contains_key(it)).take(SAID_MAX) {
            tracing::info!(resource = %key, "no longer refused");
        }
    }
}

/// Whether a resource counts on a node with pods of these namespaces.
fn is_here(key: &ResourceKey, namespaces: &HashSet<String>) -> bool {
    key.kind != Kind::LogConfigs || key.namespace.as_ref().is_some_and(|it| namespaces.contains(it))
}

/// Whether anything is selected by labels of namespaces.
fn asks_namespaces(settings: &Settings) -> bool {
    let of_config = |it: &LogConfigSettings| match &it.source {
        SourceSettings::Containers(it) => it.namespace_selector.is_some(),
        SourceSettings::Files(_) => false,
    };
    settings.log_configs.iter().any(of_config)
        || settings.tenants.iter().any(|it| it.namespace_selector.is_some())
}

/// Why resources that are good do not fit into this machine.
fn problem(error: &anyhow::Error) -> Problem {
    Problem {
        severity: Severity::Error,
        place: None,
        resource: String::new(),
        path: String::new(),
        what: String::new(),
        why: format!("it does not fit: {error:#}"),
        cure: String::new(),
    }
}

/// What is wrong; where is plain, as a resource is one line.
fn text_of(problems: &[Problem]) -> String {
    problems.iter().map(Problem::of_field).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent() -> Vec<ConfigFile> {
        let text = "apiVersion: logferry.dev/v1alpha1\nkind: Agent\nmetadata: {name: agent}\n";
        vec![ConfigFile { path: "agent.yaml".into(), bytes: Ok(text.into()) }]
    }

    fn resource(kind: Kind, namespace: Option<&str>, name: &str, spec: &str) -> Resource {
        let place = namespace.map_or_else(String::new, |it| format!(r#", "namespace": "{it}""#));
        let text = format!(
            r#"{{"apiVersion": "logferry.dev/v1alpha1", "kind": "{}", "metadata": {{"name": "{name}"{place}}}, "spec": {spec}}}"#,
            kind.name()
        );
        let key =
            ResourceKey { kind, namespace: namespace.map(str::to_owned), name: name.to_owned() };
        Resource { key, text: text.into() }
    }

    fn sink() -> Resource {
        resource(Kind::LogSinks, None, "default", r#"{"stdout": {}}"#)
    }

    /// What counts on a node with pods of these namespaces.
    fn here(all: &[Resource], namespaces: &[&str]) -> Vec<Resource> {
        let namespaces = namespaces.iter().map(|it| (*it).to_owned()).collect();
        all.iter().filter(|it| is_here(&it.key, &namespaces)).cloned().collect()
    }

    fn config(namespace: &str, spec: &str) -> Resource {
        resource(Kind::LogConfigs, Some(namespace), "web", spec)
    }

    const GOOD: &str = r#"{"source": {"containers": {}}}"#;

    fn names(settings: &Settings) -> Vec<String> {
        settings.log_configs.iter().map(|it| it.name.to_string()).collect()
    }

    #[test]
    fn only_log_configs_of_namespaces_with_pods_here_count() {
        let all = vec![sink(), config("here", GOOD), config("elsewhere", GOOD)];
        let mut admitted = Admitted::default();
        let (settings, _) = admitted.resolve(agent(), here(&all, &["here"])).unwrap();
        assert_eq!(names(&settings), ["here/web"]);
    }

    #[test]
    fn only_the_first_pod_of_a_namespace_makes_a_difference() {
        let all = vec![sink(), config("here", GOOD), config("there", GOOD)];
        let mut admitted = Admitted::default();
        admitted.resolve(agent(), here(&all, &["here"])).unwrap();
        assert_eq!(here(&all, &["here", "without-any"]), admitted.resources);
        assert_ne!(here(&all, &["here", "there"]), admitted.resources);
    }

    #[test]
    fn what_was_good_last_stays_in_force_and_is_kept() {
        let mut admitted = Admitted::default();
        let good = vec![sink(), config("here", GOOD)];
        let (_, fallbacks) = admitted.resolve(agent(), good).unwrap();
        assert!(fallbacks.is_empty());
        let bad = vec![sink(), config("here", r#"{"sinc": 1}"#)];
        for _ in 0..2 {
            let (settings, fallbacks) = admitted.resolve(agent(), bad.clone()).unwrap();
            assert_eq!(names(&settings), ["here/web"]);
            assert_eq!(fallbacks, [config("here", GOOD)]);
        }
        let why = admitted.refused.values().next().unwrap();
        assert!(why.contains("unknown field `sinc`") && why.contains("last good"), "{why}");
        // The next life begins with it.
        let pod = kube_watch::Pod {
            uid: "1".to_owned(),
            namespace: "here".to_owned(),
            name: "web-0".to_owned(),
            labels: BTreeMap::new(),
            owner: None,
            containers: Vec::new(),
        };
        let fallbacks = vec![config("here", GOOD)];
        let state = State { resources: bad, fallbacks, pods: vec![pod], ..State::default() };
        assert_eq!(names(&resolve_state(agent(), state).unwrap()), ["here/web"]);
        // A resource that is removed has no last good version any more.
        let (settings, fallbacks) = admitted.resolve(agent(), vec![sink()]).unwrap();
        assert!(names(&settings).is_empty() && fallbacks.is_empty() && admitted.refused.is_empty());
    }
}
