//! Limits: how fast sources may be read, by node, tenant, LogConfig and container.
//!
//! A read is granted when all four have tokens for a useful part of it, and takes the tokens of all at once; what it
//! really came to is settled afterwards, also as a debt, which is paid before the next read. A useful part is
//! what is unread, and no more than comes in within [`USEFUL_NS`]: reads do not become tiny, and a limit is kept
//! within that part. Records are known only after framing, and estimated before by the source's last read, with a
//! margin: what has more is cut. So in no time a limit lets more through than rate, burst, and of each reader the
//! record that crosses them.
//! The buckets of node, tenants and LogConfigs are shared by all readers, under one short lock before and after a
//! read; a container's belongs to its source. Sources that nothing limits have no [`Toll`], and pay nothing.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use flow::{Bucket, Rate, is_mutant};

use crate::sync::{Mutex, MutexGuard};

mod plan;
mod toll;
pub use plan::{AtLimit, LimitPlan, LogConfigLimits, Policy, Rates, TenantLimits};
pub use toll::Toll;

/// How much of a rate is worth a read, in nanoseconds: a limited source is read ten times a second, or less often.
const USEFUL_NS: u64 = 100_000_000;

/// Where a limit is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// The whole agent.
    Node,
    /// A tenant, with all its sources.
    Tenant,
    /// A LogConfig, with all its sources.
    LogConfig,
    /// One source.
    Container,
}

impl Level {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Level::Node => "node",
            Level::Tenant => "tenant",
            Level::LogConfig => "LogConfig",
            Level::Container => "container",
        }
    }
}

/// What a read may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It may read so much; [`Limits::settle`] must be called afterwards.
    Granted(Grant),
    /// Nothing before that time.
    Later(Later),
}

/// Tokens that a read took, and what it may bring for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Bytes.
    pub bytes: u64,
    /// Records; [`u64::MAX`] if nothing limits them.
    pub records: u64,
}

/// When to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Later {
    /// Which limit is to be waited for longest.
    pub level: Level,
    /// Monotonic time.
    pub until_ns: u64,
}

/// Where one limit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitReport {
    /// Where it is set.
    pub level: Level,
    /// Bytes, or else records.
    pub is_bytes: bool,
    /// Tokens a second.
    pub per_second: u64,
    /// Tokens there are.
    pub tokens: u64,
    /// Tokens owed.
    pub debt: u64,
}

/// The buckets of one limit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pair {
    bytes: Option<Bucket>,
    records: Option<Bucket>,
}

impl Pair {
    fn new(rates: &Rates, now_ns: u64) -> Pair {
        let bucket = |per_second: Option<u64>| {
            let rate = Rate { per_second: per_second?, burst_ns: rates.burst_ns };
            Some(Bucket::new(rate, now_ns))
        };
        Pair { bytes: bucket(rates.bytes_per_second), records: bucket(rates.records_per_second) }
    }

    fn buckets(&mut self) -> impl Iterator<Item = &mut Bucket> {
        self.bytes.iter_mut().chain(&mut self.records)
    }

    /// What it has for a read of so much; or how long it takes until there is a useful part of it.
    fn offer(&mut self, wanted: Grant, now_ns: u64) -> Result<Grant, u64> {
        self.buckets().for_each(|bucket| bucket.fill(now_ns));
        let one = |bucket: &Option<Bucket>, wanted: u64, most: u64| match bucket {
            None => Ok(u64::MAX),
            Some(bucket) => match bucket.wait_ns(wanted.min(useful(bucket))) {
                0 => Ok(most.min(bucket.tokens()).max(1)),
                wait_ns => Err(wait_ns),
            },
        };
        let bytes = one(&self.bytes, wanted.bytes, wanted.bytes);
        let records = one(&self.records, wanted.records, with_margin(wanted.records));
        match (bytes, records) {
            (Ok(bytes), Ok(records)) => Ok(Grant { bytes, records }),
            (bytes, records) => Err(bytes.err().unwrap_or(0).max(records.err().unwrap_or(0))),
        }
    }

