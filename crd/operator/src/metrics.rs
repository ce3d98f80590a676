//! Metrics: the names, in one table.

use metrics::{describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// 1 while this replica leads.
pub(crate) const LEADER: &str = "logferry_operator_leader";
/// Memory of the process.
pub(crate) const RESIDENT_BYTES: &str = "logferry_operator_resident_bytes";
/// Reviews of the API server that were answered, by `webhook` and `outcome`.
pub(crate) const WEBHOOK_REVIEWS: &str = "logferry_operator_webhook_reviews_total";
/// How long answers took, by `webhook`.
pub(crate) const WEBHOOK_SECONDS: &str = "logferry_operator_webhook_seconds";
/// Pods that got no sidecar, by `reason`.
pub(crate) const INJECTION_SKIPPED: &str = "logferry_operator_injection_skipped_total";
/// Events that were not written, as there were too many.
pub(crate) const EVENTS_DROPPED: &str = "logferry_operator_events_dropped_total";
/// What is left of the webhooks' certificate.
pub(crate) const CERTIFICATE_EXPIRY_SECONDS: &str =
    "logferry_operator_webhook_certificate_expiry_seconds";

/// Makes the recorder that all metrics go to.
pub(crate) fn install() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new().install_recorder()?;
    describe_gauge!(LEADER, "1 while this replica leads, else 0.");
    describe_gauge!(RESIDENT_BYTES, "Resident memory of the process.");
    describe_counter!(WEBHOOK_REVIEWS, "Reviews of the API server that were answered.");
    describe_histogram!(WEBHOOK_SECONDS, "How long answers to the API server took, in seconds.");
    describe_counter!(INJECTION_SKIPPED, "Pods that got no sidecar.");
    describe_counter!(EVENTS_DROPPED, "Events that were not written, as there were too many.");
    describe_gauge!(
        CERTIFICATE_EXPIRY_SECONDS,
        "How long the webhooks' certificate that is shown lasts, in seconds."
    );
    gauge!(LEADER).set(0.0);
    Ok(handle)
}

/// Resident memory of this process in bytes, as `/proc` tells; 0 where it does not.
pub(crate) fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}
