//! A node: holder and driver as programs, and what the kubelet asks on their sockets, in its words.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use cri::Client;
use logdisk::csi::message::{
    AccessMode, AccessType, Empty, Mode, MountVolume, NodePublishVolumeRequest,
    NodeUnpublishVolumeRequest, VolumeCapability,
};
use logdisk::mounting::{self, Connection};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::Status;

use crate::holder::Holder;
use crate::kit::wait_until;

/// A node; nothing is mounted any more when it is dropped.
pub(super) struct Node {
    folder: TempDir,
    holder: Option<Holder>,
    driver: Option<Child>,
    further: Vec<String>,
    runtime: Runtime,
}

impl Node {
    /// With these options of the driver.
    pub(super) fn start(further: &[&str]) -> Node {
        let mut node = Node::new(further);
        node.start_holder();
        node.start_driver();
        node
    }

    /// Nobody holds connections there.
    pub(super) fn without_holder() -> Node {
        let mut node = Node::new(&[]);
        node.start_driver();
        node
    }

    fn new(further: &[&str]) -> Node {
        let folder = TempDir::new().expect("a scratch folder");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("as it must");
        let further = further.iter().map(|it| (*it).to_owned()).collect();
        Node { folder, holder: None, driver: None, further, runtime }
    }

    pub(super) fn start_holder(&mut self) {
        self.holder = None;
        self.holder = Some(Holder::start(&self.path("run/holder/socket"), 60));
    }

    /// Starts a driver, and waits until it answers.
    pub(super) fn start_driver(&mut self) {
        self.driver = Some(self.spawn_driver());
        let unheard = || self.ask::<Empty, Empty>("Identity/Probe", Empty {}).err();
        wait_until("a driver", || (unheard(), self.log()), |it| it.0.is_none());
    }

    /// Starts a driver, which may have to wait for another one's end.
    pub(super) fn spawn_driver(&self) -> Child {
        let further: Vec<&str> = self.further.iter().map(String::as_str).collect();
        self.spawn_driver_with(&further)
    }

    /// The same, with these options in place of the others.
    pub(super) fn spawn_driver_with(&self, further: &[&str]) -> Child {
        let path = |name: &str| self.path(name).display().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_logdisk"));
        command.args(["csi", "--node-id", "node1"]);
        command.args(["--endpoint", &format!("unix://{}", path("csi.sock"))]);
        command.args(["--registration-dir", &path("registry"), "--state", &path("run")]);
        command.args(["--agent-state", &path("state"), "--holder", &path("run/holder/socket")]);
        command.args(further);
        let log = OpenOptions::new().create(true).append(true).open(self.path("log"));
        let log = log.expect("ours");
        test_kit::start(&command, Stdio::null(), Stdio::from(log)).expect("can be started")
    }

    /// The driver that answers from now on, after the one before was told to end.
    pub(super) fn end_driver_before(&mut self, next: Child) {
        let mut before = self.driver.replace(next).expect("there is one");
        kill_process(Pid::from_child(&before), Signal::TERM).expect("runs");
        assert!(before.wait().expect("ours").success(), "{}", self.log());
        wait_until("the next driver", || self.log().matches("serving").count(), |it| *it >= 2);
    }

    /// Kills the driver, and all that it had started with it.
    pub(super) fn kill_driver(&mut self) {
        let mut driver = self.driver.take().expect("there is one");
        driver.kill().expect("runs");
        driver.wait().expect("ours");
    }

