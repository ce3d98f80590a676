//! What agents say is summed up, with the rights that the chart gives.

use std::fs;
use std::time::Duration;

use node_kit::{ApiServer, User};
use serde_json::{Value, json};

use crate::kit::{Operator, SHOP, manifests, server, wait_for, wait_until};

const RESOURCES: &str = "
apiVersion: v1
kind: Node
metadata: {name: node-2}
---
apiVersion: logferry.dev/v1alpha1
kind: ClusterLogConfig
metadata: {name: system}
spec: {source: {containers: {namespaces: {include: [kube-system]}}}}
---
apiVersion: logferry.dev/v1alpha1
kind: LogConfig
metadata: {name: web, namespace: shop}
spec: {source: {containers: {}}}
---
apiVersion: logferry.dev/v1alpha1
kind: LogConfig
metadata: {name: lost, namespace: shop}
spec: {sink: nowhere, source: {containers: {pods: {include: [lost-*]}}}}
";

/// What the agent of a node says.
pub(super) fn log_node(node: &str, log_configs: &Value) -> Value {
    json!({
        "apiVersion": "logferry.dev/v1alpha1",
        "kind": "LogNode",
        "metadata": {"name": node, "namespace": "logferry"},
        "status": {"version": "0.1.0", "logConfigs": log_configs},
    })
}

fn web(bytes: u64, problems: &[&str]) -> Value {
    let counts = json!({"pods": 2, "containers": 3, "sources": 3, "readBytes": bytes,
        "deliveredBytes": bytes, "deliveredRecords": 1, "lagBytes": 10, "shedRecords": 0, "lostBytes": 1,
        "oldestUnackedTime": format!("2026-01-02T03:04:{:02}Z", bytes % 60)});
    json!([{"namespace": "shop", "name": "web", "counts": counts, "problems": problems}])
}

/// An agent's account makes the object.
pub(super) fn create(agent: &User, folder: &tempfile::TempDir, object: &Value) {
    let file = folder.path().join("object.json");
    fs::write(&file, object.to_string()).expect("written");
    let file = file.display().to_string();
    agent.kubectl(&["create", "--filename", &file]).expect("created");
}

/// By the admin: kubectl asks for the object first, which an agent may not.
fn patch(admin: &User, node: &str, log_configs: &Value) {
    let patch = json!({"status": {"logConfigs": log_configs}}).to_string();
    let what = ["patch", "lognode", node, "--namespace=logferry", "--type=merge", "--patch"];
    admin.kubectl(&[&what[..], &[&patch]].concat()).expect("patched");
}

pub(super) fn get(server: &ApiServer, what: &[&str]) -> Value {
    let text = server.admin().kubectl(&[&["get", "--output=json"], what].concat());
    serde_json::from_str(&text.expect("it is there")).expect("JSON")
}

const WEB: [&str; 3] = ["logconfig", "web", "--namespace=shop"];

/// The condition of that type, whole.
pub(super) fn condition_of(object: &Value, about: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|it| it["type"] == about).unwrap_or_default()
}

pub(super) fn condition(object: &Value, about: &str) -> String {
    let found = condition_of(object, about);
    format!(
        "{} {}",
        found["status"].as_str().unwrap_or("-"),
        found["reason"].as_str().unwrap_or("-")
    )
}

pub(super) fn wait_condition(server: &ApiServer, what: &[&str], about: &str, want: &str) -> Value {
    wait_for(&format!("{what:?} {about} {want}"), || {
        Some(get(server, what)).filter(|it| condition(it, about) == want)
    })
}

