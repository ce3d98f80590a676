//! Events: says where the owners of a pod look why it has no sidecar, or no log disk.
//!
//! Whoever answers the API server does not wait for it: what does not fit into a short queue is counted, and not written.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use metrics::counter;
use tokio::sync::mpsc;

use super::review::Request;
use crate::metrics::EVENTS_DROPPED;

/// Most events that wait to be written.
const WAITING_MAX: usize = 64;

/// A queue of events.
#[derive(Debug)]
pub(super) struct Events {
    queue: mpsc::Sender<(ObjectReference, &'static str, String)>,
}

impl Events {
    /// Writes from now on; within a tokio runtime.
    pub(super) fn start(client: Client) -> Events {
        let (queue, mut waiting) =
            mpsc::channel::<(ObjectReference, &'static str, String)>(WAITING_MAX);
        let reporter = Reporter { controller: "logferry-operator".to_owned(), instance: None };
        let recorder = Recorder::new(client, reporter);
        // It ends with the runtime.
        drop(tokio::spawn(async move {
            while let Some((of, reason, note)) = waiting.recv().await {
                let event = Event {
                    type_: EventType::Warning,
                    reason: reason.to_owned(),
                    note: Some(note),
                    action: "Inject".to_owned(),
                    secondary: None,
                };
                if let Err(error) = recorder.publish(&event, &of).await {
                    tracing::warn!(%error, reason, "an event could not be written");
                }
            }
        }));
        Events { queue }
    }

    /// A pod lacks what it asked for, and somebody wants to know why.
    pub(super) fn skipped(&self, request: &Request, reason: &'static str, note: &str) {
        // At most 1 KiB (events.k8s.io/v1).
        let note: String = note.chars().take(250).collect();
        if self.queue.try_send((subject(request), reason, note)).is_err() {
            counter!(EVENTS_DROPPED).increment(1);
        }
    }
}

/// What made the pod, since the pod is not there yet; or the pod, if nothing made it.
pub(super) fn subject(request: &Request) -> ObjectReference {
    let pod = &request.object["metadata"];
    let owners = pod["ownerReferences"].as_array().into_iter().flatten();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let namespace = Some(request.namespace.clone());
    match owners.into_iter().find(|it| it["controller"] == true) {
        Some(owner) => ObjectReference {
            api_version: text(&owner["apiVersion"]),
            kind: text(&owner["kind"]),
            name: text(&owner["name"]),
            uid: text(&owner["uid"]),
            namespace,
            ..ObjectReference::default()
        },
        None => ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: text(&pod["name"]).or_else(|| text(&pod["generateName"])),
            namespace,
            ..ObjectReference::default()
        },
    }
}
