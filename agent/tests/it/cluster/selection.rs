//! Who is selected by what the API server says of a pod, and which LogConfig has it.

use serde_json::{Value, json};

use super::bed::{ClusterBed, POD, PodName, cluster_config, line};
use crate::kit::{Run, append, sleep_ms, wait_until};

/// What `explain` says of the pod's log.
fn explain(bed: &ClusterBed, pod: &PodName) -> String {
    let (config, path) = (bed.config(), bed.log(pod));
    Run::of(&["explain", "-f", config.to_str().unwrap(), path.to_str().unwrap()]).stdout
}

/// A ClusterLogConfig of that name, for what `which` says below the root.
fn select(bed: &ClusterBed, name: &str, sink: &str, which: Value) {
    let mut containers = json!({"root": bed.root()});
    containers.as_object_mut().unwrap().extend(which.as_object().cloned().unwrap());
    let mut config = cluster_config(name, json!({"containers": containers}));
    config["spec"]["sink"] = json!(sink);
    bed.api.apply("clusterlogconfigs", config);
}

/// A LogSink called `other`, which writes to the file that is returned.
fn other_sink(bed: &ClusterBed) -> std::path::PathBuf {
    let path = bed.path("other.jsonl");
    let spec = json!({"file": {"path": path.to_string_lossy()}});
    bed.api.apply("logsinks", json!({"metadata": {"name": "other"}, "spec": spec}));
    path
}

fn read(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn containers_are_selected_by_their_variables() {
    let bed = ClusterBed::new();
    bed.api.apply("logsinks", bed.sink());
    let pods = [("on", json!({"name": "LOGS", "value": "on"})), ("off", json!({"name": "LOGS"}))];
    for (name, variable) in &pods {
        bed.tell_pod_with_env(name, variable);
        append(&bed.log_of(name), line(name).as_bytes());
    }
    select(&bed, "web", "default", json!({"env": {"include": [{"name": "LOGS", "value": "on"}]}}));
    let agent = bed.start();
    bed.wait_for_bodies(&["on"]);
    bed.wait_state("\"uid\":\"on\"");
    let state = read(&bed.state());
    let (_, pods) = state.split_once("\"pods\":").unwrap();
    assert!(!pods.contains("LOGS"), "variables are nobody's business: {pods}");
    agent.stop();
    // Also without an API server.
    bed.api.set_down(true);
    append(&bed.log_of("on"), line("again").as_bytes());
    let agent = bed.start();
    bed.wait_for_bodies(&["on", "again"]);
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn names_are_selected_by_a_regular_expression() {
    let bed = ClusterBed::new();
    bed.api.apply("logsinks", bed.sink());
    let others = [PodName { name: "db-0", uid: "2" }, PodName { name: "web-x", uid: "3" }];
    for pod in [&POD, &others[0], &others[1]] {
        bed.add_pod(pod, json!({}));
        append(&bed.log(pod), line(pod.name).as_bytes());
    }
    select(&bed, "web", "default", json!({"pods": {"pattern": "^web-[0-9]+$"}}));
    let agent = bed.start();
    bed.wait_for_bodies(&["web-0"]);
    bed.wait_state("\"uid\":\"3\"");
    assert!(explain(&bed, &others[1]).contains("pod web-x is not selected"));
    agent.stop();
}

#[test]
fn a_pod_whose_labels_are_not_known_is_not_lost_to_a_config_by_names() {
    let bed = ClusterBed::new();
    bed.api.apply("logsinks", bed.sink());
    let other = other_sink(&bed);
    let labels = json!({"podSelector": {"matchLabels": {"app": "web"}}});
    select(&bed, "a-by-labels", "default", labels);
    select(&bed, "b-by-names", "other", json!({}));
    let db = PodName { name: "db-0", uid: "2" };
    for pod in [&POD, &db] {
        bed.make_directory(pod);
        append(&bed.log(pod), line(pod.name).as_bytes());
    }
    let agent = bed.start();
    let waiting = || agent.metric("logferry_waiting_pods");
    wait_until("both wait", waiting, |it| *it == 2.0);
    sleep_ms(1500);
    assert_eq!(read(&other), "", "nobody knows yet whose they are");
    let said = explain(&bed, &POD);
    assert!(said.contains("LogConfig a-by-labels: does not select it: waits for"), "{said}");
    assert!(said.contains("a-by-labels comes before by name, and may have it"), "{said}");
    bed.tell_pod(&POD, json!({"labels": {"app": "web"}}));
    bed.tell_pod(&db, json!({"labels": {"app": "db"}}));
    bed.wait_for_bodies(&["web-0"]);
    wait_until("the other", || read(&other), |it| it.contains("db-0"));
    assert!(!read(&other).contains("web-0"), "{}", read(&other));
    wait_until("nobody waits", waiting, |it| *it == 0.0);
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn a_selector_that_selects_all_waits_for_nothing() {
    let bed = ClusterBed::new();
    bed.api.apply("logsinks", bed.sink());
    select(&bed, "all", "default", json!({"podSelector": {}, "namespaceSelector": {}}));
    bed.make_directory(&POD);
    append(&bed.log(&POD), line("one").as_bytes());
    let agent = bed.start();
    bed.wait_for_bodies(&["one"]);
    agent.stop();
}

#[test]
fn of_two_that_select_a_pod_the_first_by_name_has_it_and_this_is_said_once() {
    let bed = ClusterBed::new();
    bed.api.apply("logsinks", bed.sink());
    let other = other_sink(&bed);
    select(&bed, "first", "default", json!({"pods": {"include": ["web-*"]}}));
    select(&bed, "second", "other", json!({}));
    let names = ["web-0", "web-1", "web-2", "db-0"];
    for name in names {
        bed.add_pod_of(name, name);
        append(&bed.log_of(name), line(name).as_bytes());
    }
    let agent = bed.start();
    let mut bodies: Vec<String> = bed.wait_for_records(3).iter().map(crate::kit::body).collect();
    bodies.sort();
    assert_eq!(bodies, ["web-0", "web-1", "web-2"]);
    wait_until("the fourth", || read(&other), |it| it.contains("db-0"));
    assert!(!read(&other).contains("web-"), "{}", read(&other));
    let said = agent.stderr().matches("selected twice").count();
    assert_eq!(said, 1, "{}", agent.stderr());
    bed.wait_state("\"name\":\"second\"");
    let said = explain(&bed, &PodName { name: "web-1", uid: "web-1" });
    assert!(said.contains("LogConfig first comes before by name, and has it"), "{said}");
    agent.stop();
    bed.assert_audit_clean();
}
