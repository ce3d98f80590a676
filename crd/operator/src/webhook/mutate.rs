//! Mutate: gives pods their log disks and sidecars. Whatever happens, the pod is let in.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use kube::api::{ListParams, Request};
use kube::{Api, Client};
use metrics::counter;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::events::Events;
use super::review::{Answer, Request as Review};
use crate::inject::{Ask, Base, BaseError, Namespace, Skip, Template, inject, log_disk};
use crate::metrics::{INJECTION_SKIPPED, LOG_DISKS_SKIPPED};

/// How long the API server may take to tell a namespace, or its LogConfigs; it waits for us meanwhile.
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
    has_log_disks: bool,
    base: Mutex<Option<(Instant, Shared)>>,
    events: Events,
}

impl Injector {
    pub(super) fn new(
        client: Client,
        template: Template,
        config: Option<PathBuf>,
        has_log_disks: bool,
        events: Events,
    ) -> Injector {
        Injector { client, template, config, has_log_disks, base: Mutex::new(None), events }
    }

    /// What becomes of a pod.
    pub(super) async fn mutate(&self, request: &Review) -> Answer {
        let namespace = match self.namespace(&request.namespace, &request.object).await {
            Ok(namespace) => namespace,
            Err(why) => {
                counter!(INJECTION_SKIPPED, "reason" => "NamespaceUnknown").increment(1);
                let warning = format!(
                    "no logferry sidecar or log disk: namespace {}: {why}",
                    request.namespace
                );
                return Answer { warnings: vec![warning], ..Answer::default() };
            }
        };
        let (mut answer, mut pod) = (Answer::default(), Cow::Borrowed(&request.object));
        // Before the sidecar, which leaves to others what is on log disks.
        match log_disk::inject(&pod, &namespace, self.has_log_disks) {
            Ok((patch, patched)) => (answer.patch, pod) = (patch, Cow::Owned(patched)),
            Err(skip) => {
                counter!(LOG_DISKS_SKIPPED, "reason" => skip.reason()).increment(1);
                self.tell(request, "log disk", &skip, &mut answer);
            }
        }
        let base = self.base().await;
        match inject(&pod, &namespace, base.as_ref().as_ref(), &self.template) {
            Ok(patch) => answer.patch.extend(patch),
            Err(skip) => {
                counter!(INJECTION_SKIPPED, "reason" => skip.reason()).increment(1);
                self.tell(request, "sidecar", &skip, &mut answer);
            }
        }
        answer
    }

    /// Tells who wants to know why there is no `what`.
    fn tell(&self, request: &Review, what: &str, skip: &Skip, answer: &mut Answer) {
        if !skip.is_notable() {
            return;
        }
        let note = format!("no logferry {what}: {skip}");
        if !request.dry_run {
            self.events.skipped(request, skip.reason(), &note);
        }
        answer.warnings.push(note);
    }

    /// The namespace, as far as it counts for the pod.
    async fn namespace(&self, name: &str, pod: &Value) -> Result<Namespace, String> {
        let namespaces: Api<core::Namespace> = Api::all(self.client.clone());
        let metadata = in_time(namespaces.get_metadata(name)).await?.metadata;
        let mut namespace = Namespace {
            name: name.to_owned(),
            labels: metadata.labels.unwrap_or_default(),
            annotations: metadata.annotations.unwrap_or_default(),
            log_configs: Vec::new(),
        };
        if Ask::needs_log_configs(pod, &namespace) || log_disk::needs_log_configs(pod, &namespace) {
            let path = format!("/apis/{}/namespaces/{name}/logconfigs", crd::spec::API_VERSION);
            // What the server has at hand: it is as new as what any watch says.
            let request = Request::new(path)
                .list(&ListParams::default().match_any())
                .map_err(|error| error.to_string())?;
            let mut list: Value = in_time(self.client.request(request)).await?;
            if let Value::Array(items) = list["items"].take() {
                namespace.log_configs = items;
            }
        }
        Ok(namespace)
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

/// What the API server says, if it does so in time.
async fn in_time<T>(answer: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
    match timeout(NAMESPACE_MAX, answer).await {
        Ok(Ok(it)) => Ok(it),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("not told within {NAMESPACE_MAX:?}")),
    }
}
