//! Publish: turns the data plane's plain counters into metrics, when somebody asks for them.

#![expect(clippy::cast_precision_loss, reason = "gauges are floating point by Prometheus' rule")]

use std::collections::BTreeMap;

use flow::GapReason;
use kube_watch::Kind;
use metrics::{counter, gauge};
use pipeline::meter::{Meter, TenantMeter};

use super::names;
use crate::command::version::VERSION;
use crate::place;
use crate::status::Status;

/// Publishes everything.
pub(crate) fn all(status: &Status) {
    let now_ns = status.clock.monotonic_ns();
    gauge!(names::BUILD_INFO, "version" => VERSION).set(1.0);
    gauge!(names::RESIDENT_BYTES).set(place::resident_bytes() as f64);
    for (tenant, meter) in status.meter.tenants() {
        tenant_meter(&tenant, &meter, now_ns);
    }
    sinks(&status.meter);
    plane(&status.meter, now_ns);
    reporter(status, now_ns);
    cluster(status, now_ns);
    agent(status);
}

/// What is known of the API server; nothing without a cluster.
fn cluster(status: &Status, now_ns: u64) {
    let refused = status.now().refused_resources.clone();
    for (kind, meter) in &status.watches {
        let labels = [("kind", kind.name())];
        gauge!(names::KUBE_WATCH_OPEN, &labels).set(if meter.is_open() { 1.0 } else { 0.0 });
        gauge!(names::KUBE_OBJECTS, &labels).set(meter.objects() as f64);
        counter!(names::KUBE_LISTS, &labels).absolute(meter.lists());
        counter!(names::KUBE_FAILURES, &labels).absolute(meter.failures());
        if let Some(heard_ns) = meter.heard_ns() {
            let silent_ns = now_ns.saturating_sub(heard_ns);
            gauge!(names::KUBE_SILENT_SECONDS, &labels).set(silent_ns as f64 / 1e9);
        }
        let failing_ns = meter.failing_since_ns().map_or(0, |since| now_ns.saturating_sub(since));
        gauge!(names::KUBE_FAILING_SECONDS, &labels).set(failing_ns as f64 / 1e9);
        if *kind != Kind::Pods {
            let count = refused.get(kind).copied().unwrap_or(0);
            gauge!(names::RESOURCES_REFUSED, &labels).set(count as f64);
        }
    }
}

/// What only the running data plane knows.
fn reporter(status: &Status, now_ns: u64) {
    let Some(reporter) = status.now().reporter.clone() else { return };
    for (tenant, bytes) in reporter.limit_debts(now_ns) {
        gauge!(names::LIMIT_DEBT_BYTES, "tenant" => tenant.to_string()).set(bytes as f64);
    }
    let mut lanes: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for (key, refused) in reporter.lanes() {
        let (all, of_refused) = lanes.entry(key.tenant.to_string()).or_default();
        *all += 1;
        *of_refused += u32::from(refused.is_some());
    }
    for (tenant, (all, refused)) in lanes {
        let labels = [("tenant", tenant)];
        gauge!(names::LANES, &labels).set(f64::from(all));
        gauge!(names::LANES_REFUSED, &labels).set(f64::from(refused));
    }
}

fn tenant_meter(tenant: &str, meter: &TenantMeter, now_ns: u64) {
    let tenant = tenant.to_owned();
    let labels = [("tenant", tenant.clone())];
    // The whole is read last: then the sum of the parts is never more.
    let delivered = meter.delivered_bytes.get();
    let filtered = meter.filtered_bytes.get();
    let mut out = delivered + filtered;
    for reason in GapReason::ALL {
        let bytes = meter.gap_bytes[usize::from(reason.code())].get();
        out += bytes;
        let labels = [("tenant", tenant.clone()), ("reason", reason.name().to_owned())];
        counter!(names::GAP_BYTES, &labels).absolute(bytes);
        let gaps = meter.gaps[usize::from(reason.code())].get();
        counter!(names::GAPS, &labels).absolute(gaps);
    }
    let read = meter.read_bytes.get();
    counter!(names::READ_BYTES, &labels).absolute(read);
    counter!(names::DELAYED_BYTES, &labels).absolute(meter.delayed_bytes.get());
    counter!(names::SHED_RECORDS, &labels).absolute(meter.shed_records.get());
    counter!(names::SAMPLED_RECORDS, &labels).absolute(meter.sampled_records.get());
    counter!(names::DELAYED_SECONDS, &labels).absolute(meter.delayed_ns.get() / 1_000_000_000);
    counter!(names::DELIVERED_BYTES, &labels).absolute(delivered);
    counter!(names::DELIVERED_RECORDS, &labels).absolute(meter.delivered_records.get());
    counter!(names::FILTERED_BYTES, &labels).absolute(filtered);
    counter!(names::SPOOL_RELEASED_BYTES, &labels).absolute(meter.released_bytes.get());
    gauge!(names::IN_FLIGHT_BYTES, &labels).set(read.saturating_sub(out) as f64);
    gauge!(names::LAG_BYTES, &labels).set(meter.lag_bytes.get() as f64);
    gauge!(names::AT_RISK_BYTES, &labels).set(meter.risk_bytes.get() as f64);
    gauge!(names::PINNED_BYTES, &labels).set(meter.pinned_bytes.get() as f64);
    gauge!(names::PRESSED_DISK_SOURCES, &labels).set(meter.pressed_disk_sources.get() as f64);
    gauge!(names::SOURCES, &labels).set(meter.sources.get() as f64);
    gauge!(names::WAITING_FILES, &labels).set(meter.waiting_files.get() as f64);
    gauge!(names::TENANT_OPEN_FILES, &labels).set(meter.open_files.get() as f64);
    let oldest_ns = meter.oldest_unacked_ns().map_or(0, |seen_ns| now_ns.saturating_sub(seen_ns));
    gauge!(names::OLDEST_UNACKED_SECONDS, &labels).set(oldest_ns as f64 / 1e9);
}

