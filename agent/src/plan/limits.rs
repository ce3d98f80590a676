//! Limits: how fast sources may be read, as the data plane wants to know it.

use std::sync::Arc;

use crd::{RateSettings, Settings, TenantSettings};
use flow::nanoseconds;
use pipeline::limits::{AtLimit, LimitPlan, LogConfigLimits, Rates, TenantLimits};

/// All limits, by tenant and by LogConfig. Without a spool for each sink, what is to be kept there waits.
pub(super) fn of(settings: &Settings, has_spools: bool) -> LimitPlan {
    let tenants = settings.tenants.iter().map(|it| {
        let limits = tenant(it);
        let waits = limits.at_limit == AtLimit::Spool && !has_spools;
        let at_limit = if waits { AtLimit::Delay } else { limits.at_limit };
        (Arc::from(&*it.name), TenantLimits { at_limit, ..limits })
    });
    let log_configs = settings.log_configs.iter().map(|it| {
        let (all, each) = (rates(&it.limits.rate), rates(&it.limits.per_container));
        (Arc::from(it.name.to_string()), LogConfigLimits { rates: all, per_container: each })
    });
    LimitPlan {
        node: rates(&settings.agent.limits),
        tenants: tenants.collect(),
        log_configs: log_configs.collect(),
    }
}

fn tenant(settings: &TenantSettings) -> TenantLimits {
    let limits = &settings.limits;
    TenantLimits {
        weight: settings.weight,
        priority: settings.priority,
        rates: rates(&limits.rate),
        at_limit: match limits.at_limit {
            crd::AtLimit::Delay => AtLimit::Delay,
            crd::AtLimit::Spool => AtLimit::Spool,
            crd::AtLimit::Sample { one_in } => AtLimit::Sample(one_in),
            crd::AtLimit::ShedOldest => AtLimit::ShedOldest,
        },
        max_lag_ns: limits.max_lag.map(nanoseconds),
        open_files_max: settings.open_files_max.map(|it| it as u64),
    }
}

fn rates(settings: &RateSettings) -> Rates {
    Rates {
        bytes_per_second: settings.bytes_per_second,
        records_per_second: settings.records_per_second,
        burst_ns: nanoseconds(settings.burst),
    }
}
