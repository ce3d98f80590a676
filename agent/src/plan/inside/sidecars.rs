//! Sidecars: files that the agent of a pod itself collects, and that are left to it.
//!
//! A pod has one if the runtime has a container of that name, and the pod the annotation with what it runs with. Its files
//! are those that its globs select in the volumes that this container really has. So whatever is not understood, or was
//! never started, is collected here.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crd::{ConfigFile, SourceSettings};
use pipeline::discovery::FileSelection;

/// Those of the node's pods, made anew when the runtime says something else.
#[derive(Debug)]
pub(crate) struct Sidecars {
    watched: Arc<cri_watch::Containers>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Of what the runtime says; `None` before it was asked.
    version: Option<u64>,
    /// By uid of the pod.
    by_pod: HashMap<String, Sidecar>,
}

#[derive(Debug, Clone)]
struct Sidecar {
    of: Arc<cri_watch::Container>,
    /// What it collects; `None` if that is not understood.
    files: Option<Arc<Files>>,
}

impl Sidecars {
    pub(crate) fn new(watched: Arc<cri_watch::Containers>) -> Sidecars {
        Sidecars { watched, known: Mutex::default() }
    }

    /// Whether the sidecar of the pod `uid` collects the chain of a file, which has this place on the host.
    pub(super) fn collects(&self, uid: &str, directory: &Path, name: &OsStr) -> bool {
        self.files_of(uid).is_some_and(|it| it.have(directory, name))
    }

    fn files_of(&self, uid: &str) -> Option<Arc<Files>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the containers: what changes meanwhile is looked at once more.
        let version = Some(self.watched.version());
        if known.version != version {
            let by_pod = sidecars(&self.watched.all(), &known.by_pod);
            *known = Known { version, by_pod };
        }
        known.by_pod.get(uid)?.files.clone()
    }
}

/// The last one of each pod; those that were known before are read no more.
fn sidecars(
    containers: &[Arc<cri_watch::Container>],
    before: &HashMap<String, Sidecar>,
) -> HashMap<String, Sidecar> {
    let mut last: HashMap<&str, &Arc<cri_watch::Container>> = HashMap::new();
    for told in containers.iter().filter(|it| it.name == crd::sidecar::NAME) {
        let of_pod = last.entry(&told.pod_uid).or_insert(told);
        if of_pod.restart < told.restart {
            *of_pod = told;
        }
    }
    let each = last.into_iter().map(|(uid, told)| {
        let known = before.get(uid).filter(|it| Arc::ptr_eq(&it.of, told));
        let new = || Sidecar { of: Arc::clone(told), files: files(told).map(Arc::new) };
        (uid.to_owned(), known.cloned().unwrap_or_else(new))
    });
    each.collect()
}

/// What a sidecar collects.
#[derive(Debug)]
struct Files {
    selections: Vec<FileSelection>,
    /// Where it sees volumes, and where the host has them.
    mounts: Vec<(PathBuf, PathBuf)>,
}

impl Files {
    fn have(&self, directory: &Path, name: &OsStr) -> bool {
        self.mounts.iter().any(|(inside, host)| {
            let Ok(rest) = directory.strip_prefix(host) else { return false };
            let seen = inside.join(rest);
            let around = self.mounts.iter().filter(|(it, _)| seen.starts_with(it));
            // What another volume is mounted over it does not see.
            let innermost = around.map(|(it, _)| it).max_by_key(|it| it.components().count());
            innermost == Some(inside)
                && self.selections.iter().any(|it| it.chain(&seen, name).is_some())
        })
    }
}

