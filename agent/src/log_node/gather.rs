//! Gather: what becomes of the cluster's LogConfigs on this node.
//!
//! A LogConfig that selects nothing here, and is in force, is left out: thousands of nodes would say so. Sources are
//! summed up one by one: the reports of very many would be more memory than all that is known of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crd::spec::{LogConfigOnNode, LogCounts, LogNodeStatus, shortened};
use flow::{SourceId, attribute};
use jiff::{Timestamp, Unit};
use kube_watch::ResourceKey;
use pipeline::fs::Printable;
use pipeline::meter::Meter;
use pipeline::reader::WaitsFor;
use pipeline::source::SourceReport;

use crate::command::version::VERSION;

/// Most LogConfigs of an object: some 300 KiB of the 1.5 MiB that the API server takes.
const LOG_CONFIGS_MAX: usize = 1024;
/// Most problems that are said of a LogConfig, and of the agent.
const PROBLEMS_MAX: usize = 3;
/// Longest text of a problem, in bytes.
const PROBLEM_BYTES_MAX: usize = 512;
/// A sink that takes nothing for so long is a problem: brokers elect a leader in less.
const SINK_PATIENCE_NS: u64 = 30_000_000_000;

/// What is known when the status is made.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) log_configs: &'a BTreeMap<ResourceKey, Option<String>>,
    pub(super) sources: &'a Sums,
    pub(super) meter: &'a Meter,
    /// Why the agent is not ready.
    pub(super) unready: Vec<String>,
    pub(super) monotonic_ns: u64,
    pub(super) unix_ns: i64,
}

/// What the sources of each LogConfig are like, together.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// Since when each source has something that is not acknowledged.
    unacked: HashMap<SourceId, u64>,
    by_rule: HashMap<Arc<str>, Sum>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Sum {
    /// Hashes of their uids.
    pods: HashSet<u64>,
    /// Hashes of their pods and names.
    containers: HashSet<u64>,
    sources: u64,
    lag_bytes: u64,
    oldest_ns: Option<u64>,
    failing: u64,
    /// One of those.
    failing_path: String,
    refused_since_ns: Option<u64>,
}

impl Sums {
    /// Of no sources yet.
    pub(super) fn new(meter: &Meter) -> Sums {
        let mut sums = Sums::default();
        for (_, meter) in meter.tenants() {
            sums.unacked.extend(meter.unacked_since_ns());
        }
        sums
    }

    pub(super) fn add(&mut self, source: &SourceReport) {
        let sum = self.by_rule.entry(Arc::clone(&source.rule)).or_default();
        sum.sources += 1;
        sum.lag_bytes += source.lag_bytes;
        if let Some(pod) = source.context.text(attribute::K8S_POD_UID) {
            let container = source.context.text(attribute::K8S_CONTAINER_NAME).unwrap_or_default();
            sum.pods.insert(self.hasher.hash_one(pod));
            sum.containers.insert(self.hasher.hash_one((pod, container)));
        }
        let unread = (source.lag_bytes > 0 && source.seen_ns > 0).then_some(source.seen_ns);
        let oldest = [sum.oldest_ns, unread, self.unacked.get(&source.id).copied()];
        sum.oldest_ns = oldest.into_iter().flatten().min();
        if source.failures > 0 {
            let path = || source.generations.last().map(|it| Printable(&it.path).to_string());
            if sum.failing == 0 {
                sum.failing_path = path().unwrap_or_default();
            }
            sum.failing += 1;
        }
        if let Some(WaitsFor::Sink { since_ns }) = source.waits_for {
            sum.refused_since_ns = sum.refused_since_ns.max(Some(since_ns));
        }
    }
}

/// What the agent says now, but for the time.
pub(super) fn gather(facts: Facts<'_>) -> LogNodeStatus {
    let mut log_configs: Vec<LogConfigOnNode> = facts
        .log_configs
        .iter()
        .filter_map(|(key, refused)| log_config(&facts, key, refused.as_ref()))
        .collect();
    // What is wrong is more important than what is well.
    log_configs.sort_by_key(|it| it.problems.is_empty());
    let omitted = log_configs.len().saturating_sub(LOG_CONFIGS_MAX);
    log_configs.truncate(LOG_CONFIGS_MAX);
    log_configs.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    LogNodeStatus {
        version: VERSION.to_owned(),
        observed_time: None,
        problems: first(facts.unready),
        log_configs,
        omitted_log_configs: omitted as u64,
    }
}

fn log_config(
    facts: &Facts<'_>,
    key: &ResourceKey,
    refused: Option<&String>,
) -> Option<LogConfigOnNode> {
    let name = match &key.namespace {
        Some(namespace) => format!("{namespace}/{}", key.name),
        None => key.name.clone(),
    };
    let none = Sum::default();
    let sum = facts.sources.by_rule.get(name.as_str()).unwrap_or(&none);
    let meter = facts.meter.rule(&name);
    if sum.sources == 0 && meter.is_none() && refused.is_none() {
        return None;
    }
    let meter = meter.unwrap_or_default();
    let counts = LogCounts {
        pods: sum.pods.len() as u64,
        containers: sum.containers.len() as u64,
        sources: sum.sources,
        // The whole is read last: then it is never less than its parts.
        lost_bytes: meter.gap_bytes.get(),
        delivered_bytes: meter.delivered_bytes.get(),
        delivered_records: meter.delivered_records.get(),
        read_bytes: meter.read_bytes.get(),
        shed_records: meter.shed_records.get(),
        lag_bytes: sum.lag_bytes,
        oldest_unacked_time: sum.oldest_ns.and_then(|it| time_of(facts, it)),
    };
    let mut problems: Vec<String> = refused.into_iter().cloned().collect();
    if let Some(since_ns) = sum.refused_since_ns.filter(|it| *it >= SINK_PATIENCE_NS) {
        let since = facts.monotonic_ns.checked_sub(since_ns).and_then(|it| time_of(facts, it));
        problems.push(format!("the sink takes nothing since {}", since.unwrap_or_default()));
    }
    if sum.failing > 0 {
        let (count, path) = (sum.failing, &sum.failing_path);
        problems.push(format!("{count} logs cannot be opened or read, such as {path}"));
    }
    let (namespace, name) = (key.namespace.clone(), key.name.clone());
    Some(LogConfigOnNode { namespace, name, counts, problems: first(problems) })
}

