//! Scene: what the chart installs with webhooks, on one node; and where its sidecars deliver to.

use std::fs;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

use kafka_kit::{Cluster as Brokers, Deadline};
use node_kit::{Cluster, IMAGE, User};
use serde_json::{Value, json};

use super::super::{PATIENCE, PORT, image, on_this_node, own_address, patiently};
use crate::kit::{Bed, LOGFERRY, Run, wait_for};

/// Where a container's files lie.
pub(super) const FOLDER: &str = "/var/log/app";

/// A node with all that the chart installs. Where sidecars deliver to nobody listens yet.
pub(super) struct Scene {
    // First: what runs in it has files in the bed.
    pub(super) cluster: Cluster,
    pub(super) bed: Bed,
}

fn operator() -> PathBuf {
    let program = Path::new(LOGFERRY).with_file_name("logferry-operator");
    assert!(program.is_file(), "it is not built: cargo build --package logferry-operator");
    program
}

impl Scene {
    /// Returns once both replicas of the operator are ready, and the API server asks them.
    pub(super) fn start() -> Scene {
        let scene = Scene { cluster: Cluster::start().unwrap(), bed: Bed::new() };
        let (admin, runtime) = (scene.admin(), scene.cluster.runtime());
        let programs = [PathBuf::from(LOGFERRY), operator()];
        for program in programs {
            // As the chart calls them, where nothing is said of a registry.
            let name = program.file_name().unwrap().to_str().unwrap();
            runtime.import(image(&format!("docker.io/library/{name}:0.1.0"), &program)).unwrap();
        }
        admin.apply(&Run::of(&["crds"]).stdout).unwrap();
        let broker = format!("{}:{PORT}", own_address());
        let changes = [("kafka:9092", broker.as_str())];
        let file = "tests/data/sidecars.yaml";
        admin.apply(&on_this_node(file, &scene.bed, &scene.cluster, &changes)).unwrap();
        scene.patiently(&["rollout", "status", "--namespace=logferry", "daemonset/logferry"]);
        scene.wait_rolled_out();
        // Of a new certificate the API server hears a moment later.
        scene.wait_long("a pod with a sidecar", || has_sidecar(&scene.asks("probe")));
        scene
    }

    pub(super) fn admin(&self) -> &User {
        self.cluster.admin()
    }

    /// Starts where sidecars deliver to.
    pub(super) fn start_broker(&self) -> Brokers {
        let brokers = Brokers::builder().at(SocketAddrV4::new(own_address(), PORT));
        let brokers = brokers.start().unwrap();
        brokers.create_topic("logs", 1, 1, &[]).unwrap();
        brokers
    }

    /// What would become of a pod that asks for a sidecar.
    pub(super) fn asks(&self, name: &str) -> Value {
        self.ask_many(name, 1).remove(0)
    }

    /// What would become of several, which are asked for one after the other.
    pub(super) fn ask_many(&self, name: &str, count: usize) -> Vec<Value> {
        let file = self.bed.path(format!("{name}.json"));
        let pods = (0..count).map(|number| pod(&format!("{name}-{number}"), "exit").to_string());
        fs::write(&file, pods.collect::<Vec<_>>().join("\n")).unwrap();
        let file = format!("--filename={}", file.display());
        let path = "--output=jsonpath-as-json={}";
        let made = self.admin().kubectl(&["create", "--dry-run=server", path, &file]).unwrap();
        let made = serde_json::Deserializer::from_str(&made).into_iter::<Value>();
        made.map(|it| it.unwrap()[0].clone()).collect()
    }

    /// A field of a pod, by a JSONPath.
    pub(super) fn of_pod(&self, name: &str, path: &str) -> String {
        let path = format!("--output=jsonpath={path}");
        self.admin().kubectl(&["get", "pod", name, &path]).unwrap()
    }

    pub(super) fn wait_ready(&self, pod: &str) {
        self.patiently(&["wait", "--for=condition=Ready", &format!("pod/{pod}")]);
    }

    pub(super) fn wait_rolled_out(&self) {
        let operator = "deployment/logferry-operator";
        self.patiently(&["rollout", "status", "--namespace=logferry", operator]);
    }

    /// Bodies of what the agent of the node has of a container.
    pub(super) fn of_node(&self, pod: &str, container: &str) -> Vec<String> {
        let records = self.bed.records();
        let is_of =
            |it: &&Value| it["k8s.pod.name"] == pod && it["k8s.container.name"] == container;
        records.iter().filter(is_of).map(crate::kit::body).collect()
    }

    /// A kubectl that waits by itself, as often as there is time for.
    pub(super) fn patiently(&self, arguments: &[&str]) {
        patiently(self.admin(), arguments);
    }

    /// Looks until it is so.
    pub(super) fn wait_long(&self, what: &str, mut look: impl FnMut() -> bool) {
        let deadline = Deadline::after(PATIENCE);
        while !look() {
            assert!(deadline.left().is_some(), "{what}: not within {PATIENCE:?}");
        }
    }

    /// All that the operator's replicas print.
    pub(super) fn operator_logs(&self) -> String {
        let pods = fs::read_dir(self.cluster.logs()).unwrap().flatten();
        let is_operator = |it: &fs::DirEntry| {
            it.file_name().to_string_lossy().starts_with("logferry_logferry-operator")
        };
        let logs = pods.filter(is_operator).map(|it| it.path().join("operator/0.log"));
        logs.map(|it| fs::read_to_string(it).unwrap_or_default()).collect()
    }
}

pub(super) fn has_sidecar(pod: &Value) -> bool {
    pod["spec"]["initContainers"][0]["name"] == "logferry"
}

/// A pod that asks for a sidecar, and runs a script of busybox.
pub(super) fn pod(name: &str, script: &str) -> Value {
    let annotations = json!({
        "sidecar.logferry.dev/inject": "true",
        "sidecar.logferry.dev/files": format!("{FOLDER}/*.log"),
    });
    let app = json!({"name": "app", "image": IMAGE, "command": ["sh", "-c", script]});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}, "annotations": annotations},
        "spec": {"containers": [app], "automountServiceAccountToken": false},
    })
}

/// Waits until all of these are there, and nothing else is.
#[track_caller]
pub(super) fn wait_for_bodies(want: &[String], mut look: impl FnMut() -> Vec<String>) {
    let got = wait_for("all records", || {
        let got = look();
        let count = got.len();
        if count >= want.len() { Ok(got) } else { Err(format!("{count}: {:?}", got.last())) }
    });
    assert_eq!(got, want);
}
