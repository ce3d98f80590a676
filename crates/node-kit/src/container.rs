//! Container: a program that runs in a pod, with its log where the kubelet has it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use test_kit::wait_until;

use crate::image::IMAGE;
use crate::pod::Pod;
use cri::message::{
    ContainerConfig, ContainerId, ContainerMetadata, ContainerSecurityContext, ContainerState,
    ContainerStatusRequest, ContainerStatusResponse, CreateContainerRequest, Empty,
    ExecSyncRequest, ExecSyncResponse, ImageSpec, LinuxContainerConfig, Mount,
    StopContainerRequest,
};

/// Longest wait for a container to end by itself, or for a command in it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a container is to run.
#[derive(Debug, Clone)]
pub struct Program {
    name: String,
    command: Vec<String>,
    mounts: Vec<Mount>,
    is_root_read_only: bool,
}

impl Program {
    /// A command of busybox, in a container of this name.
    #[must_use]
    pub fn new(name: &str, command: &[&str]) -> Program {
        Program {
            name: name.to_owned(),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            mounts: Vec::new(),
            is_root_read_only: false,
        }
    }

    /// With a root that it cannot write to, but for its volumes: `readOnlyRootFilesystem`.
    #[must_use]
    pub fn read_only_root(mut self) -> Program {
        self.is_root_read_only = true;
        self
    }

    /// With a folder of this machine at `path`.
    #[must_use]
    pub fn volume(mut self, folder: &Path, path: &str) -> Program {
        let host_path = folder.display().to_string();
        self.mounts.push(Mount { container_path: path.to_owned(), host_path });
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; 128 and the signal's number if it was killed.
    pub exit_code: i32,
}

/// What a command printed.
#[derive(Debug, Clone)]
pub struct Output {
    /// To standard output.
    pub stdout: Vec<u8>,
    /// To standard error.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub exit_code: i32,
}

/// A container that runs, or did.
#[derive(Debug)]
pub struct Container<'a> {
    pod: &'a Pod<'a>,
    id: String,
    log: PathBuf,
    /// Second that its last rotated file is named after.
    pub(crate) last_rotation: Mutex<i64>,
}

impl<'a> Container<'a> {
    pub(crate) fn start(
        pod: &'a Pod<'a>,
        program: &Program,
        attempt: u32,
    ) -> Result<Container<'a>> {
        let log_path = format!("{}/{attempt}.log", program.name);
        let log = pod.folder().join(&log_path);
        fs::create_dir_all(pod.folder().join(&program.name))?;
        let mut labels = pod.config().labels.clone();
        labels.insert("io.kubernetes.container.name".to_owned(), program.name.clone());
        let security = ContainerSecurityContext {
            namespaces: Some(pod.namespaces()),
            readonly_rootfs: program.is_root_read_only,
        };
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: program.name.clone(), attempt }),
            image: Some(ImageSpec { image: IMAGE.to_owned() }),
            command: program.command.clone(),
            mounts: program.mounts.clone(),
            labels,
            log_path,
            linux: Some(LinuxContainerConfig { security_context: Some(security) }),
        };
        let request = CreateContainerRequest {
            sandbox: pod.id().to_owned(),
            config: Some(config),
            sandbox_config: Some(pod.config().clone()),
        };
        let cri = pod.node().cri();
        let created: ContainerId = cri.call("CreateContainer", request)?;
        cri.call::<_, Empty>("StartContainer", created.clone())?;
        Ok(Container { pod, id: created.id, log, last_rotation: Mutex::default() })
    }

    /// What the runtime calls it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The file that the runtime writes to: `N.log`, where N is the number of restarts.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its root as the runtime has it mounted on this machine, without its volumes; empty once it has ended.
    #[must_use]
    pub fn rootfs(&self) -> PathBuf {
        let tasks = self.pod.node().state_folder().join("io.containerd.runtime.v2.task/k8s.io");
        tasks.join(&self.id).join("rootfs")
    }

    /// The number of its first process, on this machine.
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub fn process(&self) -> Result<u32> {
        let info = self.status(true)?.info.remove("info").context("the status has no info")?;
        let process = serde_json::from_str::<Value>(&info)?["pid"].as_u64();
        process.filter(|it| *it != 0).context("it has no process")?.try_into().context("pid")
    }

    /// How it ended; `None` while it runs.
    ///
    /// # Errors
    ///
    /// If containerd does not answer.
    pub fn ended(&self) -> Result<Option<Ended>> {
        let status = self.status(false)?.status.context("there is no status")?;
        let has_ended = status.state == i32::from(ContainerState::Exited);
        Ok(has_ended.then_some(Ended { exit_code: status.exit_code }))
    }

    /// Waits until it has ended by itself. Its log is whole then.
    ///
    /// # Errors
    ///
    /// If it still runs after a minute.
    pub fn wait_ended(&self) -> Result<Ended> {
        wait_until("end of a container", PATIENCE, || self.ended()?.context("it runs"))
    }

    /// Runs a command in it.
    ///
    /// # Errors
    ///
    /// If it does not run, or the command does not end within a minute.
    pub fn exec(&self, command: &[&str]) -> Result<Output> {
        let request = ExecSyncRequest {
            container: self.id.clone(),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            timeout_seconds: 60,
        };
        let done: ExecSyncResponse = self.pod.node().cri().call("ExecSync", request)?;
        Ok(Output { stdout: done.stdout, stderr: done.stderr, exit_code: done.exit_code })
    }

    /// Runs a command in it that must end well; returns what it printed.
    ///
    /// # Errors
    ///
    /// As [`Container::exec`], and if it ends otherwise than well.
    pub fn read(&self, command: &[&str]) -> Result<String> {
        let output = self.exec(command)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.exit_code == 0, "{command:?}: {}: {said}", output.exit_code);
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Asks it to end (SIGTERM), and kills it after so many seconds.
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub fn stop(&self, grace_seconds: u32) -> Result<Ended> {
        let request =
            StopContainerRequest { id: self.id.clone(), timeout: i64::from(grace_seconds) };
        self.pod.node().cri().call::<_, Empty>("StopContainer", request)?;
        self.wait_ended()
    }

    /// Removes it from the runtime, which kills it if it runs. Its log stays.
    ///
    /// # Errors
    ///
    /// What containerd says, if it cannot.
    pub fn remove(&self) -> Result<()> {
        let request = ContainerId { id: self.id.clone() };
        self.pod.node().cri().call::<_, Empty>("RemoveContainer", request).map(drop)
    }

    /// Has the runtime make its log file anew, and write to that from now on.
    pub(crate) fn reopen_log(&self) -> Result<()> {
        let request = ContainerId { id: self.id.clone() };
        self.pod.node().cri().call::<_, Empty>("ReopenContainerLog", request).map(drop)
    }

    fn status(&self, verbose: bool) -> Result<ContainerStatusResponse> {
        let request = ContainerStatusRequest { container_id: self.id.clone(), verbose };
        let answer: ContainerStatusResponse =
            self.pod.node().cri().call("ContainerStatus", request)?;
        if answer.status.is_none() {
            bail!("container {}: the runtime tells no status", self.id);
        }
        Ok(answer)
    }
}
