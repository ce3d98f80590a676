//! Bed of a cluster: a scratch folder with pods' logs, an API server, and an agent that asks it.

use std::ffi::OsStr;
use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;

use kube_kit::ApiServer;
use serde_json::{Value, json};

use crate::kit::{Agent, Bed, LOGFERRY, wait_until};

/// The node that the agent is on.
const NODE: &str = "node-1";

/// A pod of namespace `shop`, with one container called `app`.
#[derive(Debug, Clone, Copy)]
pub(super) struct PodName {
    pub(super) name: &'static str,
    pub(super) uid: &'static str,
}

/// The pod of most tests.
pub(super) const POD: PodName = PodName { name: "web-0", uid: "11111111" };

/// A bed whose agent takes its resources from an API server.
pub(super) struct ClusterBed {
    bed: Bed,
    pub(super) api: ApiServer,
}

impl Deref for ClusterBed {
    type Target = Bed;

    fn deref(&self) -> &Bed {
        &self.bed
    }
}

impl ClusterBed {
    /// An empty cluster; the agent's file has but the Agent.
    pub(super) fn new() -> ClusterBed {
        let bed = ClusterBed { bed: Bed::new(), api: ApiServer::start().unwrap() };
        bed.configure(&[&bed.agent(&format!("  nodeName: {NODE}\n"))]);
        fs::write(bed.path("kubeconfig"), bed.api.kubeconfig()).unwrap();
        fs::create_dir(bed.path("pods")).unwrap();
        bed
    }

    /// Waits for these bodies and nothing else; the queue is made when its LogSink comes.
    pub(super) fn wait_for_bodies(&self, want: &[&str]) {
        self.wait_for_queue();
        self.bed.wait_for_bodies(want);
    }

    /// Waits for so many records and no more.
    pub(super) fn wait_for_records(&self, count: usize) -> Vec<Value> {
        self.wait_for_queue();
        self.bed.wait_for_records(count)
    }

    pub(super) fn wait_for_queue(&self) {
        wait_until("the queue", || self.queue().is_dir(), |it| *it);
    }

    /// Starts the agent, and waits until it is ready.
    pub(super) fn start(&self) -> Agent {
        self.start_with(&[])
    }

    /// The same with further flags.
    pub(super) fn start_with(&self, flags: &[&str]) -> Agent {
        let kubeconfig = self.path("kubeconfig");
        let kubeconfig = [OsStr::new("--kubeconfig"), kubeconfig.as_os_str()];
        let further: Vec<&OsStr> = flags.iter().map(OsStr::new).chain(kubeconfig).collect();
        let mut agent = Agent::spawn_with(self, Command::new(LOGFERRY), &further);
        agent.wait_ready();
        agent
    }

    /// What the API server said last, on disk.
    pub(super) fn state(&self) -> PathBuf {
        self.path("state/cluster.json")
    }

    /// Root of the pods' logs.
    pub(super) fn root(&self) -> String {
        self.path("pods").to_string_lossy().into_owned()
    }

    /// A LogSink called `default`: the embedded queue.
    pub(super) fn sink(&self) -> Value {
        let path = self.queue().to_string_lossy().into_owned();
        json!({"metadata": {"name": "default"}, "spec": {"queue": {"path": path}}})
    }

    /// A cluster with that pod, a LogSink, and `web`, which collects all that is below the root.
    pub(super) fn with_web() -> ClusterBed {
        let bed = ClusterBed::new();
        bed.add_pod(&POD, json!({}));
        bed.api.apply("logsinks", bed.sink());
        bed.collect("web");
        bed
    }

    /// A ClusterLogConfig of that name which collects all that is below the root.
    pub(super) fn collect(&self, name: &str) {
        let source = json!({"containers": {"root": self.root()}});
        self.api.apply("clusterlogconfigs", cluster_config(name, source));
    }

    /// Waits until the state on disk says this.
    pub(super) fn wait_state(&self, says: &str) {
        let state = || fs::read_to_string(self.state()).unwrap_or_default();
        wait_until("the state", state, |it| it.contains(says));
    }

    /// The scheduler gives the pod to this node, and the kubelet makes its directory.
    pub(super) fn add_pod(&self, pod: &PodName, metadata: Value) {
        self.tell_pod(pod, metadata);
        self.make_directory(pod);
    }

    /// The API server says that the pod is there, with further metadata.
    pub(super) fn tell_pod(&self, pod: &PodName, metadata: Value) {
        self.tell_pod_of(pod.name, pod.uid, metadata);
    }

    /// Another pod, with a directory.
    pub(super) fn add_pod_of(&self, name: &str, uid: &str) {
        self.tell_pod_of(name, uid, json!({"labels": {"app": name}}));
        fs::create_dir_all(self.path(format!("pods/shop_{name}_{uid}/app"))).unwrap();
    }

    /// The API server says that there is a pod of that name and uid, whose container has this variable.
    pub(super) fn tell_pod_with_env(&self, name: &str, variable: &Value) {
        self.tell_pod_with_variables(name, &json!([variable]));
    }

    /// The same with a list of variables.
    pub(super) fn tell_pod_with_variables(&self, name: &str, variables: &Value) {
        let container = json!({"name": "app", "image": "x", "env": variables});
        self.tell(name, name, json!({}), container);
        fs::create_dir_all(self.log_of(name).parent().unwrap()).unwrap();
    }

    fn tell_pod_of(&self, name: &str, uid: &str, metadata: Value) {
        self.tell(name, uid, metadata, json!({"name": "app", "image": "x"}));
    }

    fn tell(&self, name: &str, uid: &str, metadata: Value, container: Value) {
        let mut all = json!({"namespace": "shop", "name": name, "uid": uid});
        let further = metadata.as_object().cloned().unwrap_or_default();
        all.as_object_mut().unwrap().extend(further);
        let spec = json!({"nodeName": NODE, "containers": [container]});
        self.api.apply("pods", json!({"metadata": all, "spec": spec}));
    }

    /// The kubelet makes the directory of the pod's logs.
    pub(super) fn make_directory(&self, pod: &PodName) {
        fs::create_dir_all(self.log(pod).parent().unwrap()).unwrap();
    }

    /// The log of the pod's container.
    pub(super) fn log(&self, pod: &PodName) -> PathBuf {
        self.path(format!("pods/shop_{}_{}/app/0.log", pod.name, pod.uid))
    }

    /// The log of the container of a pod whose name is its uid.
    pub(super) fn log_of(&self, name: &str) -> PathBuf {
        self.path(format!("pods/shop_{name}_{name}/app/0.log"))
    }

    /// What the agent said of its last reload.
    pub(super) fn said_of_reload(&self, agent: &Agent) -> String {
        let said = agent.stderr();
        let line = said.lines().rev().find(|it| it.contains("configuration in force"));
        line.unwrap_or_default().to_owned()
    }
}

/// A line as the runtime writes it.
pub(super) fn line(body: &str) -> String {
    format!("2026-01-02T03:04:05Z stdout F {body}\n")
}

/// A LogConfig of namespace `shop`.
pub(super) fn log_config(name: &str, source: Value) -> Value {
    json!({"metadata": {"namespace": "shop", "name": name}, "spec": {"source": source}})
}

/// A ClusterLogConfig, which may say where the pods' logs are.
pub(super) fn cluster_config(name: &str, source: Value) -> Value {
    json!({"metadata": {"name": name}, "spec": {"source": source}})
}