fn sinks(meter: &Meter) {
    for (sink, meter) in meter.sinks() {
        let labels = [("sink", sink.to_string())];
        counter!(names::BATCHES, &labels).absolute(meter.batches.get());
        counter!(names::PAYLOAD_RAW_BYTES, &labels).absolute(meter.raw_bytes.get());
        counter!(names::PAYLOAD_BYTES, &labels).absolute(meter.payload_bytes.get());
        counter!(names::RETRIES, &labels).absolute(meter.retries.get());
        counter!(names::SPOOL_KEPT_PAYLOADS, &labels).absolute(meter.kept_payloads.get());
        counter!(names::SPOOL_KEPT_BYTES, &labels).absolute(meter.kept_bytes.get());
        counter!(names::SPOOL_DRAINED_PAYLOADS, &labels).absolute(meter.drained_payloads.get());
        counter!(names::SPOOL_REFUSALS, &labels).absolute(meter.spool_refusals.get());
        gauge!(names::LANES_RETRYING, &labels).set(meter.lanes_retrying.get() as f64);
    }
}

fn plane(meter: &Meter, now_ns: u64) {
    gauge!(names::OPEN_FILES).set(meter.open_files.get() as f64);
    gauge!(names::CPU_PRESSURE).set(meter.cpu_pressure.get() as f64);
    gauge!(names::MEMORY_PRESSURE).set(meter.memory_pressure.get() as f64);
    gauge!(names::RESTING_SOURCES).set(meter.resting_sources.get() as f64);
    gauge!(names::ENDED_BYTES).set(meter.ended_bytes.get() as f64);
    gauge!(names::KNOWN_BYTES).set(meter.known_bytes.get() as f64);
    counter!(names::COPIED_BYTES).absolute(meter.copied_bytes.get());
    counter!(names::READ_ERRORS).absolute(meter.read_errors.get());
    gauge!(names::REFUSED_PATHS).set(meter.refused_paths.get() as f64);
    gauge!(names::DENIED_PODS).set(meter.denied_pods.get() as f64);
    gauge!(names::WAITING_PODS).set(meter.waiting_pods.get() as f64);
    counter!(names::CHECKPOINTS).absolute(meter.checkpoints.get());
    counter!(names::CHECKPOINT_ERRORS).absolute(meter.checkpoint_errors.get());
    let age_ns = match meter.unstored_since_ns.get() {
        0 => 0,
        since_ns => now_ns.saturating_sub(since_ns),
    };
    gauge!(names::CHECKPOINT_AGE_SECONDS).set(age_ns as f64 / 1e9);
    counter!(names::SCANS).absolute(meter.scans.get());
    gauge!(names::UNWATCHED_DIRECTORIES).set(meter.unwatched_directories.get() as f64);
    counter!(names::WATCH_OVERFLOWS).absolute(meter.watch_overflows.get());
}

fn agent(status: &Status) {
    let now = status.now();
    for (tenant, bytes) in &now.memory {
        gauge!(names::MEMORY_USED_BYTES, "tenant" => tenant.to_string()).set(*bytes as f64);
    }
    for (sink, queue) in &now.queues {
        for stats in queue.stats() {
            let labels = [("sink", sink.to_string()), ("tenant", stats.tenant.to_string())];
            gauge!(names::QUEUE_BYTES, &labels).set(stats.bytes as f64);
            gauge!(names::QUEUE_SEGMENTS, &labels).set(stats.segments as f64);
            gauge!(names::QUEUE_UNSYNCED_BYTES, &labels).set(stats.unsynced_bytes as f64);
        }
    }
    for awaited in &now.late_spools {
        let is_closed = awaited.spool.store().is_none();
        let labels = [("sink", awaited.sink.to_string())];
        gauge!(names::SPOOL_CLOSED, &labels).set(if is_closed { 1.0 } else { 0.0 });
    }
    for (sink, spool) in &now.spools {
        gauge!(names::SPOOL_CLOSED, "sink" => sink.to_string()).set(0.0);
        for stats in spool.stats() {
            let labels = [("sink", sink.to_string()), ("tenant", stats.tenant.to_string())];
            gauge!(names::SPOOL_BYTES, &labels).set(stats.bytes as f64);
            gauge!(names::SPOOL_PAYLOADS, &labels).set(stats.owed as f64);
        }
    }
    if let Some(containers) = &now.containers {
        let is_up = if containers.is_answered() { 1.0 } else { 0.0 };
        gauge!(names::CONTAINER_RUNTIME_UP).set(is_up);
        gauge!(names::CONTAINERS).set(containers.all().len() as f64);
    }
    counter!(names::RELOADS).absolute(now.reloads);
    counter!(names::RELOAD_FAILURES).absolute(now.reload_failures);
    gauge!(names::CONFIG_BAD).set(if now.config_problem.is_some() { 1.0 } else { 0.0 });
    let is_bad = now.credentials_problem.is_some();
    gauge!(names::CREDENTIALS_BAD).set(if is_bad { 1.0 } else { 0.0 });
    counter!(names::RESTARTS).absolute(now.restarts);
}
