//! How soon what a cluster says is in effect. The machine may be busy: what is shown is that nothing waits for a
//! timer of seconds; the numbers are printed.

use serde_json::json;

use super::bed::{ClusterBed, cluster_config, line};
use crate::kit::{Agent, append, assert_within_ms, now_ns, sleep_ms};

const PODS: usize = 100;

/// Starts pods one after the other; returns the milliseconds from each one's first line to its delivery, sorted.
fn first_lines(bed: &ClusterBed, agent: &Agent) -> Vec<u64> {
    let delivered = || agent.metrics().sum("logferry_delivered_records_total").unwrap_or(0.0);
    let mut took_ms: Vec<u64> = (0..PODS)
        .map(|number| {
            let name = format!("web-{number}");
            let begin_ns = now_ns();
            bed.add_pod_of(&name, &name);
            append(&bed.log_of(&name), line(&name).as_bytes());
            while delivered() < (number + 1) as f64 {
                assert_within_ms(&name, (now_ns() - begin_ns) / 1_000_000, 30_000);
                sleep_ms(2);
            }
            (now_ns() - begin_ns) / 1_000_000
        })
        .collect();
    took_ms.sort_unstable();
    took_ms
}

fn measure(what: &str, which: serde_json::Value) {
    let bed = ClusterBed::new();
    bed.api.apply("logsinks", bed.sink());
    let mut containers = json!({"root": bed.root()});
    containers.as_object_mut().unwrap().extend(which.as_object().cloned().unwrap());
    bed.api.apply("clusterlogconfigs", cluster_config("web", json!({"containers": containers})));
    let agent = bed.start();
    let took_ms = first_lines(&bed, &agent);
    let (p50, p99) = (took_ms[PODS / 2], took_ms[PODS * 99 / 100]);
    eprintln!("{what}: new pod to first line delivered: p50 {p50} ms, p99 {p99} ms of {PODS}");
    assert_within_ms("the median", p50, 2000);
    agent.stop();
    bed.assert_audit_clean();
}

#[test]
fn the_first_line_of_a_new_pod_is_delivered_soon() {
    measure("by names", json!({}));
    // What is selected by labels waits for the API server to tell of the pod.
    measure(
        "by labels",
        json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}),
    );
}
