//! Scale: ten thousand LogConfigs and two hundred pods of one node, at a real API server.
//!
//! The machine may be busy: what is shown is that nothing waits for a timer of seconds; the numbers are printed.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use kafka_kit::{Cluster as Brokers, Listener};
use node_kit::{ApiServer, User};
use serde_json::{Value, json};

use super::resources::RIGHTS;
use super::{start_agent, write_line};
use crate::kit::{
    Agent, Bed, Run, assert_within_ms, now_ns, queue_sink, resource, sleep_ms, wait_until,
};

/// 10,000 LogConfigs, as many in each namespace.
const NAMESPACES: usize = 500;
const CONFIGS_PER_NAMESPACE: usize = 20;
/// 200 pods of the node, in the first of these namespaces.
const NAMESPACES_OF_NODE: usize = 20;
const PODS_PER_NAMESPACE: usize = 10;
/// Changes of one LogConfig that are timed.
const CHANGES: usize = 100;
/// How long nothing happens while requests are counted.
const REST: Duration = Duration::from_secs(60);
/// What the agent may have beside its program, in KiB: of 64 MiB, 16 are the program's. Without optimisation, that is larger.
const MEMORY_KIB_MAX: u64 = 48 << 10;

/// A LogConfig of the containers of one application.
fn log_config(namespace: usize, app: usize) -> Value {
    let source = json!({"containers": {"pods": {"include": [format!("app-{app}-*")]}}});
    json!({
        "apiVersion": "logferry.dev/v1alpha1",
        "kind": "LogConfig",
        "metadata": {"namespace": format!("team-{namespace}"), "name": format!("app-{app}")},
        "spec": {"source": source},
    })
}

fn pod(namespace: usize, app: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": format!("team-{namespace}"),
            "name": format!("app-{app}-0"),
            "labels": {"app": format!("app-{app}")},
        },
        "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": "any"}]},
    })
}

/// Creates all, by several at once.
fn create(admin: &User, objects: &[Value]) {
    let parts: Vec<&[Value]> = objects.chunks(objects.len().div_ceil(4)).collect();
    thread::scope(|scope| {
        for part in parts {
            scope.spawn(|| {
                for few in part.chunks(250) {
                    let list = json!({"apiVersion": "v1", "kind": "List", "items": few});
                    admin.create(&list.to_string()).unwrap();
                }
            });
        }
    });
}

/// A server with all that, but the pods have no logs yet.
fn server() -> ApiServer {
    let server = ApiServer::start().unwrap();
    let admin = server.admin();
    admin.apply(&Run::of(&["crds"]).stdout).unwrap();
    admin.apply(RIGHTS).unwrap();
    let namespace = |number| {
        let metadata = json!({"name": format!("team-{number}")});
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    };
    create(admin, &(0..NAMESPACES).map(namespace).collect::<Vec<_>>());
    let each = |of: usize, apps: usize| {
        (0..of).flat_map(move |namespace| (0..apps).map(move |app| (namespace, app)))
    };
    let configs = each(NAMESPACES, CONFIGS_PER_NAMESPACE).map(|(it, app)| log_config(it, app));
    create(admin, &configs.collect::<Vec<_>>());
    let pods = each(NAMESPACES_OF_NODE, PODS_PER_NAMESPACE).map(|(it, app)| pod(it, app));
    create(admin, &pods.collect::<Vec<_>>());
    server
}

/// How often each was asked.
fn counted(asked: &[String]) -> String {
    let mut counts = BTreeMap::new();
    asked.iter().for_each(|it| *counts.entry(it).or_insert(0) += 1);
    format!("{counts:?}")
}

