//! Containers: asks the container runtime as long as the configuration wants files inside of containers.

use anyhow::Context as _;
use crd::Settings;
use cri_watch::{ContainerWatch, WatchOptions};

use crate::plan;

/// The watch that `settings` need: the one there is, if it asks the same, or another, or none.
///
/// # Errors
/// If there is no thread for it. That no runtime answers is none.
pub(super) fn keep(
    watch: Option<ContainerWatch>,
    settings: &Settings,
) -> anyhow::Result<Option<ContainerWatch>> {
    if !plan::needs_runtime(settings) {
        return Ok(None);
    }
    let runtime = &settings.agent.container_runtime;
    let options = WatchOptions {
        socket: runtime.socket.clone(),
        kubelet_directory: runtime.kubelet_directory.clone(),
        pod_annotation: crd::sidecar::CONFIG,
    };
    match watch.filter(|it| *it.options() == options) {
        Some(watch) => Ok(Some(watch)),
        None => ContainerWatch::start(options).map(Some).context("no thread for the runtime"),
    }
}