/// What the annotation of its pod says; `None` if it says nothing that is understood.
fn files(told: &cri_watch::Container) -> Option<Files> {
    let text = told.pod_annotation.as_ref()?;
    let file = ConfigFile { path: "sidecar.yaml".into(), bytes: Ok(text.as_bytes().to_vec()) };
    let settings = match crd::resolve(vec![file]) {
        Ok(settings) => settings,
        Err(problems) => {
            let (namespace, pod) = (&told.namespace, &told.pod);
            tracing::warn!(
                namespace,
                pod,
                "what its sidecar collects is not understood, and collected here as well:\n{problems}"
            );
            return None;
        }
    };
    let of = |source: &SourceSettings| match source {
        SourceSettings::Files(it) => {
            FileSelection::new(it.include.patterns(), (**it.exclude.set()).clone()).ok()
        }
        SourceSettings::Containers(_) => None,
    };
    let of_pod = told.mounts.iter().filter(|it| it.origin == cri_watch::Origin::Pod);
    Some(Files {
        selections: settings.log_configs.iter().filter_map(|it| of(&it.source)).collect(),
        mounts: of_pod.map(|it| (it.inside.clone(), it.host.clone())).collect(),
    })
}

#[cfg(test)]
mod tests {
    use cri_watch::{Mount, Origin};

    use super::*;

    const CONFIG: &str = "
apiVersion: logferry.dev/v1alpha1
kind: LogSink
metadata: {name: default}
spec: {blackhole: {}}
---
apiVersion: logferry.dev/v1alpha1
kind: ClusterLogConfig
metadata: {name: web}
spec:
  tenant: shop
  source: {files: {include: [/logs/*.log, /logs/inner/*.txt], exclude: [/logs/gc.log]}}
";

    fn sidecar(text: Option<&str>, restart: u32) -> Arc<cri_watch::Container> {
        let mount = |inside: &str, host: &str, origin| Mount {
            inside: inside.into(),
            host: host.into(),
            origin,
        };
        Arc::new(cri_watch::Container {
            id: restart.to_string(),
            namespace: "shop".to_owned(),
            pod: "web-0".to_owned(),
            pod_uid: "u".to_owned(),
            name: crd::sidecar::NAME.to_owned(),
            restart,
            has_ended: false,
            pod_annotation: text.map(Arc::from),
            layers: None,
            mounts: vec![
                mount("/logs", "/v/logs", Origin::Pod),
                mount("/logs/inner", "/v/inner", Origin::Pod),
                mount("/logs/host", "/srv", Origin::Host),
            ],
        })
    }

    #[test]
    fn a_sidecar_has_what_its_globs_select_in_the_volumes_that_it_has() {
        let files = files(&sidecar(Some(CONFIG), 0)).unwrap();
        for (directory, name, is_there) in [
            ("/v/logs", "app.log", true),
            ("/v/logs", "app.log.1", true),
            ("/v/logs", "gc.log", false),
            ("/v/logs", "app.txt", false),
            ("/v/inner", "app.txt", true),
            // Hidden by the volume that is mounted over it.
            ("/v/logs/inner", "app.txt", false),
            ("/v/other", "app.log", false),
            ("/srv", "app.log", false),
        ] {
            let has = files.have(Path::new(directory), OsStr::new(name));
            assert_eq!(has, is_there, "{directory}/{name}");
        }
    }

    #[test]
    fn what_says_nothing_that_is_understood_has_no_files() {
        assert!(files(&sidecar(None, 0)).is_none());
        assert!(files(&sidecar(Some("kind: Later"), 0)).is_none());
    }

    #[test]
    fn of_a_sidecar_that_was_restarted_the_last_one_counts_and_is_read_once() {
        let all = [sidecar(Some(CONFIG), 1), sidecar(Some(CONFIG), 2), sidecar(Some(CONFIG), 0)];
        let first = sidecars(&all, &HashMap::new());
        assert_eq!((first.len(), first["u"].of.restart), (1, 2));
        let again = sidecars(&all, &first);
        let of = |it: &HashMap<String, Sidecar>| it["u"].files.clone().unwrap();
        assert!(Arc::ptr_eq(&of(&first), &of(&again)));
    }
}
