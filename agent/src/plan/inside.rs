//! Inside: rules for files inside of containers, from what a LogConfig says and a container runtime tells.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crd::{ContainersSettings, LogConfigSettings, Settings, SourceSettings};
use flow::RecordFlags;
use pipeline::discovery::{
    Container, Containers, FileSelection, InsideSelection, PodPath, Rule, Selection,
};
use pipeline::frame::Format;
use pipeline::fs::{Access, ContainerTree, InsideFs, TreeMount};
use pipeline::source::SourceOptions;

mod sidecars;
pub(super) use sidecars::Sidecars;

/// Whether a container runtime has to be asked.
pub(crate) fn needs_runtime(settings: &Settings) -> bool {
    let has_files = |it: &LogConfigSettings| match &it.source {
        SourceSettings::Containers(it) => it.files.is_some(),
        SourceSettings::Files(_) => false,
    };
    settings.log_configs.iter().any(has_files)
}

/// The rules of a LogConfig: `rule`, which is that of files of the host and of what containers print, and one for files
/// inside of containers, as far as it selects them.
pub(super) fn rules(
    config: &LogConfigSettings,
    rule: Rule,
    watched: Option<&Arc<cri_watch::Containers>>,
    sidecars: Option<&Arc<Sidecars>>,
) -> Vec<Rule> {
    let SourceSettings::Containers(settings) = &config.source else { return vec![rule] };
    // What administrators want collected is no sidecar's to take from them.
    let sidecars = sidecars.filter(|_| config.name.namespace.is_some());
    let inside = inside(config, settings, &rule, watched, sidecars);
    let of_streams = (settings.stdout || settings.stderr).then_some(rule);
    of_streams.into_iter().chain(inside).collect()
}

fn inside(
    config: &LogConfigSettings,
    settings: &ContainersSettings,
    rule: &Rule,
    watched: Option<&Arc<cri_watch::Containers>>,
    sidecars: Option<&Arc<Sidecars>>,
) -> Option<Rule> {
    let (files, Selection::Pods(pods)) = (settings.files.as_ref()?, &rule.selection) else {
        return None;
    };
    let files = FileSelection::new(files.include.patterns(), (**files.exclude.set()).clone());
    // A namespace's owners never get at files of the host: what an administrator may be shown stays with him.
    let folders = match config.name.namespace {
        Some(_) => Vec::new(),
        None => settings.follow_links_into.clone(),
    };
    let (watched, sidecars) = (watched.cloned(), sidecars.cloned());
    let told = Told { watched, sidecars, folders, last: Mutex::default() };
    let selection = InsideSelection::new(
        (**pods).clone(),
        files.expect("the validator reads globs"),
        Arc::new(told),
    );
    let options = &rule.options;
    let options = SourceOptions {
        // No runtime writes them.
        format: Some(options.format.unwrap_or(Format::Plain)),
        skip: RecordFlags::NONE,
        ..(**options).clone()
    };
    Some(Rule {
        fs: Arc::new(InsideFs::new(selection.trees())),
        selection: Selection::Inside(Box::new(selection)),
        options: Arc::new(options),
        ..rule.clone()
    })
}

/// What the runtime says, for one LogConfig.
#[derive(Debug)]
struct Told {
    watched: Option<Arc<cri_watch::Containers>>,
    /// Whose files are left to them.
    sidecars: Option<Arc<Sidecars>>,
    /// Folders of the host that may be read where a pod mounts them.
    folders: Vec<PathBuf>,
    /// What was made last of what the runtime said, by id: of what it says again, nothing is made again.
    last: Mutex<HashMap<String, Made>>,
}

#[derive(Debug, Clone)]
struct Made {
    of: Arc<cri_watch::Container>,
    container: Arc<Container>,
}

impl Containers for Told {
    fn version(&self) -> u64 {
        self.watched.as_ref().map_or(0, |it| it.version())
    }

    fn selected(&self, selects: &dyn Fn(&PodPath, &str) -> bool) -> Vec<Arc<Container>> {
        let Some(watched) = &self.watched else { return Vec::new() };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut made = HashMap::with_capacity(last.len());
        for told in watched.all().iter() {
            let pod = pod(told);
            if !selects(&pod, &told.name) {
                continue;
            }
            let known = last.remove(&told.id).filter(|it| Arc::ptr_eq(&it.of, told));
            let new = || Made {
                of: Arc::clone(told),
                container: Arc::new(container(told, pod, &self.folders)),
            };
            made.insert(told.id.clone(), known.unwrap_or_else(new));
        }
        *last = made;
        last.values().map(|it| Arc::clone(&it.container)).collect()
    }

    fn is_elsewhere(&self, pod: &PodPath, directory: &Path, name: &OsStr) -> bool {
        self.sidecars.as_ref().is_some_and(|it| it.collects(&pod.uid, directory, name))
    }
}

fn pod(told: &cri_watch::Container) -> PodPath {
    PodPath { namespace: told.namespace.clone(), pod: told.pod.clone(), uid: told.pod_uid.clone() }
}

fn container(told: &cri_watch::Container, pod: PodPath, folders: &[PathBuf]) -> Container {
    let layers = told.layers.clone();
    let (upper, lowers) = layers.map_or((None, Vec::new()), |it| (Some(it.upper), it.lowers));
    let mount = |it: &cri_watch::Mount| TreeMount {
        inside: it.inside.clone(),
        host: it.host.clone(),
        access: access(it, folders),
    };
    let mounts = told.mounts.iter().map(mount).collect();
    Container {
        id: Arc::from(&*told.id),
        pod,
        name: told.name.clone(),
        restart: told.restart,
        has_ended: told.has_ended,
        tree: Arc::new(ContainerTree { upper, lowers, mounts }),
    }
}

fn access(mount: &cri_watch::Mount, folders: &[PathBuf]) -> Access {
    let is_named = |it: &Path| folders.iter().any(|folder| it.starts_with(folder));
    match mount.origin {
        cri_watch::Origin::Pod | cri_watch::Origin::Image => Access::Own,
        cri_watch::Origin::Host if is_named(&mount.host) => Access::Host,
        cri_watch::Origin::Host | cri_watch::Origin::NoLogs => Access::None,
    }
}

#[cfg(test)]
mod tests {
    use cri_watch::{Mount, Origin};

    use super::*;

    #[test]
    fn a_folder_of_the_host_is_read_only_below_what_an_administrator_names() {
        let folders = [PathBuf::from("/srv/audit")];
        let mount = |host: &str, origin| Mount { inside: "/x".into(), host: host.into(), origin };
        let cases = [
            (mount("/srv/audit", Origin::Host), Access::Host),
            (mount("/srv/audit/web", Origin::Host), Access::Host),
            (mount("/srv/auditor", Origin::Host), Access::None),
            (mount("/", Origin::Host), Access::None),
            // What holds no logs is no matter of where it lies.
            (mount("/srv/audit/token", Origin::NoLogs), Access::None),
            (mount("/var/lib/kubelet/pods/u/volumes/p/n", Origin::Pod), Access::Own),
        ];
        for (mount, want) in cases {
            assert_eq!(access(&mount, &folders), want, "{mount:?}");
        }
    }
}
