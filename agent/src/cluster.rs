//! Cluster: the resources that the API server has, as a part of the configuration.
//!
//! One that is broken is left out, or stays as it was when it was good last; nothing else suffers. Of
//! LogConfigs only those count whose namespace has pods on this node: a cluster may have thousands.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::aliyun::Reach;
use crd::{
    Admission, Candidate, ConfigFile, LogConfigSettings, Memo, Problem, Problems, Settings,
    Severity, SourceSettings,
};
use kube_watch::{Kind, Pod, Resource, ResourceKey, State};

use crate::memory_plan::MemoryPlan;
use crate::plan::{ByLabels, Watched};

mod aliyun;
mod variables;
use aliyun::Conversions;

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
    /// What objects of Alibaba's agent may speak of; `None` if they do not count.
    reach: Option<Reach>,
    /// Which these are, of those that count here.
    resources: Vec<Resource>,
    /// What was in force last.
    good: BTreeMap<ResourceKey, Arc<str>>,
    /// What is not in force as it is written, and why.
    refused: BTreeMap<ResourceKey, String>,
    /// LogConfigs of objects of Alibaba's agent that are in force.
    converted: BTreeMap<ResourceKey, Vec<ResourceKey>>,
}

impl Cluster {
    /// Begins with what was in force when the state was written. Objects of Alibaba's agent may speak of what `reach`
    /// says, if they count.
    pub(crate) fn new(watched: kube_watch::Cluster, reach: Option<Reach>) -> Cluster {
        let good = watched.fallbacks().into_iter().map(|it| (it.key, it.text)).collect();
        let admitted = Admitted { reach, good, ..Admitted::default() };
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
        let Admitted { good, refused, converted, .. } = &self.admitted;
        let all = good.keys().chain(refused.keys());
        let own = all.filter(|it| matches!(it.kind, Kind::LogConfigs | Kind::ClusterLogConfigs));
        let mut log_configs: BTreeMap<_, _> =
            own.map(|it| (it.clone(), refused.get(it).cloned())).collect();
        for (object, keys) in converted {
            for key in keys {
                log_configs.entry(key.clone()).or_insert_with(|| refused.get(object).cloned());
            }
        }
        log_configs
    }

    /// Whether the resources that count here are others than those of the last settings. A pod that comes or goes
    /// changes them only if it is the first or the last one of its namespace.
    pub(crate) fn has_news(&self) -> bool {
        self.here().unwrap_or_default() != self.admitted.resources || self.has_moved()
    }

    /// Resources and variables of containers that count here; `None` as long as nothing is known.
    fn here(&self) -> Option<Vec<Resource>> {
        let (pods, reach) = (self.watched.pods(), self.admitted.reach);
        let namespaces = pods.namespaces();
        let mut resources = self.watched.resources(|it| is_here(it, &namespaces, reach))?;
        // Of pods here, so that all of them count.
        if reach.is_some() {
            resources.extend(variables::resources(pods.all().iter()));
        }
        Some(resources)
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
        let Some(resources) = self.here() else { return crd::resolve(files) };
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
pub(crate) fn resolve_state(
    files: Vec<ConfigFile>,
    state: State,
    reach: Option<Reach>,
) -> Result<Settings, Problems> {
    let namespaces: HashSet<String> = state.pods.iter().map(|it| it.namespace.clone()).collect();
    let good = state.fallbacks.into_iter().map(|it| (it.key, it.text)).collect();
    let mut admitted = Admitted { reach, good, ..Admitted::default() };
    let pods: Vec<Arc<Pod>> = state.pods.into_iter().map(Arc::new).collect();
    let mut resources = [state.resources, variables::resources(pods.iter())].concat();
    resources.retain(|it| is_here(&it.key, &namespaces, reach));
    Ok(admitted.resolve(files, resources)?.0)
}

impl Admitted {
    /// Returns the settings, and the older versions that are in force.
    fn resolve(
        &mut self,
        files: Vec<ConfigFile>,
        mut resources: Vec<Resource>,
    ) -> Result<(Settings, Vec<Resource>), Problems> {
        self.resources.clone_from(&resources);
        let mut conversions = Conversions::default();
        conversions.convert(&mut resources, self.reach);
        // Of what cannot be converted as it is, only what was good last is left.
        let last_good = |key: &ResourceKey| {
            Some(Resource { key: key.clone(), text: Arc::clone(self.good.get(key)?) })
        };
        resources.extend(conversions.refused.keys().filter_map(last_good));
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
                if version > 0 || conversions.refused.contains_key(&key) {
                    fallbacks.push(Resource { key: key.clone(), text: Arc::clone(&text) });
                }
                good.insert(key.clone(), text);
            }
            if !outcome.problems.is_empty() {
                let what_counts = what_counts(outcome.version.is_some());
                refused.insert(key, format!("{}; {what_counts}", text_of(&outcome.problems)));
            }
        }
        for (key, why) in &conversions.refused {
            let what_counts = what_counts(good.contains_key(key));
            refused.entry(key.clone()).or_insert_with(|| format!("{why}; {what_counts}"));
        }
        self.say(&refused);
        self.say_left_out(&conversions, &good);
        self.converted = conversions.log_configs;
        self.converted.retain(|key, _| good.contains_key(key));
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

    /// Says of objects of Alibaba's agent that are new how much of them is not done; what, their status says, and here
    /// is said of variables, which have none.
    fn say_left_out(&self, conversions: &Conversions, good: &BTreeMap<ResourceKey, Arc<str>>) {
        let is_new =
            |key: &&ResourceKey| good.contains_key(*key) && good.get(*key) != self.good.get(*key);
        for key in conversions.log_configs.keys().filter(is_new).take(SAID_MAX) {
            let notes = conversions.left_out.get(key).map(Vec::as_slice).unwrap_or_default();
            if variables::is_one(key) {
                let fields = notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                tracing::info!(resource = %key, fields, "taken, but for these fields");
            } else {
                let fields = notes.len();
                tracing::info!(resource = %key, fields, "taken, but for fields that its status names");
            }
        }
    }
}

/// What counts in place of a resource that is refused.
fn what_counts(has_last_good: bool) -> &'static str {
    if has_last_good { "the last good version stays in force" } else { "left out" }
}

