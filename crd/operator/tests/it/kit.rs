//! What the tests share: the operator as a process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use node_kit::ApiServer;
use rustix::process::{Pid, Signal, kill_process};
use test_kit::Places;

/// The program.
const OPERATOR: &str = env!("CARGO_BIN_EXE_logferry-operator");
/// How long anything may take, with others at work on the same machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// As each kit has its own addresses.
static PLACES: Places = Places::new(192, 1, 64);

/// A namespace, a node and a sink, for what a test says of them.
pub(crate) const SHOP: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Node
metadata: {name: node-1}
---
apiVersion: logferry.dev/v1alpha1
kind: LogSink
metadata: {name: default}
spec: {stdout: {}}
";

/// A replica; killed when dropped.
#[derive(Debug)]
pub(crate) struct Operator {
    child: Child,
    url: String,
    log: PathBuf,
}

impl Operator {
    /// Starts one, with its log in `folder`.
    pub(crate) fn start(folder: &Path, kubeconfig: &Path, further: &[&str]) -> Operator {
        let place = PLACES.take().expect("a free port");
        let (address, port) = (place.address, place.first_port);
        let log = folder.join(format!("operator-{port}.log"));
        let file = File::create(&log).expect("can be made");
        let child = Command::new(OPERATOR)
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .arg(format!("--bind-address={address}"))
            .arg(format!("--port={port}"))
            .args(further)
            .stderr(file)
            .spawn()
            .expect("the program can be started");
        Operator { child, url: format!("http://{address}:{port}"), log }
    }

    /// What it answers at a path, with the code; `None` if it does not.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        let answer = minreq::get(format!("{}{path}", self.url)).with_timeout(5).send().ok()?;
        Some((answer.status_code, answer.as_str().unwrap_or_default().to_owned()))
    }

    /// The sum of all lines of a metric.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics").unwrap_or_default();
        let of_metric =
            |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        let value = |line: &str| line.rsplit(' ').next().and_then(|it| it.parse::<f64>().ok());
        text.lines().filter(of_metric).filter_map(value).sum()
    }

    pub(crate) fn is_leading(&self) -> bool {
        self.metric("logferry_operator_leader") > 0.0
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("ours");
    }

    pub(crate) fn pause(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).expect("it runs");
    }

    pub(crate) fn go_on(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).expect("it runs");
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
        self.wait_ended()
    }

    pub(crate) fn wait_ended(&mut self) -> ExitStatus {
        wait_for("the end", || self.child.try_wait().expect("ours"))
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- {} ---\n{}", self.log.display(), self.log());
        }
    }
}

/// Where an operator can answer an API server.
pub(crate) fn webhook_place() -> test_kit::Place {
    PLACES.take().expect("a free port")
}

/// Looks until there is something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let found =
        test_kit::wait_until(what, PATIENCE, || look().ok_or_else(|| anyhow::anyhow!("nothing")));
    found.unwrap_or_else(|error| panic!("{error:#}"))
}

/// Looks until it is so.
pub(crate) fn wait_until(what: &str, mut look: impl FnMut() -> bool) {
    wait_for(what, || look().then_some(()));
}

/// What the chart installs, of these kinds.
pub(crate) fn manifests(kinds: &[&str]) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/manifests/logferry.yaml");
    of_kinds(&fs::read_to_string(path).expect("the manifests"), kinds)
}

/// What the chart makes of these values, of these kinds.
pub(crate) fn rendered(folder: &Path, values: &str, kinds: &[&str]) -> String {
    let file = folder.join("values.yaml");
    fs::write(&file, values).expect("can be written");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/deploy.sh");
    let run = Command::new(script).arg("render").arg(file).output().expect("the script runs");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    of_kinds(&String::from_utf8_lossy(&run.stdout), kinds)
}

fn of_kinds(text: &str, kinds: &[&str]) -> String {
    let is_wanted = |it: &&str| {
        let kind = it.lines().find_map(|line| line.strip_prefix("kind: "));
        kind.is_some_and(|kind| kinds.contains(&kind))
    };
    text.split("\n---\n").filter(is_wanted).collect::<Vec<_>>().join("\n---\n")
}

/// A server with the definitions, accounts and rights that the chart installs.
pub(crate) fn server() -> ApiServer {
    let server = ApiServer::start().expect("a server");
    let admin = server.admin();
    admin.apply(&manifests(&["Namespace", "CustomResourceDefinition"])).expect("definitions");
    let rights = ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
    admin.apply(&manifests(&rights)).expect("rights");
    for kind in ["logconfigs", "clusterlogconfigs", "logsinks", "logtenants", "lognodes"] {
        let definition = format!("crd/{kind}.logferry.dev");
        admin.kubectl(&["wait", "--for=condition=Established", &definition]).expect("in use");
    }
    server
}
