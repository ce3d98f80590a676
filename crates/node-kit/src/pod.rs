//! Pod: a sandbox with containers in it, and the folders that the kubelet makes for it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::container::{Container, Program};
use crate::containerd::Containerd;
use cri::message::{
    Empty, LinuxPodSandboxConfig, NamespaceMode, NamespaceOption, PodSandboxConfig,
    PodSandboxMetadata, RunPodSandboxRequest, SandboxId, SandboxSecurityContext,
};

/// What the kernel calls a new number for, in the form of a pod's uid.
const UUID: &str = "/proc/sys/kernel/random/uuid";

/// A pod that is to be run.
#[derive(Debug)]
pub struct PodSpec<'a> {
    node: &'a Containerd,
    namespace: String,
    name: String,
    logs: PathBuf,
    annotations: BTreeMap<String, String>,
    is_on_host: bool,
}

impl<'a> PodSpec<'a> {
    pub(crate) fn new(node: &'a Containerd, namespace: &str, name: &str) -> PodSpec<'a> {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let annotations = BTreeMap::new();
        PodSpec { node, namespace, name, logs: node.path("logs"), annotations, is_on_host: false }
    }

    /// With an annotation, as the kubelet tells the runtime of each.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> PodSpec<'a> {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The folder of all pods' logs: `/var/log/pods` of a real node. Without, one in the node's own folder.
    #[must_use]
    pub fn logs(mut self, root: impl AsRef<Path>) -> PodSpec<'a> {
        self.logs = root.as_ref().to_path_buf();
        self
    }

    /// In the network of this machine: a quarter of a second less.
    #[must_use]
    pub fn host_network(mut self) -> PodSpec<'a> {
        self.is_on_host = true;
        self
    }

    /// Makes its folders, and runs its sandbox.
    ///
    /// # Errors
    ///
    /// What containerd says, if it cannot.
    pub fn run(self) -> Result<Pod<'a>> {
        let uid = fs::read_to_string(UUID).context(UUID)?.trim_end().to_owned();
        let folder = self.logs.join(format!("{}_{}_{uid}", self.namespace, self.name));
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let network = if self.is_on_host { NamespaceMode::Node } else { NamespaceMode::Pod };
        let namespaces = NamespaceOption {
            network: network.into(),
            // Each container sees its own processes alone, as Kubernetes has it.
            pid: NamespaceMode::Container.into(),
        };
        let config = PodSandboxConfig {
            hostname: if self.is_on_host { String::new() } else { self.name.clone() },
            log_directory: folder.display().to_string(),
            labels: labels(&self.namespace, &self.name, &uid),
            annotations: self.annotations,
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: format!("{}/pod{uid}", self.node.group()),
                security_context: Some(SandboxSecurityContext { namespaces: Some(namespaces) }),
            }),
            metadata: Some(PodSandboxMetadata { name: self.name, uid, namespace: self.namespace }),
        };
        let request = RunPodSandboxRequest { config: Some(config.clone()) };
        let SandboxId { id } = self.node.cri().call("RunPodSandbox", request)?;
        Ok(Pod { node: self.node, id, config, folder, namespaces, attempts: Mutex::default() })
    }
}

/// What the kubelet tells the runtime of whose it is.
fn labels(namespace: &str, name: &str, uid: &str) -> BTreeMap<String, String> {
    let label = |(key, value): (&str, &str)| (format!("io.kubernetes.pod.{key}"), value.to_owned());
    [("namespace", namespace), ("name", name), ("uid", uid)].map(label).into()
}

/// A pod whose sandbox runs, or did.
#[derive(Debug)]
pub struct Pod<'a> {
    node: &'a Containerd,
    id: String,
    config: PodSandboxConfig,
    folder: PathBuf,
    namespaces: NamespaceOption,
    /// How often a container of this name was started.
    attempts: Mutex<HashMap<String, u32>>,
}

impl Pod<'_> {
    /// Its uid.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.config.metadata.as_ref().map_or("", |it| &it.uid)
    }

    /// Where its logs are: `NAMESPACE_NAME_UID`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs a command of busybox in a container of this name.
    ///
    /// # Errors
    ///
    /// As [`Pod::start`].
    pub fn run(&self, name: &str, command: &[&str]) -> Result<Container<'_>> {
        self.start(&Program::new(name, command))
    }

    /// Starts a container. One more of the same name is a restart: it gets the next number.
    ///
    /// # Errors
    ///
    /// What containerd says, if it cannot.
    pub fn start(&self, program: &Program) -> Result<Container<'_>> {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = attempts.entry(program.name().to_owned()).or_insert(0);
        let number = *attempt;
        *attempt += 1;
        drop(attempts);
        Container::start(self, program, number)
    }

    /// The folder of an emptyDir, made if it is not there, where the kubelet has it.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn empty_dir(&self, name: &str) -> Result<PathBuf> {
        let volumes = format!("pods/{}/volumes/kubernetes.io~empty-dir", self.uid());
        let path = self.node.path("kubelet").join(volumes).join(name);
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
        Ok(path)
    }

    /// Kills all its containers, and removes them and it from the runtime. Its logs stay.
    ///
    /// # Errors
    ///
    /// What containerd says, if it cannot.
    pub fn remove(&self) -> Result<()> {
        let sandbox = SandboxId { id: self.id.clone() };
        let cri = self.node.cri();
        cri.call::<_, Empty>("StopPodSandbox", sandbox.clone())?;
        cri.call::<_, Empty>("RemovePodSandbox", sandbox)?;
        Ok(())
    }

    /// Removes it with its logs and volumes, as the kubelet does with a pod that was deleted.
    ///
    /// # Errors
    ///
    /// As [`Pod::remove`], or if a folder cannot be removed.
    pub fn delete(&self) -> Result<()> {
        self.remove()?;
        fs::remove_dir_all(&self.folder)?;
        let own = self.node.path("kubelet/pods").join(self.uid());
        if fs::exists(&own)? {
            fs::remove_dir_all(own)?;
        }
        Ok(())
    }

    pub(crate) fn node(&self) -> &Containerd {
        self.node
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn config(&self) -> &PodSandboxConfig {
        &self.config
    }

    pub(crate) fn namespaces(&self) -> NamespaceOption {
        self.namespaces
    }
}