/// As many problems as are said, each as long as it may be.
fn first(problems: impl IntoIterator<Item = String>) -> Vec<String> {
    let said = problems.into_iter().take(PROBLEMS_MAX);
    said.map(|it| shortened(it, PROBLEM_BYTES_MAX)).collect()
}

/// A moment of the monotonic clock as a time of day, to the second.
fn time_of(facts: &Facts<'_>, monotonic_ns: u64) -> Option<String> {
    let age_ns = i64::try_from(facts.monotonic_ns.saturating_sub(monotonic_ns)).ok()?;
    time_text(facts.unix_ns.checked_sub(age_ns)?)
}

/// RFC 3339, to the second.
pub(super) fn time_text(unix_ns: i64) -> Option<String> {
    let time = Timestamp::from_nanosecond(unix_ns.into()).ok()?;
    Some(time.round(Unit::Second).ok()?.to_string())
}

#[cfg(test)]
mod tests {
    use flow::{Attribute, Context, ContextId};
    use kube_watch::Kind;

    use super::*;

    fn key(namespace: Option<&str>, name: &str) -> ResourceKey {
        let kind = namespace.map_or(Kind::ClusterLogConfigs, |_| Kind::LogConfigs);
        ResourceKey { kind, namespace: namespace.map(str::to_owned), name: name.to_owned() }
    }

    fn source(rule: &str, pod: &str, container: &str) -> SourceReport {
        let attributes = vec![
            Attribute::text(attribute::K8S_POD_UID, pod),
            Attribute::text(attribute::K8S_CONTAINER_NAME, container),
        ];
        SourceReport {
            id: SourceId(1),
            context: Arc::new(Context { id: ContextId(1), tenant: "team".into(), attributes }),
            rule: rule.into(),
            epoch: 1,
            cursor: 0,
            seen_ns: 0,
            lag_bytes: 0,
            at_risk_bytes: 0,
            is_disk_pressed: false,
            failures: 0,
            waits_for: None,
            limits: Vec::new(),
            generations: Vec::new(),
        }
    }

    fn gathered(
        log_configs: &[(ResourceKey, Option<&str>)],
        sources: &[SourceReport],
        meter: &Meter,
    ) -> LogNodeStatus {
        let mut sums = Sums::new(meter);
        sources.iter().for_each(|it| sums.add(it));
        let own = |(key, why): &(ResourceKey, Option<&str>)| (key.clone(), why.map(str::to_owned));
        gather(Facts {
            log_configs: &log_configs.iter().map(own).collect(),
            sources: &sums,
            meter,
            unready: Vec::new(),
            monotonic_ns: 100_000_000_000,
            unix_ns: 1_000_000_000_000_000_000,
        })
    }

    #[test]
    fn what_a_log_config_collects_is_counted_and_what_is_of_files_or_selects_nothing_is_not_said() {
        let meter = Meter::default();
        meter.source(&"team".into(), &"shop/web".into()).read(7);
        let mut late = source("shop/web", "a", "app");
        (late.lag_bytes, late.seen_ns) = (5, 40_000_000_000);
        late.waits_for = Some(WaitsFor::Sink { since_ns: 31_000_000_000 });
        let sources = [
            late,
            source("shop/web", "a", "proxy"),
            source("shop/web", "b", "app"),
            source("x", "c", "app"),
        ];
        let all = [(key(Some("shop"), "web"), None), (key(None, "idle"), None)];
        let status = gathered(&all, &sources, &meter);
        let [web] = &status.log_configs[..] else { panic!("{status:?}") };
        let counts = &web.counts;
        assert_eq!((counts.pods, counts.containers, counts.sources), (2, 3, 3));
        assert_eq!((counts.read_bytes, counts.lag_bytes), (7, 5));
        assert_eq!(counts.oldest_unacked_time.as_deref(), Some("2001-09-09T01:45:40Z"));
        assert_eq!(web.problems, ["the sink takes nothing since 2001-09-09T01:46:09Z"]);
    }

    #[test]
    fn an_object_is_bounded_and_problems_come_first() {
        let meter = Meter::default();
        let names: Vec<String> = (0..LOG_CONFIGS_MAX + 5).map(|it| format!("c{it:05}")).collect();
        let mut all: Vec<_> = names.iter().map(|it| (key(None, it), None)).collect();
        let long = "ä".repeat(PROBLEM_BYTES_MAX);
        all.last_mut().unwrap().1 = Some(long.as_str());
        let sources: Vec<_> = names.iter().map(|it| source(it, "a", "app")).collect();
        let status = gathered(&all, &sources, &meter);
        assert_eq!((status.log_configs.len(), status.omitted_log_configs), (LOG_CONFIGS_MAX, 5));
        let last = status.log_configs.last().unwrap();
        assert_eq!(last.name, *names.last().unwrap());
        assert!(last.problems[0].len() <= PROBLEM_BYTES_MAX + "…".len());
    }
}
