//! Webhook: what the API server asks before it lets something in: `/validate` and `/mutate`, by HTTPS.
//!
//! Every replica answers, whoever leads, on a thread of its own, so that no controller delays an answer. What goes wrong
//! here lets things in: a pod starts without its sidecar, and the agents judge every resource themselves.

mod events;
mod flags;
mod mutate;
mod review;
mod server;
mod validate;

use std::sync::Arc;

use anyhow::Context as _;
use kube::Client;
use kube_watch::Access;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::certificate::{Keeper, Keeping};
use crate::inject::Template;
use events::Events;
pub(crate) use flags::WebhookFlags;
use mutate::Injector;

/// First minor version of Kubernetes 1 whose kubelets keep init containers with `restartPolicy: Always` by default.
const NATIVE_SIDECARS_SINCE: u32 = 29;

/// Answers from now on, as long as the process runs.
///
/// # Errors
/// If the address cannot be listened on, or the API server cannot be asked.
pub(crate) async fn start(
    flags: &WebhookFlags,
    access: Access,
    namespace: &str,
) -> anyhow::Result<()> {
    if flags.webhook_port == 0 {
        return Ok(());
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
    begins.await.context("the webhooks ended")?
}

/// Runs for ever, once it has said that it begins.
async fn run(
    flags: WebhookFlags,
    access: Access,
    namespace: String,
    begun: oneshot::Sender<anyhow::Result<()>>,
) {
    match prepare(&flags, &access, &namespace).await {
        Ok((listener, router, keeper, served)) => {
            drop(begun.send(Ok(())));
            tokio::join!(keeper.run(), server::serve(listener, router, served));
        }
        Err(error) => drop(begun.send(Err(error))),
    }
}

type Prepared = (TcpListener, axum::Router, Keeper, crate::certificate::Served);

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
    let injector = Injector::new(client, template, flags.sidecar_config.clone(), events);
    Ok((listener, server::router(Arc::new(injector)), keeper, served))
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
