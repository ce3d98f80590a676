//! Meter: plain counters of the data plane, updated per chunk or per batch.
//!
//! Every byte that enters leaves by exactly one counter: read = delivered + filtered + gaps + in
//! flight. The control plane turns these into Prometheus metrics when it is scraped.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Deref;
use std::sync::{Arc, PoisonError};

use flow::{Acked, GapReason, SourceId, is_mutant};

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// A counter or gauge that one thread writes at a time and any thread reads.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds.
    pub fn add(&self, amount: u64) {
        if is_mutant("count_read_then_written") {
            return self.set(self.get() + amount);
        }
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// Takes away; never below zero if what is taken was added before.
    pub fn sub(&self, amount: u64) {
        self.0.fetch_sub(amount, Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets a gauge.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// A span that was read and is not acknowledged: when it was first seen, whose, where it begins.
pub type InFlight = (u64, SourceId, u64);

/// Counts of one tenant.
#[derive(Debug, Default)]
pub struct TenantMeter {
    /// Bytes of the source that got cursors, gaps included.
    pub read_bytes: Count,
    /// Bytes that were read after they had waited for a limit.
    pub delayed_bytes: Count,
    /// How long reads waited for limits, in nanoseconds: of all sources that asked.
    pub delayed_ns: Count,
    /// Records passed over or left out because of a limit, when they were read.
    pub shed_records: Count,
    /// Records left out since their LogConfig has a sample kept, when they were read.
    pub sampled_records: Count,
    /// Bytes acknowledged by the queue, in records.
    pub delivered_bytes: Count,
    /// Records acknowledged by the queue.
    pub delivered_records: Count,
    /// Bytes left out by a filter, acknowledged with what surrounds them.
    pub filtered_bytes: Count,
    /// Bytes declared missing and acknowledged, by reason code.
    pub gap_bytes: [Count; GapReason::ALL.len() + 1],
    /// Gaps declared and acknowledged, by reason code. Some have no bytes: their size nobody can know.
    pub gaps: [Count; GapReason::ALL.len() + 1],
    /// Bytes that were read beyond a limit for the spool, and not drained out of it yet. A little less once others
    /// were drained with them.
    pub over_limit_bytes: Count,
    /// Bytes that had counted as delivered, and that a full spool let go of: they become gaps.
    pub released_bytes: Count,
    /// Bytes known to be unread.
    pub lag_bytes: Count,
    /// … of which the next rotation removes so many, or which press on their log disk.
    pub risk_bytes: Count,
    /// Sources whose log disk is being used up, or has kept bytes for long: also what is read, and not acknowledged, takes its
    /// memory.
    pub pressed_disk_sources: Count,
    /// Bytes of removed files that are held open.
    pub pinned_bytes: Count,
    /// Sources being read.
    pub sources: Count,
    /// Files, and directories, that are not known since there is no memory for it.
    pub waiting_files: Count,
    /// Descriptors of log files held open.
    pub open_files: Count,
    in_flight: Mutex<BTreeSet<InFlight>>,
}

impl TenantMeter {
    /// A span goes on its way.
    pub fn begin(&self, span: InFlight) {
        lock(&self.in_flight).insert(span);
    }

    /// A span is acknowledged.
    pub fn end(&self, span: &InFlight) {
        lock(&self.in_flight).remove(span);
    }

    /// So many bytes were drained out of the spool.
    pub fn drained(&self, bytes: u64) {
        let less = |over: u64| Some(over.saturating_sub(bytes));
        let count = &self.over_limit_bytes.0;
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).expect("it is always less");
    }

    /// The data plane ended with spans un-acked: they count as never read, and are read again.
    pub fn forget_in_flight(&self) {
        self.over_limit_bytes.set(0);
        lock(&self.in_flight).clear();
        self.read_bytes.set(self.accounted_bytes());
    }

    /// Bytes that left by one of the counters.
    #[must_use]
    pub fn accounted_bytes(&self) -> u64 {
        let gaps: u64 = self.gap_bytes.iter().map(Count::get).sum();
        self.delivered_bytes.get() + self.filtered_bytes.get() + gaps
    }

    /// When the oldest un-acked span of each source was first seen, by the monotonic clock.
    #[must_use]
    pub fn unacked_since_ns(&self) -> HashMap<SourceId, u64> {
        // Oldest first, so that the first of each is the one.
        let mut since = HashMap::new();
        for (seen_ns, source, _) in &*lock(&self.in_flight) {
            since.entry(*source).or_insert(*seen_ns);
        }
        since
    }

    /// When the oldest un-acked span was first seen, by the monotonic clock.
    #[must_use]
    pub fn oldest_unacked_ns(&self) -> Option<u64> {
        lock(&self.in_flight).first().map(|(seen_ns, _, _)| *seen_ns)
    }
}

/// Counts of one LogConfig, over all tenants.
#[derive(Debug, Default)]
pub struct RuleMeter {
    /// Bytes of the source that got cursors, gaps included.
    pub read_bytes: Count,
    /// Records passed over or left out because of a limit, when they were read.
    pub shed_records: Count,
    /// Bytes acknowledged by the queue, in records.
    pub delivered_bytes: Count,
    /// Records acknowledged by the queue.
    pub delivered_records: Count,
    /// Bytes left out by a filter, acknowledged with what surrounds them.
    pub filtered_bytes: Count,
    /// Bytes declared missing and acknowledged.
    pub gap_bytes: Count,
}

impl RuleMeter {
    /// The data plane ended with spans un-acked: they count as never read, and are read again.
    pub fn forget_in_flight(&self) {
        let parts = [&self.delivered_bytes, &self.filtered_bytes, &self.gap_bytes];
        self.read_bytes.set(parts.into_iter().map(Count::get).sum());
    }
}

/// What a source counts into: the counts of its tenant, which this stands for, and those of its LogConfig.
#[derive(Debug, Default)]
pub struct SourceMeter {
    tenant: Arc<TenantMeter>,
    /// Counts of its LogConfig.
    pub rule: Arc<RuleMeter>,
}

impl SourceMeter {
    /// Whether both count for the same tenant.
    #[must_use]
    pub fn is_of_tenant_of(&self, other: &SourceMeter) -> bool {
        Arc::ptr_eq(&self.tenant, &other.tenant)
    }

    /// Bytes got cursors.
    pub fn read(&self, bytes: u64) {
        self.tenant.read_bytes.add(bytes);
        self.rule.read_bytes.add(bytes);
    }

    /// Records were passed over or left out because of a limit.
    pub fn shed(&self, records: u64) {
        self.tenant.shed_records.add(records);
        self.rule.shed_records.add(records);
    }

    /// A span was acknowledged.
    pub fn acknowledged(&self, acked: &Acked) {
        self.tenant.end(&(acked.seen_ns, acked.source, acked.span.begin));
        let bytes = acked.span.bytes();
        match acked.gap {
            Some(reason) => {
                self.tenant.gap_bytes[usize::from(reason.code())].add(bytes);
                self.rule.gap_bytes.add(bytes);
            }
            None => {
                let delivered_bytes = bytes - acked.filtered_bytes;
                self.tenant.delivered_bytes.add(delivered_bytes);
                self.tenant.filtered_bytes.add(acked.filtered_bytes);
                self.tenant.delivered_records.add(u64::from(acked.records));
                self.rule.delivered_bytes.add(delivered_bytes);
                self.rule.filtered_bytes.add(acked.filtered_bytes);
                self.rule.delivered_records.add(u64::from(acked.records));
            }
        }
    }
}

impl Deref for SourceMeter {
    type Target = TenantMeter;

    fn deref(&self) -> &TenantMeter {
        &self.tenant
    }
}

/// Counts of one sink.
#[derive(Debug, Default)]
pub struct SinkMeter {
    /// Batches taken by the sink.
    pub batches: Count,
    /// Bytes of payloads before compression.
    pub raw_bytes: Count,
    /// Bytes of payloads as submitted.
    pub payload_bytes: Count,
    /// Submissions that were refused and tried again.
    pub retries: Count,
    /// Lanes that wait for a retry now.
    pub lanes_retrying: Count,
    /// Payloads that went to the spool.
    pub kept_payloads: Count,
    /// Bytes of them.
    pub kept_bytes: Count,
    /// Payloads out of the spool, taken by the sink.
    pub drained_payloads: Count,
    /// Payloads that the spool did not take.
    pub spool_refusals: Count,
}

/// Names of a tenant and of a LogConfig.
type TenantRule = (Arc<str>, Arc<str>);

/// Counts of the whole data plane.
#[derive(Debug, Default)]
pub struct Meter {
    tenants: Mutex<BTreeMap<Arc<str>, Arc<TenantMeter>>>,
    rules: Mutex<BTreeMap<Arc<str>, Arc<RuleMeter>>>,
    /// By tenant and LogConfig: sources are many, these are few.
    sources: Mutex<BTreeMap<TenantRule, Arc<SourceMeter>>>,
    sinks: Mutex<BTreeMap<Arc<str>, Arc<SinkMeter>>>,
    /// Descriptors of log files held open.
    pub open_files: Count,
    /// Levels of readers that are short of CPU, together.
    pub cpu_pressure: Count,
    /// Levels of readers that are short of memory, together.
    pub memory_pressure: Count,
    /// Sources of which only where they stand is kept.
    pub resting_sources: Count,
    /// Bytes that files known and not open, and their directories, take out of the common pool.
    pub known_bytes: Count,
    /// Bytes that contexts take whose files are gone, in checkpoint and memory.
    pub ended_bytes: Count,
    /// Bytes copied to join or unescape records.
    pub copied_bytes: Count,
    /// Errors of opening or reading files.
    pub read_errors: Count,
    /// Checkpoints stored.
    pub checkpoints: Count,
    /// Checkpoints that could not be stored.
    pub checkpoint_errors: Count,
    /// Monotonic time since when something acknowledged is not stored; 0 if all is.
    pub unstored_since_ns: Count,
    /// Directory scans.
    pub scans: Count,
    /// Monotonic time at which the last scan ended; 0 before the first.
    pub scan_ended_ns: Count,
    /// Paths that the last scan would not look at or read.
    pub refused_paths: Count,
    /// Pods that a LogConfig selects and does not read, since their tenant may not; each of these counts.
    pub denied_pods: Count,
    /// Pods and containers that a LogConfig may select, and that wait to be known.
    pub waiting_pods: Count,
    /// Directories that cannot be watched now and are polled.
    pub unwatched_directories: Count,
    /// Times that events of the watch were lost, and everything was looked at instead.
    pub watch_overflows: Count,
}

impl Meter {
    /// The counts of `tenant`.
    pub fn tenant(&self, tenant: &Arc<str>) -> Arc<TenantMeter> {
        Arc::clone(lock(&self.tenants).entry(Arc::clone(tenant)).or_default())
    }

    /// The counts of the LogConfig `rule`; of one that never had a source, none.
    #[must_use]
    pub fn rule(&self, rule: &str) -> Option<Arc<RuleMeter>> {
        lock(&self.rules).get(rule).cloned()
    }

    /// Counts of all LogConfigs that ever had a source.
    #[must_use]
    pub fn rules(&self) -> Vec<Arc<RuleMeter>> {
        lock(&self.rules).values().cloned().collect()
    }

    /// What a source of `tenant` by the LogConfig `rule` counts into.
    pub fn source(&self, tenant: &Arc<str>, rule: &Arc<str>) -> Arc<SourceMeter> {
        let mut sources = lock(&self.sources);
        let meter = sources.entry((Arc::clone(tenant), Arc::clone(rule))).or_insert_with(|| {
            let rule = Arc::clone(lock(&self.rules).entry(Arc::clone(rule)).or_default());
            Arc::new(SourceMeter { tenant: self.tenant(tenant), rule })
        });
        Arc::clone(meter)
    }

    /// The counts of `sink`.
    pub fn sink(&self, sink: &Arc<str>) -> Arc<SinkMeter> {
        Arc::clone(lock(&self.sinks).entry(Arc::clone(sink)).or_default())
    }

    /// All tenants.
    pub fn tenants(&self) -> Vec<(Arc<str>, Arc<TenantMeter>)> {
        lock(&self.tenants).iter().map(|(name, it)| (Arc::clone(name), Arc::clone(it))).collect()
    }

    /// All sinks.
    pub fn sinks(&self) -> Vec<(Arc<str>, Arc<SinkMeter>)> {
        lock(&self.sinks).iter().map(|(name, it)| (Arc::clone(name), Arc::clone(it))).collect()
    }
}

/// Hears of each acknowledged span, for the latency histogram.
pub trait Observe: Send + Sync + std::fmt::Debug {
    /// A span was acknowledged so many nanoseconds after its bytes were first seen.
    fn acknowledged(&self, latency_ns: u64);
}

/// The counts stay right even if a thread died while it held the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
