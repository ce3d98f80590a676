//! An agent that is the sidecar of a pod, without a cluster: what the kubelet would tell it comes by environment and file.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::kit::{Agent, Bed, LOGFERRY, append, body, files, queue_sink};

const LABEL: &str = "k8s.pod.label.app";

#[test]
fn records_of_a_sidecar_bear_the_labels_of_its_pod_as_they_are_when_it_reads() {
    let bed = Bed::new();
    let agent = bed.agent("  podLabels: [app, team]\n");
    bed.configure(&[&agent, &queue_sink(""), &files("files", "*.log", "")]);
    let labels = bed.path("labels");
    // As the kubelet does: the file is another, by a rename.
    let label = |text: &str| {
        let next = bed.path("labels.next");
        fs::write(&next, text).unwrap();
        fs::rename(next, &labels).unwrap();
    };
    label("app=\"web\"\ntier=\"front\"\n");
    let mut command = Command::new(LOGFERRY);
    let identity = [("NAMESPACE", "shop"), ("NAME", "web-0"), ("UID", "11111111")];
    for (name, value) in identity {
        command.env(format!("LOGFERRY_POD_{name}"), value);
    }
    command.env("LOGFERRY_POD_LABELS", &labels);
    let mut agent = Agent::spawn_as(&bed, command);
    agent.wait_ready();
    append(&bed.log("app.log"), b"first\n");
    let first = &bed.wait_for_records(1)[0];
    let text = |record: &Value, key: &str| record[key].as_str().map(str::to_owned);
    assert_eq!(text(first, LABEL).as_deref(), Some("web"), "{first:#}");
    assert_eq!(text(first, "k8s.pod.name").as_deref(), Some("web-0"));
    assert_eq!(text(first, "k8s.pod.label.tier"), None, "nobody asked for it");
    // It is changed while the same file is read: nothing is read twice, and nothing is missing.
    label("app=\"shop\"\nteam=\"blue\"\n");
    agent.wait_said("labels of the pod changed");
    append(&bed.log("app.log"), b"second\n");
    let records = bed.wait_for_records(2);
    let second = &records[1];
    assert_eq!(body(second), "second");
    assert_eq!(text(second, LABEL).as_deref(), Some("shop"), "{second:#}");
    assert_eq!(text(second, "k8s.pod.label.team").as_deref(), Some("blue"));
    assert_eq!(first["log.context.id"], second["log.context.id"]);
    agent.stop();
    bed.assert_audit_clean();
}
