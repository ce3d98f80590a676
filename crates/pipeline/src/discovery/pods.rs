//! Pods: the kubelet's tree of container logs.
//!
//! `ROOT/NAMESPACE_POD_UID/CONTAINER/N.log`, and `N.log.YYYYMMDD-HHMMSS` for rotated generations. `N`
//! is the number of restarts before. Namespace and pod names hold no underscore (RFC 1123), so the
//! first two underscores separate. Identity comes from the path alone: no API is asked.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::{Attribute, Context, ContextId, attribute as key};
use globset::GlobSet;

use super::directories::Directories;
use super::rotation::{self, Suffix};
use super::{Found, Place, TenantMap};
use crate::fs::{Fs, Printable};
use crate::source::SeenFile;

/// Names to take and names to leave.
#[derive(Debug, Clone, Default)]
pub struct NameFilter {
    /// One of these must match; all names do if there is none.
    pub include: GlobSet,
    /// None of these may match.
    pub exclude: GlobSet,
}

impl NameFilter {
    /// Whether the name is taken.
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        (self.include.is_empty() || self.include.is_match(name)) && !self.exclude.is_match(name)
    }
}

/// Which containers' output is collected.
#[derive(Debug, Clone)]
pub struct PodSelection {
    /// Root of the tree, `/var/log/pods` on a node.
    pub root: PathBuf,
    /// By namespace.
    pub namespaces: NameFilter,
    /// By pod name.
    pub pods: NameFilter,
    /// By container name.
    pub containers: NameFilter,
}

/// A pod's directory name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodPath {
    /// Namespace.
    pub namespace: String,
    /// Pod name.
    pub pod: String,
    /// UID of the pod; for a static pod the hash of its manifest.
    pub uid: String,
}

impl PodPath {
    /// Takes `NAMESPACE_POD_UID` apart; `None` if it is not a pod's directory.
    #[must_use]
    pub fn parse(name: &OsStr) -> Option<PodPath> {
        let mut parts = name.to_str()?.splitn(3, '_');
        let mut part = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
        let pod = PodPath { namespace: part()?, pod: part()?, uid: part()? };
        is_label(&pod.namespace).then_some(pod)
    }
}

/// Whether a namespace is what the API server lets be one (RFC 1123): it may become a tenant.
fn is_label(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.len() <= 63 && !name.starts_with('-') && name.bytes().all(is_allowed)
}

impl PodSelection {
    /// Whether the pod is taken, container apart.
    #[must_use]
    pub fn takes(&self, pod: &PodPath) -> bool {
        self.namespaces.takes(&pod.namespace) && self.pods.takes(&pod.pod)
    }

    /// All selected chains that are there now; with `only`, those in or below these directories.
    pub(super) fn find(
        &self,
        fs: &dyn Fs,
        directories: &mut Directories,
        place: &Place,
        tenants: &TenantMap,
        only: Option<&HashSet<PathBuf>>,
    ) -> Vec<Found> {
        let mut found = Vec::new();
        let is_wanted = |path: &Path| only.is_none_or(|only| only.contains(path));
        let all_pods = is_wanted(&self.root);
        let pod_names = directories.names(fs, &self.root).to_vec();
        for pod_name in pod_names {
            let Some(pod) = PodPath::parse(&pod_name).filter(|pod| self.takes(pod)) else {
                continue;
            };
            let pod_directory = self.root.join(&pod_name);
            let below =
                |only: &HashSet<PathBuf>| only.iter().any(|it| it.starts_with(&pod_directory));
            if !all_pods && !only.is_none_or(below) {
                continue;
            }
            let container_names = directories.names(fs, &pod_directory).to_vec();
            for container in container_names {
                let Some(container) = container.to_str().filter(|it| self.containers.takes(it))
                else {
                    continue;
                };
                let directory = pod_directory.join(container);
                let tenant = tenants.of_namespace(&pod.namespace);
                let names = directories.names(fs, &directory).to_vec();
                for (restart, files) in restarts(fs, directories, &directory, &names) {
                    let live_path = directory.join(format!("{restart}.log"));
                    let make = || context(place, &pod, container, restart, &tenant, &live_path);
                    let context = directories.context(&live_path, make);
                    found.push(Found { live_path, context, files });
                }
            }
        }
        found
    }
}