/// What `/proc/PID/status` says of the agent, in KiB.
fn status_kib(agent: &Agent, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel tells");
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Changes one LogConfig again and again; milliseconds from the end of kubectl until it is in force, sorted.
fn changes_ms(admin: &User, agent: &Agent) -> Vec<u64> {
    let reloads = || agent.metric("logferry_config_reloads_total");
    let mut took_ms: Vec<u64> = (0..CHANGES)
        .map(|number| {
            let before = reloads();
            let patch =
                format!("{{\"spec\":{{\"line\":{{\"maxBytes\":\"{}KiB\"}}}}}}", 64 + number);
            let names = ["--namespace=team-0", "logconfig", "app-0"];
            let how = ["--type=merge", "--patch", &patch];
            admin.kubectl(&[&["patch"], &names[..], &how].concat()).unwrap();
            let begin_ns = now_ns();
            while reloads() == before {
                let took_ms = (now_ns() - begin_ns) / 1_000_000;
                assert_within_ms(&format!("change {number}"), took_ms, 30_000);
                sleep_ms(20);
            }
            (now_ns() - begin_ns) / 1_000_000
        })
        .collect();
    took_ms.sort_unstable();
    took_ms
}

fn tell(what: &str, took_ms: &[u64]) {
    let [p50, p99] = [50, 99].map(|it| took_ms[(took_ms.len() * it).div_ceil(100) - 1]);
    let (most, count) = (took_ms[took_ms.len() - 1], took_ms.len());
    eprintln!("{what}: in force after p50 {p50} ms, p99 {p99} ms, at most {most} ms of {count}");
    assert_within_ms("the median", p50, 3000);
}

/// An agent of the node with this sink, which has all resources.
fn start(bed: &Bed, account: &User, sink: &str) -> Agent {
    let fields = "  nodeName: node-1\n  podLogsDirectory: '{dir}/pods'\n";
    bed.configure(&[&bed.agent(fields), sink]);
    let agent = start_agent(bed, account.kubeconfig(), &[]);
    let objects = || agent.metrics().sum_where("logferry_kube_objects", "kind", "LogConfig");
    let all = Some((NAMESPACES * CONFIGS_PER_NAMESPACE) as f64);
    wait_until("all LogConfigs", objects, |it| *it == all);
    let open = || agent.metric("logferry_kube_watch_open");
    wait_until("all watches", open, |it| *it == 5.0);
    agent
}

#[test]
fn ten_thousand_log_configs_of_a_real_api_server_fit_and_a_change_is_in_force_soon() {
    let server = server();
    let admin = server.admin();
    let bed = Bed::new();
    let uids = [
        "get",
        "pods",
        "--all-namespaces",
        "--output=jsonpath={range .items[*]}{.metadata.namespace}_{.metadata.name}_{.metadata.uid}{\"\\n\"}{end}",
    ];
    let pods = admin.kubectl(&uids).unwrap();
    let pods: Vec<_> = pods.lines().filter(|it| it.starts_with("team-")).collect();
    assert_eq!(pods.len(), NAMESPACES_OF_NODE * PODS_PER_NAMESPACE);
    let write = |bed: &Bed, body: &str| {
        for pod in &pods {
            let log = bed.path(format!("pods/{pod}/app/0.log"));
            fs::create_dir_all(log.parent().unwrap()).unwrap();
            write_line(&log, body);
        }
    };
    write(&bed, "one");
    let account = server.service_account("default", "agent").unwrap();

    let agent = start(&bed, &account, &queue_sink(""));
    bed.wait_for_records(pods.len());
    tell("embedded queue", &changes_ms(admin, &agent));
    let before = server.requests().unwrap();
    eprintln!("asked before: {}", counted(&before));
    thread::sleep(REST);
    let asked = server.requests().unwrap().split_off(before.len());
    // A watch ends after minutes, and goes on.
    assert!(asked.iter().all(|it| it.starts_with("watch ")), "{asked:?}");
    assert!(asked.len() <= 5, "{asked:?}");
    eprintln!("asked within {} s at rest: {}", REST.as_secs(), counted(&asked));

    // While the agent is away from it, the server forgets what its watches would have to be told.
    let reloads = || agent.metric("logferry_config_reloads_total");
    let before = reloads();
    agent.freeze();
    server.kill().unwrap();
    server.start_again().unwrap();
    admin.kubectl(&["delete", "--namespace=team-0", "logconfig", "app-0"]).unwrap();
    server.compact().unwrap();
    server.kill().unwrap();
    server.start_again().unwrap();
    agent.signal(rustix::process::Signal::CONT);
    agent.wait_said("too much was missed; listing all anew");
    let objects = || agent.metrics().sum_where("logferry_kube_objects", "kind", "LogConfig");
    let rest = Some((NAMESPACES * CONFIGS_PER_NAMESPACE - 1) as f64);
    wait_until("one LogConfig less", objects, |it| *it == rest);
    wait_until("in force", reloads, |it| *it > before);
    write(&bed, "two");
    bed.wait_for_records(2 * pods.len() - 1);
    admin.create(&log_config(0, 0).to_string()).unwrap();
    bed.wait_for_records(2 * pods.len());
    let [peak, now, anonymous] = ["VmHWM", "VmRSS", "RssAnon"].map(|it| status_kib(&agent, it));
    let program = now - anonymous;
    eprintln!("memory in KiB: at most {}, now {anonymous}, and {program} of files", peak - program);
    assert!(peak - program < MEMORY_KIB_MAX, "{peak} KiB, {program} of files");
    agent.stop();
    bed.assert_audit_clean();

    let brokers = Brokers::builder().start().unwrap();
    brokers.create_topic("logs", 3, 1, &[]).unwrap();
    let address = brokers.addresses(Listener::Plain);
    let kafka = format!("  kafka: {{brokers: ['{address}'], topic: logs}}\n");
    let bed = Bed::new();
    write(&bed, "one");
    let agent = start(&bed, &account, &resource("LogSink", "default", &kafka));
    let delivered = || agent.metric("logferry_delivered_records_total");
    wait_until("all records", delivered, |it| *it == pods.len() as f64);
    tell("Kafka", &changes_ms(admin, &agent));
    assert_eq!(delivered(), pods.len() as f64, "none again");
    agent.stop();
}