#[test]
fn what_agents_say_is_summed_up_and_read_back_by_kubectl() {
    let (server, folder) = (server(), tempfile::tempdir().expect("a folder"));
    server.admin().apply(SHOP).expect("a namespace");
    server.admin().apply(RESOURCES).expect("resources");
    let account = server.service_account("logferry", "logferry-operator").expect("an account");
    let flags = ["--namespace=logferry", "--leader-elect-retry-period=500ms", "--status-period=1s"];
    let operator = Operator::start(folder.path(), account.kubeconfig(), &flags);

    // Before any agent says anything, what the validator says.
    wait_condition(&server, &WEB, "Accepted", "True Valid");
    wait_condition(&server, &WEB, "Ready", "Unknown NothingSelected");
    wait_condition(&server, &["logsink", "default"], "Accepted", "True Valid");
    wait_condition(&server, &["clusterlogconfig", "system"], "Accepted", "True Valid");
    let lost =
        wait_condition(&server, &["logconfig", "lost", "-nshop"], "Accepted", "False Invalid");
    let why = lost["status"]["conditions"][0]["message"].as_str().unwrap_or_default();
    assert!(why.contains("no LogSink has this name"), "{why}");
    assert_eq!(lost["status"]["observedGeneration"], 1);

    // Agents say something, with the rights of agents.
    let agent = server.service_account("logferry", "logferry").expect("an account");
    create(&agent, &folder, &log_node("node-1", &web(100, &[])));
    create(&agent, &folder, &log_node("node-2", &web(30, &["the sink takes nothing"])));
    wait_condition(&server, &WEB, "Ready", "False NodeProblems");
    let object = wait_for("both nodes", || {
        Some(get(&server, &WEB)).filter(|it| it["status"]["counts"]["deliveredBytes"] == 130)
    });
    let status = &object["status"];
    assert_eq!(status["counts"]["deliveredBytes"], 130, "{status}");
    assert_eq!(status["counts"]["pods"], 4);
    assert_eq!(status["counts"]["lostBytes"], 2);
    assert_eq!(status["counts"]["oldestUnackedTime"], "2026-01-02T03:04:30Z");
    let problem = json!([{"node": "node-2", "message": "the sink takes nothing"}]);
    assert_eq!(status["nodeProblems"], problem);

    // It is well again, and only counts change then.
    patch(server.admin(), "node-2", &web(50, &[]));
    let object = wait_condition(&server, &WEB, "Ready", "True Collecting");
    assert_eq!(object["status"]["nodeProblems"], Value::Null);
    patch(server.admin(), "node-2", &web(60, &[]));
    wait_until("the counts", || get(&server, &WEB)["status"]["counts"]["deliveredBytes"] == 160);
    let table = server.admin().kubectl(&["get", "logconfig", "--namespace=shop"]).expect("a table");
    let lines: Vec<Vec<&str>> = table.lines().map(|it| it.split_whitespace().collect()).collect();
    let head =
        ["NAME", "SINK", "ACCEPTED", "READY", "REASON", "PODS", "DELIVERED", "LAG", "LOST", "AGE"];
    assert_eq!(lines[0], head, "{table}");
    let line = lines.iter().find(|it| it[0] == "web").expect("its line");
    assert_eq!(
        line[1..9],
        ["default", "True", "True", "Collecting", "4", "160", "20", "2"],
        "{table}"
    );

    // Nothing changes, so nothing is written.
    let writes = operator.metric("logferry_operator_writes_total");
    let version = get(&server, &WEB)["metadata"]["resourceVersion"].clone();
    std::thread::sleep(Duration::from_secs(4));
    assert!((operator.metric("logferry_operator_writes_total") - writes).abs() < 0.5);
    assert_eq!(get(&server, &WEB)["metadata"]["resourceVersion"], version);

    // A node that is gone counts no more, and nothing of it is left.
    server.admin().kubectl(&["delete", "node", "node-2"]).expect("deleted");
    wait_until("its counts to go", || {
        let status = &get(&server, &WEB)["status"];
        status["nodes"] == 1 && status["counts"]["deliveredBytes"] == 100
    });
    let left = server.admin().kubectl(&["get", "lognodes", "-nlogferry", "--output=name"]);
    assert_eq!(left.expect("a list").trim(), "lognode.logferry.dev/node-1");

    // What was refused is accepted once its sink is there, and the other way round.
    let sink = "apiVersion: logferry.dev/v1alpha1\nkind: LogSink\nmetadata: {name: nowhere}\nspec: {blackhole: {}}\n";
    server.admin().apply(sink).expect("applied");
    wait_condition(&server, &["logconfig", "lost", "-nshop"], "Accepted", "True Valid");
    // Of a kind that was just defined, a server may say at first that it is not ready; but nothing is forbidden.
    for word in ["ERROR", "forbidden", "could not be written"] {
        assert!(!operator.log().contains(word), "{}", operator.log());
    }
}