/// Whether a resource counts on a node with pods of these namespaces.
fn is_here(key: &ResourceKey, namespaces: &HashSet<String>, reach: Option<Reach>) -> bool {
    match key.kind {
        kind if kind.is_aliyun() && reach.is_none() => false,
        Kind::AliyunLogConfigs if reach == Some(Reach::Cluster) => true,
        Kind::LogConfigs | Kind::AliyunLogConfigs => {
            key.namespace.as_ref().is_some_and(|it| namespaces.contains(it))
        }
        _ => true,
    }
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
        all.iter().filter(|it| is_here(&it.key, &namespaces, None)).cloned().collect()
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
        assert_eq!(names(&resolve_state(agent(), state, None).unwrap()), ["here/web"]);
        // A resource that is removed has no last good version any more.
        let (settings, fallbacks) = admitted.resolve(agent(), vec![sink()]).unwrap();
        assert!(names(&settings).is_empty() && fallbacks.is_empty() && admitted.refused.is_empty());
    }

    #[test]
    fn what_objects_of_alibaba_s_agent_come_to_counts_together_and_after_log_configs() {
        let object = |name: &str, text: &str| {
            Resource {
            key: ResourceKey {
                kind: Kind::AliyunLogConfigs,
                namespace: Some("here".to_owned()),
                name: name.to_owned(),
            },
            text: format!(
                r#"{{"apiVersion": "log.alibabacloud.com/v1alpha1", "kind": "AliyunLogConfig", "metadata": {{"name": "{name}", "namespace": "here"}}, "spec": {{"logstore": "a", "logtailConfig": {{"inputType": "file", "inputDetail": {text}}}}}}}"#
            )
            .into(),
        }
        };
        let files = |name: &str, more: &str| {
            format!(r#"{{"logPath": "/log", "filePattern": "{name}", "dockerFile": true{more}}}"#)
        };
        let good = object("own", &files("a", ""));
        let all = vec![sink(), config("here", GOOD), object("web", &files("b", "")), good.clone()];
        let mut admitted = Admitted { reach: Some(Reach::Namespace), ..Admitted::default() };
        let (settings, _) = admitted.resolve(agent(), all.clone()).unwrap();
        assert_eq!(names(&settings), ["here/own", "here/web"]);
        let refused: Vec<String> =
            admitted.refused.iter().map(|(key, why)| format!("{key}: {why}")).collect();
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert!(
            refused[0].starts_with("AliyunLogConfig here/web: ") && refused[0].contains("taken")
        );
        assert_eq!(admitted.converted.len(), 1);
        // One that cannot be converted any more stays as it was, also for the next life.
        let masked = r#", "sensitive_keys": [{"key": "a"}]"#;
        let bad = vec![sink(), object("own", &files("c", masked))];
        let (settings, fallbacks) = admitted.resolve(agent(), bad.clone()).unwrap();
        assert_eq!(names(&settings), ["here/own"]);
        assert_eq!(fallbacks.len(), 1);
        let why = admitted.refused.values().next().unwrap();
        assert!(why.contains("sensitive_keys") && why.contains("last good"), "{why}");
        let good = fallbacks.into_iter().map(|it| (it.key, it.text)).collect();
        let mut next = Admitted { reach: admitted.reach, good, ..Admitted::default() };
        let (settings, _) = next.resolve(agent(), bad.clone()).unwrap();
        assert_eq!(names(&settings), ["here/own"]);
        // Where they are not asked for they do not count.
        let (settings, _) = Admitted::default().resolve(agent(), here(&all, &["here"])).unwrap();
        assert_eq!(names(&settings), ["here/web"]);
    }
}
