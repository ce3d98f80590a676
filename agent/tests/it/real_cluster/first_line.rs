//! How soon the first line of a new pod is delivered: kubelet, containerd and API server are real. The machine may be
//! busy: the numbers are printed.

use std::fs;
use std::path::Path;

use flow::{Clock, SystemClock};
use jiff::Timestamp;
use node_kit::{Cluster, IMAGE, NODE};
use serde_json::json;

use super::resources::manifests;
use super::start_agent;
use crate::kit::{Bed, Run, get, now_ns, queue_sink, resource, sleep_ms, wait_until};

/// Pods whose first lines are timed.
const PODS: usize = 60;

/// Longest wait for one of them: a kubelet on a busy machine takes its time.
const PATIENCE_NS: u64 = 120_000_000_000;

/// A pod that prints one line, and ends.
fn pod(name: &str) -> String {
    let command = ["sh", "-c", "echo first line"];
    let app = json!({"name": "app", "image": IMAGE, "command": command});
    let metadata = json!({"name": name, "labels": {"app": "web"}});
    let spec = json!({"restartPolicy": "Never", "containers": [app]});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}).to_string()
}

/// When the runtime took the first line of a pod, by the time of day, in nanoseconds.
fn printed_ns(logs: &Path, pod: &str) -> i64 {
    let begin = format!("default_{pod}_");
    let folders = fs::read_dir(logs).unwrap().map(|it| it.unwrap());
    let mut own = folders.filter(|it| it.file_name().to_string_lossy().starts_with(&begin));
    let folder = own.next().expect("the pod has run").path();
    let text = fs::read_to_string(folder.join("app/0.log")).unwrap();
    let time: Timestamp = text.split(' ').next().unwrap().parse().unwrap();
    time.as_nanosecond().try_into().expect("this century")
}

#[test]
fn the_first_line_of_a_new_pod_of_a_real_cluster_is_delivered_soon() {
    let (bed, cluster) = (Bed::new(), Cluster::start().unwrap());
    let admin = cluster.admin();
    admin.apply(&Run::of(&["crds"]).stdout).unwrap();
    for kind in ["Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding"] {
        admin.apply(&manifests(kind)).unwrap();
    }
    let account = cluster.server().service_account("logferry", "logferry").unwrap();
    let logs = cluster.logs();
    let fields = format!("  nodeName: {NODE}\n  podLogsDirectory: '{}'\n", logs.display());
    // What is selected by labels is read when the API server has told of the pod.
    let selected = "  source: {containers: {podSelector: {matchLabels: {app: web}}}}\n";
    let config = resource("ClusterLogConfig", "web", selected);
    bed.configure(&[&bed.agent(&fields), &queue_sink(""), &config]);
    let agent = start_agent(&bed, account.kubeconfig(), &[]);
    wait_until("all watches", || agent.metric("logferry_kube_watch_open"), |it| *it == 5.0);

    let delivered = || agent.metric("logferry_delivered_records_total");
    let mut took_ms: Vec<i64> = (0..PODS)
        .map(|number| {
            let name = format!("web-{number}");
            admin.create(&pod(&name)).unwrap();
            let begin_ns = now_ns();
            while delivered() < (number + 1) as f64 {
                if now_ns() - begin_ns > PATIENCE_NS {
                    let pods = admin.kubectl(&["get", "pods,events", "--output=wide"]);
                    let waiting = agent.metric("logferry_waiting_pods");
                    let sources = get(bed.listen, "/debug/sources");
                    panic!("{name} is delivered: not within 120 s; at the end: {pods:?}, {waiting} pods wait, {sources:?}");
                }
                sleep_ms(5);
            }
            (SystemClock.unix_ns() - printed_ns(&logs, &name)) / 1_000_000
        })
        .collect();
    took_ms.sort_unstable();
    let [p50, p99] = [50, 99].map(|it| took_ms[(PODS * it).div_ceil(100) - 1]);
    eprintln!(
        "first line of a new pod delivered after p50 {p50} ms, p99 {p99} ms of {PODS}: {took_ms:?}"
    );
    assert_eq!(delivered(), PODS as f64);
    agent.stop();
    bed.assert_audit_clean();
}