    fn take(&mut self, grant: Grant) {
        self.bytes.iter_mut().for_each(|it| it.take(grant.bytes));
        self.records.iter_mut().for_each(|it| it.take(grant.records));
    }

    fn settle(&mut self, grant: Grant, spent: Grant) {
        let settle = |bucket: &mut Bucket, taken: u64, spent: u64| {
            if !is_mutant("debt_of_a_read_forgotten") {
                bucket.take(spent.saturating_sub(taken));
            }
            if !is_mutant("tokens_not_given_back") {
                bucket.give_back(taken.saturating_sub(spent));
            }
        };
        self.bytes.iter_mut().for_each(|it| settle(it, grant.bytes, spent.bytes));
        self.records.iter_mut().for_each(|it| settle(it, grant.records, spent.records));
    }

    fn report(&mut self, level: Level, now_ns: u64) -> impl Iterator<Item = LimitReport> + use<> {
        if !is_mutant("debt_said_without_what_was_paid") {
            self.buckets().for_each(|bucket| bucket.fill(now_ns));
        }
        let report = |bucket: &Bucket, is_bytes| LimitReport {
            level,
            is_bytes,
            per_second: bucket.rate().per_second,
            tokens: bucket.tokens(),
            debt: bucket.debt(),
        };
        let bytes = self.bytes.as_ref().map(|it| report(it, true));
        bytes.into_iter().chain(self.records.as_ref().map(|it| report(it, false)))
    }
}

/// Records that are taken tokens for where so many are expected, as their number is known only after framing.
fn with_margin(records: u64) -> u64 {
    records.saturating_mul(2)
}

/// Least that a read waits for, if so much is unread.
fn useful(bucket: &Bucket) -> u64 {
    let part = u128::from(bucket.rate().per_second) * u128::from(USEFUL_NS) / 1_000_000_000;
    u64::try_from(part).unwrap_or(u64::MAX).clamp(1, bucket.tokens_max())
}

/// All limits of this node. One per data plane.
#[derive(Debug, Default)]
pub struct Limits {
    plan: LimitPlan,
    node: Option<usize>,
    tenants: HashMap<Arc<str>, usize>,
    log_configs: HashMap<Arc<str>, usize>,
    shared: Mutex<Vec<Pair>>,
}

impl Limits {
    /// The limits that the plan says; buckets are empty.
    #[must_use]
    pub fn new(plan: LimitPlan, now_ns: u64) -> Limits {
        let mut shared = Vec::new();
        let mut add = |rates: &Rates| {
            rates.is_limit().then(|| {
                shared.push(Pair::new(rates, now_ns));
                shared.len() - 1
            })
        };
        let node = add(&plan.node);
        let tenants = plan.tenants.iter();
        let tenants = tenants.filter_map(|(name, it)| Some((name.clone(), add(&it.rates)?)));
        let tenants = tenants.collect();
        let log_configs = plan.log_configs.iter();
        let log_configs =
            log_configs.filter_map(|(name, it)| Some((name.clone(), add(&it.rates)?)));
        let log_configs = log_configs.collect();
        Limits { node, tenants, log_configs, shared: Mutex::new(shared), plan }
    }

    /// Bytes that the whole node may read a second, if that is limited.
    #[must_use]
    pub fn node_bytes_per_second(&self) -> Option<u64> {
        self.plan.node.bytes_per_second
    }

    /// The tenant's weight among others.
    #[must_use]
    pub fn weight(&self, tenant: &str) -> u32 {
        self.plan.tenants.get(tenant).map_or(crate::lane::WEIGHT_USUAL, |it| it.weight)
    }

    /// Most of the tenant's files that are open at a time, if that is limited.
    #[must_use]
    pub fn open_files_max(&self, tenant: &str) -> Option<u64> {
        self.plan.tenants.get(tenant)?.open_files_max
    }

