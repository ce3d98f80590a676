//! Names of all metrics. `docs/METRICS.md` is this table; a test holds them together.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Names of its labels; each has few values. For the document only.
    #[cfg_attr(not(test), expect(dead_code, reason = "the document is made by a test"))]
    pub(crate) labels: &'static str,
    pub(crate) help: &'static str,
}

pub(crate) const BUILD_INFO: &str = "logferry_build_info";
pub(crate) const READ_BYTES: &str = "logferry_read_bytes_total";
pub(crate) const DELAYED_BYTES: &str = "logferry_delayed_bytes_total";
pub(crate) const DELAYED_SECONDS: &str = "logferry_delayed_seconds_total";
pub(crate) const SHED_RECORDS: &str = "logferry_shed_records_total";
pub(crate) const SAMPLED_RECORDS: &str = "logferry_sampled_records_total";
pub(crate) const LIMIT_DEBT_BYTES: &str = "logferry_limit_debt_bytes";
pub(crate) const LANES: &str = "logferry_lanes";
pub(crate) const LANES_REFUSED: &str = "logferry_lanes_refused";
pub(crate) const DELIVERED_BYTES: &str = "logferry_delivered_bytes_total";
pub(crate) const DELIVERED_RECORDS: &str = "logferry_delivered_records_total";
pub(crate) const FILTERED_BYTES: &str = "logferry_filtered_bytes_total";
pub(crate) const GAPS: &str = "logferry_gaps_total";
pub(crate) const GAP_BYTES: &str = "logferry_gap_bytes_total";
pub(crate) const IN_FLIGHT_BYTES: &str = "logferry_in_flight_bytes";
pub(crate) const LAG_BYTES: &str = "logferry_lag_bytes";
pub(crate) const AT_RISK_BYTES: &str = "logferry_at_risk_bytes";
pub(crate) const PINNED_BYTES: &str = "logferry_pinned_bytes";
pub(crate) const PRESSED_DISK_SOURCES: &str = "logferry_pressed_log_disk_sources";
pub(crate) const SOURCES: &str = "logferry_sources";
pub(crate) const WAITING_FILES: &str = "logferry_waiting_files";
pub(crate) const OLDEST_UNACKED_SECONDS: &str = "logferry_oldest_unacked_seconds";
pub(crate) const MEMORY_USED_BYTES: &str = "logferry_memory_used_bytes";
pub(crate) const BATCHES: &str = "logferry_batches_total";
pub(crate) const PAYLOAD_RAW_BYTES: &str = "logferry_payload_raw_bytes_total";
pub(crate) const PAYLOAD_BYTES: &str = "logferry_payload_bytes_total";
pub(crate) const RETRIES: &str = "logferry_retries_total";
pub(crate) const LANES_RETRYING: &str = "logferry_lanes_retrying";
pub(crate) const OPEN_FILES: &str = "logferry_open_files";
pub(crate) const CPU_PRESSURE: &str = "logferry_cpu_pressure";
pub(crate) const MEMORY_PRESSURE: &str = "logferry_memory_pressure";
pub(crate) const TENANT_OPEN_FILES: &str = "logferry_tenant_open_files";
pub(crate) const RESTING_SOURCES: &str = "logferry_resting_sources";
pub(crate) const ENDED_BYTES: &str = "logferry_ended_bytes";
pub(crate) const KNOWN_BYTES: &str = "logferry_known_bytes";
pub(crate) const COPIED_BYTES: &str = "logferry_copied_bytes_total";
pub(crate) const READ_ERRORS: &str = "logferry_read_errors_total";
pub(crate) const REFUSED_PATHS: &str = "logferry_refused_paths";
pub(crate) const DENIED_PODS: &str = "logferry_denied_pods";
pub(crate) const WAITING_PODS: &str = "logferry_waiting_pods";
pub(crate) const CHECKPOINTS: &str = "logferry_checkpoints_total";
pub(crate) const CHECKPOINT_ERRORS: &str = "logferry_checkpoint_errors_total";
pub(crate) const CHECKPOINT_AGE_SECONDS: &str = "logferry_checkpoint_age_seconds";
pub(crate) const SCANS: &str = "logferry_scans_total";
pub(crate) const UNWATCHED_DIRECTORIES: &str = "logferry_unwatched_directories";
pub(crate) const WATCH_OVERFLOWS: &str = "logferry_watch_overflows_total";
pub(crate) const WRITE_TO_ACK_SECONDS: &str = "logferry_write_to_ack_seconds";
pub(crate) const QUEUE_BYTES: &str = "logferry_queue_bytes";
pub(crate) const QUEUE_SEGMENTS: &str = "logferry_queue_segments";
pub(crate) const QUEUE_UNSYNCED_BYTES: &str = "logferry_queue_unsynced_bytes";
pub(crate) const SPOOL_BYTES: &str = "logferry_spool_bytes";
pub(crate) const SPOOL_PAYLOADS: &str = "logferry_spool_payloads";
pub(crate) const SPOOL_KEPT_BYTES: &str = "logferry_spool_kept_bytes_total";
pub(crate) const SPOOL_KEPT_PAYLOADS: &str = "logferry_spool_kept_payloads_total";
pub(crate) const SPOOL_DRAINED_PAYLOADS: &str = "logferry_spool_drained_payloads_total";
pub(crate) const SPOOL_RELEASED_BYTES: &str = "logferry_spool_released_bytes_total";
pub(crate) const SPOOL_CLOSED: &str = "logferry_spool_closed";
pub(crate) const SPOOL_REFUSALS: &str = "logferry_spool_refusals_total";
pub(crate) const CONTAINER_RUNTIME_UP: &str = "logferry_container_runtime_up";
pub(crate) const CONTAINERS: &str = "logferry_containers";
pub(crate) const KUBE_WATCH_OPEN: &str = "logferry_kube_watch_open";
pub(crate) const KUBE_OBJECTS: &str = "logferry_kube_objects";
pub(crate) const KUBE_LISTS: &str = "logferry_kube_lists_total";
pub(crate) const KUBE_FAILURES: &str = "logferry_kube_failures_total";
pub(crate) const KUBE_SILENT_SECONDS: &str = "logferry_kube_silent_seconds";
pub(crate) const KUBE_FAILING_SECONDS: &str = "logferry_kube_failing_seconds";
pub(crate) const RESOURCES_REFUSED: &str = "logferry_resources_refused";
pub(crate) const RELOADS: &str = "logferry_config_reloads_total";
pub(crate) const RELOAD_FAILURES: &str = "logferry_config_reload_failures_total";
pub(crate) const CONFIG_BAD: &str = "logferry_config_bad";
pub(crate) const CREDENTIALS_BAD: &str = "logferry_credentials_bad";
pub(crate) const RESTARTS: &str = "logferry_data_plane_restarts_total";
pub(crate) const RESIDENT_BYTES: &str = "logferry_resident_memory_bytes";

