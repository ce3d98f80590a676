//! Mutate: gives pods their sidecars. Whatever happens, the pod is let in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use kube::{Api, Client};
use metrics::counter;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::events::Events;
use super::review::{Answer, Request};
use crate::inject::{Base, BaseError, Namespace, Skip, Template, inject};
use crate::metrics::INJECTION_SKIPPED;

/// How long the API server may take to tell a namespace; it waits for us meanwhile.
const NAMESPACE_MAX: Duration = Duration::from_secs(1);
/// How long what the file of sidecars says counts.
const BASE_LASTS: Duration = Duration::from_secs(2);

/// What the file of sidecars says, or why it cannot be used.
type Shared = Arc<Result<Base, BaseError>>;

/// See the module.
pub(super) struct Injector {
    client: Client,
    template: Template,
    config: Option<PathBuf>,
    base: Mutex<Option<(Instant, Shared)>>,
    events: Events,
}

impl Injector {
    pub(super) fn new(
        client: Client,
        template: Template,
        config: Option<PathBuf>,
        events: Events,
    ) -> Injector {
        Injector { client, template, config, base: Mutex::new(None), events }
    }

    /// What becomes of a pod.
    pub(super) async fn mutate(&self, request: &Request) -> Answer {
        let namespace = match self.namespace(&request.namespace).await {
            Ok(namespace) => namespace,
            Err(why) => {
                counter!(INJECTION_SKIPPED, "reason" => "NamespaceUnknown").increment(1);
                let warning =
                    format!("no logferry sidecar: namespace {}: {why}", request.namespace);
                return Answer { warnings: vec![warning], ..Answer::default() };
            }
        };
        let base = self.base().await;
        match inject(&request.object, &namespace, base.as_ref().as_ref(), &self.template) {
            Ok(patch) => Answer { patch, ..Answer::default() },
            Err(skip) => self.skip(request, &skip),
        }
    }

    fn skip(&self, request: &Request, skip: &Skip) -> Answer {
        counter!(INJECTION_SKIPPED, "reason" => skip.reason()).increment(1);
        if !skip.is_notable() {
            return Answer::default();
        }
        if !request.dry_run {
            self.events.skipped(request, skip);
        }
        let warnings = vec![format!("no logferry sidecar: {skip}")];
        Answer { warnings, ..Answer::default() }
    }

    async fn namespace(&self, name: &str) -> Result<Namespace, String> {
        let namespaces: Api<core::Namespace> = Api::all(self.client.clone());
        let found = timeout(NAMESPACE_MAX, namespaces.get_metadata(name)).await;
        let metadata = match found {
            Ok(Ok(it)) => it.metadata,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err(format!("not told within {NAMESPACE_MAX:?}")),
        };
        Ok(Namespace {
            name: name.to_owned(),
            labels: metadata.labels.unwrap_or_default(),
            annotations: metadata.annotations.unwrap_or_default(),
        })
    }

    /// What the file says, as it was read a moment ago.
    async fn base(&self) -> Shared {
        let mut base = self.base.lock().await;
        if let Some((_, base)) = base.as_ref().filter(|(at, _)| at.elapsed() < BASE_LASTS) {
            return Arc::clone(base);
        }
        let read = Arc::new(Base::load(self.config.as_deref()));
        *base = Some((Instant::now(), Arc::clone(&read)));
        read
    }
}
