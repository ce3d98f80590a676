//! Resources of a real API server: what a fake one cannot show, such as TLS, tokens, rights and real watches.

use std::fs;

use node_kit::ApiServer;

use super::{log_of_web, start_agent, write_line};
use crate::kit::{Bed, Run, wait_until};

/// What the agent asks for, and no more.
pub(super) const RIGHTS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: agent}
rules:
- {apiGroups: [''], resources: [pods, namespaces], verbs: [list, watch]}
- apiGroups: [logferry.dev]
  resources: [logconfigs, clusterlogconfigs, logsinks, logtenants]
  verbs: [list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: agent}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: agent}
subjects: [{kind: ServiceAccount, name: agent, namespace: default}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: agent}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, labels: {app: web}}
spec: {nodeName: node-1, containers: [{name: app, image: any, env: [{name: LOGS, value: 'on'}]}]}
";

/// What the chart installs, of this kind.
pub(super) fn manifests(kind: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/manifests/logferry.yaml");
    let text = fs::read_to_string(path).unwrap();
    let line = format!("kind: {kind}");
    let is_wanted = |it: &&str| it.lines().any(|it| it == line);
    text.split("\n---\n").filter(is_wanted).collect::<Vec<_>>().join("\n---\n")
}

/// A LogConfig of the cluster that selects by labels, and its sink.
fn resources(bed: &Bed, app: &str) -> String {
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
spec: {{source: {{containers: {{root: {root}, podSelector: {{matchLabels: {{app: {app}}}}}}}}}}}
"
    )
}

#[test]
fn resources_and_labels_come_from_a_real_api_server_and_outlive_it() {
    let server = ApiServer::start().unwrap();
    let admin = server.admin();
    let definitions = Run::of(&["crds"]).stdout;
    admin.apply(&definitions).unwrap();
    admin.apply(RIGHTS).unwrap();
    let bed = Bed::new();
    bed.configure(&[&bed.agent("  nodeName: node-1\n  podLabels: [app]\n")]);
    let log = log_of_web(&bed, admin);
    let write = |body: &str| write_line(&log, body);
    write("one");
    let account = server.service_account("default", "agent").unwrap();
    let start = || start_agent(&bed, account.kubeconfig(), &[]);
    let agent = start();
    wait_until("all watches", || agent.metric("logferry_kube_watch_open"), |it| *it == 5.0);
    // Of a kind that was just defined, a server may say at first that it is not ready.
    assert_eq!(agent.metric("logferry_kube_failing_seconds"), 0.0, "{}", agent.stderr());
    admin.apply(&resources(&bed, "web")).unwrap();
    wait_until("the queue", || bed.queue().is_dir(), |it| *it);
    assert_eq!(bed.wait_for_records(1)[0]["k8s.pod.label.app"], "web");
    // The server dies, also while the agent starts; what it said last is in force.
    wait_until(
        "the state",
        || fs::read_to_string(bed.path("state/cluster.json")).unwrap_or_default(),
        |it| it.contains("podSelector"),
    );
    server.kill().unwrap();
    write("two");
    bed.wait_for_records(2);
    agent.stop();
    let agent = start();
    write("three");
    bed.wait_for_records(3);
    // It comes back, and is heard again: the pod is no longer selected.
    server.start_again().unwrap();
    admin.apply(&resources(&bed, "other")).unwrap();
    let reloads = || agent.metric("logferry_config_reloads_total");
    wait_until("the change", reloads, |it| *it == 1.0);
    write("unwanted");
    admin.kubectl(&["label", "pod", "web-0", "app=other", "--overwrite"]).unwrap();
    let bodies = ["one", "two", "three", "unwanted"];
    bed.wait_for_bodies(&bodies);
    agent.stop();
    bed.assert_audit_clean();
}

/// A tenant by the label that every namespace has, and a LogConfig by a variable of the container.
fn of_tenant(bed: &Bed) -> String {
    let (queue, root) = (bed.queue().display().to_string(), bed.path("pods").display().to_string());
    format!(
        "apiVersion: logferry.dev/v1alpha1
kind: LogSink
metadata: {{name: default}}
spec: {{queue: {{path: {queue}}}}}
---
apiVersion: logferry.dev/v1alpha1
kind: LogTenant
metadata: {{name: team}}
spec: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: default}}}}}}
---
apiVersion: logferry.dev/v1alpha1
kind: ClusterLogConfig
metadata: {{name: web}}
spec: {{source: {{containers: {{root: {root}, env: {{include: [{{name: LOGS, value: 'on'}}]}}}}}}}}
"
    )
}

#[test]
fn tenants_by_labels_and_containers_by_variables_come_from_a_real_api_server() {
    let server = ApiServer::start().unwrap();
    let admin = server.admin();
    admin.apply(&Run::of(&["crds"]).stdout).unwrap();
    admin.apply(RIGHTS).unwrap();
    let bed = Bed::new();
    bed.configure(&[&bed.agent("  nodeName: node-1\n")]);
    write_line(&log_of_web(&bed, admin), "one");
    let account = server.service_account("default", "agent").unwrap();
    let agent = start_agent(&bed, account.kubeconfig(), &[]);
    let open = || agent.metric("logferry_kube_watch_open");
    wait_until("all watches but of namespaces", open, |it| *it == 5.0);
    admin.apply(&of_tenant(&bed)).unwrap();
    wait_until("that of namespaces", open, |it| *it == 6.0);
    wait_until("the queue", || bed.queue().is_dir(), |it| *it);
    bed.wait_for_bodies(&["one"]);
    let delivered =
        || agent.metrics().sum_where("logferry_delivered_records_total", "tenant", "team");
    wait_until("of the team", delivered, |it| *it == Some(1.0));
    agent.stop();
    bed.assert_audit_clean();
}
