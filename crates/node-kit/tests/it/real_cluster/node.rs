//! A whole cluster of one node.

use std::fs;
use std::process::Command;

use node_kit::{Cluster, Containerd, IMAGE, NODE};

#[test]
fn a_pod_that_is_applied_runs_on_the_node_and_its_log_lies_where_the_kubelet_has_it() {
    let cluster = Cluster::start().unwrap();
    let admin = cluster.admin();
    let pod = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: web-0}}, spec: {{restartPolicy: Never, hostNetwork: true, \
         containers: [{{name: app, image: {IMAGE}, command: [sh, -c, 'echo hello; exit 3']}}]}}}}"
    );
    admin.apply(&pod).unwrap();
    let phase = "--for=jsonpath={.status.phase}=Failed";
    admin.kubectl(&["wait", phase, "--timeout=50s", "pod/web-0"]).unwrap();
    let node = admin.kubectl(&["get", "pod", "web-0", "--output=jsonpath={.spec.nodeName}"]);
    assert_eq!(node.unwrap(), NODE);
    let uid = admin.kubectl(&["get", "pod", "web-0", "--output=jsonpath={.metadata.uid}"]).unwrap();
    // It stays for a while when the pod is deleted: the kubelet looks once a minute.
    let log = cluster.logs().join(format!("default_web-0_{uid}/app/0.log"));
    assert!(fs::read_to_string(log).unwrap().ends_with(" stdout F hello\n"));
}

/// Numbers of the processes that run `sleep` for so long.
fn sleepers(seconds: u32) -> String {
    let output = Command::new("pgrep").args(["-xf", &format!("sleep {seconds}")]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a pod that sleeps for so long.
fn sleep(cluster: &Cluster, seconds: u32) {
    let pod = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: web-0}}, \
         spec: {{containers: [{{name: app, image: {IMAGE}, command: [sleep, '{seconds}']}}]}}}}"
    );
    cluster.admin().apply(&pod).unwrap();
    let wait = ["wait", "--for=condition=Ready", "--timeout=50s", "pod/web-0"];
    cluster.admin().kubectl(&wait).unwrap();
}

/// Whether pods reach the API server at this address of the machine.
fn is_own(address: &str) -> bool {
    let output = Command::new("ip").args(["-oneline", "address", "show", "dev", "lo"]).output();
    String::from_utf8(output.unwrap().stdout).unwrap().contains(&format!(" {address}/32 "))
}

#[test]
fn neither_a_pod_nor_an_address_outlives_the_cluster() {
    let cluster = Cluster::start().unwrap();
    let seconds = 1_000_000 + std::process::id();
    sleep(&cluster, seconds);
    assert_ne!(sleepers(seconds), "");
    let address = ["get", "service", "kubernetes", "--output=jsonpath={.spec.clusterIP}"];
    let address = cluster.admin().kubectl(&address).unwrap();
    assert!(is_own(&address), "{address}");
    drop(cluster);
    assert_eq!(sleepers(seconds), "");
    assert!(!is_own(&address), "{address}");
}

#[test]
fn a_node_that_ends_without_containers_leaves_those_of_others_alone() {
    let cluster = Cluster::start().unwrap();
    let seconds = 2_000_000 + std::process::id();
    sleep(&cluster, seconds);
    let before = sleepers(seconds);
    drop(Containerd::start().unwrap());
    assert_eq!(sleepers(seconds), before);
}
