//! Tenants: their namespaces, and how much of the node is theirs.

use std::collections::BTreeSet;

use super::{labels, rate};
use crate::document::is_dns_name;
use crate::globs::Against;
use crate::report::Check;
use crate::settings::{AtLimit, MemorySettings, TenantLimitsSettings, TenantSettings};
use crate::spec::{AtLimitName, LogTenantSpec, MemorySpec, RateSpec, TenantLimitsSpec};
use crate::units::ByteSize;
use crate::{defaults, limits};

/// What a name of a tenant may be.
pub(super) const TENANT_CURE: &str = "write 1 to 63 lower-case letters, digits, - and .";

pub(super) fn resolve(
    spec: LogTenantSpec,
    chunk: Option<ByteSize>,
    sink_names: &BTreeSet<String>,
    check: &mut Check<'_>,
) -> Option<TenantSettings> {
    let name = check.document.name.clone();
    if !name.is_empty() && !is_tenant(&name) && is_dns_name(&name, limits::NAME_CHARS_MAX) {
        check.error("metadata.name", "too long for a tenant", TENANT_CURE);
    }
    let namespaces = check.globs("spec.namespaces", spec.namespaces, &[], Against::Names);
    let by_labels = |it| labels::resolve("spec.namespaceSelector", it, check);
    let namespace_selector = spec.namespace_selector.map(by_labels);
    let memory = memory(&spec.memory.unwrap_or_default(), chunk, check);
    let weight = check.ranged("spec.weight", spec.weight, defaults::WEIGHT, &limits::WEIGHT);
    let priority = spec.priority;
    let priority = check.ranged("spec.priority", priority, defaults::PRIORITY, &limits::PRIORITY);
    let sinks = spec.sinks.map(|it| sinks(it, sink_names, check));
    let topics = spec.topics.map(|it| check.globs("spec.topics", Some(it), &[], Against::Names));
    let limits = limits(&spec.limits.unwrap_or_default(), check);
    let mut size = |path, value: Option<ByteSize>, range| {
        value.map(|value| check.ranged(path, Some(value), value, range))
    };
    let pinned = size("spec.pinnedBytes", spec.pinned_bytes, &limits::PINNED_BYTES_MAX);
    let spool = size("spec.spoolBytes", spec.spool_bytes, &limits::TENANT_SPOOL_BYTES);
    let in_flight_path = "spec.inFlightBytes";
    let in_flight = size(in_flight_path, spec.in_flight_bytes, &limits::TENANT_IN_FLIGHT);
    if let (Some(in_flight), Some(chunk)) = (in_flight, chunk)
        && in_flight < chunk
        && !check.document.is_broken(in_flight_path)
    {
        let cure = format!("write at least {chunk}, or a smaller chunkBytes for the Agent");
        check.error(in_flight_path, &format!("below the Agent's chunkBytes of {chunk}"), &cure);
    }
    let open_files = spec.open_files;
    let open_files = open_files
        .map(|it| check.ranged("spec.openFiles", Some(it), it, &limits::TENANT_OPEN_FILES));
    Some(TenantSettings {
        name,
        namespaces,
        namespace_selector,
        memory,
        weight,
        priority,
        sinks,
        topics,
        limits,
        pinned_bytes_max: pinned.map(|it| it.0),
        spool_bytes_max: spool.map(|it| it.0),
        in_flight_bytes_max: in_flight.map(ByteSize::as_usize),
        open_files_max: open_files.map(|it| it as usize),
    })
}

/// The sinks, in order and each once; those that do not exist are complained about.
fn sinks(
    written: Vec<String>,
    sink_names: &BTreeSet<String>,
    check: &mut Check<'_>,
) -> Vec<String> {
    let path = "spec.sinks";
    if written.is_empty() && !check.document.is_broken(path) {
        let cure = "name a LogSink, or leave it out for all of them";
        check.error(path, "an empty list lets nothing be delivered", cure);
    }
    for (index, name) in written.iter().enumerate() {
        if !sink_names.contains(name) && !check.report.has_unread {
            let names: Vec<&str> = sink_names.iter().map(String::as_str).take(10).collect();
            let cure = match names.as_slice() {
                [] => format!("add a LogSink of the name {name}"),
                names => format!("write one of `{}`, or add it", names.join("`, `")),
            };
            check.error(&format!("{path}[{index}]"), "no LogSink has this name", &cure);
        }
    }
    let sorted: BTreeSet<String> = written.into_iter().collect();
    sorted.into_iter().collect()
}

