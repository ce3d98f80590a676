//! The agent as a DaemonSet of a real cluster: a pod as any other, that collects from the others.
//!
//! `scripts/test.sh` leaves out all of `real_cluster::` where Kubernetes is not built, or no container can run.

mod aliyun;
mod chart;
mod first_line;
mod log_disks;
mod resources;
mod scale;
mod sidecars;
mod told;

use std::ffi::OsStr;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kafka_kit::{Cluster as Brokers, Deadline, Isolation, Listener};
use node_kit::{Cluster, IMAGE, Image, User};
use serde_json::{Value, json};

use crate::kit::{Agent, Bed, LOGFERRY, append, body, wait_for, wait_until};

/// Name of the agent's image.
const AGENT_IMAGE: &str = "test.logferry.dev/logferry:1";
/// Where the broker is for pods: there is one such cluster at a time on a machine.
const PORT: u16 = 19_092;
/// How long the slowest may take, such as both replicas of the operator to be ready, beside much else on the machine.
const PATIENCE: Duration = Duration::from_secs(240);
/// Lines of the pod that writes much: some 600 KB, ten times what the kubelet lets a log have.
const LINES: usize = 8_000;

/// An agent with the resources of the cluster that the kubeconfig leads to, once it is ready.
fn start_agent(bed: &Bed, kubeconfig: &Path, flags: &[&str]) -> Agent {
    let kubeconfig = [OsStr::new("--kubeconfig"), kubeconfig.as_os_str()];
    let further: Vec<&OsStr> = flags.iter().map(OsStr::new).chain(kubeconfig).collect();
    let mut agent = Agent::spawn_with(bed, Command::new(LOGFERRY), &further);
    agent.wait_ready();
    agent
}

/// The log that the container `app` of pod `web-0` would have on this node; its folder is there.
fn log_of_web(bed: &Bed, admin: &User) -> PathBuf {
    let uid = admin.kubectl(&["get", "pod", "web-0", "--output=jsonpath={.metadata.uid}"]).unwrap();
    let log = bed.path(format!("pods/default_web-0_{uid}/app/0.log"));
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    log
}

/// Writes a line as containerd does.
fn write_line(log: &Path, body: &str) {
    append(log, format!("2026-01-02T03:04:05Z stdout F {body}\n").as_bytes());
}

/// A program with the libraries that it asks for, and nothing else.
fn image(name: &str, program: &Path) -> Image {
    let path = format!("/usr/bin/{}", program.file_name().unwrap().to_str().unwrap());
    let config = json!({"Entrypoint": [path]});
    let mut image = Image::new(name, config).program(&path, program).unwrap();
    let output = std::process::Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for library in text.split_whitespace().filter(|word| word.starts_with('/')) {
        image = image.program(library, Path::new(library)).unwrap();
    }
    image
}

/// What `kubectl apply` installs on this node: the manifests that the chart renders, with the folders of this node, and
/// with what these documents say of sinks and LogConfigs.
fn manifests(bed: &Bed, cluster: &Cluster, documents: &str) -> String {
    let begin = "    ---\n    apiVersion: logferry.dev/v1alpha1\n    kind: LogSink\n";
    let indented: String = documents.lines().map(|line| format!("    {line}\n")).collect();
    let changes =
        [("logferry:0.1.0", AGENT_IMAGE), (begin, &format!("    ---\n{indented}{begin}"))];
    on_this_node("../deploy/manifests/logferry.yaml", bed, cluster, &changes)
}

/// A file of manifests, with the folders of this node and further changes.
fn on_this_node(file: &str, bed: &Bed, cluster: &Cluster, changes: &[(&str, &str)]) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let (own, logs) = (bed.path("").display().to_string(), cluster.logs().display().to_string());
    let own = own.trim_end_matches('/');
    let folders = [("/var/log/pods", logs.as_str()), ("/var/lib/logferry", own)];
    folders.iter().chain(changes).fold(text, |text, (from, to)| {
        assert!(text.contains(from), "the manifests have no {from}");
        text.replace(from, to)
    })
}

/// Where pods, which have a network of their own, find this machine; nobody is asked for it.
fn own_address() -> Ipv4Addr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").unwrap();
    let IpAddr::V4(address) = socket.local_addr().unwrap().ip() else { panic!("it is of IPv4") };
    address
}

/// A pod that runs a command of busybox, once.
fn pod(name: &str, script: &str) -> String {
    let app = json!({"name": "app", "image": IMAGE, "command": ["sh", "-c", script]});
    let spec = json!({"restartPolicy": "Never", "containers": [app]});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}).to_string()
}

/// A kubectl that waits by itself, as often as there is time for.
fn patiently(admin: &User, arguments: &[&str]) {
    let deadline = Deadline::after(PATIENCE);
    while let Err(error) = admin.kubectl(&[arguments, &["--timeout=50s"]].concat()) {
        if deadline.left().is_none() {
            let all = admin.kubectl(&["describe", "pods", "--all-namespaces"]);
            panic!("{error:#}\n{}", all.unwrap_or_default());
        }
    }
}

