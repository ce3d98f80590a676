//! Leader: one replica does what must be done once. By a Lease of the API server, with the habits of client-go.
//!
//! Whether a lease is over is judged by the own clock, from when its last change was seen: clocks of nodes differ.
//! A leader that cannot renew in time ends as a process, so that nothing of it works on beside the next one.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use flow::{Clock, SystemClock};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::{Instant, timeout};

use crate::flags::Flags;

/// HTTP's conflict: somebody else was faster.
const CONFLICT: u16 = 409;

/// Takes part in the election.
#[derive(Debug)]
pub(crate) struct Candidate {
    leases: Api<Lease>,
    name: String,
    identity: String,
    timing: Timing,
    /// The lease as it was seen last, and when it was first seen so.
    seen: Option<(LeaseSpec, Instant)>,
    was_refused: bool,
}

/// As the flags of these names say.
#[derive(Debug, Clone, Copy)]
struct Timing {
    lease_duration: Duration,
    renew_deadline: Duration,
    retry_period: Duration,
}

/// Why this one does not lead.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0} leads")]
    Led(String),
    #[error("{0}")]
    Api(#[from] kube::Error),
}

impl Candidate {
    pub(crate) fn new(client: Client, namespace: &str, flags: &Flags) -> Candidate {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        // A container that starts again has the same host name, and is not who led before.
        let number = RandomState::new().hash_one(std::process::id());
        Candidate {
            leases: Api::namespaced(client, namespace),
            name: flags.leader_elect_resource_name.clone(),
            identity: format!("{host}_{number:016x}"),
            timing: Timing {
                lease_duration: flags.leader_elect_lease_duration,
                renew_deadline: flags.leader_elect_renew_deadline,
                retry_period: flags.leader_elect_retry_period,
            },
            seen: None,
            was_refused: false,
        }
    }

    /// How the others call this one.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// Waits until this one leads.
    pub(crate) async fn lead(&mut self) {
        loop {
            match self.take_or_renew().await {
                Ok(()) => return,
                Err(refusal) => self.say_once(&refusal),
            }
            tokio::time::sleep(self.pause()).await;
        }
    }

    /// Leads as long as the API server lets it; returns why it no longer does.
    pub(crate) async fn keep(&mut self) -> anyhow::Error {
        let mut renewed_at = Instant::now();
        loop {
            tokio::time::sleep(self.timing.retry_period).await;
            let left = self.timing.renew_deadline.saturating_sub(renewed_at.elapsed());
            let why = match timeout(left, self.take_or_renew()).await {
                Ok(Ok(())) => {
                    renewed_at = Instant::now();
                    continue;
                }
                Ok(Err(refusal @ Refusal::Led(_))) => return refusal.into(),
                Ok(Err(refusal)) => anyhow::Error::from(refusal),
                Err(_) => anyhow::anyhow!("no answer"),
            };
            if renewed_at.elapsed() + self.timing.retry_period >= self.timing.renew_deadline {
                return why.context("the lease could not be renewed in time");
            }
        }
    }

    /// Lets the others lead at once.
    pub(crate) async fn release(&mut self) -> Result<(), kube::Error> {
        let Some(mut lease) = self.leases.get_opt(&self.name).await? else { return Ok(()) };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return Ok(());
        }
        spec.holder_identity = Some(String::new());
        // As client-go does it; 0 would not be valid.
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = now();
        self.leases.replace(&self.name, &PostParams::default(), &lease).await.map(drop)
    }

    /// Takes a lease that nobody has, or renews the own one.
    async fn take_or_renew(&mut self) -> Result<(), Refusal> {
        let Some(mut lease) = self.leases.get_opt(&self.name).await? else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            let spec = self.held(&LeaseSpec::default(), false);
            let lease = Lease { metadata, spec: Some(spec) };
            let made = self.leases.create(&PostParams::default(), &lease).await?;
            self.see(made.spec.unwrap_or_default());
            return Ok(());
        };
        let spec = lease.spec.take().unwrap_or_default();
        self.see(spec.clone());
        let holder = spec.holder_identity.clone().unwrap_or_default();
        let is_mine = holder == self.identity;
        if !is_mine && !holder.is_empty() && !self.is_over(&spec) {
            return Err(Refusal::Led(holder));
        }
        lease.spec = Some(self.held(&spec, is_mine));
        // With the version that was read: if somebody else was faster, this fails.
        match self.leases.replace(&self.name, &PostParams::default(), &lease).await {
            Ok(lease) => self.see(lease.spec.unwrap_or_default()),
            Err(kube::Error::Api(status)) if status.code == CONFLICT && !is_mine => {
                return Err(Refusal::Led("somebody else".to_owned()));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// What the lease says while this one holds it.
    fn held(&self, before: &LeaseSpec, is_mine: bool) -> LeaseSpec {
        let transitions = before.lease_transitions.unwrap_or(0);
        let seconds = i32::try_from(self.timing.lease_duration.as_secs()).unwrap_or(i32::MAX);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(seconds),
            acquire_time: if is_mine { before.acquire_time.clone() } else { now() },
            renew_time: now(),
            lease_transitions: Some(if is_mine { transitions } else { transitions + 1 }),
            ..LeaseSpec::default()
        }
    }

    fn see(&mut self, spec: LeaseSpec) {
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != spec) {
            self.seen = Some((spec, Instant::now()));
        }
    }

    /// Whether nobody has renewed it for as long as its holder promised to.
    fn is_over(&self, spec: &LeaseSpec) -> bool {
        let seconds = u64::try_from(spec.lease_duration_seconds.unwrap_or(0)).unwrap_or(0);
        let lasts = Duration::from_secs(seconds);
        self.seen.as_ref().is_some_and(|(_, since)| since.elapsed() > lasts)
    }

    /// The retry period and up to a fifth of it: candidates do not ask all at once.
    fn pause(&self) -> Duration {
        let part = u32::try_from(RandomState::new().hash_one(()) % 1024).unwrap_or(0);
        self.timing.retry_period + self.timing.retry_period / 5 * part / 1024
    }

    fn say_once(&mut self, refusal: &Refusal) {
        if !std::mem::replace(&mut self.was_refused, true) {
            tracing::info!(%refusal, "waiting to lead");
        }
    }
}

fn now() -> Option<MicroTime> {
    let now = Timestamp::from_nanosecond(SystemClock.unix_ns().into());
    // The API server keeps microseconds, and what it returns is compared.
    now.and_then(|it| it.round(jiff::Unit::Microsecond)).ok().map(MicroTime)
}