    /// What becomes of the tenant's bytes at a limit, if they do not just wait.
    #[must_use]
    pub fn policy(&self, tenant: &str) -> Option<Policy> {
        let TenantLimits { at_limit, max_lag_ns, .. } = *self.plan.tenants.get(tenant)?;
        (at_limit != AtLimit::Delay).then_some(Policy { at_limit, max_lag_ns })
    }

    /// What a source has to ask; nothing if nothing limits it.
    #[must_use]
    pub fn toll(&self, tenant: &str, log_config: &str, now_ns: u64) -> Option<Box<Toll>> {
        let own = self.plan.log_configs.get(log_config).map(|it| it.per_container);
        let own = own.filter(Rates::is_limit).map(|rates| Pair::new(&rates, now_ns));
        let (tenant_index, config_index) =
            (self.tenants.get(tenant), self.log_configs.get(log_config));
        let toll = Toll::new([self.node, tenant_index.copied(), config_index.copied()], own);
        toll.is_any().then(|| Box::new(toll))
    }

    /// Asks for a read of `bytes`: of what is unread, no more than fits into a chunk.
    pub fn ask(&self, toll: &mut Toll, bytes: u64, now_ns: u64) -> Answer {
        let wanted = Grant { bytes, records: toll.records_in(bytes) };
        let mut shared = self.lock();
        let mut grant = Grant { bytes, records: u64::MAX };
        let mut later: Option<(u64, Level)> = None;
        toll.each(&mut shared, |level, pair| match pair.offer(wanted, now_ns) {
            Ok(offer) => {
                grant.bytes = grant.bytes.min(offer.bytes);
                grant.records = grant.records.min(offer.records);
            }
            Err(wait_ns) if later.is_none_or(|(longest_ns, _)| wait_ns > longest_ns) => {
                later = Some((wait_ns, level));
            }
            Err(_) => {}
        });
        if let Some((wait_ns, level)) = later {
            return Answer::Later(Later { level, until_ns: now_ns.saturating_add(wait_ns) });
        }
        if grant.records < wanted.records {
            grant.bytes = grant.bytes.min(toll.bytes_of(grant.records)).max(1);
        }
        if grant.records < u64::MAX {
            grant.records = grant.records.min(with_margin(toll.records_in(grant.bytes)));
        }
        if is_mutant("tokens_taken_after_the_look") {
            drop(shared);
            shared = self.lock();
        }
        toll.each(&mut shared, |_, pair| pair.take(grant));
        Answer::Granted(grant)
    }

    /// The read came to so much.
    pub fn settle(&self, toll: &mut Toll, grant: Grant, bytes: u64, records: u64) {
        let spent = Grant { bytes, records };
        toll.note(spent);
        toll.each(&mut self.lock(), |_, pair| pair.settle(grant, spent));
    }

    /// Where the source's limits stand.
    #[must_use]
    pub fn report(&self, toll: &Toll, now_ns: u64) -> Vec<LimitReport> {
        let mut reports = Vec::new();
        let add = |level: Level, pair: &mut Pair| reports.extend(pair.report(level, now_ns));
        toll.clone().each(&mut self.lock(), add);
        reports
    }

    /// Bytes that tenants owe, of those that have a limit.
    #[must_use]
    pub fn debts(&self, now_ns: u64) -> Vec<(Arc<str>, u64)> {
        let mut shared = self.lock();
        let mut debt = |index: usize| {
            let reports = shared[index].report(Level::Tenant, now_ns);
            reports.filter(|it| it.is_bytes).map(|it| it.debt).sum()
        };
        self.tenants.iter().map(|(name, index)| (Arc::clone(name), debt(*index))).collect()
    }

    /// The numbers stay right even if a thread died while it held the lock.
    fn lock(&self) -> MutexGuard<'_, Vec<Pair>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
