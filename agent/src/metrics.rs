//! Metrics: the names, in one table, and how the plain counters get there.

pub(crate) mod names;
pub(crate) mod publish;

use metrics::Histogram;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use pipeline::meter::Observe;

use crate::exit::Failure;

/// Buckets of the write-to-ack latency, in seconds: from a linger to an outage.
const LATENCY_BUCKETS: [f64; 12] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0];

/// Makes the recorder that all metrics go to.
pub(crate) fn install() -> Result<PrometheusHandle, Failure> {
    let matcher = Matcher::Full(names::WRITE_TO_ACK_SECONDS.to_owned());
    let builder = PrometheusBuilder::new().set_buckets_for_metric(matcher, &LATENCY_BUCKETS);
    let handle = builder.map_err(Failure::unusable)?.install_recorder();
    names::describe();
    handle.map_err(Failure::unusable)
}

/// Hears of acknowledged spans.
#[derive(Debug)]
pub(crate) struct Latency(Histogram);

impl Latency {
    pub(crate) fn new() -> Latency {
        Latency(metrics::histogram!(names::WRITE_TO_ACK_SECONDS))
    }
}

impl Observe for Latency {
    #[expect(clippy::cast_precision_loss, reason = "a latency below months is exact enough")]
    fn acknowledged(&self, latency_ns: u64) {
        self.0.record(latency_ns as f64 / 1e9);
    }
}