#[test]
fn counts_that_all_change_at_once_are_written_in_time() {
    const COUNT: usize = 300;
    let (server, folder) = (server(), tempfile::tempdir().expect("a folder"));
    server.admin().apply(SHOP).expect("a namespace");
    let name = |number: usize| format!("c{number}");
    let of = |number: usize| {
        json!({"apiVersion": "logferry.dev/v1alpha1", "kind": "LogConfig",
            "metadata": {"name": name(number), "namespace": "shop"},
            "spec": {"source": {"containers": {"pods": {"include": [name(number)]}}}}})
    };
    let all = json!({"apiVersion": "v1", "kind": "List", "items": (0..COUNT).map(of).collect::<Vec<_>>()});
    create(server.admin(), &folder, &all);
    let said = |bytes: u64| {
        let of = |number: usize| {
            let mut said = web(bytes, &[])[0].take();
            said["name"] = json!(name(number));
            said
        };
        json!((0..COUNT).map(of).collect::<Vec<_>>())
    };
    create(server.admin(), &folder, &log_node("node-1", &said(1)));
    let account = server.service_account("logferry", "logferry-operator").expect("an account");
    // At the pace for days of rest it would take five minutes; agents' half minute is over.
    let flags = [
        "--namespace=logferry",
        "--leader-elect-retry-period=500ms",
        "--status-counts-qps=1",
        "--status-period=1s",
        "--status-freshness=46s",
    ];
    let operator = Operator::start(folder.path(), account.kubeconfig(), &flags);
    let are_all = |bytes: u64| {
        let all = get(&server, &["logconfigs", "--namespace=shop"]);
        let items = all["items"].as_array().expect("a list");
        items.iter().all(|it| it["status"]["counts"]["deliveredBytes"] == bytes)
    };
    wait_until("the first statuses", || are_all(1));
    let writes = || operator.metric("logferry_operator_writes_total");
    let before = writes();
    patch(server.admin(), "node-1", &said(2));
    wait_until("the counts of all", || are_all(2));
    // Each once: what was written already waits for nothing.
    assert!(writes() - before < 1.5 * COUNT as f64, "{before} and {} writes", writes());
}

#[test]
fn the_rights_of_the_chart_are_no_more_than_what_is_asked() {
    let server = server();
    let (operator, agent) = (
        server.service_account("logferry", "logferry-operator").expect("an account"),
        server.service_account("logferry", "logferry").expect("an account"),
    );
    let can =
        |user: &User, what: &[&str]| user.kubectl(&[&["auth", "can-i"], what].concat()).is_ok();
    for what in [
        &["update", "logconfigs.logferry.dev", "-nshop"][..],
        &["create", "logconfigs.logferry.dev", "-nshop"],
        &["get", "secrets", "-nlogferry"],
        &["list", "pods"],
        &["update", "leases.coordination.k8s.io/other", "-nlogferry"],
        &["patch", "lognodes.logferry.dev", "-nlogferry"],
        &["delete", "nodes"],
    ] {
        assert!(!can(&operator, what), "the operator may {what:?}");
    }
    for what in [
        &["delete", "lognodes.logferry.dev", "-nlogferry"][..],
        &["list", "lognodes.logferry.dev", "-nlogferry"],
        &["create", "lognodes.logferry.dev", "-ndefault"],
        &["patch", "logconfigs.logferry.dev/status", "-nshop"],
        &["get", "secrets", "-nlogferry"],
        &["get", "nodes"],
    ] {
        assert!(!can(&agent, what), "the agent may {what:?}");
    }
    assert!(can(&agent, &["patch", "lognodes.logferry.dev", "-nlogferry"]));
    // There is such a kind for each of these words: a misspelt one would be denied as well.
    assert!(manifests(&["CustomResourceDefinition"]).contains("plural: lognodes"));
}
