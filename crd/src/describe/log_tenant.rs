//! A tenant's settings as its spec.

use crate::settings::{AtLimit, TenantLimitsSettings, TenantSettings};
use crate::spec::{AtLimitName, LogTenantSpec, MemorySpec, RateSpec, TenantLimitsSpec};
use crate::units::{ByteSize, Period};

pub(super) fn spec(tenant: &TenantSettings) -> LogTenantSpec {
    LogTenantSpec {
        namespaces: Some(tenant.namespaces.patterns().to_vec()),
        namespace_selector: tenant.namespace_selector.as_ref().map(super::log_config::labels),
        memory: Some(MemorySpec {
            reserved: Some(super::size(tenant.memory.reserved_bytes)),
            max: Some(super::size(tenant.memory.max_bytes)),
        }),
        weight: Some(tenant.weight),
        priority: Some(tenant.priority),
        sinks: tenant.sinks.clone(),
        topics: tenant.topics.as_ref().map(|it| it.patterns().to_vec()),
        limits: Some(limits(&tenant.limits)),
        pinned_bytes: tenant.pinned_bytes_max.map(ByteSize),
        spool_bytes: tenant.spool_bytes_max.map(ByteSize),
        in_flight_bytes: tenant.in_flight_bytes_max.map(super::size),
        open_files: tenant.open_files_max.map(super::count),
    }
}

fn limits(limits: &TenantLimitsSettings) -> TenantLimitsSpec {
    let RateSpec { bytes_per_second, records_per_second, burst } = super::rate(&limits.rate);
    let (at_limit, sample_one_in) = match limits.at_limit {
        AtLimit::Delay => (AtLimitName::Delay, None),
        AtLimit::Spool => (AtLimitName::Spool, None),
        AtLimit::Sample { one_in } => (AtLimitName::Sample, Some(one_in)),
        AtLimit::ShedOldest => (AtLimitName::ShedOldest, None),
    };
    TenantLimitsSpec {
        bytes_per_second,
        records_per_second,
        burst,
        max_lag: limits.max_lag.map(Period::from),
        at_limit: Some(at_limit),
        sample_one_in,
    }
}