fn limits(spec: &TenantLimitsSpec, check: &mut Check<'_>) -> TenantLimitsSettings {
    let rate = RateSpec {
        bytes_per_second: spec.bytes_per_second,
        records_per_second: spec.records_per_second,
        burst: spec.burst,
    };
    let lag_path = "spec.limits.maxLag";
    let max_lag =
        spec.max_lag.map(|it| check.ranged(lag_path, Some(it), it, &limits::MAX_LAG).duration());
    let (at_path, one_in_path) = ("spec.limits.atLimit", "spec.limits.sampleOneIn");
    let is_known = !check.document.is_broken(at_path) && !check.document.is_broken(one_in_path);
    let at_limit = match (spec.at_limit.unwrap_or(defaults::AT_LIMIT), spec.sample_one_in) {
        (AtLimitName::Sample, Some(one_in)) => AtLimit::Sample {
            one_in: check.ranged(one_in_path, Some(one_in), one_in, &limits::SAMPLE_ONE_IN),
        },
        (AtLimitName::Sample, None) => {
            if is_known {
                let cure = "write sampleOneIn beside it, such as 10 for every tenth record";
                check.error(at_path, "of how many is not said", cure);
            }
            AtLimit::Delay
        }
        (other, one_in) => {
            if one_in.is_some() && is_known {
                let why = format!("of no effect with `atLimit: {}`", other.name());
                check.error(one_in_path, &why, "remove it, or write `atLimit: sample`");
            }
            match other {
                AtLimitName::Spool => AtLimit::Spool,
                AtLimitName::ShedOldest => AtLimit::ShedOldest,
                AtLimitName::Delay | AtLimitName::Sample => AtLimit::Delay,
            }
        }
    };
    TenantLimitsSettings { rate: rate::resolve("spec.limits", &rate, check), max_lag, at_limit }
}

/// Whether `name` can be the name of a tenant.
pub(super) fn is_tenant(name: &str) -> bool {
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    !name.is_empty()
        && name.len() <= limits::TENANT_CHARS_MAX
        && name.chars().all(is_good)
        && !name.chars().all(|c| c == '.')
}

/// The memory of a tenant nobody wrote about, where chunks have `chunk` bytes.
pub(super) fn memory_of_others(chunk: ByteSize) -> MemorySettings {
    let reserved = defaults::TENANT_RESERVED.max(chunk);
    let max = defaults::TENANT_MAX.max(reserved);
    MemorySettings { reserved_bytes: reserved.as_usize(), max_bytes: max.as_usize() }
}

fn memory(spec: &MemorySpec, chunk: Option<ByteSize>, check: &mut Check<'_>) -> MemorySettings {
    let (reserved_path, max_path) = ("spec.memory.reserved", "spec.memory.max");
    let default_reserved = defaults::TENANT_RESERVED.max(chunk.unwrap_or(defaults::CHUNK_BYTES));
    // A small maximum alone makes the reserve small too.
    let default_reserved = spec.max.map_or(default_reserved, |max| default_reserved.min(max));
    let reserved =
        check.ranged(reserved_path, spec.reserved, default_reserved, &limits::TENANT_RESERVED);
    let default_max = defaults::TENANT_MAX.max(reserved);
    let max = check.ranged(max_path, spec.max, default_max, &limits::TENANT_MAX);
    let is_known = !check.document.is_broken("spec.memory");
    if is_known && max < reserved {
        let cure = format!("write at least {reserved}, or a smaller memory.reserved");
        check.error(max_path, &format!("below the reserve of {reserved}"), &cure);
    } else if let Some(chunk) = chunk.filter(|&chunk| is_known && reserved < chunk) {
        let path = if spec.reserved.is_some() { reserved_path } else { max_path };
        let cure = format!("write at least {chunk}, or a smaller chunkBytes for the Agent");
        check.error(path, &format!("below the Agent's chunkBytes of {chunk}"), &cure);
    }
    MemorySettings { reserved_bytes: reserved.as_usize(), max_bytes: max.as_usize() }
}
