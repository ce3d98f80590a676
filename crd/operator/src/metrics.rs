//! Metrics: the names, in one table.

use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// 1 while this replica leads.
pub(crate) const LEADER: &str = "logferry_operator_leader";
/// Memory of the process.
pub(crate) const RESIDENT_BYTES: &str = "logferry_operator_resident_bytes";

/// Makes the recorder that all metrics go to.
pub(crate) fn install() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new().install_recorder()?;
    describe_gauge!(LEADER, "1 while this replica leads, else 0.");
    describe_gauge!(RESIDENT_BYTES, "Resident memory of the process.");
    gauge!(LEADER).set(0.0);
    Ok(handle)
}

/// Resident memory of this process in bytes, as `/proc` tells; 0 where it does not.
pub(crate) fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}
