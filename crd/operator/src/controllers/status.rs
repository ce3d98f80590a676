//! Status: writes what became of each resource into its `status`.
//!
//! A condition that changes is written at once, as fast as `--kube-api-qps` lets it. Counts change all the time: a status
//! in which nothing else changed waits `--status-period` since it was last written, and for its turn among all of
//! them: `--status-counts-qps`, or as many as it takes if one would become older than `--status-freshness`. What says
//! the same as before is not written.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crd::spec::LogConfigStatus;
use flow::{Clock, SystemClock};
use jiff::{Timestamp, Unit};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use kube_watch::{Kind, ResourceKey};
use metrics::gauge;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::flags::Flags;
use crate::metrics::{COUNTS_WAIT, count_write};
use crate::pace::{Pace, needed};
use crate::watch::api_resource;

mod sum;
pub(crate) use sum::ACCEPTED;
use sum::{Facts, is_urgent, sum};

/// How often it is looked how fast counts have to be written: what one look costs is nothing beside a write.
const STEER_INTERVAL: Duration = Duration::from_secs(1);
/// Longest that a write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// What workers share.
#[derive(Debug)]
struct Desk {
    client: ClientOf,
    cluster: Arc<Cluster>,
    period: Duration,
    /// How long counts that may be written can wait for their turn.
    patience: Duration,
    /// Of all writes.
    all: Pace,
    /// Of those in which only counts changed.
    counts: Pace,
    /// At rest, and at most.
    counts_qps: RangeInclusive<u32>,
    /// Of the workers that write counts one waits at a time: who comes to a queue last has what is the oldest by then.
    turn: tokio::sync::Mutex<()>,
}

/// A client that can be shown.
struct ClientOf(Client);

impl std::fmt::Debug for ClientOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// Starts the workers.
pub(crate) fn spawn(
    tasks: &mut JoinSet<()>,
    client: &Client,
    flags: &Flags,
    cluster: &Arc<Cluster>,
) {
    let desk = Arc::new(Desk {
        client: ClientOf(client.clone()),
        cluster: Arc::clone(cluster),
        period: flags.status_period,
        patience: flags.counts_patience().unwrap_or_default(),
        all: Pace::new(flags.kube_api_qps, flags.kube_api_burst),
        counts: Pace::new(flags.status_counts_qps, flags.status_counts_qps),
        counts_qps: flags.status_counts_qps..=flags.kube_api_qps,
        turn: tokio::sync::Mutex::default(),
    });
    for _ in 0..flags.concurrent_status_syncs {
        tasks.spawn(Arc::clone(&desk).write_urgent());
        tasks.spawn(Arc::clone(&desk).write_counts());
    }
    tasks.spawn(Arc::clone(&desk).steer());
    tasks.spawn(resync(Arc::clone(cluster), flags.min_resync_period));
}

/// Looks at everything again, after a time that differs from process to process.
async fn resync(cluster: Arc<Cluster>, period: Duration) {
    use std::hash::{BuildHasher, RandomState};
    loop {
        let part = u32::try_from(RandomState::new().hash_one(()) % 1024).unwrap_or(0);
        tokio::time::sleep(period + period * part / 1024).await;
        let keys: Vec<ResourceKey> = cluster.state().resources.keys().cloned().collect();
        keys.into_iter().for_each(|key| cluster.statuses.add(key));
    }
}

/// What there is to write.
enum Due {
    Nothing,
    Now(LogConfigStatus),
    /// Only counts, not before this time has passed.
    Counts(LogConfigStatus, Duration),
}

impl Desk {
    async fn write_urgent(self: Arc<Desk>) {
        loop {
            let key = self.cluster.statuses.next().await;
            match self.due(&key) {
                Due::Nothing => {}
                Due::Counts(_, after) => self.cluster.counts.add_after(key.clone(), after),
                Due::Now(status) => {
                    self.all.wait().await;
                    if let Err(error) = self.write(&key, status).await {
                        say(&key, &error, self.cluster.statuses.failed(key.clone()));
                        continue;
                    }
                }
            }
            self.cluster.statuses.done(&key);
        }
    }

    /// Lets counts be written as fast as it takes for the oldest of them, and no faster.
    async fn steer(self: Arc<Desk>) {
        loop {
            let waits = self.cluster.counts.waits();
            gauge!(COUNTS_WAIT).set(waits.first().map_or(0.0, Duration::as_secs_f64));
            let needed = needed(waits.iter().map(|it| self.patience.saturating_sub(*it)));
            self.counts.set(needed.clamp(*self.counts_qps.start(), *self.counts_qps.end()));
            tokio::time::sleep(STEER_INTERVAL).await;
        }
    }

