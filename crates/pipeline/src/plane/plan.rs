//! Plan: what a data plane is to do, and the world it does it in.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use flow::{AckSender, Clock, ReadBack};

use crate::budgets::BudgetSpec;
use crate::checkpoint::OpenError;
use crate::discovery::{Place, Rule};
use crate::limits::LimitPlan;
use crate::meter::{Meter, Observe};
use crate::reader::ReaderSink;
use crate::shipper::ShipperParts;

/// What a data plane is to do.
#[derive(Debug)]
pub struct PlanePlan {
    /// What to collect.
    pub rules: Vec<Rule>,
    /// Where this is.
    pub place: Place,
    /// Where to; rules refer to these by index.
    pub sinks: Vec<SinkPlan>,
    /// Reader threads.
    pub readers: usize,
    /// Size of a full chunk, in bytes.
    pub chunk_bytes: usize,
    /// Common pool of memory for bytes in flight, beside the tenants' reserves.
    pub pool_bytes: usize,
    /// Memory for files that are known, beside the pool: where the agent's memory has a cap, others wait. `None` without.
    pub known_beside_bytes: Option<usize>,
    /// Memory for contexts whose files are gone.
    pub ended_bytes_max: usize,
    /// Budget of tenants that have none of their own.
    pub default_budget: BudgetSpec,
    /// How many such reserves there are, one or more; the last is for all who have none of their own.
    pub default_reserves: usize,
    /// Budgets by tenant.
    pub budgets: HashMap<Arc<str>, BudgetSpec>,
    /// Most bytes of files that are read and not acknowledged, of tenants that have a limit.
    pub windows: HashMap<Arc<str>, usize>,
    /// How fast sources may be read.
    pub limits: LimitPlan,
    /// Where checkpoints are.
    pub state_directory: PathBuf,
    /// Longest time between an acknowledgement and its checkpoint, in nanoseconds.
    pub checkpoint_interval_ns: u64,
    /// Time between reconciling scans, in nanoseconds.
    pub scan_interval_ns: u64,
    /// Above this many open log files, idle ones are closed.
    pub open_files_max: u64,
    /// Most bytes of removed files that are held open.
    pub pinned_bytes_max: u64,
    /// The same of tenants that have a limit of their own.
    pub pinned_by_tenant: HashMap<Arc<str>, u64>,
}

/// One sink of a plan.
pub struct SinkPlan {
    /// Its name.
    pub name: Arc<str>,
    /// When a batch is full, how it is encoded and compressed.
    pub reader: ReaderSink,
    /// One shipper thread each.
    pub shippers: Vec<ShipperMaker>,
    /// What its queue already holds.
    pub read_back: Option<Box<dyn ReadBack>>,
}

/// Makes the parts of a shipper, given where to complete tickets.
pub type ShipperMaker = Box<dyn FnOnce(AckSender) -> ShipperParts + Send>;

impl std::fmt::Debug for SinkPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SinkPlan").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The world a data plane works in.
#[derive(Debug, Clone)]
pub struct World {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Counts.
    pub meter: Arc<Meter>,
    /// Hears of acknowledgements.
    pub observe: Arc<dyn Observe>,
}

/// Why a data plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] OpenError),
    /// The system gives no thread.
    #[error("no thread for {name}: {source}; raise the limit of processes")]
    Thread {
        /// Which.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
}
