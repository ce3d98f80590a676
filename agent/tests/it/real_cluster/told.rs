//! The agent tells the cluster what becomes of its LogConfigs, with the rights that the chart gives it.

use std::fs;

use node_kit::ApiServer;
use serde_json::Value;

use super::resources::manifests;
use super::{log_of_web, start_agent, write_line};
use crate::kit::{Agent, Bed, Run, sleep_ms, wait_until};

const OBJECTS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: default}
spec: {nodeName: node-1, containers: [{name: app, image: any}]}
";

fn resources(bed: &Bed) -> String {
    let (queue, root) = (bed.queue().display().to_string(), bed.path("pods").display().to_string());
    format!(
        "apiVersion: logferry.dev/v1alpha1
kind: LogSink
metadata: {{name: default}}
spec: {{queue: {{path: {queue}}}}}
---
apiVersion: logferry.dev/v1alpha1
kind: ClusterLogConfig
metadata: {{name: web}}
spec: {{source: {{containers: {{root: {root}}}}}}}
---
apiVersion: logferry.dev/v1alpha1
kind: LogConfig
metadata: {{name: lost, namespace: default}}
spec: {{sink: nowhere, source: {{containers: {{}}}}}}
"
    )
}

fn told(server: &ApiServer) -> Value {
    let what = ["get", "lognode", "node-1", "--namespace=logferry", "--output=json"];
    let text = server.admin().kubectl(&what).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// What it says of a LogConfig.
fn of(told: &Value, name: &str) -> Value {
    let all = told["status"]["logConfigs"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|it| it["name"] == name).unwrap_or_default()
}

/// Names of the agent's threads.
fn threads(agent: &Agent) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", agent.pid())).unwrap();
    // One may end meanwhile.
    let name = |it: fs::DirEntry| fs::read_to_string(it.path().join("comm")).ok();
    tasks.flatten().filter_map(name).map(|it| it.trim_end().to_owned()).collect()
}

#[test]
fn the_cluster_is_told_what_is_collected_with_the_rights_of_the_chart_and_only_news() {
    let server = ApiServer::start().unwrap();
    let admin = server.admin();
    admin.apply(&Run::of(&["crds"]).stdout).unwrap();
    let rights =
        ["Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
    for kind in rights {
        admin.apply(&manifests(kind)).unwrap();
    }
    admin.apply(OBJECTS).unwrap();
    let bed = Bed::new();
    bed.configure(&[&bed.agent("  nodeName: node-1\n")]);
    let log = log_of_web(&bed, admin);
    let write = |body: &str| write_line(&log, body);
    admin.apply(&resources(&bed)).unwrap();
    write("one");
    // The account's pod is in this namespace; a kubeconfig says so by its context.
    let account = server.service_account("logferry", "logferry").unwrap();
    let text = fs::read_to_string(account.kubeconfig()).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["contexts"][0]["context"]["namespace"] = "logferry".into();
    let kubeconfig = bed.path("kubeconfig");
    fs::write(&kubeconfig, config.to_string()).unwrap();
    let agent = start_agent(&bed, &kubeconfig, &["--node-status"]);
    wait_until("the queue", || bed.queue().is_dir(), |it| *it);
    bed.wait_for_bodies(&["one"]);

    let first = wait_until(
        "what is told",
        || told(&server),
        |it| of(it, "web")["counts"]["deliveredRecords"] == 1,
    );
    let size = fs::metadata(&log).unwrap().len();
    let counts = &of(&first, "web")["counts"];
    for field in ["readBytes", "deliveredBytes"] {
        assert_eq!(counts[field], size, "{counts}");
    }
    assert_eq!((&counts["pods"], &counts["containers"]), (&1.into(), &1.into()), "{counts}");
    assert_eq!((&counts["lagBytes"], &counts["lostBytes"]), (&0.into(), &0.into()), "{counts}");
    let problem = of(&first, "lost")["problems"][0].as_str().unwrap_or_default().to_owned();
    assert!(problem.contains("no LogSink has this name"), "{first}");

    // Longer than a period in which nothing happens, and one in which something does.
    sleep_ms(35_000);
    let version = |it: &Value| it["metadata"]["resourceVersion"].clone();
    assert_eq!(version(&told(&server)), version(&first), "it was written without need");
    write("two");
    bed.wait_for_bodies(&["one", "two"]);
    wait_until("news", || told(&server), |it| of(it, "web")["counts"]["deliveredRecords"] == 2);
    // The resource is good now: what was wrong is not said any more.
    admin.kubectl(&["delete", "logconfig", "lost"]).unwrap();
    wait_until("the end of a problem", || told(&server), |it| of(it, "lost").is_null());
    assert!(!agent.stderr().contains("is not told"), "{}", agent.stderr());
    // All of its threads are in the memory plan, beside the one that it begins with.
    let threads = threads(&agent);
    assert!(threads.iter().any(|it| it == "lf-status"), "{threads:?}");
    let planned = agent.stderr();
    let planned = planned.split(" threads x ").next().and_then(|it| it.rsplit(' ').next());
    let planned: usize = planned.and_then(|it| it.parse().ok()).expect("the plan is said");
    assert!(threads.len() <= planned + 1, "{planned} are planned, there are {threads:?}");
    agent.stop();
}
