//! The life of a sidecar: it starts before its application whatever its sink does, and ends after it with all delivered.

use std::fs;

use kafka_kit::Cluster as Brokers;
use node_kit::NODE;
use serde_json::{Value, json};

use super::super::{delivered, start_agent};
use super::scene::{FOLDER, Scene, has_sidecar, pod, wait_for_bodies};
use crate::kit::{Agent, Bed, body, queue_sink, wait_for};

/// Lines before the pod is deleted, and as many that it writes when it is told to end.
const LINES: usize = 1_000;

/// Files of the pods of a Job, and what of them is one record.
const TRACES: &str = "
apiVersion: logferry.dev/v1alpha1
kind: LogConfig
metadata: {name: traces, namespace: default}
spec:
  source: {containers: {owner: {kind: Job, name: once}, files: {include: [/var/log/app/*.log]}}}
  multiline: {begin: ^begin}
---
apiVersion: logferry.dev/v1alpha1
kind: ClusterLogConfig
metadata: {name: others}
spec: {source: {containers: {pods: {include: [once-*]}, files: {include: [/tmp/*.txt]}}}}
";

/// What somebody adds to what a sidecar runs with.
const FURTHER: &str = "
---
apiVersion: logferry.dev/v1alpha1
kind: ClusterLogConfig
metadata: {name: further}
spec: {tenant: default, source: {files: {include: [/var/log/app/*.txt]}}}
";

/// An agent of the node that reads files inside of containers, with what the cluster says, beside that of the chart.
fn agent_for_files(bed: &Bed, scene: &Scene) -> Agent {
    let runtime = scene.cluster.runtime();
    let fields = format!(
        "  nodeName: {NODE}\n  podLogsDirectory: '{}'\n  containerRuntime:\n    socket: '{}'\n    kubeletDirectory: '{}'\n",
        scene.cluster.logs().display(),
        runtime.socket().display(),
        runtime.kubelet_folder().display()
    );
    bed.configure(&[&bed.agent(&fields), &queue_sink("")]);
    start_agent(bed, scene.admin().kubeconfig(), &[])
}

/// An application that writes to a file and to its output, and once more to the file when it is told to end.
fn script() -> String {
    let write = format!(
        "n=$1; while [ $n -lt $2 ]; do echo \"line $n of web\"; n=$((n + 1)); done >>{FOLDER}/app.log"
    );
    format!(
        "write() {{ {write}; }}; trap 'write {LINES} {}; exit 0' TERM; write 0 {LINES}; echo on its output; \
         while :; do sleep 0.1; done",
        2 * LINES
    )
}

fn lines(until: usize) -> Vec<String> {
    (0..until).map(|number| format!("line {number} of web")).collect()
}

fn records_of(brokers: &Brokers, pod: &str) -> Vec<Value> {
    let all = delivered(brokers);
    let is_of = |it: &Value| it["k8s.pod.name"].as_str().is_some_and(|it| it.starts_with(pod));
    all.into_iter().filter(is_of).collect()
}

fn bodies_of(brokers: &Brokers, pod: &str) -> Vec<String> {
    records_of(brokers, pod).iter().map(body).collect()
}

#[test]
fn a_sidecar_delivers_all_that_its_application_wrote_and_holds_up_neither_its_start_nor_its_end() {
    let scene = Scene::start();
    let admin = scene.admin();
    // Where sidecars deliver to nobody listens: the pod starts all the same.
    admin.apply(&pod("web-0", &script()).to_string()).unwrap();
    scene.wait_ready("web-0");
    let web: Value =
        serde_json::from_str(&admin.kubectl(&["get", "pod", "web-0", "--output=json"]).unwrap())
            .unwrap();
    assert!(has_sidecar(&web), "{web}");
    assert_eq!(web["status"]["initContainerStatuses"][0]["started"], true, "{web}");
    let brokers = scene.start_broker();
    wait_for_bodies(&lines(LINES), || bodies_of(&brokers, "web-0"));
    let first = &records_of(&brokers, "web-0")[0];
    for (attribute, value) in [
        ("k8s.namespace.name", json!("default")),
        ("k8s.pod.uid", web["metadata"]["uid"].clone()),
        ("k8s.node.name", json!(NODE)),
        ("k8s.pod.label.app", json!("web-0")),
        ("log.file.path", json!(format!("{FOLDER}/app.log"))),
    ] {
        assert_eq!(first[attribute], value, "{attribute}: {first}");
    }
    // Labels that are changed later are told by the kubelet, and so is what whoever may change pods lets it run with.
    admin.kubectl(&["label", "pod", "web-0", "--overwrite", "app=other"]).unwrap();
    let config = web["metadata"]["annotations"]["sidecar.logferry.dev/config"].as_str().unwrap();
    let config = format!("sidecar.logferry.dev/config={config}{FURTHER}");
    admin.kubectl(&["annotate", "pod", "web-0", "--overwrite", &config]).unwrap();
    // What it prints is the business of its node's agent, as ever, and its files are not.
    wait_for_bodies(&["on its output".to_owned()], || scene.of_node("web-0", "app"));

    // A Job ends, though its sidecar never would by itself. Its pods name no files: a LogConfig does.
    admin.apply(TRACES).unwrap();
    let bed_for_files = Bed::new();
    let for_files = agent_for_files(&bed_for_files, &scene);
    let script =
        format!("printf 'begin 1\\n more\\nbegin 2\\n' >>{FOLDER}/job.log; echo other >/tmp/a.txt");
    let mut job = pod("", &script);
    job["spec"]["restartPolicy"] = json!("Never");
    let annotations = json!({"sidecar.logferry.dev/inject": "true"});
    let template = json!({"metadata": {"annotations": annotations}, "spec": job["spec"]});
    let metadata = json!({"name": "once"});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}});
    admin.apply(&job.to_string()).unwrap();
    scene.patiently(&["wait", "--for=condition=Complete", "job/once"]);
    let traces = ["begin 1\n more", "begin 2"].map(str::to_owned);
    wait_for_bodies(&traces, || bodies_of(&brokers, "once-"));
    let of_job = [
        "get",
        "pods",
        "--selector=job-name=once",
        "--output=jsonpath={.items[*].status.initContainerStatuses[*].state.terminated.exitCode}",
    ];
    assert_eq!(admin.kubectl(&of_job).unwrap(), "0", "the sidecar's end");
    // The node's agent leaves to the sidecar what is its own, and has the rest.
    bed_for_files.wait_for_bodies(&["other"]);
    for_files.stop();

    // Its application writes more when it is told to end, and the broker takes nothing before that is done.
    let uid = web["metadata"]["uid"].as_str().unwrap();
    let volume = format!("pods/{uid}/volumes/kubernetes.io~empty-dir/logferry-files-0/app.log");
    let file = scene.cluster.runtime().kubelet_folder().join(volume);
    let said = scene.cluster.logs().join(format!("default_web-0_{uid}/logferry/0.log"));
    wait_for("both changes", || {
        let text = fs::read_to_string(&said).unwrap_or_default();
        let is_said = |it: &&str| text.contains(*it);
        let all = ["labels of the pod changed", "configuration in force"];
        if all.iter().all(is_said) { Ok(()) } else { Err(text) }
    });
    brokers.broker(1).pause().unwrap();
    admin.kubectl(&["delete", "pod", "web-0", "--wait=false"]).unwrap();
    let last = lines(2 * LINES).pop().unwrap() + "\n";
    wait_for("the application's end", || {
        let text = fs::read_to_string(&file).unwrap_or_default();
        if text.ends_with(&last) { Ok(()) } else { Err(format!("{} bytes", text.len())) }
    });
    brokers.broker(1).resume().unwrap();
    scene.patiently(&["wait", "--for=delete", "pod/web-0"]);
    assert_eq!(bodies_of(&brokers, "web-0"), lines(2 * LINES));
    let last = &records_of(&brokers, "web-0")[2 * LINES - 1];
    assert_eq!(last["k8s.pod.label.app"], "other", "{last}");
    scene.bed.assert_audit_clean();
    let said = scene.operator_logs();
    assert!(said.contains("showing a new certificate") && !said.contains("forbidden"), "{said}");
}