    /// The status that waits for the longest time, when it is its turn.
    async fn next_counts(&self) -> ResourceKey {
        let _turn = self.turn.lock().await;
        let key = self.cluster.counts.next().await;
        if let Due::Counts(..) = self.due(&key) {
            self.counts.wait().await;
            self.all.wait().await;
        }
        key
    }

    async fn write_counts(self: Arc<Desk>) {
        loop {
            let key = self.next_counts().await;
            match self.due(&key) {
                Due::Counts(status, Duration::ZERO) => {
                    if let Err(error) = self.write(&key, status).await {
                        say(&key, &error, self.cluster.counts.failed(key.clone()));
                        continue;
                    }
                }
                Due::Counts(_, after) => self.cluster.counts.add_after(key.clone(), after),
                Due::Now(_) => self.cluster.statuses.add(key.clone()),
                Due::Nothing => {}
            }
            self.cluster.counts.done(&key);
        }
    }

    /// What the status should be, if it is something else.
    fn due(&self, key: &ResourceKey) -> Due {
        let state = self.cluster.state();
        let Some(known) = state.resources.get(key) else { return Due::Nothing };
        let Some(verdict) = &known.verdict else { return Due::Nothing };
        let is_summed = is_summed(key.kind);
        // What nobody has said yet is not nothing.
        if is_summed && !state.has_log_nodes() {
            return Due::Nothing;
        }
        let of_object = state.said_of_object(key);
        let of_object = of_object.iter().map(|(node, said)| (*node, said));
        let left_out = known.converted.as_ref().and_then(|it| it.as_ref().ok());
        let status = sum(Facts {
            generation: known.generation,
            verdict,
            said: is_summed.then(|| state.said_of(key).chain(of_object)),
            left_out: left_out.map(|it| &*it.notes),
            before: &known.status,
            now: &now(),
        });
        if status == known.status {
            return Due::Nothing;
        }
        if is_urgent(&status, &known.status) {
            return Due::Now(status);
        }
        let since = known.written_at.map_or(Duration::MAX, |it| it.elapsed());
        Due::Counts(status, self.period.saturating_sub(since))
    }

    async fn write(&self, key: &ResourceKey, status: LogConfigStatus) -> anyhow::Result<()> {
        let resource = api_resource(key.kind);
        let client = self.client.0.clone();
        let api: Api<DynamicObject> = match &key.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        let patch = Patch::Merge(json!({"status": body(key.kind, &status)}));
        let params =
            PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let written =
            tokio::time::timeout(WRITE_TIMEOUT, api.patch_status(&key.name, &params, &patch)).await;
        count_write(key.kind.name(), matches!(written, Ok(Ok(_))));
        match written? {
            // Gone meanwhile: the watch will say so.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            other => drop(other?),
        }
        // The watch says the same in a moment; until then nobody is to write it again.
        if let Some(known) = self.cluster.state().resources.get_mut(key) {
            known.status = status;
            known.written_at = Some(Instant::now());
        }
        Ok(())
    }
}

/// Who the server says has written it.
const MANAGER: &str = "logferry-operator";

/// The status as a merge: what is not said any more is said to be nothing.
fn body(kind: Kind, status: &LogConfigStatus) -> Value {
    let mut body = json!(status);
    if !is_summed(kind) {
        return json!({
            "observedGeneration": body["observedGeneration"], "conditions": body["conditions"],
        });
    }
    for field in ["nodeProblems", "conditions"] {
        body[field] = body[field].take();
    }
    body["counts"]["oldestUnackedTime"] = body["counts"]["oldestUnackedTime"].take();
    body
}

/// Whether agents say anything of it.
fn is_summed(kind: Kind) -> bool {
    matches!(kind, Kind::LogConfigs | Kind::ClusterLogConfigs) || kind.is_aliyun()
}

fn say(key: &ResourceKey, error: &anyhow::Error, failures: u32) {
    // The first may be a matter of a moment, and all of them would be too many.
    if failures == 3 {
        let error = format!("{error:#}");
        tracing::warn!(resource = %key, error, "its status could not be written; trying again");
    }
}

/// RFC 3339, to the second, as Kubernetes has it.
fn now() -> String {
    let now = Timestamp::from_nanosecond(SystemClock.unix_ns().into()).unwrap_or_default();
    now.round(Unit::Second).unwrap_or(now).to_string()
}
