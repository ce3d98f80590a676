//! Containerd: the runtime as a process of its own, at its socket and in its folder, however often it is started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::cri::Cri;
use crate::folder::Folder;
use crate::image::{IMAGE, Image};
use crate::pod::PodSpec;
use crate::process::Process;
use cri::message::Empty;

/// A containerd, running or not, with its pods.
#[derive(Debug)]
pub struct Containerd {
    process: Process,
    cri: Cri,
    // Last: what it clears away is in use by the others until they end.
    folder: Folder,
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
        let process = Process::new("containerd", folder.path().to_path_buf());
        let node = Containerd { process, cri, folder };
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
        let mut command = Command::new("containerd");
        command.arg("--config").arg(self.path("config.toml"));
        command.arg("--address").arg(self.socket());
        let look = || self.cri.call::<_, Empty>("Status", Empty {}).map(drop);
        self.process.start(&command, look).context("is the Debian package containerd there?")
    }

    /// Kills it (SIGKILL). Its shims and containers live on; what these write waits in their pipes.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn kill(&self) -> Result<()> {
        self.process.kill()
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

    /// The kubelet's directory, which has the volumes of pods.
    #[must_use]
    pub fn kubelet_folder(&self) -> PathBuf {
        self.path("kubelet")
    }

    /// What it printed since it was last started.
    ///
    /// # Errors
    ///
    /// If its log is gone.
    pub fn log(&self) -> Result<String> {
        self.process.log()
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
                    // To this machine's own addresses.
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": self.path("addresses"),
                },
            }],
        });
        fs::create_dir(self.path("cni"))?;
        fs::write(self.path("cni/pods.conflist"), serde_json::to_vec(&network)?)?;
        Ok(())
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.process.end_of_log(|line| !line.contains("level=info"));
            eprintln!("--- what containerd warned of last ---\n{said}");
        }
    }
}
