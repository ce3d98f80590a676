//! Many: 1,000 nodes, 10,000 LogConfigs. Ignored, as it takes minutes: run it by its name with `--ignored --nocapture`.

use std::sync::Arc;
use std::time::Duration;

use flow::{Clock, SystemClock};
use futures_util::{StreamExt, stream};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube_watch::Access;
use serde_json::{Value, json};

use crate::kit::{Operator, server};

const NODES: usize = 1_000;
const LOG_CONFIGS: usize = 10_000;
const NAMESPACES: usize = 100;
/// LogConfigs of all the pods, where few have them all.
const FEW: usize = 150;
/// LogConfigs with pods on a node: each has one pod.
const PER_NODE: usize = LOG_CONFIGS / NODES;
/// As many requests at once as the server serves well.
const AT_ONCE: usize = 32;

fn seconds() -> f64 {
    Duration::from_nanos(SystemClock.monotonic_ns()).as_secs_f64()
}

fn api(client: &Client, kind: &str, plural: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("logferry.dev", "v1alpha1", kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

async fn create(client: &Client, count: usize, object: impl Fn(usize) -> (ApiResource, Value)) {
    let made = stream::iter(0..count).map(|number| {
        let (resource, value) = object(number);
        let client = client.clone();
        async move {
            let object: DynamicObject = serde_json::from_value(value).expect("an object");
            let api: Api<DynamicObject> = match object.metadata.namespace.as_deref() {
                Some(namespace) => Api::namespaced_with(client, namespace, &resource),
                None => Api::all_with(client, &resource),
            };
            api.create(&PostParams::default(), &object).await.expect("created");
        }
    });
    made.buffer_unordered(AT_ONCE).collect::<()>().await;
}

fn of_ours(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("logferry.dev", "v1alpha1", kind),
        plural,
    )
}

fn of_core(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", kind), plural)
}

/// LogConfig by its number: its namespace, and its name.
fn log_config(number: usize) -> (String, String) {
    (format!("n{:03}", number % NAMESPACES), format!("c{number:05}"))
}

/// What the agent of a node says of one LogConfig, by its number.
fn said_of(number: usize, bytes: usize) -> Value {
    let (namespace, name) = log_config(number);
    json!({"namespace": namespace, "name": name, "counts": {"pods": 1, "containers": 1, "sources": 1,
        "readBytes": bytes, "deliveredBytes": bytes, "deliveredRecords": 1, "lagBytes": 0,
        "shedRecords": 0, "lostBytes": 0}})
}

fn node_status(log_configs: impl Iterator<Item = Value>) -> Value {
    json!({"version": "0.1.0", "observedTime": "2026-01-02T03:04:05Z",
        "logConfigs": log_configs.collect::<Vec<_>>()})
}

/// What the agent of a node says when its pods have written so much.
fn said(node: usize, bytes: usize) -> Value {
    node_status((0..PER_NODE).map(|index| said_of(node * PER_NODE + index, bytes)))
}

/// The same where pods of few LogConfigs write: each has many of the cluster's.
fn said_of_few(node: usize, bytes: usize) -> Value {
    let own = node * PER_NODE..(node + 1) * PER_NODE;
    let few: Vec<usize> = own.clone().map(|it| it % FEW).collect();
    let quiet = own.filter(|it| !few.contains(it)).map(|it| said_of(it, 1));
    node_status(quiet.chain(few.iter().map(|it| said_of(*it, bytes))))
}

/// All agents write at once.
async fn say_at_once(nodes: &Api<DynamicObject>, status: impl Fn(usize) -> Value) {
    let written = stream::iter(0..NODES).map(|node| {
        let patch = json!({"status": status(node)});
        async move {
            let name = format!("node-{node}");
            let patched = nodes.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await;
            patched.expect("patched");
        }
    });
    written.buffer_unordered(AT_ONCE).collect::<()>().await;
}

/// How many of all LogConfigs have this in their status.
async fn count(client: &Client, is_so: impl Fn(&Value) -> bool) -> usize {
    let all = api(client, "LogConfig", "logconfigs", None).list(&Default::default()).await;
    all.expect("a list").items.iter().filter(|it| is_so(&it.data["status"])).count()
}

async fn wait_all(client: &Client, what: &str, is_so: impl Fn(&Value) -> bool) -> f64 {
    let begin = seconds();
    loop {
        let count = count(client, &is_so).await;
        if count == LOG_CONFIGS {
            return seconds() - begin;
        }
        assert!(seconds() - begin < 600.0, "{what}: {count} of {LOG_CONFIGS}");
        // A list of all is work for the server, too.
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

#[test]
#[ignore = "takes minutes"]
fn a_thousand_nodes_report_of_ten_thousand_log_configs() {
    let server = server();
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("one");
    let account = server.service_account("logferry", "logferry-operator").expect("an account");
    let agent = server.service_account("logferry", "logferry").expect("an account");
    runtime.block_on(async {
        let admin = Access::Kubeconfig(server.admin().kubeconfig().to_path_buf());
        let admin = admin.client().await.expect("a client");
        let agent = Access::Kubeconfig(agent.kubeconfig().to_path_buf());
        let agent = Arc::new(agent.client().await.expect("a client"));
        let begin = seconds();
        create(&admin, NAMESPACES, |number| {
            let name = format!("n{number:03}");
            (of_core("Namespace", "namespaces"), json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
        })
        .await;
        create(&admin, NODES, |number| {
            let name = format!("node-{number}");
            (of_core("Node", "nodes"), json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}))
        })
        .await;
        create(&admin, 1, |_| {
            let sink = json!({"apiVersion": "logferry.dev/v1alpha1", "kind": "LogSink",
                "metadata": {"name": "default"}, "spec": {"stdout": {}}});
            (of_ours("LogSink", "logsinks"), sink)
        })
        .await;
        create(&admin, LOG_CONFIGS, |number| {
            let (namespace, name) = log_config(number);
            let pods = format!("p{number:05}-*");
            let object = json!({"apiVersion": "logferry.dev/v1alpha1", "kind": "LogConfig",
                "metadata": {"namespace": namespace, "name": name},
                "spec": {"source": {"containers": {"pods": {"include": [pods]}}}}});
            (of_ours("LogConfig", "logconfigs"), object)
        })
        .await;
        create(&agent, NODES, |node| {
            let object = json!({"apiVersion": "logferry.dev/v1alpha1", "kind": "LogNode",
                "metadata": {"namespace": "logferry", "name": format!("node-{node}")}, "status": said(node, 1)});
            (of_ours("LogNode", "lognodes"), object)
        })
        .await;
        println!("made all objects in {:.0} s", seconds() - begin);

        let operator = Operator::start(folder.path(), account.kubeconfig(), &["--namespace=logferry"]);
        let took = wait_all(&admin, "ready", |it| it["counts"]["deliveredBytes"] == 1).await;
        println!("all 10,000 new at once: status after {took:.0} s");
        let writes = || operator.metric("logferry_operator_writes_total");
        let mib = || operator.metric("logferry_operator_resident_bytes") / 1024.0 / 1024.0;
        println!("memory then: {:.1} MiB", mib());

        // At rest nothing is written.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let before = writes();
        tokio::time::sleep(Duration::from_secs(60)).await;
        println!("at rest: {:.2} writes a second", (writes() - before) / 60.0);
        assert!(writes() - before < 0.5, "something was written that changes nothing");

        // All nodes write every 30 s, as their pods do, which are of few LogConfigs.
        let nodes = api(&agent, "LogNode", "lognodes", Some("logferry"));
        say_at_once(&nodes, |node| said_of_few(node, 1)).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let begin = seconds();
        let before = writes();
        for round in 2..4 {
            for node in 0..NODES {
                let status = json!({"status": said_of_few(node, round)});
                let name = format!("node-{node}");
                let patch = Patch::Merge(&status);
                nodes.patch(&name, &PatchParams::default(), &patch).await.expect("patched");
                let due = begin + 30.0 * ((round - 2) as f64 + node as f64 / NODES as f64);
                let wait = (due - seconds()).max(0.0);
                tokio::time::sleep(Duration::from_secs_f64(wait)).await;
            }
        }
        let took = seconds() - begin;
        let of_operator = (writes() - before) / took;
        let of_agents = 2.0 * NODES as f64 / took;
        println!(
            "all pods of {FEW} LogConfigs write: {of_agents:.1} writes a second of agents, {of_operator:.1} of the operator, {:.1} together",
            of_agents + of_operator
        );

        // The pods of all LogConfigs have written, and their agents say so at once.
        say_at_once(&nodes, |node| said(node, 3)).await;
        wait_all(&admin, "back", |it| it["counts"]["deliveredBytes"] == 3).await;
        tokio::time::sleep(Duration::from_secs(15)).await;
        let (begin, before) = (seconds(), writes());
        say_at_once(&nodes, |node| said(node, 4)).await;
        println!("counts of all 10,000 changed, as agents wrote within {:.0} s", seconds() - begin);
        // Not by lists: each of all is as much work for the server as some hundred writes.
        while writes() - before < LOG_CONFIGS as f64 {
            assert!(seconds() - begin < 600.0, "changed: {} written", writes() - before);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let took = seconds() - begin;
        wait_all(&admin, "changed", |it| it["counts"]["deliveredBytes"] == 4).await;
        println!("all in their statuses after {took:.0} s, {:.0} writes a second", LOG_CONFIGS as f64 / took);

        let mut status = said(7, 5);
        status["logConfigs"][0]["problems"] = json!(["it broke"]);
        let begin = seconds();
        let patch = json!({"status": status});
        nodes.patch("node-7", &PatchParams::default(), &Patch::Merge(&patch)).await.expect("patched");
        let (namespace, name) = log_config(7 * PER_NODE);
        let its = api(&admin, "LogConfig", "logconfigs", Some(&namespace));
        loop {
            let object = its.get(&name).await.expect("it is there");
            if object.data["status"]["nodesWithProblems"] == 1 {
                break;
            }
            assert!(seconds() - begin < 60.0, "a problem is said: not within 60 s");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!("a problem of a node is said after {:.2} s", seconds() - begin);
        let memory = mib();
        println!("memory: {memory:.1} MiB");
        assert!(memory < 128.0);
        assert!(of_agents + of_operator <= 40.0);
    });
}
