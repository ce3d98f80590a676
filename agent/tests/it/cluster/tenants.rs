//! Whose records are by labels of namespaces, and tenants that do not fit.

use serde_json::{Value, json};

use super::bed::{ClusterBed, POD, cluster_config, line, log_config};
use crate::kit::{Agent, Run, append, sleep_ms, wait_until};

fn namespace(bed: &ClusterBed, labels: Value) {
    bed.api.apply("namespaces", json!({"metadata": {"name": "shop", "labels": labels}}));
}

/// A LogTenant that selects namespaces with this label.
fn tenant(bed: &ClusterBed, name: &str, label: &str, value: &str) {
    let selector = json!({"matchLabels": {label: value}});
    let spec = json!({"namespaceSelector": selector});
    bed.api.apply("logtenants", json!({"metadata": {"name": name}, "spec": spec}));
}

/// Records that were delivered for a tenant.
fn delivered(agent: &Agent, tenant: &str) -> f64 {
    let metrics = agent.metrics();
    metrics.sum_where("logferry_delivered_records_total", "tenant", tenant).unwrap_or(0.0)
}

fn explain(bed: &ClusterBed) -> String {
    let (config, path) = (bed.config(), bed.log(&POD));
    Run::of(&["explain", "-f", config.to_str().unwrap(), path.to_str().unwrap()]).stdout
}

/// Two tenants by their labels, and one LogConfig for all.
fn bed_with_tenants() -> ClusterBed {
    let bed = ClusterBed::with_web();
    tenant(&bed, "team-a", "team", "a");
    tenant(&bed, "team-b", "team", "b");
    append(&bed.log(&POD), line("one").as_bytes());
    bed
}

