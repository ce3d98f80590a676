//! Status: what the web server may know of the running agent. Written by the supervisor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cri_watch::Containers;
use flow::Clock;
use kube_watch::{Kind, ResourceKey, WatchMeter};
use pipeline::discovery::SCAN_PAUSE_MAX_NS;
use pipeline::meter::Meter;
use pipeline::plane::Reporter;
use sink::queue::Queue;
use sink::spool::{LateSpool, SpoolStore};

/// A scan that is older than this is not coming, in nanoseconds: a file system hangs.
const SCAN_AGE_MAX_NS: u64 = 3 * SCAN_PAUSE_MAX_NS;

/// Shared between supervisor and web server.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) meter: Arc<Meter>,
    /// How the watches of the API server fare; none without a cluster.
    pub(crate) watches: Vec<(Kind, Arc<WatchMeter>)>,
    now: Mutex<Now>,
}

/// A spool that could not be opened at the start of the data plane.
#[derive(Debug)]
pub(crate) struct AwaitedSpool {
    pub(crate) sink: Arc<str>,
    /// LogConfigs of that sink, by name.
    pub(crate) log_configs: BTreeSet<String>,
    pub(crate) spool: Arc<LateSpool>,
}

impl AwaitedSpool {
    /// Why what a LogConfig collects of a tenant waits for it, if it does.
    fn why(&self, log_config: &str, tenant: &str) -> Option<String> {
        let is_its = self.log_configs.contains(log_config) && self.spool.held_for().has(tenant);
        (is_its && self.spool.store().is_none()).then(|| self.spool.why())
    }
}

/// What changes over time.
#[derive(Debug, Default)]
pub(crate) struct Now {
    /// Asks the readers; none while there is no data plane.
    pub(crate) reporter: Option<Reporter>,
    /// Why there is no data plane.
    pub(crate) plane_problem: Option<String>,
    /// Why the last change of the configuration is not in force.
    pub(crate) config_problem: Option<String>,
    /// Why what is in the files of credentials is not in force.
    pub(crate) credentials_problem: Option<String>,
    /// Bytes in use, by tenant.
    pub(crate) memory: Vec<(Arc<str>, usize)>,
    pub(crate) queues: Vec<(Arc<str>, Arc<Queue>)>,
    pub(crate) spools: Vec<(Arc<str>, Arc<SpoolStore>)>,
    /// Those that could not be opened at the start of the data plane.
    pub(crate) late_spools: Vec<AwaitedSpool>,
    /// What the container runtime says; `None` where nobody wants it.
    pub(crate) containers: Option<Arc<Containers>>,
    /// How many resources of the cluster are not in force as they are written.
    pub(crate) refused_resources: BTreeMap<Kind, u64>,
    /// LogConfigs and ClusterLogConfigs of the cluster that count here, and why they are not in force as they are written.
    pub(crate) log_configs: BTreeMap<ResourceKey, Option<String>>,
    pub(crate) reloads: u64,
    pub(crate) reload_failures: u64,
    pub(crate) restarts: u64,
}

impl Now {
    /// The data plane ends: nothing keeps it, or its queues, open.
    pub(crate) fn forget_plane(&mut self) {
        self.reporter = None;
        self.queues.clear();
        self.spools.clear();
        self.late_spools.clear();
    }
}

impl Status {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        meter: Arc<Meter>,
        watches: Vec<(Kind, Arc<WatchMeter>)>,
    ) -> Status {
        Status { clock, meter, watches, now: Mutex::default() }
    }

    pub(crate) fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the spool cannot be opened that records of the tenant wait for, if they do.
    pub(crate) fn awaited_spool(&self, log_config: &str, tenant: &str) -> Option<String> {
        self.now().late_spools.iter().find_map(|it| it.why(log_config, tenant))
    }

    /// Why the agent is not ready, if it is not.
    pub(crate) fn unready(&self) -> Vec<String> {
        let now = self.now();
        let mut reasons = Vec::new();
        if let Some(problem) = &now.plane_problem {
            reasons.push(format!("not collecting: {problem}"));
        } else if !now.reporter.as_ref().is_some_and(Reporter::is_scanned) {
            reasons.push("the first scan is not over".to_owned());
        }
        drop(now);
        let scan_ended_ns = self.meter.scan_ended_ns.get();
        let age_ns = self.clock.monotonic_ns().saturating_sub(scan_ended_ns);
        if scan_ended_ns > 0 && age_ns > SCAN_AGE_MAX_NS {
            reasons.push(format!("no directory scan has ended for {} s", age_ns / 1_000_000_000));
        }
        for (sink, meter) in self.meter.sinks() {
            if meter.lanes_retrying.get() > 0 {
                let lanes = meter.lanes_retrying.get();
                reasons.push(format!("sink {sink}: {lanes} lanes are refused and tried again"));
            }
        }
        reasons
    }
}
