//! Plan: which limits there are.

use std::collections::HashMap;
use std::sync::Arc;

use crate::lane::WEIGHT_USUAL;

/// Limits of bytes and records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// Bytes of the sources a second; no limit if absent, and not 0.
    pub bytes_per_second: Option<u64>,
    /// Records a second; no limit if absent, and not 0.
    pub records_per_second: Option<u64>,
    /// What comes in within so many nanoseconds may be read at once.
    pub burst_ns: u64,
}

impl Rates {
    /// Whether it limits anything.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        self.bytes_per_second.is_some() || self.records_per_second.is_some()
    }
}

/// What becomes of bytes that have waited too long for a limit, or are about to be rotated away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AtLimit {
    /// They wait on, in their file.
    #[default]
    Delay,
    /// One record in so many is kept; the others are counted as filtered.
    Sample(u32),
    /// They are passed over, and declared as a gap.
    ShedOldest,
    /// They are read into the spool, without tokens, which are taken when it is drained.
    Spool,
}

/// When a tenant's policy decides, and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What becomes of bytes that waited too long, or are about to be rotated away.
    pub at_limit: AtLimit,
    /// How long is too long, in nanoseconds; if absent, only what is about to be rotated away is in question.
    pub max_lag_ns: Option<u64>,
}

/// What is said of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantLimits {
    /// Its share beside others, from 1 to 10,000.
    pub weight: u32,
    /// Where disk for removed files or for spools is full, lower ones lose first.
    pub priority: i32,
    /// Of all its sources together.
    pub rates: Rates,
    /// What to do at any of its sources' limits.
    pub at_limit: AtLimit,
    /// After how long, in nanoseconds; if absent, only when bytes are about to be rotated away.
    pub max_lag_ns: Option<u64>,
    /// Most of its files that are open at a time; if absent, the agent's limit alone.
    pub open_files_max: Option<u64>,
}

impl Default for TenantLimits {
    fn default() -> TenantLimits {
        let (rates, at_limit) = (Rates::default(), AtLimit::Delay);
        let (weight, priority) = (WEIGHT_USUAL, 0);
        let (max_lag_ns, open_files_max) = (None, None);
        TenantLimits { weight, priority, rates, at_limit, max_lag_ns, open_files_max }
    }
}

/// What is said of a LogConfig.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogConfigLimits {
    /// Of all its sources together.
    pub rates: Rates,
    /// Of each of them.
    pub per_container: Rates,
}

/// All limits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LimitPlan {
    /// Of the whole agent.
    pub node: Rates,
    /// By tenant.
    pub tenants: HashMap<Arc<str>, TenantLimits>,
    /// By name of the LogConfig.
    pub log_configs: HashMap<Arc<str>, LogConfigLimits>,
}

impl LimitPlan {
    /// Priorities by tenant; 0 for all others.
    #[must_use]
    pub fn priorities(&self) -> HashMap<Arc<str>, i32> {
        self.tenants.iter().map(|(name, it)| (Arc::clone(name), it.priority)).collect()
    }

    /// Weights by tenant.
    #[must_use]
    pub fn weights(&self) -> HashMap<Arc<str>, u32> {
        self.tenants.iter().map(|(name, it)| (Arc::clone(name), it.weight)).collect()
    }
}
