//! Plan: whose streams a node has, where they go, and what each tenant may use.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use pipeline::budgets::BudgetSpec;
use pipeline::limits::{LimitPlan, Rates};
use pipeline::reader::BatchLimits;

use super::SpoolPlan;
use crate::bed::CHUNK_BYTES;

/// Memory of a tenant of which nothing else is said, in bytes.
const MEMORY: BudgetSpec = BudgetSpec { reserved_bytes: CHUNK_BYTES, max_bytes: 16 * CHUNK_BYTES };

/// Most that a batch is made of where nothing else is said.
pub(crate) const BATCH: BatchLimits =
    BatchLimits { bytes_max: 3 * CHUNK_BYTES as u64, records_max: 100 };

/// What a node may have open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) open_files_max: u64,
    /// Of removed files, in bytes.
    pub(crate) pinned_bytes_max: u64,
}

/// Files of one context, in a world of their own.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub(crate) tenant: Arc<str>,
    pub(crate) log_config: Arc<str>,
    /// Number of the sink that it goes to.
    pub(crate) sink: usize,
}

/// What a node is started with.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) streams: Vec<Stream>,
    /// How many sinks there are.
    pub(crate) sinks: usize,
    /// When a batch is full.
    pub(crate) batch: BatchLimits,
    /// Longest pause between two attempts of a lane that is refused, in nanoseconds.
    pub(crate) retry_max_ns: u64,
    /// One that cannot be opened now: what goes there is not read.
    pub(crate) absent: Option<usize>,
    pub(crate) files: Limits,
    /// A tick of discovery scans one piece, so that anything happens between two.
    pub(crate) scans_by_piece: bool,
    pub(crate) limits: LimitPlan,
    /// Memory by tenant.
    pub(crate) memory: HashMap<Arc<str>, BudgetSpec>,
    /// Memory that all share beside their reserves, in bytes.
    pub(crate) pool_bytes: usize,
    /// Bytes of removed files by tenant.
    pub(crate) pinned: HashMap<Arc<str>, u64>,
    /// Each sink has a spool.
    pub(crate) spool: Option<SpoolPlan>,
}

impl Plan {
    /// Two tenants with a stream each, one sink, and no limits but these.
    pub(crate) fn of_two(files: Limits) -> Plan {
        let stream = |number: usize| Stream {
            tenant: Arc::from(format!("tenant-{number}")),
            log_config: Arc::from(format!("rule-{number}")),
            sink: 0,
        };
        Plan {
            streams: (0..super::STREAMS).map(stream).collect(),
            sinks: 1,
            batch: BATCH,
            retry_max_ns: 1_000,
            absent: None,
            files,
            // That of a third of all schedules.
            scans_by_piece: files.open_files_max == 1,
            limits: LimitPlan::default(),
            memory: HashMap::new(),
            pool_bytes: 4 * CHUNK_BYTES,
            pinned: HashMap::new(),
            spool: None,
        }
    }

    pub(crate) fn memory_of(&self, tenant: &str) -> BudgetSpec {
        self.memory.get(tenant).copied().unwrap_or(MEMORY)
    }

    /// Memory of all tenants together, in bytes.
    pub(crate) fn memory_cap(&self) -> usize {
        let tenants: BTreeSet<_> = self.streams.iter().map(|it| &it.tenant).collect();
        let reserved = tenants.into_iter().map(|it| self.memory_of(it).reserved_bytes);
        self.pool_bytes + reserved.sum::<usize>()
    }

    /// All limits of a stream: of the node, its tenant, its LogConfig, and its own.
    pub(crate) fn limits_of(&self, stream: usize) -> [Rates; 4] {
        let Stream { tenant, log_config, .. } = &self.streams[stream];
        let tenant = self.limits.tenants.get(tenant).map(|it| it.rates).unwrap_or_default();
        let config = self.limits.log_configs.get(log_config).copied().unwrap_or_default();
        [self.limits.node, tenant, config.rates, config.per_container]
    }

    pub(super) fn memory_usual() -> BudgetSpec {
        MEMORY
    }
}