#[test]
fn no_tenant_is_guessed_before_the_labels_of_the_namespace_are_known() {
    let bed = bed_with_tenants();
    let agent = bed.start();
    let waiting = || agent.metric("logferry_waiting_pods");
    wait_until("the pod waits", waiting, |it| *it == 1.0);
    bed.wait_state("team-b");
    assert!(explain(&bed).contains("waits for the labels of its namespace"), "{}", explain(&bed));
    sleep_ms(1000);
    assert!(!bed.queue().is_dir() || bed.bodies().is_empty(), "nobody knows whose it is");
    namespace(&bed, json!({"team": "a"}));
    bed.wait_for_bodies(&["one"]);
    wait_until("of team-a", || delivered(&agent, "team-a"), |it| *it == 1.0);
    assert_eq!(delivered(&agent, "shop") + delivered(&agent, "team-b"), 0.0);
    // What was said last is true, also over a start without an API server.
    bed.wait_state("\"namespaces\":[{");
    agent.stop();
    bed.api.set_down(true);
    append(&bed.log(&POD), line("two").as_bytes());
    let agent = bed.start();
    bed.wait_for_bodies(&["one", "two"]);
    wait_until("of team-a", || delivered(&agent, "team-a"), |it| *it == 1.0);
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn a_namespace_that_is_given_to_another_tenant_goes_on_there() {
    let bed = bed_with_tenants();
    namespace(&bed, json!({"team": "a"}));
    let agent = bed.start();
    wait_until("of team-a", || delivered(&agent, "team-a"), |it| *it == 1.0);
    let reloads = || agent.metric("logferry_config_reloads_total");
    let before = reloads();
    namespace(&bed, json!({"team": "b"}));
    wait_until("begun anew", reloads, |it| *it == before + 1.0);
    append(&bed.log(&POD), line("two").as_bytes());
    bed.wait_for_bodies(&["one", "two"]);
    wait_until("of team-b", || delivered(&agent, "team-b"), |it| *it == 1.0);
    assert_eq!(delivered(&agent, "team-a"), 1.0);
    // A label that nobody asks for changes nothing.
    namespace(&bed, json!({"team": "b", "more": "x"}));
    sleep_ms(1500);
    assert_eq!(reloads(), before + 1.0);
    agent.stop();
    // Nothing is lost or doubled; where the second begins, the first has what was before.
    let (_, audit) = bed.audit();
    let totals = |tenant: &str, what: &str| audit["tenants"][tenant]["totals"][what].clone();
    assert_eq!(audit["tenants"]["team-a"]["clean"], true, "{audit:#}");
    for (what, count) in [("records", 1), ("lost", 0), ("doubled", 0), ("heads_missing", 1)] {
        assert_eq!(totals("team-b", what), count, "{what}: {audit:#}");
    }
    let contexts = |tenant: &str| audit["tenants"][tenant]["contexts"][0].clone();
    assert_eq!(contexts("team-a")["end"], contexts("team-b")["begin"]);
    assert_eq!(contexts("team-a")["epoch"], contexts("team-b")["epoch"]);
}

#[test]
fn a_namespace_that_two_tenants_select_is_nobodys() {
    let bed = bed_with_tenants();
    tenant(&bed, "all-of-shop", "shop", "yes");
    namespace(&bed, json!({"team": "a", "shop": "yes"}));
    let agent = bed.start();
    agent.wait_said("both LogTenant all-of-shop and team-a select");
    wait_until("denied", || agent.metric("logferry_denied_pods"), |it| *it == 1.0);
    bed.wait_state("\"namespaces\":[{");
    assert!(explain(&bed).contains("both LogTenant all-of-shop and team-a"), "{}", explain(&bed));
    namespace(&bed, json!({"team": "a"}));
    bed.wait_for_bodies(&["one"]);
    wait_until("of team-a", || delivered(&agent, "team-a"), |it| *it == 1.0);
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn pods_are_selected_by_the_labels_of_their_namespace() {
    let bed = ClusterBed::new();
    bed.add_pod(&POD, json!({}));
    bed.api.apply("logsinks", bed.sink());
    append(&bed.log(&POD), line("one").as_bytes());
    let agent = bed.start();
    let open = || agent.metrics().sum_where("logferry_kube_watch_open", "kind", "Namespace");
    let plain = json!({"containers": {"root": bed.root(), "namespaceSelector": {"matchLabels": {"stage": "live"}}}});
    bed.api.apply("clusterlogconfigs", cluster_config("live", plain));
    wait_until("a watch of namespaces", open, |it| *it == Some(1.0));
    namespace(&bed, json!({"stage": "test"}));
    sleep_ms(1000);
    assert!(bed.bodies().is_empty(), "it is not selected");
    namespace(&bed, json!({"stage": "live"}));
    bed.wait_for_bodies(&["one"]);
    bed.api.delete("clusterlogconfigs", "", "live");
    wait_until("no watch any more", open, |it| *it == Some(0.0));
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn a_tenant_that_does_not_fit_is_refused_alone() {
    let bed = ClusterBed::new();
    bed.configure(&[&bed.agent("  nodeName: node-1\n  memory: 96MiB\n")]);
    bed.add_pod(&POD, json!({}));
    bed.api.apply("logsinks", bed.sink());
    bed.collect("web");
    let tenant = |name: &str, reserved: &str| {
        let spec = json!({"namespaces": [name], "memory": {"reserved": reserved, "max": reserved}});
        bed.api.apply("logtenants", json!({"metadata": {"name": name}, "spec": spec}));
    };
    tenant("a", "4MiB");
    tenant("b", "4MiB");
    let agent = bed.start();
    append(&bed.log(&POD), line("one").as_bytes());
    bed.wait_for_bodies(&["one"]);
    tenant("a", "900MiB");
    wait_until("refused", || agent.metric("logferry_resources_refused"), |it| *it == 1.0);
    agent.wait_said("LogTenant a");
    agent.wait_said("the last good version stays in force");
    // Others' changes are in force, and nothing is broken as a whole.
    assert_eq!(agent.ready().0, 200);
    let reloads = || agent.metric("logferry_config_reloads_total");
    let before = reloads();
    tenant("b", "5MiB");
    wait_until("in force", reloads, |it| *it == before + 1.0);
    assert_eq!(agent.metric("logferry_config_bad"), 0.0);
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn a_log_config_of_a_namespace_finds_pods_where_the_agent_says_they_are() {
    let bed = ClusterBed::new();
    let agent = format!("  nodeName: node-1\n  podLogsDirectory: {}\n", bed.root());
    bed.configure(&[&bed.agent(&agent)]);
    bed.add_pod(&POD, json!({}));
    bed.api.apply("logsinks", bed.sink());
    bed.api.apply("logconfigs", log_config("web", json!({"containers": {}})));
    append(&bed.log(&POD), line("one").as_bytes());
    let agent = bed.start();
    bed.wait_for_bodies(&["one"]);
    agent.stop();
    bed.assert_audit_clean();
}
