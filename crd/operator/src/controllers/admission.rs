//! Admission: which resources can be in force, by the validator of the agents.
//!
//! Each namespace is judged with what is the cluster's, as the agent of a node that has but pods of this namespace. So
//! what thousands of namespaces say is never looked at together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crd::spec::ConditionStatus;
use crd::{Candidate, ConfigFile, Problem, Problems};
use kube_watch::ResourceKey;

use super::status::ACCEPTED;
use crate::cluster::{Cluster, Known};

/// Changes are gathered for so long.
const GATHER: Duration = Duration::from_millis(200);
/// How often the files are looked at.
const FILES_INTERVAL: Duration = Duration::from_secs(30);

type Verdicts = Vec<(ResourceKey, Arc<str>, Result<(), String>)>;

/// A resource that is to be judged, or that others are judged beside.
struct Counted {
    key: ResourceKey,
    /// What it says, as the API server has it.
    text: Arc<str>,
    /// It is of the namespace that is looked at, or of none if that is none.
    is_own: bool,
    /// Why it cannot even be looked at, as an error.
    candidate: Result<Candidate, String>,
}

type Texts = Vec<(PathBuf, Result<Vec<u8>, String>)>;

/// For ever. `paths` are the agents' configuration, which may have sinks that LogConfigs name.
pub(crate) async fn run(cluster: Arc<Cluster>, paths: Vec<PathBuf>) {
    let mut files = texts(&paths);
    loop {
        drop(tokio::time::timeout(FILES_INTERVAL, cluster.unjudged.notified()).await);
        tokio::time::sleep(GATHER).await;
        let files_now = texts(&paths);
        let has_new_files = files_now != files;
        files = files_now;
        for namespace in unjudged(&cluster, has_new_files) {
            let (files, counted) = (config_files(&files), counted(&cluster, &namespace));
            let judging = tokio::task::spawn_blocking(move || judge(files, counted));
            match judging.await {
                Ok(Ok(verdicts)) => take(&cluster, verdicts),
                Ok(Err(problems)) => {
                    tracing::error!(
                        "the agents' configuration is refused; nothing is judged by it:\n{problems}"
                    );
                }
                Err(error) => tracing::error!(%error, "the validator ended"),
            }
        }
    }
}

/// Namespaces in which something is to be judged; none for what is the cluster's.
fn unjudged(cluster: &Cluster, is_all: bool) -> BTreeSet<Option<String>> {
    let mut state = cluster.state();
    if !state.is_listed() || !(is_all || state.dirty.is_any()) {
        return BTreeSet::new();
    }
    let dirty = std::mem::take(&mut state.dirty);
    if is_all || dirty.all {
        return state.resources.keys().map(|it| cluster.scope(it)).collect();
    }
    dirty.namespaces.into_iter().map(Some).collect()
}

/// All that counts in a namespace, or is the cluster's.
fn counted(cluster: &Cluster, namespace: &Option<String>) -> Vec<Counted> {
    let state = cluster.state();
    let each = state.resources.iter().filter_map(|(key, known)| {
        let scope = cluster.scope(key);
        let is_own = scope == *namespace;
        let counts = is_own || scope.is_none();
        let (key, text) = (key.clone(), Arc::clone(&known.text));
        counts.then(|| Counted { candidate: candidate(&key, known), key, text, is_own })
    });
    each.collect()
}

fn candidate(key: &ResourceKey, known: &Known) -> Result<Candidate, String> {
    let is_accepted = known.status.conditions.iter().any(|it| {
        it.about == ACCEPTED
            && it.status == ConditionStatus::True
            && it.observed_generation == Some(known.generation)
    });
    let text = match &known.converted {
        None => Arc::clone(&known.text),
        Some(Ok(documents)) => Arc::from(&*documents.text),
        Some(Err(why)) => return Err(why.clone()),
    };
    let path = PathBuf::from(key.to_string());
    Ok(Candidate { path, versions: vec![text], is_in_force: is_accepted })
}

/// Judges what is of the namespace that is looked at, or of none.
fn judge(files: Vec<ConfigFile>, counted: Vec<Counted>) -> Result<Verdicts, Problems> {
    let mut verdicts = Verdicts::new();
    let (mut judged, mut candidates) = (Vec::new(), Vec::new());
    for Counted { key, text, is_own, candidate } in counted {
        match candidate {
            Ok(candidate) => {
                candidates.push(candidate);
                judged.push((key, text, is_own));
            }
            Err(why) if is_own => verdicts.push((key, text, Err(why))),
            Err(_) => {}
        }
    }
    let admission = crd::admit(files, &candidates, &|_| None)?;
    for ((key, text, is_own), outcome) in judged.into_iter().zip(admission.outcomes) {
        let why = || outcome.problems.iter().map(Problem::of_field).collect::<Vec<_>>().join("; ");
        let verdict = if outcome.version == Some(0) { Ok(()) } else { Err(why()) };
        if is_own {
            verdicts.push((key, text, verdict));
        }
    }
    Ok(verdicts)
}

fn take(cluster: &Cluster, verdicts: Verdicts) {
    let mut changed = BTreeSet::new();
    let mut state = cluster.state();
    for (key, text, verdict) in verdicts {
        // What it says may be something else by now; then it is judged again.
        let known = state.resources.get_mut(&key).filter(|it| it.text == text);
        if let Some(known) = known
            && known.verdict.as_ref() != Some(&verdict)
        {
            known.verdict = Some(verdict);
            changed.insert(key);
        }
    }
    drop(state);
    changed.into_iter().for_each(|key| cluster.statuses.add(key));
}

fn texts(paths: &[PathBuf]) -> Texts {
    let files = crd::read(paths).unwrap_or_else(|problems| {
        tracing::error!("the agents' configuration cannot be read:\n{problems}");
        Vec::new()
    });
    files.into_iter().map(|it| (it.path, it.bytes.map_err(|error| error.to_string()))).collect()
}

fn config_files(texts: &Texts) -> Vec<ConfigFile> {
    let file = |(path, bytes): &(PathBuf, Result<Vec<u8>, String>)| ConfigFile {
        path: Path::new(path).to_path_buf(),
        bytes: bytes.clone().map_err(std::io::Error::other),
    };
    texts.iter().map(file).collect()
}