    /// Supervisors of the volumes that are published.
    pub(super) fn supervisors(&self) -> Vec<Pid> {
        let id = self.driver.as_ref().expect("there is one").id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.unwrap_or_default();
        children.split_whitespace().filter_map(|it| Pid::from_raw(it.parse().ok()?)).collect()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Where the pod with that volume sees it, on the host.
    pub(super) fn target(&self, id: &str) -> PathBuf {
        self.path(&format!("pods/uid-of-{id}/volumes/kubernetes.io~csi/logs/mount"))
    }

    pub(super) fn store(&self, id: &str) -> PathBuf {
        self.path("run/stores").join(id)
    }

    /// Whether anything at all is left of a volume.
    pub(super) fn has(&self, id: &str) -> bool {
        let is_there = |path: PathBuf| path.try_exists().expect("as it must");
        is_there(self.store(id))
            || is_there(self.path("run/volumes").join(format!("{id}.json")))
            || is_there(self.target(id))
    }

    pub(super) fn is_mounted(&self, path: &Path) -> bool {
        !mounting::mounted_at(path).expect("proc").is_empty()
    }

    /// What the kubelet asks to have a volume mounted.
    pub(super) fn wanted(&self, id: &str, attributes: &[(&str, &str)]) -> NodePublishVolumeRequest {
        let uid = format!("uid-of-{id}");
        let told = [
            ("csi.storage.k8s.io/pod.name", "web-0"),
            ("csi.storage.k8s.io/pod.namespace", "shop"),
            ("csi.storage.k8s.io/pod.uid", uid.as_str()),
            ("csi.storage.k8s.io/serviceAccount.name", "till"),
            ("csi.storage.k8s.io/ephemeral", "true"),
        ];
        let all = told.iter().chain(attributes);
        let volume_context: BTreeMap<String, String> =
            all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mount = MountVolume { fs_type: String::new(), mount_flags: Vec::new() };
        NodePublishVolumeRequest {
            volume_id: id.to_owned(),
            target_path: self.target(id).display().to_string(),
            volume_capability: Some(VolumeCapability {
                access_type: Some(AccessType::Mount(mount)),
                access_mode: Some(AccessMode { mode: Mode::SingleNodeWriter.into() }),
            }),
            readonly: false,
            volume_context,
        }
    }

    pub(super) fn publish(&self, request: NodePublishVolumeRequest) -> Result<(), Status> {
        self.ask::<_, Empty>("Node/NodePublishVolume", request).map(drop)
    }

    pub(super) fn unpublish(&self, id: &str) -> Result<(), Status> {
        let target_path = self.target(id).display().to_string();
        let request = NodeUnpublishVolumeRequest { volume_id: id.to_owned(), target_path };
        self.ask::<_, Empty>("Node/NodeUnpublishVolume", request).map(drop)
    }

    /// Asks the driver.
    pub(super) fn ask<Q, A>(&self, method: &str, question: Q) -> Result<A, Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        self.ask_at(&self.path("csi.sock"), &format!("/csi.v1.{method}"), question)
    }

    /// Asks whoever listens at a socket.
    pub(super) fn ask_at<Q, A>(&self, socket: &Path, method: &str, question: Q) -> Result<A, Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        self.runtime.block_on(async {
            let client = Client::new(socket, Duration::from_secs(60))?;
            client.call(method, question).await
        })
    }

    /// Asks the driver for several volumes at once.
    pub(super) fn publish_at_once(
        &self,
        requests: Vec<NodePublishVolumeRequest>,
    ) -> Vec<Result<(), Status>> {
        let socket = self.path("csi.sock");
        self.runtime.block_on(async {
            let client = Client::new(&socket, Duration::from_secs(60)).expect("as it must");
            let calls = requests.into_iter().map(|request| {
                let client = client.clone();
                tokio::spawn(async move {
                    let called = client.call::<_, Empty>("/csi.v1.Node/NodePublishVolume", request);
                    called.await.map(drop)
                })
            });
            let mut outcomes = Vec::new();
            for call in calls.collect::<Vec<_>>() {
                outcomes.push(call.await.expect("as it must"));
            }
            outcomes
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.log());
        }
        if let Some(driver) = &mut self.driver {
            drop(driver.kill());
            drop(driver.wait());
        }
        self.holder = None;
        let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let below = self.folder.path().to_string_lossy().into_owned();
        let mounts = text.lines().filter_map(|it| it.split(' ').nth(4));
        for path in mounts.filter(|it| it.starts_with(&below)).map(PathBuf::from) {
            if let Ok(connection) = Connection::of(&path) {
                drop(connection.abort());
            }
            drop(mounting::detach(&path));
        }
    }
}
