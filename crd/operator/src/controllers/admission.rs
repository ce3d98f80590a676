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
            let (files, candidates) = (config_files(&files), candidates(&cluster, &namespace));
            let judging = tokio::task::spawn_blocking(move || judge(files, candidates, namespace));
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
        return state.resources.keys().map(|it| it.namespace.clone()).collect();
    }
    dirty.namespaces.into_iter().map(Some).collect()
}

/// All that counts in a namespace, or is the cluster's.
fn candidates(cluster: &Cluster, namespace: &Option<String>) -> Vec<(ResourceKey, Candidate)> {
    let state = cluster.state();
    let counts = |it: &ResourceKey| it.namespace.is_none() || it.namespace == *namespace;
    let there = state.resources.iter().filter(|(key, _)| counts(key));
    there.map(|(key, known)| (key.clone(), candidate(key, known))).collect()
}

fn candidate(key: &ResourceKey, known: &Known) -> Candidate {
    let is_accepted = known.status.conditions.iter().any(|it| {
        it.about == ACCEPTED
            && it.status == ConditionStatus::True
            && it.observed_generation == Some(known.generation)
    });
    Candidate {
        path: PathBuf::from(key.to_string()),
        versions: vec![Arc::clone(&known.text)],
        is_in_force: is_accepted,
    }
}

/// Judges what is of this namespace, or of none.
fn judge(
    files: Vec<ConfigFile>,
    candidates: Vec<(ResourceKey, Candidate)>,
    namespace: Option<String>,
) -> Result<Verdicts, Problems> {
    let (keys, candidates): (Vec<ResourceKey>, Vec<Candidate>) = candidates.into_iter().unzip();
    let admission = crd::admit(files, &candidates, &|_| None)?;
    let all = keys.into_iter().zip(candidates).zip(admission.outcomes);
    let own = all.filter(|((key, _), _)| key.namespace == namespace);
    let verdict = |((key, candidate), outcome): ((ResourceKey, Candidate), crd::Outcome)| {
        let why = outcome.problems.iter().map(Problem::of_field).collect::<Vec<_>>().join("; ");
        let verdict = if outcome.version == Some(0) { Ok(()) } else { Err(why) };
        (key, Arc::clone(&candidate.versions[0]), verdict)
    };
    Ok(own.map(verdict).collect())
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
