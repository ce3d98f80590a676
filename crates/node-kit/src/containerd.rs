//! Containerd: the runtime as a process of its own, at its socket and in its folder, however often it is started.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use test_kit::wait_until;

use crate::cri::Cri;
use crate::cri::message::Empty;
use crate::folder::Folder;
use crate::image::{IMAGE, Image};
use crate::pod::PodSpec;

/// Longest wait for containerd to answer. It takes half a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of containerd's log that an error shows.
const LOG_LINES_SHOWN: usize = 15;

/// A containerd, running or not, with its pods.
#[derive(Debug)]
pub struct Containerd {
    state: Mutex<State>,
    cri: Cri,
    // Last: what it clears away is in use by the others until they end.
    folder: Folder,
}

#[derive(Debug, Default)]
struct State {
    process: Option<Child>,
    starts: u32,
}

impl Containerd {
    /// Starts one that has [`IMAGE`], and returns when it takes requests.
    ///
    /// # Errors
    ///
    /// If a package is missing, this is not root, or it does not come up; with the end of its log.
    pub fn start() -> Result<Containerd> {
        ensure!(rustix::process::geteuid().is_root(), "containers are run by root alone");
        let folder = Folder::new()?;
        let cri = Cri::new(&folder.path().join("containerd.sock"))?;
        let node = Containerd { state: Mutex::default(), cri, folder };
        node.write_config()?;
        node.start_again()?;
        node.import(Image::busybox()?)?;
        Ok(node)
    }

    /// Starts it after [`Containerd::kill`]: it finds its containers again.
    ///
    /// # Errors
    ///
    /// If it runs, or does not come up; with the end of its log.
    pub fn start_again(&self) -> Result<()> {
        let mut state = self.lock();
        ensure!(state.process.is_none(), "containerd: it runs already");
        state.starts += 1;
        let log = File::create(self.log_file(state.starts))?;
        let mut command = Command::new("containerd");
        command.arg("--config").arg(self.path("config.toml"));
        command.arg("--address").arg(self.socket());
        let started = test_kit::start(&command, Stdio::from(log.try_clone()?), Stdio::from(log));
        state.process = Some(started.context("containerd (Debian package containerd)")?);
        drop(state);
        self.wait_ready()
    }

    /// Kills it (SIGKILL). Its shims and containers live on; what these write waits in their pipes.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn kill(&self) -> Result<()> {
        let process = self.lock().process.take();
        let mut process = process.context("containerd: it does not run")?;
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    /// Where it listens: for CRI, and for its own clients.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path("containerd.sock")
    }

    /// Where it keeps what runs: `io.containerd.runtime.v2.task/k8s.io/ID/rootfs` is the root of a container.
    #[must_use]
    pub fn state_folder(&self) -> PathBuf {
        self.path("state")
    }

    /// What it printed since it was last started.
    ///
    /// # Errors
    ///
    /// If its log is gone.
    pub fn log(&self) -> Result<String> {
        let path = self.log_file(self.lock().starts);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// Makes an image known to it.
    ///
    /// # Errors
    ///
    /// With what `ctr` says, if containerd does not take it.
    pub fn import(&self, image: Image) -> Result<()> {
        let archive = self.path("image.tar");
        image.write(&archive)?;
        let mut command = Command::new("ctr");
        command.arg("--address").arg(self.socket()).args(["--namespace", "k8s.io"]);
        let output = command.args(["images", "import"]).arg(&archive).output().context("ctr")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ctr images import: {}: {said}", output.status);
        Ok(fs::remove_file(archive)?)
    }

    /// A pod that is to run here.
    #[must_use]
    pub fn pod<'a>(&'a self, namespace: &str, name: &str) -> PodSpec<'a> {
        PodSpec::new(self, namespace, name)
    }

    pub(crate) fn cri(&self) -> &Cri {
        &self.cri
    }

    /// The control group that its pods are in.
    pub(crate) fn group(&self) -> String {
        self.folder.group()
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_config(&self) -> Result<()> {
        let folder = self.folder.path().display();
        let config = format!(
            r#"version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = [
    "io.containerd.internal.v1.tracing", "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
]
[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{IMAGE}"
disable_apparmor = true
# Without CAP_SYS_RESOURCE nobody may lower it, and no sandbox would start.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
stream_server_address = "127.0.0.1"
stream_server_port = "0"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{folder}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
Root = "{folder}/runc"
"#
        );
        fs::write(self.path("config.toml"), config)?;
        // A link of two ends for each pod: it goes with the pod's network, and nothing else is to be removed.
        let network = json!({
            "cniVersion": "0.4.0",
            "name": "pods",
            "plugins": [{
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": self.folder.subnet()}]],
                    "dataDir": self.path("addresses"),
                },
            }],
        });
        fs::create_dir(self.path("cni"))?;
        fs::write(self.path("cni/pods.conflist"), serde_json::to_vec(&network)?)?;
        Ok(())
    }

    fn wait_ready(&self) -> Result<()> {
        let ready = wait_until("start of containerd", PATIENCE, || {
            if let Some(process) = &mut self.lock().process
                && let Some(status) = process.try_wait()?
            {
                return Ok(Err(status));
            }
            self.cri.call::<_, Empty>("Status", Empty {}).map(|_| Ok(()))
        });
        let why = match ready {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(status)) => format!("it ended: {status}"),
            Err(error) => format!("{error:#}"),
        };
        let log = self.log()?;
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n");
        bail!("containerd did not come up: {why}; the end of its log:\n{end}");
    }

    /// A test that failed while it held the lock left nothing half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_file(&self, start: u32) -> PathBuf {
        self.path(format!("containerd-{start}.log"))
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(log) = self.log()
        {
            let said: Vec<&str> = log.lines().filter(|it| !it.contains("level=info")).collect();
            let end = said[said.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n");
            eprintln!("--- what containerd warned of last ---\n{end}");
        }
        // The cleaner would kill it, too; but only we can reap it.
        if let Some(mut process) = self.lock().process.take() {
            drop(process.kill());
            drop(process.wait());
        }
    }
}
