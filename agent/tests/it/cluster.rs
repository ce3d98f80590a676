//! Resources and pods of a cluster, from an API server that does what it is told.

mod aliyun;
mod bed;
mod latency;
mod selection;
mod tenants;

use std::time::Duration;

use serde_json::json;

use crate::kit::{Run, append, assert_within_ms, sleep_ms, wait_until};
use bed::{ClusterBed, POD, PodName, cluster_config, line, log_config};

#[test]
fn a_resource_that_is_created_delivers_and_one_that_is_removed_stops() {
    let bed = ClusterBed::new();
    bed.add_pod(&POD, json!({}));
    append(&bed.log(&POD), line("before").as_bytes());
    let mut agent = bed.start();
    bed.api.apply("logsinks", bed.sink());
    bed.collect("web");
    bed.wait_for_bodies(&["before"]);
    append(&bed.log(&POD), line("after").as_bytes());
    bed.wait_for_bodies(&["before", "after"]);
    let reloads = || agent.metric("logferry_config_reloads_total");
    let before = reloads();
    bed.api.delete("clusterlogconfigs", "", "web");
    wait_until("the end of collecting", reloads, |it| *it > before);
    append(&bed.log(&POD), line("unwanted").as_bytes());
    sleep_ms(1500);
    bed.wait_for_bodies(&["before", "after"]);
    // What is selected again goes on where it was.
    bed.collect("web");
    bed.wait_for_bodies(&["before", "after", "unwanted"]);
    agent.assert_running();
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn a_change_is_in_force_within_a_second() {
    let bed = ClusterBed::new();
    bed.add_pod(&POD, json!({}));
    bed.api.apply("logsinks", bed.sink());
    let agent = bed.start();
    let reloads = || agent.metric("logferry_config_reloads_total");
    append(&bed.log(&POD), line("one").as_bytes());
    let begin_ns = crate::kit::now_ns();
    bed.collect("web");
    wait_until("in force", reloads, |it| *it == 1.0);
    let took_ms = (crate::kit::now_ns() - begin_ns) / 1_000_000;
    eprintln!("in force after {took_ms} ms: {}", bed.said_of_reload(&agent));
    // The machine may be busy: what is shown is that nothing waits for a timer of seconds.
    assert_within_ms("in force", took_ms, 5000);
    bed.wait_for_bodies(&["one"]);
    agent.stop();
}

#[test]
fn a_broken_resource_is_said_and_harms_no_other() {
    let bed = ClusterBed::new();
    bed.add_pod(&POD, json!({}));
    bed.api.apply("logsinks", bed.sink());
    bed.api.apply("logconfigs", log_config("broken", json!({"containrs": {}})));
    let files = json!({"files": {"include": ["/etc/*"]}});
    bed.api.apply("logconfigs", log_config("thief", files));
    bed.collect("web");
    append(&bed.log(&POD), line("one").as_bytes());
    let agent = bed.start();
    bed.wait_for_bodies(&["one"]);
    agent.wait_said("LogConfig shop/broken");
    agent.wait_said("files belong to the host");
    assert_eq!(agent.metric("logferry_resources_refused"), 2.0);
    // One that becomes bad stays as it was good last, also over a start.
    bed.api.apply("clusterlogconfigs", cluster_config("web", json!({"containers": {"rot": "/"}})));
    wait_until("refused", || agent.metric("logferry_resources_refused"), |it| *it == 3.0);
    append(&bed.log(&POD), line("two").as_bytes());
    bed.wait_for_bodies(&["one", "two"]);
    bed.wait_state("rot\\");
    agent.stop();
    let agent = bed.start();
    append(&bed.log(&POD), line("three").as_bytes());
    bed.wait_for_bodies(&["one", "two", "three"]);
    assert_eq!(agent.ready().0, 200);
    let said = agent.stderr().matches("refused resource=").count();
    assert_eq!(said, 3, "each once: {}", agent.stderr());
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn without_an_api_server_what_it_said_last_is_in_force() {
    let bed = ClusterBed::with_web();
    append(&bed.log(&POD), line("one").as_bytes());
    let agent = bed.start();
    bed.wait_for_bodies(&["one"]);
    bed.wait_state("web-0");
    agent.stop();
    bed.api.set_down(true);
    append(&bed.log(&POD), line("two").as_bytes());
    let agent = bed.start();
    bed.wait_for_bodies(&["one", "two"]);
    assert_eq!(agent.ready().0, 200, "readiness does not depend on the API server");
    let failing = || agent.metric("logferry_kube_failing_seconds");
    wait_until("failing", failing, |it| *it > 0.0);
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn without_an_api_server_and_without_a_state_the_agent_waits_for_it() {
    let bed = ClusterBed::with_web();
    append(&bed.log(&POD), line("one").as_bytes());
    bed.api.set_down(true);
    let agent = bed.start();
    agent.wait_said("only files count");
    bed.api.set_down(false);
    bed.wait_for_bodies(&["one"]);
    agent.stop();
}

#[test]
fn ten_thousand_resources_at_once_make_one_change_within_the_memory() {
    let bed = ClusterBed::new();
    bed.add_pod(&POD, json!({}));
    for number in 0..199 {
        bed.add_pod_of(&format!("batch-{number}"), &format!("uid-{number}"));
    }
    bed.api.apply("logsinks", bed.sink());
    let agent = bed.start();
    bed.collect("web");
    append(&bed.log(&POD), line("one").as_bytes());
    bed.wait_for_bodies(&["one"]);
    let reloads = agent.metric("logferry_config_reloads_total");
    for number in 0..10_000 {
        let mut config = log_config(&format!("web-{number}"), json!({"containers": {}}));
        config["metadata"]["namespace"] = json!(format!("other-{}", number % 500));
        bed.api.apply("logconfigs", config);
    }
    let objects = || agent.metrics().sum_where("logferry_kube_objects", "kind", "LogConfig");
    wait_until("all of them", objects, |it| *it == Some(10_000.0));
    append(&bed.log(&POD), line("two").as_bytes());
    bed.wait_for_bodies(&["one", "two"]);
    assert_eq!(agent.metric("logferry_config_reloads_total"), reloads, "they are of other nodes");
    let peak_kib = agent.peak_memory_kib();
    eprintln!("peak memory: {peak_kib} KiB");
    assert!(peak_kib < 64 << 10, "{peak_kib} KiB");
    agent.stop();
}

#[test]
fn at_rest_the_api_server_is_not_asked() {
    let bed = ClusterBed::new();
    bed.api.apply("logsinks", bed.sink());
    for number in 0..200 {
        bed.add_pod_of(&format!("web-{number}"), &format!("uid-{number}"));
    }
    bed.collect("web");
    let agent = bed.start();
    let open = || agent.metric("logferry_kube_watch_open");
    wait_until("all watches", open, |it| *it == 5.0);
    let before = bed.api.requests().len();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!((before, bed.api.requests().len()), (10, 10), "a list and a watch a kind");
    agent.stop();
}

#[test]
fn pods_are_selected_by_labels_and_their_records_bear_them() {
    let bed = ClusterBed::new();
    bed.configure(&[&bed.agent("  nodeName: node-1\n  podLabels: [app]\n")]);
    bed.api.apply("logsinks", bed.sink());
    let selector = json!({"matchLabels": {"app": "web"}});
    let source = json!({"containers": {"root": bed.root(), "podSelector": selector}});
    bed.api.apply("clusterlogconfigs", cluster_config("web", source));
    let (db, late) = (PodName { name: "db-0", uid: "2" }, PodName { name: "web-1", uid: "3" });
    bed.add_pod(&POD, json!({"labels": {"app": "web", "tier": "front"}}));
    bed.add_pod(&db, json!({"labels": {"app": "db"}}));
    bed.make_directory(&late);
    for pod in [&POD, &db, &late] {
        append(&bed.log(pod), line(pod.name).as_bytes());
    }
    let agent = bed.start();
    let records = bed.wait_for_records(1);
    assert_eq!(records[0]["k8s.pod.label.app"], "web");
    assert!(records[0].get("k8s.pod.label.tier").is_none(), "nobody asked for it");
    // Of the third the API server tells later: it is read from its first byte then.
    let begin_ns = crate::kit::now_ns();
    bed.tell_pod(&late, json!({"labels": {"app": "web"}}));
    bed.wait_for_bodies(&["web-0", "web-1"]);
    eprintln!("delivered {} ms after it was told", (crate::kit::now_ns() - begin_ns) / 1_000_000);
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn a_name_used_again_never_has_the_labels_of_the_pod_before() {
    let bed = ClusterBed::new();
    bed.configure(&[&bed.agent("  nodeName: node-1\n  podLabels: [app]\n")]);
    bed.api.apply("logsinks", bed.sink());
    bed.collect("all");
    bed.add_pod(&POD, json!({"labels": {"app": "old"}}));
    append(&bed.log(&POD), line("old").as_bytes());
    let agent = bed.start();
    assert_eq!(bed.wait_for_records(1)[0]["k8s.pod.label.app"], "old");
    // The kubelet is quicker than the API server: of the new pod, nothing is known when it is read.
    let again = PodName { uid: "22222222", ..POD };
    bed.make_directory(&again);
    append(&bed.log(&again), line("new").as_bytes());
    let records = bed.wait_for_records(2);
    assert_eq!(records[1]["body"], "new");
    assert!(records[1].get("k8s.pod.label.app").is_none(), "{:#}", records[1]);
    // And of the first that ended, nothing is mixed up by what comes now.
    bed.api.delete("pods", "shop", POD.name);
    bed.tell_pod(&again, json!({"labels": {"app": "new"}}));
    append(&bed.log(&POD), line("old, late").as_bytes());
    assert_eq!(bed.wait_for_records(3)[2]["k8s.pod.label.app"], "old");
    agent.stop();
}

#[test]
fn explain_says_that_a_pod_waits_for_the_api_server() {
    let bed = ClusterBed::new();
    bed.api.apply("logsinks", bed.sink());
    let selector = json!({"matchLabels": {"app": "web"}});
    let source = json!({"containers": {"root": bed.root(), "podSelector": selector}});
    bed.api.apply("clusterlogconfigs", cluster_config("web", source));
    let other = PodName { name: "web-1", uid: "2" };
    bed.add_pod(&POD, json!({"labels": {"app": "web"}}));
    bed.make_directory(&other);
    for pod in [&POD, &other] {
        append(&bed.log(pod), line(pod.name).as_bytes());
    }
    let agent = bed.start();
    bed.wait_for_bodies(&["web-0"]);
    bed.wait_state("web-0");
    let explain = |pod: &PodName| {
        let (config, path) = (bed.config(), bed.log(pod));
        Run::of(&["explain", "-f", config.to_str().unwrap(), path.to_str().unwrap()])
    };
    let said = explain(&POD);
    assert!(said.stdout.contains("LogConfig web: selects it"), "{said:?}");
    let said = explain(&other);
    assert!(said.stdout.contains("waits for what the API server says"), "{said:?}");
    agent.stop();
}