const fn counter(name: &'static str, labels: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

/// All metrics, in the order of the documentation.
pub(crate) const ALL: [Metric; 73] = [
    counter(
        READ_BYTES,
        "tenant",
        "bytes that got cursors: delivered + filtered + gaps + in flight",
    ),
    counter(DELAYED_BYTES, "tenant", "bytes that were read after a limit made them wait"),
    counter(
        DELAYED_SECONDS,
        "tenant",
        "how long limits made reads wait, of all sources that asked",
    ),
    counter(
        SHED_RECORDS,
        "tenant",
        "records that `atLimit` passed over (gap `shed`) or left out (filtered), as they were read",
    ),
    counter(
        SAMPLED_RECORDS,
        "tenant",
        "records that `sampling` of their LogConfig left out (filtered), as they were read",
    ),
    gauge(
        LIMIT_DEBT_BYTES,
        "tenant",
        "bytes read beyond the tenant's tokens, which are paid before the next read",
    ),
    gauge(LANES, "tenant", "lanes of the tenant: its own queue to a shipper of a sink"),
    gauge(
        LANES_REFUSED,
        "tenant",
        "… of which the sink refuses so many: one payload of each is tried again with growing pauses",
    ),
    counter(DELIVERED_BYTES, "tenant", "bytes of sources acknowledged by the queue, in records"),
    counter(DELIVERED_RECORDS, "tenant", "records acknowledged by the queue"),
    counter(FILTERED_BYTES, "tenant", "bytes left out because a LogConfig says so"),
    counter(GAPS, "tenant, reason", "gaps declared and acknowledged, also those of unknown size"),
    counter(GAP_BYTES, "tenant, reason", "bytes declared missing, and acknowledged as such"),
    gauge(IN_FLIGHT_BYTES, "tenant", "bytes read and not acknowledged"),
    gauge(LAG_BYTES, "tenant", "bytes in files that are not read yet, as last seen"),
    gauge(
        AT_RISK_BYTES,
        "tenant",
        "… of which the next rotation of their log removes so many, or which use up their log disk: should alert if it stays",
    ),
    gauge(
        PRESSED_DISK_SOURCES,
        "tenant",
        "sources whose log disk is more than half used, or has kept bytes for a minute: they go to the spool while its sink takes nothing",
    ),
    gauge(
        PINNED_BYTES,
        "tenant",
        "bytes of removed files that keep their disk until they are read",
    ),
    gauge(SOURCES, "tenant", "sources being read"),
    gauge(
        WAITING_FILES,
        "tenant",
        "files, and folders, of which nothing is read since there is no memory to know them by: should alert if it stays; see explain",
    ),
    gauge(TENANT_OPEN_FILES, "tenant", "log files of the tenant held open"),
    gauge(OLDEST_UNACKED_SECONDS, "tenant", "age of the oldest bytes read and not acknowledged"),
    gauge(MEMORY_USED_BYTES, "tenant", "memory of bytes in flight, of the tenant's budget"),
    Metric {
        name: WRITE_TO_ACK_SECONDS,
        kind: Kind::Histogram,
        labels: "",
        help: "time from noticing new bytes to their acknowledgement, by span",
    },
    counter(BATCHES, "sink", "batches taken by the sink"),
    counter(PAYLOAD_RAW_BYTES, "sink", "bytes of payloads before compression"),
    counter(PAYLOAD_BYTES, "sink", "bytes of payloads as given to the sink"),
    counter(RETRIES, "sink", "submissions that were refused and tried again"),
    gauge(LANES_RETRYING, "sink", "lanes that wait to try again: not 0 for minutes should alert"),
    gauge(QUEUE_BYTES, "sink, tenant", "bytes in the embedded queue"),
    gauge(QUEUE_SEGMENTS, "sink, tenant", "segments in the embedded queue"),
    gauge(QUEUE_UNSYNCED_BYTES, "sink, tenant", "bytes of the embedded queue not synced yet"),
    gauge(SPOOL_BYTES, "sink, tenant", "disk that the spool takes, in bytes"),
    gauge(SPOOL_PAYLOADS, "sink, tenant", "payloads in the spool that the sink does not have yet"),
    gauge(
        SPOOL_CLOSED,
        "sink",
        "1 while the spool cannot be opened: tenants that it holds anything for wait: should alert",
    ),
    counter(SPOOL_KEPT_BYTES, "sink", "bytes of payloads kept in the spool"),
    counter(SPOOL_KEPT_PAYLOADS, "sink", "payloads kept in the spool"),
    counter(
        SPOOL_RELEASED_BYTES,
        "tenant",
        "bytes that a full spool let go of; they had counted as delivered, and become gaps `spool_full`: should alert",
    ),
    counter(SPOOL_DRAINED_PAYLOADS, "sink", "payloads out of the spool that the sink took"),
    counter(
        SPOOL_REFUSALS,
        "sink",
        "payloads not kept, for want of room or by the disk: what is at risk may become a gap: should alert",
    ),
    gauge(OPEN_FILES, "", "log files held open"),
    gauge(
        CPU_PRESSURE,
        "",
        "how far readers go that are short of CPU, 2 each at most: larger batches, cheaper compression",
    ),
    gauge(
        MEMORY_PRESSURE,
        "",
        "how far readers go that are short of memory, 2 each at most: smaller reads",
    ),
    gauge(RESTING_SOURCES, "", "quiet sources of which only the place is kept in memory"),
    gauge(ENDED_BYTES, "", "memory that contexts take whose files are gone"),
    gauge(
        KNOWN_BYTES,
        "",
        "memory that data in flight does without: files known beyond `openFilesMax`, and directories",
    ),
    counter(COPIED_BYTES, "", "bytes copied to join or unescape records"),
    counter(READ_ERRORS, "", "errors of opening or reading log files, each try counted"),
    gauge(
        REFUSED_PATHS,
        "",
        "paths that are selected and not read: links beyond their reach, FIFOs, no right; see the log",
    ),
    gauge(
        DENIED_PODS,
        "",
        "pods that a LogConfig selects and does not read: their tenant may not use its sink, or is not theirs; see explain",
    ),
    gauge(
        WAITING_PODS,
        "",
        "pods that a LogConfig may select, and that are not read before the API server has told of them; see explain",
    ),
    counter(CHECKPOINTS, "", "checkpoints stored"),
    counter(CHECKPOINT_ERRORS, "", "checkpoints that could not be stored: should alert"),
    gauge(
        CHECKPOINT_AGE_SECONDS,
        "",
        "since when something acknowledged is in no checkpoint; 0 if all is",
    ),
    counter(SCANS, "", "directory scans"),
    gauge(UNWATCHED_DIRECTORIES, "", "directories that cannot be watched now and are polled"),
    counter(
        WATCH_OVERFLOWS,
        "",
        "times that the watch lost events, and everything was looked at instead",
    ),
    gauge(
        CONTAINER_RUNTIME_UP,
        "",
        "1 while the container runtime answers; only where files inside of containers are wanted",
    ),
    gauge(CONTAINERS, "", "containers that the runtime has, running or not"),
    gauge(KUBE_WATCH_OPEN, "kind", "1 while the API server is watched for objects of the kind"),
    gauge(KUBE_OBJECTS, "kind", "objects that the API server has: of pods those of this node"),
    counter(
        KUBE_LISTS,
        "kind",
        "times that all objects were listed: once, and again when too much was missed",
    ),
    counter(KUBE_FAILURES, "kind", "lists and watches of the API server that failed"),
    gauge(KUBE_SILENT_SECONDS, "kind", "since when the API server says nothing of the kind"),
    gauge(
        KUBE_FAILING_SECONDS,
        "kind",
        "how long the API server cannot be asked; what it said last stays in force: should alert after hours",
    ),
    gauge(
        RESOURCES_REFUSED,
        "kind",
        "resources that are left out, or in force as they were when they were good last; see the log",
    ),
    counter(RELOADS, "", "changes of the configuration put in force"),
    counter(RELOAD_FAILURES, "", "changes of the configuration that were refused"),
    gauge(CONFIG_BAD, "", "1 while the configuration on disk is refused: should alert"),
    gauge(CREDENTIALS_BAD, "", "1 while credentials on disk are refused: should alert"),
    counter(RESTARTS, "", "times that the data plane was started anew"),
    gauge(RESIDENT_BYTES, "", "resident memory of the process"),
    gauge(BUILD_INFO, "version", "1"),
];

/// Tells the recorder what each metric is.
pub(crate) fn describe() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn document() -> String {
        let mut text = String::from(
            "# Metrics\n\nServed at `/metrics` of the agent's `listen` address. Made from \
             `agent/src/metrics/names.rs`.\n\n| name | kind | labels | meaning |\n|---|---|---|---|\n",
        );
        for metric in ALL {
            let kind = format!("{:?}", metric.kind).to_lowercase();
            writeln!(text, "| `{}` | {kind} | {} | {} |", metric.name, metric.labels, metric.help)
                .unwrap();
        }
        text
    }

    #[test]
    fn the_document_is_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/METRICS.md");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, document()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), document(), "run with UPDATE_GOLDEN=1");
    }
}