/// The files of each restart of a container, oldest generation first.
fn restarts(
    fs: &dyn Fs,
    directories: &mut Directories,
    directory: &Path,
    names: &[std::ffi::OsString],
) -> Vec<(u32, Vec<SeenFile>)> {
    let mut members: Vec<(u32, Option<Suffix<'_>>, &OsStr)> = Vec::new();
    for name in names {
        let bytes = name.as_bytes();
        let (base, suffix) = match rotation::split(bytes) {
            Some((base, suffix)) => (base, Some(suffix)),
            None => (bytes, None),
        };
        let restart = base.strip_suffix(b".log").and_then(|it| std::str::from_utf8(it).ok());
        if let Some(restart) = restart.and_then(|it| it.parse().ok()) {
            members.push((restart, suffix, name));
        }
    }
    members.sort_by(|one, other| {
        one.0.cmp(&other.0).then_with(|| match (one.1, other.1) {
            // A compressed file after the one it was made of.
            (Some(first), Some(second)) => {
                rotation::oldest_first(first, second).then_with(|| one.2.len().cmp(&other.2.len()))
            }
            // The live file comes last.
            (one, other) => one.is_none().cmp(&other.is_none()),
        })
    });
    let mut restarts: Vec<(u32, Vec<SeenFile>)> = Vec::new();
    for (restart, _, name) in members {
        let Some(file) = directories.refusals.file(fs, directory.join(name)) else { continue };
        match restarts.last_mut().filter(|(last, _)| *last == restart) {
            Some((_, files)) => files.push(file),
            None => restarts.push((restart, vec![file])),
        }
    }
    restarts.iter_mut().for_each(|(_, files)| rotation::drop_packed_twins(files));
    restarts
}

fn context(
    place: &Place,
    pod: &PodPath,
    container: &str,
    restart: u32,
    tenant: &Arc<str>,
    live_path: &Path,
) -> Context {
    let restart_text = restart.to_string();
    let id = ContextId::of(&[
        b"container",
        place.cluster.as_bytes(),
        pod.namespace.as_bytes(),
        pod.uid.as_bytes(),
        container.as_bytes(),
        restart_text.as_bytes(),
    ]);
    let mut attributes = Vec::with_capacity(8);
    if !place.cluster.is_empty() {
        attributes.push(Attribute::text(key::K8S_CLUSTER_NAME, &*place.cluster));
    }
    if !place.node.is_empty() {
        attributes.push(Attribute::text(key::K8S_NODE_NAME, &*place.node));
    }
    attributes.extend([
        Attribute::text(key::K8S_NAMESPACE_NAME, &*pod.namespace),
        Attribute::text(key::K8S_POD_NAME, &*pod.pod),
        Attribute::text(key::K8S_POD_UID, &*pod.uid),
        Attribute::text(key::K8S_CONTAINER_NAME, container),
        Attribute::int(key::K8S_CONTAINER_RESTART_COUNT, i64::from(restart)),
        Attribute::text(key::LOG_FILE_PATH, Printable(live_path).to_string()),
    ]);
    Context { id, tenant: Arc::clone(tenant), attributes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pod_directories_are_taken_apart() {
        let parse = |name: &str| PodPath::parse(OsStr::new(name));
        let pod = parse("kube-system_coredns-7db6d8ff4d-abcde_0f8d5a3e-1111").unwrap();
        assert_eq!(pod.namespace, "kube-system");
        assert_eq!(pod.pod, "coredns-7db6d8ff4d-abcde");
        assert_eq!(pod.uid, "0f8d5a3e-1111");
        for bad in
            ["", "a_b", "a__c", "_b_c", "plain", "Upper_pod_uid", "a.b_pod_uid", "-a_pod_uid"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
