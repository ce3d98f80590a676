//! Cluster: one real node with its control plane: kubelet on containerd, scheduler, controllers and API server.
//!
//! Whatever is applied runs. Pods are on this machine's network, or on one that no pod of another node sees. They find the
//! API server where they look for it, and it finds the pods of a service, such as a webhook's; no other service leads
//! anywhere, as nothing here forwards to them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::api_server::{ApiServer, Role};
use crate::containerd::Containerd;
use crate::home;
use crate::process::Process;
use crate::user::User;

/// Name of the node.
pub const NODE: &str = "node1";
/// What a kubelet sets of the machine's kernel (`pkg/kubelet/cm/container_manager_linux.go`); it is put back.
const SYSCTLS: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// A node and its control plane. There is one at a time on a machine: the others wait.
#[derive(Debug)]
pub struct Cluster {
    kubelet: Process,
    scheduler: Process,
    controllers: Process,
    runtime: Containerd,
    server: ApiServer,
    // Last: whoever waits may begin once the kernel is as it was.
    _turn: File,
}

impl Cluster {
    /// Starts all, and returns when the node is ready.
    ///
    /// # Errors
    ///
    /// If `scripts/kubernetes.sh` was not run, this is not root, or something does not come up; with the end of its log.
    pub fn start() -> Result<Cluster> {
        let turn = std::env::temp_dir().join("logferry-cluster.lock");
        let turn = File::create(&turn).with_context(|| turn.display().to_string())?;
        turn.lock()?;
        let server = ApiServer::with_controllers()?;
        let runtime = Containerd::start()?;
        let process = |name| Process::new(name, runtime.path(""));
        let cluster = Cluster {
            kubelet: process("kubelet"),
            scheduler: process("kube-scheduler"),
            controllers: process("kube-controller-manager"),
            runtime,
            server,
            _turn: turn,
        };
        cluster.start_controllers()?;
        cluster.start_scheduler()?;
        cluster.start_kubelet()?;
        Ok(cluster)
    }

    /// Its API server.
    #[must_use]
    pub fn server(&self) -> &ApiServer {
        &self.server
    }

    /// Whoever may do anything.
    #[must_use]
    pub fn admin(&self) -> &User {
        self.server.admin()
    }

    /// Its runtime, to make images known to it.
    #[must_use]
    pub fn runtime(&self) -> &Containerd {
        &self.runtime
    }

    /// The folder of all pods' logs: `/var/log/pods` of another node.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.runtime.path("logs")
    }

    fn start_controllers(&self) -> Result<()> {
        let mut command = Command::new(home::program("kube-controller-manager")?);
        command.arg("--kubeconfig").arg(self.kubeconfig(Role::Controllers)?);
        command.arg("--root-ca-file").arg(self.server.path("authority.crt"));
        let key = self.server.path("authority-apiserver.key");
        command.arg("--service-account-private-key-file").arg(key);
        command.args(["--use-service-account-credentials=true", "--leader-elect=false"]);
        // Nobody asks it anything.
        command.arg("--secure-port=0");
        let account = ["get", "serviceaccount", "default", "--namespace=default"];
        self.controllers.start(&command, || self.admin().kubectl(&account).map(drop))
    }

    fn start_scheduler(&self) -> Result<()> {
        let mut command = Command::new(home::program("kube-scheduler")?);
        command.arg("--kubeconfig").arg(self.kubeconfig(Role::Scheduler)?);
        command.args(["--leader-elect=false", "--secure-port=0"]);
        // It says nothing of use when it is ready; pods wait for it.
        self.scheduler.start(&command, || Ok(()))
    }

    fn start_kubelet(&self) -> Result<()> {
        self.keep_sysctls()?;
        let socket = format!("unix://{}", self.runtime.socket().display());
        // JSON is YAML.
        let config = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.server.place().address(),
            "port": self.server.place().port(3).port(),
            "healthzPort": 0,
            "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": true},
                "x509": {"clientCAFile": self.server.path("authority.crt")}},
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": socket,
            "podLogsDir": self.logs(),
            "containerLogMaxSize": "64Ki",
            "containerLogMonitorInterval": "3s",
            "cgroupDriver": "cgroupfs",
            // Groups of the kubelet's own would stay behind.
            "cgroupsPerQOS": false,
            "enforceNodeAllocatable": [],
            "failCgroupV1": false,
            "failSwapOn": false,
            "makeIPTablesUtilChains": false,
            "resolvConf": "",
            // A machine that is nearly full may test all the same.
            "evictionHard": {"memory.available": "0%", "nodefs.available": "0%",
                "nodefs.inodesFree": "0%", "imagefs.available": "0%", "imagefs.inodesFree": "0%"},
            "imageGCHighThresholdPercent": 100,
            "nodeStatusUpdateFrequency": "2s",
        });
        let file = self.runtime.path("kubelet.json");
        fs::write(&file, serde_json::to_vec(&config)?)?;
        let mut command = Command::new(home::program("kubelet")?);
        command.arg("--config").arg(file);
        command.arg("--kubeconfig").arg(self.kubeconfig(Role::Node)?);
        command.arg("--root-dir").arg(self.runtime.path("kubelet"));
        command.arg("--cert-dir").arg(self.runtime.path("kubelet-certificates"));
        command.args(["--hostname-override", NODE]);
        let ready = r#"--output=jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
        self.kubelet.start(&command, || {
            let said = self.admin().kubectl(&["get", "node", NODE, ready])?;
            ensure!(said == "True", "the node is not ready: {said:?}");
            Ok(())
        })
    }

    fn kubeconfig(&self, role: Role) -> Result<PathBuf> {
        Ok(self.server.component(role)?.kubeconfig().to_path_buf())
    }

    /// Writes down what the kubelet will change, for the cleaner.
    fn keep_sysctls(&self) -> Result<()> {
        let mut kept = String::new();
        for name in SYSCTLS {
            let value = fs::read_to_string(Path::new("/proc/sys").join(name)).context(name)?;
            kept.push_str(&format!("{name} {value}"));
        }
        Ok(fs::write(self.runtime.path("sysctls"), kept)?)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.kubelet.end_of_log(|line| line.starts_with(['E', 'W', 'F']));
            eprintln!("--- what the kubelet warned of last ---\n{said}");
        }
    }
}
