//! Metrics: the names, in one table.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::cluster::Cluster;

/// 1 while this replica leads.
pub(crate) const LEADER: &str = "logferry_operator_leader";
/// Objects that are kept in memory, by kind.
pub(crate) const OBJECTS: &str = "logferry_operator_objects";
/// Objects that are due to be looked at, by controller.
pub(crate) const QUEUE_DEPTH: &str = "logferry_operator_workqueue_depth";
/// Objects that were tried again, by controller.
pub(crate) const QUEUE_RETRIES: &str = "logferry_operator_workqueue_retries_total";
/// How long the status has waited for its turn that waits for the longest time.
pub(crate) const COUNTS_WAIT: &str = "logferry_operator_status_counts_wait_seconds";
/// Writes to the API server, by kind and outcome.
pub(crate) const WRITES: &str = "logferry_operator_writes_total";
/// Lists and watches that failed, by kind.
pub(crate) const WATCH_FAILURES: &str = "logferry_operator_watch_failures_total";
/// Memory of the process.
pub(crate) const RESIDENT_BYTES: &str = "logferry_operator_resident_bytes";
/// Reviews of the API server that were answered, by `webhook` and `outcome`.
pub(crate) const WEBHOOK_REVIEWS: &str = "logferry_operator_webhook_reviews_total";
/// How long answers took, by `webhook`.
pub(crate) const WEBHOOK_SECONDS: &str = "logferry_operator_webhook_seconds";
/// Pods that got no sidecar, by `reason`.
pub(crate) const INJECTION_SKIPPED: &str = "logferry_operator_injection_skipped_total";
/// Pods that got no log disk, by `reason`.
pub(crate) const LOG_DISKS_SKIPPED: &str = "logferry_operator_log_disks_skipped_total";
/// Events that were not written, as there were too many.
pub(crate) const EVENTS_DROPPED: &str = "logferry_operator_events_dropped_total";
/// What is left of the webhooks' certificate.
pub(crate) const CERTIFICATE_EXPIRY_SECONDS: &str =
    "logferry_operator_webhook_certificate_expiry_seconds";

/// Makes the recorder that all metrics go to.
pub(crate) fn install() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new().install_recorder()?;
    describe_gauge!(LEADER, "1 while this replica leads, else 0.");
    describe_gauge!(OBJECTS, "Objects of the API server that are kept in memory, by kind.");
    describe_gauge!(QUEUE_DEPTH, "Objects that are due to be looked at, by queue.");
    describe_counter!(QUEUE_RETRIES, "Objects looked at again after a failure, by queue.");
    describe_gauge!(
        COUNTS_WAIT,
        "How long the status whose counts changed has waited for its turn that waits the longest, in seconds."
    );
    describe_counter!(WRITES, "Writes to the API server, by kind and outcome (ok, failed).");
    describe_counter!(
        WATCH_FAILURES,
        "Lists and watches that failed, by kind; they are begun anew."
    );
    describe_gauge!(RESIDENT_BYTES, "Resident memory of the process.");
    describe_counter!(WEBHOOK_REVIEWS, "Reviews of the API server that were answered.");
    describe_histogram!(WEBHOOK_SECONDS, "How long answers to the API server took, in seconds.");
    describe_counter!(INJECTION_SKIPPED, "Pods that got no sidecar.");
    describe_counter!(LOG_DISKS_SKIPPED, "Pods that got no log disk.");
    describe_counter!(EVENTS_DROPPED, "Events that were not written, as there were too many.");
    describe_gauge!(
        CERTIFICATE_EXPIRY_SECONDS,
        "How long the webhooks' certificate that is shown lasts, in seconds."
    );
    gauge!(LEADER).set(0.0);
    Ok(handle)
}

/// Counts a write to the API server.
pub(crate) fn count_write(kind: &'static str, is_ok: bool) {
    let outcome = if is_ok { "ok" } else { "failed" };
    counter!(WRITES, "kind" => kind, "outcome" => outcome).increment(1);
}

/// Publishes what the cluster is like every few seconds, for ever.
#[expect(clippy::cast_precision_loss, reason = "gauges are floating point by Prometheus' rule")]
pub(crate) async fn publish(cluster: Arc<Cluster>) {
    loop {
        for kind in cluster.kinds() {
            let count = cluster.state().resources.keys().filter(|it| it.kind == kind).count();
            gauge!(OBJECTS, "kind" => kind.name()).set(count as f64);
        }
        let log_nodes = cluster.state().count_log_nodes();
        gauge!(OBJECTS, "kind" => "LogNode").set(log_nodes as f64);
        let queues = [
            ("statuses", cluster.statuses.depth_and_retries()),
            ("counts", cluster.counts.depth_and_retries()),
            ("nodes", cluster.nodes.depth_and_retries()),
        ];
        for (queue, (depth, retries)) in queues {
            gauge!(QUEUE_DEPTH, "queue" => queue).set(depth as f64);
            counter!(QUEUE_RETRIES, "queue" => queue).absolute(retries);
        }
        tokio::time::sleep(PUBLISH_INTERVAL).await;
    }
}

/// How often that is.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(5);

/// Resident memory of this process in bytes, as `/proc` tells; 0 where it does not.
pub(crate) fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}
