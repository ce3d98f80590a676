//! Operator: reaches the API server, answers, leads, and ends in good order.

use anyhow::Context as _;
use kube::Client;
use kube_watch::Access;
use metrics::gauge;

use crate::controllers;
use crate::flags::Flags;
use crate::leader::Candidate;
use crate::metrics::{self as names, LEADER};
use crate::signals::Signals;
use crate::web::{self, Readiness};
use crate::webhook;

/// Runs until a signal says stop.
///
/// # Errors
/// If the API server cannot be asked, the address cannot be listened on, or the lead was lost: what this replica would
/// do from then on, another does.
pub(crate) async fn run(flags: Flags) -> anyhow::Result<()> {
    // First of all: as the first process of a container nobody else would hear them.
    let mut signals = Signals::listen()?;
    let prometheus = names::install()?;
    let access = flags.kubeconfig.clone().map_or(Access::InCluster, Access::Kubeconfig);
    let client = access.client().await?;
    let namespace =
        flags.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let readiness = Readiness::default();
    web::start(flags.listen(), readiness.clone(), prometheus).await?;
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(listen = %flags.listen(), namespace, version, "started");
    tokio::select! {
        () = signals.end() => {
            tracing::info!("stopped");
            return Ok(());
        }
        reached = reach(&client) => reached?,
    }
    let webhooks = webhook::start(&flags.webhook, access, &namespace).await?;
    match webhooks.clone() {
        None => readiness.is_ready(),
        // Who is not ready is not asked. It ends with the runtime.
        Some(webhooks) => drop(tokio::spawn(async move {
            webhooks.answer().await;
            readiness.is_ready();
        })),
    }
    let outcome = work(client, &namespace, &flags, &mut signals).await;
    if let Some(webhooks) = webhooks.filter(|_| outcome.is_ok()) {
        webhooks.end().await;
    }
    tracing::info!("stopped");
    outcome
}

/// Leads, if and when it is its turn, until a signal says stop.
async fn work(
    client: Client,
    namespace: &str,
    flags: &Flags,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let mut candidate = Candidate::new(client.clone(), namespace, flags);
    if !flags.leader_elect {
        gauge!(LEADER).set(1.0);
        tokio::select! {
            () = signals.end() => {}
            ended = controllers::run(client, namespace, flags) => return ended,
        }
        return Ok(());
    }
    tokio::select! {
        () = signals.end() => return Ok(()),
        () = candidate.lead() => {}
    }
    gauge!(LEADER).set(1.0);
    tracing::info!(identity = candidate.identity(), "leading");
    let outcome = tokio::select! {
        () = signals.end() => Ok(()),
        why = candidate.keep() => Err(why.context("the lead is lost")),
        ended = controllers::run(client, namespace, flags) => ended,
    };
    gauge!(LEADER).set(0.0);
    // Nothing of the controllers is left here: another may lead.
    if let Err(error) = candidate.release().await {
        tracing::warn!(%error, "the lease stays until it is over");
    }
    outcome
}

/// Waits until the API server answers.
async fn reach(client: &Client) -> anyhow::Result<()> {
    const PAUSE: std::time::Duration = std::time::Duration::from_secs(2);
    let mut is_said = false;
    loop {
        match client.apiserver_version().await {
            Ok(version) => {
                tracing::info!(version = version.git_version, "reached the API server");
                return Ok(());
            }
            Err(kube::Error::Api(status)) if [401, 403].contains(&status.code) => {
                return Err(kube::Error::Api(status))
                    .context("the API server does not let this in");
            }
            Err(error) if !std::mem::replace(&mut is_said, true) => {
                tracing::warn!(%error, "the API server does not answer; trying again");
            }
            Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}