/// What is in the topic.
fn delivered(brokers: &Brokers) -> Vec<Value> {
    let ends = brokers.end_offsets("logs").unwrap();
    let count = ends.values().sum();
    let read = brokers.consume_count("logs", 0, Isolation::Uncommitted, count).unwrap();
    let values = read.iter().flat_map(|it| it.value.clone()).flatten().collect::<Vec<u8>>();
    let lines = values.split(|it| *it == b'\n').filter(|it| !it.is_empty());
    lines.map(|it| serde_json::from_slice(it).expect("a record")).collect()
}

/// Bodies of what is in the topic, sorted.
fn jobs(brokers: &Brokers) -> Vec<String> {
    let mut all: Vec<String> = delivered(brokers).iter().map(body).collect();
    all.sort();
    all
}

fn bodies(records: &[Value], pod: &str) -> Vec<String> {
    records.iter().filter(|it| it["k8s.pod.name"] == pod).map(body).collect()
}

#[test]
fn the_manifests_collect_into_queue_and_kafka_what_other_pods_write_while_the_kubelet_rotates() {
    let (bed, cluster) = (Bed::new(), Cluster::start().unwrap());
    let brokers = Brokers::builder().at(SocketAddrV4::new(own_address(), PORT));
    let brokers = brokers.start().unwrap();
    brokers.create_topic("logs", 1, 1, &[]).unwrap();
    let address = brokers.addresses(Listener::Plain);
    let documents = format!(
        "apiVersion: logferry.dev/v1alpha1\nkind: LogSink\nmetadata: {{name: kafka}}\nspec:\n  \
         kafka: {{brokers: ['{address}'], topic: logs}}\n  encoding: json_lines\n---\n\
         apiVersion: logferry.dev/v1alpha1\nkind: ClusterLogConfig\nmetadata: {{name: a-jobs}}\nspec:\n  \
         sink: kafka\n  source: {{containers: {{pods: {{include: ['job-*']}}}}}}\n"
    );
    cluster.runtime().import(image(AGENT_IMAGE, Path::new(LOGFERRY))).unwrap();
    let admin = cluster.admin();
    admin.apply(&manifests(&bed, &cluster, &documents)).unwrap();
    let ready =
        ["rollout", "status", "--namespace=logferry", "daemonset/logferry", "--timeout=50s"];
    admin.kubectl(&ready).unwrap();

    // The kubelet looks at sizes every three seconds, so this takes a while.
    let write = format!(
        "i=0; while [ $i -lt {LINES} ]; do echo line $i of a pod that writes more than its log may have; \
         i=$((i + 1)); [ $((i % 250)) = 0 ] && sleep 0.4; done; sleep 1000"
    );
    admin.apply(&pod("web-0", &write)).unwrap();
    for number in 0..3 {
        admin
            .apply(&pod(&format!("job-{number}"), &format!("echo only line of {number}")))
            .unwrap();
    }
    let of_web = || bodies(&bed.records(), "web-0");
    let lines = wait_until("all records", of_web, |it| it.len() >= LINES);
    let want =
        |number: usize| format!("line {number} of a pod that writes more than its log may have");
    assert_eq!(lines, (0..LINES).map(want).collect::<Vec<String>>());
    // What the agent prints itself is collected as well.
    let records = bed.records();
    assert!(records.iter().any(|it| it["k8s.namespace.name"] == "logferry"));
    assert!(records.iter().all(|it| !it["k8s.pod.name"].as_str().unwrap().starts_with("job-")));
    let jobs = wait_until("all jobs", || jobs(&brokers), |it| it.len() >= 3);
    assert_eq!(jobs, [0, 1, 2].map(|number| format!("only line of {number}")));
    assert!(records.iter().all(|it| it["k8s.node.name"] == node_kit::NODE), "{}", records[0]);
    wait_for("a rotation of the kubelet's", || {
        let pods = fs::read_dir(cluster.logs()).unwrap().flatten().map(|it| it.path().join("app"));
        let files: Vec<_> =
            pods.filter_map(|it| fs::read_dir(it).ok()).flatten().flatten().collect();
        let names: Vec<_> = files.iter().map(|it| it.file_name().into_string().unwrap()).collect();
        let is_rotated = names.iter().any(|name| name.starts_with("0.log.2"));
        if is_rotated { Ok(()) } else { Err(format!("{names:?}")) }
    });
    let end = ["delete", "daemonset", "logferry", "--namespace=logferry"];
    admin.kubectl(&[&end[..], &["--cascade=foreground", "--timeout=50s"]].concat()).unwrap();
    bed.assert_audit_clean();
}
