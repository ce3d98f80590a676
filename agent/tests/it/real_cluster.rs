//! The agent as a DaemonSet of a real cluster: a pod as any other, that collects from the others.
//!
//! `scripts/test.sh` leaves out all of `real_cluster::` where Kubernetes is not built, or no container can run.

mod resources;
mod told;

use std::fs;
use std::path::Path;

use node_kit::{Cluster, IMAGE, Image};
use serde_json::{Value, json};

use crate::kit::{Bed, LOGFERRY, body, queue_sink, wait_for, wait_until};

/// Name of the agent's image.
const AGENT_IMAGE: &str = "test.logferry.dev/logferry:1";
/// Lines of the pod that writes much: some 600 KB, ten times what the kubelet lets a log have.
const LINES: usize = 8_000;

/// The program with the libraries that it asks for, and nothing else.
fn image() -> Image {
    let config = json!({"Entrypoint": ["/logferry"]});
    let mut image =
        Image::new(AGENT_IMAGE, config).program("/logferry", Path::new(LOGFERRY)).unwrap();
    let output = std::process::Command::new("ldd").arg(LOGFERRY).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for library in text.split_whitespace().filter(|word| word.starts_with('/')) {
        image = image.program(library, Path::new(library)).unwrap();
    }
    image
}

/// The agent on every node. It may read the logs, and write to its own folder; it may do nothing else.
fn daemon_set(bed: &Bed, cluster: &Cluster) -> Value {
    let (own, logs) = (bed.path("").display().to_string(), cluster.logs().display().to_string());
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "logferry"},
        "spec": {
            "selector": {"matchLabels": {"app": "logferry"}},
            "template": {
                "metadata": {"labels": {"app": "logferry"}},
                "spec": {
                    "automountServiceAccountToken": false,
                    "containers": [{
                        "name": "agent",
                        "image": AGENT_IMAGE,
                        "args": ["run", "--file", bed.config()],
                        "env": [{
                            "name": "NODE_NAME",
                            "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}},
                        }],
                        "readinessProbe": {
                            "httpGet": {"path": "/ready", "port": bed.listen.port()},
                            "periodSeconds": 1,
                        },
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "readOnlyRootFilesystem": true,
                            "capabilities": {"drop": ["ALL"]},
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "volumeMounts": [
                            {"name": "own", "mountPath": own},
                            {"name": "logs", "mountPath": logs, "readOnly": true},
                        ],
                    }],
                    "volumes": [
                        {"name": "own", "hostPath": {"path": own}},
                        {"name": "logs", "hostPath": {"path": logs}},
                    ],
                },
            },
        },
    })
}

/// A pod that runs a command of busybox, once.
fn pod(name: &str, script: &str) -> String {
    let app = json!({"name": "app", "image": IMAGE, "command": ["sh", "-c", script]});
    let spec = json!({"restartPolicy": "Never", "containers": [app]});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}).to_string()
}

fn bodies(records: &[Value], pod: &str) -> Vec<String> {
    records.iter().filter(|it| it["k8s.pod.name"] == pod).map(body).collect()
}

#[test]
fn a_daemon_set_without_any_right_collects_what_other_pods_write_while_the_kubelet_rotates() {
    let (bed, cluster) = (Bed::new(), Cluster::start().unwrap());
    // The pod has a network of its own, in which the kubelet asks whether it is ready.
    let agent = bed.agent("").replace("'127.0.0.1:", "'0.0.0.0:");
    let logs = cluster.logs().display().to_string();
    let source = format!(
        "apiVersion: logferry.dev/v1alpha1\nkind: LogConfig\nmetadata: {{name: pods}}\nspec:\n  \
         source:\n    containers:\n      root: '{logs}'\n      pods: {{include: ['web-*', 'job-*']}}\n"
    );
    bed.configure(&[&agent, &queue_sink(""), &source]);
    cluster.runtime().import(image()).unwrap();
    let admin = cluster.admin();
    admin.apply(&daemon_set(&bed, &cluster).to_string()).unwrap();
    let ready = ["rollout", "status", "daemonset/logferry", "--timeout=50s"];
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
    let all = LINES + 3;
    let records = wait_until("all records", || bed.records(), |it| it.len() >= all);
    assert_eq!(records.len(), all);
    let want =
        |number: usize| format!("line {number} of a pod that writes more than its log may have");
    assert_eq!(bodies(&records, "web-0"), (0..LINES).map(want).collect::<Vec<String>>());
    for number in 0..3 {
        assert_eq!(bodies(&records, &format!("job-{number}")), [format!("only line of {number}")]);
    }
    assert!(records.iter().all(|it| it["k8s.node.name"] == node_kit::NODE), "{}", records[0]);
    wait_for("a rotation of the kubelet's", || {
        let pods = fs::read_dir(cluster.logs()).unwrap().flatten().map(|it| it.path().join("app"));
        let files: Vec<_> =
            pods.filter_map(|it| fs::read_dir(it).ok()).flatten().flatten().collect();
        let names: Vec<_> = files.iter().map(|it| it.file_name().into_string().unwrap()).collect();
        let is_rotated = names.iter().any(|name| name.starts_with("0.log.2"));
        if is_rotated { Ok(()) } else { Err(format!("{names:?}")) }
    });
    let end = ["delete", "daemonset", "logferry", "--cascade=foreground", "--timeout=50s"];
    admin.kubectl(&end).unwrap();
    bed.assert_audit_clean();
}
