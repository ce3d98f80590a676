//! Webhook: what the API server asks before it lets something in: `/validate` and `/mutate`, by HTTPS.
//!
//! Every replica answers, whoever leads, on a thread of its own, so that no controller delays an answer. What goes wrong
//! here lets things in: a pod starts without its sidecar, and the agents judge every resource themselves. At the end,
//! whoever still asks is told to ask another replica.

mod events;
mod flags;
mod mutate;
#[cfg(test)]
mod recorded;
mod review;
mod server;
mod validate;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use kube_watch::Access;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::certificate::{Keeper, Keeping, Served};
use crate::inject::Template;
use events::Events;
pub(crate) use flags::WebhookFlags;
use mutate::Injector;

/// First minor version of Kubernetes 1 whose kubelets keep init containers with `restartPolicy: Always` by default.
const NATIVE_SIDECARS_SINCE: u32 = 29;

/// How long answers end their connections before the process ends: API servers keep connections, also to a replica that
/// is none of its service any more, and what is asked just when one breaks has no answer.
const ENDING: Duration = Duration::from_secs(2);

/// Webhooks that answer.
#[derive(Clone)]
pub(crate) struct Webhooks {
    served: Served,
    is_ending: Arc<AtomicBool>,
}

impl Webhooks {
    /// Returns once there is a certificate to show; for ever if there will be none.
    pub(crate) async fn answer(mut self) {
        if self.served.wait_for(Option::is_some).await.is_err() {
            std::future::pending().await
        }
    }

    /// Answers for a moment more, and lets nobody rely on it.
    pub(crate) async fn end(&self) {
        self.is_ending.store(true, Ordering::Release);
        tokio::time::sleep(ENDING).await;
    }
}

/// Answers from now on, as long as the process runs; none if the flags want none.
///
/// # Errors
/// If the address cannot be listened on, or the API server cannot be asked.
pub(crate) async fn start(
    flags: &WebhookFlags,
    access: Access,
    namespace: &str,
) -> anyhow::Result<Option<Webhooks>> {
    if flags.webhook_port == 0 {
        return Ok(None);
    }
    let (flags, namespace) = (flags.clone(), namespace.to_owned());
    let (begun, begins) = oneshot::channel();
    let thread = std::thread::Builder::new().name("lf-webhook".to_owned());
    let spawned = thread.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            // It ends with the process, and whoever waits for the begin has heard of it by then.
            Ok(runtime) => runtime.block_on(run(flags, access, namespace, begun)),
            Err(error) => drop(begun.send(Err(error.into()))),
        }
    });
    drop(spawned.context("no thread for the webhooks")?);
    begins.await.context("the webhooks ended")?.map(Some)
}

/// Runs for ever, once it has said that it begins.
async fn run(
    flags: WebhookFlags,
    access: Access,
    namespace: String,
    begun: oneshot::Sender<anyhow::Result<Webhooks>>,
) {
    match prepare(&flags, &access, &namespace).await {
        Ok((listener, router, keeper, webhooks)) => {
            let served = webhooks.served.clone();
            drop(begun.send(Ok(webhooks)));
            tokio::join!(keeper.run(), server::serve(listener, router, served));
        }
        Err(error) => drop(begun.send(Err(error))),
    }
}

type Prepared = (TcpListener, axum::Router, Keeper, Webhooks);

async fn prepare(
    flags: &WebhookFlags,
    access: &Access,
    namespace: &str,
) -> anyhow::Result<Prepared> {
    let listen = flags.listen();
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("{listen}: cannot listen; set another --webhook-port"))?;
    let client = access.client().await?;
    let template = Template {
        image: flags.sidecar_image.clone(),
        image_pull_policy: flags.sidecar_image_pull_policy.clone(),
        memory: flags.sidecar_memory.clone(),
        cpu: flags.sidecar_cpu.clone(),
        folder_size: flags.sidecar_folder_size.clone(),
        has_native_sidecars: has_native_sidecars(&client).await?,
    };
    let keeping = match flags.webhook_external_certificate {
        true => Keeping::External,
        false => Keeping::Own {
            names: flags.names(namespace),
            lasts: flags.webhook_certificate_duration,
            configurations: flags.webhook_configuration.clone(),
        },
    };
    let (keeper, served) = Keeper::new(client.clone(), namespace, &flags.webhook_secret, keeping);
    let events = Events::start(client.clone());
    let injector =
        Injector::new(client, template, flags.sidecar_config.clone(), flags.log_disks, events);
    let is_ending = Arc::new(AtomicBool::new(false));
    let router = server::router(Arc::new(injector), Arc::clone(&is_ending));
    Ok((listener, router, keeper, Webhooks { served, is_ending }))
}

async fn has_native_sidecars(client: &Client) -> anyhow::Result<bool> {
    let version = client.apiserver_version().await.context("the version of the API server")?;
    Ok(knows_native_sidecars(&version.major, &version.minor))
}

/// What cannot be read counts as old: a plain container works everywhere, and an init container that is waited for in vain
/// does not.
fn knows_native_sidecars(major: &str, minor: &str) -> bool {
    // Some write `29+`.
    let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
    major == "1" && digits.parse::<u32>().is_ok_and(|it| it >= NATIVE_SIDECARS_SINCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_counts_as_a_version_without_native_sidecars() {
        for (major, minor, knows) in [
            ("1", "28", false),
            ("1", "29", true),
            ("1", "29+", true),
            ("1", "35", true),
            ("1", "", false),
            ("", "", false),
            ("2", "0", false),
        ] {
            assert_eq!(knows_native_sidecars(major, minor), knows, "{major}.{minor}");
        }
    }
}
