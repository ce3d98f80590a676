//! Pods: the kubelet's tree of container logs.
//!
//! `ROOT/NAMESPACE_POD_UID/CONTAINER/N.log`, and `N.log.YYYYMMDD-HHMMSS` for rotated generations. `N`
//! is the number of restarts before. Namespace and pod names hold no underscore (RFC 1123), so the
//! first two underscores separate. Identity comes from the path alone: no API is asked. What an API says
//! beside it may decide whether a pod is collected ([`PodFacts`]), never whose its records are.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::{Attribute, Context, ContextId, attribute as key};
use globset::GlobSet;
use regex::bytes::Regex;

use super::{Denial, Place, Role, TenantMap, rotation};
use crate::fs::Printable;

mod facts;
pub use facts::{Asked, PodFacts};

/// Names to take and names to leave.
#[derive(Debug, Clone, Default)]
pub struct NameFilter {
    /// One of these must match; all names do if there is none.
    pub include: Arc<GlobSet>,
    /// None of these may match.
    pub exclude: Arc<GlobSet>,
    /// This must match besides, if it is there.
    pub pattern: Option<Regex>,
}

impl NameFilter {
    /// Whether the name is taken.
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        (self.include.is_empty() || self.include.is_match(name))
            && !self.exclude.is_match(name)
            && self.pattern.as_ref().is_none_or(|it| it.is_match(name.as_bytes()))
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
    /// By what is known of the pod beside its path, if anything is asked for.
    pub facts: Option<Arc<dyn PodFacts>>,
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
        PodPath::parts(name).map(PodPath::of)
    }

    /// Namespace, name and uid.
    fn parts(name: &OsStr) -> Option<[&str; 3]> {
        let mut parts = name.to_str()?.splitn(3, '_');
        let mut part = || parts.next().filter(|part| !part.is_empty());
        let parts = [part()?, part()?, part()?];
        is_label(parts[0]).then_some(parts)
    }

    fn of(parts: [&str; 3]) -> PodPath {
        let [namespace, pod, uid] = parts.map(str::to_owned);
        PodPath { namespace, pod, uid }
    }
}

/// Whether a namespace is what the API server lets be one (RFC 1123): it may become a tenant.
fn is_label(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.len() <= 63 && !name.starts_with('-') && name.bytes().all(is_allowed)
}

impl PodSelection {
    /// Whether the pod is taken by its names, container apart.
    #[must_use]
    pub fn takes(&self, pod: &PodPath) -> bool {
        self.namespaces.takes(&pod.namespace) && self.pods.takes(&pod.pod)
    }

    /// Whether the container is taken, as far as is known now.
    pub(super) fn selects(&self, pod: &PodPath, container: &str) -> bool {
        let facts = self.facts.as_ref();
        self.takes(pod)
            && self.containers.takes(container)
            && facts.is_none_or(|it| it.selects(pod, Some(container)) == Some(true))
    }

    /// What this directory can hold, by names: the root pods, a pod containers, a container files.
    pub(super) fn role(&self, directory: &Path) -> Role {
        let inner = Role { is_inner: true, is_leaf: false };
        let Ok(rest) = directory.strip_prefix(&self.root) else { return Role::default() };
        let mut parts = rest.iter();
        match (parts.next(), parts.next(), parts.next()) {
            (None, _, _) => inner,
            (Some(pod), None, _) if self.pod(pod).is_some() => inner,
            (Some(pod), Some(container), None) if self.container(container).is_some() => {
                Role { is_inner: false, is_leaf: self.pod(pod).is_some() }
            }
            _ => Role::default(),
        }
    }

    /// Of which namespace the pod is that `path` is of.
    pub(super) fn namespace(&self, path: &Path) -> Option<String> {
        let pod = path.strip_prefix(&self.root).ok()?.iter().next()?;
        Some(PodPath::parse(pod)?.namespace)
    }

    /// Why the pod that `path` is of is selected, but not read.
    pub(super) fn denial(&self, path: &Path, tenants: &TenantMap) -> Option<Denial> {
        let pod = self.pod(path.strip_prefix(&self.root).ok()?.iter().next()?)?;
        tenants.of_namespace(&pod.namespace).err()
    }

    /// Whether the pod, and the container, that a directory is of are selected by what is known beside names; `None`
    /// as long as that is too little. What was taken keeps its context without that.
    pub(super) fn is_selected(&self, directory: &Path) -> Option<bool> {
        let Some(facts) = &self.facts else { return Some(true) };
        let mut parts = directory.strip_prefix(&self.root).ok()?.iter();
        let Some(pod) = parts.next() else { return Some(true) };
        facts.selects(&PodPath::parse(pod)?, parts.next().and_then(OsStr::to_str))
    }

    /// Of hundreds of LogConfigs, each looks at each pod: what is not taken costs no memory.
    fn pod(&self, name: &OsStr) -> Option<PodPath> {
        let parts = PodPath::parts(name)?;
        let is_taken = self.namespaces.takes(parts[0]) && self.pods.takes(parts[1]);
        is_taken.then(|| PodPath::of(parts))
    }

    fn container<'a>(&self, name: &'a OsStr) -> Option<&'a str> {
        name.to_str().filter(|it| self.containers.takes(it))
    }

    /// The context of a live file of a container.
    pub(super) fn context(
        &self,
        place: &Place,
        tenants: &TenantMap,
        live_path: &Path,
    ) -> Option<Context> {
        let mut parts = live_path.strip_prefix(&self.root).ok()?.iter();
        let pod = self.pod(parts.next()?)?;
        let container = self.container(parts.next()?)?;
        let restart = restart(parts.next()?)?;
        let tenant = tenants.of_namespace(&pod.namespace).ok()?;
        let mut context = context(place, &pod, container, restart, &tenant, live_path);
        context.attributes.extend(self.facts.iter().flat_map(|it| it.attributes(&pod)));
        Some(context)
    }
}

/// Name of the live file of the restart that the file is of.
pub(super) fn chain(name: &OsStr) -> Option<&OsStr> {
    let bytes = name.as_bytes();
    let base = OsStr::from_bytes(rotation::split(bytes).map_or(bytes, |(base, _)| base));
    restart(base).map(|_| base)
}

/// `N` of `N.log`.
fn restart(name: &OsStr) -> Option<u32> {
    let number = name.to_str()?.strip_suffix(".log")?;
    // One name for one number.
    let is_plain = number == "0" || !number.starts_with(['0', '+']);
    number.parse().ok().filter(|_| is_plain)
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
    let mut attributes = of_container(place, pod, container);
    attributes.extend([
        Attribute::int(key::K8S_CONTAINER_RESTART_COUNT, i64::from(restart)),
        Attribute::text(key::LOG_FILE_PATH, Printable(live_path).to_string()),
    ]);
    Context { id, tenant: Arc::clone(tenant), attributes }
}

/// Where a container is, and what it is called: of its output, and of its files.
pub(super) fn of_container(place: &Place, pod: &PodPath, container: &str) -> Vec<Attribute> {
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
    ]);
    attributes
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
