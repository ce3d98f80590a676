//! Configuration: where settings come from: files, and beside them the API server of a cluster.

use std::path::{Path, PathBuf};

use crd::{Problems, Settings};

use crate::cluster::Cluster;
use crate::plan::Watched;

/// What the settings are made of.
#[derive(Debug)]
pub(crate) struct Configuration {
    paths: Vec<PathBuf>,
    cluster: Option<Cluster>,
}

impl Configuration {
    /// The files at `paths`, and what the API server has.
    pub(crate) fn new(paths: Vec<PathBuf>, cluster: Option<Cluster>) -> Configuration {
        Configuration { paths, cluster }
    }

    /// The files and folders that are read.
    pub(crate) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// The cluster, if there is one.
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    /// What the API server says of pods and namespaces, for a data plane with these settings.
    pub(crate) fn facts(&mut self, settings: &Settings) -> Option<Watched> {
        self.cluster.as_mut().map(|it| it.facts(settings))
    }

    /// Settings of all that there is now.
    ///
    /// # Errors
    /// Every problem of the files, if one of them is an error. What is broken in the cluster is left out.
    pub(crate) fn load(&mut self) -> Result<Settings, Problems> {
        let files = crd::read(&self.paths)?;
        match &mut self.cluster {
            Some(cluster) => cluster.resolve(files),
            None => crd::resolve(files),
        }
    }
}

/// Name of the file, in the directory of checkpoints, that says what the API server said last.
const STATE_NAME: &str = "cluster.json";

/// Where that file is.
pub(crate) fn state_path(state_directory: &Path) -> PathBuf {
    state_directory.join(STATE_NAME)
}
