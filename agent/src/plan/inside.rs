//! Inside: rules for files inside of containers, from what a LogConfig says and a container runtime tells.

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
) -> Vec<Rule> {
    let SourceSettings::Containers(settings) = &config.source else { return vec![rule] };
    let inside = inside(config, settings, &rule, watched);
    let of_streams = (settings.stdout || settings.stderr).then_some(rule);
    of_streams.into_iter().chain(inside).collect()
}

fn inside(
    config: &LogConfigSettings,
    settings: &ContainersSettings,
    rule: &Rule,
    watched: Option<&Arc<cri_watch::Containers>>,
) -> Option<Rule> {
    let (files, Selection::Pods(pods)) = (settings.files.as_ref()?, &rule.selection) else {
        return None;
    };
    let files = FileSelection::new(files.include.patterns(), files.exclude.set().clone());
    // A namespace's owners never get at files of the host: what an administrator may be shown stays with him.
    let folders = match config.name.namespace {
        Some(_) => Vec::new(),
        None => settings.follow_links_into.clone(),
    };
    let told = Told { watched: watched.cloned(), folders, last: Mutex::default() };
    let selection = InsideSelection::new(
        pods.clone(),
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
        selection: Selection::Inside(selection),
        options: Arc::new(options),
        ..rule.clone()
    })
}

/// What the runtime says, for one LogConfig.
#[derive(Debug)]
struct Told {
    watched: Option<Arc<cri_watch::Containers>>,
    /// Folders of the host that may be read where a pod mounts them.
    folders: Vec<PathBuf>,
    /// What was made of it last, by its version: made for each LogConfig, and asked for more often than it changes.
    last: Mutex<(u64, Vec<Arc<Container>>)>,
}

impl Containers for Told {
    fn version(&self) -> u64 {
        self.watched.as_ref().map_or(0, |it| it.version())
    }

    fn all(&self) -> Vec<Arc<Container>> {
        let Some(watched) = &self.watched else { return Vec::new() };
        // Before the table: one that is newer is made anew with the next version.
        let version = watched.version();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != version {
            let container = |it: &Arc<cri_watch::Container>| Arc::new(container(it, &self.folders));
            *last = (version, watched.all().iter().map(container).collect());
        }
        last.1.clone()
    }
}

fn container(told: &cri_watch::Container, folders: &[PathBuf]) -> Container {
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
        pod: PodPath {
            namespace: told.namespace.clone(),
            pod: told.pod.clone(),
            uid: told.pod_uid.clone(),
        },
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
